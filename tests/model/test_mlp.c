/* The perceptron against its formulas in double, and its integers against its gradients. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/mlp.h"
#include "fm_test.h"
#include "suites.h"

#define ROWS 33
#define STEP 1e-6

static const fm_mlp_config shape = { .layers = 3,
                                     .sizes = { 21, 18, 7, 4 },
                                     .activation = FM_ACTIVATION_SILU };

typedef struct {
    fm_mlp *m;
    size_t parameters;
    float *theta, x[ROWS * 21], y[ROWS];
    uint32_t index[ROWS];
} rig;

static void rig_make(rig *r)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 3);

    CU_ASSERT_EQUAL_FATAL(fm_mlp_parameters(&shape, &r->parameters), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_mlp_new(&shape, ROWS, &r->m), FM_OK);
    r->theta = calloc(r->parameters, sizeof *r->theta);
    for (size_t p = 0; p < r->parameters; p++)
        r->theta[p] = (float)(0.4 * fm_rng_normal(&rng));
    for (size_t i = 0; i < FM_TEST_COUNT(r->x); i++)
        r->x[i] = (float)fm_rng_normal(&rng);
    for (uint32_t i = 0; i < ROWS; i++) {
        r->y[i] = (float)fm_rng_below(&rng, 4);
        r->index[i] = i;
    }
    CU_ASSERT_EQUAL_FATAL(fm_mlp_set(r->m, r->theta, r->parameters), FM_OK);
}

static void rig_free(rig *r)
{
    fm_mlp_free(&r->m);
    free(r->theta);
}

static double reference(const double *theta, const float *x, float y)
{
    double at[32], next[32], sum = 0.0;

    for (size_t k = 0; k < shape.sizes[0]; k++)
        at[k] = (double)x[k];
    for (size_t l = 0; l < shape.layers; l++) {
        const size_t in = shape.sizes[l], out = shape.sizes[l + 1];

        for (size_t o = 0; o < out; o++) {
            next[o] = theta[in * out + o];
            for (size_t k = 0; k < in; k++)
                next[o] += theta[o * in + k] * at[k];
            if (l + 1 < shape.layers)
                next[o] /= 1.0 + exp(-next[o]);
        }
        theta += (in + 1) * out;
        memcpy(at, next, sizeof at);
    }
    for (size_t k = 0; k < 4; k++)
        sum += exp(at[k]);
    return log(sum) - at[(size_t)y];
}

static void losses_and_gradients_are_those_of_the_formulas(void)
{
    rig r = { 0 };
    double *theta, worst = 0.0, largest = 0.0;
    float losses[ROWS], *g;

    rig_make(&r);
    theta = calloc(r.parameters, sizeof *theta);
    g = calloc(r.parameters, sizeof *g);
    for (size_t p = 0; p < r.parameters; p++)
        theta[p] = (double)r.theta[p];
    CU_ASSERT_EQUAL(fm_mlp_backward(r.m, r.x, r.y, r.index, ROWS, losses), FM_OK);
    for (size_t i = 0; i < ROWS; i++)
        CU_ASSERT_DOUBLE_EQUAL((double)losses[i], reference(theta, r.x + i * 21, r.y[i]), 1e-5);
    fm_mlp_unit_gradient(r.m, 5, g);
    for (size_t p = 0; p < r.parameters; p++) {
        const double here = theta[p];

        theta[p] = here + STEP;
        const double up = reference(theta, r.x + 5 * 21, r.y[5]);

        theta[p] = here - STEP;
        const double d = (up - reference(theta, r.x + 5 * 21, r.y[5])) / (2.0 * STEP);

        theta[p] = here;
        worst = fmax(worst, fabs(d - (double)g[p]));
        largest = fmax(largest, fabs(d));
    }
    CU_ASSERT_TRUE(worst < 1e-5 * largest);
    free(theta);
    free(g);
    rig_free(&r);
}

static void sums_in_floats_and_integers_agree(void)
{
    rig r = { 0 };
    double squares[ROWS], factors[ROWS], error = 0.0, size = 0.0;
    uint64_t exact[ROWS];
    float weights[ROWS], *want;
    int32_t *sum;

    rig_make(&r);
    want = calloc(r.parameters, sizeof *want);
    sum = calloc(r.parameters, sizeof *sum);
    CU_ASSERT_EQUAL(fm_mlp_backward(r.m, r.x, r.y, r.index, ROWS, NULL), FM_OK);
    fm_mlp_unit_squares(r.m, NULL, ROWS, squares);
    for (size_t i = 0; i < ROWS; i++) {
        weights[i] = (float)fmin(1.0, 0.99 / sqrt(squares[i]));
        factors[i] = (double)weights[i] * 0x1p22;
    }
    fm_mlp_weighted_sum(r.m, weights, want);
    fm_mlp_add_units(r.m, NULL, ROWS, factors, 1 << 22, sum, exact);
    for (size_t p = 0; p < r.parameters; p++) {
        const double d = (double)sum[p] * 0x1p-22 - (double)want[p];

        error += d * d;
        size += (double)want[p] * (double)want[p];
    }
    CU_ASSERT_TRUE(error < 1e-6 * size);
    for (size_t i = 0; i < ROWS; i++)
        CU_ASSERT_DOUBLE_EQUAL(sqrt((double)exact[i]),
                               0x1p22 * (double)weights[i] * sqrt(squares[i]), 0x1p22 * 1e-3);
    free(want);
    free(sum);
    rig_free(&r);
}

static void shapes_out_of_bounds_are_refused(void)
{
    fm_mlp_config c = shape;
    fm_mlp *m = NULL;
    size_t parameters;

    CU_ASSERT_EQUAL(fm_mlp_new(&c, 0, &m), FM_EINVAL);
    c.sizes[3] = 1;
    CU_ASSERT_EQUAL(fm_mlp_parameters(&c, &parameters), FM_EINVAL);
    c = shape;
    c.sizes[0] = c.sizes[1] = 65536;
    CU_ASSERT_EQUAL(fm_mlp_parameters(&c, &parameters), FM_EINVAL);
    c.layers = 9;
    CU_ASSERT_EQUAL(fm_mlp_parameters(&c, &parameters), FM_EINVAL);
    CU_ASSERT_PTR_NULL(m);
}

/*
 * Twelve equal rows whose products add up to 2^32 and more: their squared length is beyond 64 bits,
 * and wrapped it would pass for a short one now and then (with a limit of 2^24 once in 2^16), while
 * the integers are a million times as long. Fails when the sizes of units are not checked.
 */
