#include "decoder_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/model/decoder_folder.h"
#include "fm_test.h"

const char *const decoder_fixture_names[] = {
    "olmoe",       "olmoe_gqa_clip",   "granitemoe",        "deepseek_v2",
    "deepseek_v3", "deepseek_v2_yarn", "deepseek_v2_group", "deepseek_v3_yarn",
};
const size_t decoder_fixture_count = FM_TEST_COUNT(decoder_fixture_names);

typedef struct {
    const char *name; /* within the layer, without ".weight" */
    size_t offset, elements;
} entry;

static void give(const entry *list, size_t n, size_t layer, const char *end, decoder_piece *piece,
                 void *ctx)
{
    char name[160];

    for (size_t i = 0; i < n; i++) {
        if (list[i].offset == FM_DECODER_ABSENT)
            continue;
        (void)snprintf(name, sizeof name, "model.layers.%zu.%s%s", layer, list[i].name, end);
        piece(ctx, name, 0, list[i].offset, list[i].elements);
    }
}

static void each_fused(const fm_decoder_config *c, const fm_decoder_layer *l, size_t layer,
                       decoder_piece *piece, void *ctx)
{
    const size_t n = c->expert_hidden * c->width;
    char name[160];

    for (size_t e = 0; e < c->experts; e++) {
        (void)snprintf(name, sizeof name, "model.layers.%zu.block_sparse_moe.experts.gate_up_proj",
                       layer);
        piece(ctx, name, e * 2 * n, l->expert_gate + e * l->expert_stride, n);
        piece(ctx, name, e * 2 * n + n, l->expert_up + e * l->expert_stride, n);
        (void)snprintf(name, sizeof name, "model.layers.%zu.block_sparse_moe.experts.down_proj",
                       layer);
        piece(ctx, name, e * n, l->expert_down + e * l->expert_stride, n);
    }
}

static void each_expert(const fm_decoder_config *c, const fm_decoder_layer *l, size_t layer,
                        decoder_piece *piece, void *ctx)
{
    static const char *const parts[] = { "gate_proj", "up_proj", "down_proj" };
    const size_t n = c->expert_hidden * c->width;
    char name[160];

    for (size_t e = 0; e < c->experts; e++)
        for (size_t p = 0; p < 3; p++) {
            (void)snprintf(name, sizeof name, "model.layers.%zu.mlp.experts.%zu.%s.weight", layer,
                           e, parts[p]);
            piece(ctx, name, 0, l->expert_gate + e * l->expert_stride + p * n, n);
        }
}

static void each_attention(const fm_decoder_config *c, const fm_decoder_layer *l, size_t layer,
                           decoder_piece *piece, void *ctx)
{
    const size_t d = c->width, query = c->heads * c->query_head;
    const size_t key = c->key_heads * c->query_head, value = c->key_heads * c->value_head;
    const size_t b = c->heads * (c->query_head - c->rotary + c->value_head);
    const entry list[] = {
        { "input_layernorm", l->input_norm, d },
        { "post_attention_layernorm", l->post_norm, d },
        { "self_attn.q_proj", l->query, query * d },
        { "self_attn.k_proj", l->key, key * d },
        { "self_attn.v_proj", l->value, value * d },
        { "self_attn.q_norm", l->query_norm, query },
        { "self_attn.k_norm", l->key_norm, key },
        { "self_attn.q_a_proj", l->query_a, c->query_rank * d },
        { "self_attn.q_a_layernorm", l->query_a_norm, c->query_rank },
        { "self_attn.q_b_proj", l->query_b, query * c->query_rank },
        { "self_attn.kv_a_proj_with_mqa", l->latent, (c->key_value_rank + c->rotary) * d },
        { "self_attn.kv_a_layernorm", l->latent_norm, c->key_value_rank },
        { "self_attn.kv_b_proj", l->latent_b, b * c->key_value_rank },
        { "self_attn.o_proj", l->output, d * c->heads * c->value_head },
    };

    give(list, FM_TEST_COUNT(list), layer, ".weight", piece, ctx);
}

