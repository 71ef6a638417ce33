/* What release.c does for local.c. */
#ifndef FEDMOE_DP_RELEASE_INTERNAL_H
#define FEDMOE_DP_RELEASE_INTERNAL_H

#include "fedmoe/dp/mask.h"

/** FM_EINVAL unless the sum has no open batch, and the noise is the lattice's for so many. */
FM_NODISCARD fm_status fm_dp_release_check_noise(const fm_dp_sum *sum, const fm_dp_shares *shares,
                                                 uint32_t participants);
/** Whether ties go down, where there is anything to round: a fair coin for each noised sum. */
bool fm_dp_release_coin(const fm_dp_lattice *lattice, fm_rng *rng);
/** words += masks, as a release of them: words that have all their noise already, [n] as
 *  fm_dp_sum_word_bytes has them; they are masked in place. */
FM_NODISCARD fm_status fm_dp_release_of_words(const fm_dp_lattice *lattice, void *words, size_t n,
                                              const fm_dp_pairs *pairs, const fm_dp_round *round,
                                              fm_rng *rng, fm_dp_release **out);

#endif
