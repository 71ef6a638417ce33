/*
 * Moments, tails to 6 sigma, chi-square against the exact probabilities and against the exact
 * sampler of Canonne, Kamath and Steinke, and dependence of neighbours, with fresh seeds. Each
 * statistic raises a false alarm with probability 2e-7 at most (FM_STATS_Z); a run has 65 of them.
 */
#include "noise_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/dp/noise.h"
#include "stats.h"

#define BATCH ((size_t)1 << 16)
#define REFERENCES_PER 50 /* samples for one of the (slow) reference's */
#define GRID 16           /* neighbours: bins of a quarter of sigma, the outer ones from 2 sigma */

typedef struct {
    double sigma;
    uint64_t num, den; /* sigma^2 */
    int64_t width;     /* of a bin */
} variant;

static const variant g_variants[] = {
    { 10.0, 100, 1, 1 },
    { 10.5, 441, 4, 1 },
    { 1000.3, 100060009, 100, 11 },
    { 16384.0, (uint64_t)1 << 28, 1, 165 },
    { 0x1p20, (uint64_t)1 << 40, 1, 10487 },
};

typedef struct {
    const variant *v;
    fm_stats_bins bins, expected;
    double n, power[5], lag[2], beyond[7], cut[7];
    double grid[GRID][GRID], one[GRID];
} tally;

static bool g_bad;

static void judge(const char *what, double value, double low, double high)
{
    bool ok = value >= low && value <= high;

    printf("    %-28s %12.4f   [%.4f, %.4f]%s\n", what, value, low, high, ok ? "" : "   OFF");
    g_bad = g_bad || !ok;
}

static size_t grid_bin(double z)
{
    double b = floor(4.0 * z) + GRID / 2.0;

    return b < 0.0 ? 0 : b > GRID - 1.0 ? GRID - 1 : (size_t)b;
}

static void count(tally *t, const int32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double z = x[i] / t->v->sigma, next = x[(i + 1) % n] / t->v->sigma;
        size_t a = grid_bin(z);

        fm_stats_bins_add(&t->bins, x[i], 1.0);
        t->power[1] += z;
        t->power[2] += z * z;
        t->power[3] += z * z * z;
        t->power[4] += z * z * z * z;
        t->lag[0] += z * next;
        t->lag[1] += z * (x[(i + 64) % n] / t->v->sigma);
        for (int k = 3; k <= 6; k++)
            t->beyond[k] += fabs(z) > t->cut[k];
        t->grid[a][grid_bin(next)] += 1.0;
        t->one[a] += 1.0;
    }
    t->n += (double)n;
}

static void judge_moments(const tally *t)
{
    /* Variances of z, z^2, z^3, z^4, z z': 1, 2, 15, 96, 1. */
    const double mean[5] = { 0, 0, 1, 0, 3 }, variance[5] = { 0, 1, 2, 15, 96 };
    char name[40];

    for (int k = 1; k <= 4; k++) {
        snprintf(name, sizeof name, "moment %d, deviations", k);
        judge(name, (t->power[k] / t->n - mean[k]) / sqrt(variance[k] / t->n), -FM_STATS_Z,
              FM_STATS_Z);
    }
    judge("correlation, next one", t->lag[0] / sqrt(t->n), -FM_STATS_Z, FM_STATS_Z);
    judge("correlation, next group", t->lag[1] / sqrt(t->n), -FM_STATS_Z, FM_STATS_Z);
}

/* P(|X| > cut sigma): summed where that is quick, else the integral from half a step on. */
static double tail(double sigma, double cut)
{
    double total = 1.0, beyond = 0.0;

    if (sigma > 2000.0)
        return erfc(cut / sqrt(2.0));
    for (double x = 13.0 * ceil(sigma); x >= 1.0; x -= 1.0) {
        double p = 2.0 * exp(-x * x / (2.0 * sigma * sigma));

        total += p;
        beyond += x > cut * sigma ? p : 0.0;
    }
    return beyond / total;
}

