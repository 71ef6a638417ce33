/* Key schedule of the masks: keypair.c, pairs.c, mask.c, release.c. */
#ifndef FEDMOE_DP_MASK_INTERNAL_H
#define FEDMOE_DP_MASK_INTERNAL_H

#include "fedmoe/dp/mask.h"

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

/** sum[i] += (sign 1) or -= (sign -1) the stream's words, 4 * n bytes. */
void fm_dp_mask_words(uint32_t *sum, size_t n, const uint8_t *stream, int sign);

uint32_t fm_dp_pairs_members(const fm_dp_pairs *p);
uint32_t fm_dp_pairs_self(const fm_dp_pairs *p);
/** s_uv with u = self, v != self; borrowed. */
const uint8_t *fm_dp_pairs_secret(const fm_dp_pairs *p, uint32_t v);

#endif
