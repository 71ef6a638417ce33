/* The attention half of a layer, forward and backward: projections, norms, positions, and back. */
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

static const float *weights_at(const fm_decoder *d, size_t offset)
{
    return d->s->theta + offset;
}

/* The same memory for rows of another width. */
static fm_rows rows_of(const fm_rows *r, size_t n)
{
    return (fm_rows){ .v = r->v, .n = n, .stride = fm_row_stride(n), .per_record = 1 };
}

static void clip(float *v, size_t n, double most)
{
    const float high = (float)most;

    for (size_t i = 0; most > 0.0 && i < n; i++)
        v[i] = v[i] > high ? high : v[i] < -high ? -high : v[i];
}

/* No gradient where v was clipped. */
static void clip_back(float *g, const float *v, size_t n, double most)
{
    const float high = (float)most;

    for (size_t i = 0; most > 0.0 && i < n; i++)
        if (v[i] > high || v[i] < -high)
            g[i] = 0.0f;
}

/* ---- grouped ---- */

/* A projection's rows to heads, with positions or (values) without. */
static void to_heads(const fm_decoder *d, const fm_rows *from, bool positions, const fm_heads *to)
{
    for (size_t i = 0; i < d->rows; i++)
        for (size_t h = 0; h < to->heads; h++) {
            const float *x = fm_rows_at(from, i) + h * to->n;
            float *y = fm_heads_at(to, h, i);

            memcpy(y, x, to->n * sizeof *x);
            clip(y, to->n, d->s->config.clip_query_key_value);
            if (positions)
                fm_rotary_turn(&d->rotary, d->positions[i], y, y);
        }
}

/* Queries or keys: the projection, its norm if there is one. */
static void project(fm_decoder *d, size_t layer, size_t kind, const fm_rows *rows, fm_norm *norm,
                    size_t gain, const fm_heads *to)
{
    const fm_rows normed = rows_of(&d->turned, rows->n);

    fm_map_forward(d, (fm_map_id){ layer, kind, 0 }, &d->layers[layer].attention_in, 0, d->rows,
                   false, rows);
    if (gain != FM_DECODER_ABSENT)
        fm_norm_forward(norm, weights_at(d, gain), d->s->config.norm_epsilon, rows, d->rows,
                        &normed);
    to_heads(d, gain != FM_DECODER_ABSENT ? &normed : rows, true, to);
}

static void grouped(fm_decoder *d, size_t layer)
{
    const fm_decoder_layer *at = &d->s->layout.layer[layer];
    fm_layer *l = &d->layers[layer];

    project(d, layer, FM_MAP_QUERY, &l->query, &l->query_norm, at->query_norm, &l->q);
    project(d, layer, FM_MAP_KEY, &l->key, &l->key_norm, at->key_norm, &l->k);
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_VALUE, 0 }, &l->attention_in, 0, d->rows, false,
                   &l->value);
    to_heads(d, &l->value, false, &l->v);
}

/* One row's gradients of heads to those of the projection, before clipping. */
static void from_heads(const fm_decoder *d, const fm_heads *from, size_t i, float *to)
{
    for (size_t h = 0; h < from->heads; h++)
        fm_rotary_back(&d->rotary, d->positions[i], fm_heads_at(from, h, i), to + h * from->n);
}

static void project_back(fm_decoder *d, size_t layer, size_t kind, const fm_rows *rows,
                         const fm_norm *norm, size_t gain, const fm_heads *from, bool add,
                         const fm_rows *g)
{
    const bool normed = gain != FM_DECODER_ABSENT;
    const fm_rows *clipped = normed ? &norm->gy : g;
    const fm_layer *l = &d->layers[layer];

    for (size_t i = 0; i < d->rows; i++) {
        const float *before = fm_rows_at(rows, i);
        float *to = fm_rows_at(clipped, i);

        from_heads(d, from, i, to);
        if (normed)
            fm_kernel_gain(d->turned.v, before, norm->scale[i], weights_at(d, gain), rows->n);
        clip_back(to, normed ? d->turned.v : before, rows->n, d->s->config.clip_query_key_value);
        if (normed)
            memset(fm_rows_at(g, i), 0, g->n * sizeof *to);
    }
    if (normed)
        fm_norm_backward(norm, weights_at(d, gain), rows, d->rows, g);
    fm_map_backward(d, (fm_map_id){ layer, kind, 0 }, g, 0, d->rows, add, &l->input_norm.gy);
}