static void each_feed(const fm_decoder_config *c, const fm_decoder_layer *l, size_t layer,
                      decoder_piece *piece, void *ctx)
{
    const size_t d = c->width, h = c->dense_hidden, s = c->shared_hidden;
    const bool fused = c->family == FM_DECODER_GRANITEMOE;
    const entry list[] = {
        { "mlp.gate_proj", l->gate, h * d },
        { "mlp.up_proj", l->up, h * d },
        { "mlp.down_proj", l->down, h * d },
        { fused ? "block_sparse_moe.router" : "mlp.gate", l->router, c->experts * d },
        { "mlp.shared_experts.gate_proj", l->shared_gate, s * d },
        { "mlp.shared_experts.up_proj", l->shared_up, s * d },
        { "mlp.shared_experts.down_proj", l->shared_down, s * d },
    };
    const entry correction = { "mlp.gate.e_score_correction_bias", l->correction, c->experts };

    give(list, FM_TEST_COUNT(list), layer, ".weight", piece, ctx);
    give(&correction, 1, layer, "", piece, ctx);
    if (l->expert_gate != FM_DECODER_ABSENT)
        (fused ? each_fused : each_expert)(c, l, layer, piece, ctx);
}

void decoder_fixture_each(const decoder_fixture *f, decoder_piece *piece, void *ctx)
{
    const fm_decoder_config *c = &f->config;

    piece(ctx, "model.embed_tokens.weight", 0, f->layout.embedding, c->vocabulary * c->width);
    piece(ctx, "model.norm.weight", 0, f->layout.norm, c->width);
    if (!c->tied)
        piece(ctx, "lm_head.weight", 0, f->layout.head, c->vocabulary * c->width);
    for (size_t i = 0; i < c->layers; i++) {
        each_attention(c, &f->layout.layer[i], i, piece, ctx);
        each_feed(c, &f->layout.layer[i], i, piece, ctx);
    }
}

static void read_piece(void *ctx, const char *name, size_t from, size_t offset, size_t elements)
{
    decoder_fixture *f = ctx;
    const fm_tensor_view *t = fm_safetensors_find(f->model, name);

    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_FATAL(t->bytes >= (from + elements) * sizeof(float));
    memcpy(f->theta + offset, t->data + from * sizeof(float), elements * sizeof(float));
}

static fm_safetensors *load(const char *folder, const char *file)
{
    char path[4352];
    fm_safetensors *out = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(path, (size_t)64 << 20, &out), FM_OK);
    return out;
}

bool decoder_fixture_load(const char *name, decoder_fixture *f)
{
    char rel[128], folder[4096], path[4352];
    fm_buf text = { 0 };

    memset(f, 0, sizeof *f);
    (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s", name);
    if (!fm_test_shared(rel, folder, sizeof folder)) {
        fm_test_skip("no ../shared/fixtures/transformers");
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1 << 20, &text), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_config_parse(path, text.data, text.len, &f->config), FM_OK);
    fm_buf_fini(&text);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_layout_make(&f->config, &f->layout), FM_OK);
    f->model = load(folder, "model.safetensors");
    f->ref = load(folder, "ref.safetensors");
    f->adapter = load(folder, "adapter.safetensors");
    f->theta = calloc(f->layout.parameters, sizeof *f->theta);
    decoder_fixture_each(f, read_piece, f);
    return true;
}

void decoder_fixture_free(decoder_fixture *f)
{
    fm_safetensors_free(&f->model);
    fm_safetensors_free(&f->ref);
    fm_safetensors_free(&f->adapter);
    fm_decoder_layout_free(&f->layout);
    free(f->theta);
}

const float *decoder_fixture_floats(const decoder_fixture *f, const char *name, size_t elements)
{
    const fm_tensor_view *t = fm_safetensors_find(f->ref, name);

    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->bytes, elements * sizeof(float));
    return (const float *)(const void *)t->data;
}

