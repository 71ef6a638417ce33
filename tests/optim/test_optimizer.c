/* The optimizer against the formulas written out again, plainly and in double. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/optim/optimizer.h"
#include "suites.h"

#define N 17
#define ROUNDS 9

static fm_optimizer_spec spec_of(fm_optim_rule rule, double averaging)
{
    return (fm_optimizer_spec){ .rule = rule,
                                .schedule = FM_OPTIM_CONSTANT,
                                .rounds = ROUNDS,
                                .divisor = 20.0,
                                .learning_rate = 0.05,
                                .momentum = 0.9,
                                .beta2 = 0.999,
                                .adam_epsilon = 1e-3,
                                .averaging = averaging };
}

static void random_floats(fm_rng *rng, float *out, double scale)
{
    for (size_t i = 0; i < N; i++)
        out[i] = (float)(scale * fm_rng_normal(rng));
}

static void adam_is_algorithm_1_of_the_paper(void)
{
    fm_optimizer_spec spec = spec_of(FM_OPTIM_ADAM, 0.0);
    double w[N], m[N] = { 0 }, v[N] = { 0 };
    float first[N], gradient[N];
    fm_optimizer *o = NULL;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 11);

    random_floats(&rng, first, 1.0);
    for (size_t i = 0; i < N; i++)
        w[i] = (double)first[i];
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    for (int t = 1; t <= ROUNDS; t++) {
        random_floats(&rng, gradient, 30.0);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, gradient, N), FM_OK);
        for (size_t i = 0; i < N; i++) {
            double g = (double)gradient[i] / 20.0;

            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            w[i] -=
                0.05 * (m[i] / (1.0 - pow(0.9, t))) / (sqrt(v[i] / (1.0 - pow(0.999, t))) + 1e-3);
            CU_ASSERT_DOUBLE_EQUAL((double)o->weights[i], w[i], 2e-6);
        }
    }
    CU_ASSERT_EQUAL(o->steps, ROUNDS);
    fm_optimizer_free(&o);
}

static void sgd_has_a_heavy_ball(void)
{
    fm_optimizer_spec spec = spec_of(FM_OPTIM_SGD, 0.0);
    double w[N], m[N] = { 0 };
    float first[N], gradient[N];
    fm_optimizer *o = NULL;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 12);

    random_floats(&rng, first, 1.0);
    for (size_t i = 0; i < N; i++)
        w[i] = (double)first[i];
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    CU_ASSERT_PTR_NULL(o->v);
    for (int t = 1; t <= ROUNDS; t++) {
        random_floats(&rng, gradient, 30.0);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, gradient, N), FM_OK);
        for (size_t i = 0; i < N; i++) {
            m[i] = 0.9 * m[i] + (double)gradient[i] / 20.0;
            w[i] -= 0.05 * m[i];
            CU_ASSERT_DOUBLE_EQUAL((double)o->weights[i], w[i], 2e-6);
        }
    }
    fm_optimizer_free(&o);
}

/* Without momentum, with divisor and rate 1, a step is a subtraction, to the bit. */
static void a_plain_step_is_exact(void)
{
    fm_optimizer_spec spec = spec_of(FM_OPTIM_SGD, 0.0);
    float first[N], gradient[N], zero[N] = { 0 };
    fm_optimizer *o = NULL;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 13);

    spec.divisor = spec.learning_rate = 1.0;
    spec.momentum = 0.0;
    random_floats(&rng, first, 1.0);
    random_floats(&rng, gradient, 1.0);
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, gradient, N), FM_OK);
    for (size_t i = 0; i < N; i++)
        CU_ASSERT_EQUAL(o->weights[i], (float)((double)first[i] - (double)gradient[i]));
    memcpy(first, o->weights, sizeof first);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, zero, N), FM_OK);
    CU_ASSERT(memcmp(first, o->weights, sizeof first) == 0);
    fm_optimizer_free(&o);
}

