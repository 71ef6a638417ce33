/* A data dictionary, ours or REDCap's, and the names in a header. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "draft_internal.h"
#include "fedmoe/base/input.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/draft.h"
#include "table_internal.h"
#include "tokenizer_internal.h"

#define DICTIONARY_BYTES ((size_t)16 << 20)
#define PROBLEMS_MAX 1000u
#define ABSENT SIZE_MAX

enum { NAME, TYPE, MIN, MAX, UNIT, CATEGORIES, LABEL, DESCRIPTION, VALIDATION, IDENTIFIER, FIELDS };

/* Names of the fields: ours, REDCap's. */
static const char *const fields[FIELDS][2] = {
    [NAME] = { "name", "Variable / Field Name" },
    [TYPE] = { "type", "Field Type" },
    [MIN] = { "min", "Text Validation Min" },
    [MAX] = { "max", "Text Validation Max" },
    [UNIT] = { "unit", "Field Units" },
    [CATEGORIES] = { "categories", "Choices, Calculations, OR Slider Labels" },
    [LABEL] = { "label", "Field Label" },
    [DESCRIPTION] = { "description", "Field Note" },
    [VALIDATION] = { "validation", "Text Validation Type OR Show Slider Number" },
    [IDENTIFIER] = { "identifier", "Identifier?" },
};

typedef struct {
    const char *name;
    fm_draft *draft;
    fm_csv_record r;
    char delimiter;
    size_t place[FIELDS], fields;
    bool redcap;
    fm_problems problems;
} reader;

static const char *cell(const reader *d, int field)
{
    return d->place[field] == ABSENT ? "" : d->r.cells[d->place[field]].at;
}

/* What is wrong with the cell of a field, noted. */
#define WRONG(d, field, ...) \
    (fm_status_known(fm_error_record(FM_EPARSE, __VA_ARGS__), FM_EPARSE), wrong((d), (field)))

static fm_status wrong(reader *d, int field)
{
    (void)fm_fail_context(FM_EPARSE, "%s:%zu, column %s: ", d->name, d->r.line,
                          fields[field][d->redcap]);
    return fm_problem(&d->problems);
}

/* ---- header ---- */

static fm_status bind_field(reader *d, size_t f, int field)
{
    if (d->place[field] != ABSENT) {
        (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: the header has it twice", d->name, d->r.line,
                      fields[field][d->redcap]);
        return fm_problem(&d->problems);
    }
    d->place[field] = f;
    return FM_OK;
}

/* The field of the header that may have been meant: none that is another's name. */
static const char *near_of(const reader *d, const char *name)
{
    const size_t len = strlen(name), most = len < 8 ? 1 : len / 4;

    for (size_t f = 0; f < d->r.count; f++)
        if (fm_text_distance(d->r.cells[f].at, name) <= most ||
            (fm_text_invisible(d->r.cells[f].at) && strstr(d->r.cells[f].at, name)))
            return d->r.cells[f].at;
    return NULL;
}

static fm_status fail_field(reader *d, int field, const char *why)
{
    const char *near = near_of(d, fields[field][d->redcap]), *unseen;
    char shown[FM_CELL_SHOWN];

    unseen = near ? fm_text_invisible(near) : NULL;
    (void)fm_fail(
        FM_EPARSE,
        "%s:%zu, column %s: the header does not have it%s%s%s%s%s%s; a dictionary has the "
        "columns name, type, min, max, unit, categories, label, description, or those of "
        "REDCap",
        d->name, d->r.line, fields[field][d->redcap], why, near ? "; it has \"" : "",
        near ? fm_cell_show(near, shown) : "", near ? "\"" : "", unseen ? ", with " : "",
        unseen ? unseen : "");
    return fm_problem(&d->problems);
}

