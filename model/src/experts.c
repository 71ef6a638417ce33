#include "experts.h"

#include <string.h>

static void carve_shared(fm_carver *c, size_t n, fm_block *b)
{
    fm_rows_carve(c, n, 1, b->config->shared_hidden, &b->shared_hidden);
    fm_rows_carve(c, n, 1, b->config->shared_hidden, &b->shared_ghidden);
    b->shared_slope = fm_carve_floats(c, n, b->shared_hidden.stride);
}

void fm_block_carve(fm_carver *c, size_t max_rows, fm_block *b)
{
    const fm_tabular_config *f = b->config;
    const size_t n = max_rows, k = f->top_k, pairs = n * k;

    fm_rows_carve(c, n, 1, f->width, &b->x);
    fm_rows_carve(c, n, 1, f->width, &b->gradient);
    fm_rows_carve(c, n, 1, f->experts, &b->scores);
    fm_rows_carve(c, n, 1, f->experts, &b->gscores);
    fm_dispatch_carve(c, n, f->experts, k, &b->dispatch);
    b->gates = fm_carve_floats(c, n, k);
    fm_rows_carve(c, n, k, f->width, &b->sorted);
    fm_rows_carve(c, n, k, f->expert_hidden, &b->hidden);
    fm_rows_carve(c, n, k, f->expert_hidden, &b->ghidden);
    b->slope = fm_carve_floats(c, pairs, b->hidden.stride);
    fm_rows_carve(c, n, k, f->width, &b->result);
    fm_rows_carve(c, n, k, f->width, &b->gresult);
    if (f->shared_hidden)
        carve_shared(c, n, b);
}

void fm_block_list_uses(const fm_block *b, fm_tape *t)
{
    const fm_block_maps *maps = b->maps;

    fm_tape_use(t, maps->router, &b->x, &b->gscores, NULL, 0);
    if (maps->shared_present) {
        fm_tape_use(t, maps->shared.hidden, &b->x, &b->shared_ghidden, NULL, 0);
        fm_tape_use(t, maps->shared.output, &b->shared_hidden, &b->gradient, NULL, 0);
    }
    for (size_t e = 0; e < b->config->experts; e++) {
        fm_tape_use(t, maps->experts[e].hidden, &b->sorted, &b->ghidden, &b->dispatch, e);
        fm_tape_use(t, maps->experts[e].output, &b->hidden, &b->gresult, &b->dispatch, e);
    }
}

/* Rows [first, first + rows): out = W2 act(W1 x + b1) + b2, or added to what is there. */
static void expert(const fm_block *b, fm_expert_maps e, const fm_rows *x, size_t first, size_t rows,
                   const fm_rows *hidden, float *slope, bool add, const fm_rows *out)
{
    if (!rows)
        return;
    fm_linear_forward(e.hidden, b->panels, x, first, rows, false, hidden);
    fm_activate(b->config->activation, fm_rows_at(hidden, first), slope + first * hidden->stride,
                rows * hidden->stride);
    fm_linear_forward(e.output, b->panels, hidden, first, rows, add, out);
}

static void scale_rows(const fm_rows *to, float scale, const fm_rows *from, size_t rows)
{
    for (size_t i = 0; i < rows * to->stride; i++)
        to->v[i] = scale * from->v[i];
}

void fm_block_forward(fm_block *b, size_t rows, const fm_rows *next)
{
    const fm_block_maps *maps = b->maps;
    const fm_dispatch *d = &b->dispatch;

    scale_rows(next, (float)b->config->residual, &b->x, rows);
    if (maps->shared_present)
        expert(b, maps->shared, &b->x, 0, rows, &b->shared_hidden, b->shared_slope, true, next);
    fm_linear_forward(maps->router, b->panels, &b->x, 0, rows, false, &b->scores);
    fm_block_route(b, rows);
    for (size_t e = 0; e < b->config->experts; e++)
        expert(b, maps->experts[e], &b->sorted, d->starts[e], d->starts[e + 1] - d->starts[e],
               &b->hidden, b->slope, false, &b->result);
    /* In the order of the record's own experts, whoever else went there. */
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i * d->k; j < (i + 1) * d->k; j++)
            fm_kernel_add_scaled(fm_rows_at(next, i), b->gates[j],
                                 fm_rows_at(&b->result, d->places[j]), next->n);
}