static void small_latent(size_t which, fm_decoder_config *c)
{
    c->attention = FM_ATTENTION_LATENT;
    c->rotary = 4;
    c->value_head = 5;
    c->key_value_rank = 9;
    c->query_rank = which % 2 ? 7 : 0;
    c->attention_bias = which % 2;
    c->rope.interleaved = true;
    c->dense_layers = 1;
    c->shared_hidden = 11;
    c->router = which < 4 ? FM_ROUTER_SOFTMAX : FM_ROUTER_SIGMOID;
    c->correction_bias = which >= 4;
    c->normalise_weights = which >= 4;
    c->routed_scale = 1.5;
    c->group_count = 3;
    c->groups_chosen = 2;
    c->groups = which < 4 ? FM_GROUPS_MAX : FM_GROUPS_TOP2;
}

fm_decoder_config decoder_small(size_t which)
{
    fm_decoder_config c = { .vocabulary = 211,
                            .width = 20,
                            .layers = 2,
                            .context = 300,
                            .norm_epsilon = 1e-5,
                            .heads = 4,
                            .key_heads = 2,
                            .query_head = 6,
                            .value_head = 6,
                            .rotary = 6,
                            .attention_scale = 0.4,
                            .rope = { .theta = 100.0, .factor = 1.0, .attention_factor = 1.0 },
                            .dense_hidden = 19,
                            .experts = 6,
                            .top_k = 2,
                            .expert_hidden = 17,
                            .group_count = 1,
                            .groups_chosen = 1,
                            .routed_scale = 1.0,
                            .embedding_multiplier = 1.0,
                            .residual_multiplier = 1.0,
                            .logits_divisor = 1.0 };

    c.family = which < 2 ? (fm_decoder_family)which : (fm_decoder_family)(which / 2 + 1);
    if (which == 0) {
        c.query_key_norm = true;
        c.clip_query_key_value = 1.1;
        c.normalise_weights = true;
    } else if (which == 1) {
        c.router = FM_ROUTER_SOFTMAX_TOP_K;
        c.tied = c.attention_bias = true;
        c.embedding_multiplier = 3.0;
        c.residual_multiplier = 0.5;
        c.logits_divisor = 2.0;
    } else {
        small_latent(which, &c);
    }
    if (which % 2)
        c.rope = (fm_decoder_rope){ .theta = 100.0,
                                    .interleaved = which >= 2,
                                    .factor = 4.0,
                                    .beta_fast = 8.0,
                                    .beta_slow = 1.0,
                                    .original_context = 64.0,
                                    .attention_factor = 1.1,
                                    .truncate = true };
    return c;
}

static void gains(const fm_decoder_config *c, const fm_decoder_layout *l, float *theta)
{
    for (size_t i = 0; i < c->layers; i++) {
        const fm_decoder_layer *at = &l->layer[i];
        const struct {
            size_t offset, n;
        } list[] = {
            { at->input_norm, c->width },
            { at->post_norm, c->width },
            { at->query_norm, c->heads * c->query_head },
            { at->key_norm, c->key_heads * c->query_head },
            { at->query_a_norm, c->query_rank },
            { at->latent_norm, c->key_value_rank },
        };

        for (size_t n = 0; n < FM_TEST_COUNT(list); n++)
            for (size_t k = 0; list[n].offset != FM_DECODER_ABSENT && k < list[n].n; k++)
                theta[list[n].offset + k] += 1.0f;
    }
    for (size_t k = 0; k < c->width; k++)
        theta[l->norm + k] += 1.0f;
}

float *decoder_random(const fm_decoder_config *c, uint64_t seed)
{
    fm_decoder_layout l;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    float *theta;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_layout_make(c, &l), FM_OK);
    theta = calloc(l.parameters, sizeof *theta);
    for (size_t i = 0; i < l.parameters; i++)
        theta[i] = (float)(0.25 * fm_rng_normal(&rng));
    gains(c, &l, theta);
    fm_decoder_layout_free(&l);
    return theta;
}