static fm_status need_fields(reader *d)
{
    const bool name = d->place[NAME] != ABSENT, type = d->place[TYPE] != ABSENT;
    const bool lo = d->place[MIN] != ABSENT, hi = d->place[MAX] != ABSENT;
    fm_status st = FM_OK;

    if (!name && !type && !near_of(d, fields[NAME][d->redcap]) &&
        !near_of(d, fields[TYPE][d->redcap])) {
        if (d->r.count == 1 && strchr(d->r.cells[0].at, ':') && strstr(d->r.cells[0].at, "type"))
            (void)fm_fail(FM_EPARSE,
                          "%s:%zu: colons separate the fields of the header; write commas, "
                          "semicolons, tabs or bars",
                          d->name, d->r.line);
        else
            (void)fm_fail(
                FM_EPARSE,
                "%s:%zu, column name: the header has neither name nor type: is this a data "
                "dictionary? One has the columns name, type, min, max, unit, categories, "
                "label, description, or those of REDCap",
                d->name, d->r.line);
        return fm_problem(&d->problems);
    }
    if (!name)
        st = fail_field(d, NAME, "");
    if (!st && !type)
        st = fail_field(d, TYPE, "");
    if (!st && lo != hi)
        st = fail_field(d, lo ? MAX : MIN, lo ? ", but min" : ", but max");
    if (!st && d->place[CATEGORIES] == ABSENT && near_of(d, fields[CATEGORIES][d->redcap]))
        st = fail_field(d, CATEGORIES, "");
    return st;
}

/* Bytes that are no UTF-8 would come out in the draft. */
static fm_status check_utf8(reader *d, bool *good)
{
    fm_status st = FM_OK;

    *good = true;
    for (size_t f = 0; !st && f < d->r.count; f++) {
        const fm_slice *c = &d->r.cells[f];
        const char *column = NULL;
        char shown[FM_CELL_SHOWN];

        if (fm_tk_utf8_valid((const uint8_t *)c->at, c->len) == c->len)
            continue;
        for (int k = 0; k < FIELDS && d->fields; k++)
            column = d->place[k] == f ? fields[k][d->redcap] : column;
        *good = false;
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu%s%s: \"%s\" is not UTF-8; save the dictionary as UTF-8, or: iconv -f "
                      "WINDOWS-1252 -t UTF-8 OLD >NEW",
                      d->name, d->r.line, column ? ", column " : "", column ? column : "",
                      fm_cell_show(c->at, shown));
        st = fm_problem(&d->problems);
    }
    return st;
}

static fm_status read_fields(reader *d)
{
    size_t matches[2] = { 0 };
    bool good = true;
    fm_status st = check_utf8(d, &good);

    d->fields = d->r.count;
    for (int k = 0; k < FIELDS; k++) {
        d->place[k] = ABSENT;
        for (size_t f = 0; f < d->r.count; f++)
            for (int own = 0; own < 2; own++)
                matches[own] += strcasecmp(d->r.cells[f].at, fields[k][own]) == 0;
    }
    d->redcap = matches[1] > matches[0];
    for (size_t f = 0; !st && f < d->r.count; f++)
        for (int k = 0; !st && k < FIELDS; k++)
            if (strcasecmp(d->r.cells[f].at, fields[k][d->redcap]) == 0)
                st = bind_field(d, f, k);
    if (!st)
        st = need_fields(d);
    if (!st && d->problems.count) {
        d->problems.gave_up = true; /* every line would be one more */
        st = FM_EPARSE;
    }
    return st;
}

/* ---- a line ---- */

static fm_status find_type(reader *d, const char *word, fm_draft_kind *out)
{
    const char *near = NULL;
    char shown[FM_CELL_SHOWN];

    if (fm_draft_type(word, out, &near))
        return FM_OK;
    if (!*word)
        return WRONG(d, TYPE, "it is empty; say number, date, category, text or label");
    return WRONG(d, TYPE, "\"%s\" is no type%s%s%s; say number, date, category, text or label",
                 fm_cell_show(word, shown), near ? "; did you mean \"" : "", near ? near : "",
                 near ? "\"?" : "");
}

