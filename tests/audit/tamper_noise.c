/* A tenth of the noise. */
#include "fedmoe/dp/noise.h"

void __real_fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out, size_t n);
void __real_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                  const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                  size_t n);
void __wrap_fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out, size_t n);
void __wrap_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                  const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                  size_t n);

static void tamper(int32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] /= 10;
}

void __wrap_fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out, size_t n)
{
    __real_fm_dp_gaussian_sample(g, rng, out, n);
    tamper(out, n);
}

void __wrap_fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                  const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                  size_t n)
{
    __real_fm_dp_gaussian_expand(g, seed, out, n);
    tamper(out, n);
}
