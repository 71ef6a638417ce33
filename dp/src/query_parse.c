/* query.yaml: the items, their bounds, and their places in the vector. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query_internal.h"

#define MAX_VALUES 4096u
#define MIN_WEIGHT (1.0 / 64.0)
#define MAX_WEIGHT 64.0

typedef struct {
    fm_query *q;
    fm_query_item *item;
    const fm_yaml_node *map;
} reader;

static fm_status read_range(reader *r)
{
    const fm_yaml_node *list = NULL;
    fm_status st = fm_yaml_get_list(r->map, "range", &list);

    if (st != FM_OK)
        return st;
    if (fm_yaml_size(list) != 2)
        return fm_yaml_fail(list, "range must have two numbers, the lower and the upper end");
    if ((st = fm_yaml_number(fm_yaml_item(list, 0), &r->item->lo)) != FM_OK ||
        (st = fm_yaml_number(fm_yaml_item(list, 1), &r->item->hi)) != FM_OK)
        return st;
    if (!(r->item->lo < r->item->hi) || !isfinite(r->item->hi - r->item->lo))
        return fm_yaml_fail(list, "range must run from a lower to a higher number");
    return FM_OK;
}

static fm_status read_power(const fm_yaml_node *map, const char *key, uint64_t lo, uint64_t hi,
                            uint64_t otherwise, size_t *out)
{
    uint64_t v = otherwise;
    fm_status st = fm_yaml_get_u64_or(map, key, lo, hi, otherwise, &v);

    if (st != FM_OK)
        return st;
    if (v & (v - 1))
        return fm_yaml_fail(fm_yaml_find(map, key), "%s must be a power of two", key);
    *out = (size_t)v;
    return FM_OK;
}

static fm_status read_points(reader *r, const char *key)
{
    const fm_yaml_node *list = NULL;
    fm_status st = fm_yaml_get_list(r->map, key, &list);

    if (st != FM_OK)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_QUERY_MAX_POINTS)
        return fm_yaml_fail(list, "%s must have 1 to %u numbers", key, FM_QUERY_MAX_POINTS);
    r->item->points = r->q->points + r->q->point_count;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        double v = 0.0;

        if ((st = fm_yaml_number(fm_yaml_item(list, i), &v)) != FM_OK)
            return st;
        if (!(v > 0.0 && v < 1.0))
            return fm_yaml_fail(fm_yaml_item(list, i), "%s are numbers between 0 and 1", key);
        r->q->points[r->q->point_count++] = v;
        r->item->point_count++;
    }
    return FM_OK;
}

static fm_status read_values(reader *r)
{
    const fm_yaml_node *list = NULL;
    fm_status st = fm_yaml_get_list(r->map, "values", &list);
    const char **values = r->q->values + r->q->value_count;

    if (st != FM_OK)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > MAX_VALUES)
        return fm_yaml_fail(list, "values must have 1 to %u entries", MAX_VALUES);
    r->item->values = values;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &values[i])) != FM_OK)
            return st;
        for (size_t k = 0; k < i; k++)
            if (strcmp(values[k], values[i]) == 0)
                return fm_yaml_fail(fm_yaml_item(list, i), "values has \"%.100s\" twice",
                                    values[i]);
        r->q->value_count++;
        r->item->value_count++;
    }
    return FM_OK;
}

/* ---- one kind after the other; each sets the width of its block ---- */

static fm_status read_count(reader *r)
{
    r->item->width = 2; /* there, missing */
    return FM_OK;
}

static fm_status read_mean(reader *r)
{
    r->item->width = 3; /* sum, there, missing */
    return read_range(r);
}

static fm_status read_histogram(reader *r)
{
    uint64_t bins = 0;
    fm_status st = read_range(r);

    if (st != FM_OK || (st = fm_yaml_get_u64(r->map, "bins", 1, FM_QUERY_MAX_BINS, &bins)) != FM_OK)
        return st;
    r->item->bins = (size_t)bins;
    r->item->width = r->item->bins + 3; /* below, above, missing */
    return FM_OK;
}

static fm_status read_quantiles(reader *r)
{
    fm_status st = read_range(r);

    if (st != FM_OK ||
        (st = read_power(r->map, "bins", 2, FM_QUERY_MAX_BINS, 256, &r->item->bins)) != FM_OK)
        return st;
    r->item->width = r->item->bins + 1; /* the tree, missing */
    return read_points(r, "at");
}

static fm_status read_value_counts(reader *r)
{
    fm_status st = read_values(r);

    r->item->width = r->item->value_count + 2; /* another, missing */
    return st;
}

typedef struct {
    const char *name;
    fm_query_kind kind;
    fm_status (*read)(reader *r);
    const char *keys[8];
} kind_of_item;

static const kind_of_item kinds[] = {
    { "count", FM_QUERY_COUNT, read_count, { "column", "ask", "weight", NULL } },
    { "mean", FM_QUERY_MEAN, read_mean, { "column", "ask", "weight", "range", NULL } },
    { "histogram",
      FM_QUERY_HISTOGRAM,
      read_histogram,
      { "column", "ask", "weight", "range", "bins", NULL } },
    { "quantiles",
      FM_QUERY_QUANTILES,
      read_quantiles,
      { "column", "ask", "weight", "range", "bins", "at", NULL } },
    { "values", FM_QUERY_VALUES, read_value_counts, { "column", "ask", "weight", "values", NULL } },
};

