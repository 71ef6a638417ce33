/* The figures as JSON and as lines of text: one table of what there is to show. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "metrics_internal.h"

#define NONE SIZE_MAX

typedef struct {
    const char *key, *words; /* words NULL: not for people */
    size_t value, range;     /* offsets within fm_metrics; range may be NONE */
    unsigned targets;        /* bits 1 << fm_target */
    const char *note;
} figure;

#define BINARY (1u << FM_TARGET_BINARY)
#define CLASSES (1u << FM_TARGET_CLASSES)
#define NUMBER (1u << FM_TARGET_NUMBER)

#define WITH_RANGE(name, words, targets, note)                                                   \
    {                                                                                            \
#name, words, offsetof(fm_metrics, name), offsetof(fm_metrics, name##_ci), targets, note \
    }

static const figure figures[] = {
    WITH_RANGE(auc, "AUC", BINARY, "DeLong"),
    WITH_RANGE(auc, "AUC", CLASSES, "mean of each class against the rest"),
    WITH_RANGE(accuracy, "accuracy", BINARY, "at probability 0.5; Wilson"),
    WITH_RANGE(accuracy, "accuracy", CLASSES, "Wilson"),
    WITH_RANGE(log_loss, "log loss", BINARY | CLASSES, "nats"),
    WITH_RANGE(brier, "Brier score", BINARY | CLASSES, "mean squared error of the probability"),
    WITH_RANGE(slope, "calibration slope", BINARY, "1 is right; below 1 is too extreme"),
    WITH_RANGE(intercept, "calibration intercept", BINARY, "0 is right; below 0 predicts too much"),
    { "calibration_error", "calibration error", offsetof(fm_metrics, calibration_error), NONE,
      BINARY | CLASSES, "mean distance in 10 bins" },
    WITH_RANGE(rmse, "RMSE", NUMBER, "in the label's unit"),
    WITH_RANGE(mae, "MAE", NUMBER, "in the label's unit"),
    WITH_RANGE(r2, "R2", NUMBER, "share of the variance explained"),
};
#define FIGURES (sizeof figures / sizeof *figures)

static double value_of(const fm_metrics *m, const figure *f)
{
    return *(const double *)(const void *)((const char *)m + f->value);
}

static fm_range range_of(const fm_metrics *m, const figure *f)
{
    if (f->range == NONE)
        return (fm_range){ (double)NAN, (double)NAN };
    return *(const fm_range *)(const void *)((const char *)m + f->range);
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *range_json(fm_range r)
{
    return isfinite(r.lo) && isfinite(r.hi) ? json_pack("[f, f]", r.lo, r.hi) : json_null();
}

static json_t *bins_json(const fm_metrics *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < FM_RELIABILITY_BINS; i++) {
        const fm_reliability_bin *b = &m->bins[i];

        (void)json_array_append_new(
            list,
            json_pack("{s:f, s:f, s:I, s:o, s:o, s:o}", "from", (double)i / FM_RELIABILITY_BINS,
                      "to", (double)(i + 1) / FM_RELIABILITY_BINS, "rows", (json_int_t)b->rows,
                      "predicted", number(b->predicted), "observed", number(b->observed),
                      "observed_ci", range_json(b->observed_ci)));
    }
    return list;
}

static int put_figures(const fm_metrics *m, json_t *j)
{
    int bad = 0;

    for (size_t i = 0; i < FIGURES; i++) {
        const figure *f = &figures[i];
        char key[64];

        if (!(f->targets & (1u << m->target)))
            continue;
        bad |= json_object_set_new(j, f->key, number(value_of(m, f)));
        if (f->range == NONE)
            continue;
        (void)snprintf(key, sizeof key, "%s_ci", f->key);
        bad |= json_object_set_new(j, key, range_json(range_of(m, f)));
    }
    return bad;
}

fm_status fm_metrics_json(const fm_metrics *m, const char *name, json_t **out)
{
    json_t *j = json_object();
    int bad = 0;

    if (name)
        bad |= json_object_set_new(j, "name", json_string(name));
    bad |= json_object_set_new(j, "rows", json_integer((json_int_t)m->rows));
    if (m->target == FM_TARGET_BINARY)
        bad |= json_object_set_new(j, "positives", json_integer((json_int_t)m->positives));
    bad |= put_figures(m, j);
    if (m->target != FM_TARGET_NUMBER)
        bad |= json_object_set_new(j, "reliability", bins_json(m));
    if (bad) {
        json_decref(j);
        return fm_fail(FM_ENOMEM, "a file's name is not UTF-8, or memory is short");
    }
    *out = j;
    return FM_OK;
}

void fm_metrics_figure(double v, char out[FM_METRICS_FIGURE])
{
    const double size = fabs(v);

    if (!isfinite(v))
        (void)snprintf(out, FM_METRICS_FIGURE, "-");
    else if (size > 0.0 && (size < 0.01 || size >= 1e7))
        (void)snprintf(out, FM_METRICS_FIGURE, "%.4g", v);
    else if (size >= 1000.0)
        (void)snprintf(out, FM_METRICS_FIGURE, "%.*f", size < 1e5 ? 1 : 0, v);
    else
        (void)snprintf(out, FM_METRICS_FIGURE, "%.4f", v);
}

fm_status fm_metrics_text(const fm_metrics *m, fm_buf *out)
{
    fm_status st;

    if (m->target == FM_TARGET_BINARY)
        st = fm_buf_printf(out, "records                %zu (%zu positive)\n", m->rows,
                           m->positives);
    else
        st = fm_buf_printf(out, "records                %zu\n", m->rows);
    if (!st)
        st = fm_buf_printf(out, "%-22s %9s  %-22s\n", "", "", "95 % confidence");
    for (size_t i = 0; !st && i < FIGURES; i++) {
        const figure *f = &figures[i];
        const fm_range r = range_of(m, f);
        char value[FM_METRICS_FIGURE], lo[FM_METRICS_FIGURE], hi[FM_METRICS_FIGURE], range[64] = "";

        if (!(f->targets & (1u << m->target)))
            continue;
        fm_metrics_figure(value_of(m, f), value);
        fm_metrics_figure(r.lo, lo);
        fm_metrics_figure(r.hi, hi);
        if (isfinite(r.lo) && isfinite(r.hi))
            (void)snprintf(range, sizeof range, "%s to %s", lo, hi);
        st = fm_buf_printf(out, "%-22s %9s  %-22s %s\n", f->words, value, range, f->note);
    }
    return st;
}
