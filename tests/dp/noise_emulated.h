#ifndef FEDMOE_TESTS_DP_NOISE_EMULATED_H
#define FEDMOE_TESTS_DP_NOISE_EMULATED_H

#include "noise_internal.h"

/** dp/src/noise_avx512.c over avx512_emulated.h. */
fm_gauss_groups fm_gauss_groups_emulated;

#endif
