/* Which field of a file is which column of the schema, and a record encoded by it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "table_internal.h"

#define ABSENT SIZE_MAX

/* What an error text can hold of a list, with a line behind it. */
#define SHOWN_MAX ((size_t)900)

/* One line each, whatever a file's or a column's name holds. */
fm_status fm_problem(fm_problems *p)
{
    char *line = NULL;
    fm_status st = fm_strdup(fm_error_text(), &line);

    if (st)
        return st;
    fm_text_clean(line);
    if (!(st = fm_buf_printf(&p->text, "%s%s", p->count ? "\n" : "", line)) && p->all)
        st = fm_buf_printf(p->all, "%s\n", line);
    free(line);
    if (st)
        return st;
    p->gave_up = ++p->count >= p->max;
    return p->gave_up ? FM_EPARSE : FM_OK;
}

fm_status fm_problem_last(fm_problems *p)
{
    const fm_status st = fm_problem(p);

    p->gave_up = true;
    return st ? st : FM_EPARSE;
}

fm_status fm_problems_fail(const fm_problems *p)
{
    const char *text = (const char *)p->text.data;
    bool more = p->count >= p->max && p->max > 1;
    size_t n = strlen(text);

    while (n > SHOWN_MAX) { /* whole lines */
        const char *end = memrchr(text, '\n', n);

        if (!end)
            break;
        n = (size_t)(end - text);
        more = true;
    }
    return fm_fail(FM_EPARSE, "%.*s%s%s", (int)n, text, more ? "\n(and perhaps more); " : "",
                   !more     ? ""
                   : p->then ? p->then
                             : "fedmoe-model check lists all");
}

/* "4.711E+06": digits are lost, and those of others may have become the same. */
static bool is_cut_number(const char *s, size_t len)
{
    const char *end = s + len;

    if (len == 0 || *s < '0' || *s > '9')
        return false;
    s += strspn(s, "0123456789");
    if (*s == '.' || *s == ',')
        s += 1 + strspn(s + 1, "0123456789");
    if ((*s != 'E' && *s != 'e') || s[1] != '+')
        return false;
    s += 2;
    return s < end && s + strspn(s, "0123456789") == end;
}

fm_status fm_unit_key(const fm_binding *b, const fm_csv_record *r, const char **key, size_t *len)
{
    const char *cell = r->cells[b->unit_place].at, *text = cell + strspn(cell, " \t");
    const fm_schema *s = b->schema;
    char shown[FM_CELL_SHOWN];
    bool missing;

    /* In quotes they are part of the cell, but of nobody's name. */
    *key = text;
    *len = strlen(text);
    while (*len && (text[*len - 1] == ' ' || text[*len - 1] == '\t'))
        --*len;
    missing = !*len || fm_cells_find(&s->missing, cell) != ABSENT;
    for (size_t c = 0; !missing && c < s->column_count; c++)
        missing =
            b->place[c] == b->unit_place && fm_cells_find(&s->columns[c].missing, cell) != ABSENT;
    if (missing)
        return fm_fail(FM_EPARSE,
                       "%s:%zu, column %s: empty or missing; every row needs its %s: it says whose "
                       "record it is",
                       b->name, r->line, b->unit, b->unit);
    if (is_cut_number(text, *len))
        return fm_fail(
            FM_EPARSE,
            "%s:%zu, column %s: \"%s\" is a number that a spreadsheet cut short, so that "
            "several may have become one; make the column one of text there, and "
            "export again",
            b->name, r->line, b->unit, b->hide_values ? "..." : fm_cell_show(text, shown));
    return FM_OK;
}

static fm_status no_column(const fm_binding *b, const char *name, fm_problems *p)
{
    (void)fm_fail(FM_EPARSE,
                  "%s: the file has no header, and schema %s no column %s to say whose record a "
                  "row is; give it there, with kind: ignore",
                  b->name, b->schema->name, name);
    return fm_problem_last(p);
}