static void values_back(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];
    /* Of a value that was clipped the limit is left. */
    const double most = nextafterf((float)d->s->config.clip_query_key_value, 0.0f);

    for (size_t i = 0; i < d->rows; i++)
        for (size_t h = 0; h < l->v.heads; h++) {
            float *to = fm_rows_at(&l->gvalue, i) + h * l->v.n;

            memcpy(to, fm_heads_at(&d->gv, h, i), l->v.n * sizeof *to);
            clip_back(to, fm_heads_at(&l->v, h, i), l->v.n, most);
        }
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_VALUE, 0 }, &l->gvalue, 0, d->rows, true,
                    &l->input_norm.gy);
}

static void grouped_back(fm_decoder *d, size_t layer)
{
    const fm_decoder_layer *at = &d->s->layout.layer[layer];
    const fm_layer *l = &d->layers[layer];

    project_back(d, layer, FM_MAP_QUERY, &l->query, &l->query_norm, at->query_norm, &d->gq, false,
                 &l->gquery);
    project_back(d, layer, FM_MAP_KEY, &l->key, &l->key_norm, at->key_norm, &d->gk, true, &l->gkey);
    values_back(d, layer);
}

/* ---- latent ---- */

static void latent_query(fm_decoder *d, size_t layer)
{
    fm_layer *l = &d->layers[layer];
    const fm_rows *in = &l->attention_in;

    if (d->s->config.query_rank) {
        fm_map_forward(d, (fm_map_id){ layer, FM_MAP_QUERY_A, 0 }, in, 0, d->rows, false,
                       &l->query_a);
        fm_norm_forward(&l->query_a_norm, weights_at(d, d->s->layout.layer[layer].query_a_norm),
                        FM_INNER_EPSILON, &l->query_a, d->rows, &l->query_in);
        in = &l->query_in;
    }
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_QUERY, 0 }, in, 0, d->rows, false, &l->query);
}

/* Row i's projections to the heads' queries, keys and values: of a key the last part, which has the
 * position, is the same in all heads. */
static void latent_heads(const fm_decoder *d, const fm_layer *l, size_t i)
{
    const size_t query = l->q.n, value = l->v.n, plain = query - d->s->config.rotary;
    const float *positioned = fm_rows_at(&l->latent, i) + d->s->config.key_value_rank;
    const uint32_t at = d->positions[i];

    for (size_t h = 0; h < l->q.heads; h++) {
        const float *kv = fm_rows_at(&l->latent_b, i) + h * (plain + value);
        float *q = fm_heads_at(&l->q, h, i), *k = fm_heads_at(&l->k, h, i);

        memcpy(q, fm_rows_at(&l->query, i) + h * query, query * sizeof *q);
        fm_rotary_turn(&d->rotary, at, q + plain, q + plain);
        memcpy(k, kv, plain * sizeof *k);
        fm_rotary_turn(&d->rotary, at, positioned, k + plain);
        memcpy(fm_heads_at(&l->v, h, i), kv + plain, value * sizeof *k);
    }
}

static void latent(fm_decoder *d, size_t layer)
{
    fm_layer *l = &d->layers[layer];

    latent_query(d, layer);
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_LATENT, 0 }, &l->attention_in, 0, d->rows, false,
                   &l->latent);
    fm_norm_forward(&l->latent_norm, weights_at(d, d->s->layout.layer[layer].latent_norm),
                    FM_INNER_EPSILON, &l->latent, d->rows, &l->latent_in);
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_LATENT_B, 0 }, &l->latent_in, 0, d->rows, false,
                   &l->latent_b);
    for (size_t i = 0; i < d->rows; i++)
        latent_heads(d, l, i);
}

