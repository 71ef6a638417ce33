/*
 * Pairwise and self masks, and the only thing that may leave: the release.
 *
 * Key pairs and pairs never change once made: several threads may use one. A release belongs to
 * one thread.
 *
 * docs/protocol.md, section 9:
 *   y_u = encode(sum) + noise_u + PRG(b_u) + sum over u's edges v in P of +-PRG(k_uv)   mod 2^w,
 *   with + where u < v and - where u > v (indices in the roster), and words of w = 16, 24 or 32
 *   bits, the lattice's word_bits; which pairs are edges says mask_graph.h
 * Byte layouts: integers little-endian; H(label; x) is BLAKE2b-256 of u64 len(label) | label | x
 * (fm_hasher); HKDF without salt, 32 bytes out; labels as ASCII, without a final zero.
 *   C_uv = H("fedmoe pair v1"; u64 len(federation) | federation | session[16] | roster hash[32] |
 *            u64 u | u64 v | public key of u[32] | public key of v[32])         with u < v
 *   s_uv = HKDF-SHA256(key = X25519(e_u, e_v), info = "fedmoe pair v1" | C_uv)
 *   R    = H("fedmoe round v1"; u64 round | plan[32] | model[32] | u64 len(P) | u64 v, each v in P)
 *   k_uv = HKDF-SHA256(key = s_uv, info = "fedmoe mask v1" | R)
 *   PRG(seed) = AES-256-CTR key stream, key = seed, first counter block zero, as u32le words, of
 *   which w = 24 takes the lower 24 bits; with w = 16 as u16le words, so half as long
 *   y_u is sent as w / 8 bytes a word, little-endian
 */
#ifndef FEDMOE_DP_MASK_H
#define FEDMOE_DP_MASK_H

#include "fedmoe/base/hash.h"
#include "fedmoe/dp/encode.h"
#include "fedmoe/dp/mask_graph.h"
#include "fedmoe/dp/shares.h"

#define FM_DP_KEY_BYTES 32u
#define FM_DP_SESSION_BYTES 16u

/** A node's X25519 key pair for one process start; the secret half in guarded memory. */
typedef struct fm_dp_keypair fm_dp_keypair;
FM_NODISCARD fm_status fm_dp_keypair_new(fm_dp_keypair **out); /* system randomness only */
void fm_dp_keypair_free(fm_dp_keypair **k);
const uint8_t *fm_dp_keypair_public(const fm_dp_keypair *k); /* [FM_DP_KEY_BYTES], borrowed */

/** The pair secrets of one roster. */
typedef struct fm_dp_pairs fm_dp_pairs;

typedef struct {
    const char *federation;
    uint8_t session[FM_DP_SESSION_BYTES];
    fm_hash roster;
    const uint8_t (*public_keys)[FM_DP_KEY_BYTES]; /* [members], roster order, borrowed */
    uint32_t members;                              /* 1..1024; 1 is training alone */
    uint32_t self;                                 /* own index */
} fm_dp_roster;

/**
 * All s_uv. FM_EAUTH when a key is of low order, not below 2^255 - 19 (RFC 7748, section 5),
 * equal to another, or the own key is not at `self`.
 */
FM_NODISCARD fm_status fm_dp_pairs_new(const fm_dp_keypair *own, const fm_dp_roster *roster,
                                       fm_dp_pairs **out);
void fm_dp_pairs_free(fm_dp_pairs **p);

/** What binds the masks of a round: differing values give masks that do not cancel. */
typedef struct {
    uint64_t round;
    fm_hash plan;
    fm_hash model;
    const uint32_t *participants; /* roster indices, strictly increasing, own index among them */
    uint32_t participant_count;   /* >= 1; how many is enough is the node policy's affair */
    uint32_t mask_density;        /* mask_graph.h: which pairs share a mask; 256: all */
    /* With whom this node shares masks, when the round is summed by groups: its group, a subset of the
     * participants, increasing, own index in it. NULL: all participants. */
    const uint32_t *group;
    uint32_t group_count;
} fm_dp_round;

/** A masked, noised, clipped sum: the only form in which anything of the data may be sent. */
typedef struct fm_dp_release fm_dp_release;

/**
 * sum + noise + masks. Consumes the sum: it is wiped and reset, also on failure.
 * Where the units' lattice is finer than the wire's, the noise of level 0, which always stays, is
 * added on the finer one, and the whole rounded to the wire's; all else is on the wire's. A fair
 * coin for each release says whether what lies between two words goes up or down.
 *
 * @param shares  of the sum's lattice and of the number of those that share masks: the round's
 *                participants, or the group; not retained. NULL only when the lattice is without noise.
 * @param rng     for noise and b_u: fm_rng_system() outside of tests.
 * @return FM_OK; FM_EINVAL participants, density or shares not as above, or a
 *         batch of the sum is open; FM_ENOMEM; FM_EINTERNAL when OpenSSL
 *         lacks AES-256-CTR or HKDF.
 */
FM_NODISCARD fm_status fm_dp_release_make(fm_dp_sum *sum, const fm_dp_shares *shares,
                                          const fm_dp_pairs *pairs, const fm_dp_round *round,
                                          fm_rng *rng, fm_dp_release **out);
