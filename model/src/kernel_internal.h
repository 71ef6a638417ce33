/*
 * Products of rows with a matrix in which every row's result depends on that row alone, bit for
 * bit: whatever the number of rows, the row's place among them and the machine.
 *
 * Why not OpenBLAS: its kernels choose their order of summation by the shape of the whole product.
 * Measured with 0.3.21, one thread: X W^T with 64 rows against the same with 1..63 of these rows,
 * 576 shapes with in and out 1..70: 12 % of the rows differ (Cooperlake kernels; 11 % Haswell, 3 %
 * Nehalem), and in 196 (441, 182) shapes equal rows of one product differ by their place. So sums
 * over a record's own values are taken here, and OpenBLAS does the sums over records.
 */
#ifndef FEDMOE_MODEL_KERNEL_INTERNAL_H
#define FEDMOE_MODEL_KERNEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/**
 * c[i,j] = start + sum over k, in increasing order, of a[i,k] * b[k,j]; each product and each sum
 * rounded. start is c[i,j] when `add`, else bias[j], or 0 when bias is NULL.
 * @param a float32[rows, in]. @param b float32[in, out]. @param c out, float32[rows, out].
 */
void fm_old_kernel_rows(const float *a, size_t rows, size_t in, const float *b, size_t out,
                        const float *bias, bool add, float *c);

/** For tests, the same with 0 no special, 1 AVX2, 2 AVX-512 registers, where the machine has them;
 *  the bits are the same. */
void fm_old_kernel_rows_at(unsigned level, const float *a, size_t rows, size_t in, const float *b,
                           size_t out, const float *bias, bool add, float *c);

/** Sum of a[k] * b[k] in eight interleaved partial sums, the same on every machine. */
float fm_old_kernel_dot(const float *a, const float *b, size_t n);

/** Sum of a[k]^2 in double, in increasing order of eight interleaved sums. */
double fm_old_kernel_square(const float *a, size_t n);

/** y += scale * x. */
void fm_old_kernel_add_scaled(float *y, float scale, const float *x, size_t n);

#endif
