/* Figures of two classes and of a number. */
#include "fedmoe/model/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "metrics_internal.h"

void fm_metrics_blank(fm_metrics *m, fm_target target, size_t rows)
{
    const double nan = (double)NAN;
    const fm_range none = { nan, nan };

    *m = (fm_metrics){ .target = target,
                       .rows = rows,
                       .auc = nan,
                       .accuracy = nan,
                       .log_loss = nan,
                       .brier = nan,
                       .calibration_error = nan,
                       .slope = nan,
                       .intercept = nan,
                       .rmse = nan,
                       .mae = nan,
                       .r2 = nan,
                       .auc_ci = none,
                       .accuracy_ci = none,
                       .log_loss_ci = none,
                       .brier_ci = none,
                       .slope_ci = none,
                       .intercept_ci = none,
                       .rmse_ci = none,
                       .mae_ci = none,
                       .r2_ci = none };
    for (size_t i = 0; i < FM_RELIABILITY_BINS; i++)
        m->bins[i] = (fm_reliability_bin){ 0, nan, nan, none };
}

static fm_status check(const float *outputs, size_t count, const float *labels, size_t n,
                       fm_target target)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(outputs[i]))
            return fm_fail(FM_ENONFINITE, "metrics: a prediction is not a finite number");
    for (size_t i = 0; i < n; i++)
        if (target == FM_TARGET_BINARY ? labels[i] != 0.0f && labels[i] != 1.0f
                                       : !isfinite(labels[i]))
            return target == FM_TARGET_BINARY
                       ? fm_fail(FM_EINVAL, "metrics: a label is neither 0 nor 1")
                       : fm_fail(FM_ENONFINITE, "metrics: a label is not a finite number");
    return FM_OK;
}

/* DeLong's interval: the placement values vary within each class on their own. */
static fm_range delong(double auc, const float *labels, const double *placement, size_t n,
                       size_t positives)
{
    const double m = (double)positives, k = (double)(n - positives);
    double s[2] = { 0.0, 0.0 }, half;

    for (size_t i = 0; i < n; i++)
        s[labels[i] == 1.0f] += (placement[i] - auc) * (placement[i] - auc);
    if (positives < 2 || n - positives < 2)
        return (fm_range){ (double)NAN, (double)NAN };
    half = FM_Z95 * sqrt(s[1] / (m - 1.0) / m + s[0] / (k - 1.0) / k);
    return (fm_range){ fmax(auc - half, 0.0), fmin(auc + half, 1.0) };
}

/* v: room for n numbers, which each figure uses in turn. */
static void measure(const float *logits, const float *labels, size_t n, fm_scored *s, double *v,
                    fm_metrics *m)
{
    size_t right = 0;

    for (size_t i = 0; i < n; i++) {
        const bool positive = labels[i] == 1.0f;
        const double margin = positive ? (double)logits[i] : -(double)logits[i];

        s[i] = (fm_scored){ (double)logits[i], i, positive };
        m->positives += positive;
        right += positive == (logits[i] > 0.0f);
        v[i] = fmax(-margin, 0.0) + log1p(exp(-fabs(margin)));
    }
    m->log_loss = fm_mean_of(v, n, &m->log_loss_ci);
    m->accuracy = n ? (double)right / (double)n : (double)NAN;
    m->accuracy_ci = fm_wilson(right, n);
    m->auc = fm_auc_placements(s, n, m->positives, v);
    if (!isnan(m->auc))
        m->auc_ci = delong(m->auc, labels, v, n, m->positives);
    for (size_t i = 0; i < n; i++) {
        const double p = 1.0 / (1.0 + exp(-(double)logits[i]));

        v[i] = (p - (double)labels[i]) * (p - (double)labels[i]);
        fm_calibration_add(m, p, labels[i] == 1.0f);
    }
    m->brier = fm_mean_of(v, n, &m->brier_ci);
    fm_calibration_bins(m);
    fm_calibration_fit(logits, labels, n, m);
}

