/* Which field of a file is which column of the schema, and a record encoded by it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "table_internal.h"
#include "tokenizer_internal.h"

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

static bool is_wanted(const fm_binding *b, size_t column)
{
    const fm_column_kind kind = b->schema->columns[column].kind;

    if (b->raw)
        return fm_raw_wants(b->raw, column);
    return kind != FM_COLUMN_IGNORE && (kind != FM_COLUMN_LABEL || b->labels);
}

#define NEAR_MOST 100 /* columns for which a name near theirs is looked for: each takes a walk */

/* The field that may have been meant: but for case and spaces the same, or nearly so. */
static const char *near_field(const fm_csv_record *r, const char *name)
{
    /* Names are short, and many: one letter, of longer ones a quarter. */
    const size_t len = strlen(name), most = len < 8 ? 1 : len / 4;
    const char *near = NULL;
    size_t best = SIZE_MAX;

    for (size_t f = 0; f < r->count; f++) {
        const char *has = r->cells[f].at;
        const size_t n = r->cells[f].len;
        size_t d;

        if (n > len + most || len > n + most) /* most are */
            continue;
        d = strcasecmp(has, name) == 0 ? 0 : fm_text_distance(has, name);
        if (d < best && d <= most) {
            best = d;
            near = has;
        }
    }
    return near;
}

/* The field that has the name, and more that cannot be seen. @param unseen out: what */
static const char *odd_field(const fm_csv_record *r, const char *name, const char **unseen)
{
    for (size_t f = 0; f < r->count; f++) {
        const char *has = r->cells[f].at, *at = strstr(has, name);

        if (!at || strlen(has) > strlen(name) + 8)
            continue;
        *unseen = fm_text_invisible(has);
        if (!*unseen && strpbrk(has, "\"'"))
            *unseen = "quotes in it";
        if (*unseen)
            return has;
    }
    return NULL;
}

/* Numbers and dates are no names: the header is missing, or was passed over. */
static bool looks_like_record(const fm_csv_record *r)
{
    size_t values = 0;
    double v;

    for (size_t f = 0; f < r->count; f++)
        values += fm_text_double(r->cells[f].at, &v) || fm_cell_date(r->cells[f].at, &v);
    return values > r->count / 3;
}

/* @param look  whether for a name that is near it, too: of many columns not for each */
static void fail_absent(const fm_binding *b, const fm_csv_record *r, const char *name, bool look)
{
    const char *unseen = NULL, *mine;
    const char *near = look ? near_field(r, name) : NULL,
               *odd = near ? NULL : odd_field(r, name, &unseen);
    char shown[FM_CELL_SHOWN];

    if ((mine = fm_text_invisible(name)) || name[0] == ' ' || name[strlen(name) - 1] == ' ')
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu, column %s: the header does not have it; the name has %s in it where "
                      "the column was asked for (schema or node.yaml): write it anew there",
                      b->name, r->line, name, mine ? mine : "a space at its beginning or end");
    else if (looks_like_record(r))
        (void)fm_fail(
            FM_EPARSE,
            "%s:%zu, column %s: the header does not have it; the line looks like a "
            "record: a file without a header needs csv: {header: false}, in the schema or for "
            "this file under data: in node.yaml; has it one, does skip_lines pass over too many "
            "lines?",
            b->name, r->line, name);
    else if (odd)
        (void)fm_fail(
            FM_EPARSE,
            "%s:%zu, column %s: the header does not have it; it has \"%s\", with %s: write "
            "the name anew in the file",
            b->name, r->line, name, fm_cell_show(odd, shown), unseen);
    else if (near)
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu, column %s: the header does not have it; it has \"%s\": rename one "
                      "of the two",
                      b->name, r->line, name, fm_cell_show(near, shown));
    else
        (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: the header does not have it", b->name, r->line,
                      name);
}

/* Which field has this name; what is wrong with it is a problem. */
static fm_status find_field(const fm_binding *b, const fm_csv_record *r, const char *name,
                            fm_problems *p, size_t *place)
{
    fm_status st = FM_OK;

    *place = ABSENT;
    for (size_t f = 0; !st && f < r->count; f++) {
        if (strcmp(r->cells[f].at, name) != 0)
            continue;
        if (*place != ABSENT) {
            (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: the header has it twice", b->name, r->line,
                          name);
            st = fm_problem(p);
        }
        *place = f;
    }
    if (!st && *place == ABSENT) {
        fail_absent(b, r, name, p->count < NEAR_MOST);
        st = fm_problem(p);
    }
    return st;
}

/*
 * Several columns are wanted and the first record is one field with another delimiter in it: one
 * problem that says so, in place of one for each column or record. @return FM_OK: it is not so.
 */
