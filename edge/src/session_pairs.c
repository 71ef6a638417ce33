/*
 * Attention of a tile: for pairs of a row and a head the running maximum, sum of weights and
 * weighted sum of values over blocks of keys.
 *
 * Of latent attention queries go through the keys' half of the up-projection, so that their
 * products with the cached latents are the scores, and what is summed is latents, which go through
 * the values' half. A reading that made keys and values of each latent would have other roundings
 * than a writing that does not; at FM_PAIRS rows a tile it would not be faster for the ranks in
 * use.
 */
#include <math.h>
#include <string.h>

#include "fedmoe/model/kernel.h"
#include "session_internal.h"

/* Pairs p = (h - head) * rows + i - row of rows [row, row + rows) and heads [head, head + heads),
 * which share keys. */
typedef struct {
    size_t layer, key_head, head, heads, row, rows;
} group;

static bool is_latent(const fm_edge_session *s)
{
    return s->config->attention == FM_ATTENTION_LATENT;
}

/* ---- queries ---- */

static void turn(const fm_edge_session *s, size_t position, const float *from, float *to)
{
    fm_rotary_turn(&s->rotary, position, from, to);
    fm_kernel_scale(to, (float)s->config->attention_scale, s->config->rotary);
}

/* Row i's query of a head. */
static const float *query_at(const fm_edge_session *s, size_t i, size_t head)
{
    return s->query + (i * s->config->heads + head) * s->config->query_head;
}

static void take_grouped(const fm_edge_session *s, const group *g)
{
    for (size_t p = 0; p < g->heads * g->rows; p++) {
        const size_t i = g->row + p % g->rows;

        turn(s, s->position + i, query_at(s, i, g->head + p / g->rows),
             s->pairs.query + p * s->config->query_head);
    }
}

/* The rows of kv_b_proj that make a head's keys (value: its values). */
static size_t latent_row(const fm_decoder_config *c, size_t head, bool value)
{
    const size_t plain = c->query_head - c->rotary;

    return head * (plain + c->value_head) + (value ? plain : 0);
}

static void take_latent(const fm_edge_session *s, const group *g)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_pairs *a = &s->pairs;
    const size_t plain = c->query_head - c->rotary, rank = c->key_value_rank;
    const fm_edge_map *map = &fm_edge_model_layer(s->model, g->layer)->latent_b;
    size_t counts[FM_PAIRS];

    memset(a->query, 0, g->heads * g->rows * rank * sizeof *a->query);
    for (size_t h = 0; h < g->heads; h++) {
        const fm_edge_rows keys = fm_edge_rows_of(map, latent_row(c, g->head + h, false));

        for (size_t i = 0; i < g->rows; i++) {
            const size_t p = h * g->rows + i, row = g->row + i;
            const float *q = query_at(s, row, g->head + h);

            counts[i] = plain;
            memcpy(a->plain + i * plain, q, plain * sizeof *q);
            fm_kernel_scale(a->plain + i * plain, (float)c->attention_scale, plain);
            turn(s, s->position + row, q + plain, a->positioned + p * c->rotary);
        }
        fm_edge_rows_mix(&keys, a->plain, plain, counts, g->rows, a->query + h * g->rows * rank,
                         a->wide);
    }
}

/* ---- blocks of keys ---- */

static void block_scores(const fm_edge_session *s, const group *g, size_t at, size_t n)
{
    const fm_edge_pairs *a = &s->pairs;
    const size_t pairs = g->heads * g->rows;
    const fm_edge_rows keys = fm_edge_store_at(&s->keys, g->layer, g->key_head, at);
    fm_edge_rows positioned;

    fm_edge_rows_product(&keys, n, a->query, pairs, a->scores, FM_BLOCK, s->wide);
    if (!is_latent(s))
        return;
    positioned = fm_edge_store_at(&s->values, g->layer, 0, at);
    fm_edge_rows_product(&positioned, n, a->positioned, pairs, a->scores_positioned, FM_BLOCK,
                         s->wide);
    for (size_t p = 0; p < pairs; p++)
        fm_kernel_add_scaled(a->scores + p * FM_BLOCK, 1.0f, a->scores_positioned + p * FM_BLOCK,
                             n);
}

/* Scores of m keys to weights relative to the running maximum; what was summed before is brought to
 * the same. */
