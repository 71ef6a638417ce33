/* A tenth of the noise. */
#include "fedmoe/dp/noise.h"

fm_status __real_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                       const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                       size_t n);
fm_status __wrap_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                       const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                       size_t n);

fm_status __wrap_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                       const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                       size_t n)
{
    fm_status st = __real_fm_dp_gaussian_expand(g, seed, out, n);

    for (size_t i = 0; i < n; i++)
        out[i] /= 10;
    return st;
}
