/*
 * Everything that is wrong with records, not only the first of it, and what is odd about them:
 * fm_table_load with options.survey reads all, keeps no record, and tells the survey. Memory is a
 * function of the schema and, with a column as the unit, of the number of units; never of rows.
 *
 * What a survey holds and says is for the owner of the records, on this machine: it must not get
 * into a log or leave the building. One thread.
 */
#ifndef FEDMOE_MODEL_SURVEY_H
#define FEDMOE_MODEL_SURVEY_H

#include <jansson.h>

#include "fedmoe/model/schema.h"

/** What stands in a cell. */
typedef enum {
    FM_SEEN_VALUE,
    FM_SEEN_MISSING,
    FM_SEEN_BELOW, /* a number or day before the range; after it */
    FM_SEEN_ABOVE,
    FM_SEEN_OTHER, /* no number, no date, no declared value */
} fm_seen;

typedef enum {
    /* errors: the records cannot be trained on */
    FM_FINDING_FILE,     /* nothing can be read from here on, or there are no records */
    FM_FINDING_HEADER,   /* a column is not there, or twice */
    FM_FINDING_FIELDS,   /* too many or too few cells */
    FM_FINDING_NUMBER,   /* neither a number, or a date, nor missing */
    FM_FINDING_RANGE,    /* outside of the declared range */
    FM_FINDING_CATEGORY, /* none of the declared values */
    FM_FINDING_REQUIRED, /* missing where a value is required */
    FM_FINDING_LABEL,    /* none of the declared labels, or no number within their range */
    FM_FINDING_UNIT,     /* does not say whose record it is */
    FM_FINDING_ROWS,     /* more records than are allowed */
    /* warnings */
    FM_FINDING_SCALE,     /* a column looks like another unit of measurement */
    FM_FINDING_SWAPPED,   /* two columns, each with numbers of the other's range */
    FM_FINDING_NOBODY,    /* records of a unit "unknown" */
    FM_FINDING_CLIPPED,   /* outside of the range, and the schema says clip or missing */
    FM_FINDING_UNKNOWN,   /* none of the declared values, and the schema says missing */
    FM_FINDING_EMPTY,     /* a column without a single value, or nearly so */
    FM_FINDING_CONSTANT,  /* a column with one value only */
    FM_FINDING_TWICE,     /* the same records several times, all of them */
    FM_FINDING_CLASSES,   /* a class of the label that no record has */
    FM_FINDING_UNIT_ROWS, /* units with more records than a round uses */
    FM_FINDING_ENCODING,  /* not UTF-8 */
    FM_FINDING_DRIFT,     /* not as it was when an earlier survey was kept */
    FM_FINDING_KINDS,
} fm_finding_kind;

typedef struct {
    fm_finding_kind kind;
    const char *file;
    size_t line;        /* 0: of the whole file */
    const char *column; /* NULL: of no column */
    const char *value;  /* NULL; else the cell, made fit to be shown */
    const char *text;   /* the sentence, with its place */
} fm_finding;           /* borrowed for the call */

/** "range": for scripts. */
const char *fm_finding_name(fm_finding_kind kind);
/** "cells outside of the declared range". */
const char *fm_finding_title(fm_finding_kind kind);
/** What to do about it. */
const char *fm_finding_advice(fm_finding_kind kind);
bool fm_finding_is_error(fm_finding_kind kind);

typedef struct {
    size_t keep;            /* findings of each kind that are kept; 0: 20. Of each column with any
                               there is one more, at most */
    uint64_t max_rows;      /* 0: any number */
    uint64_t max_unit_rows; /* records of a unit that a round uses; 0: not known */
    /* NULL, or called for every finding at once, and none is kept. Fails as it does. */
    fm_status (*each)(void *ctx, const fm_finding *f);
    /* NULL, or called for each cell that is there, of the first record of each unit only, in the
     * place of every judgement of cells. Fails as it does. */
    fm_status (*cell)(void *ctx, size_t column, fm_seen seen, double v);
    void *ctx;
} fm_survey_options;

typedef struct fm_survey fm_survey;

/** @param s  outlives the survey. */
FM_NODISCARD fm_status fm_survey_new(const fm_schema *s, const fm_survey_options *o,
                                     fm_survey **out);
void fm_survey_free(fm_survey **s); /* wipes */

/** Add a finding from outside of the records' cells. @param text with its place; copied. */
FM_NODISCARD fm_status fm_survey_add(fm_survey *s, fm_finding_kind kind, size_t line,
                                     const char *column, const char *value, const char *text);

uint64_t fm_survey_rows(const fm_survey *s); /* records that have as many cells as they must */
uint64_t fm_survey_units(const fm_survey *s, uint64_t *most); /* 0: no column says whose they are */
uint64_t fm_survey_count(const fm_survey *s, fm_finding_kind kind);
uint64_t fm_survey_errors(const fm_survey *s);
uint64_t fm_survey_warnings(const fm_survey *s);
/** How many of this kind the column has. @param column of the schema. */
uint64_t fm_survey_count_of(const fm_survey *s, fm_finding_kind kind, size_t column);
/** The kept findings of one kind. Stops when `each` fails. */
FM_NODISCARD fm_status fm_survey_walk(const fm_survey *s, fm_finding_kind kind,
                                      fm_status (*each)(void *ctx, const fm_finding *f), void *ctx);

/** A column's cells, in counts. */
typedef struct {
    const char *name; /* borrowed */
    bool number;      /* numeric, date, or a label that is a number */
    uint64_t values, missing, below, above, unknown;
    double least, most; /* of the values within the range; NaN without any */
    double lo, hi;      /* the range */
} fm_survey_column;
/** @return false: the schema ignores the column, or the file does not have it. */
bool fm_survey_column_at(const fm_survey *s, size_t column, fm_survey_column *out);

/**
 * What is kept for a later survey: counts of each column, in bins. It tells about the records: a
 * private file's contents.
 * @param out  json_decref.
 */
FM_NODISCARD fm_status fm_survey_summary(const fm_survey *s, json_t **out);
/**
 * Compare with a summary that was kept: FM_FINDING_DRIFT for each column whose population stability
 * index is above 0.1 (moderate) or 0.25 (large), and above what chance alone gives 95 times of 100.
 * @param name  of the file, for error texts. @param compared  out: columns that could be.
 * @return FM_OK; FM_EPARSE the summary is none; what options.each returns.
 * @source index and thresholds: Siddiqi 2006, Credit Risk Scorecards; its distribution under no
 *         change: Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(4).
 */
FM_NODISCARD fm_status fm_survey_drift(fm_survey *s, const char *name, const json_t *kept,
                                       size_t *compared);

#endif
