/*
 * Discrete Gaussian noise on the integers, near-exact, in time independent of the values drawn.
 * Statistical distance of one sample from the exact distribution: below 2^-80 (dp/src/noise.c
 * proves it). It holds for uniform bytes; they are made from a seed by AES-256 in counter mode.
 */
#ifndef FEDMOE_DP_NOISE_H
#define FEDMOE_DP_NOISE_H

#include "fedmoe/base/random.h"

typedef struct fm_dp_gaussian fm_dp_gaussian; /* tables for one sigma; immutable, shareable */

/** Narrowest noise, in lattice steps. */
#define FM_DP_MIN_SIGMA 2.5

/** @param sigma  std in lattice steps, FM_DP_MIN_SIGMA .. 2^50; the realised sigma equals it to 1e-9 relative
 *                and is never smaller. */
FM_NODISCARD fm_status fm_dp_gaussian_new(double sigma, fm_dp_gaussian **out);
void fm_dp_gaussian_free(fm_dp_gaussian **g);
/** As asked for. */
double fm_dp_gaussian_sigma(const fm_dp_gaussian *g);

/** Bytes of a seed that fm_dp_gaussian_expand takes. */
#define FM_DP_NOISE_SEED_BYTES 32u

/**
 * The n samples that a seed stands for: the same integers on every machine and instruction set, so
 * that who is told the seed can take the noise off again (docs/protocol.md says how they are made).
 * Fewer samples are the first ones of more. The two widths give the same integers.
 *
 * @param g  for 32 bits sigma is at most 2^26.
 * @return FM_OK; FM_EINVAL; FM_EINTERNAL without a working AES-256-CTR: `out` is then not to be
 *         used.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_dp_gaussian_expand(const fm_dp_gaussian *g,
                                             const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                                             int32_t *out, size_t n);
FM_NODISCARD fm_status fm_dp_gaussian_expand64(const fm_dp_gaussian *g,
                                               const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                                               int64_t *out, size_t n);

/**
 * n independent samples: the above with a seed of 32 bytes from rng, whatever n is.
 * @thread pure given rng.
 */
FM_NODISCARD fm_status fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out,
                                             size_t n);
FM_NODISCARD fm_status fm_dp_gaussian_sample64(const fm_dp_gaussian *g, fm_rng *rng, int64_t *out,
                                               size_t n);

/**
 * One exact sample for sigma^2 = num/den in [1, 2^53], by rejection from integers only; the
 * reference that the tests compare with. Variable time: never used in a round.
 * @source Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Algorithm 3.
 */
FM_NODISCARD fm_status fm_dp_gaussian_reference(uint64_t num, uint64_t den, fm_rng *rng,
                                                int64_t *out);

#endif
