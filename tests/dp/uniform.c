#include "uniform.h"

#include <math.h>

#include "stats.h"

#define BYTES 256u
#define CELLS 4096u

/* Counts of `(w >> shift) & (cells - 1)`. */
static void count_cells(const uint32_t *w, size_t n, unsigned shift, uint32_t cells, double *count)
{
    for (uint32_t i = 0; i < cells; i++)
        count[i] = 0.0;
    for (size_t i = 0; i < n; i++)
        count[w[i] >> shift & (cells - 1)] += 1.0;
}

static bool even(const double *count, uint32_t cells, double expected)
{
    double chi2 = 0.0;

    for (uint32_t i = 0; i < cells; i++)
        chi2 += (count[i] - expected) * (count[i] - expected) / expected;
    return chi2 < fm_stats_chi2_limit(cells - 1);
}

static bool even_bits(const uint32_t *w, size_t n, unsigned shift, uint32_t cells)
{
    double count[CELLS];

    count_cells(w, n, shift, cells, count);
    return even(count, cells, (double)n / cells);
}

static bool even_bytes(const uint32_t *w, size_t n)
{
    double all[BYTES] = { 0.0 }, count[BYTES];

    for (unsigned place = 0; place < 4; place++) {
        count_cells(w, n, 8 * place, BYTES, count);
        for (uint32_t i = 0; i < BYTES; i++)
            all[i] += count[i];
    }
    return even(all, BYTES, 4.0 * (double)n / BYTES);
}

double fm_uniform_correlation(const uint32_t *a, const uint32_t *b, size_t n)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;

    for (size_t i = 0; i < n; i++) {
        double x = (double)(int32_t)a[i], y = (double)(int32_t)b[i];

        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) * sqrt((double)n) : 0.0;
}

bool fm_uniform_words(const uint32_t *w, size_t n, const char **why)
{
    static const char *const places[] = { "the lowest bytes", "the second bytes", "the third bytes",
                                          "the highest bytes" };
    static const size_t lags[] = { 1, 2, 3, 4, 8, 16, 64 };

    *why = NULL;
    for (unsigned i = 0; i < 4 && !*why; i++)
        *why = even_bits(w, n, 8 * i, BYTES) ? NULL : places[i];
    if (!*why && !even_bytes(w, n))
        *why = "all bytes";
    if (!*why && !even_bits(w, n, 20, CELLS))
        *why = "the upper twelve bits";
    if (!*why && !even_bits(w, n, 0, CELLS))
        *why = "the lower twelve bits";
    for (size_t i = 0; i < sizeof lags / sizeof lags[0] && !*why; i++)
        if (fabs(fm_uniform_correlation(w, w + lags[i], n - lags[i])) > FM_STATS_Z)
            *why = "the serial correlation";
    return !*why;
}

static bool alike_bits(const uint32_t *a, const uint32_t *b, size_t n, unsigned shift,
                       uint32_t cells)
{
    double count_a[CELLS], count_b[CELLS], chi2 = 0.0;

    count_cells(a, n, shift, cells, count_a);
    count_cells(b, n, shift, cells, count_b);
    for (uint32_t i = 0; i < cells; i++) {
        double d = count_a[i] - count_b[i], sum = count_a[i] + count_b[i];

        chi2 += sum > 0.0 ? d * d / sum : 0.0;
    }
    return chi2 < fm_stats_chi2_limit(cells - 1);
}

bool fm_uniform_alike(const uint32_t *a, const uint32_t *b, size_t n)
{
    bool alike = alike_bits(a, b, n, 20, CELLS) && alike_bits(a, b, n, 0, CELLS);

    for (unsigned i = 0; i < 4; i++)
        alike = alike && alike_bits(a, b, n, 8 * i, BYTES);
    return alike;
}
