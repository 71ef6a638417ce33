/* The feed-forward half of a layer: one network, or a router, a shared expert and chosen ones, each
 * over its own rows only. Of an expert the router's weight is part of the hidden row, so that its
 * result is a linear map's like any other.
 * Source: Shazeer 2020, arXiv:2002.05202 (SwiGLU); Dai et al. 2024, arXiv:2401.06066. */
#include <string.h>

#include "decoder_internal.h"

/* Rows [first, first + rows) of one network; hidden rows times scales, or 1. */
static void feed(fm_decoder *d, fm_map_id id, const fm_feed *f, const fm_rows *x, size_t first,
                 size_t rows, const float *scales, bool add, const fm_rows *y)
{
    fm_map_id up = id, down = id;

    up.kind += FM_PART_UP;
    down.kind += FM_PART_DOWN;
    if (!rows)
        return;
    fm_map_forward(d, id, x, first, rows, false, &f->gate);
    fm_map_forward(d, up, x, first, rows, false, &f->up);
    for (size_t i = first; i < first + rows; i++)
        fm_kernel_swiglu(fm_rows_at(&f->hidden, i), fm_rows_at(&f->gate, i), fm_rows_at(&f->up, i),
                         scales ? scales[i] : 1.0f, f->gate.n);
    fm_map_forward(d, down, &f->hidden, first, rows, add, y);
}

/* From gy the gradient of x; of scales, when there are such. ghidden: room. */
static void feed_back(fm_decoder *d, fm_map_id id, const fm_feed *f, const fm_rows *gy,
                      size_t first, size_t rows, const float *scales, float *gscales,
                      const fm_rows *ghidden, bool add, const fm_rows *gx)
{
    fm_map_id up = id, down = id;

    up.kind += FM_PART_UP;
    down.kind += FM_PART_DOWN;
    if (!rows)
        return;
    fm_map_backward(d, down, gy, first, rows, false, ghidden);
    for (size_t i = first; i < first + rows; i++) {
        const float g = fm_kernel_swiglu_back(
            fm_rows_at(ghidden, i), fm_rows_at(&f->gate, i), fm_rows_at(&f->up, i),
            scales ? scales[i] : 1.0f, fm_rows_at(&f->ggate, i), fm_rows_at(&f->gup, i), f->gate.n);

        if (gscales)
            gscales[i] = g;
    }
    fm_map_backward(d, id, &f->ggate, first, rows, add, gx);
    fm_map_backward(d, up, &f->gup, first, rows, true, gx);
}

static fm_rows room(const fm_rows *r, size_t n)
{
    return (fm_rows){ .v = r->v, .n = n, .stride = fm_row_stride(n), .per_record = 1 };
}

static void experts(fm_decoder *d, size_t layer, const fm_rows *next)
{
    const fm_layer *l = &d->layers[layer];
    const fm_dispatch *s = &l->dispatch;

    for (size_t e = 0; e < d->s->config.experts; e++)
        feed(d, (fm_map_id){ layer, FM_MAP_EXPERT, e }, &l->experts, &l->sorted, s->starts[e],
             s->starts[e + 1] - s->starts[e], l->sorted_weights, false, &d->passed);
    /* In the order of the row's own experts, whoever else went there. */
    for (size_t p = 0; p < d->rows * s->k; p++)
        fm_kernel_add_scaled(fm_rows_at(next, p / s->k), 1.0f, fm_rows_at(&d->passed, s->places[p]),
                             next->n);
}

void fm_layer_feed(fm_decoder *d, size_t layer, const fm_rows *next)
{
    const fm_decoder_config *f = &d->s->config;
    fm_layer *l = &d->layers[layer];

    fm_norm_forward(&l->post_norm, d->s->theta + d->s->layout.layer[layer].post_norm,
                    f->norm_epsilon, &l->middle, d->rows, &l->feed_in);
    memcpy(next->v, l->middle.v, d->rows * next->stride * sizeof *next->v);
    if (layer < f->dense_layers) {
        feed(d, (fm_map_id){ layer, FM_MAP_GATE, 0 }, &l->dense, &l->feed_in, 0, d->rows, NULL,
             true, next);
        return;
    }
    fm_map_forward(d, (fm_map_id){ layer, FM_MAP_ROUTER, 0 }, &l->feed_in, 0, d->rows, false,
                   &l->scores);
    fm_layer_route(d, layer);
    experts(d, layer, next);
    if (f->shared_hidden)
        feed(d, (fm_map_id){ layer, FM_MAP_SHARED, 0 }, &l->shared, &l->feed_in, 0, d->rows, NULL,
             true, next);
}

static void experts_back(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];
    const fm_dispatch *s = &l->dispatch;
    const fm_rows *gx = &l->post_norm.gy;

    for (size_t p = 0; p < d->rows * s->k; p++)
        memcpy(fm_rows_at(&l->gsorted, p), fm_rows_at(&l->gout, s->order[p]),
               gx->n * sizeof *gx->v);
    for (size_t e = 0; e < d->s->config.experts; e++)
        feed_back(d, (fm_map_id){ layer, FM_MAP_EXPERT, e }, &l->experts, &l->gsorted, s->starts[e],
                  s->starts[e + 1] - s->starts[e], l->sorted_weights, d->gweights, &d->gpassed,
                  false, &d->passed);
    for (size_t i = 0; i < d->rows; i++)
        fm_layer_route_back(d, layer, i);
    fm_map_backward(d, (fm_map_id){ layer, FM_MAP_ROUTER, 0 }, &l->gscores, 0, d->rows, false, gx);
    for (size_t p = 0; p < d->rows * s->k; p++)
        fm_kernel_add_scaled(fm_rows_at(gx, p / s->k), 1.0f, fm_rows_at(&d->passed, s->places[p]),
                             gx->n);
}

/* From gout that of middle. */
void fm_layer_feed_back(fm_decoder *d, size_t layer)
{
    const fm_decoder_config *f = &d->s->config;
    const fm_layer *l = &d->layers[layer];
    const bool dense = layer < f->dense_layers;
    const fm_feed *plain = dense ? &l->dense : &l->shared;
    const fm_rows ghidden = room(&d->ghidden, plain->gate.n);

    if (!dense)
        experts_back(d, layer);
    if (dense || f->shared_hidden)
        feed_back(d, (fm_map_id){ layer, dense ? FM_MAP_GATE : FM_MAP_SHARED, 0 }, plain, &l->gout,
                  0, d->rows, NULL, NULL, &ghidden, !dense, &l->post_norm.gy);
    memcpy(l->gmiddle.v, l->gout.v, d->rows * l->gout.stride * sizeof *l->gout.v);
    fm_norm_backward(&l->post_norm, d->s->theta + d->s->layout.layer[layer].post_norm, &l->middle,
                     d->rows, &l->gmiddle);
}
