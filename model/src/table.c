#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "schema_internal.h"
#include "survey_internal.h"
#include "table_internal.h"

#define PROBLEMS_MAX 20

typedef struct {
    const char *name;
    const fm_table_options *options;
    fm_table table; /* under construction */
    size_t cap;     /* rows there is room for */
    bool started;   /* the first record has been seen */
    fm_binding binding;
    fm_slice *cells; /* [columns] of the record at hand */
    fm_unit_index index;
    uint32_t *unit_of; /* [unit_cap] of each row; NULL without a unit column */
    size_t unit_cap;
    fm_problems problems;
    fm_raw *raw;    /* NULL: the records are encoded */
    double *values; /* [columns], or [raw_count], of the record at hand */
    size_t value_count;
    fm_table_store *store; /* NULL without a limit on memory */
    bool away;             /* rows are no more in the table: in a scratch file, or only counted */
} loader;

void fm_wipe_free(void *p, size_t count, size_t size)
{
    if (p)
        sodium_memzero(p, count * size);
    free(p);
}

fm_status fm_widen(void **at, size_t used, size_t cap, size_t size)
{
    void *p = NULL;
    fm_status st = fm_alloc(cap, size, &p);

    if (st)
        return st;
    if (used)
        memcpy(p, *at, used * size);
    fm_wipe_free(*at, used, size);
    *at = p;
    return FM_OK;
}

/* Bytes of memory for one row. */
static size_t row_memory(const loader *l)
{
    const fm_table *t = &l->table;

    return t->features * sizeof *t->x + t->raw_count * sizeof *t->raw + sizeof *t->lines +
           (l->options->labels ? sizeof *t->y : 0) + fm_table_store_row(l->store);
}

static void free_rows(fm_table *t, size_t rows)
{
    fm_wipe_free(t->x, rows * t->features, sizeof *t->x);
    fm_wipe_free(t->y, rows, sizeof *t->y);
    fm_wipe_free(t->raw, rows * t->raw_count, sizeof *t->raw);
    fm_wipe_free(t->lines, rows, sizeof *t->lines);
    t->x = t->y = NULL;
    t->raw = NULL;
    t->lines = NULL;
}

/* The rows so far, and all to come, into a scratch file. */
static fm_status spill(loader *l)
{
    free_rows(&l->table, l->cap);
    l->cap = 0;
    l->away = true;
    return fm_table_store_spill(l->store, l->options->scratch);
}

static fm_status grow(loader *l)
{
    const size_t cap = l->cap ? 2 * l->cap : 256;
    fm_table *t = &l->table;
    const size_t n = t->rows, x = t->features * sizeof *t->x, raw = t->raw_count * sizeof *t->raw;
    fm_status st;

    /* Both pieces of memory are there for a moment. */
    if (l->store && (n + cap) > l->options->memory / row_memory(l))
        return spill(l);
    if ((st = l->raw ? fm_widen((void **)&t->raw, n, cap, raw)
                     : fm_widen((void **)&t->x, n, cap, x)) ||
        (st = fm_widen((void **)&t->lines, n, cap, sizeof *t->lines)) ||
        (l->options->labels && (st = fm_widen((void **)&t->y, n, cap, sizeof *t->y))))
        return fm_fail(st, "%s: no memory for %zu records", l->name, cap);
    l->cap = cap;
    return FM_OK;
}

static fm_status grow_units(loader *l)
{
    const size_t cap = l->unit_cap ? 2 * l->unit_cap : 256;
    const fm_status st = fm_widen((void **)&l->unit_of, l->table.rows, cap, sizeof *l->unit_of);

    if (st)
        return fm_fail(st, "%s: no memory for %zu records", l->name, cap);
    l->unit_cap = cap;
    return FM_OK;
}

