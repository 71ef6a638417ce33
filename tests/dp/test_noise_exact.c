/* What can be checked without chance: the tables, the scan, the plan of every sigma. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "noise_internal.h"

__extension__ typedef unsigned __int128 u128;

static fm_gauss_table table_of(double sigma)
{
    fm_gauss_table t;

    CU_ASSERT_EQUAL_FATAL(fm_gauss_table_make(1.0 / (2.0 * (sigma * sigma)) * (1.0 - 0x1p-48), &t),
                          FM_OK);
    return t;
}

static u128 row(const fm_gauss_table *t, size_t j)
{
    return ((u128)(uint32_t)t->limb[0][j] << 62) | ((u128)(uint32_t)t->limb[1][j] << 31) |
           (uint32_t)t->limb[2][j];
}

typedef struct {
    size_t j;
    int32_t limb[3];
} expected_row;

static void expect_rows(const fm_gauss_table *t, const expected_row *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++)
            CU_ASSERT_EQUAL(t->limb[k][e[i].j], e[i].limb[k]);
}

static void the_table_equals_eighty_digit_arithmetic(void)
{
    /* Computed apart, with Python's decimal module at 80 digits. */
    const expected_row ten[] = {
        { 0, { 0x7ae4bef5, 0x512dc5fb, 0x7763c22b } },
        { 1, { 0x70bb4718, 0x57dd68fa, 0x32ce2d75 } },
        { 7, { 0x39fe1417, 0x2f5a8cfa, 0x28552f09 } },
        { 40, { 0x1aa8e, 0x7c4a7515, 0x5be91cb8 } },
        { 110, { 0, 0, 2 } },
    };
    const expected_row seventeen[] = {
        { 0, { 0x7d0a2beb, 0x133bed41, 0x1c1022f1 } },
        { 1, { 0x77210f2f, 0x483aa307, 0x2c98e89c } },
        { 7, { 0x54f355fd, 0x4b378621, 0x4302f64d } },
        { 40, { 0x26a3921, 0x3bbb0dd6, 0x6b8e68bf } },
        { 191, { 0, 0, 1 } },
    };
    fm_gauss_table t = table_of(10.0);

    CU_ASSERT_EQUAL(t.entries, 111);
    expect_rows(&t, ten, FM_TEST_COUNT(ten));
    t = table_of(17.25);
    CU_ASSERT_EQUAL(t.entries, 192);
    expect_rows(&t, seventeen, FM_TEST_COUNT(seventeen));
}

static void the_table_refuses_widths_that_it_cannot_hold(void)
{
    fm_gauss_table t;

    CU_ASSERT_EQUAL(fm_gauss_table_make(0.0, &t), FM_EINTERNAL);
    CU_ASSERT_EQUAL(fm_gauss_table_make(0.2, &t), FM_EINTERNAL);
    CU_ASSERT_EQUAL(fm_gauss_table_make(NAN, &t), FM_EINTERNAL);
    CU_ASSERT_EQUAL(fm_gauss_table_make(0x1.fp-14, &t), FM_EINTERNAL); /* s = 64.9: 834 rows */
}

static int32_t scan_slowly(const fm_gauss_table *t, const uint32_t *w)
{
    u128 r = ((u128)(w[0] & FM_GAUSS_LIMB_MASK) << 62) |
             ((u128)(w[FM_GAUSS_LANES] & FM_GAUSS_LIMB_MASK) << 31) |
             (w[2 * FM_GAUSS_LANES] & FM_GAUSS_LIMB_MASK);
    int32_t x = 0;

    for (size_t j = 0; j < t->entries; j++)
        x += r < row(t, j);
    return x;
}

/* The top bits of the words are not looked at. */
static void set_lane(uint32_t *w, u128 r, uint32_t top)
{
    w[0] = (uint32_t)(r >> 62) | top << 31;
    w[FM_GAUSS_LANES] = (uint32_t)(r >> 31) & FM_GAUSS_LIMB_MASK;
    w[2 * FM_GAUSS_LANES] = (uint32_t)r & FM_GAUSS_LIMB_MASK;
}

