/* Cells as they stand, for questions about the columns themselves: no range, no encoding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "table_internal.h"

struct fm_raw {
    const fm_schema *schema;
    size_t count;
    struct {
        size_t column;   /* of the schema */
        bool category;   /* else a number, or a date in days */
        fm_cells values; /* of a category */
    } * at;              /* [count] */
};

void fm_raw_close(fm_raw **r)
{
    if (!r || !*r)
        return;
    for (size_t i = 0; (*r)->at && i < (*r)->count; i++)
        fm_cells_fini(&(*r)->at[i].values);
    free((*r)->at);
    free(*r);
    *r = NULL;
}

static fm_status read_values(const fm_raw_column *c, fm_cells *out)
{
    fm_status st = fm_alloc(c->value_count, sizeof *out->at, (void **)&out->at);

    for (size_t i = 0; !st && i < c->value_count; i++)
        if (!(st = fm_cell_make(c->values[i], &out->at[i])))
            out->count++;
    return st;
}

static fm_status find_column(const fm_schema *s, const fm_raw_column *c, size_t *out)
{
    for (size_t i = 0; i < s->column_count; i++) {
        const fm_column_kind kind = s->columns[i].kind;

        if (strcmp(s->columns[i].name, c->name) != 0)
            continue;
        if (kind == FM_COLUMN_IGNORE)
            return fm_fail(FM_EINVAL, "column %s: the schema ignores it", c->name);
        if (!c->values && kind != FM_COLUMN_NUMERIC && kind != FM_COLUMN_DATE && !c->any)
            return fm_fail(FM_EINVAL, "column %s: its cells are no numbers", c->name);
        *out = i;
        return FM_OK;
    }
    return fm_fail(FM_EINVAL, "column %s: the schema does not have it", c->name);
}

fm_status fm_raw_open(const fm_schema *s, const fm_raw_column *columns, size_t count, fm_raw **out)
{
    fm_raw *r = NULL;
    fm_status st = fm_alloc(1, sizeof *r, (void **)&r);

    if (st)
        return st;
    r->schema = s;
    r->count = count;
    st = fm_alloc(count, sizeof *r->at, (void **)&r->at);
    for (size_t i = 0; !st && i < count; i++) {
        r->at[i].category = columns[i].values != NULL;
        if (!(st = find_column(s, &columns[i], &r->at[i].column)) && columns[i].values)
            st = read_values(&columns[i], &r->at[i].values);
    }
    if (st)
        fm_raw_close(&r);
    else
        *out = r;
    return st;
}

bool fm_raw_wants(const fm_raw *r, size_t column)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].column == column)
            return true;
    return false;
}

/* A category that the schema does not list is a value like any other here. */
static fm_status number_of(const fm_column *c, const char *cell, double *out)
{
    const bool date = c->kind == FM_COLUMN_DATE;
    char shown[FM_CELL_SHOWN];

    if (c->kind != FM_COLUMN_NUMERIC && !date) {
        *out = 0.0; /* only whether something stands there was asked */
        return FM_OK;
    }
    if (date ? fm_cell_date(cell, out) : fm_text_double(cell, out))
        return FM_OK;
    return fm_fail(FM_EPARSE, "column %s: \"%s\" is not a %s", c->name, fm_cell_show(cell, shown),
                   date ? "date (YYYY-MM-DD)" : "number");
}

fm_status fm_raw_read(const fm_raw *r, const fm_slice *cells, double *out, size_t *column)
{
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < r->count; i++) {
        const fm_column *c = &r->schema->columns[r->at[i].column];
        const char *cell = cells[r->at[i].column].at;
        size_t at;

        *column = r->at[i].column;
        if (fm_cells_find(&r->schema->missing, cell) != SIZE_MAX ||
            fm_cells_find(&c->missing, cell) != SIZE_MAX) {
            out[i] = (double)NAN;
        } else if (r->at[i].category) {
            at = fm_cells_find(&r->at[i].values, cell);
            out[i] = (double)(at == SIZE_MAX ? r->at[i].values.count : at);
        } else {
            st = number_of(c, cell, &out[i]);
        }
    }
    return st;
}