static fm_status find_kind(const fm_yaml_node *map, const kind_of_item **out)
{
    const char *ask = NULL;
    fm_status st;

    if (fm_yaml_node_kind(map) != FM_YAML_MAP)
        return fm_yaml_fail(map, "an entry of columns must be a map with column and ask");
    if ((st = fm_yaml_get_string(map, "ask", &ask)) != FM_OK)
        return st;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(ask, kinds[i].name) == 0) {
            *out = &kinds[i];
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, "ask"),
                        "ask '%.100s' is not known; it can be count, mean, histogram, quantiles or "
                        "values",
                        ask);
}

/* A place behind the items before it. */
static fm_status place(reader *r)
{
    fm_query *q = r->q;

    if (r->item->width > FM_QUERY_MAX_WIDTH - q->width)
        return fm_yaml_fail(r->map, "the query asks for more than %u figures", FM_QUERY_MAX_WIDTH);
    r->item->offset = q->width;
    q->width += r->item->width;
    q->norm = sqrt(q->norm * q->norm + r->item->weight * r->item->weight);
    q->item_count++;
    return FM_OK;
}

static fm_status read_column(fm_query *q, const fm_yaml_node *map)
{
    reader r = { .q = q, .item = &q->items[q->item_count], .map = map };
    const kind_of_item *kind = NULL;
    fm_status st;

    if ((st = find_kind(map, &kind)) != FM_OK ||
        (st = fm_yaml_check_keys(map, kind->keys)) != FM_OK ||
        (st = fm_yaml_get_string(map, "column", &r.item->column)) != FM_OK ||
        (st = fm_yaml_get_double_or(map, "weight", MIN_WEIGHT, MAX_WEIGHT, 1.0, &r.item->weight)) !=
            FM_OK)
        return st;
    r.item->kind = kind->kind;
    if ((st = kind->read(&r)) != FM_OK)
        return st;
    return place(&r);
}

static fm_status read_columns(fm_query *q, const fm_yaml_node *root)
{
    static const char *const keys[] = { "columns", NULL };
    const fm_yaml_node *list = NULL;
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = fm_yaml_get_list(root, "columns", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_QUERY_MAX_ITEMS)
        return fm_yaml_fail(list, "columns must have 1 to %u entries", FM_QUERY_MAX_ITEMS);
    for (size_t i = 0; st == FM_OK && i < fm_yaml_size(list); i++)
        st = read_column(q, fm_yaml_item(list, i));
    return st;
}

static fm_status read_scores(fm_query *q, const fm_yaml_node *root)
{
    static const char *const keys[] = { "scores", NULL };
    static const char *const known[] = { "bins", "thresholds", "groups", NULL };
    reader r = { .q = q, .item = q->items };
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = fm_yaml_get_map(root, "scores", &r.map)) != FM_OK ||
        (st = fm_yaml_check_keys(r.map, known)) != FM_OK ||
        (st = read_power(r.map, "bins", 2, FM_QUERY_MAX_BINS, 64, &r.item->bins)) != FM_OK ||
        (st = read_power(r.map, "groups", 1, r.item->bins, r.item->bins < 8 ? r.item->bins : 8,
                         &r.item->groups)) != FM_OK)
        return st;
    r.item->kind = FM_QUERY_SCORES;
    r.item->weight = 1.0;
    r.item->width = 2 * r.item->bins; /* the trees of positives and of negatives */
    if (fm_yaml_find(r.map, "thresholds")) {
        if ((st = read_points(&r, "thresholds")) != FM_OK)
            return st;
    } else {
        q->points[q->point_count++] = 0.5;
        r.item->points = q->points;
        r.item->point_count = 1;
    }
    return place(&r);
}

/* Places for every text and number that the document could hold: they never move. */
static fm_status make_room(fm_query *q, const fm_yaml_node *root)
{
    const fm_yaml_node *list = fm_yaml_find(root, "columns"), *v;
    size_t items = list && fm_yaml_node_kind(list) == FM_YAML_LIST ? fm_yaml_size(list) : 0;
    size_t values = 0;
    void *p = NULL;
    fm_status st;

    items = items > FM_QUERY_MAX_ITEMS ? FM_QUERY_MAX_ITEMS : items;
    for (size_t i = 0; i < items; i++)
        if ((v = fm_yaml_find(fm_yaml_item(list, i), "values")))
            values += fm_yaml_size(v);
    if ((st = fm_alloc(items + 1, sizeof *q->items, &p)) != FM_OK)
        return st;
    q->items = p;
    if ((st = fm_alloc(values + 1, sizeof *q->values, &p)) != FM_OK)
        return st;
    q->values = p;
    if ((st = fm_alloc((items + 1) * FM_QUERY_MAX_POINTS, sizeof *q->points, &p)) != FM_OK)
        return st;
    q->points = p;
    return FM_OK;
}

fm_status fm_query_parse(fm_query_task task, const char *name, const void *text, size_t len,
                         fm_query **out)
{
    fm_query *q = NULL;
    void *p = NULL;
    fm_status st;

    if (!name || (len && !text) || !out ||
        (task != FM_QUERY_STATISTICS && task != FM_QUERY_EVALUATION))
        return fm_fail(FM_EINVAL, "query: an argument is missing");
    if ((st = fm_alloc(1, sizeof *q, &p)) != FM_OK)
        return st;
    q = p;
    q->task = task;
    if ((st = fm_yaml_parse(name, text, len, &q->doc)) == FM_OK &&
        (st = make_room(q, fm_yaml_root(q->doc))) == FM_OK)
        st = task == FM_QUERY_STATISTICS ? read_columns(q, fm_yaml_root(q->doc))
                                         : read_scores(q, fm_yaml_root(q->doc));
    if (st == FM_OK)
        *out = q;
    else
        fm_query_free(&q);
    return st;
}
