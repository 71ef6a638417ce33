#include "fedmoe/optim/local.h"

#include <math.h>
#include <stdbool.h>

fm_status fm_local_move(const fm_local_rule *r, const float *start, const float *noised,
                        const float *correction, float *w)
{
    const size_t end = r->center + r->center_count;
    bool finite = true;

    for (size_t i = 0; i < r->weights; i++) {
        const double g = (double)noised[i] / r->divisor * r->ratio;
        const double pull = r->proximal * ((double)w[i] - (double)start[i]);
        const double c = correction ? (double)correction[i] : 0.0;

        if (i >= r->center && i < end)
            continue;
        w[i] = (float)((double)w[i] - r->rate * (g + pull + c));
        finite &= (bool)isfinite(w[i]);
    }
    return finite ? FM_OK
                  : fm_fail(FM_ENONFINITE, "a local step leaves the range of float32: the plan's "
                                           "local_rate is too high");
}

void fm_local_correction(double server_rate, const float *before, const float *after,
                         const float *own, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(((double)before[i] - (double)after[i]) / server_rate - (double)own[i]);
}
