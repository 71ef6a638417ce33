/* The feed-forward half of a layer: one network, or a router, chosen experts, each over its own
 * rows of the tile only, and a shared one. */
#include <string.h>

#include "fedmoe/model/kernel.h"
#include "floats.h"
#include "session_internal.h"

/* in through one network to s->result; hidden rows times scales, or 1. */
static fm_status network(fm_edge_session *s, const fm_edge_expert *e, const fm_edge_input *in,
                         const float *scales)
{
    const size_t hidden = e->gate.rows;
    fm_edge_input inner;
    fm_status st;

    fm_edge_apply(s, &e->gate, in, NULL, s->gate);
    fm_edge_apply(s, &e->up, in, NULL, s->up);
    for (size_t i = 0; i < in->rows; i++)
        fm_kernel_swiglu(s->hidden + i * hidden, s->gate + i * hidden, s->up + i * hidden,
                         scales ? scales[i] : 1.0f, hidden);
    if ((st = fm_edge_take(s, s->hidden, in->rows, hidden, 1, &inner)))
        return st;
    fm_edge_apply(s, &e->down, &inner, NULL, s->result);
    return FM_OK;
}

static void add(fm_edge_session *s, size_t to, size_t from)
{
    const size_t width = s->config->width;

    fm_kernel_add_scaled(s->x + to * width, (float)s->config->residual_multiplier,
                         s->result + from * width, width);
}

/* Routes and weights of the rows; pairs of rows and experts in s->order, those of expert e from
 * starts[e] on, each expert's by row. */
static void route(fm_edge_session *s, const fm_edge_layer *l, size_t rows)
{
    const size_t experts = s->config->experts, k = s->config->top_k;

    fm_floats_product(s->normed, rows, l->router, experts, s->config->width, s->scores, experts);
    memset(s->starts, 0, (experts + 1) * sizeof *s->starts);
    for (size_t i = 0; i < rows; i++)
        fm_route(s->config, l->correction, &s->route, s->scores + i * experts, s->routes + i * k,
                 s->weights + i * k);
    for (size_t p = 0; p < rows * k; p++)
        s->starts[s->routes[p] + 1]++;
    for (size_t e = 0; e < experts; e++)
        s->starts[e + 1] += s->starts[e];
    for (size_t p = 0; p < rows * k; p++)
        s->order[s->starts[s->routes[p]]++] = (uint32_t)p;
    /* starts[e] has come to where e ends. */
    memmove(s->starts + 1, s->starts, experts * sizeof *s->starts);
    s->starts[0] = 0;
}

/* The rows of `in` that go to an expert, with their weights in s->chosen. */
static void gather(fm_edge_session *s, const fm_edge_input *in, size_t first, size_t rows,
                   fm_edge_input *out)
{
    const size_t n = in->n, k = s->config->top_k;

    *out = (fm_edge_input){ .x = s->gathered, .rows = rows, .n = n };
    if (in->q) {
        out->q = s->gathered_q;
        out->scale = s->gathered_scale;
    }
    for (size_t j = 0; j < rows; j++) {
        const size_t p = s->order[first + j], i = p / k;

        s->chosen[j] = s->weights[p];
        memcpy(s->gathered + j * n, in->x + i * n, n * sizeof *in->x);
        if (!in->q)
            continue;
        memcpy(out->q + j * n, in->q + i * n, n);
        out->scale[j] = in->scale[i];
    }
}

/* By index, so that a row's results are added in the order of its own experts. */
static fm_status experts(fm_edge_session *s, size_t layer, const fm_edge_input *in)
{
    fm_edge_input own;
    fm_status st;

    for (size_t e = 0; e < s->config->experts; e++) {
        const size_t first = s->starts[e], rows = s->starts[e + 1] - first;
        fm_edge_expert maps;

        if (!rows)
            continue;
        fm_edge_model_touch(s->model, layer, e);
        maps = fm_edge_model_expert(s->model, layer, e);
        gather(s, in, first, rows, &own);
        if ((st = network(s, &maps, &own, s->chosen)))
            return st;
        for (size_t j = 0; j < rows; j++)
            add(s, s->order[first + j] / s->config->top_k, j);
    }
    return FM_OK;
}

fm_status fm_edge_feed(fm_edge_session *s, size_t layer, size_t rows)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_layer *l = fm_edge_model_layer(s->model, layer);
    const bool dense = layer < c->dense_layers;
    const fm_edge_expert plain = { .gate = dense ? l->gate : l->shared_gate,
                                   .up = dense ? l->up : l->shared_up,
                                   .down = dense ? l->down : l->shared_down };
    fm_edge_input in;
    fm_status st;

    fm_edge_norm(l->post_norm, c->norm_epsilon, s->x, rows, c->width, s->normed);
    if ((st = fm_edge_take(s, s->normed, rows, c->width, 0, &in)))
        return st;
    if (!dense) {
        route(s, l, rows);
        if ((st = experts(s, layer, &in)))
            return st;
    }
    if (!dense && !c->shared_hidden)
        return FM_OK;
    if ((st = network(s, &plain, &in, NULL)))
        return st;
    for (size_t i = 0; i < rows; i++)
        add(s, i, i);
    return FM_OK;
}