/* Columns that read another's field have none of their own. */
static size_t own_fields(const fm_schema *s)
{
    size_t n = 0;

    for (size_t c = 0; c < s->column_count; c++)
        n += s->columns[c].from ? 0 : 1;
    return n;
}

static void place_others(fm_binding *b)
{
    const fm_schema *s = b->schema;

    for (size_t c = 0; c < s->column_count; c++)
        for (size_t i = 0; s->columns[c].from && i < s->column_count; i++)
            if (!s->columns[i].from && strcmp(s->columns[i].name, s->columns[c].from) == 0)
                b->place[c] = b->place[i];
}

/* The schema says that there is no header, and the first record is one. FM_OK: it is not so. */
static fm_status refuse_header(const fm_binding *b, const fm_csv_record *r, fm_problems *p)
{
    const bool mine = b->dialect && b->dialect->header;
    size_t same = 0;

    for (size_t c = 0; c < b->schema->column_count; c++)
        same += b->place[c] < r->count &&
                strcasecmp(r->cells[b->place[c]].at, b->schema->columns[c].name) == 0;
    if (same < 2)
        return FM_OK;
    (void)fm_fail(FM_EPARSE,
                  "%s:%zu: it has a header, and %s says it has none; take the line away, or say "
                  "csv: {header: true} %s",
                  b->name, r->line, mine ? "node.yaml" : "the schema",
                  mine ? "there" : "in the schema, or for this file under data: in node.yaml");
    return fm_problem_last(p);
}

/* Without a header the schema's order is the file's. Records to be predicted may lack the label. */
static fm_status by_position(fm_binding *b, const fm_csv_record *r, fm_problems *p)
{
    const fm_schema *s = b->schema;
    const size_t fields = own_fields(s);
    const bool unlabelled = !b->labels && !(b->raw && fm_raw_wants(b->raw, s->label)) &&
                            s->label != SIZE_MAX && r->count + 1 == fields;

    fm_status st = fm_header_delimiter(b, r, fields - (unlabelled ? 1 : 0), p);

    if (st)
        return st;
    b->fields = fields - (unlabelled ? 1 : 0);
    b->unit_place = b->id_place = ABSENT;
    for (size_t c = 0, f = 0; c < s->column_count; c++) {
        const bool absent = s->columns[c].from || (unlabelled && c == s->label);

        b->place[c] = absent ? ABSENT : f;
        f += absent ? 0 : 1;
        if (b->unit && strcmp(s->columns[c].name, b->unit) == 0)
            b->unit_place = b->place[c];
        if (b->id && strcmp(s->columns[c].name, b->id) == 0)
            b->id_place = b->place[c];
    }
    place_others(b);
    if ((st = refuse_header(b, r, p)))
        return st;
    if (b->unit && b->unit_place == ABSENT)
        return no_column(b, b->unit, p);
    return b->id && b->id_place == ABSENT ? no_column(b, b->id, p) : FM_OK;
}

char fm_bind_delimiter(const fm_binding *b)
{
    return b->dialect && b->dialect->delimiter ? b->dialect->delimiter : b->schema->delimiter;
}

fm_status fm_bind(fm_binding *b, const fm_csv_record *first, fm_problems *p, bool *is_record)
{
    const size_t n = b->schema->column_count;
    const bool header =
        b->dialect && b->dialect->header ? b->dialect->header == FM_HEADER_YES : b->schema->header;
    fm_status st = fm_alloc(n, sizeof *b->place, (void **)&b->place);

    *is_record = !header;
    b->has_header = header;
    b->ends_empty = header && first->count > 1 && first->cells[first->count - 1].len == 0;
    if (st || (b->dialect && (st = fm_alloc(n, sizeof *b->rewritten, (void **)&b->rewritten))))
        return st;
    return header ? fm_header_read(b, first, p) : by_position(b, first, p);
}

void fm_binding_fini(fm_binding *b)
{
    free(b->place);
    b->place = NULL;
    fm_wipe_free(b->rewritten, b->schema ? b->schema->column_count : 0, sizeof *b->rewritten);
    b->rewritten = NULL;
}

