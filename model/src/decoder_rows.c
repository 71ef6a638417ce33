/*
 * The buffers of one object. Of a layer's rows those that the backward pass reads, and those that
 * the tape multiplies, are its own; the others, and all of a forward-only object's, are shared by
 * all layers. A frozen map costs no rows of activations and none of output gradients.
 */
#include <string.h>

#include "decoder_internal.h"

typedef struct {
    fm_carver *c;
    fm_decoder *d;
    size_t n;
    fm_layer *common, *l;
} plan;

/* Rows of `columns`: the layer's own, or the common ones. */
static void lay(plan *p, bool own, size_t each, size_t columns, fm_rows *common, fm_rows *out)
{
    if (own) {
        fm_rows_carve(p->c, p->n, each, columns, out);
        return;
    }
    if (!common->n)
        fm_rows_carve(p->c, p->n, each, columns, common);
    *out = *common;
}

#define LAY(own, each, columns, field) lay(p, own, each, columns, &p->common->field, &p->l->field)

static void lay_heads(plan *p, size_t heads, size_t n, fm_heads *common, fm_heads *out)
{
    if (p->d->learns) {
        fm_heads_carve(p->c, heads, p->n, n, out);
        return;
    }
    if (!common->n)
        fm_heads_carve(p->c, heads, p->n, n, common);
    *out = *common;
}

/* Whether the tape multiplies a map's input, or the gradient of its output. */
static bool wants_x(const fm_decoder *d, size_t kind)
{
    return fm_map_trained(d->s, kind) ||
           (fm_map_adapted(d->s, kind) && d->s->options.adapters.train_a);
}

static bool wants_g(const fm_decoder *d, size_t kind)
{
    return fm_map_trained(d->s, kind) ||
           (fm_map_adapted(d->s, kind) && !d->s->options.adapters.square);
}

#define X(kind) wants_x(p->d, kind)
#define G(kind) wants_g(p->d, kind)

static void lay_norm(plan *p, size_t columns, fm_norm *common, fm_norm *out)
{
    out->scale = fm_carve_floats(p->c, p->n, 1);
    if (p->d->learns)
        lay(p, fm_decoder_trains(p->d, FM_TRAIN_NORMS), 1, columns, &common->gy, &out->gy);
}

static void lay_grouped(plan *p, const fm_decoder_config *f)
{
    const size_t query = f->heads * f->query_head, key = f->key_heads * f->query_head;
    const size_t value = f->key_heads * f->value_head;
    const bool back = p->d->learns, before = back && f->query_key_norm;
    const bool clipped = back && f->clip_query_key_value > 0.0;

    LAY(before || clipped, 1, query, query);
    LAY(before || clipped, 1, key, key);
    LAY(false, 1, value, value);
    if (f->query_key_norm) {
        lay_norm(p, query, &p->common->query_norm, &p->l->query_norm);
        lay_norm(p, key, &p->common->key_norm, &p->l->key_norm);
    }
    if (!back)
        return;
    LAY(G(FM_MAP_QUERY), 1, query, gquery);
    LAY(G(FM_MAP_KEY), 1, key, gkey);
    LAY(G(FM_MAP_VALUE), 1, value, gvalue);
}

static void lay_latent(plan *p, const fm_decoder_config *f)
{
    const size_t query = f->heads * f->query_head, latent = f->key_value_rank + f->rotary;
    const size_t b = f->heads * (f->query_head - f->rotary + f->value_head);
    const bool back = p->d->learns;

    LAY(false, 1, query, query);
    if (f->query_rank) {
        LAY(back, 1, f->query_rank, query_a);
        LAY(back && X(FM_MAP_QUERY), 1, f->query_rank, query_in);
        lay_norm(p, f->query_rank, &p->common->query_a_norm, &p->l->query_a_norm);
    }
    LAY(back, 1, latent, latent);
    LAY(back && X(FM_MAP_LATENT_B), 1, f->key_value_rank, latent_in);
    lay_norm(p, f->key_value_rank, &p->common->latent_norm, &p->l->latent_norm);
    LAY(false, 1, b, latent_b);
    if (!back)
        return;
    LAY(G(FM_MAP_QUERY), 1, query, gquery);
    if (f->query_rank)
        LAY(G(FM_MAP_QUERY_A), 1, f->query_rank, gquery_a);
    LAY(G(FM_MAP_LATENT), 1, latent, glatent);
    LAY(G(FM_MAP_LATENT_B), 1, b, glatent_b);
}

