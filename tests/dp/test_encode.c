#include "fedmoe/dp/encode.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/mask.h"
#include "fm_test.h"

__extension__ typedef unsigned __int128 u128;

#define MAX_N 3001

static fm_dp_lattice lattice(double clip_norm, uint32_t max_units)
{
    fm_dp_lattice_spec s = { .clip_norm = clip_norm,
                             .noise_multiplier = 1.0,
                             .max_units = max_units,
                             .nodes = 3,
                             .quorum = 3,
                             .colluders = 1 };
    fm_dp_lattice l;

    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
    return l;
}

/* Exactly S lattice steps to C = 1. */
static fm_dp_lattice coarse(int scale_log2)
{
    return (fm_dp_lattice){ .clip_norm = 1.0,
                            .scale_log2 = scale_log2,
                            .scale = ldexp(1.0, scale_log2),
                            .sensitivity = ldexp(1.0, scale_log2),
                            .word_bits = 32,
                            .unit_sensitivity = (int64_t)1 << scale_log2,
                            .unit_scale = ldexp(1.0, scale_log2),
                            .max_units = 100 };
}

static u128 squared(const int32_t *q, size_t n)
{
    u128 s = 0;

    for (size_t i = 0; i < n; i++)
        s = s + (uint64_t)((int64_t)q[i] * q[i]);
    return s;
}

static bool bounded(const fm_dp_lattice *l, const int32_t *q, size_t n)
{
    return squared(q, n) <= (u128)l->unit_sensitivity * (u128)l->unit_sensitivity;
}

static double float_norm(const float *g, size_t n)
{
    double s = 0.0;

    for (size_t i = 0; i < n; i++)
        s += (double)g[i] * (double)g[i];
    return sqrt(s);
}

static void fill_normal(fm_rng *r, float *g, size_t n, double size)
{
    for (size_t i = 0; i < n; i++)
        g[i] = (float)(size * fm_rng_normal(r));
}

static void keeps_every_random_unit_within_the_sensitivity(void)
{
    static float g[MAX_N];
    static int32_t q[MAX_N];
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 2);

    for (int trial = 0; trial < 600; trial++) {
        fm_dp_lattice l =
            lattice(exp(8.0 * fm_rng_unit(&r) - 4.0), 1 + (uint32_t)fm_rng_below(&r, 1000000));
        size_t n = 1 + fm_rng_below(&r, trial % 10 ? 50 : MAX_N);

        fill_normal(&r, g, n, exp(20.0 * fm_rng_unit(&r) - 14.0));
        CU_ASSERT_EQUAL_FATAL(fm_dp_encode_unit(&l, g, n, q), FM_OK);
        CU_ASSERT_FATAL(bounded(&l, q, n));
        /* Clipping shortens and never turns: the direction stays, one step at most apart. */
        for (size_t i = 0; i < n; i++) {
            double norm = float_norm(g, n);
            double shrink = norm > l.clip_norm ? l.clip_norm / norm : 1.0;

            CU_ASSERT_FATAL(fabs((double)g[i] * shrink * l.scale - q[i]) <= 2.0);
        }
    }
}

static void check_all(const fm_dp_lattice *l, const float *g, size_t n)
{
    static int32_t q[MAX_N];

    CU_ASSERT_EQUAL_FATAL(fm_dp_encode_unit(l, g, n, q), FM_OK);
    CU_ASSERT(bounded(l, q, n));
}

static void keeps_adversarial_units_within_the_sensitivity(void)
{
    static float g[MAX_N];
    const float values[] = { FLT_MAX,        -FLT_MAX, FLT_MIN, 1.4e-45f, 0.0f, 0x1.fffffep-1f,
                             0x1.000002p+0f, 1e20f,    -1.0f,   0.5f,     1e-7f };
    const size_t sizes[] = { 1, 2, 3, 7, 8, 9, 64, 1000, MAX_N };

    for (size_t v = 0; v < FM_TEST_COUNT(values); v++)
        for (size_t s = 0; s < FM_TEST_COUNT(sizes); s++) {
            size_t n = sizes[s];

            for (uint32_t units = 1; units < 10000000; units = units * 9 + 1) {
                fm_dp_lattice l = lattice(0.7, units);

                for (size_t i = 0; i < n; i++)
                    g[i] = i % 3 == 2 ? -values[v] : values[v];
                check_all(&l, g, n);
                g[n / 2] = FLT_MAX;
                check_all(&l, g, n);
            }
        }
}