/* rounds 9: the last 4.5, so 5, rounds with 0.5; none with 0; all with 0.99. */
static void the_result_is_the_mean_of_the_last_rounds(void)
{
    static const struct {
        double averaging;
        int rounds;
    } cases[] = { { 0.5, 5 }, { 0.1, 1 }, { 0.01, 0 }, { 0.99, 9 }, { 0.0, 0 }, { 0.9, 8 } };

    for (size_t c = 0; c < FM_TEST_COUNT(cases); c++) {
        fm_optimizer_spec spec = spec_of(FM_OPTIM_ADAM, cases[c].averaging);
        float first[N], gradient[N], result[N];
        double mean[N] = { 0 };
        fm_optimizer *o = NULL;
        fm_rng_seed seed;
        fm_rng rng = fm_rng_seeded(&seed, 14);

        random_floats(&rng, first, 1.0);
        CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
        for (int t = 1; t <= ROUNDS; t++) {
            random_floats(&rng, gradient, 30.0);
            CU_ASSERT_EQUAL(fm_optimizer_step(o, gradient, N), FM_OK);
            for (size_t i = 0; i < N && t > ROUNDS - cases[c].rounds; i++)
                mean[i] += (double)o->weights[i];
        }
        fm_optimizer_result(o, result);
        CU_ASSERT_EQUAL(o->averaged, (uint64_t)cases[c].rounds);
        for (size_t i = 0; i < N; i++)
            CU_ASSERT_EQUAL(result[i], cases[c].rounds ? (float)(mean[i] / (double)cases[c].rounds)
                                                       : o->weights[i]);
        fm_optimizer_free(&o);
    }
}

static bool same(const fm_optimizer *a, const fm_optimizer *b)
{
    return a->steps == b->steps && a->averaged == b->averaged &&
           memcmp(a->weights, b->weights, N * sizeof(float)) == 0 &&
           memcmp(a->m, b->m, N * sizeof(float)) == 0 &&
           (!a->v || memcmp(a->v, b->v, N * sizeof(float)) == 0) &&
           (!a->average || memcmp(a->average, b->average, N * sizeof(double)) == 0);
}

static void refuses_and_stays(fm_optim_rule kind, const float *bad, size_t n, fm_status why)
{
    fm_optimizer_spec spec = spec_of(kind, 0.99);
    float first[N] = { 1.0f, 2.0f }, gradient[N] = { 3.0f };
    fm_optimizer *o = NULL, *twin = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &twin), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, gradient, N), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(twin, gradient, N), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, bad, n), why);
    CU_ASSERT(same(o, twin));
    fm_optimizer_free(&o);
    fm_optimizer_free(&twin);
}

static void nan_and_infinity_leave_all_unchanged(void)
{
    float bad[N] = { 1.0f };

    for (int kind = FM_OPTIM_SGD; kind <= FM_OPTIM_YOGI; kind++) {
        if (kind == FM_OPTIM_SUM)
            continue;
        bad[N - 1] = NAN;
        refuses_and_stays((fm_optim_rule)kind, bad, N, FM_ENONFINITE);
        bad[N - 1] = -INFINITY;
        refuses_and_stays((fm_optim_rule)kind, bad, N, FM_ENONFINITE);
        bad[N - 1] = 0.0f;
        refuses_and_stays((fm_optim_rule)kind, bad, N - 1, FM_EINVAL);
    }
}

/* Finite in, not finite out: the last coordinate only, after all others could have moved. */
static void a_step_out_of_range_leaves_all_unchanged(void)
{
    float bad[N] = { 1.0f };

    bad[N - 1] = 3e38f;
    refuses_and_stays(FM_OPTIM_ADAM, bad, N, FM_ENONFINITE); /* its square */
    for (int i = 0; i < 2; i++) {
        fm_optimizer_spec spec = spec_of(FM_OPTIM_SGD, 0.0);
        float first[N] = { 0 };
        fm_optimizer *o = NULL;

        spec.learning_rate = 1e6;
        CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
        CU_ASSERT_EQUAL(fm_optimizer_step(o, bad, N), FM_ENONFINITE);
        CU_ASSERT_EQUAL(o->weights[0], 0.0f);
        CU_ASSERT_EQUAL(o->m[0], 0.0f);
        CU_ASSERT_EQUAL(o->steps, 0);
        fm_optimizer_free(&o);
    }
}

#define FROZEN 5

