/*
 * Records by their values: of a number or a date 8 bytes, of a category 1 or 2, of a label 4. A
 * record's features are often ten times as many bytes, and are a function of these (fm_column_put).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/scratch.h"
#include "table_internal.h"

#define WINDOW ((size_t)64 << 10) /* bytes that a reader reads at once, at most, or one row */
#define GAP ((size_t)1 << 10) /* of rows not wanted, that is read rather than to read once more */
#define MISSING_1 0xffu
#define MISSING_2 0xffffu

struct fm_table_store {
    const fm_schema *schema;
    bool labels;
    size_t raw_count, row; /* row: bytes */
    unsigned char *held;   /* [held_cap, row] until spilled, owned */
    size_t held_rows, held_cap;
    unsigned char *packed; /* [row] the one at hand, owned */
    fm_scratch *scratch;   /* NULL until spilled */
};

/* Bytes of a column's value. */
static size_t width(const fm_column *c)
{
    const size_t values = c->values.count + c->groups.names.count;

    switch (c->kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        return sizeof(double);
    case FM_COLUMN_CATEGORICAL:
        return values <= MISSING_1 ? 1 : 2;
    case FM_COLUMN_LABEL:
    case FM_COLUMN_IGNORE:
        break;
    }
    return 0;
}

fm_status fm_table_store_new(const fm_schema *s, bool labels, size_t raw_count,
                             fm_table_store **out)
{
    fm_table_store *t = NULL;
    fm_status st = fm_alloc(1, sizeof *t, (void **)&t);

    if (st)
        return st;
    t->schema = s;
    t->labels = labels && raw_count == 0;
    t->raw_count = raw_count;
    t->row = raw_count * sizeof(double) + (t->labels ? sizeof(float) : 0);
    for (size_t c = 0; raw_count == 0 && c < s->column_count; c++)
        t->row += width(&s->columns[c]);
    if (!(st = fm_alloc(t->row, 1, (void **)&t->packed)))
        *out = t;
    else
        free(t);
    return st;
}

void fm_table_store_free(fm_table_store **s)
{
    if (!s || !*s)
        return;
    fm_wipe_free((*s)->held, (*s)->held_rows, (*s)->row);
    fm_wipe_free((*s)->packed, 1, (*s)->row);
    fm_scratch_free(&(*s)->scratch);
    free(*s);
    *s = NULL;
}

size_t fm_table_store_row(const fm_table_store *s)
{
    return s->row;
}

bool fm_table_store_spilled(const fm_table_store *s)
{
    return s && s->scratch;
}

static unsigned char *pack_value(const fm_column *c, double v, unsigned char *to)
{
    const size_t bytes = width(c);
    unsigned code;

    if (bytes == sizeof v) {
        memcpy(to, &v, sizeof v);
    } else if (bytes > 0) {
        code = isnan(v) ? MISSING_2 : (unsigned)v;
        to[0] = (unsigned char)code;
        if (bytes == 2)
            to[1] = (unsigned char)(code >> 8);
    }
    return to + bytes;
}

static void pack(const fm_table_store *s, const double *values, float label, unsigned char *to)
{
    if (s->raw_count > 0) {
        memcpy(to, values, s->raw_count * sizeof *values);
        return;
    }
    for (size_t c = 0; c < s->schema->column_count; c++)
        to = pack_value(&s->schema->columns[c], values[c], to);
    if (s->labels)
        memcpy(to, &label, sizeof label);
}

static const unsigned char *unpack_value(const fm_column *c, const unsigned char *from, double *v)
{
    const size_t bytes = width(c);
    unsigned code;

    if (bytes == sizeof *v) {
        memcpy(v, from, sizeof *v);
    } else {
        code = bytes == 2 ? from[0] | (unsigned)from[1] << 8 : from[0];
        *v = code == (bytes == 2 ? MISSING_2 : MISSING_1) ? (double)NAN : (double)code;
    }
    return from + bytes;
}

static void unpack(const fm_table_store *s, const unsigned char *from, float *features,
                   float *label)
{
    for (size_t c = 0; c < s->schema->column_count; c++) {
        const fm_column *column = &s->schema->columns[c];
        double v;

        if (width(column) == 0)
            continue;
        from = unpack_value(column, from, &v);
        fm_column_put(column, v, features);
    }
    if (label)
        memcpy(label, from, sizeof *label);
}

static fm_status hold(fm_table_store *s)
{
    const size_t cap = s->held_cap ? 2 * s->held_cap : 256;
    fm_status st;

    if (s->held_rows == s->held_cap) {
        if ((st = fm_widen((void **)&s->held, s->held_rows, cap, s->row)))
            return st;
        s->held_cap = cap;
    }
    memcpy(s->held + s->held_rows++ * s->row, s->packed, s->row);
    return FM_OK;
}

fm_status fm_table_store_put(fm_table_store *s, const double *values, float label)
{
    pack(s, values, label, s->packed);
    return s->scratch ? fm_scratch_append(s->scratch, s->packed, s->row) : hold(s);
}

