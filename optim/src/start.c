#include "start.h"

#include <math.h>

static bool round_fits(const fm_optimizer_spec *s, size_t weights)
{
    const bool apart =
        s->start_bias < s->start_center || s->start_bias - s->start_center >= s->start_count;

    return s->rounds >= 2 && s->start_count > 0 && s->start_bias < weights && apart &&
           s->start_norm > 0.0 && s->start_noise >= 0.0;
}

bool fm_optim_start_fits(const fm_optimizer_spec *s, size_t weights)
{
    return s->rule != FM_OPTIM_SUM && s->start_count <= weights &&
           s->start_center <= weights - s->start_count &&
           (s->start_scale > 0.0 ? round_fits(s, weights) : s->start_scale == 0.0);
}

bool fm_optim_start_due(const fm_optimizer *o)
{
    return o->spec.start_scale > 0.0 && o->weights[o->n - 1] == 0.0f;
}

/* What is left of a mean of F coordinates, each with noise of deviation s: where noise is all there
 * is, no center is better than that one. */
static double shrinkage(const fm_optimizer_spec *p, const float *sum, double c)
{
    const double s = c * p->start_noise;
    double square = 0.0;

    for (size_t i = 0; i < p->start_count; i++)
        square += c * (double)sum[i] * c * (double)sum[i];
    return square > 0.0 ? fmax(0.0, 1.0 - (double)p->start_count * s * s / square) : 0.0;
}

bool fm_optim_start(fm_optimizer *o, const float *m, float bias_sum)
{
    const fm_optimizer_spec *p = &o->spec;
    const double c = sqrt(2.0) / (p->start_norm * p->divisor);
    const double keep = c * shrinkage(p, m, c);
    const double share =
        fmin(fmax(c * (double)bias_sum, FM_OPTIM_START_SHARE), 1.0 - FM_OPTIM_START_SHARE);
    const float bias = (float)(log(share / (1.0 - share)) / p->start_scale);
    bool finite = isfinite(bias);

    for (size_t i = 0; i < p->start_count; i++)
        finite &= (bool)isfinite((float)(keep * (double)m[i]));
    if (!finite)
        return false;
    for (size_t i = 0; i < p->start_count; i++)
        o->weights[p->start_center + i] = (float)(keep * (double)m[i]);
    o->weights[p->start_bias] = bias;
    o->weights[o->n - 1] = 1.0f;
    return true;
}
