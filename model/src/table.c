#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "schema_internal.h"
#include "table_internal.h"

#define ABSENT SIZE_MAX
#define SHOWN_BYTES 1024 /* of problems; an error text holds no more */

typedef struct {
    const char *name;
    const fm_schema *schema;
    const fm_table_options *options;
    fm_table table;     /* under construction */
    size_t cap;         /* rows there is room for */
    bool started;       /* the first record has been seen */
    size_t fields;      /* every record must have */
    size_t *place;      /* [columns] which field is which column, or ABSENT */
    const char **cells; /* [columns] of the record at hand */
    size_t unit_place;  /* which field is the unit column */
    fm_unit_index index;
    uint32_t *unit_of; /* [cap] of each row; NULL without a unit column */
    fm_buf problems;
    size_t problem_count, problem_max;
    bool gave_up; /* too many problems, or none of the records can be read */
    fm_raw *raw;  /* NULL: the records are encoded */
} loader;

/* Note the failure under way, or give up when there are too many. */
static fm_status problem(loader *l)
{
    fm_status st =
        fm_buf_printf(&l->problems, "%s%s", l->problem_count ? "\n" : "", fm_error_text());

    if (!st && l->options->problems)
        st = fm_buf_printf(l->options->problems, "%s\n", fm_error_text());
    if (st)
        return st;
    l->gave_up = ++l->problem_count >= l->problem_max;
    return l->gave_up ? FM_EPARSE : FM_OK;
}

static fm_status grow(loader *l)
{
    const size_t cap = l->cap ? 2 * l->cap : 256;
    fm_table *t = &l->table;
    size_t count, bytes, line_bytes;
    void *p;

    if (fm_mul_size(cap, t->features, &count) || fm_mul_size(count, sizeof *t->x, &bytes) ||
        fm_mul_size(cap, sizeof *t->lines, &line_bytes) || t->rows >= FM_TABLE_MAX_ROWS)
        return fm_fail(FM_ENOMEM, "%s: too many records", l->name);
    if (l->raw) {
        if (fm_mul_size(cap, t->raw_count * sizeof *t->raw, &bytes) ||
            !(p = realloc(t->raw, bytes)))
            goto none;
        t->raw = p;
    } else {
        if (!(p = realloc(t->x, bytes)))
            goto none;
        t->x = p;
    }
    if (!(p = realloc(t->lines, line_bytes)))
        goto none;
    t->lines = p;
    if (l->options->labels) {
        if (!(p = realloc(t->y, cap * sizeof *t->y)))
            goto none;
        t->y = p;
    }
    if (l->options->unit) {
        if (!(p = realloc(l->unit_of, cap * sizeof *l->unit_of)))
            goto none;
        l->unit_of = p;
    }
    l->cap = cap;
    return FM_OK;
none:
    return fm_fail(FM_ENOMEM, "%s: no memory for %zu records", l->name, cap);
}

static bool is_wanted(const loader *l, size_t column)
{
    const fm_column_kind kind = l->schema->columns[column].kind;

    if (l->raw)
        return fm_raw_wants(l->raw, column);
    return kind != FM_COLUMN_IGNORE && (kind != FM_COLUMN_LABEL || l->options->labels);
}

/* Which field has this name; what is wrong with it is a problem. */
static fm_status find_field(loader *l, const fm_csv_record *r, const char *name, size_t *place)
{
    fm_status st = FM_OK;

    *place = ABSENT;
    for (size_t f = 0; !st && f < r->count; f++) {
        if (strcmp(r->cells[f], name) != 0)
            continue;
        if (*place != ABSENT) {
            (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: the header has it twice", l->name, r->line,
                          name);
            st = problem(l);
        }
        *place = f;
    }
    if (!st && *place == ABSENT) {
        (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: the header does not have it", l->name, r->line,
                      name);
        st = problem(l);
    }
    return st;
}

/* Field of each column by the names of the first record; every fault is a problem. */
static fm_status read_header(loader *l, const fm_csv_record *r)
{
    const fm_schema *s = l->schema;
    fm_status st = FM_OK;

    l->fields = r->count;
    for (size_t c = 0; !st && c < s->column_count; c++) {
        l->place[c] = ABSENT;
        if (is_wanted(l, c))
            st = find_field(l, r, s->columns[c].name, &l->place[c]);
    }
    if (!st && l->options->unit)
        st = find_field(l, r, l->options->unit, &l->unit_place);
    /* With wrong columns every record would be one more problem. */
    if (!st && l->problem_count) {
        l->gave_up = true;
        st = FM_EPARSE;
    }
    return st;
}

