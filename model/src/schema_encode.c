/* Cells to features; see docs/schema.md for the rules in words. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

/* A cell's value: a number, a day, the index of a category; NaN: not measured. */
static fm_status missing(const fm_column *c, fm_slice cell, double *out)
{
    char shown[FM_CELL_SHOWN];

    if (c->required)
        return fm_fail(FM_EPARSE, "column %s: \"%s\" means missing, but the column is required",
                       c->name, fm_cell_show(cell.at, shown));
    *out = (double)NAN;
    return FM_OK;
}

static void put_missing(const fm_column *c, float *out)
{
    for (size_t i = 0; i + 1 < c->features; i++)
        out[i] = 0.0f;
    out[c->features - 1] = (float)c->missing_weight;
}

/* Each bin's share below v. Nothing is divided here: every member gets the same bits. */
static float *put_bins(const fm_bins *b, double v, float *out)
{
    for (size_t i = 0; i < b->count; i++) {
        double share = (v - b->edges[i]) * b->inverse[i];

        share = share > 0.0 ? share : 0.0;
        share = share < 1.0 ? share : 1.0;
        out[i] = (float)(b->weight * (share - b->center));
    }
    return out + b->count;
}

static void put_number(const fm_column *c, double v, float *out)
{
    if (c->linear > 0.0)
        *out++ = (float)((v - c->center) / c->scale * c->linear);
    out = put_bins(&c->bins[0], v, out);
    out = put_bins(&c->bins[1], v, out);
    for (size_t i = 0; i < c->knot_count; i++)
        *out++ = (float)(fmax(0.0, v - c->knots[i]) / c->scale * c->gain);
    if (c->indicator)
        *out = 0.0f;
}

static fm_status outside(const fm_column *c, fm_slice cell, double v)
{
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];

    if (c->kind == FM_COLUMN_DATE) {
        char first[FM_CELL_DATE], last[FM_CELL_DATE];

        return fm_fail(FM_EPARSE, "column %s: %s is outside the declared range %s to %s", c->name,
                       fm_cell_show(cell.at, shown), fm_cell_date_text(c->lo, first),
                       fm_cell_date_text(c->hi, last));
    }
    return fm_fail(FM_EPARSE, "column %s: %s is outside the declared range %.10g to %.10g%s",
                   c->name, fm_cell_show(cell.at, shown), c->lo, c->hi, fm_range_hint(c, v, hint));
}

static fm_status numeric(const fm_column *c, fm_slice cell, double *out)
{
    const bool date = c->kind == FM_COLUMN_DATE;
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];
    bool number = false;
    double v = 0.0;

    if (fm_lookup_by_text(&c->lookup, cell) == FM_CODE_MISSING)
        return missing(c, cell, out);
    if (!date || c->lookup.numbers)
        number = fm_text_double(cell.at, &v);
    if (number && fm_lookup_by_number(&c->lookup, v) == FM_CODE_MISSING)
        return missing(c, cell, out);
    if (date ? !fm_cell_date(cell.at, &v) : !number)
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is not a %s%s", c->name,
                       fm_cell_show(cell.at, shown), date ? "date (YYYY-MM-DD)" : "number",
                       fm_cell_hint(c, cell, hint));
    if (v < c->lo || v > c->hi) {
        if (c->odd == FM_ODD_MISSING)
            return missing(c, cell, out);
        if (c->odd == FM_ODD_ERROR)
            return outside(c, cell, v);
        v = v < c->lo ? c->lo : c->hi;
    }
    *out = v;
    return FM_OK;
}

static fm_status unknown(const fm_column *c, fm_slice cell)
{
    const fm_cells *declared = c->values.count ? &c->values : &c->groups.names;
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];

    if (declared->count == 1)
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is none of the declared values and groups%s",
                       c->name, fm_cell_show(cell.at, shown), fm_cell_hint(c, cell, hint));
    return fm_fail(FM_EPARSE, "column %s: \"%s\" is none of the declared %s (%s, %s%s)%s", c->name,
                   fm_cell_show(cell.at, shown),
                   c->groups.count ? (c->values.count ? "values and groups" : "groups") : "values",
                   declared->at[0].text, declared->at[1].text,
                   declared->count > 2 || (c->values.count && c->groups.count) ? ", ..." : "",
                   fm_cell_hint(c, cell, hint));
}

static fm_status categorical(const fm_column *c, fm_slice cell, double *out)
{
    const int32_t code = fm_lookup_find(&c->lookup, cell);
    size_t at = code >= 0 ? (size_t)code : SIZE_MAX;

    if (code == FM_CODE_MISSING)
        return missing(c, cell, out);
    if (code == FM_CODE_NONE && (at = fm_groups_find(&c->groups, cell)) != SIZE_MAX)
        at += c->values.count;
    if (at == SIZE_MAX)
        return c->odd == FM_ODD_MISSING ? missing(c, cell, out) : unknown(c, cell);
    *out = (double)at;
    return FM_OK;
}

static void put_category(const fm_column *c, size_t at, float *out)
{
    const size_t count = c->values.count + c->groups.names.count;

    if (c->indicator)
        out[c->features - 1] = 0.0f;
    for (size_t i = 1; c->ordered && i < count; i++)
        *out++ = i <= at ? c->step : -c->step;
    for (size_t i = 0; i < count; i++)
        out[i] = c->off;
    out[at] = c->on;
}

void fm_column_put(const fm_column *c, double value, float *features)
{
    float *out = features + c->first;

    if (isnan(value))
        put_missing(c, out);
    else if (c->kind == FM_COLUMN_CATEGORICAL)
        put_category(c, (size_t)value, out);
    else
        put_number(c, value, out);
}

/* @param features NULL: they are not wanted. */
static fm_status column(const fm_schema *s, size_t i, fm_slice cell, float *features, float *label,
                        double *value)
{
    const fm_column *c = &s->columns[i];
    fm_status st;

    if (c->kind == FM_COLUMN_LABEL)
        return label ? fm_label_encode(c, cell, label) : FM_OK;
    if (c->kind == FM_COLUMN_IGNORE)
        return FM_OK;
    st = c->kind == FM_COLUMN_CATEGORICAL ? categorical(c, cell, value) : numeric(c, cell, value);
    if (!st && features)
        fm_column_put(c, *value, features);
    return st;
}

fm_status fm_schema_encode_row(const fm_schema *s, const fm_slice *cells, float *features,
                               float *label, double *values, size_t *at)
{
    double value = 0.0;
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < s->column_count; i++) {
        *at = i;
        st = column(s, i, cells[i], features, label, values ? &values[i] : &value);
    }
    return st;
}

fm_status fm_schema_encode(const fm_schema *s, const char *const *cells, float *features,
                           float *label, size_t *at)
{
    double value = 0.0;
    fm_status st = FM_OK;

    if (!s || !cells || !features || !at)
        return fm_fail(FM_EINVAL, "schema: an argument is missing");
    if (label && s->label == SIZE_MAX) {
        *at = 0;
        return fm_fail(FM_EINVAL, "schema %s has no label column", s->name);
    }
    for (size_t i = 0; !st && i < s->column_count; i++) {
        const fm_slice cell = { cells[i], cells[i] ? strlen(cells[i]) : 0 };

        *at = i;
        st = column(s, i, cell, features, label, &value);
    }
    return st;
}

fm_status fm_schema_encode_cell(const fm_schema *s, size_t i, fm_slice cell, float *features,
                                float *label)
{
    double value;

    return column(s, i, cell, features, label, &value);
}
