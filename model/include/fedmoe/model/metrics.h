/* Figures of a binary classifier, from scores and labels. For any thread. */
#ifndef FEDMOE_MODEL_METRICS_H
#define FEDMOE_MODEL_METRICS_H

#include <stddef.h>

#include "fedmoe/base/status.h"

typedef struct {
    size_t rows, positives;
    double auc;      /* ties count half; NaN when only one class is there */
    double accuracy; /* at probability 0.5, that is logit 0 */
    double log_loss; /* nats */
} fm_metrics;

/** @param logits,labels float32[n]; labels 0 or 1. FM_ENONFINITE; FM_ENOMEM. */
FM_NODISCARD fm_status fm_metrics_compute(const float *logits, const float *labels, size_t n,
                                          fm_metrics *out);

#endif
