#include "model_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const fm_tabular *m;
    const fm_tabular_config *c;
    const float *load_bias; /* [blocks, E] */
    const double *theta;
    reference_result *r;
} run;

/* multiplier * theta of a tensor, or NULL when the model has none of that name. */
static const double *tensor(const run *u, const char *name)
{
    for (size_t i = 0; i < fm_tabular_tensors(u->m); i++) {
        fm_tabular_tensor_info t = fm_tabular_tensor(u->m, i);

        if (strcmp(t.name, name) == 0)
            return u->theta + t.offset;
    }
    return NULL;
}

static void affine(const run *u, const char *prefix, const char *weight, double wm,
                   const char *bias, double bm, const double *x, size_t in, size_t out, double *y)
{
    char name[128];
    const double *w, *b;

    (void)snprintf(name, sizeof name, "%s%s", prefix, weight);
    w = tensor(u, name);
    (void)snprintf(name, sizeof name, "%s%s", prefix, bias);
    b = tensor(u, name);
    for (size_t o = 0; o < out; o++) {
        y[o] = b ? bm * b[o] : 0.0;
        for (size_t i = 0; w && i < in; i++)
            y[o] += wm * w[o * in + i] * x[i];
    }
}

static double act(const run *u, double v)
{
    if (u->c->activation == FM_ACTIVATION_RELU) {
        u->r->kink_gap = fmin(u->r->kink_gap, fabs(v));
        return v > 0.0 ? v : 0.0;
    }
    if (u->c->activation == FM_ACTIVATION_SILU)
        return v / (1.0 + exp(-v));
    return 0.5 * v * (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (v + 0.044715 * v * v * v)));
}

static void expert(const run *u, const char *prefix, size_t hidden, const double *x, double scale,
                   double *sum)
{
    const fm_tabular_multipliers *k = &u->c->multipliers;
    double *h = calloc(hidden, sizeof *h), *y = calloc(u->c->width, sizeof *y);

    affine(u, prefix, "w1", k->hidden, "b1", k->hidden_bias, x, u->c->width, hidden, h);
    for (size_t i = 0; i < hidden; i++)
        h[i] = act(u, h[i]);
    affine(u, prefix, "w2", k->output, "b2", k->output_bias, h, hidden, u->c->width, y);
    for (size_t i = 0; i < u->c->width; i++)
        sum[i] += scale * y[i];
    free(h);
    free(y);
}

static double biased(const run *u, size_t block, const double *scores, size_t e)
{
    return scores[e] + (u->load_bias ? (double)u->load_bias[block * u->c->experts + e] : 0.0);
}

static double entropy(const double *scores, size_t n)
{
    double sum = 0.0, h = 0.0;

    for (size_t e = 0; e < n; e++)
        sum += exp(scores[e]);
    for (size_t e = 0; e < n; e++)
        h -= exp(scores[e]) / sum * log(exp(scores[e]) / sum);
    return h;
}

static double data_loss(const fm_tabular_config *c, const double *z, float y)
{
    double sum = 0.0;

    if (c->target == FM_TARGET_NUMBER)
        return (z[0] - (double)y) * (z[0] - (double)y) / 2.0;
    if (c->target == FM_TARGET_BINARY)
        return (double)c->class_weights[y > 0.5f] * log1p(exp(y > 0.5f ? -z[0] : z[0]));
    for (size_t k = 0; k < c->outputs; k++)
        sum += exp(z[k]);
    return (double)c->class_weights[(size_t)y] * (log(sum) - z[(size_t)y]);
}

static void block(const run *u, size_t index, double *x)
{
    const fm_tabular_config *c = u->c;
    double *scores = calloc(c->experts, sizeof *scores), *y = calloc(c->width, sizeof *y);
    bool chosen[256] = { false };
    double sum = 0.0, least = HUGE_VAL, rest = -HUGE_VAL;
    char prefix[64];
    size_t n = 0;

    (void)snprintf(prefix, sizeof prefix, "blocks.%zu.", index);
    affine(u, prefix, "router.weight", c->multipliers.router, "router.bias",
           c->multipliers.router_bias, x, c->width, c->experts, scores);
    for (size_t k = 0; k < c->top_k; k++) {
        size_t best = SIZE_MAX;

        for (size_t e = 0; e < c->experts; e++)
            if (!chosen[e] &&
                (best == SIZE_MAX || biased(u, index, scores, e) > biased(u, index, scores, best)))
                best = e;
        chosen[best] = true;
        sum += exp(scores[best]);
        least = biased(u, index, scores, best);
    }
    for (size_t i = 0; i < c->width; i++)
        y[i] = c->residual * x[i];
    (void)snprintf(prefix, sizeof prefix, "blocks.%zu.shared.", index);
    if (c->shared_hidden)
        expert(u, prefix, c->shared_hidden, x, 1.0, y);
    for (size_t e = 0; e < c->experts; e++) {
        if (!chosen[e]) {
            rest = fmax(rest, biased(u, index, scores, e));
            continue;
        }
        (void)snprintf(prefix, sizeof prefix, "blocks.%zu.experts.%zu.", index, e);
        expert(u, prefix, c->expert_hidden, x,
               c->gate == FM_GATE_SOFTMAX ? exp(scores[e]) / sum : 1.0 / (1.0 + exp(-scores[e])),
               y);
        u->r->routes[index][n++] = (uint32_t)e;
    }
    u->r->route_gap = fmin(u->r->route_gap, least - rest);
    u->r->loss -= c->router_entropy * entropy(scores, c->experts);
    memcpy(x, y, c->width * sizeof *x);
    free(scores);
    free(y);
}

reference_result reference_run(const fm_tabular *m, const double *theta, const float *load_bias,
                               const float *x, float y)
{
    reference_result r = { .route_gap = HUGE_VAL, .kink_gap = HUGE_VAL };
    const fm_tabular_config *c = fm_tabular_get_config(m);
    const run u = { m, c, load_bias, theta, &r };
    double *phi = calloc(c->features, sizeof *phi), *state = calloc(c->width + 1, sizeof *state);
    double head[REFERENCE_OUTPUTS] = { 0 };
    const double *center = tensor(&u, "features.center");

    for (size_t i = 0; i < c->features; i++)
        phi[i] = (double)x[i] - (center ? center[i] : 0.0);
    affine(&u, "linear.", "weight", c->multipliers.linear, "bias", c->multipliers.bias, phi,
           c->features, c->outputs, r.z);
    if (c->width) {
        affine(&u, "embed.", "weight", c->multipliers.embed, "", 0.0, phi, c->features, c->width,
               state);
        for (size_t b = 0; b < c->blocks; b++)
            block(&u, b, state);
        affine(&u, "head.", "weight", c->multipliers.head, "", 0.0, state, c->width, c->outputs,
               head);
    }
    for (size_t k = 0; k < c->outputs; k++)
        r.z[k] += head[k];
    r.loss += data_loss(c, r.z, y);
    free(phi);
    free(state);
    return r;
}
