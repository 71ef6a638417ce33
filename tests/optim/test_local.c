/* Yogi, and a node's own steps, against figures worked out by hand. */
#include <math.h>

#include "fedmoe/optim/local.h"
#include "fedmoe/optim/optimizer.h"
#include "suites.h"

/*
 * One weight, divisor 1, momentum 0, beta2 0.75, epsilon 0, rate 1. Gradients 2, 1, 4:
 *   v = 0 + 4/4 = 1;           v / (1 - 3/4) = 4;         step 2 / 2 = 1
 *   v = 1 (equal squares stay); v / (1 - 9/16) = 16/7;    step 1 / sqrt(16/7)
 *   v = 1 + 16/4 = 5;          v / (1 - 27/64) = 320/37;  step 4 / sqrt(320/37)
 * and of a small gradient, 0.5: v = 5 - 0.25/4 = 4.9375, where Adam's would be 3.8125.
 */
static void yogi_is_what_hands_work_out(void)
{
    const fm_optimizer_spec spec = { .rule = FM_OPTIM_YOGI,
                                     .learning_rate = 1.0,
                                     .beta2 = 0.75,
                                     .adam_epsilon = 1e-300,
                                     .schedule = FM_OPTIM_CONSTANT,
                                     .rounds = 4,
                                     .divisor = 1.0 };
    const float gradients[] = { 2.0f, 1.0f, 4.0f, 0.5f };
    const double v[] = { 1.0, 1.0, 5.0, 4.9375 };
    const double steps[] = { 1.0, 1.0 / sqrt(16.0 / 7.0), 4.0 / sqrt(320.0 / 37.0),
                             0.5 / sqrt(4.9375 / (1.0 - 81.0 / 256.0)) };
    const float first = 10.0f;
    double w = 10.0;
    fm_optimizer *o = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, &first, 1, &o), FM_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o->v);
    for (size_t t = 0; t < 4; t++) {
        CU_ASSERT_EQUAL(fm_optimizer_step(o, &gradients[t], 1), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL((double)o->v[0], v[t], 1e-6);
        w -= steps[t];
        CU_ASSERT_DOUBLE_EQUAL((double)o->weights[0], w, 1e-5);
    }
    fm_optimizer_free(&o);
}

/* Where Adam forgets a burst by its share each step, Yogi does by no more than what comes after. */
static void yogi_forgets_slowly(void)
{
    double left[2];

    for (int yogi = 0; yogi < 2; yogi++) {
        const fm_optimizer_spec spec = { .rule = yogi ? FM_OPTIM_YOGI : FM_OPTIM_ADAM,
                                         .learning_rate = 0.1,
                                         .beta2 = 0.9,
                                         .adam_epsilon = 1e-3,
                                         .schedule = FM_OPTIM_CONSTANT,
                                         .rounds = 100,
                                         .divisor = 1.0 };
        const float first = 0.0f, burst = 10.0f, little = 0.01f;
        fm_optimizer *o = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, &first, 1, &o), FM_OK);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, &burst, 1), FM_OK);
        for (int t = 0; t < 50; t++)
            CU_ASSERT_EQUAL(fm_optimizer_step(o, &little, 1), FM_OK);
        left[yogi] = (double)o->v[0];
        fm_optimizer_free(&o);
    }
    CU_ASSERT(left[0] < 0.1);
    CU_ASSERT(left[1] > 9.9);
}

/* w = 3, w0 = 1, sum 8 over 4 units at twice the clip norm: g = 4. Pull 0.5 * 2 = 1, correction -2:
 * 3 - 0.1 (4 + 1 - 2) = 2.7. The second place is a center, the third not a weight. */
static void a_local_step_is_what_hands_work_out(void)
{
    fm_local_rule r = { .rate = 0.1,
                        .divisor = 4.0,
                        .ratio = 2.0,
                        .proximal = 0.5,
                        .weights = 3,
                        .center = 1,
                        .center_count = 1 };
    const float start[] = { 1, 1, 1, 1 }, noised[] = { 8, 8, 8, 8 }, c[] = { -2, -2, -2, -2 };
    float w[] = { 3, 3, 3, 3 };

    CU_ASSERT_EQUAL(fm_local_move(&r, start, noised, c, w), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL((double)w[0], 2.7, 1e-6);
    CU_ASSERT_EQUAL(w[1], 3.0f);
    CU_ASSERT_DOUBLE_EQUAL((double)w[2], 2.7, 1e-6);
    CU_ASSERT_EQUAL(w[3], 3.0f);

    r.proximal = 0.0;
    w[0] = 3;
    CU_ASSERT_EQUAL(fm_local_move(&r, start, noised, NULL, w), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL((double)w[0], 2.6, 1e-6);
}

/* Without gradients the pull alone leads back to the server's model. */
static void the_pull_leads_back(void)
{
    const fm_local_rule r = {
        .rate = 0.5, .divisor = 1.0, .ratio = 1.0, .proximal = 1.0, .weights = 1
    };
    const float start = 1.0f, none = 0.0f;
    float w = 9.0f;

    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(fm_local_move(&r, &start, &none, NULL, &w), FM_OK);
    CU_ASSERT_EQUAL(w, 2.0f);
}

static void a_step_out_of_range_is_an_error(void)
{
    const fm_local_rule r = { .rate = 1e6, .divisor = 1e-30, .ratio = 1.0, .weights = 1 };
    const float start = 0.0f, g = 1e9f;
    float w = 0.0f;

    CU_ASSERT_EQUAL(fm_local_move(&r, &start, &g, NULL, &w), FM_ENONFINITE);
}

static void a_correction_is_the_mean_less_ones_own(void)
{
    const float before[] = { 1.0f, 2.0f }, after[] = { 0.5f, 2.5f }, own[] = { 1.0f, 1.0f };
    float out[2];

    fm_local_correction(0.25, before, after, own, 2, out); /* c = 2, -2 */
    CU_ASSERT_EQUAL(out[0], 1.0f);
    CU_ASSERT_EQUAL(out[1], -3.0f);
}

static const fm_test tests[] = {
    { "Yogi is what hands work out", yogi_is_what_hands_work_out },
    { "Yogi forgets slowly", yogi_forgets_slowly },
    { "a local step is what hands work out", a_local_step_is_what_hands_work_out },
    { "FedProx's pull leads back", the_pull_leads_back },
    { "a step out of range is an error", a_step_out_of_range_is_an_error },
    { "a correction is the mean less one's own", a_correction_is_the_mean_less_ones_own },
};
const fm_test_suite suite_local = { "optim.local", tests, FM_TEST_COUNT(tests) };