/* REDCap says of a text what it is by how it is validated. */
static fm_draft_kind redcap_kind(const reader *d, fm_draft_kind kind)
{
    const char *v = cell(d, VALIDATION);

    if (tolower((unsigned char)*cell(d, IDENTIFIER)) == 'y')
        return FM_DRAFT_IGNORE;
    if (strcasecmp(cell(d, TYPE), "text") != 0)
        return kind;
    if (strncasecmp(v, "integer", 7) == 0 || strncasecmp(v, "number", 6) == 0)
        return FM_DRAFT_NUMERIC;
    return strncasecmp(v, "date_", 5) == 0 ? FM_DRAFT_DATE : kind;
}

/* A validation that is nearly one by which a text is a number or a date. */
static fm_status check_validation(reader *d)
{
    static const char *const words[] = { "integer", "number", "date_ymd", "date_dmy", "date_mdy" };
    const char *v = cell(d, VALIDATION);
    char shown[FM_CELL_SHOWN];

    if (!*v || strcasecmp(cell(d, TYPE), "text") != 0 || strncasecmp(v, "integer", 7) == 0 ||
        strncasecmp(v, "number", 6) == 0 || strncasecmp(v, "date", 4) == 0)
        return FM_OK;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (fm_text_distance(v, words[i]) <= 2)
            return WRONG(d, VALIDATION, "\"%s\" is none of REDCap's; did you mean \"%s\"?",
                         fm_cell_show(v, shown), words[i]);
    return FM_OK;
}

static fm_status add_value(fm_draft_column *c, const char *text, size_t len)
{
    char **wider = realloc(c->values, (c->value_count + 1) * sizeof *wider);

    if (!wider)
        return fm_fail(FM_ENOMEM, "no memory for a draft");
    c->values = wider;
    if (!(c->values[c->value_count] = strndup(text, len)))
        return fm_fail(FM_ENOMEM, "no memory for a draft");
    c->value_count++;
    return FM_OK;
}

/* One entry: "1=male", REDCap's "1, Male", or the value alone. Its code, without spaces around. */
static size_t code_of(const reader *d, const char **text, size_t len)
{
    const char *stop = memchr(*text, '=', len);

    if (!stop && d->redcap)
        stop = memchr(*text, ',', len);
    if (stop)
        len = (size_t)(stop - *text);
    while (len && isspace((unsigned char)**text)) {
        ++*text;
        len--;
    }
    while (len && isspace((unsigned char)(*text)[len - 1]))
        len--;
    return len;
}

/* @param coded  each has its code and what it means */
static fm_status read_value(reader *d, fm_draft_column *c, const char *text, size_t len, bool coded)
{
    char shown[FM_CELL_SHOWN], copy[64];
    const bool alone = !memchr(text, '=', len) && !(d->redcap && memchr(text, ',', len));

    len = code_of(d, &text, len);
    (void)snprintf(copy, sizeof copy, "%.*s", (int)(len < 60 ? len : 60), text);
    if (!len)
        return WRONG(d, CATEGORIES, "there is an empty one; write \"1=yes; 2=no\"");
    if (coded && alone)
        return WRONG(d, CATEGORIES, "\"%s\" has no code, or no meaning; write %s",
                     fm_cell_show(copy, shown),
                     d->redcap ? "\"1, yes | 2, no\", as REDCap does" : "\"1=yes; 2=no\"");
    for (size_t i = 0; i < c->value_count; i++)
        if (strlen(c->values[i]) == len && strncmp(c->values[i], text, len) == 0)
            return WRONG(d, CATEGORIES, "\"%s\" is there twice", fm_cell_show(copy, shown));
    if (c->value_count == FM_SCHEMA_MAX_VALUES)
        return FM_OK; /* told by who reads on */
    return add_value(c, text, len);
}

