/* A survey: what the reader of tables tells it, and what it remembers. */
#ifndef FEDMOE_MODEL_SURVEY_INTERNAL_H
#define FEDMOE_MODEL_SURVEY_INTERNAL_H

#include "fedmoe/model/survey.h"
#include "table_internal.h"

#define FM_SURVEY_BINS 16u    /* of a number whose column declares none */
#define FM_SURVEY_FACTORS 23u /* at most: guesses at a unit of measurement */

#define FM_SURVEY_NOBODY 8u /* words for nobody that one file has, at most */

/** @param v  out: the number, the day, or the index of the value; not of MISSING and OTHER. */
fm_seen fm_survey_look(const fm_column *c, fm_slice cell, double *v);

typedef struct {
    bool present; /* in the file, and not ignored */
    uint64_t values, missing, below, above, other;
    double least, most;
    double lowest, highest;           /* of all numbers, also outside of the range */
    bool swapped;                     /* told with another column */
    double sum_outside;               /* of numbers below or above */
    uint64_t fits[FM_SURVEY_FACTORS]; /* numbers outside that would fit in another unit */
    uint64_t found[FM_FINDING_KINDS]; /* findings */
    uint32_t kept[FM_FINDING_KINDS];
    const double *edges; /* [bin_count + 1] of a number; in the survey's; NULL of a category */
    uint64_t *bins;      /* [bin_count] values: of a number's bin, of a category */
    size_t bin_count;
} fm_survey_cells;

typedef struct fm_kept fm_kept;

struct fm_survey {
    const fm_schema *schema;
    fm_survey_options options;
    char *name;             /* of the file; owned */
    fm_survey_cells *cells; /* [columns], owned */
    double *edges;          /* of all columns that are numbers, owned */
    uint64_t *bins;         /* of all columns, owned */
    size_t bin_total;
    float *features; /* room for a record that is not kept */
    uint64_t rows;
    uint64_t found[FM_FINDING_KINDS];
    uint64_t kept_count[FM_FINDING_KINDS];
    fm_kept *first[FM_FINDING_KINDS], *last[FM_FINDING_KINDS]; /* owned */
    fm_unit_index index;
    uint32_t *unit_rows; /* [unit_cap] of each unit, owned */
    size_t unit_cap;
    const char *unit; /* the column that says whose records they are, as long as they are read */
    bool units;       /* it is there */
    bool encoding_told;
    struct {
        uint32_t unit;
        size_t line; /* of its first record */
        char name[16];
    } nobody[FM_SURVEY_NOBODY]; /* units that are called "unknown" */
    size_t nobody_count;
    struct fm_survey_twice *twice; /* NULL at first, owned */
};

/* survey_record.c: what the reader of a table calls. */
/** Which field is which column is known, as far as it can be. */
FM_NODISCARD fm_status fm_survey_begin(fm_survey *s, const fm_binding *b);
/** @param cells room for one for each column. FM_OK whatever stands in the record. */
FM_NODISCARD fm_status fm_survey_record(fm_survey *s, const fm_binding *b, const fm_csv_record *r,
                                        fm_slice *cells);
/** All is read, or nothing more can be. @param header  its problems, a line each, or NULL.
 *  @param broken  the calling thread's error text says why nothing more can be read. */
FM_NODISCARD fm_status fm_survey_end(fm_survey *s, const char *name, const char *header,
                                     bool broken);

/* survey_find.c */
/** One finding; its text is the calling thread's error text. @param column SIZE_MAX: of none. */
FM_NODISCARD fm_status fm_survey_found(fm_survey *s, fm_finding_kind kind, size_t line,
                                       size_t column, const char *value);

/* survey_twice.c: the same records several times. */
FM_NODISCARD fm_status fm_survey_twice_take(fm_survey *s, const fm_csv_record *r);
void fm_survey_twice_free(struct fm_survey_twice **t); /* wipes */
FM_NODISCARD fm_status fm_survey_twice_judge(fm_survey *s);

/* survey_shift.c: a cell is missing, and a delimiter too many at the end. */
/** @return the first column whose cell stands in the place before its own; SIZE_MAX: it is not so. */
size_t fm_survey_shifted(const fm_survey *s, const fm_binding *b, const fm_csv_record *r,
                         const fm_slice *cells);

/* survey_judge.c: what can be said when all is read. */
FM_NODISCARD fm_status fm_survey_judge(fm_survey *s);
/** Counts for each unit of measurement in which `v` would be within the column's range. */
void fm_survey_try_units(const fm_column *c, fm_survey_cells *n, double v);

#endif
