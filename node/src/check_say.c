#include "check_say.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"

#define INDENT 24
#define LINES_SHOWN 20u
#define COLUMNS_NAMED 8u

static const char *const level_names[] = { "ok", "note", "warning", "problem" };
static const char *const level_words[] = { "ok", "note", "WARNING", "PROBLEM" };

/* ---- JSON ---- */

/* A path, or a name in a foreign file, need not be UTF-8: JSON must be. */
static json_t *string_of(const char *text)
{
    json_t *s = json_string(text);
    fm_buf b = { 0 };

    if (s)
        return s;
    for (; *text; text++)
        if (fm_buf_printf(&b, "%c", (unsigned char)*text < 0x80 ? *text : '?'))
            break;
    s = json_string(b.data ? (const char *)b.data : "");
    fm_buf_fini(&b);
    return s;
}

static void print_object(json_t *o)
{
    if (o && json_dumpf(o, stdout, JSON_COMPACT) == 0)
        putchar('\n');
    json_decref(o);
}

static json_t *object_of(const char *what, fm_say_level level)
{
    return json_pack("{s:s, s:s}", "check", what, "level", level_names[level]);
}

/* ---- text ---- */

/* Several lines are set in under the first. */
static void put_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            printf("\n%*s", INDENT, "");
        else
            putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    }
    putchar('\n');
}

static void begin_line(const char *what, fm_say_level level)
{
    printf("%-8s %-14s ", level_words[level], what);
}

void fm_say_line(fm_say *s, const char *what, fm_say_level level, const char *text)
{
    json_t *o;

    s->problems += level == FM_SAY_PROBLEM;
    s->warnings += level == FM_SAY_WARNING;
    if (s->json) {
        if ((o = object_of(what, level)))
            (void)json_object_set_new(o, "message", string_of(text));
        print_object(o);
        return;
    }
    begin_line(what, level);
    put_text(text);
}

void fm_say_status(fm_say *s, const char *what, fm_status st, const char *detail)
{
    fm_say_line(s, what, st == FM_OK ? FM_SAY_OK : FM_SAY_PROBLEM,
                st == FM_OK ? detail : fm_error_text());
}

void fm_say_lines(fm_say *s, const char *what, const char *lines)
{
    size_t n = 0;
    fm_buf line = { 0 };

    for (; *lines; n++) {
        const size_t len = strcspn(lines, "\n");

        if (s->json) {
            fm_buf_clear(&line);
            if (fm_buf_append(&line, lines, len) == FM_OK)
                fm_say_line(s, what, FM_SAY_PROBLEM, line.data ? (const char *)line.data : "");
        } else {
            s->problems++;
            if (n == 0)
                begin_line(what, FM_SAY_PROBLEM);
            if (n < LINES_SHOWN || s->all)
                printf("%*s%.*s\n", n ? INDENT : 0, "", (int)len, lines);
        }
        lines += len + (lines[len] == '\n');
    }
    fm_buf_fini(&line);
    if (!s->json && n > LINES_SHOWN && !s->all)
        printf("%*s... and %zu more; --all lists all\n", INDENT, "", n - LINES_SHOWN);
}

/* ---- findings ---- */

static fm_say_level level_of(fm_finding_kind kind)
{
    return fm_finding_is_error(kind) ? FM_SAY_PROBLEM : FM_SAY_WARNING;
}

static void print_finding(const fm_finding *f)
{
    json_t *o = object_of("records", level_of(f->kind));

    if (o) {
        (void)json_object_set_new(o, "kind", json_string(fm_finding_name(f->kind)));
        (void)json_object_set_new(o, "file", string_of(f->file));
        if (f->line)
            (void)json_object_set_new(o, "line", json_integer((json_int_t)f->line));
        if (f->column)
            (void)json_object_set_new(o, "column", string_of(f->column));
        if (f->value)
            (void)json_object_set_new(o, "value", string_of(f->value));
        (void)json_object_set_new(o, "message", string_of(f->text));
        (void)json_object_set_new(o, "remedy", json_string(fm_finding_advice(f->kind)));
    }
    print_object(o);
}

fm_status fm_say_finding(void *say, const fm_finding *f)
{
    const fm_say *s = say;

    if (s->json) {
        print_finding(f);
    } else {
        begin_line("records", level_of(f->kind));
        put_text(f->text);
    }
    return FM_OK;
}

typedef struct {
    const fm_say *say;
    uint64_t shown;
} walk;

static fm_status show_kept(void *ctx, const fm_finding *f)
{
    walk *w = ctx;

    w->shown++;
    if (w->say->json) {
        print_finding(f);
        return FM_OK;
    }
    printf("%*s", INDENT, "");
    put_text(f->text);
    return FM_OK;
}

/* "age 12, chol 5, ...": which columns they are in. */
static void name_columns(const fm_schema *schema, const fm_survey *survey, fm_finding_kind kind)
{
    size_t named = 0;

    for (size_t i = 0; i < fm_schema_columns(schema); i++) {
        const uint64_t n = fm_survey_count_of(survey, kind, i);
        fm_survey_column c;

        if (!n)
            continue;
        if (named == COLUMNS_NAMED) {
            printf(", ...");
            break;
        }
        (void)fm_survey_column_at(survey, i, &c);
        printf("%s%s %llu", named++ ? ", " : " (", c.name, (unsigned long long)n);
    }
    printf("%s", named ? ")" : "");
}

