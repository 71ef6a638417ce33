/*
 * The model once more: in double, record by record, straight from the formulas in tabular.h, with
 * the tensors found by name. Shares no code with the library.
 */
#ifndef FEDMOE_TESTS_MODEL_REFERENCE_H
#define FEDMOE_TESTS_MODEL_REFERENCE_H

#include "fedmoe/model/tabular.h"

#define REFERENCE_OUTPUTS 8

typedef struct {
    double z[REFERENCE_OUTPUTS], loss; /* the entropy term included */
    double route_gap;                  /* smallest gap between the last chosen score and the next */
    double kink_gap;                   /* smallest |pre-activation| */
    uint32_t routes[16][256];          /* [blocks][top_k], increasing */
} reference_result;

/** @param theta double[P]. @param load_bias [blocks, E], or NULL: all zero. */
reference_result reference_run(const fm_tabular *m, const double *theta, const float *load_bias,
                               const float *x, float y);

#endif
