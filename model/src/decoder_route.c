/* Which experts a row goes to and with what weights, and back. The arithmetic is float32, in the
 * order of Hugging Face's transformers 5.17; of equal scores the lower index is chosen. */
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

#define LEAST_SUM 1e-20f /* DeepSeek-V3 adds it to the sum that weights are divided by */

/* The k largest of v[n], to be read in increasing order: their indices. A NaN is below everything. */
static void largest(const float *v, size_t n, size_t k, uint32_t *out)
{
    for (size_t c = 0; c < k; c++) {
        size_t best = SIZE_MAX, at = 0, next = 0;

        for (size_t e = 0; e < n; e++) {
            if (next < c && out[next] == e) {
                next++;
                continue;
            }
            if (best == SIZE_MAX || v[e] > v[best] || (isnan(v[best]) && !isnan(v[e])))
                best = e;
        }
        while (at < c && out[at] < best)
            at++;
        memmove(out + at + 1, out + at, (c - at) * sizeof *out);
        out[at] = (uint32_t)best;
    }
}

/* What a group counts: its best, or its best two together. */
static float group_score(const float *v, size_t n, fm_router_groups kind)
{
    float best = -INFINITY, second = -INFINITY;

    for (size_t e = 0; e < n; e++)
        if (v[e] > best) {
            second = best;
            best = v[e];
        } else if (v[e] > second) {
            second = v[e];
        }
    return kind == FM_GROUPS_MAX ? best : best + second;
}

/* The experts of groups that are not chosen count 0, which is less than a softmax or a sigmoid, but
 * not less than one with a negative correction: as transformers has it. */
static void only_groups(const fm_decoder *d, float *v)
{
    const fm_decoder_config *f = &d->s->config;
    const size_t each = f->experts / f->group_count;

    for (size_t g = 0; g < f->group_count; g++)
        d->group[g] = group_score(v + g * each, each, f->groups);
    largest(d->group, f->group_count, f->groups_chosen, d->chosen);
    for (size_t g = 0, next = 0; g < f->group_count; g++) {
        if (next < f->groups_chosen && d->chosen[next] == g)
            next++;
        else
            memset(v + g * each, 0, each * sizeof *v);
    }
}

static void softmax(float *v, size_t n)
{
    const float sum = fm_kernel_exp_sum(v, n, fm_kernel_most(v, n));

    for (size_t e = 0; e < n; e++)
        v[e] /= sum;
}

static void sigmoid(float *v, size_t n)
{
    for (size_t e = 0; e < n; e++)
        v[e] = -v[e];
    fm_kernel_exp(v, n);
    for (size_t e = 0; e < n; e++)
        v[e] = 1.0f / (1.0f + v[e]);
}

static void choose(const fm_decoder *d, size_t layer, const float *chances, uint32_t *routes)
{
    const fm_decoder_config *f = &d->s->config;
    const size_t correction = d->s->layout.layer[layer].correction;

    memcpy(d->choice, chances, f->experts * sizeof *chances);
    if (correction != FM_DECODER_ABSENT)
        fm_kernel_add_scaled(d->choice, 1.0f, d->s->theta + correction, f->experts);
    if (f->groups != FM_GROUPS_NONE)
        only_groups(d, d->choice);
    largest(d->choice, f->experts, f->top_k, routes);
}

/* What the chosen chances are divided by. */
static float divisor(const fm_decoder_config *f, const float *chances, const uint32_t *routes)
{
    float sum = 0.0f;

    if (!f->normalise_weights || f->router == FM_ROUTER_SOFTMAX_TOP_K)
        return 1.0f;
    for (size_t j = 0; j < f->top_k; j++)
        sum += chances[routes[j]];
    return f->router == FM_ROUTER_SIGMOID ? sum + LEAST_SUM : sum;
}

/* Row i: its chances, routes and weights. */
static void route(fm_decoder *d, size_t layer, size_t i)
{
    const fm_decoder_config *f = &d->s->config;
    const fm_layer *l = &d->layers[layer];
    uint32_t *routes = l->dispatch.routes + i * f->top_k;
    float *chances = fm_rows_at(&l->chances, i), *weights = l->weights + i * f->top_k, by;

    memcpy(chances, fm_rows_at(&l->scores, i), f->experts * sizeof *chances);
    if (f->router == FM_ROUTER_SIGMOID)
        sigmoid(chances, f->experts);
    else if (f->router == FM_ROUTER_SOFTMAX)
        softmax(chances, f->experts);
    choose(d, layer, chances, routes);
    by = divisor(f, chances, routes);
    for (size_t j = 0; j < f->top_k; j++)
        weights[j] = chances[routes[j]] / by;
    if (f->router == FM_ROUTER_SOFTMAX_TOP_K)
        softmax(weights, f->top_k);
    fm_kernel_scale(weights, (float)f->routed_scale, f->top_k);
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
    const float by = divisor(f, chances, routes);
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