/* Row i's gradients of heads to those of the projections; the norm's part of glatent is 0 yet. */
static void latent_heads_back(const fm_decoder *d, const fm_layer *l, size_t i)
{
    const size_t query = l->q.n, value = l->v.n, plain = query - d->s->config.rotary;
    float *glatent = fm_rows_at(&l->glatent, i);
    float *positioned = glatent + d->s->config.key_value_rank;

    memset(glatent, 0, l->glatent.n * sizeof *glatent);
    for (size_t h = 0; h < l->q.heads; h++) {
        const float *gq = fm_heads_at(&d->gq, h, i), *gk = fm_heads_at(&d->gk, h, i);
        float *to = fm_rows_at(&l->gquery, i) + h * query;
        float *kv = fm_rows_at(&l->glatent_b, i) + h * (plain + value);

        memcpy(to, gq, plain * sizeof *to);
        fm_rotary_back(&d->rotary, d->positions[i], gq + plain, to + plain);
        memcpy(kv, gk, plain * sizeof *kv);
        memcpy(kv + plain, fm_heads_at(&d->gv, h, i), value * sizeof *kv);
        fm_kernel_add_scaled(positioned, 1.0f, gk + plain, d->s->config.rotary);
    }
    fm_rotary_back(&d->rotary, d->positions[i], positioned, positioned);
}

static void latent_query_back(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];
    const fm_norm *norm = &l->query_a_norm;

    if (!d->s->config.query_rank) {
        fm_map_backward(d, (fm_map_id){ layer, FM_MAP_QUERY, 0 }, &l->gquery, 0, d->rows, false,
                        &l->input_norm.gy);
        return;
    }
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_QUERY, 0 }, &l->gquery, 0, d->rows, false,
                    &norm->gy);
    for (size_t i = 0; i < d->rows; i++)
        memset(fm_rows_at(&l->gquery_a, i), 0, l->gquery_a.n * sizeof(float));
    fm_norm_backward(norm, weights_at(d, d->s->layout.layer[layer].query_a_norm), &l->query_a,
                     d->rows, &l->gquery_a);
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_QUERY_A, 0 }, &l->gquery_a, 0, d->rows, false,
                    &l->input_norm.gy);
}

static void latent_back(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];

    for (size_t i = 0; i < d->rows; i++)
        latent_heads_back(d, l, i);
    latent_query_back(d, layer);
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_LATENT_B, 0 }, &l->glatent_b, 0, d->rows, false,
                    &l->latent_norm.gy);
    fm_norm_backward(&l->latent_norm, weights_at(d, d->s->layout.layer[layer].latent_norm),
                     &l->latent, d->rows, &l->glatent);
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_LATENT, 0 }, &l->glatent, 0, d->rows, true,
                    &l->input_norm.gy);
}

/* ---- both ---- */

void fm_layer_attend(fm_decoder *d, size_t layer)
{
    const fm_decoder_config *f = &d->s->config;
    fm_layer *l = &d->layers[layer];

    fm_norm_forward(&l->input_norm, weights_at(d, d->s->layout.layer[layer].input_norm),
                    f->norm_epsilon, &l->in, d->rows, &l->attention_in);
    if (f->attention == FM_ATTENTION_LATENT)
        latent(d, layer);
    else
        grouped(d, layer);
    for (size_t s = 0, first = 0; s < d->sequences; first = d->ends[s++])
        fm_attend_forward(&d->attend, &l->q, &l->k, &l->v, first, d->ends[s] - first, &l->mixed,
                          l->logs);
    memcpy(l->middle.v, l->in.v, d->rows * l->in.stride * sizeof *l->in.v);
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_OUTPUT, 0 }, &l->mixed, 0, d->rows, true,
                   &l->middle);
}

/* From gmiddle the gradient of the layer's input, to what the layer before gives on. */
void fm_layer_attend_back(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];
    const fm_rows *gx = layer ? &d->layers[layer - 1].gout : &d->gembedded;

    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_OUTPUT, 0 }, &l->gmiddle, 0, d->rows, false,
                    &d->gmixed);
    for (size_t s = 0, first = 0; s < d->sequences; first = d->ends[s++])
        fm_attend_backward(&d->attend, &l->q, &l->k, &l->v, first, d->ends[s] - first, &l->mixed,
                           l->logs, &d->gmixed, &d->gq, &d->gk, &d->gv);
    if (d->s->config.attention == FM_ATTENTION_LATENT)
        latent_back(d, layer);
    else
        grouped_back(d, layer);
    memcpy(gx->v, l->gmiddle.v, d->rows * gx->stride * sizeof *gx->v);
    fm_norm_backward(&l->input_norm, weights_at(d, d->s->layout.layer[layer].input_norm), &l->in,
                     d->rows, gx);
}
