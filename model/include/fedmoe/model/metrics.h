/*
 * How good predictions are: of two classes, of several, of a number; each figure with a 95 %
 * confidence interval for records drawn like these ones. For any thread.
 *
 * With z = 1.96 and n records:
 *   AUC            DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837: var = S10/m + S01/k over
 *                  the m positive and k negative records' placement values; auc -+ z sd, cut to
 *                  [0, 1]
 *   proportions    Wilson 1927, JASA 22:209 (accuracy; the observed share of a bin)
 *   means          mean -+ z s / sqrt(n) (log loss, Brier score, MAE); RMSE: the root of that of
 *                  the squared errors
 *   slope, intercept   of logit(y) = a + b score, fitted by Newton's method: b, and a with b held at
 *                  1; Wald, from the inverse information (Cox 1958, Biometrika 45:562; Van Calster
 *                  et al. 2019, BMC Medicine 17:230). Right is slope 1 and intercept 0; below 1 the
 *                  predictions are too extreme
 *   macro AUC, R2  delta method: the mean square of the figure's influence function, over n
 *
 * Figures that records were not drawn at random for, or that were computed on the records that the
 * model was trained on, are not what these intervals are about. None of it is private.
 */
#ifndef FEDMOE_MODEL_METRICS_H
#define FEDMOE_MODEL_METRICS_H

#include <stddef.h>

#include "fedmoe/base/json.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/model/schema.h"

typedef struct {
    double lo, hi; /* NaN both where there is none */
} fm_range;

/** Records whose predicted probability (of several classes: that of the predicted one) is in
 *  [i / 10, (i + 1) / 10), the last with its upper end. */
typedef struct {
    size_t rows;
    double predicted, observed; /* mean probability; share of positive (right) ones; NaN if none */
    fm_range observed_ci;
} fm_reliability_bin;
#define FM_RELIABILITY_BINS 10

/** What does not apply, or cannot be computed, is NaN. */
typedef struct {
    fm_target target;
    size_t rows, positives; /* positives: of BINARY */
    double auc;             /* ties count half; NaN when only one class is there. CLASSES: the mean
                               over the classes of each against the rest (of those that are there) */
    double accuracy;        /* at probability 0.5, that is logit 0; CLASSES: the largest output */
    double log_loss;        /* nats */
    double brier;           /* mean (p - y)^2; CLASSES: summed over the classes */
    double calibration_error; /* sum over bins of rows / n |predicted - observed| */
    double slope, intercept;  /* BINARY */
    double rmse, mae, r2;     /* NUMBER, in the label's unit */
    fm_range auc_ci, accuracy_ci, log_loss_ci, brier_ci, slope_ci, intercept_ci, rmse_ci, mae_ci,
        r2_ci;
    fm_reliability_bin bins[FM_RELIABILITY_BINS]; /* not of NUMBER */
} fm_metrics;

/** BINARY. @param logits,labels float32[n]; labels 0 or 1. FM_ENONFINITE; FM_EINVAL; FM_ENOMEM. */
FM_NODISCARD fm_status fm_metrics_compute(const float *logits, const float *labels, size_t n,
                                          fm_metrics *out);
/** CLASSES. @param outputs float32[n, classes]; labels 0..classes-1. */
FM_NODISCARD fm_status fm_metrics_classes(const float *outputs, const float *labels, size_t n,
                                          size_t classes, fm_metrics *out);
/** NUMBER. @param scale the label's unit in units of the outputs, above 0. */
FM_NODISCARD fm_status fm_metrics_number(const float *outputs, const float *labels, size_t n,
                                         double scale, fm_metrics *out);
/** Whichever of them the schema's label asks for; a number is first brought within the label's
 *  declared range, as predictions are. @param outputs float32[n, outputs]. */
FM_NODISCARD fm_status fm_metrics_of(const fm_schema *s, const float *outputs, const float *labels,
                                     size_t n, fm_metrics *out);

/** All that applies; intervals as "NAME_ci": [lo, hi], null for NaN. @param name NULL, or "name". */
FM_NODISCARD fm_status fm_metrics_json(const fm_metrics *m, const char *name, json_t **out);
/** A figure for people: four decimals, fewer of what is large; of what is small or huge four
 *  significant digits; "-" unless finite. @param out room for FM_METRICS_FIGURE. */
#define FM_METRICS_FIGURE ((size_t)24)
void fm_metrics_figure(double v, char out[FM_METRICS_FIGURE]);
/** Lines for people: each figure with its interval. */
FM_NODISCARD fm_status fm_metrics_text(const fm_metrics *m, fm_buf *out);
/**
 * A reliability diagram: observed against predicted, the intervals, and below how many records each
 * bin has. One SVG document that needs nothing else, in light or dark as its reader likes, dark on
 * white in print, with a text alternative.
 * @param title shown, escaped; UTF-8. FM_EINVAL for NUMBER.
 */
FM_NODISCARD fm_status fm_metrics_svg(const fm_metrics *m, const char *title, fm_buf *out);

#endif
