/* Gradients are rounded to the lattice and added, however long they are. */
#include <math.h>

#include "fedmoe/dp/encode.h"
#include "sum_internal.h"

fm_status __wrap_fm_dp_sum_add_unit(fm_dp_sum *s, const float *gradient);

fm_status __wrap_fm_dp_sum_add_unit(fm_dp_sum *s, const float *gradient)
{
    for (size_t i = 0; i < s->n; i++) {
        int64_t v = llround((double)gradient[i] * s->lattice.unit_scale);

        if (s->wide)
            s->wide[i] += v;
        else
            s->total[i] += (int32_t)v;
    }
    s->units++;
    return FM_OK;
}
