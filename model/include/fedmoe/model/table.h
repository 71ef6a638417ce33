/*
 * Records of a CSV file, encoded by a schema, and which of them belong to one privacy unit. For
 * any thread; a table belongs to its owner.
 */
#ifndef FEDMOE_MODEL_TABLE_H
#define FEDMOE_MODEL_TABLE_H

#include "fedmoe/model/dialect.h"
#include "fedmoe/model/schema.h"

struct fm_survey;

#define FM_TABLE_MAX_BYTES ((size_t)8 << 30)
#define FM_TABLE_MAX_RECORD ((size_t)1 << 20) /* bytes of one record, quotes and all */
#define FM_TABLE_MAX_ROWS ((size_t)UINT32_MAX)

/** A column whose cells are wanted as they stand. */
typedef struct {
    const char *name;
    const char *const *values; /* [value_count]: the cell is read as the index of one of them,
                                  value_count for any other; NULL: as a number (a date: days since
                                  1970-01-01) */
    size_t value_count;
    bool any; /* only whether the cell is missing is wanted: a category, a label will do too */
} fm_raw_column;

typedef struct fm_table_store fm_table_store;

typedef struct {
    size_t rows;
    size_t features;
    float *x;    /* float32[rows, features], owned */
    float *y;    /* float32[rows], as fm_target says, owned; NULL when loaded without labels */
    double *raw; /* [rows, raw_count] cells, NaN where missing, owned; NULL unless asked for */
    size_t raw_count;
    size_t *lines; /* line in the file where each record starts, owned */
    /* More than options.memory: the records are in a scratch file, x, y, raw and lines are NULL, and
     * fm_table_reader is how to get them. Else NULL. Owned. */
    fm_table_store *store;
    size_t positives; /* labels above 0.5, when loaded with labels */
    /* Loaded with options.unit: rows of one key are one unit. Unit u has the rows
     * unit_rows[unit_start[u]] to unit_rows[unit_start[u + 1] - 1], in the file's order; units are
     * in the order of their first rows. Otherwise 0, NULL, NULL: each row is a unit. */
    size_t units;
    size_t *unit_start;  /* [units + 1], owned */
    uint32_t *unit_rows; /* [rows], owned */
} fm_table;

typedef struct {
    bool labels;         /* the label column is needed */
    size_t max_problems; /* how many problems to collect before giving up; 0 means 20 */
    fm_buf *problems;    /* NULL, or where every problem is appended, a line each: an error text
                            holds only its first 1023 bytes */
    uint64_t
        max_rows; /* more are FM_EPARSE, before they are in memory; 0 means no limit of its own */
    const fm_raw_column *raw; /* read these columns as they stand, whatever range or values the
                                 schema declares, and nothing else: features is 0, x and y are
                                 NULL. With labels false. */
    size_t raw_count;
    uint64_t
        memory; /* bytes that records may take in memory while they are loaded and after; more go to a
                         scratch file (base/scratch.h), whatever their number, and the schema must
                         outlive the table. 0: no limit. What says which rows are one unit stays in memory: 12 bytes
                         a row, and 24 to 96 a unit while loading */
    const char *scratch; /* the scratch file's folder; NULL as there */
    bool count_only;     /* read and check all, keep nothing: x, y, raw and lines are NULL */
    bool hide_values; /* problems name file, line and column, never what stands there: for logs */
    const char *unit; /* NULL, or the column whose value says whose record a row is: any column of
                         the header, or without a header one of the schema's, of any kind. Equal
                         texts are one unit (spaces and tabs around them aside; 7 and 007 are two);
                         an empty cell, or one that the schema calls missing, is a problem. Keys are
                         never in a problem's text, and wiped before the load returns */
    const fm_dialect *dialect; /* NULL: it is written as the schema says. Not of fm_table_read */
    struct fm_survey *survey; /* NULL, or who is told of every record and every problem: then no
                                 record is kept, the table stays empty, and what is wrong with the
                                 records is no failure (fedmoe/model/survey.h) */
} fm_table_options;

/**
 * Read `path` (RFC 4180; docs/schema.md has the rules). With `header: true` columns are found by name and others
 * are ignored. Every problem is reported as "file:line, column NAME: ..." - up to max_problems, one
 * a line, in the error text of the one failure; nothing is skipped silently.
 * @return FM_OK; FM_EPARSE; FM_ENOTFOUND; FM_EIO; FM_ENOMEM; FM_EINVAL a raw column that the schema
 *         does not have, or ignores. On error *out is unchanged.
 */
FM_NODISCARD fm_status fm_table_load(const char *path, const fm_schema *s,
                                     const fm_table_options *o, fm_table *out);
/** As fm_table_load, from memory. */
FM_NODISCARD fm_status fm_table_parse(const char *name, const void *text, size_t len,
                                      const fm_schema *s, const fm_table_options *o, fm_table *out);
/** Where the bytes of a CSV come from that are in no file. */
typedef struct {
    const char *name; /* for error texts */
    /* Some more bytes, *n 1..room, or 0 at the end. */
    fm_status (*read)(void *ctx, char *to, size_t room, size_t *n);
    void *ctx;
} fm_table_input;
/** As fm_table_load, from there; with what `read` returns, too. */
FM_NODISCARD fm_status fm_table_read(const fm_table_input *in, const fm_schema *s,
                                     const fm_table_options *o, fm_table *out);
/** Append b's rows to a, which may be empty ({0}). FM_EINVAL unless both have the same features
 *  and both or neither have labels, and when one was loaded with a unit: the keys are gone by then,
 *  and a unit with rows in both would become two; nor with raw columns. On error a is unchanged. */
FM_NODISCARD fm_status fm_table_append(fm_table *a, const fm_table *b);
/** Whether each row has a label, wherever the rows are. */
bool fm_table_labelled(const fm_table *t);

/** Rows of a table, wherever they are: in memory or in its scratch file. One thread's own. */
typedef struct fm_table_reader fm_table_reader;
/** All memory is taken here. @param t not empty, outlives the reader. FM_ENOMEM. */
FM_NODISCARD fm_status fm_table_reader_new(const fm_table *t, fm_table_reader **out);
void fm_table_reader_free(fm_table_reader **r); /* wipes; NULL-safe */
/**
 * Some rows' features and labels, bit by bit what the table would have in memory. Reads fewer bytes
 * at a time when `rows` increase.
 * @param rows [n], each below t->rows.
 * @param x    out, float32[n, features]. @param y out, float32[n], or NULL.
 * @return FM_OK; FM_EIO; FM_EINVAL a row that there is not, raw columns or no labels.
 */
FM_NODISCARD fm_status fm_table_reader_take(fm_table_reader *r, const uint32_t *rows, size_t n,
                                            float *x, float *y);
/** The same of a table of raw columns: out double[n, raw_count]. */
FM_NODISCARD fm_status fm_table_reader_take_raw(fm_table_reader *r, const uint32_t *rows, size_t n,
                                                double *out);
/** Wipes what is left of rows in it. */
void fm_table_reader_forget(fm_table_reader *r);

/** Wipes and frees; NULL-safe, and safe on a zeroed table. */
void fm_table_fini(fm_table *t);

#endif
