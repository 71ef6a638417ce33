/*
 * Optimizers on flat vectors: float32 state, float64 arithmetic, fixed order. The same sums give
 * the same bits, also with a stop and a start from a checkpoint between them.
 */
#ifndef FEDMOE_AGGREGATOR_OPTIMIZER_H
#define FEDMOE_AGGREGATOR_OPTIMIZER_H

#include "fedmoe/proto/plan.h"

typedef struct {
    fm_optimizer_kind kind;
    double learning_rate, momentum, beta2, adam_epsilon;
    double divisor; /* sampling_rate * expected_units */
    size_t n;
    size_t frozen; /* the first weights that no step changes: the model that is evaluated */
    uint64_t steps;
    uint64_t average_from; /* steps after this many enter the average */
    uint64_t averaged;     /* how many have */
    float *weights;        /* [n] owned */
    float *m, *v;          /* [n] owned; v NULL for SGD */
    double *average;       /* [n] owned: sum of the averaged weights; NULL when averaging is 0 */
} fm_optimizer;

/**
 * The weights after the last averaging * rounds steps (to the nearest whole number) will be
 * averaged.
 * @param weights  the first ones, float32[n], copied.
 */
FM_NODISCARD fm_status fm_optimizer_new(const fm_plan *plan, const float *weights, size_t n,
                                        fm_optimizer **out);
void fm_optimizer_free(fm_optimizer **o);
/**
 * One step on the mean gradient = gradient (the sum over units) / divisor, of n - frozen values.
 *
 *   SGD   m = momentum m + g;  w = w - learning_rate m
 *   Adam  m = momentum m + (1 - momentum) g;  v = beta2 v + (1 - beta2) g^2
 *         w = w - learning_rate (m / (1 - momentum^t)) / (sqrt(v / (1 - beta2^t)) + adam_epsilon)
 *   SUM   w = w + the sum, as it is: the answer of a query (averaging does not apply)
 *
 * @return FM_OK; FM_EINVAL another n; FM_ENONFINITE a NaN or infinity in the gradient, or a step
 *         that would leave the float32 numbers. On error all is unchanged.
 * @source Adam: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1; averaging: Polyak and Juditsky
 *         1992.
 */
FM_NODISCARD fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n);
/** The weights to publish at the end: the average if there is one. out: float32[n]. */
void fm_optimizer_result(const fm_optimizer *o, float *out);

#endif
