/*
 * Weights in 8 bits, and products with them.
 *
 * A matrix [rows, columns] has a row for each output, and one scale for each row:
 *     w[r, c] = scale[r] q[r, c],  q in -127..127,  scale[r] = max over c of |w[r, c]| / 127.
 * A row of inputs is rounded the same way, with a scale of its own, so that a product of two
 * rows is an integer (FM_INT8_COLUMNS_MAX keeps it within 32 bits) and two factors. The integers
 * are exact, the factors are applied in one order: the same bits at every level of instructions,
 * for any number of rows at once and any number of threads.
 *
 * Source: symmetric quantisation of rows and of tokens: Dettmers et al. 2022, arXiv:2208.07339,
 * section 2.1 (vector-wise); Xiao et al. 2023, arXiv:2211.10438, section 2 (per token).
 */
#ifndef FEDMOE_EDGE_INT8_H
#define FEDMOE_EDGE_INT8_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** 128 * 127 times as many columns stays below 2^31. */
#define FM_INT8_COLUMNS_MAX ((size_t)1 << 17)

/** Both borrowed. Of q, as a rule in a mapped file, no alignment is asked; a -128 that a file of
 *  others may have is computed with as any other value, exactly. */
typedef struct {
    const int8_t *q;    /* [rows, columns], rows >= 1 */
    const float *scale; /* [rows] */
    size_t rows, columns;
} fm_int8_matrix;

/**
 * Round rows of float32 to 8 bits, to nearest even; a row of zeros has scale 0.
 * @param x      float32[rows, columns], no stride.
 * @param q      out, int8[rows, columns]. @param scale out, float32[rows].
 * @return FM_OK; FM_EINVAL 0 or too many columns; FM_ENONFINITE: a value is no finite number.
 *         On error the outputs hold part of the work.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_int8_quantise(const float *x, size_t rows, size_t columns, int8_t *q,
                                        float *scale);

/** One row of a matrix as float32: out[columns]; for embeddings. */
void fm_int8_row(const fm_int8_matrix *m, size_t row, float *out);

/**
 * y[i, r] = (sum over c of q[i, c] m.q[r, c]) * (scale[i] * m.scale[r]).
 * @param q      int8[count, m.columns] of the inputs. @param scale float32[count].
 * @param y      out, float32 rows `stride` floats apart, stride >= m.rows.
 * @param room   fm_int8_room(m.columns) bytes, 64-byte aligned; what lies there is overwritten.
 * @thread pure; never allocates.
 */
void fm_int8_product(const fm_int8_matrix *m, const int8_t *q, const float *scale, size_t count,
                     float *y, size_t stride, void *room);
/** The sums alone, int32[count, m.rows]: what tests compare between levels. */
void fm_int8_sums(const fm_int8_matrix *m, const int8_t *q, size_t count, int32_t *sums,
                  void *room);
size_t fm_int8_room(size_t columns);

/**
 * Weights in 8 bits, inputs as they are: y[i, r] = m.scale[r] * sum over c of x[i, c] m.q[r, c],
 * summed in a fixed order: column c to sum c mod 16, product and sum rounded each, then the 16
 * by halves. The same bits at every level.
 * @param x float32 rows `x_stride` floats apart.
 */
void fm_int8_product_float(const fm_int8_matrix *m, const float *x, size_t x_stride, size_t count,
                           float *y, size_t y_stride);

#endif