/* "1, yes" and "1: yes" are a value with its meaning, and here the whole of it would be the value. */
static fm_status check_codes(reader *d, const fm_draft_column *c)
{
    char shown[FM_CELL_SHOWN];

    if (d->redcap || strchr(cell(d, CATEGORIES), '='))
        return FM_OK;
    for (size_t i = 0; i < c->value_count; i++) {
        const char *mark = strpbrk(c->values[i], ",:");

        if (!mark || !strpbrk(mark, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
            return FM_OK; /* titers: "1:40" */
    }
    return WRONG(
        d, CATEGORIES,
        "\"%s\" looks like a value with its meaning; write an equals sign between the two: "
        "\"1=yes; 2=no\"",
        fm_cell_show(c->values[0], shown));
}

static fm_status read_values(reader *d, fm_draft_column *c)
{
    char shown[FM_CELL_SHOWN];
    const char *text = cell(d, CATEGORIES), *type = cell(d, TYPE);
    const char marks[] = { strchr(text, '|') ? '|' : strchr(text, ';') ? ';' : ',', '\0' };
    const size_t before = d->problems.count;
    const bool coded = *text && (d->redcap || strchr(text, '='));
    fm_status st = FM_OK;

    if (!*text && (strcasecmp(type, "yesno") == 0 || strcasecmp(type, "truefalse") == 0 ||
                   strncasecmp(type, "bool", 4) == 0))
        text = "0;1";
    if (!*text)
        return WRONG(d, CATEGORIES, "it is empty, and the type is %s; write \"1=yes; 2=no\"",
                     fm_cell_show(type, (char[FM_CELL_SHOWN]){ 0 }));
    while (!st && d->problems.count == before) {
        const size_t len = strcspn(text, text[0] == '0' && text[1] == ';' ? ";" : marks);

        st = read_value(d, c, text, len, coded);
        if (!text[len])
            break;
        text += len + 1;
        if (!text[strspn(text, " ")]) /* a mark at the end */
            break;
        if (c->value_count == FM_SCHEMA_MAX_VALUES)
            return WRONG(d, CATEGORIES, "there are more than %u; is it a text, or a number?",
                         FM_SCHEMA_MAX_VALUES);
    }
    if (st || d->problems.count > before)
        return st;
    if (c->value_count < 2)
        return WRONG(d, CATEGORIES,
                     "there is one only, \"%s\"; a category needs two or more, with a semicolon "
                     "between: \"1=yes; 2=no\"",
                     fm_cell_show(c->value_count ? c->values[0] : "", shown));
    return check_codes(d, c);
}

static bool read_end(const char *text, bool date, double *v)
{
    return date ? fm_cell_date(text, v) : fm_text_double(text, v);
}

static fm_status read_range(reader *d, fm_draft_column *c)
{
    const bool date = c->kind == FM_DRAFT_DATE;
    const char *ends[2] = { cell(d, MIN), cell(d, MAX) };
    const char *what = date ? "date (YYYY-MM-DD)" : "number";
    const fm_column as = { .kind = date ? FM_COLUMN_DATE : FM_COLUMN_NUMERIC };
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];
    double v[2] = { 0.0, 0.0 };
    fm_status st = FM_OK;

    if (strcasecmp(cell(d, TYPE), "slider") == 0 && !*ends[0] && !*ends[1]) {
        ends[0] = "0"; /* REDCap's own */
        ends[1] = "100";
    }
    for (int i = 0; !st && i < 2; i++) {
        if (!*ends[i] && *ends[1 - i])
            st = WRONG(d, MIN + i, "it is empty, but %s is not; a range has two ends",
                       fields[MAX - i][d->redcap]);
        else if (*ends[i] && !read_end(ends[i], date, &v[i]))
            st = WRONG(d, MIN + i, "\"%s\" is not a %s%s", fm_cell_show(ends[i], shown), what,
                       fm_cell_means_missing(ends[i])
                           ? "; leave min and max empty where there is no range"
                           : fm_cell_hint_alone(&as, ends[i], hint));
    }
    if (st || d->problems.count || !*ends[0])
        return st;
    if (!(v[0] < v[1]))
        return WRONG(d, MAX, "%s is not above the min, %s", ends[1], ends[0]);
    if ((st = fm_draft_set(&c->lo, "%s", ends[0])))
        return st;
    return fm_draft_set(&c->hi, "%s", ends[1]);
}

static fm_status read_about(reader *d, fm_draft_column *c)
{
    fm_status st;

    if ((*cell(d, LABEL) || *cell(d, DESCRIPTION) || *cell(d, UNIT)) &&
        (st = fm_draft_set(&c->about, "%s%s%s%s%s%s%s", cell(d, LABEL),
                           *cell(d, LABEL) && *cell(d, DESCRIPTION) ? ": " : "",
                           cell(d, DESCRIPTION), *cell(d, UNIT) ? " (" : "", cell(d, UNIT),
                           *cell(d, UNIT) ? ")" : "", "")))
        return st;
    if (c->about)
        fm_text_clean(c->about);
    return fm_draft_set(&c->source, "%s, line %zu", d->name, d->r.line);
}

/* REDCap exports a checkbox as a column for each choice: name___code, 0 or 1. */
static fm_status spread_checkbox(reader *d, fm_draft_column *box)
{
    const size_t count = box->value_count;
    fm_draft_column *c = NULL;
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < count; i++) {
        char *name = NULL;

        if (!(st = fm_draft_set(&name, "%s___%s", box->name, box->values[i])) &&
            !(st = fm_draft_add(d->draft, name, &c))) {
            c->kind = FM_DRAFT_CATEGORICAL;
            if (!(st = add_value(c, "0", 1)) && !(st = add_value(c, "1", 1)))
                st = read_about(d, c);
        }
        free(name);
    }
    box->kind = FM_DRAFT_IGNORE;
    return st ? st : fm_draft_set(&box->doubt, "a checkbox: see %s___...", box->name);
}

