/* Where each tensor lies: embedding, layer by layer, last norm, head. */
#include <stdlib.h>

#include "fedmoe/model/decoder_config.h"

#define MOST_PARAMETERS ((size_t)1 << 40)

/* What check bounds keeps each product below 2^40; their sum saturates. */
static size_t take(size_t *at, bool present, size_t rows, size_t columns)
{
    const size_t from = *at;

    if (!present)
        return FM_DECODER_ABSENT;
    *at += rows * columns;
    if (*at > MOST_PARAMETERS)
        *at = MOST_PARAMETERS + 1;
    return from;
}

static void grouped(const fm_decoder_config *c, size_t *at, fm_decoder_layer *l)
{
    const bool yes = c->attention == FM_ATTENTION_GROUPED, bias = yes && c->attention_bias;
    const size_t query = c->heads * c->query_head, key = c->key_heads * c->query_head;
    const size_t value = c->key_heads * c->value_head;

    l->query = take(at, yes || !c->query_rank, query, c->width);
    l->query_bias = take(at, bias, query, 1);
    l->key = take(at, yes, key, c->width);
    l->key_bias = take(at, bias, key, 1);
    l->value = take(at, yes, value, c->width);
    l->value_bias = take(at, bias, value, 1);
    l->query_norm = take(at, yes && c->query_key_norm, query, 1);
    l->key_norm = take(at, yes && c->query_key_norm, key, 1);
}

static void latent(const fm_decoder_config *c, size_t *at, fm_decoder_layer *l)
{
    const bool yes = c->attention == FM_ATTENTION_LATENT, two = yes && c->query_rank;
    const size_t plain = c->query_head - c->rotary;

    l->query_a = take(at, two, c->query_rank, c->width);
    l->query_a_bias = take(at, two && c->attention_bias, c->query_rank, 1);
    l->query_a_norm = take(at, two, c->query_rank, 1);
    l->query_b = take(at, two, c->heads * c->query_head, c->query_rank);
    l->latent = take(at, yes, c->key_value_rank + c->rotary, c->width);
    l->latent_bias = take(at, yes && c->attention_bias, c->key_value_rank + c->rotary, 1);
    l->latent_norm = take(at, yes, c->key_value_rank, 1);
    l->latent_b = take(at, yes, c->heads * (plain + c->value_head), c->key_value_rank);
}

static void feed(const fm_decoder_config *c, size_t *at, bool dense, fm_decoder_layer *l)
{
    const bool shared = !dense && c->shared_hidden;
    const size_t expert = c->expert_hidden * c->width;

    l->gate = take(at, dense, c->dense_hidden, c->width);
    l->up = take(at, dense, c->dense_hidden, c->width);
    l->down = take(at, dense, c->width, c->dense_hidden);
    l->router = take(at, !dense, c->experts, c->width);
    l->correction = take(at, !dense && c->correction_bias, c->experts, 1);
    l->shared_gate = take(at, shared, c->shared_hidden, c->width);
    l->shared_up = take(at, shared, c->shared_hidden, c->width);
    l->shared_down = take(at, shared, c->width, c->shared_hidden);
    l->expert_gate = take(at, !dense, c->experts, 3 * expert);
    l->expert_up = dense ? FM_DECODER_ABSENT : l->expert_gate + expert;
    l->expert_down = dense ? FM_DECODER_ABSENT : l->expert_gate + 2 * expert;
    l->expert_stride = dense ? 0 : 3 * expert;
}

static void layer(const fm_decoder_config *c, size_t *at, bool dense, fm_decoder_layer *l)
{
    l->input_norm = take(at, true, c->width, 1);
    grouped(c, at, l);
    latent(c, at, l);
    l->output = take(at, true, c->width, c->heads * c->value_head);
    l->output_bias = take(at, c->attention_bias, c->width, 1);
    l->post_norm = take(at, true, c->width, 1);
    feed(c, at, dense, l);
}

fm_status fm_decoder_layout_make(const fm_decoder_config *c, fm_decoder_layout *out)
{
    fm_decoder_layout l = { 0 };
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "decoder: no room for a layout");
    if ((st = fm_decoder_config_check(c)) ||
        (st = fm_alloc(c->layers, sizeof *l.layer, (void **)&l.layer)))
        return st;
    l.embedding = take(&l.parameters, true, c->vocabulary, c->width);
    for (size_t i = 0; i < c->layers; i++)
        layer(c, &l.parameters, i < c->dense_layers, &l.layer[i]);
    l.norm = take(&l.parameters, true, c->width, 1);
    l.head = c->tied ? l.embedding : take(&l.parameters, true, c->vocabulary, c->width);
    if (l.parameters > MOST_PARAMETERS) {
        free(l.layer);
        return fm_fail(FM_EINVAL, "decoder: more than 2^40 parameters");
    }
    *out = l;
    return FM_OK;
}

void fm_decoder_layout_free(fm_decoder_layout *l)
{
    free(l->layer);
    *l = (fm_decoder_layout){ 0 };
}

size_t fm_decoder_active_parameters(const fm_decoder_config *c, const fm_decoder_layout *l)
{
    const size_t sparse = c->layers - c->dense_layers;
    const size_t idle =
        sparse * (c->experts - (sparse ? c->top_k : c->experts)) * 3 * c->expert_hidden * c->width;

    /* Tied, the embedding is the head, which counts whole; the row of the token is one of it. */
    return l->parameters - (sparse ? idle : 0) - (c->tied ? 0 : (c->vocabulary - 1) * c->width);
}
