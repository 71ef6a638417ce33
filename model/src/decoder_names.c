/*
 * What tensors are called on disk: the names that transformers 5 writes, those that it reads of
 * older GraniteMoE folders, and experts in one tensor where a folder has them so
 * (conversion_mapping.py).
 */
#include <stdarg.h>
#include <stdio.h>

#include "decoder_folder_internal.h"

typedef struct {
    const fm_decoder_config *c;
    const fm_name_visitor *v;
    const fm_decoder_layer *l;
    char prefix[40], name[FM_FOLDER_NAME];
    fm_status st;
} namer;

static void FM_PRINTF(2, 3) set_name(namer *n, const char *format, ...)
{
    const size_t used = (size_t)snprintf(n->name, sizeof n->name, "%s", n->prefix);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(n->name + used, sizeof n->name - used, format, args);
    va_end(args);
}

static bool exists(namer *n, const char *suffix)
{
    set_name(n, "%s", suffix);
    return n->v->exists && n->v->exists(n->v->context, n->name);
}

static void visit(namer *n, const fm_tensor_wanted *wanted)
{
    if (n->st == FM_OK)
        n->st = n->v->visit(n->v->context, wanted);
}

/* columns 0: a vector. n->name is set. */
static void visit_one(namer *n, size_t offset, size_t rows, size_t columns)
{
    const fm_tensor_wanted wanted = {
        .name = n->name,
        .dims = columns ? 2 : 1,
        .shape = { rows, columns },
        .place = { .groups = 1,
                   .parts = 1,
                   .part = { offset },
                   .piece = rows * (columns ? columns : 1) },
    };

    if (offset != FM_DECODER_ABSENT)
        visit(n, &wanted);
}

static void put(namer *n, const char *suffix, size_t offset, size_t rows, size_t columns)
{
    set_name(n, "%s", suffix);
    visit_one(n, offset, rows, columns);
}

static void put_grouped(namer *n)
{
    const fm_decoder_config *c = n->c;
    const size_t query = c->heads * c->query_head, key = c->key_heads * c->query_head;
    const size_t value = c->key_heads * c->value_head;

    put(n, "self_attn.q_proj.weight", n->l->query, query, c->width);
    put(n, "self_attn.q_proj.bias", n->l->query_bias, query, 0);
    put(n, "self_attn.k_proj.weight", n->l->key, key, c->width);
    put(n, "self_attn.k_proj.bias", n->l->key_bias, key, 0);
    put(n, "self_attn.v_proj.weight", n->l->value, value, c->width);
    put(n, "self_attn.v_proj.bias", n->l->value_bias, value, 0);
    put(n, "self_attn.q_norm.weight", n->l->query_norm, query, 0);
    put(n, "self_attn.k_norm.weight", n->l->key_norm, key, 0);
}

static void put_latent(namer *n)
{
    const fm_decoder_config *c = n->c;
    const size_t query = c->heads * c->query_head, plain = c->query_head - c->rotary;

    if (c->query_rank == 0)
        put(n, "self_attn.q_proj.weight", n->l->query, query, c->width);
    put(n, "self_attn.q_a_proj.weight", n->l->query_a, c->query_rank, c->width);
    put(n, "self_attn.q_a_proj.bias", n->l->query_a_bias, c->query_rank, 0);
    put(n, "self_attn.q_a_layernorm.weight", n->l->query_a_norm, c->query_rank, 0);
    put(n, "self_attn.q_b_proj.weight", n->l->query_b, query, c->query_rank);
    put(n, "self_attn.kv_a_proj_with_mqa.weight", n->l->latent, c->key_value_rank + c->rotary,
        c->width);
    put(n, "self_attn.kv_a_proj_with_mqa.bias", n->l->latent_bias, c->key_value_rank + c->rotary,
        0);
    put(n, "self_attn.kv_a_layernorm.weight", n->l->latent_norm, c->key_value_rank, 0);
    put(n, "self_attn.kv_b_proj.weight", n->l->latent_b, c->heads * (plain + c->value_head),
        c->key_value_rank);
}

