#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"

#define SCHEMA "name: t\ncolumns:\n  - {name: x, kind: numeric, range: [0, 8], scale: 2}\n"

static fm_schema *schema(void)
{
    fm_schema *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &s), FM_OK);
    return s;
}

static bool same(const fm_tabular_config *a, const fm_tabular_config *b)
{
    fm_buf x = { 0 }, y = { 0 };
    const bool equal = !fm_tabular_config_write(a, &x) && !fm_tabular_config_write(b, &y) &&
                       x.len == y.len && memcmp(x.data, y.data, x.len) == 0 &&
                       a->features == b->features;

    fm_buf_fini(&x);
    fm_buf_fini(&y);
    return equal;
}

static void what_is_written_reads_back_the_same(void)
{
    fm_schema *s = schema();

    for (size_t i = 0; i < fixture_config_count; i++) {
        fm_tabular_config c = fixture_configs[i].config, back;
        fm_buf text = { 0 };

        c.features = fm_schema_features(s);
        c.residual = 1.0 / 3.0;
        c.multipliers.head = 0.1;
        CU_ASSERT_EQUAL(fm_tabular_config_write(&c, &text), FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_config_parse("m", text.data, text.len, s, &back), FM_OK);
        CU_ASSERT_TRUE(same(&c, &back));
        CU_ASSERT_EQUAL(back.residual, c.residual);
        CU_ASSERT_EQUAL(back.multipliers.head, 0.1);
        fm_buf_fini(&text);
    }
    fm_schema_free(&s);
}

static void absent_keys_keep_the_default(void)
{
    static const char text[] = "width: 3\nmultipliers: {head: 2}\n";
    fm_schema *s = schema();
    fm_tabular_config want, got;

    fm_tabular_config_default(s, &want);
    CU_ASSERT_EQUAL(want.features, 2);
    want.width = 3;
    want.multipliers.head = 2.0;
    CU_ASSERT_EQUAL(fm_tabular_config_parse_new("m", text, strlen(text), s, &got), FM_OK);
    CU_ASSERT_TRUE(same(&want, &got));
    fm_schema_free(&s);
}

/* Of a text that says nothing: a new model has a center where it can, an old file has none. */
static void a_center_is_for_new_models_of_two_classes(void)
{
    static const struct {
        const char *text;
        bool fresh, old;
    } cases[] = {
        { "width: 3", true, false },
        { "center: true", true, true },
        { "center: false", false, false },
        { "multipliers: {bias: 0}", false, false },
        { "multipliers: {linear: 0}", false, false },
    };
    fm_schema *s = schema();
    fm_tabular_config c;
    fm_tabular_start start;
    size_t parameters;

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        const char *text = cases[i].text;

        CU_ASSERT_EQUAL(fm_tabular_config_parse_new("m", text, strlen(text), s, &c), FM_OK);
        CU_ASSERT_EQUAL(c.center, cases[i].fresh);
        CU_ASSERT_EQUAL(fm_tabular_config_parse("m", text, strlen(text), s, &c), FM_OK);
        CU_ASSERT_EQUAL(c.center, cases[i].old);
    }
    fm_tabular_config_default(s, &c);
    CU_ASSERT_TRUE(c.center);
    CU_ASSERT_EQUAL(fm_tabular_parameters(&c, &parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_start_of(&c, &start), FM_OK);
    CU_ASSERT_EQUAL(start.center, parameters - 2);
    CU_ASSERT_EQUAL(start.count, 2);
    CU_ASSERT_EQUAL(start.bias, 2); /* behind the linear skip */
    CU_ASSERT_EQUAL(start.bias_scale, c.multipliers.bias);
    c.center = false;
    CU_ASSERT_EQUAL(fm_tabular_start_of(&c, &start), FM_OK);
    CU_ASSERT_EQUAL(start.count, 0);
    c.center = true;
    c.target = FM_TARGET_NUMBER;
    CU_ASSERT_EQUAL(fm_tabular_parameters(&c, &parameters), FM_EINVAL);
    fm_schema_free(&s);
}

static void mistakes_are_named_with_their_place(void)
{
    static const char *const cases[][2] = {
        { "widht: 3", "m.yaml:1:" },
        { "width: 1025", "m.yaml:1:8" },
        { "width: -1", "m.yaml:1:8" },
        { "width: 8\ntop_k: 0", "m.yaml:2:8" },
        { "experts: 2\ntop_k: 3", "m.yaml: model: top_k is 3" },
        { "activation: tanh", "m.yaml:1:13: activation is \"tanh\"; it can be relu, silu, gelu" },
        { "gate: 7", "m.yaml:1:7: gate is \"7\"; it can be softmax, sigmoid" },
        { "residual: 1.5", "m.yaml:1:11" },
        { "multipliers: {heads: 1}", "m.yaml:1:" },
        { "multipliers: {head: 0}", "m.yaml: model: multipliers.head is 0" },
        { "multipliers: {head: 1e-9}", "m.yaml: model: multipliers.head is 1e-09" },
        { "multipliers: {linear: 1001}", "m.yaml:1:23" },
        { "multipliers: 3", "m.yaml:1:" },
        { "spread: {head: .nan}", "m.yaml:1:" },
        { "width: 0\nmultipliers: {linear: 0}", "m.yaml: model: width 0 and" },
        { "center: true\nmultipliers: {bias: 0}", "m.yaml: model: center is for" },
        { "width: 1024\nexperts: 256\nexpert_hidden: 4096\nblocks: 16",
          "m.yaml: model: about 3.4" },
    };
    fm_schema *s = schema();
    fm_tabular_config c = { .width = 77 };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        const char *text = cases[i][0];
        const bool right =
            fm_tabular_config_parse("m.yaml", text, strlen(text), s, &c) == FM_EPARSE &&
            strncmp(fm_error_text(), cases[i][1], strlen(cases[i][1])) == 0;

        if (!right)
            printf("    case %zu: %s\n", i, fm_error_text());
        CU_ASSERT_TRUE(right);
    }
    CU_ASSERT_EQUAL(c.width, 77);
    fm_schema_free(&s);
}

