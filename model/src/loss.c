#include "loss.h"

#include <math.h>

#include "fedmoe/model/kernel.h"

double fm_loss_binary(float z, float y, double weight, float *g)
{
    const double v = (double)z, s = y > 0.5f ? 1.0 : -1.0;
    const double e = exp(-fabs(v)); /* both forms below stay finite for any finite z */
    const double p = v >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);

    /* p - 1 would lose the digits of a small 1 - p, which is e / (1 + e). */
    *g = (float)(weight * (s < 0.0 ? p : v >= 0.0 ? -e / (1.0 + e) : -1.0 / (1.0 + e)));
    return weight * (fmax(-s * v, 0.0) + log1p(e));
}

double fm_loss_classes(const float *z, size_t k, float class, const float *weights, float *g)
{
    float most = z[0], sum = 0.0f, others = 0.0f;
    size_t y = k;
    double weight;

    if (class >= 0.0f && class < (float)k)
        y = (size_t) class;
    weight = y < k ? (double)weights[y] : (double)NAN;
    for (size_t i = 1; i < k; i++)
        most = z[i] > most || isnan(z[i]) ? z[i] : most;
    for (size_t i = 0; i < k; i++)
        g[i] = z[i] - most;
    fm_kernel_exp(g, k);
    for (size_t i = 0; i < k; i++) {
        sum += g[i];
        others += i == y ? 0.0f : g[i]; /* 1 - p_y, before its digits are lost */
    }
    for (size_t i = 0; i < k; i++)
        g[i] = (float)weight * (i == y ? -others / sum : g[i] / sum);
    if (y == k)
        return weight;
    return weight * (log((double)sum) + (double)most - (double)z[y]);
}

double fm_loss_number(float z, float y, float *g)
{
    const double d = (double)z - (double)y;

    *g = (float)d;
    return 0.5 * d * d;
}
