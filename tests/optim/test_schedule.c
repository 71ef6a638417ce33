/* The learning rate over the rounds, against figures worked out by hand. */
#include <math.h>

#include "fedmoe/optim/optimizer.h"
#include "suites.h"

static fm_optimizer_spec spec_of(fm_optim_schedule schedule, double warmup, double final_rate)
{
    return (fm_optimizer_spec){ .rule = FM_OPTIM_SGD,
                                .learning_rate = 2.0,
                                .schedule = schedule,
                                .warmup = warmup,
                                .final_rate = final_rate,
                                .rounds = 10,
                                .divisor = 1.0 };
}

static void compare(const fm_optimizer_spec *s, const double want[10])
{
    for (uint64_t t = 1; t <= 10; t++)
        CU_ASSERT_DOUBLE_EQUAL(fm_optimizer_rate(s, t), want[t - 1], 1e-12);
}

static void constant_is_constant(void)
{
    const double want[10] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 };
    fm_optimizer_spec s = spec_of(FM_OPTIM_CONSTANT, 0.0, 0.25);

    compare(&s, want);
}

static void a_warmup_rises_from_the_first_step_on(void)
{
    const double want[10] = { 0.5, 1.0, 1.5, 2, 2, 2, 2, 2, 2, 2 };
    fm_optimizer_spec s = spec_of(FM_OPTIM_CONSTANT, 0.4, 0.0);

    compare(&s, want);
}

/* 2, then in steps of a tenth of 2 - 0.5; what is said to be final would be the 11th. */
static void linear_falls_to_the_final_rate(void)
{
    const double want[10] = { 2.0, 1.85, 1.7, 1.55, 1.4, 1.25, 1.1, 0.95, 0.8, 0.65 };
    fm_optimizer_spec s = spec_of(FM_OPTIM_LINEAR, 0.0, 0.25);

    compare(&s, want);
}

/* After 4 rounds of warmup 6 are left: x is 0, 1/6, ... 5/6. */
static void cosine_falls_after_the_warmup(void)
{
    const double root = sqrt(3.0) / 2.0;
    const double want[10] = { 0.5, 1.0, 1.5, 2.0, 2.0, 1.0 + root, 1.5, 1.0, 0.5, 1.0 - root };
    fm_optimizer_spec s = spec_of(FM_OPTIM_COSINE, 0.4, 0.0);

    compare(&s, want);
    CU_ASSERT(fm_optimizer_rate(&s, 10) > 0.0); /* no round is paid for and not used */
}

static void steps_follow_the_rate(void)
{
    fm_optimizer_spec s = spec_of(FM_OPTIM_LINEAR, 0.2, 0.0);
    const float first = 0.0f, one = 1.0f;
    fm_optimizer *o = NULL;
    double want = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&s, &first, 1, &o), FM_OK);
    for (uint64_t t = 1; t <= 10; t++) {
        CU_ASSERT_EQUAL(fm_optimizer_step(o, &one, 1), FM_OK);
        want -= fm_optimizer_rate(&s, t);
        CU_ASSERT_DOUBLE_EQUAL((double)o->weights[0], want, 1e-5);
    }
    fm_optimizer_free(&o);
}

static const fm_test tests[] = {
    { "constant is constant", constant_is_constant },
    { "a warmup rises from the first step on", a_warmup_rises_from_the_first_step_on },
    { "linear falls to the final rate", linear_falls_to_the_final_rate },
    { "cosine falls after the warmup", cosine_falls_after_the_warmup },
    { "steps follow the rate", steps_follow_the_rate },
};

const fm_test_suite suite_schedule = { "optim.schedule", tests, FM_TEST_COUNT(tests) };
