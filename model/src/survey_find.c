/* Findings: counted, and the first of each kind kept. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/text.h"
#include "survey_internal.h"

#define KEEP 20u

struct fm_kept {
    fm_kept *next;
    size_t line;
    const char *column; /* of the schema, or behind the text */
    const char *value;  /* behind the text, or NULL */
    size_t len;         /* of the whole */
    char text[];
};

static const struct {
    const char *name, *title, *advice;
} kinds[FM_FINDING_KINDS] = {
    [FM_FINDING_FILE] = { "file", "the file cannot be read",
                          "nothing behind it was read; docs/schema.md, Files, says what a file of "
                          "records is" },
    [FM_FINDING_HEADER] = { "header", "the header does not fit",
                            "column names count letter for letter: rename it in the file or, if "
                            "all members agree, "
                            "in the schema; who a record belongs to is policy.unit in node.yaml" },
    [FM_FINDING_FIELDS] = { "fields", "lines that are no whole record",
                            "each has as many cells as the header: a delimiter inside a cell needs "
                            "quotes around the cell, a missing value needs its delimiter, and a "
                            "copy that was cut is to be made again" },
    [FM_FINDING_NUMBER] = { "number", "cells that are no number or date",
                            "write numbers as 1234.5 and dates as 2020-12-31, or say in "
                            "node.yaml (csv:) how all of the file writes them; list texts that "
                            "mean \"not measured\" as missing in the schema" },
    [FM_FINDING_RANGE] = { "range", "cells outside of the declared range",
                           "correct them, or agree on another range or on outside: clip in the "
                           "schema" },
    [FM_FINDING_CATEGORY] = { "category", "cells with an undeclared value",
                              "correct them, or agree on further values or on unknown: missing in "
                              "the schema" },
    [FM_FINDING_REQUIRED] = { "required", "missing cells where a value is required",
                              "fill them in or leave those records out" },
    [FM_FINDING_LABEL] = { "label", "labels that are not declared",
                           "a label is one of those that the schema lists, and never missing: "
                           "correct those records or leave them out" },
    [FM_FINDING_UNIT] = { "unit", "records that do not say whose they are",
                          "fill in whose they are (policy.unit in node.yaml) or leave them out" },
    [FM_FINDING_ROWS] = { "rows", "more records than are allowed",
                          "raise policy.max_rows in node.yaml, if the machine has the memory" },
    [FM_FINDING_SCALE] = { "scale", "another unit of measurement, it seems",
                           "convert the column to the unit that the schema's range is in" },
    [FM_FINDING_SWAPPED] = { "swapped", "columns whose names changed places, it seems",
                             "see what wrote the header: each name over its own column" },
    [FM_FINDING_NOBODY] = { "nobody", "records that seem to be of nobody",
                            "they count as one unit: who is among them and has a name elsewhere "
                            "counts twice. Fill in whose they are, or leave them out" },
    [FM_FINDING_CLIPPED] = { "clipped", "cells outside of the range, which the schema takes",
                             "nothing, if they may be so; many of them hide a wrong unit or a code "
                             "for \"missing\"" },
    [FM_FINDING_UNKNOWN] = { "unknown", "undeclared values, which count as missing",
                             "nothing, if they are rare; else correct them or agree on further "
                             "values" },
    [FM_FINDING_EMPTY] = { "empty", "columns without values",
                           "is the right column exported, and under this name?" },
    [FM_FINDING_CONSTANT] = { "constant", "columns with one value only",
                              "nothing can be learnt from it here; is the export filtered by it?" },
    [FM_FINDING_TWICE] = { "twice", "the same records several times",
                           "was the file appended to itself, or an export joined to itself? Take "
                           "the "
                           "copies out: who is there twice counts twice" },
    [FM_FINDING_CLASSES] = { "classes", "classes that no record has",
                             "nothing, if it is so; else see how the label was made" },
    [FM_FINDING_UNIT_ROWS] = { "unit-rows", "units with more records than a round uses",
                               "nothing: each round draws some of them; see max_unit_rows" },
    [FM_FINDING_ENCODING] = { "encoding", "text that is not UTF-8",
                              "save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 OLD >NEW), or say "
                              "in node.yaml what it "
                              "is: csv: {encoding: windows-1252}" },
    [FM_FINDING_DRIFT] = { "drift", "columns that are not as they were",
                           "find out what changed (export, unit, population) before you train; "
                           "--keep makes this the new measure" },
};

const char *fm_finding_name(fm_finding_kind kind)
{
    return kinds[kind].name;
}

const char *fm_finding_title(fm_finding_kind kind)
{
    return kinds[kind].title;
}

const char *fm_finding_advice(fm_finding_kind kind)
{
    return kinds[kind].advice;
}

bool fm_finding_is_error(fm_finding_kind kind)
{
    return kind < FM_FINDING_SCALE;
}

