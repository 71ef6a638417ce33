/* The linear maps of all layers, and their adapters: where each lies in its flat vector. */
#include <stdlib.h>

#include "decoder_internal.h"

bool fm_map_trained(const fm_decoder_shared *s, size_t kind)
{
    const unsigned bit = kind >= FM_MAP_EXPERT   ? FM_TRAIN_EXPERTS
                         : kind >= FM_MAP_SHARED ? FM_TRAIN_SHARED
                         : kind >= FM_MAP_GATE   ? FM_TRAIN_DENSE
                         : kind == FM_MAP_ROUTER ? FM_TRAIN_ROUTER
                                                 : FM_TRAIN_ATTENTION;

    return s->options.train & bit;
}

/* The bit of fm_decoder_adapt; 0 of the router. */
static unsigned adapt_bit(size_t kind)
{
    if (kind < FM_MAP_ROUTER)
        return 1u << kind;
    return kind >= FM_MAP_EXPERT   ? FM_ADAPT_EXPERTS
           : kind >= FM_MAP_SHARED ? FM_ADAPT_SHARED
           : kind >= FM_MAP_GATE   ? FM_ADAPT_DENSE
                                   : 0;
}

bool fm_map_adapted(const fm_decoder_shared *s, size_t kind)
{
    return s->options.adapters.rank && (s->options.adapters.maps & adapt_bit(kind));
}

static void place(fm_map *m, size_t in, size_t out, size_t weight, size_t bias, double scale)
{
    m->base = (fm_linear){ .weight = FM_ABSENT, .bias = FM_ABSENT };
    if (weight == FM_DECODER_ABSENT)
        return;
    m->base = (fm_linear){ .in = in,
                           .out = out,
                           .weight = weight,
                           .bias = bias,
                           .weight_scale = scale,
                           .bias_scale = scale };
}

static void place_attention(const fm_decoder_config *c, const fm_decoder_layer *l, fm_map *m)
{
    const size_t query = c->heads * c->query_head, plain = c->query_head - c->rotary;
    const bool two = l->query == FM_DECODER_ABSENT;

    place(&m[FM_MAP_QUERY], two ? c->query_rank : c->width, query, two ? l->query_b : l->query,
          l->query_bias, 1.0);
    place(&m[FM_MAP_KEY], c->width, c->key_heads * c->query_head, l->key, l->key_bias, 1.0);
    place(&m[FM_MAP_VALUE], c->width, c->key_heads * c->value_head, l->value, l->value_bias, 1.0);
    place(&m[FM_MAP_QUERY_A], c->width, c->query_rank, l->query_a, l->query_a_bias, 1.0);
    place(&m[FM_MAP_LATENT], c->width, c->key_value_rank + c->rotary, l->latent, l->latent_bias,
          1.0);
    place(&m[FM_MAP_LATENT_B], c->key_value_rank, c->heads * (plain + c->value_head), l->latent_b,
          FM_DECODER_ABSENT, 1.0);
    place(&m[FM_MAP_OUTPUT], c->heads * c->value_head, c->width, l->output, l->output_bias,
          c->residual_multiplier);
}

static void place_feed(const fm_decoder_config *c, size_t hidden, size_t gate, size_t up,
                       size_t down, fm_map *m)
{
    place(&m[FM_PART_GATE], c->width, hidden, gate, FM_DECODER_ABSENT, 1.0);
    place(&m[FM_PART_UP], c->width, hidden, up, FM_DECODER_ABSENT, 1.0);
    place(&m[FM_PART_DOWN], hidden, c->width, down, FM_DECODER_ABSENT, c->residual_multiplier);
}

