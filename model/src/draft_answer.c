/* The answer of a query as the origin of ranges and values: paid for, and known to all members. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/draft.h"
#include "fedmoe/model/schema.h"

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static fm_status set_range(fm_draft_column *c, double lo, double hi)
{
    char ends[2][32];
    fm_status st;

    if (!(lo < hi) || !isfinite(lo) || !isfinite(hi))
        return fm_draft_set(&c->doubt, "the answer does not say in which range it lies");
    fm_draft_round(lo, false, ends[0]);
    fm_draft_round(hi, true, ends[1]);
    c->kind = FM_DRAFT_NUMERIC;
    c->estimated = true;
    if ((st = fm_draft_set(&c->lo, "%s", ends[0])))
        return st;
    return fm_draft_set(&c->hi, "%s", ends[1]);
}

/* From the lowest end of what the lowest quantile can be to the highest of the highest. */
static fm_status from_quantiles(fm_draft_column *c, const json_t *list, const char *origin)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL, from = 1.0, to = 0.0;
    fm_status st;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *q = json_array_get(list, i);
        const double at = number(q, "at");

        lo = fmin(lo, number(q, "low"));
        hi = fmax(hi, number(q, "high"));
        from = fmin(from, at);
        to = fmax(to, at);
    }
    if ((st = set_range(c, lo, hi)))
        return st;
    return fm_draft_set(&c->source, "%s: quantiles %g to %g, from low to high", origin, from, to);
}

/* The bins that surely hold records. */
static fm_status from_bins(fm_draft_column *c, const json_t *list, const char *origin)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    fm_status st;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *bin = json_array_get(list, i);

        if (!(number(bin, "low") > 0.0))
            continue;
        lo = fmin(lo, number(bin, "from"));
        hi = fmax(hi, number(bin, "to"));
    }
    if ((st = set_range(c, lo, hi)))
        return st;
    return fm_draft_set(&c->source, "%s: bins of the histogram that hold records", origin);
}

/* The values that were asked for are public; the answer says which of them are there. */
static fm_status from_values(fm_draft_column *c, const json_t *list, const char *origin)
{
    const size_t n = json_array_size(list);
    fm_status st = FM_OK;

    if (n < 2 || n > FM_SCHEMA_MAX_VALUES)
        return FM_OK;
    if ((st = fm_alloc(n, sizeof *c->values, (void **)&c->values)))
        return st;
    for (size_t i = 0; !st && i < n; i++)
        if (!(st = fm_strdup(text(json_array_get(list, i), "value"), &c->values[i])))
            c->value_count++;
    c->kind = FM_DRAFT_CATEGORICAL;
    return st ? st : fm_draft_set(&c->source, "%s: the values that it asked for", origin);
}

static fm_status take_result(const char *origin, const json_t *result, fm_draft *d)
{
    const char *name = text(result, "column"), *ask = text(result, "ask");
    fm_draft_column *c = fm_draft_find(d, name);
    fm_status st;

    if (!*name)
        return FM_OK;
    if (!c && (st = fm_draft_add(d, name, &c)))
        return st;
    if (strcmp(ask, "values") == 0)
        return c->value_count ? FM_OK : from_values(c, json_object_get(result, "values"), origin);
    if (c->lo || (c->kind != FM_DRAFT_UNKNOWN && c->kind != FM_DRAFT_NUMERIC))
        return FM_OK; /* declared: better than any estimate */
    if (strcmp(ask, "quantiles") == 0)
        return from_quantiles(c, json_object_get(result, "quantiles"), origin);
    return strcmp(ask, "histogram") == 0 ? from_bins(c, json_object_get(result, "bins"), origin)
                                         : FM_OK;
}

fm_status fm_draft_answer(const char *name, const json_t *answer, fm_draft *d)
{
    const json_t *results = json_object_get(answer, "results");
    char origin[256];
    fm_status st = FM_OK;

    if (!json_is_array(results) || strcmp(text(answer, "task"), "statistics") != 0)
        return fm_fail(FM_EPARSE,
                       "%s: it is not the answer of a statistics query (result.json, as "
                       "fedmoe-aggregator export writes it)",
                       name);
    (void)snprintf(origin, sizeof origin, "query of federation '%.63s', epsilon %g, plan %.16s",
                   text(answer, "federation"), number(answer, "epsilon"), text(answer, "plan"));
    for (size_t i = 0; !st && i < json_array_size(results); i++)
        st = take_result(origin, json_array_get(results, i), d);
    return st;
}
