/* The own key stream with its instructions written out, under names of its own. */
#define FM_GAUSS_EMULATED
#define fm_gauss_aes_expand_key fm_gauss_aes_expand_key_emulated
#define fm_gauss_aes_stream fm_gauss_aes_stream_emulated
#include "noise_aes.c"
