/* From the outputs of a binary model that was trained with clipped gradients to log odds: tabular.h,
 * fm_tabular_set_clip_norm. */
#include <math.h>

#include "tabular_internal.h"

/* Below a half the two classes would both be clipped where the model is unsure, and its output
 * there would say nothing. */
#define LEAST_CLIP 0.5

static double corrected(double z, double clip)
{
    /* Of the likelier class p is 1 / (1 + e). The other's is below a half, so never clipped, and its
     * logarithm is taken so that it stays finite where e is 0. */
    const double e = exp(-fabs(z)), rest = log1p(e);
    const double odds = fmin(-rest, log(clip)) + fabs(z) + rest;

    return z < 0.0 ? -odds : odds;
}

/* Norm of the output's gradient by the linear part and the bias, which make nearly all of it. */
static double output_norm(const fm_tabular *m, size_t row)
{
    const fm_tabular_multipliers *k = &m->weights->config.multipliers;
    double square = 0.0;

    fm_kernel_squares(fm_rows_at(&m->phi, row), 1, m->phi.n, &square);
    return sqrt(k->linear * k->linear * square + k->bias * k->bias);
}

void fm_tabular_correct(fm_tabular *m, size_t rows)
{
    const double clip = m->weights->clip_norm;

    if (!(clip > 0.0) || m->weights->config.target != FM_TARGET_BINARY)
        return;
    for (size_t i = 0; i < rows; i++) {
        const double norm = output_norm(m, i);
        float *z = fm_rows_at(&m->logits, i);

        /* Where nothing was clipped, nothing is changed, not by a bit. */
        if (norm > clip && isfinite(*z))
            *z = (float)corrected((double)*z, fmax(clip / norm, LEAST_CLIP));
    }
}

fm_status fm_tabular_set_clip_norm(fm_tabular *m, double clip_norm)
{
    if (!m || m->worker || !(clip_norm >= 0.0) || !isfinite(clip_norm))
        return fm_fail(FM_EINVAL, "model: a clip norm of %g", clip_norm);
    m->weights->clip_norm = clip_norm;
    return FM_OK;
}

double fm_tabular_clip_norm(const fm_tabular *m)
{
    return m->weights->clip_norm;
}
