/*
 * Products and sums of rows in float32 and of rows in 8 bits, for what runs a few rows at a time:
 * weights are read where they lie, without an order of their own.
 *
 * No fused multiply-add, and each sum in one order that depends on its own row alone: the same bits
 * at every level of instructions and for any number of rows at once. No alignment is asked of
 * anything.
 */
#ifndef FEDMOE_EDGE_FLOATS_H
#define FEDMOE_EDGE_FLOATS_H

#include <stddef.h>
#include <stdint.h>

/**
 * y[i, r] = sum over c of x[i, c] w[r, c], in sixteen partial sums of c mod 16.
 * @param x float32[count, columns], no stride. @param w float32[rows, columns].
 * @param y rows `stride` floats apart.
 */
void fm_floats_product(const float *x, size_t count, const float *w, size_t rows, size_t columns,
                       float *y, size_t stride);
/** sum[c] += sum over j, in order, of p[j] v[j, c]: float32[rows, n], no stride. */
void fm_floats_mix(float *sum, const float *p, const float *v, size_t rows, size_t n);
/** The same of int8[rows, n]: the same bits as after fm_floats_widen. */
void fm_floats_mix_int8(float *sum, const float *p, const int8_t *v, size_t rows, size_t n);
void fm_floats_widen(const int8_t *v, float *out, size_t n);

#endif
