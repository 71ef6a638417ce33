/* One entry of `columns`, and what is declared in it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

#define WEIGHT_MAX 1000.0
#define FEATURE_MAX 1e6 /* |(v - center) / scale| within the range */

fm_status fm_cells_read(const fm_yaml_node *map, const char *key, fm_cells *out)
{
    const fm_yaml_node *list = NULL;
    fm_cells cells = { 0 };
    fm_status st = fm_yaml_get_list(map, key, &list);
    size_t n = st ? 0 : fm_yaml_size(list);

    if (!st && n > FM_SCHEMA_MAX_VALUES)
        st = fm_yaml_fail(list, "%s has %zu entries; at most %u are possible", key, n,
                          FM_SCHEMA_MAX_VALUES);
    if (!st && n)
        st = fm_alloc(n, sizeof *cells.at, (void **)&cells.at);
    for (size_t i = 0; !st && i < n; i++) {
        const char *text = NULL;

        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &text)))
            break;
        if (fm_cells_find(&cells, text) != SIZE_MAX)
            st = fm_yaml_fail(fm_yaml_item(list, i), "%s has \"%s\" twice", key, text);
        else if (!(st = fm_cell_make(text, &cells.at[i])))
            cells.count++;
    }
    if (st) {
        fm_cells_fini(&cells);
        return st;
    }
    *out = cells;
    return FM_OK;
}

/* A number, or a date for a date column. */
static fm_status read_point(const fm_yaml_node *n, fm_column_kind kind, double *out)
{
    const char *text;
    fm_status st;

    if (kind == FM_COLUMN_NUMERIC)
        return fm_yaml_number(n, out);
    if ((st = fm_yaml_scalar(n, &text)))
        return st;
    if (!fm_cell_date(text, out))
        return fm_yaml_fail(n, "\"%s\" is not a date (YYYY-MM-DD)", text);
    return FM_OK;
}

static fm_status read_range(const fm_yaml_node *map, fm_column *c)
{
    const fm_yaml_node *list;
    fm_status st = fm_yaml_get_list(map, "range", &list);

    if (st)
        return st;
    if (fm_yaml_size(list) != 2)
        return fm_yaml_fail(list,
                            "range has %zu entries; it must have two, the lowest and the "
                            "highest possible value",
                            fm_yaml_size(list));
    if ((st = read_point(fm_yaml_item(list, 0), c->kind, &c->lo)) ||
        (st = read_point(fm_yaml_item(list, 1), c->kind, &c->hi)))
        return st;
    if (!(c->lo < c->hi) || !isfinite(c->hi - c->lo))
        return fm_yaml_fail(list, "range must run from a lower to a higher value");
    return FM_OK;
}

static fm_status read_knots(const fm_yaml_node *map, fm_column *c)
{
    const fm_yaml_node *list;
    fm_status st;

    if (!fm_yaml_find(map, "knots"))
        return FM_OK;
    if ((st = fm_yaml_get_list(map, "knots", &list)))
        return st;
    if (fm_yaml_size(list) > FM_SCHEMA_MAX_KNOTS)
        return fm_yaml_fail(list, "%zu knots; at most %u are possible", fm_yaml_size(list),
                            FM_SCHEMA_MAX_KNOTS);
    if (fm_yaml_size(list) &&
        (st = fm_alloc(fm_yaml_size(list), sizeof *c->knots, (void **)&c->knots)))
        return st;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        const fm_yaml_node *n = fm_yaml_item(list, i);
        double v;

        if ((st = read_point(n, c->kind, &v)))
            return st;
        if (!(v > c->lo && v < c->hi) || (i && !(v > c->knots[i - 1])))
            return fm_yaml_fail(n, "knots must increase and lie inside the range");
        c->knots[c->knot_count++] = v;
    }
    return FM_OK;
}

static fm_status read_odd(const fm_yaml_node *map, const char *key, bool clip, fm_odd *out)
{
    static const char *const names[] = { "error", "clip", "missing" };
    const char *text;
    fm_status st = fm_yaml_get_string_or(map, key, "error", &text);

    if (st)
        return st;
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0 && (clip || i != FM_ODD_CLIP)) {
            *out = (fm_odd)i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, key), "%s is \"%s\"; it can be error, %smissing", key,
                        text, clip ? "clip or " : "");
}

static fm_status read_numeric(const fm_yaml_node *map, fm_column *c)
{
    const fm_yaml_node *center = fm_yaml_find(map, "center");
    fm_status st = read_range(map, c);

    if (st)
        return st;
    c->center = c->lo + (c->hi - c->lo) / 2.0;
    if ((center && (st = read_point(center, c->kind, &c->center))) ||
        (st = fm_yaml_get_double_or(map, "scale", 0.0, HUGE_VAL, (c->hi - c->lo) / 4.0,
                                    &c->scale)) ||
        (st = read_knots(map, c)) || (st = read_odd(map, "outside", true, &c->odd)))
        return st;
    if (!(c->scale > 0.0) ||
        !(fmax(fabs(c->lo - c->center), fabs(c->hi - c->center)) / c->scale <= FEATURE_MAX) ||
        !((c->hi - c->lo) / c->scale <= FEATURE_MAX))
        return fm_yaml_fail(fm_yaml_find(map, "scale") ? fm_yaml_find(map, "scale") : map,
                            "scale must be positive, and so large that the range is within %g "
                            "scales of the center",
                            FEATURE_MAX);
    c->features = 1 + c->knot_count;
    return FM_OK;
}

