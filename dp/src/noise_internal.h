/* The inside of the discrete Gaussian sampler: noise.c, noise_table.c, noise_scan.c. */
#ifndef FEDMOE_DP_NOISE_INTERNAL_H
#define FEDMOE_DP_NOISE_INTERNAL_H

#include "fedmoe/dp/noise.h"

#define FM_GAUSS_ENTRIES 256 /* ceiling of the table */
#define FM_GAUSS_STAGES 24   /* ceiling of base samples in one sample */
#define FM_GAUSS_LANES 16    /* base samples that the scan makes at once */
#define FM_GAUSS_WORDS 3     /* random 32-bit words in a base sample */
#define FM_GAUSS_LIMB_MASK 0x7fffffff

/*
 * P(|X| > j) for the base distribution, cut to 93 bits: three limbs of 31 bits, high first, so
 * that a signed comparison of 32-bit lanes orders them. Rows [0, high_end) have a high limb,
 * rows [high_end, mid_end) only a middle one, rows [mid_end, entries) only a low one.
 */
typedef struct {
    int32_t limb[FM_GAUSS_WORDS][FM_GAUSS_ENTRIES];
    size_t high_end, mid_end, entries;
} fm_gauss_table;

struct fm_dp_gaussian {
    double sigma;                         /* as asked for */
    double y;                             /* the base distribution is exp(-y x^2) */
    uint32_t stages;                      /* base samples in one sample, m */
    uint32_t multiplier[FM_GAUSS_STAGES]; /* k_1 .. k_{m-1}, outermost first */
    fm_gauss_table table;
};

/** The table of exp(-y x^2), y in [2^-10, 1/8). FM_EINTERNAL when it does not fit. */
FM_NODISCARD fm_status fm_gauss_table_make(double y, fm_gauss_table *out);

/**
 * Base samples from random words: groups of FM_GAUSS_LANES; each group reads 3 * LANES words.
 * No branch and no address depends on the words.
 */
void fm_gauss_scan(const fm_gauss_table *t, const uint32_t *words, size_t groups, int32_t *out);

#endif