/* Without a header the schema's order is the file's. Records to be predicted may lack the label. */
static fm_status by_position(loader *l, const fm_csv_record *r)
{
    const fm_schema *s = l->schema;
    const bool unlabelled = !l->options->labels && !(l->raw && fm_raw_wants(l->raw, s->label)) &&
                            s->label != SIZE_MAX && r->count + 1 == s->column_count;

    l->fields = s->column_count - (unlabelled ? 1 : 0);
    l->unit_place = ABSENT;
    for (size_t c = 0, f = 0; c < s->column_count; c++) {
        const bool absent = unlabelled && c == s->label;

        l->place[c] = absent ? ABSENT : f;
        f += absent ? 0 : 1;
        if (l->options->unit && strcmp(s->columns[c].name, l->options->unit) == 0)
            l->unit_place = l->place[c];
    }
    if (!l->options->unit || l->unit_place != ABSENT)
        return FM_OK;
    (void)fm_fail(
        FM_EPARSE,
        "%s: the file has no header, and schema %s no column %s to say whose record a row "
        "is; give it there, with kind: ignore",
        l->name, s->name, l->options->unit);
    (void)problem(l);
    l->gave_up = true;
    return FM_EPARSE;
}

/* Whose record it is: `len` bytes of `cell`. @return false when it does not say. */
static bool unit_key(const loader *l, const char **cell, size_t *len)
{
    const char *text = *cell;
    const fm_schema *s = l->schema;

    /* In quotes they are part of the cell, but of nobody's name. */
    text += strspn(text, " \t");
    *len = strlen(text);
    while (*len && (text[*len - 1] == ' ' || text[*len - 1] == '\t'))
        --*len;
    if (!*len || fm_cells_find(&s->missing, *cell) != SIZE_MAX)
        return false;
    for (size_t c = 0; c < s->column_count; c++)
        if (l->place[c] == l->unit_place &&
            fm_cells_find(&s->columns[c].missing, *cell) != SIZE_MAX)
            return false;
    *cell = text;
    return true;
}

static fm_status take_unit(loader *l, const fm_csv_record *r)
{
    const char *key = r->cells[l->unit_place];
    size_t len;

    if (unit_key(l, &key, &len))
        return fm_unit_index_number(&l->index, key, len, &l->unit_of[l->table.rows]);
    return fm_fail(FM_EPARSE,
                   "%s:%zu, column %s: empty or missing; every row needs its %s: it says whose "
                   "record it is",
                   l->name, r->line, l->options->unit, l->options->unit);
}

static fm_status encode(loader *l, const fm_csv_record *r)
{
    fm_table *t = &l->table;
    float *label = l->options->labels ? t->y + t->rows : NULL;
    size_t column;
    fm_status st;

    for (size_t c = 0; c < l->schema->column_count; c++)
        l->cells[c] = l->place[c] == ABSENT ? NULL : r->cells[l->place[c]];
    st = l->raw
             ? fm_raw_read(l->raw, l->cells, t->raw + t->rows * t->raw_count, &column)
             : fm_schema_encode(l->schema, l->cells, t->x + t->rows * t->features, label, &column);
    if (st == FM_EPARSE) {
        if (l->options->hide_values)
            (void)fm_fail(st, "%s:%zu, column %s: not a value that the schema allows", l->name,
                          r->line, l->schema->columns[column].name);
        else
            (void)fm_fail_context(st, "%s:%zu, ", l->name, r->line);
        return problem(l);
    }
    if (!st && l->options->unit && (st = take_unit(l, r)) == FM_EPARSE)
        return problem(l);
    if (!st)
        t->lines[t->rows++] = r->line;
    return st;
}

static fm_status record(void *state, const fm_csv_record *r)
{
    loader *l = state;
    fm_status st;

    if (!l->started) {
        l->started = true;
        if (l->schema->header)
            return read_header(l, r);
        if ((st = by_position(l, r)))
            return st;
    }
    if (r->count != l->fields) {
        (void)fm_fail(FM_EPARSE, "%s:%zu: %zu field%s where %zu belong", l->name, r->line, r->count,
                      r->count == 1 ? "" : "s", l->fields);
        return problem(l);
    }
    if (l->options->max_rows && l->table.rows >= l->options->max_rows) {
        l->gave_up = true;
        (void)fm_fail(FM_EPARSE, "%s:%zu: more than the %llu records that are allowed", l->name,
                      r->line, (unsigned long long)l->options->max_rows);
        (void)problem(l);
        return FM_EPARSE;
    }
    if (l->table.rows == l->cap && (st = grow(l)))
        return st;
    return encode(l, r);
}

