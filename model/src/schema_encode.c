/* Cells to features; see docs/schema.md for the rules in words. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

static bool is_missing(const fm_schema *s, const fm_column *c, const char *cell)
{
    return fm_cells_find(&s->missing, cell) != SIZE_MAX ||
           fm_cells_find(&c->missing, cell) != SIZE_MAX;
}

static fm_status missing(const fm_column *c, const char *cell, float *out)
{
    char shown[FM_CELL_SHOWN];

    if (c->required)
        return fm_fail(FM_EPARSE, "column %s: \"%s\" means missing, but the column is required",
                       c->name, fm_cell_show(cell, shown));
    out[c->features - 1] = (float)c->missing_weight; /* the others are 0 already */
    return FM_OK;
}

static fm_status numeric(const fm_column *c, const char *cell, float *out)
{
    const bool date = c->kind == FM_COLUMN_DATE;
    char shown[FM_CELL_SHOWN];
    double v;

    if (date ? !fm_cell_date(cell, &v) : !fm_text_double(cell, &v))
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is not a %s", c->name,
                       fm_cell_show(cell, shown), date ? "date (YYYY-MM-DD)" : "number");
    if (v < c->lo || v > c->hi) {
        if (c->odd == FM_ODD_MISSING)
            return missing(c, cell, out);
        if (c->odd == FM_ODD_ERROR && date)
            return fm_fail(FM_EPARSE, "column %s: %s is outside the declared range", c->name,
                           fm_cell_show(cell, shown));
        if (c->odd == FM_ODD_ERROR)
            return fm_fail(FM_EPARSE, "column %s: %s is outside the declared range %.10g to %.10g",
                           c->name, fm_cell_show(cell, shown), c->lo, c->hi);
        v = v < c->lo ? c->lo : c->hi;
    }
    out[0] = (float)((v - c->center) / c->scale);
    for (size_t i = 0; i < c->knot_count; i++)
        out[1 + i] = (float)(fmax(0.0, v - c->knots[i]) / c->scale);
    return FM_OK;
}

static fm_status categorical(const fm_column *c, const char *cell, float *out)
{
    const size_t at = fm_cells_find(&c->values, cell);
    char shown[FM_CELL_SHOWN];

    if (at == SIZE_MAX) {
        if (c->odd == FM_ODD_MISSING)
            return missing(c, cell, out);
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is none of the declared values (%s, %s%s)",
                       c->name, fm_cell_show(cell, shown), c->values.at[0].text,
                       c->values.at[1].text, c->values.count > 2 ? ", ..." : "");
    }
    for (size_t i = 0; i < c->values.count; i++)
        out[i] = (float)(c->weight * ((i == at ? 1.0 : 0.0) - c->value_center));
    return FM_OK;
}

static fm_status label_of(const fm_column *c, const char *cell, float *label)
{
    char shown[FM_CELL_SHOWN];

    if (fm_cells_find(&c->values, cell) != SIZE_MAX)
        *label = 0.0f;
    else if (fm_cells_find(&c->positive, cell) != SIZE_MAX)
        *label = 1.0f;
    else
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is neither a negative nor a positive label",
                       c->name, fm_cell_show(cell, shown));
    return FM_OK;
}

static fm_status column(const fm_schema *s, const fm_column *c, const char *cell, float *out)
{
    if (is_missing(s, c, cell))
        return missing(c, cell, out);
    return c->kind == FM_COLUMN_CATEGORICAL ? categorical(c, cell, out) : numeric(c, cell, out);
}

fm_status fm_schema_encode(const fm_schema *s, const char *const *cells, float *features,
                           float *label, size_t *at)
{
    fm_status st = FM_OK;

    if (!s || !cells || !features || !at)
        return fm_fail(FM_EINVAL, "schema: an argument is missing");
    if (label && s->label == SIZE_MAX) {
        *at = 0;
        return fm_fail(FM_EINVAL, "schema %s has no label column", s->name);
    }
    memset(features, 0, s->features * sizeof *features);
    for (size_t i = 0; !st && i < s->column_count; i++) {
        const fm_column *c = &s->columns[i];

        *at = i;
        if (c->kind == FM_COLUMN_LABEL) {
            if (label)
                st = label_of(c, cells[i], label);
        } else if (c->kind != FM_COLUMN_IGNORE) {
            st = column(s, c, cells[i], features + c->first);
        }
    }
    return st;
}