fm_status fm_table_store_spill(fm_table_store *s, const char *dir)
{
    fm_status st = fm_scratch_new(dir, &s->scratch);

    if (!st && s->held_rows > 0)
        st = fm_scratch_append(s->scratch, s->held, s->held_rows * s->row);
    fm_wipe_free(s->held, s->held_rows, s->row);
    s->held = NULL;
    s->held_rows = s->held_cap = 0;
    return st;
}

fm_status fm_table_store_seal(fm_table_store *s)
{
    return fm_scratch_seal(s->scratch);
}

bool fm_table_labelled(const fm_table *t)
{
    return t->y || (t->store && t->store->labels);
}

/* ---- reading ---- */

struct fm_table_reader {
    const fm_table *table;
    unsigned char *window; /* [room] rows `first` to `end` - 1; NULL: the table is in memory */
    size_t room;
    size_t first, end;
};

fm_status fm_table_reader_new(const fm_table *t, fm_table_reader **out)
{
    fm_table_reader *r = NULL;
    fm_status st;

    if (!t || !out)
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if ((st = fm_alloc(1, sizeof *r, (void **)&r)))
        return st;
    r->table = t;
    if (t->store) {
        r->room = t->store->row > WINDOW ? t->store->row : WINDOW;
        st = fm_alloc(r->room, 1, (void **)&r->window);
    }
    if (st)
        free(r);
    else
        *out = r;
    return st;
}

void fm_table_reader_forget(fm_table_reader *r)
{
    if (r && r->window)
        sodium_memzero(r->window, r->room);
    if (r)
        r->first = r->end = 0;
}

void fm_table_reader_free(fm_table_reader **r)
{
    if (!r || !*r)
        return;
    fm_table_reader_forget(*r);
    free((*r)->window);
    free(*r);
    *r = NULL;
}

/* As many of the rows wanted next as lie in one window with the first. */
static fm_status fetch(fm_table_reader *r, const uint32_t *rows, size_t n)
{
    const fm_table_store *s = r->table->store;
    const size_t first = rows[0];
    size_t last = first;

    for (size_t i = 1; i < n && rows[i] > last && (rows[i] - last) * s->row <= GAP + s->row &&
                       (rows[i] - first + 1) * s->row <= r->room;
         i++)
        last = rows[i];
    r->first = r->end = 0;
    if (s->row == 0 || last >= r->table->rows)
        return s->row == 0 ? FM_OK : fm_fail(FM_EINVAL, "table: there is no row %zu", last);
    const fm_status st = fm_scratch_read(s->scratch, (uint64_t)first * s->row, r->window,
                                         (last - first + 1) * s->row);

    if (!st) {
        r->first = first;
        r->end = last + 1;
    }
    return st;
}

/* *at: the packed row rows[0]. */
static fm_status find(fm_table_reader *r, const uint32_t *rows, size_t n, const unsigned char **at)
{
    const size_t row = rows[0];
    fm_status st = FM_OK;

    if (row < r->first || row >= r->end)
        st = fetch(r, rows, n);
    *at = r->window + (row - r->first) * r->table->store->row;
    return st;
}

static fm_status check(const fm_table_reader *r, const uint32_t *rows, size_t n, const void *out,
                       bool raw)
{
    if (!r || (n && (!rows || !out)) || (r->table->raw_count > 0) != raw)
        return fm_fail(FM_EINVAL, "table: an argument is missing, or the rows are of another kind");
    for (size_t i = 0; i < n; i++)
        if (rows[i] >= r->table->rows)
            return fm_fail(FM_EINVAL, "table: there is no row %u", (unsigned)rows[i]);
    return FM_OK;
}

fm_status fm_table_reader_take(fm_table_reader *r, const uint32_t *rows, size_t n, float *x,
                               float *y)
{
    const fm_table *t = r ? r->table : NULL;
    const unsigned char *at;
    fm_status st = check(r, rows, n, x, false);

    if (!st && y && !fm_table_labelled(t))
        st = fm_fail(FM_EINVAL, "table: the rows have no labels");
    for (size_t i = 0; !st && i < n; i++) {
        float *to = x + i * t->features;

        if (t->store) {
            if (!(st = find(r, rows + i, n - i, &at)))
                unpack(t->store, at, to, y ? y + i : NULL);
            continue;
        }
        memcpy(to, t->x + rows[i] * t->features, t->features * sizeof *to);
        if (y)
            y[i] = t->y[rows[i]];
    }
    return st;
}

fm_status fm_table_reader_take_raw(fm_table_reader *r, const uint32_t *rows, size_t n, double *out)
{
    const fm_table *t = r ? r->table : NULL;
    const unsigned char *at;
    fm_status st = check(r, rows, n, out, true);

    for (size_t i = 0; !st && i < n; i++) {
        double *to = out + i * t->raw_count;

        if (!t->store)
            memcpy(to, t->raw + rows[i] * t->raw_count, t->raw_count * sizeof *to);
        else if (!(st = find(r, rows + i, n - i, &at)))
            memcpy(to, at, t->raw_count * sizeof *to);
    }
    return st;
}