static fm_status take_unit(loader *l, const fm_csv_record *r)
{
    const char *key;
    size_t len;
    const fm_status st = fm_unit_key(&l->binding, r, &key, &len);

    return st ? st : fm_unit_index_number(&l->index, key, len, &l->unit_of[l->table.rows]);
}

static fm_status read_raw(loader *l, const fm_csv_record *r)
{
    size_t column = 0;
    fm_status st;

    fm_bind_cells(&l->binding, r, l->cells);
    st = fm_raw_read(l->raw, l->cells, l->values, &column);
    return st == FM_EPARSE ? fm_bind_fault(&l->binding, r, column, st) : st;
}

/* Reads the record; what the table keeps of it goes behind the table's rows. */
static fm_status read_record(loader *l, const fm_csv_record *r, float *label)
{
    fm_table *t = &l->table;
    fm_status st;

    if (l->raw) {
        if (!(st = read_raw(l, r)) && !l->away)
            memcpy(t->raw + t->rows * t->raw_count, l->values, t->raw_count * sizeof *t->raw);
        return st;
    }
    st = fm_bind_encode(&l->binding, r, l->cells, l->away ? NULL : t->x + t->rows * t->features,
                        l->options->labels ? label : NULL, l->values);
    if (!st && l->options->labels && !l->away)
        t->y[t->rows] = *label;
    return st;
}

static fm_status make_room(loader *l)
{
    fm_status st = FM_OK;

    if (l->table.rows >= FM_TABLE_MAX_ROWS)
        return fm_fail(FM_ENOMEM, "%s: too many records", l->name);
    if (!l->away && l->table.rows == l->cap)
        st = grow(l);
    if (!st && l->options->unit && l->table.rows == l->unit_cap)
        st = grow_units(l);
    return st;
}

static fm_status take(loader *l, const fm_csv_record *r)
{
    fm_table *t = &l->table;
    float label = 0.0f;
    fm_status st = fm_bind_check(&l->binding, r);

    if (st)
        return fm_problem(&l->problems);
    if (l->options->max_rows && t->rows >= l->options->max_rows) {
        (void)fm_fail(FM_EPARSE, "%s:%zu: more than the %llu records that are allowed", l->name,
                      r->line, (unsigned long long)l->options->max_rows);
        return fm_problem_last(&l->problems);
    }
    if ((st = make_room(l)))
        return st;
    st = read_record(l, r, &label);
    if (!st && l->options->unit)
        st = take_unit(l, r);
    if (st == FM_EPARSE)
        return fm_problem(&l->problems);
    if (!st && l->store)
        st = fm_table_store_put(l->store, l->values, label);
    if (st)
        return st;
    t->positives += label > 0.5f;
    if (!l->away)
        t->lines[t->rows] = r->line;
    t->rows++;
    return FM_OK;
}

/* A survey goes on with the columns that were found. */
static fm_status bind(loader *l, const fm_csv_record *r, bool *is_record)
{
    fm_survey *survey = l->options->survey;
    fm_status st = fm_bind(&l->binding, r, &l->problems, is_record);

    if (!survey)
        return st;
    if (st)
        *is_record = false;
    if (!st || (st == FM_EPARSE && l->binding.fields))
        st = fm_survey_begin(survey, &l->binding);
    return st;
}

static fm_status record(loader *l, fm_csv_scan *scan, const fm_csv_record *r)
{
    bool is_record = true;
    fm_status st;

    if (!l->started) {
        l->started = true;
        l->binding.rest = scan;
        if ((st = bind(l, r, &is_record)))
            return st;
    }
    if (!is_record)
        return FM_OK;
    return l->options->survey ? fm_survey_record(l->options->survey, &l->binding, r, l->cells)
                              : take(l, r);
}

static fm_status read_block(loader *l, fm_csv_scan *scan)
{
    fm_csv_record r;
    bool got = true;
    fm_status st;

    do
        if (!(st = fm_csv_next(scan, &r, &got)) && got)
            st = record(l, scan, &r);
    while (!st && got);
    return st;
}