static fm_status check_delimiter(const fm_binding *b, const fm_csv_record *r, size_t wanted,
                                 fm_problems *p)
{
    static const struct {
        char c;
        const char *yaml;
    } others[] = { { ';', ";" }, { '\t', "\\t" }, { ',', "," }, { '|', "|" } };
    const char mine = fm_bind_delimiter(b);

    if (r->count != 1 || wanted < 2)
        return FM_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i].c == mine || !memchr(r->cells[0].at, others[i].c, r->cells[0].len))
            continue;
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu: one column by the delimiter \"%s\", but it holds \"%s\"; if that is "
                      "what separates the columns say so, for all in the schema or for this file "
                      "in node.yaml, under data: csv: {delimiter: \"%s\"}",
                      b->name, r->line, mine == '\t' ? "\\t" : (const char[]){ mine, '\0' },
                      others[i].yaml, others[i].yaml);
        return fm_problem_last(p);
    }
    return FM_OK;
}

static bool has_name(const fm_csv_record *r, const char *name, bool look)
{
    for (size_t f = 0; name && f < r->count; f++)
        if (strcasecmp(r->cells[f].at, name) == 0)
            return true;
    return name && look && near_field(r, name);
}

/*
 * Not one of the columns is in the line, nor looks it like a record: one problem, in place of one for
 * each column and record. @return FM_OK: it is not so.
 */
static fm_status check_title(const fm_binding *b, const fm_csv_record *r, size_t wanted,
                             fm_problems *p)
{
    char shown[FM_CELL_SHOWN];
    const char *first = r->count ? r->cells[0].at : "", *unseen;
    bool known = has_name(r, b->unit, true) || has_name(r, b->id, true);
    double v;

    for (size_t c = 0; !known && c < b->schema->column_count; c++)
        known = has_name(r, b->schema->columns[c].name, c < NEAR_MOST) ||
                odd_field(r, b->schema->columns[c].name, &unseen);
    for (size_t f = 0; !known && f < r->count; f++)
        known = fm_text_double(r->cells[f].at, &v) || fm_cell_date(r->cells[f].at, &v);
    if (known || wanted < 2)
        return FM_OK;
    if (fm_tk_utf8_valid((const uint8_t *)first, strlen(first)) != strlen(first))
        (void)fm_fail(
            FM_EPARSE,
            "%s:%zu: this is no header in UTF-8; if it is text, say in node.yaml how it is "
            "encoded: csv: {encoding: ...}",
            b->name, r->line);
    else
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu: none of the schema's columns is in this line, which begins with "
                      "\"%s\"; %s",
                      b->name, r->line, fm_cell_show(first, shown),
                      strstr(first, b->schema->columns[0].name)
                          ? "what separates the columns is no delimiter: write commas, say"
                      : first[0] == '#'
                          ? "is it a comment? Say in node.yaml, under data: csv: {comment: \"#\"}"
                      : strncasecmp(first, "sep=", 4) == 0 || r->count == 1
                          ? "if it is a title or a spreadsheet's mark take it away, or say in "
                            "node.yaml: csv: {skip_lines: 1}"
                          : "is it the right file? Lines before the header are passed over by csv: "
                            "{skip_lines: 1} in node.yaml");
    return fm_problem_last(p);
}

/* Fields that a file with a header must have. */
static size_t wanted_fields(const fm_binding *b)
{
    size_t n = b->unit ? 1 : 0;

    n += b->id ? 1 : 0;
    for (size_t c = 0; c < b->schema->column_count; c++)
        n += is_wanted(b, c) && !b->schema->columns[c].from ? 1 : 0;
    return n;
}

/* Field of each column by the names of the first record; every fault is a problem. */
static fm_status read_header(fm_binding *b, const fm_csv_record *r, fm_problems *p)
{
    const fm_schema *s = b->schema;
    const size_t wanted = wanted_fields(b);
    fm_status st = check_delimiter(b, r, wanted, p);

    if (!st)
        st = check_title(b, r, wanted, p);
    b->fields = st ? 0 : r->count; /* 0: by this delimiter nothing can be read */
    for (size_t c = 0; !st && c < s->column_count; c++) {
        b->place[c] = ABSENT;
        if (is_wanted(b, c))
            st = find_field(b, r, s->columns[c].from ? s->columns[c].from : s->columns[c].name, p,
                            &b->place[c]);
    }
    if (!st && b->unit)
        st = find_field(b, r, b->unit, p, &b->unit_place);
    if (!st && b->id)
        st = find_field(b, r, b->id, p, &b->id_place);
    /* With wrong columns every record would be one more problem. */
    if (!st && p->count) {
        p->gave_up = true;
        st = FM_EPARSE;
    }
    return st;
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

    fm_status st = check_delimiter(b, r, fields - (unlabelled ? 1 : 0), p);

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
    return header ? read_header(b, first, p) : by_position(b, first, p);
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
    if (r->count == 1 && strcmp(r->cells[0].at, "\x1a") == 0)
        return "; it is an end mark of old systems (Ctrl-Z): take it away";
    for (const char *o = others; *o && r->count == 1; o++)
        if (*o != mine && memchr(r->cells[0].at, *o, r->cells[0].len))
            return "; this line has another delimiter than the others";
    return "";
}

fm_status fm_bind_check(const fm_binding *b, const fm_csv_record *r)
{
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
