#ifndef FEDMOE_TESTS_DP_NOISE_EMULATED_H
#define FEDMOE_TESTS_DP_NOISE_EMULATED_H

#include "noise_internal.h"

/** dp/src/noise_avx512.c over avx512_emulated.h. */
fm_gauss_groups fm_gauss_groups_emulated;

#if defined(__x86_64__)
/** dp/src/noise_aes.c over the same and AES-NI, which must be there. */
void fm_gauss_aes_expand_key_emulated(const uint8_t key[FM_DP_NOISE_SEED_BYTES],
                                      uint8_t round_key[15][16]);
void fm_gauss_aes_stream_emulated(const uint8_t round_key[15][16], uint64_t counter, uint8_t *out,
                                  size_t len);
#endif

#endif
