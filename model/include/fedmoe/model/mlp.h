/*
 * A plain multi-layer perceptron for classes, of the same layers as the tabular model: for
 * benchmarks against other libraries, and the smallest example of how the layers fit together.
 *
 *   x_0 = record; x_i = act(W_i x_{i-1} + b_i); z = W_n x_{n-1} + b_n; softmax cross-entropy
 *
 * The flat vector float32[P] holds W_1 [sizes[1], sizes[0]], b_1, W_2, b_2, ... Rows, units and
 * sums are those of tabular.h, with the same names.
 */
#ifndef FEDMOE_MODEL_MLP_H
#define FEDMOE_MODEL_MLP_H

#include "fedmoe/model/tabular.h"

#define FM_MLP_MAX_LAYERS 8u

typedef struct {
    size_t layers;                       /* 1..8 */
    size_t sizes[FM_MLP_MAX_LAYERS + 1]; /* record, hidden ..., classes; 1..65536, classes 2..256 */
    fm_activation activation;
} fm_mlp_config;

typedef struct fm_mlp fm_mlp;

/** P; FM_EINVAL when a size is out of bounds. */
FM_NODISCARD fm_status fm_mlp_parameters(const fm_mlp_config *c, size_t *out);
/** Weights are zero at first. All buffers are taken here; steps never allocate.
 *  @return FM_OK; FM_EINVAL; FM_ENOMEM. @thread an object belongs to one thread at a time. */
FM_NODISCARD fm_status fm_mlp_new(const fm_mlp_config *c, size_t max_rows, fm_mlp **out);
void fm_mlp_free(fm_mlp **m);
/** As fm_tabular_set. */
FM_NODISCARD fm_status fm_mlp_set(fm_mlp *m, const float *flat, size_t n);
/** As fm_tabular_backward: x float32[., sizes[0]], y the class of each row. */
FM_NODISCARD fm_status fm_mlp_backward(fm_mlp *m, const float *x, const float *y,
                                       const uint32_t *index, size_t rows, float *losses);
/** As fm_tabular_unit_squares, _add_units, _weighted_sum, _unit_gradient. */
void fm_mlp_unit_squares(fm_mlp *m, const uint32_t *ends, size_t units, double *out);
void fm_mlp_add_units(fm_mlp *m, const uint32_t *ends, size_t units, const double *factors,
                      int64_t limit, int32_t *sum, uint64_t *squares);
void fm_mlp_weighted_sum(fm_mlp *m, const float *weights, float *out);
void fm_mlp_unit_gradient(const fm_mlp *m, size_t i, float *out);

#endif
