/* What a level of instructions brings to the products in 8 bits. Every function gives the same
 * bits at every level. */
#ifndef FEDMOE_EDGE_INT8_LEVELS_H
#define FEDMOE_EDGE_INT8_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_INT8_TILE 4   /* rows of weights, and of inputs, of a tile */
#define FM_INT8_ROWS 16  /* rows of weights of a product with one row of inputs */
#define FM_INT8_LANES 16 /* sums of a float product: column c goes to sum c mod 16 */

typedef struct {
    /** out[4 i + r] = offset(x[i]) + sum over n columns of w[r] x[i], mod 2^32. */
    void (*tile)(const int8_t *const w[FM_INT8_TILE], const int8_t *const x[FM_INT8_TILE], size_t n,
                 uint32_t out[FM_INT8_TILE * FM_INT8_TILE]);
    /** out[r] = offset(x) + sum of w[r] x. */
    void (*rows)(const int8_t *const w[FM_INT8_ROWS], const int8_t *x, size_t n,
                 uint32_t out[FM_INT8_ROWS]);
    /** What the two above have too much. NULL: nothing. */
    uint32_t (*offset)(const int8_t *x, size_t n);
    /** out[r] = sum of x w[r]: FM_INT8_LANES sums, product and sum rounded each; then lane l gets
     *  lane l + 8, l + 4, l + 2, l + 1. */
    void (*floats)(const int8_t *const w[FM_INT8_TILE], const float *x, size_t n,
                   float out[FM_INT8_TILE]);
    /** fm_int8_quantise of one row; false: a value is no finite number. */
    bool (*quantise)(const float *x, size_t n, int8_t *q, float *scale);
} fm_int8_kernels;

extern const fm_int8_kernels fm_int8_portable;
#if defined(__x86_64__)
extern const fm_int8_kernels fm_int8_avx2;
extern const fm_int8_kernels fm_int8_avx512; /* F, BW, VL, DQ */
extern const fm_int8_kernels fm_int8_vnni;
#endif

/** A value of a row over its scale, to nearest even. */
int8_t fm_int8_round(float x, float scale);

#endif