static void print_count(const fm_schema *schema, const fm_survey *survey, fm_finding_kind kind,
                        uint64_t shown)
{
    json_t *columns = json_object();
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:O, s:s}", "check", "records", "level",
                          level_names[level_of(kind)], "kind", fm_finding_name(kind), "count",
                          (json_int_t)fm_survey_count(survey, kind), "shown", (json_int_t)shown,
                          "columns", columns, "remedy", fm_finding_advice(kind));

    for (size_t i = 0; i < fm_schema_columns(schema); i++) {
        const uint64_t n = fm_survey_count_of(survey, kind, i);
        fm_survey_column c;

        (void)fm_survey_column_at(survey, i, &c);
        if (n)
            (void)json_object_set_new(columns, c.name, json_integer((json_int_t)n));
    }
    json_decref(columns);
    print_object(o);
}

static fm_status say_kind(fm_say *s, const fm_schema *schema, const fm_survey *survey,
                          fm_finding_kind kind)
{
    const uint64_t n = fm_survey_count(survey, kind);
    walk w = { s, 0 };
    fm_status st;

    if (!n)
        return FM_OK;
    if (!s->json) {
        begin_line("records", level_of(kind));
        printf("%llu: %s", (unsigned long long)n, fm_finding_title(kind));
        name_columns(schema, survey, kind);
        putchar('\n');
    }
    if ((st = fm_survey_walk(survey, kind, show_kept, &w)))
        return st;
    if (s->json) {
        print_count(schema, survey, kind, s->all ? n : w.shown);
        return FM_OK;
    }
    if (!s->all && w.shown < n)
        printf("%*s... and %llu more; --all lists all\n", INDENT, "",
               (unsigned long long)(n - w.shown));
    printf("%*s-> %s\n", INDENT, "", fm_finding_advice(kind));
    return FM_OK;
}

fm_status fm_say_survey(fm_say *s, const fm_schema *schema, const fm_survey *survey)
{
    fm_status st = FM_OK;

    for (int k = 0; !st && k < FM_FINDING_KINDS; k++)
        st = say_kind(s, schema, survey, (fm_finding_kind)k);
    s->problems += fm_survey_errors(survey);
    s->warnings += fm_survey_warnings(survey);
    return st;
}

/* ---- columns ---- */

static double percent(uint64_t n, uint64_t of)
{
    return of ? 100.0 * (double)n / (double)of : 0.0;
}

/* Which part of its declared range the column uses, in percent of it: "17 to 63". */
static void range_used(const fm_survey_column *c, char out[32])
{
    const double width = c->hi - c->lo;

    if (!c->number || isnan(c->least))
        (void)snprintf(out, 32, "-");
    else
        (void)snprintf(out, 32, "%.0f to %.0f", 100.0 * (c->least - c->lo) / width,
                       100.0 * (c->most - c->lo) / width);
}

static void column_json(const fm_survey_column *c)
{
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "check", "column", "level", "ok",
                          "values", (json_int_t)c->values, "missing", (json_int_t)c->missing,
                          "below", (json_int_t)c->below, "above", (json_int_t)c->above, "unknown",
                          (json_int_t)c->unknown);

    if (o)
        (void)json_object_set_new(o, "column", string_of(c->name));
    if (o && c->number) {
        (void)json_object_set_new(o, "range", json_pack("[f, f]", c->lo, c->hi));
        if (!isnan(c->least))
            (void)json_object_set_new(o, "used", json_pack("[f, f]", c->least, c->most));
    }
    print_object(o);
}

void fm_say_columns(const fm_say *s, const fm_schema *schema, const fm_survey *survey)
{
    if (!s->json)
        printf("\n%-24s %10s %9s %9s %9s %9s  %s\n", "column", "values", "missing%", "below%",
               "above%", "unknown%", "of its range");
    for (size_t i = 0; i < fm_schema_columns(schema); i++) {
        fm_survey_column c;
        char used[32];
        uint64_t all;

        if (!fm_survey_column_at(survey, i, &c))
            continue;
        if (s->json) {
            column_json(&c);
            continue;
        }
        all = c.values + c.missing + c.below + c.above + c.unknown;
        range_used(&c, used);
        printf("%-24s %10llu %9.2f %9.2f %9.2f %9.2f  %s\n", c.name, (unsigned long long)c.values,
               percent(c.missing, all), percent(c.below, all), percent(c.above, all),
               percent(c.unknown, all), used);
    }
}

void fm_say_end(const fm_say *s)
{
    if (s->json)
        print_object(json_pack("{s:s, s:s, s:I, s:I}", "check", "summary", "level",
                               s->problems   ? "problem"
                               : s->warnings ? "warning"
                                             : "ok",
                               "problems", (json_int_t)s->problems, "warnings",
                               (json_int_t)s->warnings));
}
