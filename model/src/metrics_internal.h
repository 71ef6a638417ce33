#ifndef FEDMOE_MODEL_METRICS_INTERNAL_H
#define FEDMOE_MODEL_METRICS_INTERNAL_H

#include "fedmoe/model/metrics.h"

#define FM_Z95 1.959963984540054 /* 97.5 % of a standard normal */

/** Every figure and interval NaN, every bin empty. */
void fm_metrics_blank(fm_metrics *m, fm_target target, size_t rows);
/** Wilson's interval; NaN when n is 0. */
fm_range fm_wilson(size_t hits, size_t n);
/** Mean of v, and its interval (NaN for fewer than two). */
double fm_mean_of(const double *v, size_t n, fm_range *ci);

/** One record's score; `index` is its place. */
typedef struct {
    double score;
    size_t index;
    bool positive;
} fm_scored;
/**
 * Sorts s. placement[index]: of a positive record the share of negative ones below it, of a
 * negative record that of positive ones above it, ties half. @return the AUC, NaN when one class is
 * empty (placements are not written then).
 */
double fm_auc_placements(fm_scored *s, size_t n, size_t positives, double *placement);

/** Slope and intercept with their intervals. */
void fm_calibration_fit(const float *logits, const float *labels, size_t n, fm_metrics *m);
/** Add one record to its bin: sums, which fm_calibration_bins makes means of. */
void fm_calibration_add(fm_metrics *m, double probability, bool hit);
void fm_calibration_bins(fm_metrics *m);

#endif