static fm_status read_blocks(loader *l, fm_csv_source *source)
{
    fm_csv_scan scan = { 0 };
    fm_csv_block block;
    char words[FM_CSV_OTHER];
    bool got = true;
    fm_status st = fm_csv_block_new(source, &block);

    while (!st && !(st = fm_csv_take(source, &block, &got)) && got) {
        const char *other = l->started ? NULL : fm_csv_other(block.text, block.len, words);

        if (other) {
            st = fm_fail(FM_EPARSE, "%s: this is no CSV but %s", l->name, other);
            break;
        }
        fm_csv_begin(&scan, l->name, fm_bind_delimiter(&l->binding), &block);
        st = read_block(l, &scan);
    }
    fm_csv_scan_fini(&scan);
    fm_csv_block_free(&block);
    return st;
}

/* The header's problems are lines; any other stop is the file's. */
static fm_status tell_survey(loader *l, fm_status st)
{
    const fm_problems *p = &l->problems;
    const char *header = p->count ? (const char *)p->text.data : NULL;
    const bool broken = st && (st != FM_EPARSE || !header || l->binding.fields);

    if (st && st != FM_EPARSE && st != FM_EPROTO)
        return st;
    return fm_survey_end(l->options->survey, l->name, header, broken);
}

static fm_status prepare(loader *l)
{
    const fm_schema *s = l->binding.schema;
    const fm_table_options *o = l->options;
    fm_status st;

    l->value_count = o->raw_count ? o->raw_count : s->column_count;
    l->away = o->count_only;
    if ((o->raw_count && (st = fm_raw_open(s, o->raw, o->raw_count, &l->raw))) ||
        (st = fm_alloc(s->column_count, sizeof *l->cells, (void **)&l->cells)) ||
        (st = fm_alloc(l->value_count, sizeof *l->values, (void **)&l->values)))
        return st;
    l->binding.raw = l->raw;
    return o->memory && !o->count_only ? fm_table_store_new(s, o->labels, o->raw_count, &l->store)
                                       : FM_OK;
}

/* All rows are there. */
static fm_status finish(loader *l)
{
    fm_status st = FM_OK;

    if (fm_table_store_spilled(l->store) && !(st = fm_table_store_seal(l->store))) {
        l->table.store = l->store; /* ownership moves to the table */
        l->store = NULL;
    }
    if (!st && l->options->unit)
        st = fm_table_group(&l->table, l->unit_of, l->index.count);
    return st;
}

static fm_status load(loader *l, fm_csv_source *source)
{
    fm_problems *p = &l->problems;
    fm_status st;

    if ((st = prepare(l)))
        return st;
    st = read_blocks(l, source);
    if (l->options->survey)
        return tell_survey(l, st);
    /* A fault of the file itself comes on top of those of its records. */
    if (st == FM_EPARSE && !p->gave_up)
        st = fm_problem(p);
    if (st && st != FM_EPARSE)
        return st;
    if (!p->count && !l->table.rows)
        return fm_fail(FM_EPARSE, "%s: there are no records", l->name);
    return p->count ? fm_problems_fail(p) : finish(l);
}

static fm_status load_from(fm_csv_source *source, const fm_schema *s, const fm_table_options *o,
                           fm_table *out)
{
    loader l = { .name = source->name,
                 .options = o,
                 .binding = { .name = source->name,
                              .schema = s,
                              .labels = o->labels,
                              .hide_values = o->hide_values,
                              .dialect = o->dialect,
                              .unit = o->unit },
                 .problems = { .max = o->survey         ? SIZE_MAX
                                      : o->max_problems ? o->max_problems
                                                        : PROBLEMS_MAX,
                               .all = o->problems } };
    fm_status st;

    l.table.features = o->raw_count ? 0 : s->features;
    l.table.raw_count = o->raw_count;
    st = load(&l, source);
    if (!st) {
        *out = l.table; /* ownership moves to the caller */
    } else {
        free_rows(&l.table, l.cap); /* a record with a problem is behind the others */
        fm_table_fini(&l.table);
    }
    fm_raw_close(&l.raw);
    fm_binding_fini(&l.binding);
    fm_table_store_free(&l.store);
    free(l.cells);
    fm_wipe_free(l.values, l.value_count, sizeof *l.values);
    fm_wipe_free(l.unit_of, l.unit_cap, sizeof *l.unit_of);
    fm_unit_index_fini(&l.index);
    fm_buf_fini(&l.problems.text);
    return st;
}

