/* The levels of a node's noise: shares.c makes them, release.c draws and discloses them. */
#ifndef FEDMOE_DP_SHARES_INTERNAL_H
#define FEDMOE_DP_SHARES_INTERNAL_H

#include "fedmoe/dp/shares.h"
#include "noise_internal.h"

/** For rounds of `participants`; plain data, so that a release can keep its own. */
typedef struct {
    uint32_t participants, quorum;
    uint32_t count;                    /* levels; 0: no noise */
    uint32_t losses[FM_DP_LEVELS_MAX]; /* level l and those before serve up to so many lost */
    double sigma[FM_DP_LEVELS_MAX];    /* std of level l alone, in lattice steps */
} fm_dp_levels;

/** participants: quorum .. nodes of the lattice. */
fm_dp_levels fm_dp_levels_of(const fm_dp_lattice *lattice, uint32_t participants);
/** How many levels stay when `survivors`, quorum .. participants, are left. */
uint32_t fm_dp_levels_kept(const fm_dp_levels *l, uint32_t survivors);

const fm_dp_levels *fm_dp_shares_get_levels(const fm_dp_shares *s);
/** Whether they are of this lattice and number of participants. */
bool fm_dp_shares_serve(const fm_dp_shares *s, const fm_dp_lattice *lattice, uint32_t participants);
/** out[i] = the noise of that level which the seed stands for; of level 0 on the units' lattice. */
FM_NODISCARD fm_status fm_dp_shares_expand(const fm_dp_shares *s, uint32_t level,
                                           const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out,
                                           size_t n);

/** The same piece by piece. The shares must outlive the run. */
FM_NODISCARD fm_status fm_dp_shares_begin(const fm_dp_shares *s, uint32_t level,
                                          const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                                          fm_gauss_run *out);

#endif
