/* The answers of a statistics query, and what every answer is published with. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query_internal.h"

static double within(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

json_t *fm_query_figure(double estimate, double se, double lo, double hi)
{
    double reach = FM_QUERY_Z95 * se;

    return json_pack("{s:f, s:f, s:f, s:f}", "estimate", within(estimate, lo, hi), "standard_error",
                     se, "low", within(estimate - reach, lo, hi), "high",
                     within(estimate + reach, lo, hi));
}

void fm_query_isotonic(double *v, size_t n, double *scratch)
{
    double *mean = scratch, *size = scratch + n;
    size_t blocks = 0;

    for (size_t i = 0; i < n; i++) {
        mean[blocks] = v[i];
        size[blocks++] = 1.0;
        while (blocks > 1 && mean[blocks - 2] > mean[blocks - 1]) {
            double all = size[blocks - 2] + size[blocks - 1];

            mean[blocks - 2] =
                (mean[blocks - 2] * size[blocks - 2] + mean[blocks - 1] * size[blocks - 1]) / all;
            size[blocks - 2] = all;
            blocks--;
        }
    }
    for (size_t b = 0, i = 0; b < blocks; b++)
        for (double left = size[b]; left > 0.5; left -= 1.0)
            v[i++] = mean[b];
}

/* A count of records: coordinate i of the block, to which each adds `amplitude`. */
static json_t *count_figure(const fm_query_block *b, size_t i, double amplitude)
{
    double unit = b->unit * amplitude;

    return fm_query_figure((double)b->sum[i] / unit, b->noise / amplitude, 0.0, HUGE_VAL);
}

static fm_status set(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0 ? FM_OK : FM_QUERY_NO_MEMORY;
}

static fm_status read_range(const fm_query_block *b, json_t *out)
{
    return set(out, "range", json_pack("[f, f]", b->item->lo, b->item->hi));
}

/* Sum of values moved to [-1, 1] over their number; the errors of both are independent. */
static json_t *mean_figure(const fm_query_block *b)
{
    const fm_query_item *it = b->item;
    double half = (it->hi - it->lo) / 2.0;
    double sum = (double)b->sum[0] / (b->unit * FM_QUERY_MEAN_SUM);
    double count = (double)b->sum[1] / (b->unit * FM_QUERY_MEAN_COUNT);
    double sum_se = b->noise / FM_QUERY_MEAN_SUM, count_se = b->noise / FM_QUERY_MEAN_COUNT;
    double u;

    if (!(count > FM_QUERY_LOST * count_se) || !(count > 0.0))
        return json_null();
    u = within(sum / count, -1.0, 1.0);
    return fm_query_figure(it->lo + half * (u + 1.0), half * hypot(sum_se, u * count_se) / count,
                           it->lo, it->hi);
}

static fm_status read_mean(const fm_query_block *b, json_t *out)
{
    fm_status st;

    if ((st = read_range(b, out)) != FM_OK || (st = set(out, "mean", mean_figure(b))) != FM_OK)
        return st;
    return set(out, "present", count_figure(b, 1, FM_QUERY_MEAN_COUNT));
}

static fm_status read_histogram(const fm_query_block *b, json_t *out)
{
    const fm_query_item *it = b->item;
    double width = (it->hi - it->lo) / (double)it->bins;
    json_t *bins = json_array();
    fm_status st;

    if ((st = read_range(b, out)) != FM_OK ||
        (st = set(out, "below", count_figure(b, it->bins, 1.0))) != FM_OK ||
        (st = set(out, "above", count_figure(b, it->bins + 1, 1.0))) != FM_OK)
        goto done;
    for (size_t i = 0; st == FM_OK && i < it->bins; i++) {
        json_t *bin = count_figure(b, i, 1.0);

        if (!bin || json_object_set_new(bin, "from", json_real(it->lo + (double)i * width)) != 0 ||
            json_object_set_new(bin, "to", json_real(it->lo + (double)(i + 1) * width)) != 0 ||
            json_array_append(bins, bin) != 0)
            st = FM_QUERY_NO_MEMORY;
        json_decref(bin);
    }
    if (st == FM_OK && json_object_set(out, "bins", bins) != 0)
        st = FM_QUERY_NO_MEMORY;
done:
    json_decref(bins);
    return st;
}