/* A query's sums are added up as they are: no rate, no divisor, no momentum, no mean of rounds. */
static void a_sum_adds_up_and_leaves_the_frozen_part(void)
{
    fm_optimizer_spec spec = spec_of(FM_OPTIM_SUM, 0.5);
    float first[N], one[N], two[N], result[N];
    fm_optimizer *o = NULL;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 15);

    spec.frozen = FROZEN;
    random_floats(&rng, first, 1.0);
    random_floats(&rng, one, 30.0);
    random_floats(&rng, two, 30.0);
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, one, N - FROZEN), FM_OK);
    CU_ASSERT_EQUAL(fm_optimizer_step(o, two, N - FROZEN), FM_OK);
    fm_optimizer_result(o, result);
    CU_ASSERT(memcmp(result, first, FROZEN * sizeof(float)) == 0);
    for (size_t i = FROZEN; i < N; i++) {
        float after = (float)((double)first[i] + (double)one[i - FROZEN]);

        CU_ASSERT_EQUAL(result[i], (float)((double)after + (double)two[i - FROZEN]));
    }
    CU_ASSERT_EQUAL(o->steps, 2);
    fm_optimizer_free(&o);
}

/* Neither a sum of another length nor one that leaves float32 moves anything. */
static void a_sum_that_cannot_be_leaves_all_unchanged(void)
{
    static const struct {
        size_t n;
        float last;
        fm_status why;
    } cases[] = {
        { N, 1.0f, FM_EINVAL },
        { N - FROZEN - 1, 1.0f, FM_EINVAL },
        { N - FROZEN, NAN, FM_ENONFINITE },
        { N - FROZEN, INFINITY, FM_ENONFINITE },
        { N - FROZEN, 3e38f, FM_ENONFINITE }, /* 3e38 twice is no float */
    };
    fm_optimizer_spec spec = spec_of(FM_OPTIM_SUM, 0.0);
    float first[N] = { 1.0f, 2.0f, [N - 1] = 3e38f }, sum[N] = { 3.0f };
    fm_optimizer *o = NULL;

    spec.frozen = FROZEN;
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&spec, first, N, &o), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        sum[N - FROZEN - 1] = cases[i].last;
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, cases[i].n), cases[i].why);
        CU_ASSERT(memcmp(o->weights, first, sizeof first) == 0);
        CU_ASSERT_EQUAL(o->steps, 0);
    }
    fm_optimizer_free(&o);
    spec.frozen = N; /* no room for a sum */
    CU_ASSERT_EQUAL(fm_optimizer_new(&spec, first, N, &o), FM_EINVAL);
    CU_ASSERT_PTR_NULL(o);
}

/* Their steps would read a gradient for the frozen weights, too, which it does not have. */
static void a_gradient_moves_all_weights(void)
{
    const float first[N] = { 0 };

    for (int rule = FM_OPTIM_SGD; rule <= FM_OPTIM_YOGI; rule++) {
        fm_optimizer_spec spec = spec_of((fm_optim_rule)rule, 0.0);
        fm_optimizer *o = NULL;

        spec.frozen = 1;
        CU_ASSERT_EQUAL(fm_optimizer_new(&spec, first, N, &o),
                        rule == FM_OPTIM_SUM ? FM_OK : FM_EINVAL);
        CU_ASSERT_EQUAL(o != NULL, rule == FM_OPTIM_SUM);
        fm_optimizer_free(&o);
    }
}

static const fm_test tests[] = {
    { "Adam is algorithm 1 of the paper", adam_is_algorithm_1_of_the_paper },
    { "SGD has a heavy ball", sgd_has_a_heavy_ball },
    { "a plain step is exact", a_plain_step_is_exact },
    { "the result is the mean of the last rounds", the_result_is_the_mean_of_the_last_rounds },
    { "NaN and infinity leave all unchanged", nan_and_infinity_leave_all_unchanged },
    { "a step out of range leaves all unchanged", a_step_out_of_range_leaves_all_unchanged },
    { "a sum adds up and leaves the frozen part", a_sum_adds_up_and_leaves_the_frozen_part },
    { "a gradient moves all weights: none is frozen", a_gradient_moves_all_weights },
    { "a sum that cannot be leaves all unchanged", a_sum_that_cannot_be_leaves_all_unchanged },
};
const fm_test_suite suite_optimizer = { "optim.optimizer", tests, FM_TEST_COUNT(tests) };