static void a_unit_exactly_on_the_bound_is_not_clipped(void)
{
    fm_dp_lattice l = coarse(20);
    const float g[] = { 0.6f, -0.8f }, axis[] = { 0.0f, -1.0f };
    int32_t q[2];

    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, axis, 2, q), FM_OK);
    CU_ASSERT(q[0] == 0 && q[1] == -(1 << 20));
    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g, 2, q), FM_OK);
    CU_ASSERT(abs(q[0] - 629146) <= 1 && abs(q[1] + 838861) <= 1);
    CU_ASSERT(bounded(&l, q, 2));
}

static void rounds_to_the_nearest_step(void)
{
    fm_dp_lattice l = coarse(10);
    float g[64];
    int32_t q[64];
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 3);

    for (int trial = 0; trial < 100; trial++) {
        fill_normal(&r, g, 64, 0.05);
        CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g, 64, q), FM_OK);
        for (size_t i = 0; i < 64; i++)
            CU_ASSERT(fabs((double)g[i] * 1024.0 - q[i]) <= 0.5);
    }
}

static void truncates_where_rounding_would_go_over(void)
{
    fm_dp_lattice l = coarse(6);
    const float g[] = { 63.6f / 64.0f, -7.0f / 64.0f }; /* 64^2 + 7^2 > 64^2 > 63.6^2 + 7^2 */
    float many[1000];
    int32_t q[1000];

    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g, 2, q), FM_OK);
    CU_ASSERT(q[0] == 63 && q[1] == -7);
    /* 2.02 steps each: norm 63.9; 0.6 of a step each rounds up to norm 90, and goes to 0. */
    for (size_t i = 0; i < 1000; i++)
        many[i] = 2.02f / 64.0f;
    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, many, 1000, q), FM_OK);
    CU_ASSERT(q[0] == 2 && q[999] == 2);
    for (size_t i = 0; i < 1000; i++)
        many[i] = 2.6f / 64.0f;
    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, many, 1000, q), FM_OK);
    CU_ASSERT(bounded(&l, q, 1000));
}

static void drops_and_counts_what_is_not_finite(void)
{
    const float bad[] = { NAN, INFINITY, -INFINITY };
    fm_dp_lattice l = lattice(1.0, 100);
    float g[19] = { 0.25f };
    int32_t before[19], after[19], q[19] = { 5 };
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&l, 19, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
    fm_dp_sum_peek_for_tests(s, before);
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        for (size_t at = 0; at < 19; at++) {
            float kept = g[at];

            g[at] = bad[i];
            CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g, 19, q), FM_ENONFINITE);
            CU_ASSERT_EQUAL(q[0], 5);
            CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
            g[at] = kept;
        }
    fm_dp_sum_peek_for_tests(s, after);
    CU_ASSERT_EQUAL(memcmp(before, after, sizeof before), 0);
    CU_ASSERT_EQUAL(fm_dp_sum_units(s), 1);
    CU_ASSERT_EQUAL(fm_dp_sum_units_dropped(s), 3 * 19);
    fm_dp_sum_reset(s);
    CU_ASSERT(fm_dp_sum_units(s) == 0 && fm_dp_sum_units_dropped(s) == 0);
    fm_dp_sum_peek_for_tests(s, after);
    CU_ASSERT_EQUAL(after[0], 0);
    fm_dp_sum_free(&s);
    CU_ASSERT_PTR_NULL(s);
}

/* The sum of `count` units of n, as the sum object has it. */
static void sum_of(const fm_dp_lattice *l, const float *g, size_t count, size_t n, int32_t *out)
{
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(l, n, &s), FM_OK);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g + i * n), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_units(s), count);
    fm_dp_sum_peek_for_tests(s, out);
    fm_dp_sum_free(&s);
}