static void check_scan(const fm_gauss_table *t, const uint32_t *w)
{
    int32_t x[FM_GAUSS_LANES];

    for (size_t p = 0; p < fm_gauss_path_count; p++) {
        if (!fm_gauss_paths[p].available())
            continue;
        fm_gauss_paths[p].scan(t, w, 1, x);
        for (size_t lane = 0; lane < FM_GAUSS_LANES; lane++)
            CU_ASSERT_EQUAL_FATAL(x[lane], scan_slowly(t, w + lane));
    }
}

static void the_scan_equals_a_plain_comparison_at_every_threshold(void)
{
    const double widths[] = { 2.5, 4.0, 9.7, 17.9, 61.9 };
    uint32_t w[FM_GAUSS_WORDS * FM_GAUSS_LANES];

    for (size_t i = 0; i < FM_TEST_COUNT(widths); i++) {
        fm_gauss_table t = table_of(widths[i]);

        for (size_t j = 0; j < t.entries; j++) {
            for (size_t lane = 0; lane < FM_GAUSS_LANES; lane++) {
                u128 r = row(&t, j) + lane / 2;

                set_lane(w + lane, r > 3 ? r - 3 : 0, lane % 2);
            }
            check_scan(&t, w);
        }
    }
}

static void the_scan_equals_a_plain_comparison_at_random_and_at_the_ends(void)
{
    fm_gauss_table t = table_of(7.3);
    uint32_t w[FM_GAUSS_WORDS * FM_GAUSS_LANES];
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 5);

    for (int i = 0; i < 2000; i++) {
        r.fill(r.state, w, sizeof w);
        if (i % 2) /* only the tail */
            memset(w, 0, sizeof w / (i % 4 == 1 ? 3 : 2));
        check_scan(&t, w);
    }
    memset(w, 0, sizeof w);
    CU_ASSERT_EQUAL(scan_slowly(&t, w), (int32_t)t.entries);
    check_scan(&t, w);
    memset(w, 0xff, sizeof w);
    CU_ASSERT_EQUAL(scan_slowly(&t, w), 0);
    check_scan(&t, w);
}

/* The alias table and the residual give back the probabilities that they were made of. */
static void check_split(double width, unsigned bits)
{
    fm_gauss_table t = table_of(width), residual;
    fm_gauss_alias a;
    uint32_t weight[256] = { 0 }, escape;
    u128 one = (u128)1 << 93, before = one, residual_before = one;

    CU_ASSERT_EQUAL_FATAL(fm_gauss_alias_make(&t, bits, &a, &escape, &residual), FM_OK);
    for (size_t j = 0; j < 256; j++) {
        uint32_t own = a.high[j] * 256u + a.low[j];

        CU_ASSERT(own < 1 << 15);
        weight[j] += own;
        weight[a.other[j]] += (1 << 15) - own;
    }
    CU_ASSERT_EQUAL(weight[FM_GAUSS_ESCAPE], escape);
    CU_ASSERT_EQUAL(residual.entries, t.entries);
    for (size_t j = 0; j <= t.entries; j++) {
        u128 p = before - (j < t.entries ? row(&t, j) : 0);
        u128 q = residual_before - (j < residual.entries ? row(&residual, j) : 0);
        u128 made = (q * escape >> 23) + ((u128)(j < 255 ? weight[j] : 0) << 70);

        /* Exact but for the cut of two rows of the residual to 93 bits, times escape / 2^23. */
        CU_ASSERT(made <= p + (escape >> 23) + 2 && p <= made + (escape >> 23) + 2);
        CU_ASSERT(j >= 255 || (p >> 70) - weight[j] < (u128)1 << (23 - bits));
        before -= p;
        residual_before -= q;
    }
}

