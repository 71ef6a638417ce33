#include "stats.h"

#include <math.h>
#include <stdlib.h>

double fm_stats_chi2_limit(size_t freedom)
{
    /* Wilson and Hilferty 1931: the cube root is nearly normal. */
    double k = (double)freedom, a = 2.0 / (9.0 * k);
    double root = 1.0 - a + FM_STATS_Z * sqrt(a);

    return k * root * root * root;
}

double fm_stats_chi2_bytes(const uint8_t *bytes, size_t n)
{
    size_t count[256] = { 0 };
    double expected = (double)n / 256.0, chi2 = 0.0;

    for (size_t i = 0; i < n; i++)
        count[bytes[i]]++;
    for (size_t i = 0; i < 256; i++) {
        double d = (double)count[i] - expected;

        chi2 += d * d / expected;
    }
    return chi2;
}

void fm_stats_bins_init(fm_stats_bins *b, size_t half, int64_t width)
{
    b->half = half;
    b->width = width;
    b->count = calloc(2 * half + 1, sizeof *b->count);
    if (!b->count)
        abort();
}

void fm_stats_bins_fini(fm_stats_bins *b)
{
    free(b->count);
    b->count = NULL;
}

void fm_stats_bins_add(fm_stats_bins *b, int64_t x, double weight)
{
    int64_t magnitude = (x < 0 ? -x : x) + b->width / 2;
    int64_t bin = magnitude / b->width, half = (int64_t)b->half;

    bin = bin > half ? half : bin;
    b->count[x < 0 ? half - bin : half + bin] += weight;
}

void fm_stats_bins_expect(fm_stats_bins *b, double sigma2, double n)
{
    int64_t last = (int64_t)(13.0 * sqrt(sigma2));
    double total = 1.0;

    for (int64_t x = 1; x <= last; x++)
        total += 2.0 * exp(-(double)x * (double)x / (2.0 * sigma2));
    for (int64_t x = -last; x <= last; x++)
        fm_stats_bins_add(b, x, n / total * exp(-(double)x * (double)x / (2.0 * sigma2)));
}

double fm_stats_bins_chi2(const fm_stats_bins *count, const fm_stats_bins *expected)
{
    double chi2 = 0.0;

    for (size_t i = 0; i <= 2 * count->half; i++) {
        double d = count->count[i] - expected->count[i];

        chi2 += d * d / expected->count[i];
    }
    return chi2;
}

double fm_stats_bins_chi2_two(const fm_stats_bins *a, double n_a, const fm_stats_bins *b,
                              double n_b)
{
    double chi2 = 0.0, ra = sqrt(n_b / n_a), rb = sqrt(n_a / n_b);

    for (size_t i = 0; i <= 2 * a->half; i++) {
        double d = ra * a->count[i] - rb * b->count[i];

        if (a->count[i] + b->count[i] > 0)
            chi2 += d * d / (a->count[i] + b->count[i]);
    }
    return chi2;
}
