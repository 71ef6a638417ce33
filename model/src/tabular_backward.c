#include <string.h>

#include "loss.h"
#include "tabular_internal.h"

static double loss(const fm_tabular_config *c, const float *z, float y, float *g)
{
    switch (c->target) {
    case FM_TARGET_CLASSES:
        return fm_loss_classes(z, c->outputs, y, c->class_weights, g);
    case FM_TARGET_NUMBER:
        return fm_loss_number(z[0], y, g);
    case FM_TARGET_BINARY:
    default:
        return fm_loss_binary(z[0], y, (double)c->class_weights[y > 0.5f], g);
    }
}

fm_status fm_tabular_backward(fm_tabular *m, const float *x, const float *y, const uint32_t *index,
                              size_t rows, float *losses)
{
    if (!m || (rows && (!x || !y || !index)) || rows > m->max_rows)
        return fm_fail(FM_EINVAL, "model: a batch of %zu records does not fit", rows);
    const fm_tabular_config *c = &m->weights->config;
    const size_t blocks = c->width ? c->blocks : 0;

    fm_tabular_gather(m, x, index, rows);
    fm_tabular_forward(m, rows);
    for (size_t i = 0; i < rows; i++) {
        const double value =
            loss(c, fm_rows_at(&m->logits, i), y[index[i]], fm_rows_at(&m->glogits, i));

        if (losses)
            losses[i] = (float)value;
    }
    if (blocks)
        fm_linear_backward(m->weights->layout.head, m->panels, &m->glogits, 0, rows, false,
                           &m->blocks[blocks - 1].gradient);
    for (size_t b = blocks; b-- > 0;)
        fm_block_backward(&m->blocks[b], rows, b ? &m->blocks[b - 1].gradient : &m->glast, losses);
    fm_tape_set_rows(&m->tape, rows);
    return FM_OK;
}
