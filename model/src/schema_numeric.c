/* Numeric and date columns: the declared range, and what a number in it becomes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

#define FEATURE_MAX 1e6 /* |(v - center) / scale| within the range */
#define WEIGHT_MAX 1000.0

/* A number, or a date for a date column. */
static fm_status read_point(const fm_yaml_node *n, fm_column_kind kind, double *out)
{
    const char *text;
    fm_status st;

    if (kind != FM_COLUMN_DATE)
        return fm_yaml_number(n, out);
    if ((st = fm_yaml_scalar(n, &text)))
        return st;
    if (!fm_cell_date(text, out))
        return fm_yaml_fail(n, "\"%s\" is not a date (YYYY-MM-DD)", text);
    return FM_OK;
}

fm_status fm_column_range(const fm_yaml_node *map, fm_column *c)
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

fm_status fm_column_odd(const fm_yaml_node *map, const char *key, unsigned allowed, fm_odd *out)
{
    static const char *const names[] = { "error", "clip", "missing" };
    const bool clip = allowed & FM_ODD_BIT(FM_ODD_CLIP),
               missing = allowed & FM_ODD_BIT(FM_ODD_MISSING);
    const char *text;
    fm_status st = fm_yaml_get_string_or(map, key, "error", &text);

    if (st)
        return st;
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0 && (allowed & FM_ODD_BIT(i))) {
            *out = (fm_odd)i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, key), "%s is \"%s\"; it can be error%s%s", key, text,
                        clip ? (missing ? ", clip" : " or clip") : "",
                        missing ? " or missing" : "");
}

fm_status fm_column_scale(const fm_yaml_node *map, fm_column *c)
{
    const fm_yaml_node *center = fm_yaml_find(map, "center"), *scale = fm_yaml_find(map, "scale");
    fm_status st;

    c->center = c->lo + (c->hi - c->lo) / 2.0;
    if ((center && (st = read_point(center, c->kind, &c->center))) ||
        (st = fm_yaml_get_double_or(map, "scale", 0.0, HUGE_VAL, (c->hi - c->lo) / 4.0, &c->scale)))
        return st;
    if (!(c->scale > 0.0) ||
        !(fmax(fabs(c->lo - c->center), fabs(c->hi - c->center)) / c->scale <= FEATURE_MAX) ||
        !((c->hi - c->lo) / c->scale <= FEATURE_MAX))
        return fm_yaml_fail(scale ? scale : map,
                            "scale must be positive, and so large that the range is within %g "
                            "scales of the center",
                            FEATURE_MAX);
    return FM_OK;
}

fm_status fm_spacing_read(const fm_yaml_node *map, int otherwise, int *out)
{
    static const char *const names[] = { "linear", "log" };
    const char *text;
    fm_status st = fm_yaml_get_string_or(map, "spacing", names[otherwise], &text);

    if (st)
        return st;
    for (int i = 0; i < 2; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, "spacing"), "spacing is \"%s\"; it can be linear or log",
                        text);
}

static double to_log(double v)
{
    return copysign(log1p(fabs(v)), v);
}

static double from_log(double s)
{
    return copysign(expm1(fabs(s)), s);
}

/* Even in v, or in sign(v) log(1 + |v|): a function of the declared range alone. */
static void space_edges(fm_column *c, size_t bins, int spacing)
{
    const bool even = spacing == FM_SPACING_LINEAR;
    const double lo = even ? c->lo : to_log(c->lo), hi = even ? c->hi : to_log(c->hi);

    for (size_t i = 1; i < bins; i++) {
        const double at = lo + (hi - lo) * ((double)i / (double)bins);

        c->edges[i] = even ? at : from_log(at);
    }
    c->edges[0] = c->lo;
    c->edges[bins] = c->hi;
    c->bins = bins;
}

/* The edges as they are listed, and the range's ends where they are not. */
static fm_status list_edges(const fm_yaml_node *list, fm_column *c)
{
    size_t n = 0;

    c->edges[n++] = c->lo;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        double v;
        fm_status st = read_point(fm_yaml_item(list, i), c->kind, &v);

        if (st)
            return st;
        if (!(v >= c->lo && v <= c->hi) || (i && !(v > c->edges[n - 1])))
            return fm_yaml_fail(fm_yaml_item(list, i),
                                "the edges of bins must increase and lie within the range");
        if (v > c->edges[n - 1])
            c->edges[n++] = v;
    }
    if (c->edges[n - 1] < c->hi)
        c->edges[n++] = c->hi;
    c->bins = n - 1;
    return FM_OK;
}

