/* The arithmetic is float32, in the order of Hugging Face's transformers 5.17. */
#include "fedmoe/model/route.h"

#include <math.h>
#include <string.h>

#include "fedmoe/model/kernel.h"

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
static void only_groups(const fm_decoder_config *f, const fm_route_room *r, float *v)
{
    const size_t each = f->experts / f->group_count;

    for (size_t g = 0; g < f->group_count; g++)
        r->group[g] = group_score(v + g * each, each, f->groups);
    largest(r->group, f->group_count, f->groups_chosen, r->chosen);
    for (size_t g = 0, next = 0; g < f->group_count; g++) {
        if (next < f->groups_chosen && r->chosen[next] == g)
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

static void choose(const fm_decoder_config *f, const float *correction, const fm_route_room *r,
                   const float *chances, uint32_t *routes)
{
    memcpy(r->choice, chances, f->experts * sizeof *chances);
    if (correction)
        fm_kernel_add_scaled(r->choice, 1.0f, correction, f->experts);
    if (f->groups != FM_GROUPS_NONE)
        only_groups(f, r, r->choice);
    largest(r->choice, f->experts, f->top_k, routes);
}

float fm_route_divisor(const fm_decoder_config *f, const float *chances, const uint32_t *routes)
{
    float sum = 0.0f;

    if (!f->normalise_weights || f->router == FM_ROUTER_SOFTMAX_TOP_K)
        return 1.0f;
    for (size_t j = 0; j < f->top_k; j++)
        sum += chances[routes[j]];
    return f->router == FM_ROUTER_SIGMOID ? sum + LEAST_SUM : sum;
}

void fm_route(const fm_decoder_config *f, const float *correction, const fm_route_room *r,
              float *chances, uint32_t *routes, float *weights)
{
    float by;

    if (f->router == FM_ROUTER_SIGMOID)
        sigmoid(chances, f->experts);
    else if (f->router == FM_ROUTER_SOFTMAX)
        softmax(chances, f->experts);
    choose(f, correction, r, chances, routes);
    by = fm_route_divisor(f, chances, routes);
    for (size_t j = 0; j < f->top_k; j++)
        weights[j] = chances[routes[j]] / by;
    if (f->router == FM_ROUTER_SOFTMAX_TOP_K)
        softmax(weights, f->top_k);
    fm_kernel_scale(weights, (float)f->routed_scale, f->top_k);
}
