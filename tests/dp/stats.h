/* Chi-square tests with a stated false-alarm rate. */
#ifndef FEDMOE_TESTS_DP_STATS_H
#define FEDMOE_TESTS_DP_STATS_H

#include <stddef.h>
#include <stdint.h>

/** z beyond which a standard normal lies with probability 1e-7, one-sided; two-sided 2e-7. */
#define FM_STATS_Z 5.2

/** The value that chi-square with `freedom` degrees passes with probability 1e-7. */
double fm_stats_chi2_limit(size_t freedom);

/** Chi-square of bytes against the uniform distribution: 255 degrees of freedom. */
double fm_stats_chi2_bytes(const uint8_t *bytes, size_t n);

/** Bins of width `width` steps around 0, 2 * half + 1 of them; the outer ones take the tails. */
typedef struct {
    size_t half;
    int64_t width; /* odd */
    double *count; /* [2 * half + 1] */
} fm_stats_bins;

void fm_stats_bins_init(fm_stats_bins *b, size_t half, int64_t width);
void fm_stats_bins_fini(fm_stats_bins *b);
void fm_stats_bins_add(fm_stats_bins *b, int64_t x, double weight);
/** Fill with n * (exact pmf of the discrete Gaussian of variance parameter sigma2). */
void fm_stats_bins_expect(fm_stats_bins *b, double sigma2, double n);
/** Chi-square of counts against expectations. */
double fm_stats_bins_chi2(const fm_stats_bins *count, const fm_stats_bins *expected);
/** Chi-square that two samples of n_a and n_b come from one distribution. */
double fm_stats_bins_chi2_two(const fm_stats_bins *a, double n_a, const fm_stats_bins *b,
                              double n_b);

#endif
