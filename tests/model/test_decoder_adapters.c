/* Adapters against transformers and PEFT: ../shared/fixtures/README.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_world.h"
#include "fm_test.h"
#include "suites.h"

/* An adapter of a fixture: its module's name, and where it lies. */
typedef void adapter_piece(void *ctx, const char *module, const fm_decoder_adapter *at);

static void give_adapter(const world *w, size_t layer, const char *name, unsigned map, size_t part,
                         size_t expert, adapter_piece *piece, void *ctx)
{
    fm_decoder_adapter at;
    char module[160];

    if (!fm_decoder_adapter_at(w->d, layer, map, part, expert, &at))
        return;
    (void)snprintf(module, sizeof module, "model.layers.%zu.%s", layer, name);
    piece(ctx, module, &at);
}

static void each_feed_adapter(const world *w, size_t layer, const char *format, unsigned map,
                              size_t experts, adapter_piece *piece, void *ctx)
{
    static const char *const parts[] = { "gate_proj", "up_proj", "down_proj" };
    char name[80];

    for (size_t e = 0; e < experts; e++)
        for (size_t p = 0; p < FM_TEST_COUNT(parts); p++) {
            if (map == FM_ADAPT_EXPERTS)
                (void)snprintf(name, sizeof name, "mlp.experts.%zu.%s", e, parts[p]);
            else
                (void)snprintf(name, sizeof name, "%s.%s", format, parts[p]);
            give_adapter(w, layer, name, map, p, e, piece, ctx);
        }
}

static void each_adapter(const world *w, adapter_piece *piece, void *ctx)
{
    static const struct {
        unsigned map;
        const char *name;
    } list[] = {
        { FM_ADAPT_KEY, "self_attn.k_proj" },
        { FM_ADAPT_VALUE, "self_attn.v_proj" },
        { FM_ADAPT_QUERY_A, "self_attn.q_a_proj" },
        { FM_ADAPT_LATENT, "self_attn.kv_a_proj_with_mqa" },
        { FM_ADAPT_LATENT_B, "self_attn.kv_b_proj" },
        { FM_ADAPT_OUTPUT, "self_attn.o_proj" },
    };
    const char *query = w->f.config.query_rank ? "self_attn.q_b_proj" : "self_attn.q_proj";

    for (size_t i = 0; i < w->f.config.layers; i++) {
        give_adapter(w, i, query, FM_ADAPT_QUERY, 0, 0, piece, ctx);
        for (size_t n = 0; n < FM_TEST_COUNT(list); n++)
            give_adapter(w, i, list[n].name, list[n].map, 0, 0, piece, ctx);
        each_feed_adapter(w, i, "mlp", FM_ADAPT_DENSE, 1, piece, ctx);
        each_feed_adapter(w, i, "mlp.shared_experts", FM_ADAPT_SHARED, 1, piece, ctx);
        each_feed_adapter(w, i, "", FM_ADAPT_EXPERTS, w->f.config.experts, piece, ctx);
    }
}

typedef struct {
    const world *w;
    float *theta;
    const float *ex0,
        *clipped; /* gradients: of the first sequence, of the clipped sum, of B alone */
    size_t found, a, b, sums;
    double worst;
} adapters;

static void read_adapter(void *ctx, const char *module, const fm_decoder_adapter *at)
{
    adapters *x = ctx;
    const fm_tensor_view *t;
    char name[224];

    (void)snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    if (!(t = fm_safetensors_find(x->w->f.adapter, name)))
        return; /* the fixture has none there: A and B stay 0 */
    CU_ASSERT_EQUAL_FATAL(t->bytes, 4 * at->in * sizeof(float));
    memcpy(x->theta + at->a, t->data, t->bytes);
    (void)snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    t = fm_safetensors_find(x->w->f.adapter, name);
    CU_ASSERT_FATAL(t && t->bytes == at->out * 4 * sizeof(float));
    memcpy(x->theta + at->b, t->data, t->bytes);
    x->found++;
}

static size_t compare_one(adapters *x, const char *kind, const char *module, const float *mine,
                          size_t n)
{
    char name[224];
    const fm_tensor_view *t;
    double here;

    (void)snprintf(name, sizeof name, "%s.%s.weight", kind, module);
    if (!(t = fm_safetensors_find(x->w->f.ref, name)))
        return 0;
    CU_ASSERT_EQUAL_FATAL(t->bytes, n * sizeof(float));
    here = world_distance(mine, (const float *)(const void *)t->data, n, 1.0);
    x->worst = fmax(x->worst, here);
    CU_ASSERT(here < 1e-4);
    if (!(here < 1e-4))
        printf("\n%s: %g off", name, here);
    return 1;
}