/* From the gradient of the expert's output to those before act and of its input. */
static void expert_back(const fm_block *b, fm_expert_maps e, const fm_rows *gy, size_t first,
                        size_t rows, const float *slope, const fm_rows *ghidden, bool add,
                        const fm_rows *gx)
{
    const size_t from = first * ghidden->stride, to = from + rows * ghidden->stride;

    if (!rows)
        return;
    fm_linear_backward(e.output, b->panels, gy, first, rows, false, ghidden);
    for (size_t i = from; i < to; i++)
        ghidden->v[i] *= slope[i];
    fm_linear_backward(e.hidden, b->panels, ghidden, first, rows, add, gx);
}

/* Gradients of one record's gates, its chosen experts' outputs and its router scores. */
static void gates_back(fm_block *b, size_t i)
{
    const size_t k = b->dispatch.k, width = b->x.n;
    const uint32_t *routes = b->dispatch.routes + i * k;
    const float *g = fm_rows_at(&b->gradient, i), *gates = b->gates + i * k;
    float *gscores = fm_rows_at(&b->gscores, i), mean = 0.0f;

    memset(gscores, 0, b->gscores.n * sizeof *gscores);
    for (size_t j = 0; j < k; j++) {
        const size_t place = b->dispatch.places[i * k + j];
        const float ggate = fm_kernel_dot(g, fm_rows_at(&b->result, place), width);
        float *to = fm_rows_at(&b->gresult, place);

        for (size_t d = 0; d < width; d++)
            to[d] = gates[j] * g[d];
        gscores[routes[j]] = ggate;
        mean += gates[j] * ggate;
    }
    for (size_t j = 0; j < k; j++) {
        float *s = &gscores[routes[j]];

        *s = b->config->gate == FM_GATE_SOFTMAX ? gates[j] * (*s - mean)
                                                : gates[j] * (1.0f - gates[j]) * *s;
    }
}

/* gx += the gradient by way of the router: of the chosen experts' scores, or of all with entropy. */
static void router_back(const fm_block *b, size_t i, float *gx)
{
    const fm_linear *router = b->maps->router;
    const float *g = fm_rows_at(&b->gscores, i), *w = router->w;
    const size_t width = b->x.n, k = b->dispatch.k;

    if (b->config->router_entropy > 0.0) {
        for (size_t e = 0; e < b->config->experts; e++)
            fm_kernel_add_scaled(gx, (float)router->weight_scale * g[e], w + e * width, width);
        return;
    }
    for (size_t j = 0; j < k; j++) {
        const size_t e = b->dispatch.routes[i * k + j];

        fm_kernel_add_scaled(gx, (float)router->weight_scale * g[e], w + e * width, width);
    }
}

void fm_block_backward(fm_block *b, size_t rows, const fm_rows *gx, float *losses)
{
    const fm_block_maps *maps = b->maps;
    const fm_dispatch *d = &b->dispatch;

    for (size_t i = 0; i < rows; i++) {
        gates_back(b, i);
        if (b->config->router_entropy > 0.0) {
            const float term = fm_block_entropy(b, i);

            if (losses)
                losses[i] += term;
        }
    }
    scale_rows(gx, (float)b->config->residual, &b->gradient, rows);
    if (maps->shared_present)
        expert_back(b, maps->shared, &b->gradient, 0, rows, b->shared_slope, &b->shared_ghidden,
                    true, gx);
    for (size_t e = 0; e < b->config->experts; e++)
        expert_back(b, maps->experts[e], &b->gresult, d->starts[e], d->starts[e + 1] - d->starts[e],
                    b->slope, &b->ghidden, false, &b->result);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = i * d->k; j < (i + 1) * d->k; j++)
            fm_kernel_add_scaled(fm_rows_at(gx, i), 1.0f, fm_rows_at(&b->result, d->places[j]),
                                 gx->n);
        router_back(b, i, fm_rows_at(gx, i));
    }
}
