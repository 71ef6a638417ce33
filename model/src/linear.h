/*
 * A linear map y = x W^T + b, and the rows that go through it. Every row by itself: kernel.h.
 *
 * Weights are packed right before a product, into room that all maps share: what is packed stays in
 * the near cache for the product, and threads that share weights share nothing that is written.
 */
#ifndef FEDMOE_MODEL_LINEAR_H
#define FEDMOE_MODEL_LINEAR_H

#include "fedmoe/model/carve.h"
#include "fedmoe/model/kernel.h"

#define FM_ABSENT SIZE_MAX /* offset of a tensor that the configuration leaves out */

/* Rows of n floats, [rows, stride]: activations, or gradients. */
typedef struct {
    float *v;
    size_t n, stride;  /* fm_row_stride(n) */
    size_t per_record; /* rows that the buffers have for each record of the batch */
    double *squares;   /* [rows] squared norm of each, when fm_tape has taken them */
} fm_rows;

/* Where its parameters lie in the flat vector theta; their effective values are scale * theta. */
typedef struct {
    size_t in, out;
    size_t weight, bias;             /* offsets into theta, or FM_ABSENT */
    double weight_scale, bias_scale; /* the group's multiplier */
    double spread;                   /* of the first weights: see fm_tabular_spread */
    const float *w;                  /* [out, in] weights, unscaled, or NULL; borrowed */
    float *b;                        /* [out] effective bias, or NULL */
} fm_linear;

/* per_record rows of n for each of `records`. */
void fm_rows_carve(fm_carver *c, size_t records, size_t per_record, size_t n, fm_rows *out);
static inline float *fm_rows_at(const fm_rows *r, size_t i)
{
    return r->v + i * r->stride;
}
/* Row i of `to` = row index[i] (i itself when index is NULL) of x, float32[., to->n]. */
void fm_rows_gather(const fm_rows *to, const float *x, const uint32_t *index, size_t rows);

/* Floats that packing this map takes, either way. */
size_t fm_linear_panels(const fm_linear *l);
void fm_linear_carve(fm_carver *c, fm_linear *l);
/* FM_ENONFINITE when a weight, or scale * weight, is no finite number. */
FM_NODISCARD fm_status fm_linear_check(const fm_linear *l, const float *theta);
/* The weights are these from now on. theta is kept. */
void fm_linear_refresh(fm_linear *l, const float *theta);

/* Asks for n words that are far away, in their order: packing and sums go through them across, which
 * no processor foresees. The sum, of int32 or float32, will be written. */
void fm_fetch_weights(const float *w, size_t n);
void fm_fetch_sum(const void *sum, size_t n);

/* y[first .. first + rows) = x W^T + b of the same rows of x, or added to what is there.
 * panels: room for the packed weights. */
void fm_linear_forward(const fm_linear *l, float *panels, const fm_rows *x, size_t first,
                       size_t rows, bool add, const fm_rows *y);
/* gx = gy W, or added to what is there. */
void fm_linear_backward(const fm_linear *l, float *panels, const fm_rows *gy, size_t first,
                        size_t rows, bool add, const fm_rows *gx);

#endif