static fm_status check_options(const char *name, const fm_schema *s, const fm_table_options *o)
{
    if (o->raw_count && (!o->raw || o->labels))
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (o->labels && s->label == SIZE_MAX)
        return fm_fail(FM_EINVAL, "%s: schema %s has no label column", name, s->name);
    return FM_OK;
}

fm_status fm_table_parse(const char *name, const void *text, size_t len, const fm_schema *s,
                         const fm_table_options *o, fm_table *out)
{
    fm_csv_source source = { .fd = -1 };
    fm_status st;

    if (!name || (len && !text) || !s || !o || !out)
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (!(st = check_options(name, s, o)) && !(st = fm_csv_memory(name, text, len, &source)) &&
        !(st = fm_csv_speak(&source, o->dialect)))
        st = load_from(&source, s, o, out);
    fm_csv_close(&source);
    return st;
}

fm_status fm_table_load(const char *path, const fm_schema *s, const fm_table_options *o,
                        fm_table *out)
{
    fm_csv_source source = { .fd = -1 };
    fm_status st;

    if (!path || !s || !o || !out)
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (!(st = check_options(path, s, o)) &&
        !(st = fm_csv_open(path, FM_TABLE_MAX_BYTES, &source)) &&
        !(st = fm_csv_speak(&source, o->dialect)))
        st = load_from(&source, s, o, out);
    fm_csv_close(&source);
    return st;
}

fm_status fm_table_read(const fm_table_input *in, const fm_schema *s, const fm_table_options *o,
                        fm_table *out)
{
    fm_csv_source source = { .fd = -1 };
    fm_status st;

    if (!in || !in->name || !in->read || !s || !o || !out)
        return fm_fail(FM_EINVAL, "table: an argument is missing");
    if (!(st = check_options(in->name, s, o)) &&
        !(st = fm_csv_input(in, FM_TABLE_MAX_BYTES, &source)))
        st = load_from(&source, s, o, out);
    fm_csv_close(&source);
    return st;
}

/* [from + more] elements in *at, the new ones copied from `tail`. */
static fm_status extend(void **at, size_t from, size_t more, size_t size, const void *tail)
{
    size_t count;

    if (fm_add_size(from, more, &count) || fm_widen(at, from, count, size))
        return fm_fail(FM_ENOMEM, "table: no memory for %zu more records", more);
    memcpy((char *)*at + from * size, tail, more * size);
    return FM_OK;
}

fm_status fm_table_append(fm_table *a, const fm_table *b)
{
    fm_status st;

    if (!a || !b || a->raw || b->raw || (a->rows && (a->features != b->features || !a->y != !b->y)))
        return fm_fail(FM_EINVAL, "table: the tables do not go together");
    if (a->store || b->store)
        return fm_fail(FM_EINVAL, "table: records in a scratch file stay by themselves");
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
    a->positives += b->positives;
    return FM_OK;
}

void fm_table_fini(fm_table *t)
{
    if (!t)
        return;
    free_rows(t, t->rows);
    fm_table_store_free(&t->store);
    fm_wipe_free(t->unit_start, t->units + 1, sizeof *t->unit_start);
    fm_wipe_free(t->unit_rows, t->rows, sizeof *t->unit_rows);
    *t = (fm_table){ 0 };
}