/**
 * Training alone, where nothing is sent: sum + noise, decoded as fm_dp_decode_sum does, without
 * masks. Only for a lattice of one node (FM_EINVAL): a federation's sums leave as releases.
 * Consumes the sum, also on failure.
 *
 * @param shares  of the sum's lattice for one participant. NULL only when it is without noise.
 * @param out     float32[n], gradient units.
 * @return as fm_dp_release_make.
 */
FM_NODISCARD fm_status fm_dp_sum_open_alone(fm_dp_sum *sum, const fm_dp_shares *shares, fm_rng *rng,
                                            float *out);

/** Coordinates [at, at + n) of an opened sum, gradient units; borrowed for the call. */
typedef void fm_dp_take(void *ctx, size_t at, const float *piece, size_t n);
/**
 * The same, handed over in pieces that are still in a near cache, in order: no vector of all of it.
 * After a failure some pieces may have been taken, and the round is of no use.
 */
FM_NODISCARD fm_status fm_dp_sum_open_pieces(fm_dp_sum *sum, const fm_dp_shares *shares,
                                             fm_rng *rng, fm_dp_take *take, void *ctx);

void fm_dp_release_free(fm_dp_release **r); /* wipes the seeds that were not disclosed */

/** The masked words as little-endian bytes, n * fm_dp_word_bytes of them; borrowed. */
void fm_dp_release_bytes(const fm_dp_release *r, const uint8_t **bytes, size_t *len);
/** Hash of those bytes, label "fedmoe update v1". */
fm_hash fm_dp_release_hash(const fm_dp_release *r);

/** The seeds of step 6: b_u, k_uv for each lost v, edge or not, and those of the surplus noise
 *  (shares.h). */
typedef struct {
    uint8_t self_seed[FM_DP_KEY_BYTES];
    uint32_t lost_count;
    uint32_t lost[1024]; /* roster indices, increasing */
    uint8_t pair_seeds[1024][FM_DP_KEY_BYTES];
    uint32_t surplus_count;
    uint8_t surplus_seeds[FM_DP_LEVELS_MAX][FM_DP_NOISE_SEED_BYTES]; /* in the order of levels */
} fm_dp_unmask;

/**
 * Disclose, at most once per release (FM_EREPLAY after). survivors: subset of the
 * participants (with groups: of the group), strictly increasing, self among them, with noise at least the lattice's quorum
 * (FM_EINVAL otherwise). The seeds of the noise that stays are wiped here and never leave.
 * The caller has synced its ledger entry before it calls this.
 */
FM_NODISCARD fm_status fm_dp_release_unmask(fm_dp_release *r, const uint32_t *survivors,
                                            uint32_t survivor_count, fm_dp_unmask **out);
void fm_dp_unmask_free(fm_dp_unmask **u);

/**
 * sum[i] += PRG(seed)[i] (sign 1) or -= (sign -1), mod 2^word_bits. FM_EINVAL for another sign;
 * after FM_EINTERNAL (OpenSSL failed) the sum is of no use.
 * @param word_bits  16, 24 or 32, here and below.
 * @param sum        uint16_t[n] or uint32_t[n]: see fm_dp_sum_word_bytes.
 */
FM_NODISCARD fm_status fm_dp_mask_apply(unsigned word_bits, void *sum, size_t n,
                                        const uint8_t seed[FM_DP_KEY_BYTES], int sign);
/** The sign with which u adds k_uv: +1 if u < v, else -1. */
int fm_dp_mask_sign(uint32_t u, uint32_t v);

/** sum[i] += words of an update's bytes, mod 2^word_bits; FM_EPROTO when they are not n words. */
FM_NODISCARD fm_status fm_dp_sum_words(unsigned word_bits, void *sum, size_t n,
                                       const uint8_t *bytes, size_t len);
/**
 * The same with a piece of an update: its bytes [at, at + len).
 * @return FM_OK; FM_EPROTO when they are not of n words, or of 16 or 32 bits and not whole ones.
 */
FM_NODISCARD fm_status fm_dp_sum_piece(unsigned word_bits, void *sum, size_t n, size_t at,
                                       const uint8_t *bytes, size_t len);

/** TESTS ONLY: the encoded sum without noise and masks, on the units' lattice (mod 2^32), int32[n],
 *  before fm_dp_release_make; and all its bits. */
void fm_dp_sum_peek_for_tests(const fm_dp_sum *s, int32_t *out);
void fm_dp_sum_peek64_for_tests(const fm_dp_sum *s, int64_t *out);
/** TESTS ONLY: the noise of one level that went into the release, int32[n]; level 0's is on the
 *  units' lattice; kept only if asked for here; NULL for a level that there is not. */
void fm_dp_release_keep_noise_for_tests(int keep);
const int32_t *fm_dp_release_noise_for_tests(const fm_dp_release *r, uint32_t level);
/** TESTS ONLY: how many masks were computed, the self mask and those that count for nothing
 *  included; 0 unless noise is kept, too. */
uint32_t fm_dp_release_masks_for_tests(const fm_dp_release *r);
/** TESTS ONLY: where the rounding put what lay between two words. */
bool fm_dp_release_ties_down_for_tests(const fm_dp_release *r);

#endif