/* Cells that are the name of their own column, with a header: two files put together. */
static bool is_header_again(const fm_binding *b, const fm_csv_record *r)
{
    size_t same = 0, wanted = 0;

    for (size_t c = 0; b->has_header && c < b->schema->column_count && same == wanted; c++) {
        const fm_column *column = &b->schema->columns[c];

        if (b->place[c] >= r->count)
            continue;
        wanted++;
        same += strcmp(r->cells[b->place[c]].at, column->from ? column->from : column->name) == 0;
    }
    return wanted > 1 && same == wanted;
}

static bool is_blank(const fm_csv_record *r)
{
    for (size_t f = 0; f < r->count; f++)
        if (r->cells[f].len)
            return false;
    return true;
}

/* Why there may be too few or too many. */
static const char *fields_hint(const fm_binding *b, const fm_csv_record *r)
{
    static const char others[] = ";,\t|";
    const char mine = fm_bind_delimiter(b);

    if (b->ends_empty && r->count + 1 == b->fields)
        return "; the header ends with a delimiter: take that away";
    if (r->count == b->fields + 1 && r->cells[b->fields].len == 0)
        return "; the line ends with a delimiter, and the header does not: take that away";
    if (r->count < b->fields && r->unended)
        return "; the file ends within this line: was it exported and copied to its end?";
    if (r->count == 1 && strcmp(r->cells[0].at, "\x1a") == 0)
        return "; it is an end mark of old systems (Ctrl-Z): take it away";
    for (const char *o = others; *o && r->count == 1; o++)
        if (*o != mine && memchr(r->cells[0].at, *o, r->cells[0].len))
            return "; this line has another delimiter than the others";
    return "";
}

fm_status fm_bind_check(const fm_binding *b, const fm_csv_record *r)
{
    if (r->count != b->fields && fm_text_is_conflict(r->cells[0].at, r->cells[0].len))
        return fm_fail(FM_EPARSE, "%s:%zu: " FM_TEXT_CONFLICT, b->name, r->line);
    if (r->count != b->fields)
        return fm_fail(FM_EPARSE, "%s:%zu: %zu field%s where %zu belong%s", b->name, r->line,
                       r->count, r->count == 1 ? "" : "s", b->fields, fields_hint(b, r));
    if (r->count > 1 && r->cells[0].len == 0 && b->labels && is_blank(r))
        return fm_fail(FM_EPARSE, "%s:%zu: all cells are empty; take the line away", b->name,
                       r->line);
    if (is_header_again(b, r))
        return fm_fail(FM_EPARSE,
                       "%s:%zu: the header once more; were two files put together? Take the line "
                       "away",
                       b->name, r->line);
    return FM_OK;
}

void fm_bind_cells(const fm_binding *b, const fm_csv_record *r, fm_slice *cells)
{
    static const fm_slice absent;

    for (size_t c = 0; c < b->schema->column_count; c++)
        cells[c] = b->place[c] == ABSENT ? absent : r->cells[b->place[c]];
    for (size_t c = 0; b->rewritten && c < b->schema->column_count; c++)
        fm_dialect_cell(b->dialect, b->schema, &b->schema->columns[c], &cells[c], b->rewritten[c]);
}

fm_status fm_bind_fault(const fm_binding *b, const fm_csv_record *r, size_t column, fm_status st)
{
    if (b->hide_values)
        return fm_fail(st, "%s:%zu, column %s: not a value that the schema allows", b->name,
                       r->line, b->schema->columns[column].name);
    return fm_fail_context(st, "%s:%zu, ", b->name, r->line);
}

fm_status fm_bind_encode(const fm_binding *b, const fm_csv_record *r, fm_slice *cells,
                         float *features, float *label, double *values)
{
    size_t column = 0;
    fm_status st;

    fm_bind_cells(b, r, cells);
    st = fm_schema_encode_row(b->schema, cells, features, label, values, &column);
    return st == FM_EPARSE ? fm_bind_fault(b, r, column, st) : st;
}
