/*
 * A schema.yaml that is drafted from what is public or paid for: a data dictionary, the answer of a
 * query, a charged estimate; of the records nothing but the names in their header. Each figure says
 * where it comes from. One thread.
 */
#ifndef FEDMOE_MODEL_DRAFT_H
#define FEDMOE_MODEL_DRAFT_H

#include <jansson.h>

#include "fedmoe/base/memory.h"

#define FM_DRAFT_MAX_COLUMNS 4096u

typedef enum {
    FM_DRAFT_UNKNOWN, /* nobody has said */
    FM_DRAFT_NUMERIC,
    FM_DRAFT_DATE,
    FM_DRAFT_CATEGORICAL,
    FM_DRAFT_IGNORE, /* free text, identifiers */
} fm_draft_kind;

typedef struct {
    char *name;
    fm_draft_kind kind;
    char *lo, *hi;  /* as they are written into the schema; NULL: not known */
    bool estimated; /* the range is: what lies outside is clipped */
    char **values;  /* [value_count] */
    size_t value_count;
    char *about;   /* unit, meaning; NULL */
    char *source;  /* where kind, range and values come from; NULL */
    char *doubt;   /* what is lacking, for a comment; NULL */
    bool outcome;  /* the dictionary says that it is the label */
    bool in_file;  /* the records' header has it */
} fm_draft_column; /* all owned */

typedef struct {
    fm_draft_column *columns; /* [count], owned */
    size_t count;
    bool header_known, header;  /* what the records begin with */
    char delimiter;             /* 0: not known */
    const char *const *missing; /* [missing_count] cells that mean "not measured", besides empty
                                   ones; borrowed */
    size_t missing_count;
} fm_draft;

void fm_draft_fini(fm_draft *d);
fm_draft_column *fm_draft_find(const fm_draft *d, const char *name);
/** The name of another column that is nearly this one, in another case, say; NULL. Borrowed. */
const char *fm_draft_near(const fm_draft *d, const char *name);
/** Its name copied. FM_EPARSE: too many. */
FM_NODISCARD fm_status fm_draft_add(fm_draft *d, const char *name, fm_draft_column **out);
/** Replaces one of a column's texts. */
FM_NODISCARD fm_status fm_draft_set(char **text, const char *fmt, ...) FM_PRINTF(2, 3);

/**
 * A data dictionary: CSV with a header of name, type, min, max, unit, categories, label, description
 * (any order; name and type are needed), or as REDCap exports it. Its delimiter is found.
 *
 * type: number, integer, float, date, category, yesno, text, label and more (docs/schema.md).
 * categories: "1=male; 2=female", or "m | f", or REDCap's "1, Male | 2, Female".
 * @param d  empty.
 * @return FM_OK; FM_EPARSE with every problem as "file:line, column NAME: ..."; FM_ENOTFOUND; FM_EIO.
 */
FM_NODISCARD fm_status fm_draft_dictionary(const char *path, fm_draft *d);

/**
 * The names in the records' header, and how they are separated; no record is looked at. Columns
 * that the draft has no word of are added as unknown. When the first line has none of a
 * dictionary's names and as many fields, the file has no header.
 * @return FM_OK; FM_EPARSE; FM_ENOTFOUND; FM_EIO.
 */
FM_NODISCARD fm_status fm_draft_header(const char *path, fm_draft *d);

/** The answer of a finished statistics query (result.json): ranges and values that are not known. */
FM_NODISCARD fm_status fm_draft_answer(const char *name, const json_t *answer, fm_draft *d);

/** Two significant digits, away from the range's middle: never narrower. out: room for 32 bytes. */
void fm_draft_round(double v, bool up, char out[32]);

/**
 * The schema's text, with comments.
 * @param label  the column to be predicted; NULL: the dictionary's, or none.
 * @param origin lines of comment, or NULL.
 * @return FM_OK; FM_ENOTFOUND there is no such column; FM_EINVAL the label cannot be one.
 */
FM_NODISCARD fm_status fm_draft_write(const fm_draft *d, const char *name, const char *label,
                                      const char *origin, fm_buf *out);

#endif