static void weigh(const fm_edge_pairs *a, size_t p, size_t m, size_t n)
{
    float *scores = a->scores + p * FM_BLOCK;
    const float here = fm_kernel_most(scores, m), before = a->most[p];
    float ratio = before - here;

    if (here > before) {
        fm_kernel_exp(&ratio, 1);
        a->most[p] = here;
        a->total[p] *= ratio;
        fm_kernel_scale(a->sum + p * n, ratio, n);
    }
    a->total[p] += fm_kernel_exp_sum(scores, m, a->most[p]);
}

static void block(const fm_edge_session *s, const group *g, const fm_edge_store *values, size_t at,
                  size_t n)
{
    const fm_edge_pairs *a = &s->pairs;
    const size_t pairs = g->heads * g->rows;
    const fm_edge_rows rows = fm_edge_store_at(values, g->layer, g->key_head, at);
    size_t counts[FM_PAIRS];

    block_scores(s, g, at, n);
    for (size_t p = 0; p < pairs; p++) {
        const size_t position = s->position + g->row + p % g->rows;
        const size_t seen = position < at ? 0 : position - at + 1;

        counts[p] = seen < n ? seen : n;
        if (counts[p])
            weigh(a, p, counts[p], values->n);
    }
    fm_edge_rows_mix(&rows, a->scores, FM_BLOCK, counts, pairs, a->sum, a->wide);
}

/* ---- results ---- */

/* Weighted sums of latents through the values' half. */
static fm_status raise_latents(fm_edge_session *s, const group *g)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_map *whole = &fm_edge_model_layer(s->model, g->layer)->latent_b;
    const size_t rank = c->key_value_rank;
    fm_edge_input in;
    fm_status st;

    for (size_t h = 0; h < g->heads; h++) {
        const fm_edge_rows rows = fm_edge_rows_of(whole, latent_row(c, g->head + h, true));
        const fm_edge_map map = {
            .f32 = rows.f,
            .i8 = { .q = rows.q, .scale = rows.scale, .rows = c->value_head, .columns = rank },
            .rows = c->value_head,
            .columns = rank,
        };

        if ((st = fm_edge_take(s, s->pairs.sum + h * g->rows * rank, g->rows, rank, 1, &in)))
            return st;
        fm_edge_apply(s, &map, &in, NULL, s->pairs.out + h * g->rows * c->value_head);
    }
    return FM_OK;
}

static fm_status finish(fm_edge_session *s, const group *g, size_t n)
{
    const fm_edge_pairs *a = &s->pairs;
    const size_t value = s->config->value_head, pairs = g->heads * g->rows;
    const float *out = is_latent(s) ? a->out : a->sum;
    fm_status st;

    for (size_t p = 0; p < pairs; p++)
        fm_kernel_scale(a->sum + p * n, 1.0f / a->total[p], n);
    if (is_latent(s) && (st = raise_latents(s, g)))
        return st;
    for (size_t p = 0; p < pairs; p++) {
        const size_t row = g->row + p % g->rows, head = g->head + p / g->rows;

        memcpy(s->mixed + (row * s->config->heads + head) * value, out + p * value,
               value * sizeof *out);
    }
    return FM_OK;
}

static fm_status attend_group(fm_edge_session *s, const group *g)
{
    const fm_edge_store *values = is_latent(s) ? &s->keys : &s->values;
    const size_t pairs = g->heads * g->rows, end = s->position + g->row + g->rows;

    if (is_latent(s))
        take_latent(s, g);
    else
        take_grouped(s, g);
    memset(s->pairs.sum, 0, pairs * values->n * sizeof *s->pairs.sum);
    for (size_t p = 0; p < pairs; p++) {
        s->pairs.most[p] = -INFINITY;
        s->pairs.total[p] = 0.0f;
    }
    for (size_t at = 0; at < end; at += FM_BLOCK)
        block(s, g, values, at, end - at < FM_BLOCK ? end - at : FM_BLOCK);
    return finish(s, g, values->n);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

fm_status fm_edge_pairs_attend(fm_edge_session *s, size_t layer, size_t rows)
{
    const size_t shared = s->config->heads / s->keys.heads; /* heads of the same keys */
    const size_t rows_at_once = least(rows, FM_PAIRS);
    const size_t heads_at_once = least(shared, FM_PAIRS / rows_at_once);
    fm_status st;

    for (size_t head = 0, n; head < s->config->heads; head += n) {
        n = least(heads_at_once, shared - head % shared);
        for (size_t row = 0; row < rows; row += rows_at_once) {
            const group g = { .layer = layer,
                              .key_head = head / shared,
                              .head = head,
                              .heads = n,
                              .row = row,
                              .rows = least(rows_at_once, rows - row) };

            if ((st = attend_group(s, &g)))
                return st;
        }
    }
    return FM_OK;
}
