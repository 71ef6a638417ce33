/* Which experts a batch's rows go to (route.h), and back through their weights. */
#include <string.h>

#include "decoder_internal.h"
#include "fedmoe/model/route.h"

static void route(fm_decoder *d, size_t layer, size_t i)
{
    const fm_layer *l = &d->layers[layer];
    const size_t correction = d->s->layout.layer[layer].correction;
    const fm_route_room room = { .choice = d->choice, .group = d->group, .chosen = d->chosen };
    float *chances = fm_rows_at(&l->chances, i);

    memcpy(chances, fm_rows_at(&l->scores, i), d->s->config.experts * sizeof *chances);
    fm_route(&d->s->config, correction != FM_DECODER_ABSENT ? d->s->theta + correction : NULL,
             &room, chances, l->dispatch.routes + i * d->s->config.top_k,
             l->weights + i * d->s->config.top_k);
}

void fm_layer_route(fm_decoder *d, size_t layer)
{
    const fm_layer *l = &d->layers[layer];
    fm_dispatch s = l->dispatch;

    for (size_t i = 0; i < d->rows; i++)
        route(d, layer, i);
    fm_dispatch_sort(&s, d->s->config.experts, d->rows);
    for (size_t p = 0; p < d->rows * s.k; p++) {
        l->sorted_weights[s.places[p]] = l->weights[p];
        memcpy(fm_rows_at(&l->sorted, p), fm_rows_at(&l->feed_in, s.order[p]),
               l->sorted.n * sizeof *l->sorted.v);
    }
}

/* Through a softmax: g = p (g - sum of p g), over chosen[n], or all when that is NULL. */
static void softmax_back(float *g, const float *p, const uint32_t *chosen, size_t n)
{
    float mean = 0.0f;

    for (size_t j = 0; j < n; j++)
        mean += p[j] * g[chosen ? chosen[j] : j];
    for (size_t j = 0; j < n; j++) {
        float *to = &g[chosen ? chosen[j] : j];

        *to = p[j] * (*to - mean);
    }
}

/* From the gradients of the weights, in g at the chosen, those of the chances. */
static void weights_back(const fm_decoder_config *f, const float *chances, const uint32_t *routes,
                         float *g)
{
    const float by = fm_route_divisor(f, chances, routes);
    float mean = 0.0f;

    if (!f->normalise_weights)
        return;
    for (size_t j = 0; j < f->top_k; j++)
        mean += g[routes[j]] * chances[routes[j]] / by;
    for (size_t j = 0; j < f->top_k; j++)
        g[routes[j]] = (g[routes[j]] - mean) / by;
}

void fm_layer_route_back(const fm_decoder *d, size_t layer, size_t i)
{
    const fm_decoder_config *f = &d->s->config;
    const fm_layer *l = &d->layers[layer];
    const uint32_t *routes = l->dispatch.routes + i * f->top_k;
    const uint32_t *places = l->dispatch.places + i * f->top_k;
    const float *chances = fm_rows_at(&l->chances, i);
    float *g = fm_rows_at(&l->gscores, i), *weights = l->weights + i * f->top_k;

    memset(g, 0, f->experts * sizeof *g);
    for (size_t j = 0; j < f->top_k; j++)
        g[routes[j]] = (float)f->routed_scale * d->gweights[places[j]];
    if (f->router == FM_ROUTER_SOFTMAX_TOP_K) {
        for (size_t j = 0; j < f->top_k; j++)
            d->choice[j] = weights[j] / (float)f->routed_scale;
        softmax_back(g, d->choice, routes, f->top_k);
        return;
    }
    weights_back(f, chances, routes, g);
    if (f->router == FM_ROUTER_SOFTMAX)
        softmax_back(g, chances, NULL, f->experts);
    else
        for (size_t j = 0; j < f->top_k; j++)
            g[routes[j]] *= chances[routes[j]] * (1.0f - chances[routes[j]]);
}
