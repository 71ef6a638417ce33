#include "model_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "fm_test.h"

#define VALUES                           \
    .multipliers = { .linear = 0.7,      \
                     .bias = 1.3,        \
                     .embed = 0.5,       \
                     .router = 1.5,      \
                     .router_bias = 0.4, \
                     .hidden = 0.8,      \
                     .hidden_bias = 0.6, \
                     .output = 1.1,      \
                     .output_bias = 0.9, \
                     .head = 1.2 },      \
    .spread = { 1.0, 1.0, 1.0, 1.0, 1.0 }
#define SHAPE(f, d, b, e, k, h, s)                                              \
    .features = (f), .width = (d), .blocks = (b), .experts = (e), .top_k = (k), \
    .expert_hidden = (h), .shared_hidden = (s)
#define BINARY .outputs = 1, .class_weights = { 0.8f, 1.2f }
#define ONES VALUES, BINARY
#define CLASSES(k, ...) \
    .target = FM_TARGET_CLASSES, .outputs = (k), .class_weights = { __VA_ARGS__ }

const fixture_config fixture_configs[] = {
    { "linear only", { SHAPE(7, 0, 1, 1, 1, 1, 0), .residual = 1.0, ONES } },
    { "one expert", { SHAPE(5, 3, 1, 1, 1, 4, 0), .residual = 1.0, ONES } },
    { "the default's shape",
      { SHAPE(41, 8, 1, 4, 2, 8, 8), .activation = FM_ACTIVATION_SILU, .residual = 1.0, ONES } },
    { "two blocks, top 1 of 8",
      { SHAPE(9, 6, 2, 8, 1, 5, 3), .activation = FM_ACTIVATION_GELU, .residual = 0.5, ONES } },
    { "sigmoid gates, top 1, relu",
      { SHAPE(6, 5, 2, 3, 1, 7, 4), .gate = FM_GATE_SIGMOID, .residual = 1.0, ONES } },
    { "all experts, no shared one",
      { SHAPE(11, 7, 1, 5, 5, 3, 0), .activation = FM_ACTIVATION_GELU, .residual = 0.0, ONES } },
    { "wide, top 3 of 8, relu", { SHAPE(17, 18, 1, 8, 3, 21, 19), .residual = 1.0, ONES } },
    { "no biases, no skip",
      { SHAPE(6, 4, 1, 4, 2, 6, 6), .activation = FM_ACTIVATION_SILU, .gate = FM_GATE_SIGMOID,
        .residual = 1.0,
        .multipliers = { .embed = 1.0, .router = 1.0, .hidden = 1.0, .output = 1.0, .head = 1.0 },
        .spread = { 1.0, 1.0, 1.0, 1.0, 1.0 }, BINARY } },
    { "four classes with weights, two blocks, entropy",
      { SHAPE(8, 6, 2, 5, 2, 7, 5), .activation = FM_ACTIVATION_SILU, .residual = 1.0,
        .router_entropy = 0.3, CLASSES(4, 0.5f, 1.5f, 0.0f, 2.0f), VALUES } },
    { "three classes, linear only",
      { SHAPE(6, 0, 1, 1, 1, 1, 0), .residual = 1.0, CLASSES(3, 1.0f, 1.0f, 1.0f), VALUES } },
    { "a number, entropy",
      { SHAPE(9, 7, 1, 6, 2, 8, 0), .activation = FM_ACTIVATION_GELU, .gate = FM_GATE_SIGMOID,
        .residual = 1.0, .router_entropy = 0.1, .target = FM_TARGET_NUMBER, ONES } },
    { "a center",
      { SHAPE(10, 6, 1, 4, 2, 5, 4), .activation = FM_ACTIVATION_SILU, .center = true,
        .residual = 1.0, ONES } },
};
const size_t fixture_config_count = FM_TEST_COUNT(fixture_configs);

static float label(const fm_tabular_config *c, fm_rng *rng)
{
    if (c->target == FM_TARGET_NUMBER)
        return (float)fm_rng_normal(rng);
    if (c->target == FM_TARGET_CLASSES)
        return (float)fm_rng_below(rng, c->outputs);
    return fm_rng_unit(rng) < 0.5 ? 0.0f : 1.0f;
}

static float *normals(fm_rng *rng, size_t n, double scale)
{
    float *v = calloc(n ? n : 1, sizeof *v);

    for (size_t i = 0; i < n; i++)
        v[i] = (float)(scale * fm_rng_normal(rng));
    return v;
}

fixture fixture_make(const fm_tabular_config *c, size_t rows, uint64_t seed)
{
    fixture f = { .config = *c, .rows = rows };

    f.rng = fm_rng_seeded(&f.seed, seed);
    if (fm_tabular_new(c, rows ? rows : 1, &f.model) || fm_tabular_parameters(c, &f.parameters)) {
        CU_FAIL_FATAL("the model cannot be made");
        return f;
    }
    f.theta = normals(&f.rng, f.parameters, 0.7);
    f.x = normals(&f.rng, rows * c->features, 1.0);
    f.y = calloc(rows ? rows : 1, sizeof *f.y);
    f.index = calloc(rows ? rows : 1, sizeof *f.index);
    for (size_t i = 0; i < rows; i++) {
        f.y[i] = label(c, &f.rng);
        f.index[i] = (uint32_t)i;
    }
    CU_ASSERT_EQUAL_FATAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
    /* The fixture owns its rng's state; a copy of the struct must not point into this one. */
    f.rng.state = NULL;
    return f;
}

void fixture_free(fixture *f)
{
    fm_tabular_free(&f->model);
    free(f->theta);
    free(f->x);
    free(f->y);
    free(f->index);
}

void fixture_backward(fixture *f)
{
    CU_ASSERT_EQUAL_FATAL(fm_tabular_backward(f->model, f->x, f->y, f->index, f->rows, NULL),
                          FM_OK);
}
