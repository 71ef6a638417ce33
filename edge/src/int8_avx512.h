/* Of int8_avx512.c, for the level above it. */
#ifndef FEDMOE_EDGE_INT8_AVX512_H
#define FEDMOE_EDGE_INT8_AVX512_H

#include "int8_levels.h"

void fm_int8_floats_avx512(const int8_t *const w[FM_INT8_TILE], const float *x, size_t n,
                           float out[FM_INT8_TILE]);
bool fm_int8_quantise_avx512(const float *x, size_t n, int8_t *q, float *scale);

#endif