static fm_status read_edges(const fm_yaml_node *map, const fm_encoding *e, fm_column *c)
{
    const fm_yaml_node *node = fm_yaml_find(map, "bins");
    const bool listed = node && fm_yaml_node_kind(node) == FM_YAML_LIST;
    uint64_t bins = e->bins;
    int spacing;
    fm_status st =
        fm_spacing_read(map, c->kind == FM_COLUMN_DATE ? FM_SPACING_LINEAR : e->spacing, &spacing);

    if (st ||
        (!listed && (st = fm_yaml_get_u64_or(map, "bins", 1, FM_SCHEMA_MAX_BINS, bins, &bins))))
        return st;
    if (listed && fm_yaml_find(map, "spacing"))
        return fm_yaml_fail(fm_yaml_find(map, "spacing"),
                            "spacing says where edges go; here bins lists them");
    if (c->kind == FM_COLUMN_DATE && spacing == FM_SPACING_LOG)
        return fm_yaml_fail(fm_yaml_find(map, "spacing"), "spacing of a date must be linear");
    if (listed && fm_yaml_size(node) > FM_SCHEMA_MAX_BINS)
        return fm_yaml_fail(node, "%zu edges; at most %u are possible", fm_yaml_size(node),
                            FM_SCHEMA_MAX_BINS);
    if ((st = fm_alloc(2 * (FM_SCHEMA_MAX_BINS + 2), sizeof *c->edges, (void **)&c->edges)))
        return st;
    c->inverse = c->edges + FM_SCHEMA_MAX_BINS + 2;
    if (!listed)
        space_edges(c, bins, spacing);
    else if ((st = list_edges(node, c)))
        return st;
    for (size_t i = 0; i < c->bins; i++) {
        c->inverse[i] = 1.0 / (c->edges[i + 1] - c->edges[i]);
        if (!(c->inverse[i] > 0.0) || !isfinite(c->inverse[i]))
            return fm_yaml_fail(node ? node : map, "the bins are too narrow; declare fewer");
    }
    return FM_OK;
}

/* What the column says itself, then what its keys are about, then what the file says. */
static fm_status is_piecewise(const fm_yaml_node *map, const fm_encoding *e, bool *out)
{
    const char *text;
    fm_status st;

    if (fm_yaml_find(map, "center") || fm_yaml_find(map, "scale") || fm_yaml_find(map, "knots"))
        *out = false;
    else if (fm_yaml_find(map, "bins") || fm_yaml_find(map, "spacing"))
        *out = true;
    else
        *out = e->numeric != FM_NUMERIC_PLAIN;
    if (!fm_yaml_find(map, "encoding"))
        return FM_OK;
    if ((st = fm_yaml_get_string(map, "encoding", &text)))
        return st;
    if (strcmp(text, "plain") != 0 && strcmp(text, "piecewise") != 0)
        return fm_yaml_fail(fm_yaml_find(map, "encoding"),
                            "encoding is \"%s\"; it can be plain or piecewise", text);
    *out = *text == 'p' && text[1] == 'i';
    return FM_OK;
}

static fm_status refuse(const fm_yaml_node *map, const char *const *keys, const char *what)
{
    for (; *keys; keys++)
        if (fm_yaml_find(map, *keys))
            return fm_yaml_fail(fm_yaml_find(map, *keys), "%s does not go with %s", *keys, what);
    return FM_OK;
}

fm_status fm_column_numeric(const fm_yaml_node *map, const fm_encoding *e, fm_column *c)
{
    static const char *const of_plain[] = { "center", "scale", "knots", NULL };
    static const char *const of_bins[] = { "bins", "spacing", "weight", "centered", NULL };
    bool centered = e->centered;
    fm_status st = fm_column_range(map, c);

    if (st || (st = is_piecewise(map, e, &c->piecewise)) ||
        (st = fm_column_odd(map, "outside",
                            FM_ODD_BIT(FM_ODD_ERROR) | FM_ODD_BIT(FM_ODD_CLIP) |
                                FM_ODD_BIT(FM_ODD_MISSING),
                            &c->odd)))
        return st;
    if (!c->piecewise) {
        if ((st = refuse(map, of_bins, "a plain encoding (center, scale, knots)")) ||
            (st = fm_column_scale(map, c)) || (st = read_knots(map, c)))
            return st;
        c->features = 1 + c->knot_count;
        return FM_OK;
    }
    if ((st = refuse(map, of_plain, "a piecewise encoding (bins)")) ||
        (st = read_edges(map, e, c)) ||
        (st = fm_yaml_get_double_or(map, "weight", 1e-6, WEIGHT_MAX, e->bin_weight,
                                    &c->bin_weight)) ||
        (st = fm_yaml_get_bool_or(map, "centered", centered, &centered)))
        return st;
    c->bin_center = centered ? 0.5 : 0.0;
    c->features = c->bins;
    return FM_OK;
}
