#ifndef FEDMOE_TRAIN_PERSONAL_INTERNAL_H
#define FEDMOE_TRAIN_PERSONAL_INTERNAL_H

#include "fedmoe/train/personal.h"

struct fm_personal_data {
    const fm_table *table;
    fm_tabular_config config;
    float *plain;     /* [rows, K] outputs before the correction for clipping */
    float *federated; /* [rows, K] outputs of the federation's model as it predicts */
    float *center;    /* [F], or NULL: zero */
};

/** Loss of one record by its outputs, with the class's weight. @param slope out, [K], or NULL. */
double personal_loss(const fm_tabular_config *c, const double *z, float label, double *slope);

/* lbfgs.c */
/** @param gradient out, [n]. @return the objective. */
typedef double (*fm_objective)(void *ctx, const double *x, double *gradient);
/** From x to a minimum of a smooth convex function. FM_ENOMEM.
 *  @source Nocedal & Wright 2006, Numerical Optimization, algorithms 7.4 and 3.1. */
FM_NODISCARD fm_status fm_lbfgs(fm_objective f, void *ctx, size_t n, double *x);

#endif