/* Poisson counts: normal where many are expected, 2e-7 by the tail 6 above it where few are. */
static void judge_tails(const tally *t)
{
    char name[40];

    for (int k = 3; k <= 6; k++) {
        double expected = t->n * tail(t->v->sigma, t->cut[k]), d = FM_STATS_Z * sqrt(expected);

        snprintf(name, sizeof name, "beyond %d sigma", k);
        judge(name, t->beyond[k], expected - d, expected + d + 6.0);
    }
}

static void judge_neighbours(const tally *t)
{
    double chi2 = 0.0;

    for (size_t a = 0; a < GRID; a++) {
        for (size_t b = 0; b < GRID; b++) {
            double e = t->one[a] * t->one[b] / t->n;

            chi2 += e > 0.0 ? (t->grid[a][b] - e) * (t->grid[a][b] - e) / e : 0.0;
        }
    }
    judge("chi-square of neighbours", chi2, 0.0, fm_stats_chi2_limit((GRID - 1) * (GRID - 1)));
}

static fm_status judge_reference(const tally *t)
{
    double n = floor(t->n / REFERENCES_PER);
    fm_stats_bins theirs;
    fm_rng rng = fm_rng_system();
    fm_status st = FM_OK;

    fm_stats_bins_init(&theirs, t->bins.half, t->bins.width);
    for (double i = 0; i < n && st == FM_OK; i += 1.0) {
        int64_t x = 0;

        st = fm_dp_gaussian_reference(t->v->num, t->v->den, &rng, &x);
        fm_stats_bins_add(&theirs, x, 1.0);
    }
    judge("chi-square, reference", fm_stats_bins_chi2_two(&t->bins, t->n, &theirs, n), 0.0,
          fm_stats_chi2_limit(2 * t->bins.half));
    fm_stats_bins_fini(&theirs);
    return st;
}

static fm_status check_variant(const variant *v, size_t n, int32_t *x)
{
    /* To where the last bin expects ten: 5 sigma at 10^8 samples. */
    double reach = sqrt(2.0 * log((double)n * (double)v->width / v->sigma / 25.0)) * v->sigma;
    tally t = { .v = v };
    fm_rng rng = fm_rng_system();
    fm_dp_gaussian *g = NULL;
    fm_status st = fm_dp_gaussian_new(v->sigma, &g);

    for (int k = 3; k <= 6; k++) /* between two integers */
        t.cut[k] = (floor(k * v->sigma) + 0.5) / v->sigma;
    fm_stats_bins_init(&t.bins, (size_t)(reach / (double)v->width), v->width);
    fm_stats_bins_init(&t.expected, t.bins.half, v->width);
    for (size_t done = 0; done < n && st == FM_OK; done += BATCH) {
        if ((st = fm_dp_gaussian_sample(g, &rng, x, BATCH)) == FM_OK)
            count(&t, x, BATCH);
    }
    if (st == FM_OK) {
        printf("  sigma %g, %.0f samples\n", v->sigma, t.n);
        judge_moments(&t);
        judge_tails(&t);
        judge_neighbours(&t);
        fm_stats_bins_expect(&t.expected, (double)v->num / (double)v->den, t.n);
        judge("chi-square, exact law", fm_stats_bins_chi2(&t.bins, &t.expected), 0.0,
              fm_stats_chi2_limit(2 * t.bins.half));
        st = judge_reference(&t);
    }
    fm_stats_bins_fini(&t.bins);
    fm_stats_bins_fini(&t.expected);
    fm_dp_gaussian_free(&g);
    return st;
}

fm_status bench_noise_check(size_t n)
{
    int32_t *x = malloc(BATCH * sizeof *x);
    fm_status st = x ? FM_OK : fm_fail(FM_ENOMEM, "no memory left");

    for (size_t i = 0; i < sizeof g_variants / sizeof *g_variants && st == FM_OK; i++)
        st = check_variant(&g_variants[i], n, x);
    free(x);
    if (st == FM_OK && g_bad)
        st = fm_fail(FM_EINTERNAL, "a statistic is off: see above");
    return st;
}
