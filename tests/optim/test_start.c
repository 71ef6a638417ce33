/* The statistics round, by hand; and that it leaves the rounds after it as they would be without. */
#include <math.h>
#include <string.h>

#include "fedmoe/optim/optimizer.h"
#include "suites.h"

/* Weights 0, 1; the bias, 2; the center, 3 to 5; the clip norm, 6; the phase, 7. */
#define N 8
#define BIAS 2
#define CENTER 3
#define CLIP 6
#define PHASE 7

/* c = sqrt(2) / (sqrt(2) * 10) = 1/10. */
static fm_optimizer_spec spec_of(void)
{
    return (fm_optimizer_spec){ .rule = FM_OPTIM_ADAM,
                                .learning_rate = 0.1,
                                .momentum = 0.9,
                                .beta2 = 0.9,
                                .adam_epsilon = 1e-3,
                                .schedule = FM_OPTIM_LINEAR,
                                .warmup = 0.5,
                                .averaging = 0.5,
                                .rounds = 5,
                                .divisor = 10.0,
                                .clip_quantile = 0.5,
                                .clip_rate = 0.2,
                                .clip_vote = 0.05,
                                .start_center = CENTER,
                                .start_count = 3,
                                .start_bias = BIAS,
                                .start_scale = 0.5,
                                .start_norm = sqrt(2.0),
                                .start_noise = 1.0 };
}

static fm_optimizer *open_it(const fm_optimizer_spec *s)
{
    const float first[N] = { 1.0f, -2.0f };
    fm_optimizer *o = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(s, first, N, &o), FM_OK);
    return o;
}

/* The mean is (0.4, 0, -0.3), of norm 0.5; s = 0.1: 1 - 3 * 0.01 / 0.25 = 0.88 of it is left. The
 * share of positives is 0.2. */
static const float sum[N] = { 7.0f, -3.0f, 2.0f, 4.0f, 0.0f, -3.0f, 9.0f, 100.0f };

static void center_and_bias_are_read_from_the_sum(void)
{
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = open_it(&s);

    CU_ASSERT_EQUAL(o->tail, 2);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_EQUAL(o->weights[0], 1.0f);
    CU_ASSERT_EQUAL(o->weights[1], -2.0f);
    CU_ASSERT_DOUBLE_EQUAL(o->weights[BIAS], log(0.2 / 0.8) / 0.5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(o->weights[CENTER], 0.88 * 0.4, 1e-6);
    CU_ASSERT_EQUAL(o->weights[CENTER + 1], 0.0f);
    CU_ASSERT_DOUBLE_EQUAL(o->weights[CENTER + 2], 0.88 * -0.3, 1e-6);
    CU_ASSERT_EQUAL(o->weights[CLIP], 0.0f);
    CU_ASSERT_EQUAL(o->weights[PHASE], 1.0f);
    CU_ASSERT_EQUAL(o->averaged, 0);
    fm_optimizer_free(&o);
}

static void noise_alone_makes_no_center_and_no_wild_bias(void)
{
    fm_optimizer_spec s = spec_of();
    float odd[N] = { 0 };

    s.start_noise = 3.0; /* F s^2 = 0.27 > 0.25 */
    for (int k = -1; k <= 1; k += 2) {
        fm_optimizer *o = open_it(&s);

        memcpy(odd, sum, sizeof odd);
        odd[BIAS] = 1e9f * (float)k;
        CU_ASSERT_EQUAL(fm_optimizer_step(o, odd, N), FM_OK);
        for (size_t i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(o->weights[CENTER + i], 0.0f);
        CU_ASSERT_DOUBLE_EQUAL(o->weights[BIAS], k * log(0.99 / 0.01) / 0.5, 1e-5);
        fm_optimizer_free(&o);
    }
}

/* Four rounds follow. Without the statistics round, from the same point, they are the same to the
 * bit: rate, moments, average; and what noise puts in the center's place moves nothing. */
static void the_rounds_after_it_are_as_without(void)
{
    fm_optimizer_spec with = spec_of(), without = spec_of();
    fm_optimizer *a = open_it(&with), *b = NULL;
    float x[N], y[N - 1], first[N - 1];

    without.start_center = without.start_count = without.start_bias = 0;
    without.start_scale = without.start_norm = without.start_noise = 0.0;
    without.rounds = 4;
    CU_ASSERT_EQUAL(fm_optimizer_step(a, sum, N), FM_OK);
    memcpy(first, a->weights, sizeof first);
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&without, first, N - 1, &b), FM_OK);
    for (int t = 1; t <= 4; t++) {
        float g[N];

        for (int i = 0; i < N; i++)
            g[i] = (float)(i + 1) * (t % 2 ? 1.0f : -0.3f);
        CU_ASSERT_EQUAL(fm_optimizer_step(a, g, N), FM_OK);
        CU_ASSERT_EQUAL(memcmp(first + CENTER, a->weights + CENTER, 3 * sizeof *first), 0);
        CU_ASSERT_EQUAL(a->weights[PHASE], 1.0f);
        memset(g + CENTER, 0, 3 * sizeof *g);
        CU_ASSERT_EQUAL(fm_optimizer_step(b, g, N - 1), FM_OK);
        CU_ASSERT_EQUAL(memcmp(a->weights, b->weights, sizeof first), 0);
    }
    CU_ASSERT_EQUAL(a->averaged, 2);
    CU_ASSERT_EQUAL(b->averaged, 2);
    fm_optimizer_result(a, x);
    fm_optimizer_result(b, y);
    CU_ASSERT_EQUAL(memcmp(x, y, sizeof y), 0);
    CU_ASSERT_EQUAL(x[PHASE], 1.0f);
    fm_optimizer_free(&a);
    fm_optimizer_free(&b);
}

