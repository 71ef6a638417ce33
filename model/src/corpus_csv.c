/* CSV: a record a row, its text in one column or several. */
#include <stdlib.h>
#include <string.h>

#include "corpus_internal.h"

typedef struct {
    fm_corpus_builder *b;
    bool started;
    size_t fields; /* every row must have */
    size_t place[FM_TEXT_MAX_FIELDS], unit_place;
    fm_corpus_value values[FM_TEXT_MAX_FIELDS];
} rows;

/* Which cell of the header has this name. */
static fm_status find(rows *r, const fm_csv_record *header, const char *name, size_t *place)
{
    fm_corpus_builder *b = r->b;

    *place = SIZE_MAX;
    for (size_t i = 0; i < header->count; i++) {
        if (strcmp(header->cells[i].at, name) != 0)
            continue;
        if (*place != SIZE_MAX)
            return fm_corpus_fault(b,
                                   fm_fail(FM_EPARSE, "%s:%zu, column %s: the header has it twice",
                                           b->name, header->line, name));
        *place = i;
    }
    if (*place != SIZE_MAX)
        return FM_OK;
    return fm_corpus_fault(
        b, fm_fail(FM_EPARSE, "%s:%zu, column %s: the header does not have it%s", b->name,
                   header->line, name,
                   header->count == 1 ? "; it has one column: is csv.delimiter right?" : ""));
}

static fm_status read_header(rows *r, const fm_csv_record *header)
{
    const fm_text_schema *s = r->b->schema;
    const size_t before = r->b->problems.count;
    fm_status st = FM_OK;

    r->fields = header->count;
    for (size_t i = 0; !st && i < s->field_count; i++)
        st = find(r, header, s->fields[i], &r->place[i]);
    if (!st && s->unit)
        st = find(r, header, s->unit, &r->unit_place);
    /* With wrong columns every row would be one more problem. */
    if (!st && r->b->problems.count > before) {
        r->b->problems.gave_up = true;
        st = FM_EPARSE;
    }
    return st;
}

static size_t named(const fm_text_schema *s, const char *name)
{
    size_t i = 0;

    while (strcmp(s->columns[i], name) != 0) /* the schema has it: text_schema.c checked */
        i++;
    return i;
}

static void place_columns(rows *r)
{
    const fm_text_schema *s = r->b->schema;

    r->fields = s->column_count;
    for (size_t i = 0; i < s->field_count; i++)
        r->place[i] = named(s, s->fields[i]);
    if (s->unit)
        r->unit_place = named(s, s->unit);
}

static fm_status take(rows *r, const fm_csv_record *row)
{
    fm_corpus_builder *b = r->b;
    const fm_text_schema *s = b->schema;
    const char *unit = NULL;
    size_t len = 0;
    fm_status st;

    if (row->count != r->fields)
        return fm_fail(FM_EPARSE, "%s:%zu: %zu field%s where %zu belong", b->name, row->line,
                       row->count, row->count == 1 ? "" : "s", r->fields);
    for (size_t i = 0; i < s->field_count; i++) {
        r->values[i].at = row->cells[r->place[i]].at;
        r->values[i].len = row->cells[r->place[i]].len;
    }
    if (s->unit) {
        unit = row->cells[r->unit_place].at;
        len = row->cells[r->unit_place].len;
        if (!fm_corpus_trim(&unit, &len))
            return fm_fail(FM_EPARSE,
                           "%s:%zu, column %s: empty; every row needs its %s: it says whose record "
                           "it is",
                           b->name, row->line, s->unit, s->unit);
    }
    st = fm_corpus_compose(b, r->values);
    return st ? st : fm_corpus_add(b, row->line, unit, len);
}

static fm_status record(rows *r, const fm_csv_record *row)
{
    fm_status st;

    if (!r->started) {
        r->started = true;
        if (r->b->schema->header)
            return read_header(r, row);
        place_columns(r);
    }
    st = fm_corpus_record(r->b, row->line);
    if (!st)
        st = take(r, row);
    return fm_corpus_fault(r->b, st);
}

static fm_status read_block(rows *r, fm_csv_scan *scan)
{
    fm_csv_record row;
    bool got = true;
    fm_status st;

    do
        if (!(st = fm_csv_next(scan, &row, &got)) && got)
            st = record(r, &row);
    while (!st && got);
    return st;
}

fm_status fm_corpus_read_csv(fm_corpus_builder *b, fm_csv_source *source)
{
    rows r = { .b = b };
    fm_csv_scan scan = { 0 };
    fm_csv_block block;
    bool got = true;
    fm_status st = fm_csv_block_new(source, &block);

    while (!st && !(st = fm_csv_take(source, &block, &got)) && got) {
        fm_csv_begin(&scan, b->name, b->schema->delimiter, &block);
        st = read_block(&r, &scan);
    }
    fm_csv_scan_fini(&scan);
    fm_csv_block_free(&block);
    return st;
}
