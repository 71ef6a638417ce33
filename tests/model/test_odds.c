/* What clipping does to a binary model's probabilities, and that predicting undoes it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"

#define KINDS 2u
#define SEED 5u

/* Of two kinds of records; the model is linear with a bias, so it can fit any two shares. */
static const double shares[KINDS] = { 0.08, 0.3 };

/* Rows 2 k and 2 k + 1: kind k, label 0 and 1. */
static fixture kinds(void)
{
    fm_tabular_config c = fixture_configs[0].config;
    fixture f;

    c.features = KINDS;
    c.class_weights[0] = c.class_weights[1] = 1.0f;
    f = fixture_make(&c, 2 * KINDS, SEED);
    memset(f.x, 0, f.rows * KINDS * sizeof *f.x);
    for (size_t i = 0; i < f.rows; i++) {
        f.x[i * KINDS + i / 2] = 1.0f;
        f.y[i] = (float)(i % 2);
    }
    return f;
}

static double norm_of(const float *v, size_t n)
{
    double square = 0.0;

    for (size_t i = 0; i < n; i++)
        square += (double)v[i] * (double)v[i];
    return sqrt(square);
}

/* Norm of a record's gradient where |p - y| is 1: of the output. */
static double output_norm(const fixture *f)
{
    const fm_tabular_multipliers *k = &f->config.multipliers;

    return sqrt(k->linear * k->linear + k->bias * k->bias);
}

/* Descend the expected gradient, each record's clipped, until it rests. */
static void fit(fixture *f, double clip)
{
    float *one = calloc(f->parameters, sizeof *one), *sum = calloc(f->parameters, sizeof *sum);

    for (int step = 0; step < 20000; step++) {
        fixture_backward(f);
        memset(sum, 0, f->parameters * sizeof *sum);
        for (size_t i = 0; i < f->rows; i++) {
            const double q = shares[i / 2], weight = i % 2 ? q : 1.0 - q;
            double norm;

            fm_tabular_unit_gradient(f->model, i, one);
            norm = norm_of(one, f->parameters);
            for (size_t j = 0; j < f->parameters; j++)
                sum[j] += (float)(weight * (double)one[j] * fmin(1.0, clip / norm));
        }
        for (size_t j = 0; j < f->parameters; j++)
            f->theta[j] -= 0.3f * sum[j];
        CU_ASSERT_EQUAL_FATAL(fm_tabular_set(f->model, f->theta, f->parameters), FM_OK);
    }
    free(one);
    free(sum);
}

static double told(fixture *f, size_t kind)
{
    float z[2 * KINDS];

    CU_ASSERT_EQUAL(fm_tabular_predict(f->model, f->x, f->rows, z), FM_OK);
    return 1.0 / (1.0 + exp(-(double)z[2 * kind]));
}

static void probabilities_are_those_of_the_records(void)
{
    fixture f = kinds();
    const double clip = 0.6 * output_norm(&f);

    fit(&f, clip);
    for (size_t k = 0; k < KINDS; k++) {
        CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, 0.0), FM_OK);
        CU_ASSERT(told(&f, k) < 0.9 * shares[k]); /* the rarer is the one that is clipped */
        CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, clip), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(told(&f, k), shares[k], 1e-3);
    }
    fixture_free(&f);
}

/* Where |p - y| is never as long as the clip norm nothing is changed; else the order stays. */
static void only_what_was_clipped_is_changed(void)
{
    static const double clips[] = { 1e-3, 0.3, 0.6, 0.9, 1.0 };
    fixture f = kinds();
    const double norm = output_norm(&f);
    float plain[2 * KINDS], z[2 * KINDS], last = -INFINITY;

    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, f.rows, plain), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, norm * (1.0 + 1e-6)), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, f.rows, z), FM_OK);
    CU_ASSERT_EQUAL(memcmp(plain, z, sizeof z), 0);
    for (size_t n = 0; n < FM_TEST_COUNT(clips); n++) {
        CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, clips[n] * norm), FM_OK);
        last = -INFINITY;
        for (int i = -4000; i <= 4000; i++) {
            const float bias = 0.25f * (float)i / (float)f.config.multipliers.bias;

            memset(f.theta, 0, f.parameters * sizeof *f.theta);
            f.theta[f.parameters - 1] = bias;
            CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
            CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 1, z), FM_OK);
            CU_ASSERT(isfinite(z[0]) && z[0] >= last && (z[0] > 0.0f) == (i > 0));
            last = z[0];
        }
    }
    fixture_free(&f);
}

static void other_targets_and_bad_clip_norms_are_left_alone(void)
{
    static const double bad[] = { -1.0, NAN, INFINITY };

    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 8, SEED);
        const size_t bytes = 8 * f.config.outputs * sizeof(float);
        float *plain = calloc(1, bytes), *z = calloc(1, bytes);
        const bool binary =
            f.config.target == FM_TARGET_BINARY && f.config.multipliers.linear > 0.0;

        CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 8, plain), FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, 0.01), FM_OK);
        for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
            CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(f.model, bad[i]), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_tabular_clip_norm(f.model), 0.01);
        CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 8, z), FM_OK);
        CU_ASSERT_EQUAL(memcmp(plain, z, bytes) != 0, binary);
        free(plain);
        free(z);
        fixture_free(&f);
    }
}

static const fm_test tests[] = {
    { "probabilities are those of the records", probabilities_are_those_of_the_records },
    { "only what was clipped is changed", only_what_was_clipped_is_changed },
    { "other targets and bad clip norms are left alone",
      other_targets_and_bad_clip_norms_are_left_alone },
};

const fm_test_suite suite_odds = { "model.odds", tests, FM_TEST_COUNT(tests) };
