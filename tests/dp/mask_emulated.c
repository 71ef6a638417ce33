/* The mask kernels with their VAES instructions written out, under names of their own. */
#define FM_MASK_EMULATED
#define fm_dp_mask_aesni fm_dp_mask_aesni_again
#define fm_dp_mask_vaes256 fm_dp_mask_vaes256_emulated
#define fm_dp_mask_vaes512 fm_dp_mask_vaes512_emulated
#include "mask_aes.c"