static void compare_gradients(void *ctx, const char *module, const fm_decoder_adapter *at)
{
    adapters *x = ctx;

    x->a += compare_one(x, "lora.ex0.gradA", module, x->ex0 + at->a, 4 * at->in);
    x->b += compare_one(x, "lora.ex0.gradB", module, x->ex0 + at->b, at->out * 4);
}

static void compare_sums(void *ctx, const char *module, const fm_decoder_adapter *at)
{
    adapters *x = ctx;

    x->sums += compare_one(x, "dp.clipped_sum", module, x->clipped + at->b, at->out * 4);
}

static size_t tensors_named(const fm_safetensors *s, const char *begin)
{
    size_t n = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++)
        n += strncmp(fm_safetensors_at(s, i)->name, begin, strlen(begin)) == 0;
    return n;
}

/* The fixture's adapters; elsewhere A and B are 0, and so are their gradients. Gradients of A and of B,
 * or of B alone. */
static bool begin_adapters(world *w, const char *name, bool train_a, adapters *x)
{
    memset(x, 0, sizeof *x);
    if (!world_begin(w, name, FM_TRAIN_NONE, true, train_a))
        return false;
    x->w = w;
    x->theta = calloc(fm_decoder_adapter_parameters(w->d), sizeof *x->theta);
    each_adapter(w, read_adapter, x);
    CU_ASSERT_EQUAL(2 * x->found, fm_safetensors_count(w->f.adapter));
    CU_ASSERT_EQUAL(fm_decoder_adapters_set(w->d, x->theta, fm_decoder_adapter_parameters(w->d)),
                    FM_OK);
    return true;
}

static void adapted_logits_and_gradients_are_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        world w = { 0 };
        adapters x;
        float *logits, *g;
        size_t values;

        if (!begin_adapters(&w, decoder_fixture_names[n], true, &x))
            return;
        values = ROWS * w.f.config.vocabulary;
        logits = calloc(values, sizeof *logits);
        g = calloc(fm_decoder_gradient_parameters(w.d), sizeof *g);
        CU_ASSERT_EQUAL(fm_decoder_logits(w.d, &w.batch, logits), FM_OK);
        CU_ASSERT(world_farthest(logits, decoder_fixture_floats(&w.f, "lora.logits", values),
                                 values) < 1e-4);
        CU_ASSERT_EQUAL(fm_decoder_backward(w.d, &w.batch, NULL), FM_OK);
        fm_decoder_add_unit_gradient(w.d, NULL, 0, g);
        x.ex0 = g;
        each_adapter(&w, compare_gradients, &x);
        CU_ASSERT_EQUAL(x.a, tensors_named(w.f.ref, "lora.ex0.gradA."));
        CU_ASSERT_EQUAL(x.b, tensors_named(w.f.ref, "lora.ex0.gradB."));
        CU_ASSERT(x.a > 0);
        printf("\n    %s: %zu gradients within %.1e", decoder_fixture_names[n], x.a + x.b, x.worst);
        free(logits);
        free(g);
        free(x.theta);
        world_end(&w);
    }
}

static void norms_and_clipped_sums_are_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        world w = { 0 };
        adapters x;
        double squares[SEQUENCES], off = 0.0;
        float weights[SEQUENCES], *g, clip;
        const float *norms;

        if (!begin_adapters(&w, decoder_fixture_names[n], false, &x))
            return;
        g = calloc(fm_decoder_gradient_parameters(w.d), sizeof *g);
        clip = *decoder_fixture_floats(&w.f, "dp.clip", 1);
        norms = decoder_fixture_floats(&w.f, "dp.norms", SEQUENCES);
        CU_ASSERT_EQUAL(fm_decoder_backward(w.d, &w.batch, NULL), FM_OK);
        fm_decoder_unit_squares(w.d, NULL, 0, squares);
        for (size_t s = 0; s < SEQUENCES; s++) {
            off = fmax(off, fabs(sqrt(squares[s]) / (double)norms[s] - 1.0));
            weights[s] = (float)fmin(1.0, (double)clip / sqrt(squares[s]));
        }
        CU_ASSERT(off < 1e-4);
        fm_decoder_weighted_sum(w.d, NULL, 0, weights, g);
        x.clipped = g;
        each_adapter(&w, compare_sums, &x);
        CU_ASSERT_EQUAL(x.sums, tensors_named(w.f.ref, "dp.clipped_sum."));
        CU_ASSERT(x.sums > 0);
        printf("\n    %s: norms within %.1e, %zu sums within %.1e", decoder_fixture_names[n], off,
               x.sums, x.worst);
        free(g);
        free(x.theta);
        world_end(&w);
    }
}

static const fm_test tests[] = {
    { "adapted logits and gradients are the same", adapted_logits_and_gradients_are_the_same },
    { "norms and clipped sums are the same", norms_and_clipped_sums_are_the_same },
};
const fm_test_suite suite_decoder_adapters = { "model.decoder_adapters", tests,
                                               FM_TEST_COUNT(tests) };
