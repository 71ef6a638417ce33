/* Logistic regression without privacy on the same features: the limit of what a linear model gives. */
#ifndef FEDMOE_BENCH_TABULAR_LOGISTIC_H
#define FEDMOE_BENCH_TABULAR_LOGISTIC_H

#include "fedmoe/model/table.h"

/**
 * Newton's method to convergence, with ridge / 2 |w|^2 added to the sum of losses (bias free).
 * Stops the program without memory.
 * @param weights  out, double[features + 1], the bias last.
 */
void tabular_logistic_fit(const fm_table *t, double ridge, double *weights);
/** out: float32[rows]. */
void tabular_logistic_predict(const fm_table *t, const double *weights, float *logits);

#endif