/* Without a statistics round nothing moves the center either. */
static void a_center_stays_where_it_is(void)
{
    const float first[5] = { 1.0f, 0.0f, 0.5f, -0.25f, 2.0f };
    const float g[5] = { 1.0f, 2.0f, 3.0f, 4.0f, 5.0f };

    for (int rule = FM_OPTIM_SGD; rule <= FM_OPTIM_ADAM; rule++) {
        fm_optimizer_spec s = { .rule = (fm_optim_rule)rule,
                                .learning_rate = 0.1,
                                .momentum = 0.9,
                                .beta2 = 0.9,
                                .adam_epsilon = 1e-3,
                                .rounds = 2,
                                .averaging = 0.9,
                                .divisor = 1.0,
                                .start_center = 2,
                                .start_count = 2 };
        fm_optimizer *o = NULL;
        float got[5];

        CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&s, first, 5, &o), FM_OK);
        CU_ASSERT_EQUAL(o->tail, 0);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, g, 5), FM_OK);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, g, 5), FM_OK);
        CU_ASSERT_EQUAL(o->averaged, 2);
        fm_optimizer_result(o, got);
        for (size_t i = 0; i < 5; i++)
            CU_ASSERT_EQUAL(got[i] == first[i], i == 2 || i == 3);
        fm_optimizer_free(&o);
    }
}

static void a_round_without_a_place_is_refused(void)
{
    const float first[N] = { 0 };

    for (int i = 0; i < 9; i++) {
        fm_optimizer_spec s = spec_of();
        fm_optimizer *o = NULL;

        s.start_center = i == 0 ? 4 : i == 1 ? SIZE_MAX : i == 2 ? BIAS : CENTER;
        s.start_count = i == 3 ? SIZE_MAX : s.start_count;
        s.start_bias = i == 4 ? CLIP : BIAS;
        s.start_scale = i == 5 ? -1.0 : s.start_scale;
        s.start_norm = i == 6 ? 0.0 : s.start_norm;
        s.rounds = i == 7 ? 1 : s.rounds;
        s.start_noise = i == 8 ? -1.0 : s.start_noise;
        CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N, &o), FM_EINVAL);
        CU_ASSERT_PTR_NULL(o);
    }
}

/* All or nothing: a sum that float32 cannot hold changes no phase. */
static void a_failed_round_changes_nothing(void)
{
    fm_optimizer_spec s = spec_of();
    fm_optimizer *o;
    float odd[N];

    s.start_norm = 1e-30;
    o = open_it(&s);
    memcpy(odd, sum, sizeof odd);
    odd[CENTER] = 3e38f;
    CU_ASSERT_EQUAL(fm_optimizer_step(o, odd, N), FM_ENONFINITE);
    CU_ASSERT_EQUAL(o->weights[PHASE], 0.0f);
    CU_ASSERT_EQUAL(o->weights[BIAS], 0.0f);
    CU_ASSERT_EQUAL(o->steps, 0);
    fm_optimizer_free(&o);
}

static const fm_test tests[] = {
    { "center and bias are read from the sum", center_and_bias_are_read_from_the_sum },
    { "noise alone makes no center and no wild bias",
      noise_alone_makes_no_center_and_no_wild_bias },
    { "the rounds after it are as without", the_rounds_after_it_are_as_without },
    { "a center stays where it is", a_center_stays_where_it_is },
    { "a round without a place is refused", a_round_without_a_place_is_refused },
    { "a failed round changes nothing", a_failed_round_changes_nothing },
};

const fm_test_suite suite_start = { "optim.start", tests, FM_TEST_COUNT(tests) };