static void lay_attention(plan *p, const fm_decoder_config *f)
{
    const bool back = p->d->learns, latent = f->attention == FM_ATTENTION_LATENT;
    const size_t keys = latent ? f->heads : f->key_heads;

    LAY(back && (X(FM_MAP_QUERY) || X(FM_MAP_KEY) || X(FM_MAP_VALUE) || X(FM_MAP_QUERY_A) ||
                 X(FM_MAP_LATENT)),
        1, f->width, attention_in);
    if (latent)
        lay_latent(p, f);
    else
        lay_grouped(p, f);
    lay_heads(p, f->heads, f->query_head, &p->common->q, &p->l->q);
    lay_heads(p, keys, f->query_head, &p->common->k, &p->l->k);
    lay_heads(p, keys, f->value_head, &p->common->v, &p->l->v);
    p->l->logs = fm_carve_floats(p->c, f->heads, p->n);
    LAY(back, 1, f->heads * f->value_head, mixed);
}

static void lay_feed(plan *p, size_t kind, size_t each, size_t hidden, fm_feed *common,
                     fm_feed *out)
{
    const bool back = p->d->learns;

    lay(p, back, each, hidden, &common->gate, &out->gate);
    lay(p, back, each, hidden, &common->up, &out->up);
    lay(p, back && X(kind + FM_PART_DOWN), each, hidden, &common->hidden, &out->hidden);
    if (!back)
        return;
    lay(p, G(kind + FM_PART_GATE), each, hidden, &common->ggate, &out->ggate);
    lay(p, G(kind + FM_PART_UP), each, hidden, &common->gup, &out->gup);
}

static void lay_experts(plan *p, const fm_decoder_config *f)
{
    const bool back = p->d->learns;

    LAY(false, 1, f->experts, scores);
    LAY(back, 1, f->experts, chances);
    p->l->weights = fm_carve_floats(p->c, p->n, f->top_k);
    p->l->sorted_weights = fm_carve_floats(p->c, p->n, f->top_k);
    fm_dispatch_carve(p->c, p->n, f->experts, f->top_k, &p->l->dispatch);
    LAY(back && (X(FM_MAP_EXPERT) || X(FM_MAP_EXPERT + FM_PART_UP)), f->top_k, f->width, sorted);
    lay_feed(p, FM_MAP_EXPERT, f->top_k, f->expert_hidden, &p->common->experts, &p->l->experts);
    if (f->shared_hidden)
        lay_feed(p, FM_MAP_SHARED, 1, f->shared_hidden, &p->common->shared, &p->l->shared);
    if (!back)
        return;
    LAY(G(FM_MAP_ROUTER), 1, f->experts, gscores);
    LAY(G(FM_MAP_EXPERT + FM_PART_DOWN), f->top_k, f->width, gsorted);
}

static void lay_low(plan *p, const fm_decoder_config *f, bool dense)
{
    const fm_decoder_adapters *a = &p->d->s->options.adapters;

    for (size_t k = 0; k < FM_MAP_COUNT; k++) {
        const bool sparse = k >= FM_MAP_EXPERT;
        const size_t each = sparse ? f->top_k : 1;

        if (!fm_map_adapted(p->d->s, k) || (sparse && dense) ||
            (!sparse && !fm_map_of(p->d, (size_t)(p->l - p->d->layers), k, 0)->base.in))
            continue;
        lay(p, true, each, a->rank, &p->common->low[k].x, &p->l->low[k].x);
        lay(p, a->train_a, each, a->rank, &p->common->low[k].g, &p->l->low[k].g);
        if (!a->square)
            continue;
        lay(p, false, each, a->rank, &p->common->low[k].y, &p->l->low[k].y);
        lay(p, true, each, a->rank, &p->common->low[k].gy, &p->l->low[k].gy);
    }
}

