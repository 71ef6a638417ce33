/* libcsv, fed a line at a time, so that every record and every fault has a line number. */
#include <csv.h>
#include <stdlib.h>
#include <string.h>

#include "table_internal.h"

typedef struct {
    const char *name;
    fm_csv_fn each;
    void *state;
    fm_buf cells;    /* the record's cells, one after the other, NUL-terminated */
    size_t *offsets; /* where each starts in it */
    const char **pointers;
    size_t count, cap;
    size_t line;  /* of the bytes being fed */
    size_t start; /* where the open record starts */
    size_t open;  /* bytes of the open record fed so far */
    fm_status st; /* libcsv's callbacks return nothing */
} reader;

static void failed(reader *r, fm_status st)
{
    if (!r->st)
        r->st = st;
}

static fm_status more_cells(reader *r)
{
    const size_t cap = r->cap ? 2 * r->cap : 64;
    size_t *offsets = realloc(r->offsets, cap * sizeof *offsets);

    if (offsets)
        r->offsets = offsets;
    const char **pointers = offsets ? realloc(r->pointers, cap * sizeof *pointers) : NULL;

    if (!pointers)
        return fm_fail(FM_ENOMEM, "%s:%zu: out of memory", r->name, r->line);
    r->pointers = pointers;
    r->cap = cap;
    return FM_OK;
}

static void on_cell(void *text, size_t len, void *state)
{
    reader *r = state;
    fm_status st = FM_OK;

    if (r->st)
        return;
    if (r->count == r->cap)
        st = more_cells(r);
    if (!st) {
        r->offsets[r->count++] = r->cells.len;
        if (len)
            st = fm_buf_append(&r->cells, text, len);
    }
    if (!st)
        st = fm_buf_append(&r->cells, "", 1);
    if (st)
        failed(r, st);
}

static void on_record(int end, void *state)
{
    reader *r = state;

    (void)end;
    if (!r->st) {
        for (size_t i = 0; i < r->count; i++)
            r->pointers[i] = (const char *)r->cells.data + r->offsets[i];
        const fm_csv_record record = { r->pointers, r->count, r->start };

        failed(r, r->each(r->state, &record));
    }
    fm_buf_clear(&r->cells);
    r->count = 0;
    r->open = 0;
}

/* Length of the line at p with its end: LF, CR LF, or CR. */
static size_t line_length(const char *p, size_t left)
{
    size_t n = 0;

    while (n < left && p[n] != '\n' && p[n] != '\r')
        n++;
    if (n == left)
        return n;
    return n + (p[n] == '\r' && n + 1 < left && p[n + 1] == '\n' ? 2 : 1);
}

static fm_status feed(reader *r, struct csv_parser *p, const char *line, size_t len)
{
    if (!r->open)
        r->start = r->line;
    r->open += len;
    if (r->open > FM_TABLE_MAX_RECORD)
        return fm_fail(FM_EPARSE,
                       "%s:%zu: the record that starts here is longer than %zu bytes; is a quote "
                       "left open, or is this no CSV file?",
                       r->name, r->start, FM_TABLE_MAX_RECORD);
    if (memchr(line, '\0', len))
        return fm_fail(FM_EPARSE, "%s:%zu: there is a NUL byte; this is no text file", r->name,
                       r->line);
    if (csv_parse(p, line, len, on_cell, on_record, r) != len && !r->st)
        return csv_error(p) == CSV_ENOMEM
                   ? fm_fail(FM_ENOMEM, "%s:%zu: out of memory", r->name, r->line)
                   : fm_fail(FM_EPARSE,
                             "%s:%zu: a quote inside a cell; write the cell in quotes, and a "
                             "quote within as two",
                             r->name, r->line);
    /* Outside of quotes every line ends a record; a blank one ends none and is none. */
    if (!r->count && !p->quoted)
        r->open = 0;
    return r->st;
}

fm_status fm_csv_read(const char *name, const void *bytes, size_t len, char delimiter,
                      fm_csv_fn each, void *state)
{
    reader r = { .name = name, .each = each, .state = state };
    struct csv_parser p;
    const char *at = bytes;
    fm_status st = FM_OK;

    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) != 0)
        return fm_fail(FM_EINTERNAL, "%s: libcsv does not start", name);
    csv_set_delim(&p, (unsigned char)delimiter);
    if (len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
        at += 3;
        len -= 3;
    }
    while (!st && len) {
        const size_t n = line_length(at, len);

        r.line++;
        st = feed(&r, &p, at, n);
        at += n;
        len -= n;
    }
    if (!st && csv_fini(&p, on_cell, on_record, &r) != 0)
        st = fm_fail(FM_EPARSE, "%s:%zu: the quote of the record that starts here is left open",
                     name, r.start);
    if (!st)
        st = r.st;
    csv_free(&p);
    fm_buf_fini(&r.cells);
    free(r.offsets);
    free(r.pointers);
    return st;
}
