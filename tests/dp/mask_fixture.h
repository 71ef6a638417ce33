/* A consortium in one process: keys, pair secrets, sums, releases, and the server's sum. */
#ifndef FEDMOE_TESTS_DP_MASK_FIXTURE_H
#define FEDMOE_TESTS_DP_MASK_FIXTURE_H

#include "fedmoe/dp/mask.h"
#include "fm_test.h"

#define FIX_MAX 40
#define FIX_NODES 6 /* that fix_spec makes a lattice for */

typedef struct {
    uint32_t members;
    size_t n;
    fm_dp_lattice lattice;
    fm_dp_shares *shares; /* of the last release or disclosure */
    fm_dp_keypair *keys[FIX_MAX];
    uint8_t public_keys[FIX_MAX][FM_DP_KEY_BYTES];
    fm_dp_roster roster; /* self is set for each node */
    fm_dp_pairs *pairs[FIX_MAX];
    fm_dp_round rounds[FIX_MAX]; /* as each node was shown it */
    uint32_t participants[FIX_MAX];
    fm_dp_release *releases[FIX_MAX];
    int32_t *expected; /* [n] the survivors' encodings and noise that stays, mod 2^32 */
} fixture;

/** Keys and one round that all nodes see alike. noise 0: the lattice without noise. */
void fix_init(fixture *f, uint32_t members, size_t n, double noise_multiplier);
/** The same with another quorum, colluders and kind of noise than fix_spec has. */
void fix_init_noise(fixture *f, uint32_t members, size_t n, const fm_dp_lattice_spec *spec);
/** Two may be lost, but two are left if there are two; none colludes. */
fm_dp_lattice_spec fix_spec(uint32_t members, double noise_multiplier);
/** Derive (again) the pair secrets of node u from f->roster as it is now. */
void fix_pair(fixture *f, uint32_t u);
/** How many of 256 pairs share a mask, in every node's round. */
void fix_set_density(fixture *f, uint32_t density);
/** Every node sums a few random units, and makes its release; the seed is for those units. */
void fix_release_all(fixture *f, uint64_t seed);
/** The encoded sum of node u's units, int32[n], before noise and masks. */
const int32_t *fix_encoded(uint32_t u);
/** The same with all its bits, on the units' lattice. */
const int64_t *fix_encoded64(uint32_t u);
/** What the server computes of the survivors, in words of the lattice (fm_dp_sum_word_bytes), and
 *  what it should be in f->expected. */
void fix_unmask(fixture *f, const uint32_t *survivors, uint32_t count, void *sum);
/** The same of one survivor's update alone: what is expected is its own part, in the clear. */
void fix_unmask_one(fixture *f, const uint32_t *survivors, uint32_t count, uint32_t who, void *sum);
/** Words of sum that are not the expected ones. */
size_t fix_wrong_words(const fixture *f, const void *sum);
void fix_fini(fixture *f);

#endif
