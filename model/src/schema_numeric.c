/* Numeric and date columns: the declared range, and what a number in it becomes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

#define FEATURE_MAX 1e6 /* |(v - center) / scale| within the range */
#define WEIGHT_MAX 1000.0
#define WINDOW 3.0 /* scales */

/* A number, or a date for a date column. */
static fm_status read_point(const fm_yaml_node *n, fm_column_kind kind, double *out)
{
    const fm_column date = { .kind = FM_COLUMN_DATE };
    char hint[FM_HINT_MAX];
    const char *text;
    fm_status st;

    if (kind != FM_COLUMN_DATE)
        return fm_yaml_number(n, out);
    if ((st = fm_yaml_scalar(n, &text)))
        return st;
    if (!fm_cell_date(text, out))
        return fm_yaml_fail(n, "\"%.100s\" is not a date (YYYY-MM-DD)%s", text,
                            fm_cell_hint_alone(&date, text, hint));
    return FM_OK;
}

/* [30,5, 250,0]: numbers without a point, and not one above the other. */
static bool is_cut_by_commas(const fm_yaml_node *list)
{
    const size_t n = fm_yaml_size(list);
    bool ascending = true;
    double v[4];
    const char *text;

    for (size_t i = 0; i < n && n <= 4; i++) {
        if (fm_yaml_scalar(fm_yaml_item(list, i), &text) != FM_OK || !fm_text_double(text, &v[i]) ||
            strchr(text, '.'))
            return false;
        ascending = ascending && (i == 0 || v[i] > v[i - 1]);
    }
    return !ascending && (n == 3 || n == 4);
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
                            "highest possible value, with a comma between%s",
                            fm_yaml_size(list),
                            is_cut_by_commas(list) ? "; write decimals with a point: 1.5" : "");
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
    if (center && (c->center < c->lo || c->center > c->hi))
        return fm_yaml_fail(center,
                            "center lies outside of the range; it is a value in its middle, "
                            "such as the usual one");
    if (!(c->scale > 0.0) ||
        !(fmax(fabs(c->lo - c->center), fabs(c->hi - c->center)) / c->scale <= FEATURE_MAX) ||
        !((c->hi - c->lo) / c->scale <= FEATURE_MAX))
        return fm_yaml_fail(scale ? scale : map,
                            "scale must be positive, and so large that the range is within %g "
                            "scales of the center",
                            FEATURE_MAX);
    return FM_OK;
}

fm_status fm_spacing_read(const fm_yaml_node *map, fm_spacing otherwise, fm_spacing *out)
{
    static const char *const names[] = { "auto", "linear", "log", "both" };
    const char *text;
    fm_status st = fm_yaml_get_string_or(map, "spacing", names[otherwise], &text);

    if (st)
        return st;
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fm_spacing)i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, "spacing"),
                        "spacing is \"%s\"; it can be auto, linear, log or both", text);
}

static fm_status make_edges(fm_bins *b, size_t most)
{
    const fm_status st = fm_alloc(2 * (most + 1), sizeof *b->edges, (void **)&b->edges);

    if (!st)
        b->inverse = b->edges + most + 1;
    return st;
}

static void even_edges(double lo, double hi, fm_bins *b, size_t count)
{
    for (size_t i = 1; i < count; i++)
        b->edges[i] = lo + (hi - lo) * ((double)i / (double)count);
    b->edges[0] = lo;
    b->edges[count] = hi;
    b->count = count;
}

/* Over the range, or as much of it as lies within WINDOW declared scales of the declared center. */
static fm_status read_even(const fm_yaml_node *map, const fm_column *c, fm_bins *b, size_t count)
{
    const bool window = fm_yaml_find(map, "center") && fm_yaml_find(map, "scale");
    const double lo = window ? fmax(c->lo, c->center - WINDOW * c->scale) : c->lo,
                 hi = window ? fmin(c->hi, c->center + WINDOW * c->scale) : c->hi;

    if (!(lo < hi))
        return fm_yaml_fail(map, "nothing of the range is within %g scales of the center", WINDOW);
    even_edges(lo, hi, b, count);
    return FM_OK;
}

/* The edges as they are listed, and the range's ends where they are not. */
static fm_status listed_edges(const fm_yaml_node *list, const fm_column *c, fm_bins *b)
{
    size_t n = 0;

    b->edges[n++] = c->lo;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        double v;
        fm_status st = read_point(fm_yaml_item(list, i), c->kind, &v);

        if (st)
            return st;
        if (!(v >= c->lo && v <= c->hi) || (i && !(v > b->edges[n - 1])))
            return fm_yaml_fail(fm_yaml_item(list, i),
                                "the edges of bins must increase and lie within the range");
        if (v > b->edges[n - 1])
            b->edges[n++] = v;
    }
    if (b->edges[n - 1] < c->hi)
        b->edges[n++] = c->hi;
    b->count = n - 1;
    return FM_OK;
}

#define DECADES 4
#define PER_DECADE 2
#define STEPS (DECADES * PER_DECADE)

/* M 10^(-j / 2) for j = 0..8, M the larger of |lo| and |hi|, on both sides of 0 as far as the range
 * goes; 0 and the range's ends. From the lowest to the highest. */
static void decade_edges(const fm_column *c, fm_bins *b)
{
    const double most = fmax(fabs(c->lo), fabs(c->hi));
    size_t n = 0;

    b->edges[n++] = c->lo;
    for (int side = -1; side <= 1; side++)
        for (int j = 0; j <= (side ? STEPS : 0); j++) {
            const int down = side < 0 ? j : STEPS - j;
            const double v = side * most * pow(10.0, -(double)down / PER_DECADE);

            if (v > b->edges[n - 1] && v < c->hi)
                b->edges[n++] = v;
        }
    b->edges[n++] = c->hi;
    b->count = n - 1;
}