static void a_length_beyond_64_bits_does_not_pass_for_a_short_one(void)
{
    enum { TWELVE = 12, TRIES = 1 << 17 };
    const fm_mlp_config c = { .layers = 1, .sizes = { 16, 16 }, .activation = FM_ACTIVATION_RELU };
    const int64_t limit = 1 << 24;
    const float theta[16 * 17] = { 0 };
    const uint32_t end = TWELVE;
    uint32_t index[TWELVE] = { 0 };
    float x[16], y = 0.0f;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 61);
    fm_mlp *m = NULL;
    size_t bad = 0;

    for (size_t k = 0; k < 16; k++)
        x[k] = 1.0f - 0.01f * (float)k;
    CU_ASSERT_EQUAL_FATAL(fm_mlp_new(&c, TWELVE, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_mlp_set(m, theta, 16 * 17), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_mlp_backward(m, x, &y, index, TWELVE, NULL), FM_OK);
    for (size_t i = 0; i < TRIES; i++) {
        const double factor = ldexp(1.0 + fm_rng_unit(&rng), 27);
        int32_t sum[16 * 17] = { 0 };
        double length = 0.0;
        uint64_t square;

        fm_mlp_add_units(m, &end, 1, &factor, limit, sum, &square);
        for (size_t k = 0; k < 16 * 17; k++)
            length += (double)sum[k] * (double)sum[k];
        bad += length > (double)(limit * limit) || length != (double)square;
    }
    CU_ASSERT_EQUAL(bad, 0);
    fm_mlp_free(&m);
}

static const fm_test tests[] = {
    { "losses and gradients are those of the formulas",
      losses_and_gradients_are_those_of_the_formulas },
    { "sums in floats and integers agree", sums_in_floats_and_integers_agree },
    { "shapes out of bounds are refused", shapes_out_of_bounds_are_refused },
    { "a length beyond 64 bits does not pass for a short one",
      a_length_beyond_64_bits_does_not_pass_for_a_short_one },
};
const fm_test_suite suite_mlp = { "model.mlp", tests, FM_TEST_COUNT(tests) };
