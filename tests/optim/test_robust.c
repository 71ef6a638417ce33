/* Robust means against figures worked out by hand, and against sums that hold anything. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/optim/robust.h"
#include "suites.h"

#define MOST 9
#define WORDS 200

typedef struct {
    float of[MOST][WORDS];
    fm_optim_source sources[MOST];
    float out[WORDS];
} sums;

static sums g_sums;

static void read_one(const void *ctx, size_t at, size_t n, float *out)
{
    memcpy(out, (const float *)ctx + at, n * sizeof(float));
}

static fm_robust robust_of(fm_robust_rule rule, uint32_t count, uint32_t trim, size_t n)
{
    for (uint32_t i = 0; i < count; i++)
        g_sums.sources[i] = (fm_optim_source){ read_one, g_sums.of[i] };
    return (fm_robust){ .rule = rule, .sums = count, .trim = trim, .of = g_sums.sources, .n = n };
}

static void estimate(fm_robust_rule rule, uint32_t count, uint32_t trim, size_t n)
{
    fm_robust r = robust_of(rule, count, trim, n);

    CU_ASSERT_EQUAL_FATAL(fm_robust_prepare(&r), FM_OK);
    fm_robust_read(&r, 0, n, g_sums.out);
}

static void set(const float *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        g_sums.of[i][0] = values[i];
}

/* Five sums of a coordinate; what is read is five times their center. */
static void medians_and_trimmed_means_by_hand(void)
{
    const float five[] = { 4.0f, -1.0f, 2.0f, 1000.0f, 3.0f }, four[] = { 8.0f, 1.0f, 3.0f, 2.0f };

    set(five, 5);
    estimate(FM_ROBUST_RULE_MEDIAN, 5, 0, 1);
    CU_ASSERT_EQUAL(g_sums.out[0], 15.0f); /* 5 * 3 */
    estimate(FM_ROBUST_RULE_TRIMMED, 5, 1, 1);
    CU_ASSERT_EQUAL(g_sums.out[0], 15.0f); /* 5 * (2 + 3 + 4) / 3 */
    estimate(FM_ROBUST_RULE_TRIMMED, 5, 2, 1);
    CU_ASSERT_EQUAL(g_sums.out[0], 15.0f);
    set(four, 4);
    estimate(FM_ROBUST_RULE_MEDIAN, 4, 0, 1);
    CU_ASSERT_EQUAL(g_sums.out[0], 10.0f); /* 4 * (2 + 3) / 2 */
    estimate(FM_ROBUST_RULE_TRIMMED, 4, 1, 1);
    CU_ASSERT_EQUAL(g_sums.out[0], 10.0f);
}

