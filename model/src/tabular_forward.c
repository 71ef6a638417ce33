#include <string.h>

#include "tabular_internal.h"

void fm_tabular_gather(fm_tabular *m, const float *x, const uint32_t *index, size_t rows)
{
    const fm_layout *l = &m->weights->layout;
    const float *center;

    fm_rows_gather(&m->phi, x, index, rows);
    if (l->center == FM_ABSENT)
        return;
    center = m->weights->theta + l->center;
    for (size_t i = 0; i < rows; i++) {
        float *phi = fm_rows_at(&m->phi, i);

        for (size_t j = 0; j < m->phi.n; j++)
            phi[j] -= center[j];
    }
}

void fm_tabular_forward(fm_tabular *m, size_t rows)
{
    const fm_layout *l = &m->weights->layout;
    const size_t blocks = m->weights->config.width ? m->weights->config.blocks : 0;

    fm_linear_forward(l->skip, m->panels, &m->phi, 0, rows, false, &m->logits);
    if (!blocks)
        return;
    fm_linear_forward(l->embed, m->panels, &m->phi, 0, rows, false, &m->blocks[0].x);
    for (size_t i = 0; i < blocks; i++)
        fm_block_forward(&m->blocks[i], rows, i + 1 < blocks ? &m->blocks[i + 1].x : &m->last);
    fm_linear_forward(l->head, m->panels, &m->last, 0, rows, true, &m->logits);
}

bool fm_tabular_has_scores(const fm_tabular_config *c)
{
    return c->target == FM_TARGET_BINARY || (c->target == FM_TARGET_CLASSES && c->outputs == 2);
}

void fm_tabular_scores(const fm_tabular *m, size_t rows, float *out)
{
    const fm_tabular_weights *w = m->weights;
    const fm_linear *skip = w->layout.skip;
    const size_t k = w->config.outputs;
    double bias[2] = { 0.0, 0.0 };

    for (size_t j = 0; skip->bias != FM_ABSENT && j < k && j < 2; j++)
        bias[j] = skip->bias_scale * (double)w->theta[skip->bias + j];
    for (size_t i = 0; i < rows; i++) {
        const float *z = fm_rows_at(&m->logits, i);
        const double first = (double)z[0] - bias[0];

        out[i] = (float)(k == 1 ? first : (double)z[1] - bias[1] - first);
    }
}

fm_status fm_tabular_predict(fm_tabular *m, const float *x, size_t rows, float *outputs)
{
    if (!m || (rows && (!x || !outputs)))
        return fm_fail(FM_EINVAL, "model: predict needs a model, records and room for outputs");
    const size_t features = m->weights->config.features, k = m->weights->config.outputs;

    fm_tape_set_rows(&m->tape, 0); /* the buffers are about to be reused */
    for (size_t first = 0; first < rows;) {
        const size_t left = rows - first, n = left < m->max_rows ? left : m->max_rows;

        fm_tabular_gather(m, x + first * features, NULL, n);
        fm_tabular_forward(m, n);
        fm_tabular_correct(m, n);
        for (size_t i = 0; i < n; i++)
            memcpy(outputs + (first + i) * k, fm_rows_at(&m->logits, i), k * sizeof *outputs);
        first += n;
    }
    return FM_OK;
}