static void one_unit_changes_nothing_of_the_others(void)
{
    enum { N = 33, UNITS = 8 };
    static float g[UNITS * N];
    int32_t with[N], without[N], before[N], after[N];
    fm_dp_lattice l = lattice(1.0, UNITS);
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 4);

    for (int trial = 0; trial < 100; trial++) {
        size_t who = fm_rng_below(&r, UNITS);

        fill_normal(&r, g, UNITS * N, 0.3);
        sum_of(&l, g, UNITS, N, with);
        CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g + who * N, N, before), FM_OK);
        fill_normal(&r, g + who * N, N, trial % 2 ? 1e30 : 1e-3);
        CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, g + who * N, N, after), FM_OK);
        sum_of(&l, g, UNITS, N, without);
        for (size_t i = 0; i < N; i++)
            CU_ASSERT_EQUAL_FATAL(with[i] - before[i], without[i] - after[i]);
    }
}

static void the_largest_sum_does_not_wrap_and_no_unit_more_is_taken(void)
{
    enum { UNITS = 5000 };
    const float g[] = { FLT_MAX, 0.0f };
    fm_dp_lattice l = lattice(0.9, UNITS);
    fm_dp_sum *s = NULL;
    int32_t sum[2];
    uint32_t words[2] = { 0 };
    float out[2];

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&l, 2, &s), FM_OK);
    for (size_t i = 0; i < UNITS; i++)
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_add_unit(s, g), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_dp_sum_units(s), UNITS);
    fm_dp_sum_peek_for_tests(s, sum);
    CU_ASSERT_EQUAL(sum[0], UNITS * l.sensitivity);
    CU_ASSERT(sum[0] + 3 * 12.0 * l.sigma_share < 0x1p31);
    words[0] = (uint32_t)sum[0] + (uint32_t)(int32_t)(3 * 12.0 * l.sigma_share);
    fm_dp_decode_sum(&l, words, 2, out);
    CU_ASSERT(out[0] >= UNITS * 0.9f * 0.99f);
    fm_dp_sum_free(&s);
}

static void decodes_twos_complement(void)
{
    fm_dp_lattice l = coarse(4);
    const uint32_t w[] = { 0, 16, UINT32_MAX, (uint32_t)-40, 0x7fffffff, 0x80000000 };
    float out[6];

    fm_dp_decode_sum(&l, w, 6, out);
    CU_ASSERT(out[0] == 0.0f && out[1] == 1.0f && out[2] == -0.0625f && out[3] == -2.5f);
    CU_ASSERT(out[4] == 0x1p27f && out[5] == -0x1p27f);
}

static void refuses_bad_arguments(void)
{
    fm_dp_lattice l = lattice(1.0, 10), bad = l;
    const float g = 0.5f;
    int32_t q;
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL(fm_dp_sum_new(&l, 0, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_new(&l, ((size_t)1 << 30) + 1, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_new(NULL, 1, &s), FM_EINVAL);
    bad.max_units = UINT32_MAX; /* a lattice on which sums would wrap */
    CU_ASSERT_EQUAL(fm_dp_sum_new(&bad, 1, &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, &g, 0, &q), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, NULL, 1, &q), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(NULL, &g), FM_EINVAL);
    fm_dp_sum_free(NULL);
    fm_dp_sum_free(&s);
}

static const fm_test g_tests[] = {
    { "keeps every random unit within the sensitivity",
      keeps_every_random_unit_within_the_sensitivity },
    { "keeps adversarial units within the sensitivity",
      keeps_adversarial_units_within_the_sensitivity },
    { "a unit exactly on the bound is not clipped", a_unit_exactly_on_the_bound_is_not_clipped },
    { "rounds to the nearest step", rounds_to_the_nearest_step },
    { "truncates where rounding would go over", truncates_where_rounding_would_go_over },
    { "drops and counts what is not finite", drops_and_counts_what_is_not_finite },
    { "one unit changes nothing of the others", one_unit_changes_nothing_of_the_others },
    { "the largest sum does not wrap and no unit more is taken",
      the_largest_sum_does_not_wrap_and_no_unit_more_is_taken },
    { "decodes two's complement", decodes_twos_complement },
    { "refuses bad arguments", refuses_bad_arguments },
};

const fm_test_suite fm_suite_dp_encode = { "dp.encode", g_tests, FM_TEST_COUNT(g_tests) };
