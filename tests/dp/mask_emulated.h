#ifndef FEDMOE_TESTS_DP_MASK_EMULATED_H
#define FEDMOE_TESTS_DP_MASK_EMULATED_H

#include "mask_internal.h"

#if defined(__x86_64__)
/** dp/src/mask_aes.c over vaes_emulated.h and AES-NI, which must be there. */
fm_dp_mask_kernel fm_dp_mask_vaes256_emulated, fm_dp_mask_vaes512_emulated;
#endif

#endif
