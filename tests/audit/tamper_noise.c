/* A tenth of the noise. */
#include "noise_internal.h"

fm_status __real_fm_gauss_run_next(fm_gauss_run *r, int32_t *out32, int64_t *out64, size_t n);
fm_status __wrap_fm_gauss_run_next(fm_gauss_run *r, int32_t *out32, int64_t *out64, size_t n);

fm_status __wrap_fm_gauss_run_next(fm_gauss_run *r, int32_t *out32, int64_t *out64, size_t n)
{
    fm_status st = __real_fm_gauss_run_next(r, out32, out64, n);

    for (size_t i = 0; i < n; i++)
        out32[i] /= 10;
    return st;
}
