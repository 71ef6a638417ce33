/* The AVX-512 kernel with its instructions written out in C, under a name of its own. */
#define FM_GAUSS_EMULATED
#define fm_gauss_groups_avx512 fm_gauss_groups_emulated
#include "noise_avx512.c"