static void parameters_are_counted(void)
{
    fm_tabular_config c = fixture_configs[2].config; /* 41 features, D 8, E 4, H 8, all biases */
    size_t all, active;
    fm_tabular *m = NULL;

    CU_ASSERT_EQUAL(fm_tabular_parameters(&c, &all), FM_OK);
    CU_ASSERT_EQUAL(all, 42 + 8 * 41 + 4 * 9 + 5 * (8 * 9 + 8 * 9) + 8);
    CU_ASSERT_EQUAL(fm_tabular_active_parameters(&c, &active), FM_OK);
    CU_ASSERT_EQUAL(active, 42 + 8 * 41 + 4 * 9 + 3 * (8 * 9 + 8 * 9) + 8);
    CU_ASSERT_EQUAL(fm_tabular_new(&c, 0, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_tabular_new(&c, FM_TABULAR_MAX_ROWS + 1, &m), FM_EINVAL);
    c.top_k = 5;
    CU_ASSERT_EQUAL(fm_tabular_new(&c, 1, &m), FM_EINVAL);
    c.top_k = 2;
    c.residual = NAN;
    CU_ASSERT_EQUAL(fm_tabular_parameters(&c, &all), FM_EINVAL);
    c = fixture_configs[0].config;
    CU_ASSERT_EQUAL(fm_tabular_parameters(&c, &all), FM_OK);
    CU_ASSERT_EQUAL(all, 8);
    CU_ASSERT_PTR_NULL(m);
}

static void tensors_tile_the_flat_vector(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 1, 1);
        size_t at = 0, wrong = 0;

        for (size_t i = 0; i < fm_tabular_tensors(f.model); i++) {
            const fm_tabular_tensor_info t = fm_tabular_tensor(f.model, i);

            wrong += t.offset != at || t.dims < 1 || t.dims > 2 ||
                     t.elements != t.shape[0] * (t.dims > 1 ? t.shape[1] : 1);
            at += t.elements;
        }
        CU_ASSERT_EQUAL(at, f.parameters);
        CU_ASSERT_EQUAL(wrong, 0);
        fixture_free(&f);
    }
}

/* Means and deviations of the effective weights: normal samples of n entries, so that the variance
 * is off by more than 6 sqrt(2 / n) of itself about once in 10^9. */
static void first_weights_have_the_declared_spread(void)
{
    fm_tabular_config c = fixture_configs[2].config;
    fm_tabular *m = NULL;
    float *theta;
    size_t p;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 12);

    c.width = 40;
    c.expert_hidden = 30;
    c.spread = (fm_tabular_spread){ .embed = 0.5, .router = 2.0, .hidden = 1.5, .output = 0.8 };
    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&c, 1, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_parameters(&c, &p), FM_OK);
    theta = calloc(p, sizeof *theta);
    fm_tabular_init(m, &rng);
    fm_tabular_get(m, theta);
    for (size_t i = 0; i < fm_tabular_tensors(m); i++) {
        const fm_tabular_tensor_info t = fm_tabular_tensor(m, i);
        double want = 0.0, sum = 0.0;
        const double fan_in = t.dims > 1 ? (double)t.shape[1] : 1.0;

        if (strcmp(t.name, "embed.weight") == 0)
            want = 0.5 / c.multipliers.embed;
        else if (strstr(t.name, "router.weight"))
            want = 2.0 / c.multipliers.router;
        else if (strstr(t.name, ".w1"))
            want = 1.5 / c.multipliers.hidden;
        else if (strstr(t.name, ".w2"))
            want = 0.8 / c.multipliers.output;
        want = want * want / fan_in; /* linear, biases, and a head of spread 0: zero */
        for (size_t k = 0; k < t.elements; k++)
            sum += (double)theta[t.offset + k] * (double)theta[t.offset + k];
        CU_ASSERT_DOUBLE_EQUAL(sum / (double)t.elements, want,
                               6.0 * want * sqrt(2.0 / (double)t.elements));
    }
    free(theta);
    fm_tabular_free(&m);
}

static const fm_test tests[] = {
    { "what is written reads back the same", what_is_written_reads_back_the_same },
    { "absent keys keep the default", absent_keys_keep_the_default },
    { "a center is for new models of two classes", a_center_is_for_new_models_of_two_classes },
    { "mistakes are named with their place", mistakes_are_named_with_their_place },
    { "parameters are counted", parameters_are_counted },
    { "tensors tile the flat vector", tensors_tile_the_flat_vector },
    { "first weights have the declared spread", first_weights_have_the_declared_spread },
};
const fm_test_suite suite_config = { "model.config", tests, FM_TEST_COUNT(tests) };