static fm_status read_categorical(const fm_yaml_node *map, fm_column *c)
{
    bool centered = c->value_center != 0.0; /* the schema's default */
    fm_status st = fm_cells_read(map, "values", &c->values);

    if (st)
        return st;
    if (c->values.count < 2)
        return fm_yaml_fail(fm_yaml_find(map, "values"), "values must have two entries or more");
    if ((st = fm_yaml_get_double_or(map, "weight", 1e-6, WEIGHT_MAX, c->weight, &c->weight)) ||
        (st = fm_yaml_get_bool_or(map, "centered", centered, &centered)) ||
        (st = read_odd(map, "unknown", false, &c->odd)))
        return st;
    c->value_center = centered ? 1.0 / (double)c->values.count : 0.0;
    c->features = c->values.count;
    return FM_OK;
}

static fm_status read_label(const fm_yaml_node *map, fm_column *c)
{
    fm_status st = fm_cells_read(map, "negative", &c->values);

    if (st || (st = fm_cells_read(map, "positive", &c->positive)))
        return st;
    if (!c->values.count || !c->positive.count)
        return fm_yaml_fail(map, "a label needs at least one negative and one positive value");
    for (size_t i = 0; i < c->positive.count; i++)
        if (fm_cells_find(&c->values, c->positive.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(fm_yaml_item(fm_yaml_find(map, "positive"), i),
                                "\"%s\" is negative and positive", c->positive.at[i].text);
    return FM_OK;
}

/* What numeric, date and categorical columns have in common; last, as it adds the indicator. */
static fm_status read_missing(const fm_yaml_node *map, const fm_schema *s, fm_column *c)
{
    fm_status st;

    if (fm_yaml_find(map, "missing") && (st = fm_cells_read(map, "missing", &c->missing)))
        return st;
    for (size_t i = 0; i < c->missing.count; i++)
        if (fm_cells_find(&c->values, c->missing.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(fm_yaml_item(fm_yaml_find(map, "missing"), i),
                                "\"%s\" is a value and missing", c->missing.at[i].text);
    for (size_t i = 0; i < s->missing.count; i++)
        if (fm_cells_find(&c->values, s->missing.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(map, "\"%s\" is a value here, and missing in csv.missing",
                                s->missing.at[i].text);
    if ((st = fm_yaml_get_bool_or(map, "required", false, &c->required)) ||
        (st = fm_yaml_get_double_or(map, "missing_weight", 1e-6, WEIGHT_MAX, c->missing_weight,
                                    &c->missing_weight)))
        return st;
    if (c->required && c->odd == FM_ODD_MISSING)
        return fm_yaml_fail(map, "required, yet odd values are to count as missing");
    c->indicator =
        !c->required && (s->missing.count || c->missing.count || c->odd == FM_ODD_MISSING);
    c->features += c->indicator ? 1 : 0;
    return FM_OK;
}

static fm_status read_kind(const fm_yaml_node *map, fm_column_kind *out)
{
    static const char *const names[] = { "numeric", "date", "categorical", "label", "ignore" };
    const char *text;
    fm_status st = fm_yaml_get_string(map, "kind", &text);

    if (st)
        return st;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fm_column_kind)i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, "kind"),
                        "kind is \"%s\"; it can be numeric, date, "
                        "categorical, label or ignore",
                        text);
}

static fm_status check_keys(const fm_yaml_node *map, fm_column_kind kind)
{
    static const char *const numeric[] = { "name",    "kind",     "source",         "range",
                                           "center",  "scale",    "knots",          "outside",
                                           "missing", "required", "missing_weight", NULL };
    static const char *const categorical[] = { "name",     "kind",           "source",  "values",
                                               "weight",   "centered",       "unknown", "missing",
                                               "required", "missing_weight", NULL };
    static const char *const label[] = { "name", "kind", "source", "negative", "positive", NULL };
    static const char *const ignore[] = { "name", "kind", "source", NULL };

    switch (kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        return fm_yaml_check_keys(map, numeric);
    case FM_COLUMN_CATEGORICAL:
        return fm_yaml_check_keys(map, categorical);
    case FM_COLUMN_LABEL:
        return fm_yaml_check_keys(map, label);
    case FM_COLUMN_IGNORE:
        break;
    }
    return fm_yaml_check_keys(map, ignore);
}

fm_status fm_column_read(const fm_yaml_node *map, const fm_schema *s, const fm_column *defaults,
                         fm_column *c)
{
    const char *name, *source;
    fm_status st;

    *c = *defaults; /* owns nothing */
    if (fm_yaml_node_kind(map) != FM_YAML_MAP)
        return fm_yaml_fail(map, "a column must be a map with name and kind");
    if ((st = read_kind(map, &c->kind)) || (st = check_keys(map, c->kind)) ||
        (st = fm_yaml_get_string(map, "name", &name)) ||
        (st = fm_yaml_get_string_or(map, "source", "", &source)) ||
        (st = fm_strdup(name, &c->name)))
        return st;
    switch (c->kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        st = read_numeric(map, c);
        break;
    case FM_COLUMN_CATEGORICAL:
        st = read_categorical(map, c);
        break;
    case FM_COLUMN_LABEL:
        return read_label(map, c);
    case FM_COLUMN_IGNORE:
        return FM_OK;
    }
    return st ? st : read_missing(map, s, c);
}
