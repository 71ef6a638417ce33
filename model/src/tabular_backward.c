#include <math.h>
#include <string.h>

#include "kernel_internal.h"
#include "tabular_internal.h"

/* gx[rows, in] (+)= gy[rows, out] W; every row by itself. */
static void back(const fm_linear *l, const float *gy, size_t rows, bool add, float *gx)
{
    fm_old_kernel_rows(gy, rows, l->out, l->w, l->in, NULL, add, gx);
}

/* From the gradient of the expert's output to those before act and of its input. */
static void expert_back(const fm_tabular *m, fm_expert_maps e, const float *gy, size_t rows,
                        const float *slope, float *ghidden, bool add, float *gx)
{
    const fm_linear *in = &m->layout.linears[e.hidden];

    if (!rows)
        return;
    back(&m->layout.linears[e.output], gy, rows, false, ghidden);
    for (size_t i = 0; i < rows * in->out; i++)
        ghidden[i] *= slope[i];
    back(in, ghidden, rows, add, gx);
}

/* Gradients of one record's gates, its chosen experts' outputs and its router scores. */
static void gates_back(const fm_tabular *m, fm_block *b, size_t i)
{
    const size_t width = m->config.width, k = m->config.top_k, experts = m->config.experts;
    const float *g = b->gradient + i * width, *gates = b->gates + i * k;
    float *gscores = b->gscores + i * experts, mean = 0.0f;

    memset(gscores, 0, experts * sizeof *gscores);
    for (size_t j = 0; j < k; j++) {
        const size_t place = b->places[i * k + j];
        const float ggate = fm_old_kernel_dot(g, b->result + place * width, width);

        for (size_t d = 0; d < width; d++)
            b->gresult[place * width + d] = gates[j] * g[d];
        gscores[b->routes[i * k + j]] = ggate;
        mean += gates[j] * ggate;
    }
    for (size_t j = 0; j < k; j++) {
        float *s = &gscores[b->routes[i * k + j]];

        *s = m->config.gate == FM_GATE_SOFTMAX ? gates[j] * (*s - mean)
                                               : gates[j] * (1.0f - gates[j]) * *s;
    }
}

/* gx[rows, D]: gradient of the block's input, from b->gradient, that of its output. */
static void block_back(fm_tabular *m, size_t index, size_t rows, float *gx)
{
    const fm_block_maps *maps = &m->layout.blocks[index];
    const fm_linear *router = &m->layout.linears[maps->router];
    const size_t width = m->config.width, k = m->config.top_k, hidden = m->config.expert_hidden;
    const float residual = (float)m->config.residual;
    fm_block *b = &m->blocks[index];

    for (size_t i = 0; i < rows; i++)
        gates_back(m, b, i);
    for (size_t i = 0; i < rows * width; i++)
        gx[i] = residual * b->gradient[i];
    if (maps->shared_present)
        expert_back(m, maps->shared, b->gradient, rows, b->shared_slope, b->shared_ghidden, true,
                    gx);
    for (size_t e = 0; e < m->config.experts; e++) {
        const size_t first = b->starts[e], count = b->starts[e + 1] - first;

        expert_back(m, maps->experts[e], b->gresult + first * width, count,
                    b->slope + first * hidden, b->ghidden + first * hidden, false,
                    b->result + first * width);
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < k; j++) {
            const size_t e = b->routes[i * k + j];

            fm_old_kernel_add_scaled(gx + i * width, 1.0f, b->result + b->places[i * k + j] * width,
                                 width);
            fm_old_kernel_add_scaled(gx + i * width, b->gscores[i * m->config.experts + e],
                                 router->w + e * width, width);
        }
}

/* @return log(1 + exp(-s z)); *g its derivative by z. */
static double loss(float z, float y, float *g)
{
    const double v = (double)z, s = y > 0.5f ? 1.0 : -1.0;
    const double e = exp(-fabs(v)); /* both forms below stay finite for any finite z */
    const double p = v >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);

    /* p - 1 would lose the digits of a small 1 - p, which is e / (1 + e). */
    *g = (float)(s < 0.0 ? p : v >= 0.0 ? -e / (1.0 + e) : -1.0 / (1.0 + e));
    return fmax(-s * v, 0.0) + log1p(e);
}

fm_status fm_tabular_backward(fm_tabular *m, const float *x, const float *y, const uint32_t *index,
                              size_t rows, float *losses)
{
    if (!m || (rows && (!x || !y || !index)) || rows > m->max_rows)
        return fm_fail(FM_EINVAL, "model: a batch of %zu records does not fit", rows);
    const size_t features = m->config.features, width = m->config.width;

    for (size_t i = 0; i < rows; i++)
        memcpy(m->phi + i * features, x + index[i] * features, features * sizeof *x);
    fm_tabular_forward(m, rows);
    for (size_t i = 0; i < rows; i++) {
        const double value = loss(m->logits[i], y[index[i]], &m->glogits[i]);

        if (losses)
            losses[i] = (float)value;
    }
    m->rows = rows;
    if (!width)
        return FM_OK;

    float *g = m->blocks[m->config.blocks - 1].gradient;
    const float *head = m->layout.linears[m->layout.head].w;

    for (size_t i = 0; i < rows; i++)
        for (size_t d = 0; d < width; d++)
            g[i * width + d] = m->glogits[i] * head[d];
    for (size_t b = m->config.blocks; b-- > 0;)
        block_back(m, b, rows, b ? m->blocks[b - 1].gradient : m->glast);
    return FM_OK;
}