static void the_alias_table_and_the_residual_add_up_to_the_law(void)
{
    const double widths[] = { 2.5, 10.0, 17.25, 40.0, 58.3, 62.0 };

    for (size_t i = 0; i < FM_TEST_COUNT(widths); i++) {
        check_split(widths[i], 23);
        check_split(widths[i], 12);
    }
}

static void check_plan(const fm_dp_gaussian *g, double sigma)
{
    long double c = 1.0L, squares = 1.0L, base = sqrtl(0.5L / g->y), real, distance;

    for (uint32_t i = 0; i + 1 < g->stages; i++) {
        long double k = g->multiplier[i];

        if (i % 4 == 0)
            CU_ASSERT_EQUAL(g->quad[i / 4].weight, (uint64_t)c);
        c *= k;
        squares += c * c;
        CU_ASSERT(base >= 1.75L * sqrtl(1.0L + k * k));
        /* Two stages stay within 16 bits. */
        CU_ASSERT((k + 1.0L) * (long double)g->residual.entries <= INT16_MAX);
    }
    real = base * sqrtl(squares);
    CU_ASSERT(real >= (long double)sigma);
    CU_ASSERT(real <= (long double)sigma * (1.0L + 1e-9L));
    CU_ASSERT(g->escape_weight >= 1 && g->escape_weight <= 512);
    distance = (long double)(g->stages - 1) * 0x1p-86L + 0x1p-107L +
               (long double)(g->stages * (g->residual.entries + 2)) * 0.52L * 0x1p-93L;
    CU_ASSERT(distance < 0x1p-80L);
    if (sigma <= 0x1p26) /* no sample can leave 32 bits */
        CU_ASSERT(c * 1.06L * (long double)g->residual.entries < 0x1p31L);
}

static void every_sigma_gets_a_plan_that_meets_the_proof(void)
{
    for (double sigma = FM_DP_MIN_SIGMA; sigma <= 0x1p50; sigma *= 1.04) {
        fm_dp_gaussian *g = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(sigma, &g), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_gaussian_sigma(g), sigma);
        check_plan(g, sigma);
        fm_dp_gaussian_free(&g);
    }
}

static void the_ends_of_the_range_are_served_and_no_more(void)
{
    const double bad[] = { 2.4999, 0.0, -10.0, 0x1.0000001p50, INFINITY, NAN };
    fm_dp_gaussian *g = NULL;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_gaussian_new(bad[i], &g), FM_EINVAL);
        CU_ASSERT_PTR_NULL(g);
    }
    CU_ASSERT_EQUAL(fm_dp_gaussian_new(2.5, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_gaussian_new(2.5, &g), FM_OK);
    fm_dp_gaussian_free(&g);
    CU_ASSERT_EQUAL(fm_dp_gaussian_new(0x1p50, &g), FM_OK);
    fm_dp_gaussian_free(&g);
    fm_dp_gaussian_free(&g);
    fm_dp_gaussian_free(NULL);
}

static const fm_test g_tests[] = {
    { "the table equals eighty-digit arithmetic", the_table_equals_eighty_digit_arithmetic },
    { "the table refuses widths that it cannot hold",
      the_table_refuses_widths_that_it_cannot_hold },
    { "the scan equals a plain comparison at every threshold",
      the_scan_equals_a_plain_comparison_at_every_threshold },
    { "the scan equals a plain comparison at random and at the ends",
      the_scan_equals_a_plain_comparison_at_random_and_at_the_ends },
    { "the alias table and the residual add up to the law",
      the_alias_table_and_the_residual_add_up_to_the_law },
    { "every sigma gets a plan that meets the proof",
      every_sigma_gets_a_plan_that_meets_the_proof },
    { "the ends of the range are served and no more",
      the_ends_of_the_range_are_served_and_no_more },
};

const fm_test_suite fm_suite_dp_noise_exact = { "dp.noise_exact", g_tests, FM_TEST_COUNT(g_tests) };