static void place_layer(const fm_decoder_config *c, const fm_decoder_layer *l, fm_layer_maps *maps)
{
    fm_map *m = maps->fixed;

    place_attention(c, l, m);
    place(&m[FM_MAP_ROUTER], c->width, c->experts, l->router, FM_DECODER_ABSENT, 1.0);
    place_feed(c, c->dense_hidden, l->gate, l->up, l->down, m + FM_MAP_GATE);
    place_feed(c, c->shared_hidden, l->shared_gate, l->shared_up, l->shared_down,
               m + FM_MAP_SHARED);
    for (size_t e = 0; l->router != FM_DECODER_ABSENT && e < c->experts; e++) {
        const size_t from = e * l->expert_stride;

        place_feed(c, c->expert_hidden, l->expert_gate + from, l->expert_up + from,
                   l->expert_down + from, maps->experts + e * FM_PARTS);
    }
}

static void place_a(fm_decoder_shared *s, fm_map *m)
{
    const size_t rank = s->options.adapters.rank;

    m->a = (fm_linear){ .in = m->base.in,
                        .out = rank,
                        .weight = s->adapter_parameters,
                        .bias = FM_ABSENT,
                        .weight_scale = 1.0 };
    s->adapter_parameters += rank * m->base.in;
}

static void place_b(fm_decoder_shared *s, fm_map *m)
{
    const fm_decoder_adapters *o = &s->options.adapters;

    m->b = (fm_linear){ .in = o->rank,
                        .out = m->base.out,
                        .weight = s->adapter_parameters,
                        .bias = FM_ABSENT,
                        .weight_scale = o->alpha / (double)o->rank * m->base.weight_scale };
    s->adapter_parameters += o->rank * m->base.out;
}

static void place_r(fm_decoder_shared *s, fm_map *m)
{
    const size_t rank = s->options.adapters.rank;

    m->r = (fm_linear){ .in = rank,
                        .out = rank,
                        .weight = s->adapter_parameters,
                        .bias = FM_ABSENT,
                        .weight_scale = 1.0 };
    s->adapter_parameters += rank * rank;
}

typedef void placing(fm_decoder_shared *s, fm_map *m);

static void place_both(fm_decoder_shared *s, fm_map *m)
{
    place_a(s, m);
    place_b(s, m);
}

static void adapt(fm_decoder_shared *s, size_t kind, fm_map *m, placing *piece)
{
    if (!m->base.in || !fm_map_adapted(s, kind))
        return;
    m->adapted = true;
    piece(s, m);
}

/* Experts of a layer; 0 where it is dense. */
static size_t experts_of(const fm_decoder_shared *s, size_t layer)
{
    return layer < s->config.dense_layers ? 0 : s->config.experts;
}

static void adapt_all(fm_decoder_shared *s, placing *piece)
{
    for (size_t i = 0; i < s->config.layers; i++) {
        fm_layer_maps *m = &s->layers[i];

        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            adapt(s, k, &m->fixed[k], piece);
        for (size_t e = 0; e < experts_of(s, i) * FM_PARTS; e++)
            adapt(s, FM_MAP_EXPERT, &m->experts[e], piece);
    }
}

/* What is trained first. */
static void place_adapters(fm_decoder_shared *s)
{
    const fm_decoder_adapters *o = &s->options.adapters;

    adapt_all(s, o->square ? place_r : o->train_a ? place_both : place_b);
    s->adapter_trained = s->adapter_parameters;
    if (!o->train_a)
        adapt_all(s, place_a);
    if (o->square)
        adapt_all(s, place_b);
}

/* More than the map has would be no basis. */
static fm_status check_square(const fm_decoder_shared *s)
{
    const fm_decoder_adapters *o = &s->options.adapters;

    for (size_t i = 0; o->square && i < s->config.layers; i++)
        for (size_t k = 0; k < (experts_of(s, i) ? FM_MAP_COUNT : FM_MAP_EXPERT); k++) {
            const fm_map *m = k < FM_MAP_EXPERT ? &s->layers[i].fixed[k]
                                                : &s->layers[i].experts[k - FM_MAP_EXPERT];

            if (m->adapted && (o->rank > m->base.in || o->rank > m->base.out))
                return fm_fail(
                    FM_EINVAL,
                    "decoder: square adapters of rank %zu on a map of %zu inputs and %zu "
                    "outputs; the rank is at most the smaller of the two",
                    o->rank, m->base.in, m->base.out);
        }
    return FM_OK;
}