static void lay_layer(plan *p, const fm_decoder_config *f, bool dense)
{
    const bool back = p->d->learns;

    LAY(back, 1, f->width, in);
    LAY(back, 1, f->width, middle);
    lay_norm(p, f->width, &p->common->input_norm, &p->l->input_norm);
    lay_norm(p, f->width, &p->common->post_norm, &p->l->post_norm);
    lay_attention(p, f);
    LAY(back && (X(FM_MAP_ROUTER) || X(FM_MAP_GATE) || X(FM_MAP_SHARED)), 1, f->width, feed_in);
    if (dense)
        lay_feed(p, FM_MAP_GATE, 1, f->dense_hidden, &p->common->dense, &p->l->dense);
    else
        lay_experts(p, f);
    lay_low(p, f, dense);
    if (!back)
        return;
    LAY(G(FM_MAP_OUTPUT), 1, f->width, gmiddle);
    LAY(G(FM_MAP_GATE + FM_PART_DOWN) || G(FM_MAP_SHARED + FM_PART_DOWN), 1, f->width, gout);
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t most_hidden(const fm_decoder_config *f)
{
    const size_t dense = f->dense_layers ? f->dense_hidden : 0;

    return f->dense_layers < f->layers ? greater(dense, f->shared_hidden) : dense;
}

/* Of the rows that have a gain. */
static size_t widest(const fm_decoder_config *f)
{
    return greater(greater(f->width, f->heads * f->query_head),
                   greater(f->query_rank, f->key_value_rank));
}

/* Any map's packed weights, and a stripe of the head's. */
static size_t panels(const fm_decoder *d)
{
    const fm_decoder_config *f = &d->s->config;
    size_t most = fm_panels_floats(f->width, FM_HEAD_STRIPE);

    most = greater(most, fm_panels_floats(FM_HEAD_STRIPE, f->width));
    for (size_t i = 0; i < f->layers; i++)
        for (size_t k = 0; k < FM_MAP_COUNT; k++) {
            const fm_map *m;

            if (k >= FM_MAP_EXPERT && i < f->dense_layers)
                break;
            m = fm_map_of(d, i, k, 0);
            most = greater(most, fm_linear_panels(&m->base));
            if (m->adapted)
                most = greater(most,
                               greater(fm_linear_panels(&m->a),
                                       greater(fm_linear_panels(&m->r), fm_linear_panels(&m->b))));
        }
    return most;
}

/* What all layers share besides their rows. */
static void lay_scratch(plan *p, const fm_decoder_config *f)
{
    fm_decoder *d = p->d;
    fm_carver *c = p->c;
    const size_t n = p->n, pairs = f->dense_layers < f->layers ? f->top_k : 0;
    const bool latent = f->attention == FM_ATTENTION_LATENT;
    const size_t keys = latent ? f->heads : f->key_heads;
    const size_t turned = latent ? 0 : f->heads * f->query_head;

    fm_rows_carve(c, n, pairs, f->width, &d->passed);
    fm_rows_carve(c, n, 1, turned, &d->turned);
    if (!d->learns)
        return;
    fm_rows_carve(c, n, 1, most_hidden(f), &d->ghidden);
    fm_rows_carve(c, n, pairs, f->expert_hidden, &d->gpassed);
    fm_rows_carve(c, n, 1, f->heads * f->value_head, &d->gmixed);
    fm_heads_carve(c, f->heads, n, f->query_head, &d->gq);
    fm_heads_carve(c, keys, n, f->query_head, &d->gk);
    fm_heads_carve(c, keys, n, f->value_head, &d->gv);
    fm_rows_carve(c, n, 1, f->width, &d->gembedded);
    d->first_same = fm_carve(c, f->vocabulary, 1, sizeof *d->first_same);
    d->next_same = fm_carve(c, n, 1, sizeof *d->next_same);
}

static void carve(fm_carver *c, void *object)
{
    fm_decoder *d = object;
    const fm_decoder_config *f = &d->s->config;
    plan p = { .c = c, .d = d, .n = d->max_tokens, .common = &d->common };

    d->common = (fm_layer){ 0 };
    for (size_t i = 0; i < f->layers; i++) {
        p.l = &d->layers[i];
        lay_layer(&p, f, i < f->dense_layers);
    }
    lay_scratch(&p, f);
    p.l = &d->common;
    lay_norm(&p, f->width, &d->common.input_norm, &d->last_norm);
    fm_rows_carve(c, p.n, 1, f->width, &d->last);
    fm_rows_carve(c, p.n, 1, f->width, &d->head_in);
    d->panels = fm_carve_floats(c, panels(d), 1);
    fm_attend_carve(c, p.n, d->learns, &d->attend);
    fm_head_carve(c, d);
    d->choice = fm_carve_floats(c, f->experts, 1);
    d->group = fm_carve_floats(c, f->experts, 1);
    d->chosen = fm_carve(c, f->experts, 1, sizeof *d->chosen);
    d->gweights = fm_carve_floats(c, p.n, f->top_k);
    d->tokens = fm_carve(c, p.n, 1, sizeof *d->tokens);
    d->positions = fm_carve(c, p.n, 1, sizeof *d->positions);
    d->ends = fm_carve(c, p.n, 1, sizeof *d->ends);
    d->unit_ends = fm_carve(c, p.n, 1, sizeof *d->unit_ends);
    d->row_weights = fm_carve_floats(c, p.n, 1);
    d->wide = fm_carve_floats(c, widest(f), 1);
    fm_rotary_carve(c, p.n < f->context ? p.n : f->context, f->rotary, &d->rotary);
    fm_tape_carve(c, &d->tape);
}

fm_status fm_decoder_rows_make(fm_decoder *d)
{
    return fm_carve_all(carve, d, &d->arena);
}
