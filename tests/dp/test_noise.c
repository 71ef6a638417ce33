/*
 * Statistics of the sampler, with fixed seeds. Each single comparison raises a false alarm with
 * probability 2e-7 at most over a random seed (FM_STATS_Z); there are about 110 of them.
 */
#include "fedmoe/dp/noise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "noise_internal.h"
#include "stats.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N ((size_t)1 << 17) /* the instrumented kernel is eight times slower */
#else
#define N ((size_t)1 << 20)
#endif
#define REFERENCES 100000

static int32_t g_x[N];

static void draw(double sigma, uint64_t seed_value)
{
    fm_dp_gaussian *g = NULL;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, seed_value);

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(sigma, &g), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_sample(g, &r, g_x, N), FM_OK);
    fm_dp_gaussian_free(&g);
}

static bool near_zero(double value, double deviation)
{
    bool ok = fabs(value) <= FM_STATS_Z * deviation;

    if (!ok)
        printf("\n%g is %g standard deviations from 0\n", value, fabs(value) / deviation);
    return ok;
}

static bool chi2_ok(double chi2, size_t freedom)
{
    bool ok = chi2 < fm_stats_chi2_limit(freedom);

    if (!ok)
        printf("\nchi-square %g with %zu degrees of freedom\n", chi2, freedom);
    return ok;
}

static void has_the_moments_of_a_gaussian(void)
{
    const double sigmas[] = { 2.5, 10.0, 10.5, 37.7, 1000.3, 0x1p20, 0x1p26 };

    for (size_t s = 0; s < FM_TEST_COUNT(sigmas); s++) {
        double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0, before = 0;

        draw(sigmas[s], 100 + s);
        for (size_t i = 0; i < N; i++) {
            double z = g_x[i] / sigmas[s];

            m1 += z;
            m2 += z * z;
            m3 += z * z * z;
            m4 += z * z * z * z;
            lag += z * before;
            before = z;
        }
        /* Variances of the sums of z, z^2, z^3, z^4, z z': 1, 2, 15, 96, 1. */
        CU_ASSERT(near_zero(m1 / N, sqrt(1.0 / N)));
        CU_ASSERT(near_zero(m2 / N - 1.0, sqrt(2.0 / N)));
        CU_ASSERT(near_zero(m3 / N, sqrt(15.0 / N)));
        CU_ASSERT(near_zero(m4 / N - 3.0, sqrt(96.0 / N)));
        CU_ASSERT(near_zero(lag / N, sqrt(1.0 / N)));
    }
}

typedef struct {
    double sigma;
    uint64_t num, den; /* sigma^2 */
    size_t half;       /* bins on each side: 4 sigma */
    int64_t width;
} variant;

static const variant g_variants[] = {
    { 10.0, 100, 1, 40, 1 },
    { 10.5, 441, 4, 42, 1 },
    { 1000.3, 100060009, 100, 98, 41 },
    { 0x1p20, (uint64_t)1 << 40, 1, 100, 41943 },
};

static void fits_the_exact_probabilities(void)
{
    for (size_t v = 0; v < FM_TEST_COUNT(g_variants); v++) {
        const variant *p = &g_variants[v];
        fm_stats_bins count, expected;

        fm_stats_bins_init(&count, p->half, p->width);
        fm_stats_bins_init(&expected, p->half, p->width);
        draw(p->sigma, 200 + v);
        for (size_t i = 0; i < N; i++)
            fm_stats_bins_add(&count, g_x[i], 1.0);
        fm_stats_bins_expect(&expected, (double)p->num / (double)p->den, (double)N);
        CU_ASSERT(chi2_ok(fm_stats_bins_chi2(&count, &expected), 2 * p->half));
        fm_stats_bins_fini(&count);
        fm_stats_bins_fini(&expected);
    }
}