static fm_status read_values(const fm_query_block *b, json_t *out)
{
    const fm_query_item *it = b->item;
    json_t *values = json_array();
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < it->value_count; i++) {
        json_t *one = count_figure(b, i, 1.0);

        if (!one || json_object_set_new(one, "value", json_string(it->values[i])) != 0 ||
            json_array_append(values, one) != 0)
            st = FM_QUERY_NO_MEMORY;
        json_decref(one);
    }
    if (st == FM_OK && json_object_set(out, "values", values) != 0)
        st = FM_QUERY_NO_MEMORY;
    json_decref(values);
    return st == FM_OK ? set(out, "another", count_figure(b, it->value_count, 1.0)) : st;
}

static const char *const kind_names[] = {
    [FM_QUERY_COUNT] = "count",         [FM_QUERY_MEAN] = "mean",
    [FM_QUERY_HISTOGRAM] = "histogram", [FM_QUERY_QUANTILES] = "quantiles",
    [FM_QUERY_VALUES] = "values",       [FM_QUERY_SCORES] = "scores",
};

static fm_status read_kind(const fm_query_block *b, json_t *out)
{
    switch (b->item->kind) {
    case FM_QUERY_COUNT:
        return set(out, "present", count_figure(b, 0, 1.0));
    case FM_QUERY_MEAN:
        return read_mean(b, out);
    case FM_QUERY_HISTOGRAM:
        return read_histogram(b, out);
    case FM_QUERY_QUANTILES:
        return fm_query_read_quantiles(b, out);
    case FM_QUERY_VALUES:
        return read_values(b, out);
    case FM_QUERY_SCORES:
        return fm_query_read_scores(b, out);
    }
    return fm_fail(FM_EINTERNAL, "query: an item of no kind");
}

static fm_status read_item(const fm_query_block *b, json_t *list)
{
    json_t *one = json_pack("{s:s}", "ask", kind_names[b->item->kind]);
    fm_status st = one ? FM_OK : FM_QUERY_NO_MEMORY;

    if (st == FM_OK && b->item->column)
        st = set(one, "column", json_string(b->item->column));
    if (st == FM_OK && (st = read_kind(b, one)) == FM_OK && b->item->column)
        st = set(one, "missing", count_figure(b, b->item->width - 1, 1.0));
    if (st == FM_OK && json_array_append(list, one) != 0)
        st = FM_QUERY_NO_MEMORY;
    json_decref(one);
    return st;
}

static json_t *head(const fm_query *q, const fm_query_report *r)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f}", "federation", r->federation,
                     "purpose", r->purpose, "plan", r->plan, "task",
                     q->task == FM_QUERY_STATISTICS ? "statistics" : "evaluation", "epsilon",
                     r->epsilon, "delta", r->delta, "rounds", r->rounds, "noise", r->noise_std);
}

fm_status fm_query_read(const fm_query *q, const float *sum, const fm_query_report *r, json_t **out)
{
    json_t *answer, *list = json_array();
    fm_status st = FM_OK;

    if (!q || !sum || !r || !out || !(r->rounds > 0.0) || !(r->noise_std >= 0.0)) {
        json_decref(list);
        return fm_fail(FM_EINVAL, "query: nothing was summed, or an argument is missing");
    }
    for (size_t i = 0; st == FM_OK && i < q->item_count; i++) {
        const fm_query_item *it = &q->items[i];
        const fm_query_block b = { it, sum + it->offset, r->rounds * it->weight,
                                   r->noise_std / (r->rounds * it->weight) };

        st = read_item(&b, list);
    }
    answer = st == FM_OK ? head(q, r) : NULL;
    if (st == FM_OK && (!answer || json_object_set(answer, "results", list) != 0))
        st = FM_QUERY_NO_MEMORY;
    json_decref(list);
    if (st == FM_OK)
        *out = answer;
    else
        json_decref(answer);
    return st;
}