/* gate_up_proj [E, 2H, D]: of each expert its gate, then its up; down_proj [E, D, H]. */
static void put_fused(namer *n, const char *gate_up, const char *down)
{
    const fm_decoder_config *c = n->c;
    fm_tensor_wanted w = {
        .name = n->name,
        .dims = 3,
        .shape = { c->experts, 2 * c->expert_hidden, c->width },
        .place = { .groups = c->experts,
                   .stride = n->l->expert_stride,
                   .parts = 2,
                   .part = { n->l->expert_gate, n->l->expert_up },
                   .piece = c->expert_hidden * c->width },
    };

    set_name(n, "%s", gate_up);
    visit(n, &w);
    set_name(n, "%s", down);
    w.shape[1] = c->width;
    w.shape[2] = c->expert_hidden;
    w.place.parts = 1;
    w.place.part[0] = n->l->expert_down;
    visit(n, &w);
}

static void put_each(namer *n)
{
    const size_t hidden = n->c->expert_hidden, width = n->c->width;

    for (size_t e = 0; e < n->c->experts && n->st == FM_OK; e++) {
        const size_t at = e * n->l->expert_stride;

        set_name(n, "mlp.experts.%zu.gate_proj.weight", e);
        visit_one(n, n->l->expert_gate + at, hidden, width);
        set_name(n, "mlp.experts.%zu.up_proj.weight", e);
        visit_one(n, n->l->expert_up + at, hidden, width);
        set_name(n, "mlp.experts.%zu.down_proj.weight", e);
        visit_one(n, n->l->expert_down + at, width, hidden);
    }
}

/* The older name where only that one is there. */
static const char *pick(namer *n, const char *now, const char *older)
{
    return !exists(n, now) && exists(n, older) ? older : now;
}

static void put_granite(namer *n)
{
    put(n, pick(n, "block_sparse_moe.router.weight", "block_sparse_moe.router.layer.weight"),
        n->l->router, n->c->experts, n->c->width);
    put_fused(
        n, pick(n, "block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.input_linear.weight"),
        pick(n, "block_sparse_moe.experts.down_proj", "block_sparse_moe.output_linear.weight"));
}

static void put_experts(namer *n)
{
    const fm_decoder_config *c = n->c;
    const size_t shared = c->shared_hidden;

    put(n, "mlp.gate.weight", n->l->router, c->experts, c->width);
    put(n, "mlp.gate.e_score_correction_bias", n->l->correction, c->experts, 0);
    put(n, "mlp.shared_experts.gate_proj.weight", n->l->shared_gate, shared, c->width);
    put(n, "mlp.shared_experts.up_proj.weight", n->l->shared_up, shared, c->width);
    put(n, "mlp.shared_experts.down_proj.weight", n->l->shared_down, c->width, shared);
    if (exists(n, "mlp.experts.gate_up_proj"))
        put_fused(n, "mlp.experts.gate_up_proj", "mlp.experts.down_proj");
    else
        put_each(n);
}

static void put_layer(namer *n, bool dense)
{
    const fm_decoder_config *c = n->c;

    put(n, "input_layernorm.weight", n->l->input_norm, c->width, 0);
    if (c->attention == FM_ATTENTION_LATENT)
        put_latent(n);
    else
        put_grouped(n);
    put(n, "self_attn.o_proj.weight", n->l->output, c->width, c->heads * c->value_head);
    put(n, "self_attn.o_proj.bias", n->l->output_bias, c->width, 0);
    put(n, "post_attention_layernorm.weight", n->l->post_norm, c->width, 0);
    if (dense) {
        put(n, "mlp.gate_proj.weight", n->l->gate, c->dense_hidden, c->width);
        put(n, "mlp.up_proj.weight", n->l->up, c->dense_hidden, c->width);
        put(n, "mlp.down_proj.weight", n->l->down, c->width, c->dense_hidden);
    } else if (c->family == FM_DECODER_GRANITEMOE) {
        put_granite(n);
    } else {
        put_experts(n);
    }
}

fm_status fm_decoder_names(const fm_decoder_config *c, const fm_decoder_layout *l,
                           const fm_name_visitor *v)
{
    namer n = { .c = c, .v = v };

    put(&n, "model.embed_tokens.weight", l->embedding, c->vocabulary, c->width);
    for (size_t i = 0; i < c->layers && n.st == FM_OK; i++) {
        (void)snprintf(n.prefix, sizeof n.prefix, "model.layers.%zu.", i);
        n.l = &l->layer[i];
        put_layer(&n, i < c->dense_layers);
    }
    n.prefix[0] = '\0';
    put(&n, "model.norm.weight", l->norm, c->width, 0);
    if (!c->tied)
        put(&n, "lm_head.weight", l->head, c->vocabulary, c->width);
    return n.st;
}
