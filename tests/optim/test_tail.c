/* Load biases and the clip norm: moved by counts as the papers say, whatever the noise on them. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/optim/optimizer.h"
#include "suites.h"

#define WEIGHTS 3
#define EXPERTS 4

/* Two groups of 4 experts, and the clip norm: 12 values. */
static fm_optimizer_spec spec_of(void)
{
    return (fm_optimizer_spec){ .rule = FM_OPTIM_SGD,
                                .learning_rate = 1.0,
                                .schedule = FM_OPTIM_CONSTANT,
                                .rounds = 1000,
                                .divisor = 10.0,
                                .load_groups = 2,
                                .load_experts = EXPERTS,
                                .balance_rate = 0.1,
                                .clip_quantile = 0.5,
                                .clip_rate = 0.2,
                                .clip_vote = 0.05 };
}

#define N (WEIGHTS + 2 * EXPERTS + 1)

static fm_optimizer *open_it(const fm_optimizer_spec *s)
{
    const float first[N] = { 1.0f, 2.0f, 3.0f };
    fm_optimizer *o = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(s, first, N, &o), FM_OK);
    return o;
}

static void biases_move_against_the_loads(void)
{
    /* Means 5 and 2. */
    const float sum[N] = { 0, 0, 0, 5, 7.5f, 2.5f, 5, 8, 0, 0, 0, 0 };
    const double want[2 * EXPERTS] = { 0.0, -0.05, 0.05, 0.0, -0.1, 0.1, 0.1, 0.1 };
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = open_it(&s);

    CU_ASSERT_EQUAL(o->tail, 2 * EXPERTS + 1);
    for (int t = 1; t <= 3; t++) {
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
        for (size_t i = 0; i < 2 * EXPERTS; i++)
            CU_ASSERT_DOUBLE_EQUAL((double)o->weights[WEIGHTS + i], t * want[i], 1e-6);
    }
    CU_ASSERT_EQUAL(o->weights[0], 1.0f); /* the model's own weights had no gradient */
    fm_optimizer_free(&o);
}

/* Noise may make a mean of counts negative: then there is nothing to go by. */
static void loads_that_noise_has_drowned_move_nothing(void)
{
    const float sum[N] = { 0, 0, 0, -5, 3, -2.5f, 1, 0, 0, 0, 0, 0 };
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = open_it(&s);

    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    for (size_t i = 0; i < 2 * EXPERTS; i++)
        CU_ASSERT_EQUAL(o->weights[WEIGHTS + i], 0.0f);
    fm_optimizer_free(&o);
}

/* 10 units are expected; 8 vote below and 2 above: (8 - 2) * 0.05. b = 0.8. */
static void the_clip_norm_follows_the_votes(void)
{
    float sum[N] = { 2.0f };
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = open_it(&s);

    CU_ASSERT_EQUAL(fm_optimizer_clip_ratio(o, o->weights), 1.0);
    sum[N - 1] = 0.3f;
    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_clip_ratio(o, o->weights), exp(-0.2 * 0.3), 1e-6);
    CU_ASSERT_EQUAL(o->weights[0], 1.0f - 0.2f); /* this step still by the ratio before it */
    /* The next mean gradient is in units that have become so much smaller. */
    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL((double)o->weights[0], 0.8 - 0.2 * exp(-0.06), 1e-6);
    /* However wild the noise: a step is at most rate * max(quantile, 1 - quantile). */
    sum[N - 1] = -1e9f;
    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(log(fm_optimizer_clip_ratio(o, o->weights)), -0.12 + 0.1, 1e-6);
    fm_optimizer_free(&o);
}

static void the_clip_norm_stays_within_its_range(void)
{
    float sum[N] = { 0 };
    fm_optimizer_spec s = spec_of();
    fm_optimizer *o;

    s.clip_rate = 2.0;
    o = open_it(&s);
    sum[N - 1] = 10.0f;
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_clip_ratio(o, o->weights), 1e-3, 1e-6);
    sum[N - 1] = -10.0f;
    for (int i = 0; i < 30; i++)
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_clip_ratio(o, o->weights), 1e3, 1e-1);
    fm_optimizer_free(&o);
}

/*
 * Norms lognormal, 1000 units a step, noise on the votes a fifth of what they can be: the clip norm
 * comes to the median, from a hundredth and from fifty times. Within 0.15 in the logarithm: the walk
 * at the end has a deviation below 0.05.
 */
