/* The adapters' flat vector: in, out, and where a training begins. */
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

#define MAX_RANK 1024 /* of an adapter: decoder.h */

size_t fm_decoder_adapter_parameters(const fm_decoder *d)
{
    return d->s->adapter_parameters;
}

fm_status fm_decoder_adapters_set(fm_decoder *d, const float *flat, size_t n)
{
    return fm_decoder_copy_weights(d, d->s->adapter, d->s->adapter_parameters, flat, n);
}

fm_status fm_decoder_adapters_set_trained(fm_decoder *d, const float *flat, size_t n)
{
    return fm_decoder_copy_weights(d, d->s->adapter, d->s->adapter_trained, flat, n);
}

void fm_decoder_adapters_get(const fm_decoder *d, float *flat)
{
    if (d->s->adapter_parameters)
        memcpy(flat, d->s->adapter, d->s->adapter_parameters * sizeof *flat);
}

static void product(const fm_decoder *d, const fm_map *m, float *flat)
{
    if (m->adapted)
        fm_square_product(d->s->adapter + m->b.weight, d->s->adapter + m->r.weight, m->base.out,
                          m->r.in, flat + m->b.weight);
}

void fm_decoder_adapters_get_plain(const fm_decoder *d, float *flat)
{
    const fm_decoder_config *c = &d->s->config;

    fm_decoder_adapters_get(d, flat);
    for (size_t i = 0; d->s->options.adapters.square && i < c->layers; i++) {
        const fm_layer_maps *m = &d->s->layers[i];

        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            product(d, &m->fixed[k], flat);
        for (size_t e = 0; i >= c->dense_layers && e < c->experts * FM_PARTS; e++)
            product(d, &m->experts[e], flat);
    }
}

static fm_status begin_square(const fm_decoder *d, const fm_map *m, fm_rng *rng)
{
    float *flat = d->own->adapter;

    memset(flat + m->r.weight, 0, m->r.in * m->r.out * sizeof *flat);
    return fm_square_begin(d->s->theta + m->base.weight, m->base.in, m->base.out, m->r.in, rng,
                           flat + m->a.weight, flat + m->b.weight);
}

static fm_status begin(const fm_decoder *d, const fm_map *m, fm_rng *rng)
{
    float *a, most;

    if (!m->adapted)
        return FM_OK;
    if (d->s->options.adapters.square)
        return begin_square(d, m, rng);
    a = d->own->adapter + m->a.weight;
    most = (float)(1.0 / sqrt((double)m->a.in));
    for (size_t i = 0; i < m->a.in * m->a.out; i++)
        a[i] = (float)(2.0 * fm_rng_unit(rng) - 1.0) * most;
    memset(d->own->adapter + m->b.weight, 0, m->b.in * m->b.out * sizeof *a);
    return FM_OK;
}

fm_status fm_decoder_adapters_init(fm_decoder *d, fm_rng *rng)
{
    const fm_decoder_config *c = &d->s->config;
    fm_status st = FM_OK;

    if (!d->own || !d->own->adapter)
        return fm_fail(FM_EINVAL, "decoder: there are no adapters here to begin with");
    for (size_t i = 0; i < c->layers; i++) {
        const fm_layer_maps *m = &d->s->layers[i];

        for (size_t k = 0; !st && k < FM_MAP_EXPERT; k++)
            st = begin(d, &m->fixed[k], rng);
        for (size_t e = 0; !st && i >= c->dense_layers && e < c->experts * FM_PARTS; e++)
            st = begin(d, &m->experts[e], rng);
    }
    fm_decoder_maps_refresh(d->own);
    fm_tape_set_rows(&d->tape, 0);
    return st;
}

/* base += alpha / rank * B A, row by row. */
static void merge(const fm_decoder *d, const fm_map *m, float *base)
{
    const fm_decoder_adapters *o = &d->s->options.adapters;
    const float scale = (float)(o->alpha / (double)o->rank);
    float row[MAX_RANK];

    for (size_t i = 0; m->adapted && i < m->base.out; i++) {
        memcpy(row, d->s->adapter + m->b.weight + i * o->rank, o->rank * sizeof *row);
        if (o->square)
            fm_square_product(d->s->adapter + m->b.weight + i * o->rank,
                              d->s->adapter + m->r.weight, 1, o->rank, row);
        for (size_t r = 0; r < o->rank; r++)
            fm_kernel_add_scaled(base + m->base.weight + i * m->base.in, scale * row[r],
                                 d->s->adapter + m->a.weight + r * m->base.in, m->base.in);
    }
}

void fm_decoder_adapters_merge(const fm_decoder *d, float *flat)
{
    const fm_decoder_config *c = &d->s->config;

    for (size_t i = 0; i < c->layers; i++) {
        const fm_layer_maps *m = &d->s->layers[i];

        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            merge(d, &m->fixed[k], flat);
        for (size_t e = 0; i >= c->dense_layers && e < c->experts * FM_PARTS; e++)
            merge(d, &m->experts[e], flat);
    }
}

/* The kind of a bit of fm_decoder_adapt; FM_MAP_COUNT of none. */
static size_t kind_of(unsigned map, size_t part)
{
    for (size_t k = 0; k < FM_MAP_ROUTER; k++)
        if (map == 1u << k)
            return part ? FM_MAP_COUNT : k;
    if (part >= FM_PARTS)
        return FM_MAP_COUNT;
    return map == FM_ADAPT_DENSE     ? FM_MAP_GATE + part
           : map == FM_ADAPT_SHARED  ? FM_MAP_SHARED + part
           : map == FM_ADAPT_EXPERTS ? FM_MAP_EXPERT + part
                                     : FM_MAP_COUNT;
}

bool fm_decoder_adapter_at(const fm_decoder *d, size_t layer, unsigned map, size_t part,
                           size_t expert, fm_decoder_adapter *out)
{
    const fm_decoder_config *c = &d->s->config;
    const size_t kind = kind_of(map, part);
    const bool routed = kind >= FM_MAP_EXPERT;
    const fm_map *m;

    if (kind == FM_MAP_COUNT || layer >= c->layers ||
        (routed && (layer < c->dense_layers || expert >= c->experts)))
        return false;
    m = fm_map_of(d, layer, kind, expert);
    if (!m->adapted)
        return false;
    *out = (fm_decoder_adapter){ m->a.weight, m->b.weight, m->base.in, m->base.out };
    return true;
}