/* Over two decades of one sign, or 0 inside: small values and large ones both matter. */
static bool is_wide(const fm_column *c)
{
    return c->kind != FM_COLUMN_DATE &&
           ((c->lo <= 0.0 && c->hi >= 0.0) || (c->lo > 0.0 && c->hi / c->lo >= 100.0));
}

/* Each set of bins together has the norm `weight` at most. */
static fm_status finish_bins(const fm_yaml_node *map, double weight, bool centered, fm_bins *b)
{
    b->weight = 2.0 * weight / sqrt((double)b->count);
    b->center = centered ? 0.5 : 0.0;
    for (size_t i = 0; i < b->count; i++) {
        b->inverse[i] = 1.0 / (b->edges[i + 1] - b->edges[i]);
        if (!(b->inverse[i] > 0.0) || !isfinite(b->inverse[i]))
            return fm_yaml_fail(map, "the bins are too narrow; declare fewer");
    }
    return FM_OK;
}

static fm_status read_spacing(const fm_yaml_node *map, const fm_encoding *e, const fm_column *c,
                              bool listed, fm_spacing *out)
{
    const fm_yaml_node *node = fm_yaml_find(map, "spacing");
    const bool date = c->kind == FM_COLUMN_DATE;
    fm_status st = fm_spacing_read(map, date ? FM_SPACING_LINEAR : e->spacing, out);

    if (st)
        return st;
    if (listed && node)
        return fm_yaml_fail(node, "spacing says where edges go; here bins lists them");
    if (date && *out != FM_SPACING_LINEAR && *out != FM_SPACING_AUTO)
        return fm_yaml_fail(node, "spacing of a date must be linear");
    if (listed)
        *out = FM_SPACING_LINEAR;
    else if (*out == FM_SPACING_AUTO)
        *out = is_wide(c) ? FM_SPACING_BOTH : FM_SPACING_LINEAR;
    return FM_OK;
}

static fm_status read_bins(const fm_yaml_node *map, const fm_encoding *e, fm_column *c)
{
    const fm_yaml_node *node = fm_yaml_find(map, "bins");
    const bool listed = node && fm_yaml_node_kind(node) == FM_YAML_LIST;
    bool centered = e->centered;
    double weight = e->bin_weight;
    uint64_t count = e->bins;
    fm_spacing spacing;
    fm_status st = read_spacing(map, e, c, listed, &spacing);

    if (st ||
        (!listed && (st = fm_yaml_get_u64_or(map, "bins", 1, FM_SCHEMA_MAX_BINS, count, &count))) ||
        (st = fm_yaml_get_double_or(map, "weight", 1e-6, WEIGHT_MAX, weight, &weight)) ||
        (st = fm_yaml_get_bool_or(map, "centered", centered, &centered)) ||
        (st = fm_yaml_get_double_or(map, "linear", 0.0, WEIGHT_MAX, e->linear, &c->linear)))
        return st;
    if (listed && fm_yaml_size(node) > FM_SCHEMA_MAX_BINS)
        return fm_yaml_fail(node, "%zu edges; at most %u are possible", fm_yaml_size(node),
                            FM_SCHEMA_MAX_BINS);
    if (spacing != FM_SPACING_LOG) {
        if ((st = make_edges(&c->bins[0], FM_SCHEMA_MAX_BINS + 1)))
            return st;
        if ((st = listed ? listed_edges(node, c, &c->bins[0])
                         : read_even(map, c, &c->bins[0], count)))
            return st;
        if ((st = finish_bins(node ? node : map, weight, centered, &c->bins[0])))
            return st;
    }
    if (spacing == FM_SPACING_LINEAR)
        return FM_OK;
    if ((st = make_edges(&c->bins[1], 2 * (STEPS + 1) + 2)))
        return st;
    decade_edges(c, &c->bins[1]);
    return finish_bins(map, weight, centered, &c->bins[1]);
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
    static const char *const of_plain[] = { "knots", NULL };
    static const char *const of_bins[] = {
        "bins", "spacing", "weight", "centered", "linear", NULL
    };
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
        c->linear = 1.0;
        c->features = 1 + c->knot_count;
        return FM_OK;
    }
    if ((st = refuse(map, of_plain, "a piecewise encoding (bins)")) ||
        (st = fm_column_scale(map, c)) || (st = read_bins(map, e, c)))
        return st;
    c->features = (c->linear > 0.0 ? 1 : 0) + c->bins[0].count + c->bins[1].count;
    return FM_OK;
}

static double square_of_bins(const fm_bins *b)
{
    return (double)b->count * b->weight * b->weight / 4.0;
}

double fm_column_square(const fm_column *c)
{
    const double values = (double)(c->values.count + c->groups.names.count);

    switch (c->kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        return c->linear * c->linear + square_of_bins(&c->bins[0]) + square_of_bins(&c->bins[1]) +
               (double)c->knot_count;
    case FM_COLUMN_CATEGORICAL:
        return c->weight * c->weight * (1.0 - 1.0 / values) +
               (c->ordered ? values - 1.0 : 0.0) * (double)c->step * (double)c->step;
    case FM_COLUMN_LABEL:
    case FM_COLUMN_IGNORE:
        break;
    }
    return 0.0;
}

void fm_column_multiply(fm_column *c, double by)
{
    c->linear *= by;
    c->bins[0].weight *= by;
    c->bins[1].weight *= by;
    c->weight *= by;
    c->missing_weight *= by;
    c->step = (float)((double)c->step * by);
    c->on = (float)(c->weight * (1.0 - c->value_center));
    c->off = (float)(c->weight * (0.0 - c->value_center));
    c->gain *= by;
}
