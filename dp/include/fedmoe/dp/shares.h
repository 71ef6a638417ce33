/*
 * How a node's noise is split, so that what turns out to be too much can be given back.
 *
 * A node does not know how many of the n participants of a round will be left when it draws its
 * noise. It adds the sum of several independent discrete Gaussians, the levels: with c tolerated
 * colluders, levels 0 .. l together are as wide as is needed when losses(l) of the n are lost,
 *
 *     sigma^2(0) + ... + sigma^2(l) = sigma_counted^2 / (n - losses(l) - c),
 *     losses(last) = n - quorum.
 *
 * Once the survivors are fixed the levels that were not needed are the surplus: a release discloses
 * their seeds, and the aggregator takes them off again. What stays of the survivors less c
 * colluders has variance sigma_counted^2 or more (docs/privacy.md, section 3).
 *
 * losses(l) is l itself (every number of losses has its level, and what stays is exact) as long as
 * n - c is at most FM_DP_EXACT_NODES and no level is too narrow: the first is 10 lattice steps wide
 * or more, the others FM_DP_MIN_SIGMA. Otherwise levels are merged, and up to
 * 1 / (FM_DP_EXACT_NODES - 1) of the variance too much stays, or what those widths ask for. Local noise has one level, sigma_counted, and no surplus; no noise has no level.
 *
 * All of it follows from the lattice and n alone: nodes and aggregator compute the same.
 *
 * Source of the idea: Jiang, Wang, Chen 2024, Dordis, EuroSys, arXiv:2209.12528.
 */
#ifndef FEDMOE_DP_SHARES_H
#define FEDMOE_DP_SHARES_H

#include "fedmoe/dp/encode.h"
#include "fedmoe/dp/noise.h"

#define FM_DP_EXACT_NODES 24u
/** Most levels of any lattice; with a quorum above half of the nodes there are fewer than 20. */
#define FM_DP_LEVELS_MAX 128u

typedef struct fm_dp_shares fm_dp_shares; /* immutable once made, shareable */

/**
 * Levels and their noise tables for rounds of this many participants.
 *
 * @param participants  the lattice's quorum .. nodes, at most 1024 (FM_EINVAL otherwise).
 */
FM_NODISCARD fm_status fm_dp_shares_new(const fm_dp_lattice *lattice, uint32_t participants,
                                        fm_dp_shares **out);
void fm_dp_shares_free(fm_dp_shares **s);
/** Make *s (NULL or of another round) fit: nothing is made when it does already. Releases that
 *  were made with the old one keep what they need. On error *s is NULL. */
FM_NODISCARD fm_status fm_dp_shares_fit(fm_dp_shares **s, const fm_dp_lattice *lattice,
                                        uint32_t participants);

/** How many levels there are, at least 1; 0 without noise. */
uint32_t fm_dp_shares_levels(const fm_dp_shares *s);
/** How many of them, the last ones, are surplus; survivors: quorum .. participants. */
uint32_t fm_dp_shares_surplus(const fm_dp_shares *s, uint32_t survivors);
/** Std of what stays of one node's noise, in lattice steps: that of the levels before those. */
double fm_dp_shares_sigma(const fm_dp_shares *s, uint32_t survivors);

/**
 * Take one node's disclosed surplus off: sum[i] -= the levels' noise, mod 2^word_bits of the lattice.
 *
 * @param seeds    [count], in the order of the levels.
 * @param count    exactly fm_dp_shares_surplus; FM_EPROTO otherwise.
 * @param sum      uint16_t[n] or uint32_t[n]: see fm_dp_sum_word_bytes.
 * @return FM_OK; FM_EINVAL survivors not quorum .. participants; FM_EINTERNAL when OpenSSL failed:
 *         then the sum is of no use.
 */
FM_NODISCARD fm_status fm_dp_shares_subtract(const fm_dp_shares *s, uint32_t survivors,
                                             const uint8_t (*seeds)[FM_DP_NOISE_SEED_BYTES],
                                             uint32_t count, void *sum, size_t n);

#endif
