/*
 * Optimizers on flat vectors, in float64 state and fixed order: the same sums give the same bits.
 */
#ifndef FEDMOE_AGGREGATOR_OPTIMIZER_H
#define FEDMOE_AGGREGATOR_OPTIMIZER_H

#include "fedmoe/proto/plan.h"

typedef struct {
    fm_optimizer_kind kind;
    double learning_rate, momentum, beta2, adam_epsilon;
    double divisor;       /* sampling_rate * expected_units */
    size_t n;
    uint64_t steps;
    uint64_t average_from; /* steps after this many enter the average */
    uint64_t averaged;     /* how many have */
    float *weights;  /* [n] owned */
    float *m, *v;    /* [n] owned; v NULL for SGD */
    double *average; /* [n] owned: sum of the averaged weights; NULL when averaging is 0 */
} fm_optimizer;

FM_NODISCARD fm_status fm_optimizer_new(const fm_plan *plan, const float *weights, size_t n,
                                        fm_optimizer **out);
void fm_optimizer_free(fm_optimizer **o);
/**
 * One step on the mean gradient = gradient (the sum over units) / divisor. FM_ENONFINITE leaves
 * all unchanged.
 * @source Adam: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1; averaging: Polyak and Juditsky 1992.
 */
FM_NODISCARD fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n);
/** The weights to publish at the end: the average if there is one. out: float32[n]. */
void fm_optimizer_result(const fm_optimizer *o, float *out);

#endif