/* REDCap makes capitals small; whoever has them has them in the records, too. */
static bool is_redcap_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    return name[strspn(name, letters)] == '\0' && isalpha((unsigned char)name[0]);
}

static fm_status read_name(reader *d, fm_draft_column **out)
{
    const char *name = cell(d, NAME), *unseen;
    char shown[FM_CELL_SHOWN];

    *out = NULL;
    if (!*name)
        return WRONG(d, NAME, "it is empty; give the column's name in the records");
    if ((unseen = fm_text_invisible(name)))
        return WRONG(d, NAME, "\"%s\" has %s in it; write the name anew", fm_cell_show(name, shown),
                     unseen);
    if (d->draft->count == FM_DRAFT_MAX_COLUMNS) {
        (void)WRONG(d, NAME,
                    "it is one more than the %u columns that a schema has; leave out what is not "
                    "needed",
                    FM_DRAFT_MAX_COLUMNS);
        d->problems.gave_up = true;
        return FM_EPARSE;
    }
    if (fm_text_has_control(name))
        return WRONG(d, NAME, "\"%s\" holds a control character", fm_cell_show(name, shown));
    if (d->redcap && !is_redcap_name(name))
        return WRONG(d, NAME,
                     "\"%s\" is no name of REDCap's, which has letters, digits and _ and begins "
                     "with a letter; write it as in the header of the records",
                     fm_cell_show(name, shown));
    if (fm_draft_find(d->draft, name))
        return WRONG(d, NAME, "\"%s\" is there twice", fm_cell_show(name, shown));
    return fm_draft_add(d->draft, name, out);
}

/* Two dictionaries put together. */
static bool is_header_again(const reader *d)
{
    return strcasecmp(cell(d, NAME), fields[NAME][d->redcap]) == 0 &&
           strcasecmp(cell(d, TYPE), fields[TYPE][d->redcap]) == 0;
}