static fm_status load(loader *l, const void *text, size_t len)
{
    const size_t columns = l->schema->column_count;
    fm_status st;

    if ((l->table.raw_count &&
         (st = fm_raw_open(l->schema, l->options->raw, l->table.raw_count, &l->raw))) ||
        (st = fm_alloc(columns, sizeof *l->place, (void **)&l->place)) ||
        (st = fm_alloc(columns, sizeof *l->cells, (void **)&l->cells)))
        return st;
    st = fm_csv_read(l->name, text, len, l->schema->delimiter, record, l);
    /* A fault of the file itself comes on top of those of its records. */
    if (st == FM_EPARSE && !l->gave_up)
        st = problem(l);
    if (st && st != FM_EPARSE)
        return st;
    if (!l->problem_count && !l->table.rows)
        return fm_fail(FM_EPARSE, "%s: there are no records", l->name);
    if (!l->problem_count)
        return l->options->unit ? fm_table_group(&l->table, l->unit_of, l->index.count) : FM_OK;
    return fm_fail(FM_EPARSE, "%s%s", (const char *)l->problems.data,
                   l->problem_count >= l->problem_max && l->problem_max > 1 ? "\n(and perhaps more)"
                                                                            : "");
}

fm_status fm_table_parse(const char *name, const void *text, size_t len, const fm_schema *s,
                         const fm_table_options *o, fm_table *out)
{
    loader l = { .name = name, .schema = s, .options = o };
    fm_status st;

    if (!name || (len && !text) || !s || !o || !out || (o->raw_count && (!o->raw || o->labels)))
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (o->labels && s->label == SIZE_MAX)
        return fm_fail(FM_EINVAL, "%s: schema %s has no label column", name, s->name);
    l.problem_max = o->max_problems ? o->max_problems : 20;
    l.table.features = o->raw_count ? 0 : s->features;
    l.table.raw_count = o->raw_count;
    st = load(&l, text, len);
    if (!st)
        *out = l.table; /* ownership moves to the caller */
    else
        fm_table_fini(&l.table);
    fm_raw_close(&l.raw);
    free(l.place);
    free(l.cells);
    free(l.unit_of);
    fm_unit_index_fini(&l.index);
    fm_buf_fini(&l.problems);
    return st;
}

fm_status fm_table_load(const char *path, const fm_schema *s, const fm_table_options *o,
                        fm_table *out)
{
    fm_buf text = { 0 };
    fm_status st;

    if (!path || !s || !o || !out)
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (!(st = fm_file_read(path, FM_TABLE_MAX_BYTES, &text)))
        st = fm_table_parse(path, text.data, text.len, s, o, out);
    fm_buf_fini(&text);
    return st;
}

/* [from + more] elements in *at, the new ones copied from `tail`. */
static fm_status extend(void **at, size_t from, size_t more, size_t size, const void *tail)
{
    size_t count, bytes;
    void *p;

    if (fm_add_size(from, more, &count) || fm_mul_size(count, size, &bytes) ||
        !(p = realloc(*at, bytes)))
        return fm_fail(FM_ENOMEM, "table: no memory for %zu more records", more);
    memcpy((char *)p + from * size, tail, more * size);
    *at = p;
    return FM_OK;
}

fm_status fm_table_append(fm_table *a, const fm_table *b)
{
    fm_status st;

    if (!a || !b || a->raw || b->raw || (a->rows && (a->features != b->features || !a->y != !b->y)))
        return fm_fail(FM_EINVAL, "table: the tables do not go together");
    if (a->units || b->units)
        return fm_fail(FM_EINVAL, "table: records that are grouped into units belong in one file");
    if (!b->rows)
        return FM_OK;
    if (b->rows > FM_TABLE_MAX_ROWS - a->rows)
        return fm_fail(FM_ENOMEM, "table: too many records");
    /* A piece that grew before another failed holds more than a->rows says: harmless. */
    if ((st = extend((void **)&a->x, a->rows, b->rows, b->features * sizeof *b->x, b->x)) ||
        (b->y && (st = extend((void **)&a->y, a->rows, b->rows, sizeof *b->y, b->y))) ||
        (st = extend((void **)&a->lines, a->rows, b->rows, sizeof *b->lines, b->lines)))
        return st;
    a->features = b->features;
    a->rows += b->rows;
    return FM_OK;
}

void fm_table_fini(fm_table *t)
{
    if (!t)
        return;
    free(t->x);
    free(t->y);
    free(t->raw);
    free(t->lines);
    free(t->unit_start);
    free(t->unit_rows);
    *t = (fm_table){ 0 };
}
