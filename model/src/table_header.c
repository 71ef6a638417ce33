/* The first line of a file: which of its names is which column, and what else it may be. */
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "table_internal.h"
#include "tokenizer_internal.h"

#define ABSENT SIZE_MAX
#define LINES_BEFORE 50 /* a header at most */

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
        if (b->unit && name == b->unit && strcasecmp(name, "record") == 0)
            (void)fm_fail(FM_EPARSE,
                          "%s:%zu, column %s: the header does not have it, which policy.unit in "
                          "node.yaml names; is each row to be a unit of its own? That is unit: "
                          "record, in small letters",
                          b->name, r->line, name);
        else
            fail_absent(b, r, name, p->count < NEAR_MOST);
        st = fm_problem(p);
    }
    return st;
}

fm_status fm_header_delimiter(const fm_binding *b, const fm_csv_record *r, size_t wanted,
                              fm_problems *p)
{
    static const struct {
        char c;
        const char *yaml;
    } others[] = { { ';', ";" }, { '\t', "\\t" }, { ',', "," }, { '|', "|" } };
    const char mine = fm_bind_delimiter(b);

    if (r->count != 1 || wanted < 2)
        return FM_OK;
    if (memchr(r->cells[0].at, mine, r->cells[0].len)) {
        (void)fm_fail(
            FM_EPARSE,
            "%s:%zu: the line as a whole stands in quotes, so that it is one cell; take "
            "the quotes at its beginning and end away (of all lines, and two quotes within "
            "become one)",
            b->name, r->line);
        return fm_problem_last(p);
    }
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

/* The first line of those that follow that has the columns' names, or 0. What is read on is gone. */
static size_t find_header(const fm_binding *b, size_t wanted)
{
    fm_csv_record r;
    bool got = true;

    for (int i = 0; b->rest && i < LINES_BEFORE; i++) {
        size_t found = 0;

        if (fm_csv_next(b->rest, &r, &got) || !got)
            break;
        for (size_t c = 0; c < b->schema->column_count && r.count > 1; c++)
            for (size_t f = 0; f < r.count; f++)
                found += strcmp(r.cells[f].at, b->schema->columns[c].name) == 0;
        if (found > 1 && found >= wanted / 2)
            return r.line;
    }
    return 0;
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
    const size_t line = r->line;
    size_t header;
    bool known = has_name(r, b->unit, true) || has_name(r, b->id, true);
    double v;

    for (size_t c = 0; !known && c < b->schema->column_count; c++)
        known = has_name(r, b->schema->columns[c].name, c < NEAR_MOST) ||
                odd_field(r, b->schema->columns[c].name, &unseen);
    for (size_t f = 0; !known && f < r->count; f++)
        known = fm_text_double(r->cells[f].at, &v) || fm_cell_date(r->cells[f].at, &v);
    if (known || wanted < 2)
        return FM_OK;
    /* It may be a record of a file without a header. */
    (void)fm_cell_show(b->hide_values ? "..." : first, shown);
    if (fm_text_is_conflict(first, strlen(first)))
        (void)fm_fail(FM_EPARSE, "%s:%zu: " FM_TEXT_CONFLICT, b->name, line);
    else if (fm_tk_utf8_valid((const uint8_t *)first, strlen(first)) != strlen(first))
        (void)fm_fail(
            FM_EPARSE,
            "%s:%zu: this is no header in UTF-8; if it is text, say in node.yaml how it is "
            "encoded: csv: {encoding: ...}",
            b->name, line);
    else if ((header = find_header(b, wanted)))
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu: none of the schema's columns is in this line, which begins with "
                      "\"%s\"; the header is line %zu: if what is before it is a title, take it "
                      "away, or say in node.yaml: csv: {skip_lines: %zu}",
                      b->name, line, shown, header, header - 1);
    else
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu: none of the schema's columns is in this line, which begins with "
                      "\"%s\"; %s",
                      b->name, line, shown,
                      strstr(first, b->schema->columns[0].name)
                          ? "what separates the columns is no delimiter: write commas, say"
                      : first[0] == '#'
                          ? "is it a comment? Say in node.yaml, under data: csv: {comment: \"#\"}"
                          : "is it the right file? How many lines stand before its header is said "
                            "in node.yaml: csv: {skip_lines: ...}");
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

fm_status fm_header_read(fm_binding *b, const fm_csv_record *r, fm_problems *p)
{
    const fm_schema *s = b->schema;
    const size_t wanted = wanted_fields(b);
    fm_status st = fm_header_delimiter(b, r, wanted, p);

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
