/* A summary that is kept, and the population stability index against it. */
#include <math.h>
#include <string.h>

#include "survey_internal.h"

#define VERSION 1
#define MODERATE 0.1
#define LARGE 0.25
#define LEAST_SHARE 1e-4 /* in the place of an empty bin, so that the index stays finite */
#define ENDS 3           /* bins besides a column's own: missing, below or unknown, above */

#define NO_MEMORY fm_fail(FM_ENOMEM, "survey: no memory for its summary")

/* The bins that are compared: the column's, then what is in none of them. */
static uint64_t bin_at(const fm_survey_cells *n, size_t b)
{
    if (b < n->bin_count)
        return n->bins[b];
    b -= n->bin_count;
    return b == 0 ? n->missing : b == 1 ? n->below + n->other : n->above;
}

static json_t *column_summary(const fm_column *c, const fm_survey_cells *n)
{
    json_t *bins = json_array(), *edges = json_array();
    json_t *out = json_pack("{s:s, s:o, s:o}", "name", c->name, "edges", edges, "counts", bins);

    for (size_t b = 0; out && b < n->bin_count + ENDS; b++)
        if (json_array_append_new(bins, json_integer((json_int_t)bin_at(n, b))) != 0)
            goto failed;
    for (size_t b = 0; out && n->edges && b <= n->bin_count; b++)
        if (json_array_append_new(edges, json_real(n->edges[b])) != 0)
            goto failed;
    return out;
failed:
    json_decref(out);
    return NULL;
}

fm_status fm_survey_summary(const fm_survey *s, json_t **out)
{
    json_t *columns = json_array();
    json_t *all = json_pack("{s:i, s:s, s:I, s:o}", "version", VERSION, "schema", s->schema->name,
                            "records", (json_int_t)s->rows, "columns", columns);

    for (size_t i = 0; all && i < s->schema->column_count; i++)
        if (s->cells[i].present &&
            json_array_append_new(columns, column_summary(&s->schema->columns[i], &s->cells[i])) !=
                0) {
            json_decref(all);
            all = NULL;
        }
    if (!all)
        return NO_MEMORY;
    *out = all;
    return FM_OK;
}

static const json_t *find(const json_t *columns, const char *name)
{
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const char *is = json_string_value(json_object_get(json_array_get(columns, i), "name"));

        if (is && strcmp(is, name) == 0)
            return json_array_get(columns, i);
    }
    return NULL;
}

/* The schema may have changed since: other bins cannot be compared. */
static bool same_bins(const fm_survey_cells *n, const json_t *column)
{
    const json_t *edges = json_object_get(column, "edges");

    if (json_array_size(json_object_get(column, "counts")) != n->bin_count + ENDS ||
        json_array_size(edges) != (n->edges ? n->bin_count + 1 : 0))
        return false;
    for (size_t b = 0; n->edges && b <= n->bin_count; b++)
        if (json_number_value(json_array_get(edges, b)) != n->edges[b])
            return false;
    return true;
}

static double share(double count, double of)
{
    const double p = count / of;

    return p > LEAST_SHARE ? p : LEAST_SHARE;
}

typedef struct {
    double index, chance; /* chance: what it is at most, 95 times of 100, when nothing changed */
    size_t most;          /* the bin that adds most */
    double before, now;   /* its shares */
} drift;

static drift compare(const fm_survey_cells *n, const json_t *counts)
{
    drift d = { 0 };
    double was = 0.0, is = 0.0, most = 0.0, used = 0.0;

    for (size_t b = 0; b < n->bin_count + ENDS; b++) {
        was += json_number_value(json_array_get(counts, b));
        is += (double)bin_at(n, b);
    }
    if (!(was > 0.0) || !(is > 0.0))
        return d;
    for (size_t b = 0; b < n->bin_count + ENDS; b++) {
        const double before = json_number_value(json_array_get(counts, b)),
                     now = (double)bin_at(n, b);
        const double p = share(before, was), q = share(now, is);
        const double add = (q - p) * log(q / p);

        used += before > 0.0 || now > 0.0;
        d.index += add;
        if (add > most) {
            most = add;
            d.most = b;
            d.before = p;
            d.now = q;
        }
    }
    /* The index is nearly chi-squared of used - 1 degrees times this, when nothing changed. */
    used = used > 1.0 ? used - 1.0 : 1.0;
    d.chance = (1.0 / was + 1.0 / is) * (used + 1.645 * sqrt(2.0 * used));
    return d;
}

static void name_bin(const fm_column *c, const fm_survey_cells *n, size_t b, char *out, size_t cap)
{
    const size_t classes = c->values.count;

    if (b >= n->bin_count) {
        b -= n->bin_count;
        (void)snprintf(out, cap, "%s",
                       b == 0     ? "missing"
                       : b == 2   ? "above the range"
                       : n->edges ? "below the range, or no number"
                                  : "not declared");
    } else if (n->edges) {
        (void)snprintf(out, cap, "%.6g to %.6g", n->edges[b], n->edges[b + 1]);
    } else if (c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_BINARY) {
        (void)snprintf(out, cap, "%s", b ? "positive" : "negative");
    } else {
        (void)snprintf(out, cap, "\"%.40s\"",
                       b < classes ? c->values.at[b].text : c->groups.names.at[b - classes].text);
    }
}

static fm_status tell(fm_survey *s, size_t i, const drift *d)
{
    const fm_column *c = &s->schema->columns[i];
    char bin[96];

    name_bin(c, &s->cells[i], d->most, bin, sizeof bin);
    (void)fm_fail(FM_EPARSE,
                  "%s, column %s: population stability index %.2f, a %s change since the check "
                  "that was kept; most of it: %s, %.1f%% then, %.1f%% now",
                  s->name, c->name, d->index, d->index > LARGE ? "large" : "moderate", bin,
                  100.0 * d->before, 100.0 * d->now);
    return fm_survey_found(s, FM_FINDING_DRIFT, 0, i, NULL);
}

fm_status fm_survey_drift(fm_survey *s, const char *name, const json_t *kept, size_t *compared)
{
    const json_t *columns = json_object_get(kept, "columns");
    fm_status st = FM_OK;

    *compared = 0;
    if (json_integer_value(json_object_get(kept, "version")) != VERSION || !json_is_array(columns))
        return fm_fail(FM_EPARSE,
                       "%s is not what check --keep writes; remove it, and keep one anew", name);
    for (size_t i = 0; !st && i < s->schema->column_count; i++) {
        const json_t *column = find(columns, s->schema->columns[i].name);
        drift d;

        if (!s->cells[i].present || !column || !same_bins(&s->cells[i], column))
            continue;
        ++*compared;
        d = compare(&s->cells[i], json_object_get(column, "counts"));
        if (d.index > MODERATE && d.index > d.chance)
            st = tell(s, i, &d);
    }
    return st;
}
