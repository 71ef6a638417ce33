/*
 * Rounds of several local steps: a node moves its own copy of the model by each of its noised sums,
 * and what it sends is the masked sum of them.
 *
 * Each step has the node's own full noise (lattice.local): what the later steps compute depends on
 * it, so that nobody else's noise protects them. The noised sums are the only thing of the records that
 * leaves this type, decoded for the node itself, and as an opaque release for the others; both are
 * post-processing of so many Gaussian mechanisms (docs/privacy.md, "Local steps"). Who keeps anything
 * of a step beyond its round has to charge that round first.
 */
#ifndef FEDMOE_DP_LOCAL_H
#define FEDMOE_DP_LOCAL_H

#include "fedmoe/dp/mask.h"

/** The steps of a round so far. One thread. */
typedef struct fm_dp_local fm_dp_local;

/** @param lattice of local noise and 2 steps or more. FM_EINVAL, FM_ENOMEM. */
FM_NODISCARD fm_status fm_dp_local_new(const fm_dp_lattice *lattice, size_t n, fm_dp_local **out);
void fm_dp_local_free(fm_dp_local **l); /* wipes */
/** No step is made: the sums of a round that came to nothing are wiped. */
void fm_dp_local_reset(fm_dp_local *l);

/**
 * sum + noise: added to the round's. Consumes the sum, also on failure.
 * @param shares  of the sum's lattice, for any number of participants; NULL only without noise.
 * @param rng     for the noise: fm_rng_system() outside of tests.
 * @param noised  out: the step's noised sum, decoded, float32[n] in gradient units.
 * @return FM_OK; FM_EINVAL other lattice or size, a batch is open; FM_ESTATE when all steps are made;
 *         FM_ENOMEM; FM_EINTERNAL.
 */
FM_NODISCARD fm_status fm_dp_local_step(fm_dp_local *l, fm_dp_sum *sum, const fm_dp_shares *shares,
                                        fm_rng *rng, float *noised);
/**
 * The sum of the steps + masks: as fm_dp_release_make, which is for a round of one step. Consumes the
 * steps, also on failure.
 * @return as there; FM_ESTATE unless exactly lattice.steps were made.
 */
FM_NODISCARD fm_status fm_dp_local_release(fm_dp_local *l, const fm_dp_pairs *pairs,
                                           const fm_dp_round *round, fm_rng *rng,
                                           fm_dp_release **out);

#endif
