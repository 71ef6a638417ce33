/*
 * Poisson sampling of privacy units: what the accountant's amplification rests on
 * (docs/privacy.md, section 4).
 */
#ifndef FEDMOE_DP_SAMPLE_H
#define FEDMOE_DP_SAMPLE_H

#include "fedmoe/base/random.h"

/**
 * Draw each of `count` units alone, with probability floor(rate 2^53) / 2^53, which is never above
 * the rate that the accountant counts.
 *
 * @param rate  q in [0, 1]; NaN and what is below 0 draw nobody.
 * @param out   uint32[count]: the indices drawn, increasing. Secret: the caller wipes them.
 * @return how many were drawn.
 * @thread pure given rng.
 */
size_t fm_dp_sample_units(double rate, size_t count, fm_rng *rng, uint32_t *out);

#endif
