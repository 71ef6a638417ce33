/* The loss of one record and its gradient by the outputs. */
#ifndef FEDMOE_MODEL_LOSS_H
#define FEDMOE_MODEL_LOSS_H

#include <stddef.h>

/* @return w log(1 + exp(-s z)), s = 2y - 1; *g its derivative by z. */
double fm_loss_binary(float z, float y, double weight, float *g);
/* @return w (log sum exp z - z_class); g[k] its derivatives. A class that is not below k, or no
 * number, gives NaN. */
double fm_loss_classes(const float *z, size_t k, float class, const float *weights, float *g);
/* @return (z - y)^2 / 2; *g its derivative by z. */
double fm_loss_number(float z, float y, float *g);

#endif