static void agrees_with_the_exact_reference_sampler(void)
{
    for (size_t v = 0; v < FM_TEST_COUNT(g_variants); v++) {
        const variant *p = &g_variants[v];
        size_t half = p->half * 3 / 4; /* 3 sigma: 100 references or more in a bin's pair */
        fm_stats_bins ours, theirs, expected;
        fm_rng_seed seed;
        fm_rng r = fm_rng_seeded(&seed, 300 + v);

        fm_stats_bins_init(&ours, half, p->width);
        fm_stats_bins_init(&theirs, half, p->width);
        fm_stats_bins_init(&expected, half, p->width);
        draw(p->sigma, 400 + v);
        for (size_t i = 0; i < N; i++)
            fm_stats_bins_add(&ours, g_x[i], 1.0);
        for (size_t i = 0; i < REFERENCES; i++) {
            int64_t x = 0;

            CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_reference(p->num, p->den, &r, &x), FM_OK);
            fm_stats_bins_add(&theirs, x, 1.0);
        }
        fm_stats_bins_expect(&expected, (double)p->num / (double)p->den, REFERENCES);
        CU_ASSERT(chi2_ok(fm_stats_bins_chi2(&theirs, &expected), 2 * half));
        CU_ASSERT(chi2_ok(fm_stats_bins_chi2_two(&ours, (double)N, &theirs, REFERENCES), 2 * half));
        fm_stats_bins_fini(&ours);
        fm_stats_bins_fini(&theirs);
        fm_stats_bins_fini(&expected);
    }
}

/* A convolution with too narrow a base would show its multipliers in the residues. */
static void shows_no_lattice_in_the_residues(void)
{
    const double sigmas[] = { 30.0, 1000.3, 20000.0, 0x1p20, 0x1p26 };

    for (size_t s = 0; s < FM_TEST_COUNT(sigmas); s++) {
        draw(sigmas[s], 500 + s);
        for (int32_t m = 2; m <= 9; m++) {
            double count[9] = { 0 }, chi2 = 0.0, expected = (double)N / m;

            for (size_t i = 0; i < N; i++)
                count[(g_x[i] % m + m) % m] += 1.0;
            for (int32_t k = 0; k < m; k++)
                chi2 += (count[k] - expected) * (count[k] - expected) / expected;
            CU_ASSERT(chi2_ok(chi2, (size_t)m - 1));
        }
    }
}

/*
 * With a coarse alias table (multiples of 2^-12) one base sample in forty is an escape, so that
 * the residual distribution shows in a million samples. Short calls: no block runs out of slots.
 */
static void escapes_give_the_exact_law_too(void)
{
    const size_t call = 8 * FM_GAUSS_GROUP, calls = N / call;
    fm_stats_bins count, expected;
    fm_dp_gaussian *g = NULL;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 600);

    fm_stats_bins_init(&count, 42, 1);
    fm_stats_bins_init(&expected, 42, 1);
    CU_ASSERT_EQUAL_FATAL(fm_gauss_new(10.5, 12, &g), FM_OK);
    CU_ASSERT(g->escape_weight * call < (FM_GAUSS_SLOTS / 2) << 23);
    CU_ASSERT(g->escape_weight > (1 << 23) / 256);
    for (size_t c = 0; c < calls; c++)
        CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_sample(g, &r, g_x + c * call, call), FM_OK);
    for (size_t i = 0; i < calls * call; i++)
        fm_stats_bins_add(&count, g_x[i], 1.0);
    fm_stats_bins_expect(&expected, 10.5 * 10.5, (double)(calls * call));
    CU_ASSERT(chi2_ok(fm_stats_bins_chi2(&count, &expected), 84));
    fm_dp_gaussian_free(&g);
    fm_stats_bins_fini(&count);
    fm_stats_bins_fini(&expected);
}

/* Neighbours together: 16 x 16 bins of (x_i, x_i+1), and of (x_i, x_i+64), the next group. */
static void neighbours_are_independent(void)
{
    const double sigmas[] = { 10.5, 0x1p20 };
    const size_t lags[] = { 1, 4, 16, 64 };

    for (size_t s = 0; s < FM_TEST_COUNT(sigmas); s++) {
        draw(sigmas[s], 700 + s);
        for (size_t l = 0; l < FM_TEST_COUNT(lags); l++) {
            double joint[16][16] = { { 0 } }, one[16] = { 0 }, chi2 = 0.0, total = 0.0;

            for (size_t i = 0; i + lags[l] < N; i++) {
                double a = floor(4.0 * g_x[i] / sigmas[s]) + 8.0;
                double b = floor(4.0 * g_x[i + lags[l]] / sigmas[s]) + 8.0;
                size_t u = a < 0.0 ? 0 : a > 15.0 ? 15 : (size_t)a;

                joint[u][b < 0.0 ? 0 : b > 15.0 ? 15 : (size_t)b] += 1.0;
                one[u] += 1.0;
                total += 1.0;
            }
            for (size_t a = 0; a < 16; a++) {
                for (size_t b = 0; b < 16; b++) {
                    double e = one[a] * one[b] / total;

                    chi2 += (joint[a][b] - e) * (joint[a][b] - e) / e;
                }
            }
            CU_ASSERT(chi2_ok(chi2, 15 * 15));
        }
    }
}

