#include <string.h>

#include "kernel_internal.h"
#include "tabular_internal.h"

/* y[rows, out] (+)= x[rows, in] W^T + b; every row by itself. */
static void apply(const fm_linear *l, const float *x, size_t rows, bool add, float *y)
{
    if (l->out > 1) {
        fm_old_kernel_rows(x, rows, l->in, l->wt, l->out, l->b, add, y);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        const float start = add ? y[i] : l->b ? l->b[0] : 0.0f;

        y[i] = start + (l->w ? fm_old_kernel_dot(x + i * l->in, l->w, l->in) : 0.0f);
    }
}

/* out[rows, D] = W2 act(W1 x + b1) + b2, added when there is something in it. */
static void expert(const fm_tabular *m, fm_expert_maps e, const float *x, size_t rows,
                   float *hidden, float *slope, bool add, float *out)
{
    const fm_linear *in = &m->layout.linears[e.hidden];
    const fm_linear *last = &m->layout.linears[e.output];

    if (!rows)
        return;
    apply(in, x, rows, false, hidden);
    fm_activate(m->config.activation, hidden, slope, rows * in->out);
    apply(last, hidden, rows, add, out);
    /* A kernel that adds starts from what is there, not from the bias. */
    if (add && last->b)
        for (size_t i = 0; i < rows; i++)
            fm_old_kernel_add_scaled(out + i * last->out, 1.0f, last->b, last->out);
}

static void block(fm_tabular *m, size_t index, size_t rows, float *next)
{
    const fm_block_maps *maps = &m->layout.blocks[index];
    const size_t width = m->config.width, k = m->config.top_k, hidden = m->config.expert_hidden;
    const float residual = (float)m->config.residual;
    fm_block *b = &m->blocks[index];

    for (size_t i = 0; i < rows * width; i++)
        next[i] = residual * b->x[i];
    if (maps->shared_present)
        expert(m, maps->shared, b->x, rows, b->shared_hidden, b->shared_slope, true, next);

    apply(&m->layout.linears[maps->router], b->x, rows, false, b->scores);
    fm_tabular_route(m, b, rows);
    for (size_t e = 0; e < m->config.experts; e++) {
        const size_t first = b->starts[e], count = b->starts[e + 1] - first;

        expert(m, maps->experts[e], b->sorted + first * width, count, b->hidden + first * hidden,
               b->slope + first * hidden, false, b->result + first * width);
    }
    /* In the order of the record's own experts, whoever else went there. */
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < k; j++)
            fm_old_kernel_add_scaled(next + i * width, b->gates[i * k + j],
                                 b->result + b->places[i * k + j] * width, width);
}

void fm_tabular_forward(fm_tabular *m, size_t rows)
{
    const fm_layout *l = &m->layout;
    const size_t blocks = m->config.width ? m->config.blocks : 0;

    apply(&l->linears[l->skip], m->phi, rows, false, m->logits);
    if (!m->config.width)
        return;
    apply(&l->linears[l->embed], m->phi, rows, false, m->blocks[0].x);
    for (size_t i = 0; i < blocks; i++)
        block(m, i, rows, i + 1 < blocks ? m->blocks[i + 1].x : m->last);
    apply(&l->linears[l->head], m->last, rows, true, m->logits);
}

fm_status fm_tabular_predict(fm_tabular *m, const float *x, size_t rows, float *logits)
{
    if (!m || (rows && (!x || !logits)))
        return fm_fail(FM_EINVAL, "model: predict needs a model, records and room for logits");
    m->rows = 0; /* the buffers are about to be reused */
    for (size_t first = 0; first < rows;) {
        const size_t left = rows - first, n = left < m->max_rows ? left : m->max_rows;
        const size_t features = m->config.features;

        memcpy(m->phi, x + first * features, n * features * sizeof *x);
        fm_tabular_forward(m, n);
        memcpy(logits + first, m->logits, n * sizeof *logits);
        first += n;
    }
    return FM_OK;
}
