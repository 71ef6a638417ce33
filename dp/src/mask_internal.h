/* Key schedule and key streams of the masks: keypair.c, pairs.c, mask*.c, words.c, release.c. */
#ifndef FEDMOE_DP_MASK_INTERNAL_H
#define FEDMOE_DP_MASK_INTERNAL_H

#include <stdbool.h>

#include "fedmoe/dp/mask.h"
#include "noise_internal.h"

#define FM_DP_MAX_MEMBERS 1024u

/** FM_EAUTH unless the key is a canonical X25519 public key. */
FM_NODISCARD fm_status fm_dp_public_key_check(const uint8_t key[FM_DP_KEY_BYTES]);

/** X25519(own secret, peer); FM_EAUTH for a peer key of low order. */
FM_NODISCARD fm_status fm_dp_keypair_agree(const fm_dp_keypair *own,
                                           const uint8_t peer[FM_DP_KEY_BYTES],
                                           uint8_t shared[FM_DP_KEY_BYTES]);

/** HKDF-SHA256(key, salt = none, info = label | context). FM_EINTERNAL when OpenSSL has none. */
FM_NODISCARD fm_status fm_dp_hkdf(const uint8_t key[FM_DP_KEY_BYTES], const char *label,
                                  const fm_hash *context, uint8_t out[FM_DP_KEY_BYTES]);

/** The context of s_uv, and s_uv from the X25519 result; symmetric in u and v. */
fm_hash fm_dp_pair_context(const fm_dp_roster *roster, uint32_t u, uint32_t v);
FM_NODISCARD fm_status fm_dp_pair_secret(const fm_dp_roster *roster, uint32_t u, uint32_t v,
                                         const uint8_t shared[FM_DP_KEY_BYTES],
                                         uint8_t out[FM_DP_KEY_BYTES]);

/** The context of k_uv, and k_uv from s_uv. */
fm_hash fm_dp_round_context(const fm_dp_round *round);
FM_NODISCARD fm_status fm_dp_mask_seed(const uint8_t secret[FM_DP_KEY_BYTES],
                                       const fm_hash *round_context, uint8_t out[FM_DP_KEY_BYTES]);

/** sum[i] += (sign 1) or -= (sign -1) the stream's words; of as many bytes as the sum's. */
void fm_dp_mask_words(unsigned word_bits, void *sum, size_t n, const uint8_t *stream, int sign);

#define FM_DP_MASK_GROUP_BYTES 512u /* that a kernel masks at once */
#define FM_DP_MASK_GROUP_BLOCKS 32u /* the same as blocks of AES */
#define FM_DP_MASK_GROUP 256u       /* the same as the shortest words, as a multiple for all */

/**
 * sum[i] += (sign 1) or -= (sign -1) key stream, for `groups` groups of words, from the given group
 * of the stream on; narrow: of uint16_t, else of uint32_t. No branch and no address depends on the
 * keys or on the sum.
 */
typedef void fm_dp_mask_kernel(const uint8_t round_key[15][16], uint64_t group, uint8_t *sum,
                               size_t groups, bool narrow, int sign);

/** A way to add the same key stream. */
typedef struct {
    const char *name;
    bool (*available)(void);
    fm_dp_mask_kernel *kernel; /* NULL: OpenSSL makes the key stream */
} fm_dp_mask_path;

#if defined(__x86_64__)
fm_dp_mask_kernel fm_dp_mask_aesni, fm_dp_mask_vaes256, fm_dp_mask_vaes512;
#endif

/** Slowest first; the first is always available. */
extern const fm_dp_mask_path fm_dp_mask_paths[];
extern const size_t fm_dp_mask_path_count;

/** The best that this machine can run. */
const fm_dp_mask_path *fm_dp_mask_best_path(void);

/* PRG(seed), from its beginning. Secret; _end wipes it, also after an error. */
typedef struct {
    const fm_dp_mask_path *path;
    unsigned word_bits;
    fm_gauss_stream keys;
} fm_dp_mask_stream;

FM_NODISCARD fm_status fm_dp_mask_begin(fm_dp_mask_stream *s, const fm_dp_mask_path *path,
                                        unsigned word_bits, const uint8_t seed[FM_DP_KEY_BYTES]);
/** The next n words, onto the sum. n is a multiple of FM_DP_MASK_GROUP, but for the last piece. */
FM_NODISCARD fm_status fm_dp_mask_next(fm_dp_mask_stream *s, void *sum, size_t n, int sign);
void fm_dp_mask_end(fm_dp_mask_stream *s);

uint32_t fm_dp_pairs_members(const fm_dp_pairs *p);
uint32_t fm_dp_pairs_self(const fm_dp_pairs *p);
/** s_uv with u = self, v != self; borrowed. */
const uint8_t *fm_dp_pairs_secret(const fm_dp_pairs *p, uint32_t v);

#endif