static fm_status read_line(reader *d)
{
    fm_draft_column *c = NULL;
    bool good = true;
    fm_status st;

    if (d->r.count != d->fields)
        return fm_draft_fail_fields(d->name, &d->r, d->delimiter, d->fields)
                   ? fm_problem_last(&d->problems)
                   : fm_problem(&d->problems);
    if (is_header_again(d))
        return WRONG(d, NAME, "the header stands here again; take the line away");
    if ((st = check_utf8(d, &good)) || !good || (st = read_name(d, &c)) || !c ||
        (st = find_type(d, cell(d, TYPE), &c->kind)))
        return st;
    if (d->redcap) {
        if ((st = check_validation(d)))
            return st;
        c->kind = redcap_kind(d, c->kind);
    }
    c->outcome = strcasecmp(cell(d, TYPE), "label") == 0;
    if (c->outcome && !*cell(d, CATEGORIES) && *cell(d, MIN))
        c->kind = FM_DRAFT_NUMERIC;
    if ((st = read_about(d, c)))
        return st;
    if (c->kind == FM_DRAFT_CATEGORICAL && !(st = read_values(d, c)) &&
        strcasecmp(cell(d, TYPE), "checkbox") == 0 && d->redcap)
        st = spread_checkbox(d, fm_draft_find(d->draft, cell(d, NAME)));
    else if (c->kind == FM_DRAFT_NUMERIC || c->kind == FM_DRAFT_DATE)
        st = read_range(d, c);
    return st;
}

/* ---- files ---- */

static fm_status read_lines(reader *d, fm_csv_source *source)
{
    fm_csv_scan scan = { 0 };
    fm_csv_block block;
    bool more = true, got = true, begun = false;
    fm_status st = fm_csv_block_new(source, &block);

    while (!st && !(st = fm_csv_take(source, &block, &more)) && more) {
        const fm_input_other *other = begun ? NULL : fm_input_other_of(block.text, block.len);

        if (other) {
            st = fm_fail(FM_EPARSE, "%s: this is no CSV but %s; %s", d->name, other->is,
                         other->advice && other->kind != FM_INPUT_UTF16
                             ? other->advice
                             : "save the dictionary as CSV in UTF-8");
            break;
        }
        if (!begun)
            d->delimiter = fm_draft_delimiter(block.text, block.len);
        fm_csv_begin(&scan, d->name, d->delimiter, &block);
        for (got = true; !st && got;)
            if (!(st = fm_csv_next(&scan, &d->r, &got)) && got) {
                st = begun ? read_line(d) : read_fields(d);
                begun = true;
            }
    }
    fm_csv_scan_fini(&scan);
    fm_csv_block_free(&block);
    if (!st && d->draft->count == 0 && !d->problems.count)
        st = fm_fail(FM_EPARSE,
                     begun ? "%s: there is a header, and no line behind it; each column of the "
                             "records has one"
                           : "%s: the file is empty; a dictionary has a header and a line "
                             "for each column of the records",
                     d->name);
    return st;
}

fm_status fm_draft_dictionary(const char *path, fm_draft *out)
{
    reader d = { .name = path,
                 .draft = out,
                 .problems = { .max = PROBLEMS_MAX, .then = "mend these to see the rest" } };
    fm_csv_source source = { .fd = -1 };
    fm_status st = fm_csv_open(path, DICTIONARY_BYTES, &source);

    if (!st)
        st = read_lines(&d, &source);
    fm_csv_close(&source);
    /* A fault of the file itself comes on top of those of its lines. */
    if (st == FM_EPARSE && !d.problems.gave_up)
        st = fm_problem_last(&d.problems);
    if ((!st || st == FM_EPARSE) && d.problems.count)
        st = fm_problems_fail(&d.problems);
    fm_buf_fini(&d.problems.text);
    return st;
}