static void distances_by_hand(void)
{
    const float x[] = { 0.0f, 3.0f, 0.0f }, y[] = { 0.0f, 4.0f, 12.0f };
    fm_robust r = robust_of(FM_ROBUST_RULE_MEDIAN, 3, 0, 2);

    for (int i = 0; i < 3; i++) {
        g_sums.of[i][0] = x[i];
        g_sums.of[i][1] = y[i];
    }
    CU_ASSERT_EQUAL_FATAL(fm_robust_prepare(&r), FM_OK); /* the median is (0, 4) */
    CU_ASSERT_DOUBLE_EQUAL(r.distances[0], 4.0, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(r.distances[1], 3.0, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(r.distances[2], 8.0, 1e-12);
}

/* Fermat's point of a triangle without an angle of 120 degrees sees every side under 120 degrees: of
 * (0,0), (4,0), (2,4) it is (2, 2/sqrt(3)). Of points on a line it is the middle one. */
static void geometric_medians_by_hand(void)
{
    const float x[] = { 0.0f, 4.0f, 2.0f }, y[] = { 0.0f, 0.0f, 4.0f },
                line[] = { 0.0f, 1.0f, 50.0f };

    for (int i = 0; i < 3; i++) {
        g_sums.of[i][0] = x[i];
        g_sums.of[i][1] = y[i];
    }
    estimate(FM_ROBUST_RULE_GEOMETRIC, 3, 0, 2);
    CU_ASSERT_DOUBLE_EQUAL((double)g_sums.out[0], 6.0, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL((double)g_sums.out[1], 6.0 / sqrt(3.0), 1e-5);
    set(line, 3);
    estimate(FM_ROBUST_RULE_GEOMETRIC, 3, 0, 1);
    CU_ASSERT_DOUBLE_EQUAL((double)g_sums.out[0], 3.0, 0.03);
    set((const float[]){ 7.0f, 7.0f, 7.0f }, 3); /* no distance to divide by */
    estimate(FM_ROBUST_RULE_GEOMETRIC, 3, 0, 1);
    CU_ASSERT_DOUBLE_EQUAL((double)g_sums.out[0], 21.0, 1e-5);
}

static void fill(uint64_t seed_value, uint32_t spoiled, float with)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, seed_value);

    for (int i = 0; i < MOST; i++)
        for (int k = 0; k < WORDS; k++)
            g_sums.of[i][k] = (float)(1.0 + fm_rng_normal(&rng));
    for (uint32_t i = 0; i < spoiled; i++)
        for (int k = 0; k < WORDS; k++)
            g_sums.of[2 * i][k] = with;
}

/* How far the center is from the honest sums' mean of 1, in each coordinate's root mean square. */
static double miss(fm_robust_rule rule, uint32_t trim)
{
    double square = 0.0;

    estimate(rule, MOST, trim, WORDS);
    for (int k = 0; k < WORDS; k++)
        square += pow((double)g_sums.out[k] / MOST - 1.0, 2.0);
    return sqrt(square / WORDS);
}

static void what_a_few_hold_does_not_matter(void)
{
    const float worst[] = { -1e9f, -1e6f, -50.0f, 1e9f };

    for (int i = 0; i < 4; i++) {
        fill(5, 4, worst[i]); /* (9 - 1) / 2 of them */
        CU_ASSERT(miss(FM_ROBUST_RULE_MEDIAN, 0) < 1.5);
        CU_ASSERT(miss(FM_ROBUST_RULE_TRIMMED, 4) < 1.5);
        CU_ASSERT(miss(FM_ROBUST_RULE_GEOMETRIC, 0) < 5.0);
        fill(5, 2, worst[i]);
        CU_ASSERT(miss(FM_ROBUST_RULE_TRIMMED, 2) < 1.0);
        CU_ASSERT(miss(FM_ROBUST_RULE_TRIMMED, 1) > 3.0); /* one is left in the mean */
    }
    fill(5, 5, -1e6f); /* more than half */
    CU_ASSERT(miss(FM_ROBUST_RULE_MEDIAN, 0) > 1e5);
    CU_ASSERT(miss(FM_ROBUST_RULE_GEOMETRIC, 0) > 1e5);
    fill(5, 0, 0.0f);
    for (int i = 1; i < MOST; i++) /* all alike but one */
        memcpy(g_sums.of[i], g_sums.of[0], sizeof g_sums.of[0]);
    g_sums.of[4][0] += 1.0f;
    CU_ASSERT(miss(FM_ROBUST_RULE_GEOMETRIC, 0) < 1.5);
}

static void the_farthest_is_the_spoiled_one(void)
{
    for (int rule = FM_ROBUST_RULE_MEDIAN; rule <= FM_ROBUST_RULE_GEOMETRIC; rule++) {
        fm_robust r;

        fill(6, 1, -3.0f);
        r = robust_of((fm_robust_rule)rule, MOST, rule == FM_ROBUST_RULE_TRIMMED ? 2 : 0, WORDS);
        CU_ASSERT_EQUAL_FATAL(fm_robust_prepare(&r), FM_OK);
        for (int i = 1; i < MOST; i++)
            CU_ASSERT(r.distances[0] > 2.0 * r.distances[i]);
    }
}

/* In pieces, again, or read from the middle: the same bits. */
static void the_same_bits_however_it_is_read(void)
{
    for (int rule = FM_ROBUST_RULE_MEDIAN; rule <= FM_ROBUST_RULE_GEOMETRIC; rule++) {
        float again[WORDS];
        fm_robust r;

        fill(7, 1, 9.0f);
        estimate((fm_robust_rule)rule, MOST, rule == FM_ROBUST_RULE_TRIMMED ? 2 : 0, WORDS);
        r = robust_of((fm_robust_rule)rule, MOST, rule == FM_ROBUST_RULE_TRIMMED ? 2 : 0, WORDS);
        CU_ASSERT_EQUAL_FATAL(fm_robust_prepare(&r), FM_OK);
        for (size_t at = 0; at < WORDS; at += 7)
            fm_robust_read(&r, at, WORDS - at < 7 ? WORDS - at : 7, again + at);
        CU_ASSERT_EQUAL(memcmp(again, g_sums.out, sizeof again), 0);
    }
}

static void what_is_no_rule_is_refused(void)
{
    fm_robust r = robust_of(FM_ROBUST_RULE_TRIMMED, 5, 3, 1);

    CU_ASSERT_EQUAL(fm_robust_prepare(&r), FM_EINVAL);
    r = robust_of((fm_robust_rule)4, 5, 0, 1);
    CU_ASSERT_EQUAL(fm_robust_prepare(&r), FM_EINVAL);
    r = robust_of(FM_ROBUST_RULE_MEDIAN, 0, 0, 1);
    CU_ASSERT_EQUAL(fm_robust_prepare(&r), FM_EINVAL);
}

static const fm_test tests[] = {
    { "medians and trimmed means by hand", medians_and_trimmed_means_by_hand },
    { "distances by hand", distances_by_hand },
    { "geometric medians by hand", geometric_medians_by_hand },
    { "what a few hold does not matter", what_a_few_hold_does_not_matter },
    { "the farthest is the spoiled one", the_farthest_is_the_spoiled_one },
    { "the same bits however it is read", the_same_bits_however_it_is_read },
    { "what is no rule is refused", what_is_no_rule_is_refused },
};
const fm_test_suite suite_robust = { "optim.robust", tests, FM_TEST_COUNT(tests) };