static void the_clip_norm_converges_to_the_quantile(void)
{
    const double starts[] = { 0.01, 1.0, 50.0 };

    for (size_t k = 0; k < FM_TEST_COUNT(starts); k++) {
        fm_optimizer_spec s = spec_of();
        float sum[N] = { 0 };
        fm_rng_seed state;
        fm_rng rng = fm_rng_seeded(&state, 21 + k);
        fm_optimizer *o;

        s.divisor = 1000.0;
        s.clip_quantile = 0.7;
        o = open_it(&s);
        for (int t = 0; t < 150; t++) {
            int votes = 0;

            for (int i = 0; i < 1000; i++)
                votes +=
                    starts[k] * fm_optimizer_clip_ratio(o, o->weights) >= exp(fm_rng_normal(&rng))
                        ? 1
                        : -1;
            sum[N - 1] = (float)(0.05 * (votes + 200.0 * fm_rng_normal(&rng)));
            CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
        }
        /* The 0.7 quantile of a standard normal is 0.5244. */
        CU_ASSERT_DOUBLE_EQUAL(log(starts[k] * fm_optimizer_clip_ratio(o, o->weights)), 0.5244,
                               0.15);
        fm_optimizer_free(&o);
    }
}

/* ---- units held out ---- */

/* Windows of 3 steps; 4 votes of 0.5 are all wrong when they are 2. */
static void a_window_whose_loss_has_not_fallen_is_the_last(void)
{
    const float losses[] = { 0.9f, 0.6f, 0.6f, 0.5f, 0.5f, 0.5f, 0.6f, 0.3f, 0.6f };
    fm_optimizer_spec s = spec_of();
    float sum[N + 2] = { 0 }, first[N + 2] = { 1.0f, 2.0f, 3.0f };
    fm_optimizer *o = NULL;

    s.patience = 3;
    s.held_divisor = 4.0;
    s.held_vote = 0.5;
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&s, first, N + 2, &o), FM_OK);
    CU_ASSERT_EQUAL(o->tail, 2 * EXPERTS + 3);
    CU_ASSERT_TRUE(isnan(fm_optimizer_held_loss(o)));
    for (size_t t = 0; t < 9; t++) {
        CU_ASSERT_FALSE(fm_optimizer_is_done(o));
        sum[N] = (2.0f * losses[t] - 1.0f) * 4.0f * 0.5f;
        sum[N + 1] = 1e6f; /* noise, which nobody reads */
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N + 2), FM_OK);
        if (t % 3 == 0)
            CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_held_loss(o), (double)losses[t], 1e-6);
    }
    CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_held_loss(o), 0.5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL((double)o->weights[N + 1], 0.5, 1e-6);
    /* 0.7, then 0.5, then 0.5 (to a rounding, which is made sure of here). */
    o->weights[N] = o->weights[N + 1];
    CU_ASSERT_TRUE(fm_optimizer_is_done(o));
    o->weights[N] = nextafterf(o->weights[N + 1], 0.0f);
    CU_ASSERT_FALSE(fm_optimizer_is_done(o));
    fm_optimizer_free(&o);
}

static void what_is_held_out_needs_votes(void)
{
    fm_optimizer_spec s = spec_of();
    float first[N + 2] = { 0 };
    fm_optimizer *o = NULL;

    s.patience = 3;
    s.held_divisor = 4.0;
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N + 2, &o), FM_EINVAL);
    s.held_vote = 0.5;
    s.held_divisor = 0.0;
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N + 2, &o), FM_EINVAL);
    CU_ASSERT_PTR_NULL(o);
}

static void a_tail_without_room_is_refused(void)
{
    const float first[N] = { 0 };
    fm_optimizer_spec s = spec_of();
    fm_optimizer *o = NULL;

    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N - WEIGHTS, &o), FM_EINVAL);
    s.clip_vote = 0.0;
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N, &o), FM_EINVAL);
    CU_ASSERT_PTR_NULL(o);
}

/* A weight that cannot move keeps the tail where it is too. */
static void a_step_out_of_range_moves_no_tail(void)
{
    float sum[N] = { 3e38f, 0, 0, 5, 1, 1, 1, 1, 2, 3, 4, 0.3f };
    fm_optimizer_spec s = spec_of();
    fm_optimizer *o;

    s.learning_rate = 1e6;
    o = open_it(&s);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_ENONFINITE);
    for (size_t i = WEIGHTS; i < N; i++)
        CU_ASSERT_EQUAL(o->weights[i], 0.0f);
    CU_ASSERT_EQUAL(o->steps, 0);
    fm_optimizer_free(&o);
}

static const fm_test tests[] = {
    { "biases move against the loads", biases_move_against_the_loads },
    { "loads that noise has drowned move nothing", loads_that_noise_has_drowned_move_nothing },
    { "the clip norm follows the votes", the_clip_norm_follows_the_votes },
    { "the clip norm stays within its range", the_clip_norm_stays_within_its_range },
    { "the clip norm converges to the quantile", the_clip_norm_converges_to_the_quantile },
    { "a window whose loss has not fallen is the last",
      a_window_whose_loss_has_not_fallen_is_the_last },
    { "what is held out needs votes", what_is_held_out_needs_votes },
    { "a tail without room is refused", a_tail_without_room_is_refused },
    { "a step out of range moves no tail", a_step_out_of_range_moves_no_tail },
};

const fm_test_suite suite_tail = { "optim.tail", tests, FM_TEST_COUNT(tests) };
