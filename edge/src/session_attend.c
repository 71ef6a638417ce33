/* The attention half of a layer: projections, norms, what is kept, and back. */
#include <math.h>
#include <string.h>

#include "fedmoe/model/kernel.h"
#include "session_internal.h"

#define INNER_EPSILON 1e-6 /* of the norms within latent attention, as transformers has it */

static void clip(float *v, size_t n, double most)
{
    const float high = (float)most;

    for (size_t i = 0; most > 0.0 && i < n; i++)
        v[i] = v[i] > high ? high : v[i] < -high ? -high : v[i];
}

/* A whole projection's norm, where there is one, and its limits. */
static void settle(const fm_decoder_config *c, const float *gain, float *v, size_t rows, size_t n)
{
    if (gain)
        fm_edge_norm(gain, c->norm_epsilon, v, rows, n, v);
    clip(v, rows * n, c->clip_query_key_value);
}

static fm_status keep_grouped(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_decoder_config *c = s->config;
    fm_status st;

    for (size_t p = 0; p < rows * c->key_heads; p++) {
        const size_t at = s->position + p / c->key_heads, head = p % c->key_heads;
        float *key = s->key + p * c->query_head;

        fm_rotary_turn(&s->rotary, at, key, key);
        if ((st = fm_edge_store_put(&s->keys, layer, head, at, key)) ||
            (st = fm_edge_store_put(&s->values, layer, head, at, s->value + p * c->value_head)))
            return st;
    }
    return FM_OK;
}

static fm_status grouped(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_layer *l = fm_edge_model_layer(s->model, layer);
    fm_edge_input in;
    fm_status st;

    if ((st = fm_edge_take(s, s->normed, rows, c->width, 0, &in)))
        return st;
    fm_edge_apply(s, &l->query, &in, l->query_bias, s->query);
    fm_edge_apply(s, &l->key, &in, l->key_bias, s->key);
    fm_edge_apply(s, &l->value, &in, l->value_bias, s->value);
    settle(c, l->query_norm, s->query, rows, l->query.rows);
    settle(c, l->key_norm, s->key, rows, l->key.rows);
    settle(c, NULL, s->value, rows, l->value.rows);
    return keep_grouped(s, layer, rows);
}

static fm_status latent_query(fm_edge_session *s, const fm_edge_layer *l, const fm_edge_input *in)
{
    const size_t rank = s->config->query_rank;
    fm_edge_input inner;
    fm_status st;

    if (!rank) {
        fm_edge_apply(s, &l->query, in, NULL, s->query);
        return FM_OK;
    }
    fm_edge_apply(s, &l->query_a, in, l->query_a_bias, s->query_a);
    fm_edge_norm(l->query_a_norm, INNER_EPSILON, s->query_a, in->rows, rank, s->query_in);
    if ((st = fm_edge_take(s, s->query_in, in->rows, rank, 1, &inner)))
        return st;
    fm_edge_apply(s, &l->query_b, &inner, NULL, s->query);
    return FM_OK;
}

static fm_status keep_latent(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_decoder_config *c = s->config;
    const float *gain = fm_edge_model_layer(s->model, layer)->latent_norm;
    const size_t rank = c->key_value_rank;
    fm_status st;

    for (size_t i = 0; i < rows; i++) {
        float *row = s->latent + i * (rank + c->rotary);

        fm_edge_norm(gain, INNER_EPSILON, row, 1, rank, row);
        fm_rotary_turn(&s->rotary, s->position + i, row + rank, row + rank);
        if ((st = fm_edge_store_put(&s->keys, layer, 0, s->position + i, row)) ||
            (st = fm_edge_store_put(&s->values, layer, 0, s->position + i, row + rank)))
            return st;
    }
    return FM_OK;
}

static fm_status latent(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_edge_layer *l = fm_edge_model_layer(s->model, layer);
    fm_edge_input in;
    fm_status st;

    if ((st = fm_edge_take(s, s->normed, rows, s->config->width, 0, &in)) ||
        (st = latent_query(s, l, &in)))
        return st;
    fm_edge_apply(s, &l->latent, &in, l->latent_bias, s->latent);
    return keep_latent(s, layer, rows);
}

fm_status fm_edge_attend(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_layer *l = fm_edge_model_layer(s->model, layer);
    fm_edge_input in;
    fm_status st;

    fm_edge_norm(l->input_norm, c->norm_epsilon, s->x, rows, c->width, s->normed);
    st = c->attention == FM_ATTENTION_LATENT ? latent(s, layer, rows) : grouped(s, layer, rows);
    if (st || (st = fm_edge_pairs_attend(s, layer, rows)) ||
        (st = fm_edge_take(s, s->mixed, rows, c->heads * c->value_head, 0, &in)))
        return st;
    fm_edge_apply(s, &l->output, &in, l->output_bias, s->result);
    fm_kernel_add_scaled(s->x, (float)c->residual_multiplier, s->result, rows * c->width);
    return FM_OK;
}