fm_status fm_metrics_compute(const float *logits, const float *labels, size_t n, fm_metrics *out)
{
    fm_scored *s = NULL;
    double *v = NULL;
    fm_metrics m;
    fm_status st;

    if (!out || (n && (!logits || !labels)))
        return fm_fail(FM_EINVAL, "metrics: an argument is missing");
    if ((st = check(logits, n, labels, n, FM_TARGET_BINARY)))
        return st;
    fm_metrics_blank(&m, FM_TARGET_BINARY, n);
    if (!(st = fm_alloc(n ? n : 1, sizeof *s, (void **)&s)) &&
        !(st = fm_alloc(n ? n : 1, sizeof *v, (void **)&v))) {
        measure(logits, labels, n, s, v, &m);
        *out = m;
    }
    free(s);
    free(v);
    return st;
}

/* R2 = 1 - mse / var. Its influence function is mse / var^2 d^2 - e^2 / var, of mean 0, where e is
 * the record's error and d its distance from the mean label. */
static void share_explained(const float *outputs, const float *labels, size_t n, double scale,
                            fm_metrics *m)
{
    const double count = (double)n;
    double mean = 0.0, mse = 0.0, variance = 0.0, squares = 0.0, half;

    for (size_t i = 0; i < n; i++)
        mean += scale * (double)labels[i] / count;
    for (size_t i = 0; i < n; i++) {
        const double e = scale * ((double)outputs[i] - (double)labels[i]),
                     d = scale * (double)labels[i] - mean;

        mse += e * e / count;
        variance += d * d / count;
    }
    if (!(variance > 0.0) || n < 2)
        return;
    for (size_t i = 0; i < n; i++) {
        const double e = scale * ((double)outputs[i] - (double)labels[i]),
                     d = scale * (double)labels[i] - mean,
                     influence = mse / (variance * variance) * d * d - e * e / variance;

        squares += influence * influence / count;
    }
    half = FM_Z95 * sqrt(squares / count);
    m->r2 = 1.0 - mse / variance;
    m->r2_ci = (fm_range){ m->r2 - half, fmin(m->r2 + half, 1.0) };
}

fm_status fm_metrics_number(const float *outputs, const float *labels, size_t n, double scale,
                            fm_metrics *out)
{
    double *v = NULL;
    fm_metrics m;
    fm_status st;

    if (!out || (n && (!outputs || !labels)) || !(scale > 0.0))
        return fm_fail(FM_EINVAL, "metrics: an argument is missing");
    if ((st = check(outputs, n, labels, n, FM_TARGET_NUMBER)) ||
        (st = fm_alloc(n ? n : 1, sizeof *v, (void **)&v)))
        return st;
    fm_metrics_blank(&m, FM_TARGET_NUMBER, n);
    for (size_t i = 0; i < n; i++)
        v[i] = fabs(scale * ((double)outputs[i] - (double)labels[i]));
    m.mae = fm_mean_of(v, n, &m.mae_ci);
    for (size_t i = 0; i < n; i++)
        v[i] *= v[i];
    m.rmse = sqrt(fm_mean_of(v, n, &m.rmse_ci));
    if (!isnan(m.rmse_ci.lo))
        m.rmse_ci = (fm_range){ sqrt(fmax(m.rmse_ci.lo, 0.0)), sqrt(m.rmse_ci.hi) };
    share_explained(outputs, labels, n, scale, &m);
    free(v);
    *out = m;
    return FM_OK;
}

/* Of the predictions as they are given out: within the label's declared range. */
static fm_status measure_numbers(const fm_schema *s, const float *outputs, const float *labels,
                                 size_t n, fm_metrics *out)
{
    float *given = NULL;
    fm_status st = n && !outputs ? fm_fail(FM_EINVAL, "metrics: an argument is missing")
                                 : fm_alloc(n ? n : 1, sizeof *given, (void **)&given);

    for (size_t i = 0; !st && i < n; i++)
        given[i] = fm_schema_bound(s, outputs[i]);
    if (!st)
        st = fm_metrics_number(given, labels, n, fm_schema_number_scale(s), out);
    free(given);
    return st;
}

fm_status fm_metrics_of(const fm_schema *s, const float *outputs, const float *labels, size_t n,
                        fm_metrics *out)
{
    switch (fm_schema_target(s)) {
    case FM_TARGET_CLASSES:
        return fm_metrics_classes(outputs, labels, n, fm_schema_outputs(s), out);
    case FM_TARGET_NUMBER:
        return measure_numbers(s, outputs, labels, n, out);
    case FM_TARGET_BINARY:
        break;
    }
    return fm_metrics_compute(outputs, labels, n, out);
}