/* How many lie beyond 3, 4, 5 and 6 sigma (the last: a handful at most). */
static void has_the_tails_of_a_gaussian(void)
{
    const double sigmas[] = { 100.25, 0x1p14, 0x1p20 };

    for (size_t s = 0; s < FM_TEST_COUNT(sigmas); s++) {
        draw(sigmas[s], 800 + s);
        for (double z = 3.0; z <= 6.0; z += 1.0) {
            /* |x| > z sigma in integers: |x| >= f + 1; a half step below that for the integral. */
            double cut = floor(z * sigmas[s]) + 0.5;
            double expected = erfc(cut / sigmas[s] / sqrt(2.0)) * (double)N, beyond = 0.0;

            for (size_t i = 0; i < N; i++)
                beyond += fabs((double)g_x[i]) > cut;
            CU_ASSERT(beyond < expected + FM_STATS_Z * sqrt(expected) + 6.0);
            CU_ASSERT(beyond > expected - FM_STATS_Z * sqrt(expected));
        }
    }
}

static void the_same_seed_gives_the_same_noise_and_another_does_not(void)
{
    int32_t a[700], b[700];
    fm_dp_gaussian *g = NULL;
    fm_rng_seed seed;
    fm_rng r;

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(1234.5, &g), FM_OK);
    r = fm_rng_seeded(&seed, 1);
    CU_ASSERT_EQUAL(fm_dp_gaussian_sample(g, &r, a, 700), FM_OK);
    r = fm_rng_seeded(&seed, 1);
    CU_ASSERT_EQUAL(fm_dp_gaussian_sample(g, &r, b, 700), FM_OK);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    CU_ASSERT_EQUAL(fm_dp_gaussian_sample(g, &r, b, 700), FM_OK); /* goes on, does not repeat */
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    r = fm_rng_seeded(&seed, 2);
    CU_ASSERT_EQUAL(fm_dp_gaussian_sample(g, &r, b, 700), FM_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    fm_dp_gaussian_free(&g);
}

static void writes_as_many_as_it_is_asked_for(void)
{
    const size_t counts[] = { 0, 1, 15, 63, 64, 65, 511, 1023, 1025 };
    int32_t x[1030];
    fm_dp_gaussian *g = NULL;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 6);

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(0x1p20, &g), FM_OK);
    for (size_t c = 0; c < FM_TEST_COUNT(counts); c++) {
        for (size_t i = 0; i < 1030; i++)
            x[i] = INT32_MIN;
        CU_ASSERT_EQUAL(fm_dp_gaussian_sample(g, &r, x, counts[c]), FM_OK);
        for (size_t i = 0; i < 1030; i++)
            CU_ASSERT((x[i] == INT32_MIN) == (i >= counts[c]));
    }
    fm_dp_gaussian_free(&g);
}

static void the_reference_refuses_what_it_cannot_do_exactly(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 7);
    int64_t x = 99;

    CU_ASSERT_EQUAL(fm_dp_gaussian_reference(0, 1, &r, &x), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_gaussian_reference(1, 0, &r, &x), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_gaussian_reference(UINT64_MAX, 1, &r, &x), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_gaussian_reference(100, 1, NULL, &x), FM_EINVAL);
    CU_ASSERT_EQUAL(x, 99);
    CU_ASSERT_EQUAL(fm_dp_gaussian_reference((uint64_t)1 << 53, 1, &r, &x), FM_OK);
    CU_ASSERT(llabs(x) < (long long)1 << 31);
}

static const fm_test g_tests[] = {
    { "has the moments of a Gaussian", has_the_moments_of_a_gaussian },
    { "fits the exact probabilities", fits_the_exact_probabilities },
    { "agrees with the exact reference sampler", agrees_with_the_exact_reference_sampler },
    { "shows no lattice in the residues", shows_no_lattice_in_the_residues },
    { "escapes give the exact law, too", escapes_give_the_exact_law_too },
    { "neighbours are independent", neighbours_are_independent },
    { "has the tails of a Gaussian", has_the_tails_of_a_gaussian },
    { "the same seed gives the same noise and another does not",
      the_same_seed_gives_the_same_noise_and_another_does_not },
    { "writes as many as it is asked for", writes_as_many_as_it_is_asked_for },
    { "the reference refuses what it cannot do exactly",
      the_reference_refuses_what_it_cannot_do_exactly },
};

const fm_test_suite fm_suite_dp_noise = { "dp.noise", g_tests, FM_TEST_COUNT(g_tests) };
