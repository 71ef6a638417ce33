/* Against what Hugging Face's transformers 5.17 computes: ../shared/fixtures/README.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_internal.h"
#include "decoder_world.h"
#include "fm_test.h"
#include "suites.h"

static void check_rows(const world *w, const char *name, const fm_rows *r)
{
    const float *want = decoder_fixture_floats(&w->f, name, ROWS * r->n);
    double most = 0.0;

    for (size_t i = 0; i < ROWS; i++) {
        const double here = world_farthest(fm_rows_at(r, i), want + i * r->n, r->n);

        most = here > most || isnan(here) ? here : most;
    }
    CU_ASSERT(most < 1e-4);
    if (!(most < 1e-4))
        printf("\n%s: %g off\n", name, most);
}

/* The last layer's result comes before the last norm, in transformers too. */
static void check_layers(const world *w)
{
    char name[64];

    for (size_t i = 0; i < w->f.config.layers; i++) {
        (void)snprintf(name, sizeof name, "act.model.layers.%zu.0", i);
        check_rows(w, name, i + 1 < w->f.config.layers ? &w->d->layers[i + 1].in : &w->d->last);
    }
}

/* What transformers chose in a layer, and with what weights: the n-th of the calls' arguments. */
static const fm_tensor_view *routed(const world *w, size_t layer, size_t n)
{
    const bool granite = w->f.config.family == FM_DECODER_GRANITEMOE;
    char name[96];

    (void)snprintf(name, sizeof name,
                   granite ? "act.model.layers.%zu.block_sparse_moe.router.%zu"
                           : "route.model.layers.%zu.mlp.experts.%zu",
                   layer, granite ? n - 1 : n);
    return fm_safetensors_find(w->f.ref, name);
}

/* The weight that row r gives to an expert, or -1. */
static double weight_of(const world *w, size_t layer, size_t r, uint64_t expert)
{
    const size_t k = w->f.config.top_k;
    const fm_layer *l = &w->d->layers[layer];

    for (size_t j = 0; j < k; j++)
        if (l->dispatch.routes[r * k + j] == expert)
            return (double)l->weights[r * k + j];
    return -1.0;
}

static void check_routes(const world *w)
{
    const size_t k = w->f.config.top_k;

    for (size_t i = w->f.config.dense_layers; i < w->f.config.layers; i++) {
        const fm_tensor_view *chosen = routed(w, i, 1), *weights = routed(w, i, 2);
        size_t wrong = 0;

        CU_ASSERT_FATAL(chosen && chosen->bytes == ROWS * k * sizeof(int64_t));
        CU_ASSERT_FATAL(weights && weights->bytes == ROWS * k * sizeof(float));
        for (size_t p = 0; p < ROWS * k; p++) {
            const double mine = weight_of(w, i, p / k, fm_get_u64le(chosen->data + 8 * p));
            const float theirs = ((const float *)(const void *)weights->data)[p];

            wrong += !(fabs(mine - (double)theirs) < 1e-5 * (1.0 + fabs((double)theirs)));
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void logits_layers_experts_and_losses_are_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        world w = { 0 };
        size_t v;
        float *logits;
        double losses[SEQUENCES], off;

        if (!world_begin(&w, decoder_fixture_names[n], FM_TRAIN_ALL, false, false))
            return;
        v = w.f.config.vocabulary;
        logits = calloc(ROWS * v, sizeof *logits);
        CU_ASSERT_EQUAL(fm_decoder_logits(w.d, &w.batch, logits), FM_OK);
        check_layers(&w);
        check_routes(&w);
        off = world_farthest(logits, decoder_fixture_floats(&w.f, "logits", ROWS * v), ROWS * v);
        CU_ASSERT(off < 1e-4);
        CU_ASSERT_EQUAL(fm_decoder_losses(w.d, &w.batch, losses), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL((losses[0] + losses[1] + losses[2] + losses[3]) / 4.0,
                               (double)*decoder_fixture_floats(&w.f, "loss", 1), 1e-5);
        printf("\n    %s: logits within %.1e", decoder_fixture_names[n], off);
        free(logits);
        world_end(&w);
    }
}

/* Token by token, by an object that is forward only. */
static void the_greedy_continuation_is_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        world w = { 0 };
        const fm_tensor_view *t;
        uint32_t tokens[64], length;
        size_t v, total, given = 0, wrong = 0;
        float *logits;

        if (!world_begin(&w, decoder_fixture_names[n], FM_TRAIN_NONE, false, false))
            return;
        v = w.f.config.vocabulary;
        logits = calloc(v, sizeof *logits);
        t = fm_safetensors_find(w.f.ref, "greedy_ids");
        total = t->bytes / sizeof(int64_t);
        CU_ASSERT_FATAL(total <= FM_TEST_COUNT(tokens));
        for (size_t i = 0; i < total; i++)
            tokens[i] = (uint32_t)fm_get_u64le(t->data + 8 * i);
        while (given < total && tokens[given] == w.tokens[given])
            given++;
        CU_ASSERT(given >= 4 && given < total);
        for (length = (uint32_t)given; length < total; length++) {
            const fm_decoder_batch b = { .tokens = tokens, .ends = &length, .sequences = 1 };
            size_t best = 0;

            CU_ASSERT_EQUAL(fm_decoder_last_logits(w.d, &b, logits), FM_OK);
            for (size_t i = 1; i < v; i++)
                best = logits[i] > logits[best] ? i : best;
            wrong += best != tokens[length];
        }
        CU_ASSERT_EQUAL(wrong, 0);
        free(logits);
        world_end(&w);
    }
}

/* ---- gradients ---- */

typedef struct {
    const world *w;
    const float *g;
    double worst;
    size_t tensors;
} comparison;

static void compare(void *ctx, const char *name, size_t from, size_t offset, size_t elements)
{
    comparison *c = ctx;
    char key[192];
    const fm_tensor_view *t;
    double here;

    if (strstr(name, "correction_bias"))
        return;
    (void)snprintf(key, sizeof key, "grad.%s", name);
    t = fm_safetensors_find(c->w->f.ref, key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    here =
        world_distance(c->g + offset, (const float *)(const void *)t->data + from, elements, 1e-2);
    c->worst = fmax(c->worst, here);
    c->tensors++;
    CU_ASSERT(here < 1e-3);
    if (!(here < 1e-3))
        printf("\n%s: %g off\n", name, here);
}

static void every_gradient_is_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        world w = { 0 };
        const float mean[SEQUENCES] = { 0.25f, 0.25f, 0.25f, 0.25f };
        comparison c = { .w = &w };
        float *g;

        if (!world_begin(&w, decoder_fixture_names[n], FM_TRAIN_ALL, false, false))
            return;
        g = calloc(w.f.layout.parameters, sizeof *g);
        c.g = g;
        CU_ASSERT_EQUAL(fm_decoder_backward(w.d, &w.batch, NULL), FM_OK);
        fm_decoder_weighted_sum(w.d, NULL, 0, mean, g);
        decoder_fixture_each(&w.f, compare, &c);
        printf("\n    %s: %zu gradients within %.1e", decoder_fixture_names[n], c.tensors, c.worst);
        free(g);
        world_end(&w);
    }
}

static const fm_test tests[] = {
    { "logits, layers, experts and losses are the same",
      logits_layers_experts_and_losses_are_the_same },
    { "the greedy continuation is the same", the_greedy_continuation_is_the_same },
    { "every gradient is the same", every_gradient_is_the_same },
};
const fm_test_suite suite_decoder_fixtures = { "model.decoder_fixtures", tests,
                                               FM_TEST_COUNT(tests) };