/* Whether the finding is among those that are shown: the first ones, and a column's first. */
static bool is_kept(const fm_survey *s, fm_finding_kind kind, size_t column)
{
    const size_t keep = s->options.keep ? s->options.keep : KEEP;

    if (s->kept_count[kind] < keep)
        return true;
    return column != SIZE_MAX && !s->cells[column].kept[kind];
}

static fm_status keep(fm_survey *s, const fm_finding *f)
{
    const size_t text = strlen(f->text) + 1, column = f->column ? strlen(f->column) + 1 : 0,
                 value = f->value ? strlen(f->value) + 1 : 0;
    fm_kept *k = NULL;
    fm_status st = fm_alloc(1, sizeof *k + text + column + value, (void **)&k);

    if (st)
        return st;
    k->line = f->line;
    k->len = text + column + value;
    memcpy(k->text, f->text, text);
    if (column)
        k->column = memcpy(k->text + text, f->column, column);
    if (value)
        k->value = memcpy(k->text + text + column, f->value, value);
    if (s->last[f->kind])
        s->last[f->kind]->next = k;
    else
        s->first[f->kind] = k;
    s->last[f->kind] = k;
    s->kept_count[f->kind]++;
    return FM_OK;
}

static fm_status tell(fm_survey *s, size_t column, const fm_finding *f)
{
    fm_survey_cells *n = column == SIZE_MAX ? NULL : &s->cells[column];
    fm_status st = FM_OK;

    s->found[f->kind]++;
    if (n)
        n->found[f->kind]++;
    if (s->options.each)
        return s->options.each(s->options.ctx, f);
    if (!is_kept(s, f->kind, column))
        return FM_OK;
    if (n)
        n->kept[f->kind]++;
    st = keep(s, f);
    return st;
}

fm_status fm_survey_found(fm_survey *s, fm_finding_kind kind, size_t line, size_t column,
                          const char *value)
{
    fm_finding f = { .kind = kind,
                     .file = s->name,
                     .line = line,
                     .column = column == SIZE_MAX ? NULL : s->schema->columns[column].name,
                     .value = value };
    char *text = NULL;
    fm_status st;

    /* Only counted: most findings of a file full of them. */
    if (!s->options.each && !is_kept(s, kind, column)) {
        s->found[kind]++;
        if (column != SIZE_MAX)
            s->cells[column].found[kind]++;
        return FM_OK;
    }
    if ((st = fm_strdup(fm_error_text(), &text)))
        return st;
    fm_text_clean(text);
    f.text = text;
    st = tell(s, column, &f);
    sodium_memzero(text, strlen(text));
    free(text);
    return st;
}

fm_status fm_survey_add(fm_survey *s, fm_finding_kind kind, size_t line, const char *column,
                        const char *value, const char *text)
{
    const fm_finding f = { kind, s->name ? s->name : "", line, column, value, text };

    return tell(s, SIZE_MAX, &f);
}

uint64_t fm_survey_count(const fm_survey *s, fm_finding_kind kind)
{
    return s->found[kind];
}

static uint64_t sum(const fm_survey *s, bool errors)
{
    uint64_t n = 0;

    for (int k = 0; k < FM_FINDING_KINDS; k++)
        n += fm_finding_is_error((fm_finding_kind)k) == errors ? s->found[k] : 0;
    return n;
}

uint64_t fm_survey_errors(const fm_survey *s)
{
    return sum(s, true);
}

uint64_t fm_survey_warnings(const fm_survey *s)
{
    return sum(s, false);
}

uint64_t fm_survey_count_of(const fm_survey *s, fm_finding_kind kind, size_t column)
{
    return s->cells[column].found[kind];
}

fm_status fm_survey_walk(const fm_survey *s, fm_finding_kind kind,
                         fm_status (*each)(void *ctx, const fm_finding *f), void *ctx)
{
    fm_status st = FM_OK;

    for (const fm_kept *k = s->first[kind]; !st && k; k = k->next) {
        const fm_finding f = {
            kind, s->name ? s->name : "", k->line, k->column, k->value, k->text
        };

        st = each(ctx, &f);
    }
    return st;
}

void fm_survey_free(fm_survey **survey)
{
    fm_survey *s = survey ? *survey : NULL;

    if (!s)
        return;
    for (int k = 0; k < FM_FINDING_KINDS; k++)
        while (s->first[k]) {
            fm_kept *next = s->first[k]->next;

            fm_wipe_free(s->first[k], 1, sizeof *next + s->first[k]->len);
            s->first[k] = next;
        }
    fm_survey_twice_free(&s->twice);
    fm_wipe_free(s->cells, s->schema->column_count, sizeof *s->cells);
    free(s->edges);
    fm_wipe_free(s->bins, s->bin_total, sizeof *s->bins);
    fm_wipe_free(s->features, s->schema->features, sizeof *s->features);
    fm_wipe_free(s->unit_rows, s->unit_cap, sizeof *s->unit_rows);
    fm_unit_index_fini(&s->index);
    free(s->name);
    sodium_memzero(s, sizeof *s);
    free(s);
    *survey = NULL;
}