fm_status fm_decoder_maps_make(fm_decoder_shared *s)
{
    const fm_decoder_config *c = &s->config;
    const size_t sparse = c->layers - c->dense_layers;
    size_t taken = 0;
    fm_status st;

    if ((st = fm_alloc(c->layers, sizeof *s->layers, (void **)&s->layers)) ||
        (sparse &&
         (st = fm_alloc(sparse * c->experts * FM_PARTS, sizeof *s->experts, (void **)&s->experts))))
        return st;
    for (size_t i = 0; i < c->layers; i++) {
        fm_layer_maps *m = &s->layers[i];

        m->experts = s->experts ? s->experts + taken * FM_PARTS : NULL;
        taken += experts_of(s, i);
        place_layer(c, &s->layout.layer[i], m);
    }
    place_adapters(s);
    s->head = (fm_linear){ .in = c->width,
                           .out = c->vocabulary,
                           .weight = s->layout.head,
                           .bias = FM_ABSENT,
                           .weight_scale = 1.0 / c->logits_divisor };
    return check_square(s);
}

void fm_decoder_maps_free(fm_decoder_shared *s)
{
    free(s->layers);
    free(s->experts);
}

static void refresh(const fm_decoder_shared *s, fm_map *m)
{
    if (!m->base.in)
        return;
    fm_linear_refresh(&m->base, s->theta);
    if (m->adapted) {
        fm_linear_refresh(&m->a, s->adapter);
        if (s->options.adapters.square)
            fm_linear_refresh(&m->r, s->adapter);
        fm_linear_refresh(&m->b, s->adapter);
    }
}

void fm_decoder_maps_refresh(fm_decoder_shared *s)
{
    for (size_t i = 0; i < s->config.layers; i++) {
        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            refresh(s, &s->layers[i].fixed[k]);
        for (size_t e = 0; e < experts_of(s, i) * FM_PARTS; e++)
            refresh(s, &s->layers[i].experts[e]);
    }
    fm_linear_refresh(&s->head, s->theta);
}

static const fm_map *map_of(const fm_decoder *d, fm_map_id id)
{
    return fm_map_of(d, id.layer, id.kind, id.expert);
}

void fm_map_forward(const fm_decoder *d, fm_map_id id, const fm_rows *x, size_t first, size_t rows,
                    bool add, const fm_rows *y)
{
    const fm_map *m = map_of(d, id);
    const fm_low *low = &d->layers[id.layer].low[id.kind];
    const bool square = d->s->options.adapters.square;

    fm_linear_forward(&m->base, d->panels, x, first, rows, add, y);
    if (!m->adapted)
        return;
    fm_linear_forward(&m->a, d->panels, x, first, rows, false, &low->x);
    if (square)
        fm_linear_forward(&m->r, d->panels, &low->x, first, rows, false, &low->y);
    fm_linear_forward(&m->b, d->panels, square ? &low->y : &low->x, first, rows, true, y);
}

void fm_map_backward(const fm_decoder *d, fm_map_id id, const fm_rows *gy, size_t first,
                     size_t rows, bool add, const fm_rows *gx)
{
    const fm_map *m = map_of(d, id);
    const fm_low *low = &d->layers[id.layer].low[id.kind];
    const bool square = d->s->options.adapters.square;

    fm_linear_backward(&m->base, d->panels, gy, first, rows, add, gx);
    if (!m->adapted)
        return;
    fm_linear_backward(&m->b, d->panels, gy, first, rows, false, square ? &low->gy : &low->g);
    if (square)
        fm_linear_backward(&m->r, d->panels, &low->gy, first, rows, false, &low->g);
    fm_linear_backward(&m->a, d->panels, &low->g, first, rows, true, gx);
}
