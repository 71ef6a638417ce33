/* Figures of several classes. */
#include <math.h>
#include <stdlib.h>

#include "metrics_internal.h"

typedef struct {
    const float *outputs, *labels;
    size_t n, classes;
    double *log_sum;   /* [n] log of the sum of exp of the record's outputs */
    double *v;         /* [n], of each figure in turn */
    double *influence; /* [n], of the macro AUC */
    fm_scored *s;      /* [n] */
} table;

static double probability(const table *t, size_t i, size_t class)
{
    return exp((double)t->outputs[i * t->classes + class] - t->log_sum[i]);
}

static size_t largest(const float *outputs, size_t classes)
{
    size_t best = 0;

    for (size_t i = 1; i < classes; i++)
        best = outputs[i] > outputs[best] ? i : best;
    return best;
}

static double log_of_sum(const float *outputs, size_t classes)
{
    const double top = (double)outputs[largest(outputs, classes)];
    double sum = 0.0;

    for (size_t i = 0; i < classes; i++)
        sum += exp((double)outputs[i] - top);
    return top + log(sum);
}

/* One class against the rest: adds the AUC's influence on the mean over the classes. A record's is
 * (its placement - auc) over its class's share. @return the AUC, or NaN. */
static double against_rest(table *t, size_t class)
{
    const double count = (double)t->n;
    size_t positives = 0;
    double auc;

    for (size_t i = 0; i < t->n; i++) {
        const bool positive = (size_t)t->labels[i] == class;

        t->s[i] = (fm_scored){ probability(t, i, class), i, positive };
        positives += positive;
    }
    auc = fm_auc_placements(t->s, t->n, positives, t->v);
    for (size_t i = 0; !isnan(auc) && i < t->n; i++) {
        const bool positive = (size_t)t->labels[i] == class;
        const double share = (double)(positive ? positives : t->n - positives) / count;

        t->influence[i] += (t->v[i] - auc) / share;
    }
    return auc;
}

static void macro_auc(table *t, fm_metrics *m)
{
    double sum = 0.0, squares = 0.0, there = 0.0, half;

    for (size_t c = 0; c < t->classes; c++) {
        const double auc = against_rest(t, c);

        sum += isnan(auc) ? 0.0 : auc;
        there += isnan(auc) ? 0.0 : 1.0;
    }
    if (there < 1.0)
        return;
    m->auc = sum / there;
    for (size_t i = 0; i < t->n; i++)
        squares += t->influence[i] * t->influence[i] / (there * there);
    half = FM_Z95 * sqrt(squares) / (double)t->n;
    m->auc_ci = (fm_range){ fmax(m->auc - half, 0.0), fmin(m->auc + half, 1.0) };
}

static void measure(table *t, fm_metrics *m)
{
    size_t right = 0;

    for (size_t i = 0; i < t->n; i++) {
        const float *o = t->outputs + i * t->classes;
        const size_t best = largest(o, t->classes), label = (size_t)t->labels[i];

        t->log_sum[i] = log_of_sum(o, t->classes);
        t->v[i] = t->log_sum[i] - (double)o[label];
        right += best == label;
        fm_calibration_add(m, probability(t, i, best), best == label);
    }
    m->log_loss = fm_mean_of(t->v, t->n, &m->log_loss_ci);
    m->accuracy = t->n ? (double)right / (double)t->n : (double)NAN;
    m->accuracy_ci = fm_wilson(right, t->n);
    fm_calibration_bins(m);
    for (size_t i = 0; i < t->n; i++) {
        t->v[i] = 0.0;
        for (size_t c = 0; c < t->classes; c++) {
            const double d = probability(t, i, c) - ((size_t)t->labels[i] == c ? 1.0 : 0.0);

            t->v[i] += d * d;
        }
    }
    m->brier = fm_mean_of(t->v, t->n, &m->brier_ci);
    macro_auc(t, m);
}

static fm_status check(const float *outputs, const float *labels, size_t n, size_t classes)
{
    for (size_t i = 0; i < n * classes; i++)
        if (!isfinite(outputs[i]))
            return fm_fail(FM_ENONFINITE, "metrics: a prediction is not a finite number");
    for (size_t i = 0; i < n; i++)
        if (!(labels[i] >= 0.0f && labels[i] < (float)classes) || floorf(labels[i]) != labels[i])
            return fm_fail(FM_EINVAL, "metrics: a label is none of the %zu classes", classes);
    return FM_OK;
}

fm_status fm_metrics_classes(const float *outputs, const float *labels, size_t n, size_t classes,
                             fm_metrics *out)
{
    table t = { .outputs = outputs, .labels = labels, .n = n, .classes = classes };
    const size_t room = n ? n : 1;
    fm_metrics m;
    fm_status st;

    if (!out || classes < 2 || (n && (!outputs || !labels)))
        return fm_fail(FM_EINVAL, "metrics: an argument is missing");
    if ((st = check(outputs, labels, n, classes)))
        return st;
    fm_metrics_blank(&m, FM_TARGET_CLASSES, n);
    if (!(st = fm_alloc(room, sizeof *t.log_sum, (void **)&t.log_sum)) &&
        !(st = fm_alloc(room, sizeof *t.v, (void **)&t.v)) &&
        !(st = fm_alloc(room, sizeof *t.influence, (void **)&t.influence)) &&
        !(st = fm_alloc(room, sizeof *t.s, (void **)&t.s))) {
        measure(&t, &m);
        *out = m;
    }
    free(t.log_sum);
    free(t.v);
    free(t.influence);
    free(t.s);
    return st;
}
