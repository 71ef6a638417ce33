#ifndef FEDMOE_MODEL_SCHEMA_INTERNAL_H
#define FEDMOE_MODEL_SCHEMA_INTERNAL_H

#include "fedmoe/model/schema.h"

typedef enum {
    FM_COLUMN_NUMERIC,
    FM_COLUMN_DATE,
    FM_COLUMN_CATEGORICAL,
    FM_COLUMN_LABEL,
    FM_COLUMN_IGNORE,
} fm_column_kind;

typedef enum { FM_ODD_ERROR, FM_ODD_CLIP, FM_ODD_MISSING } fm_odd; /* outside: and unknown: */

/* A cell as the schema declares it: compared as a number with cells that are numbers. */
typedef struct {
    char *text; /* owned */
    bool is_number;
    double number;
} fm_cell;

typedef struct {
    fm_cell *at; /* owned */
    size_t count;
} fm_cells;

/* A cell under examination: NUL-terminated, its length known. */
typedef struct {
    const char *at;
    size_t len;
} fm_slice;

/*
 * What each declared cell means, found in one step (schema_lookup.c): by its text, and, when some
 * entries are numbers, by its value. The memory is a function of what the schema declares.
 */
#define FM_CODE_MISSING (-1)
#define FM_CODE_NONE (-2) /* not declared */
typedef struct {
    struct fm_lookup_text *texts;     /* [cap], owned; NULL: nothing is declared */
    struct fm_lookup_number *numbers; /* [cap], owned; NULL: no entry is a number */
    size_t cap;                       /* a power of two, at least twice the entries */
} fm_lookup;

/* A name for many codes (schema_group.c); an entry is a range of numbers after a prefix of letters,
 * a code with all its subdivisions, or a beginning. */
typedef enum { FM_CODES_RANGE, FM_CODES_ONE, FM_CODES_BEGIN } fm_codes_kind;
typedef struct {
    fm_codes_kind kind;
    char text[16]; /* letters of the range; the code; the beginning */
    size_t len;
    uint32_t first, last;
    size_t group;
} fm_codes;
typedef struct {
    fm_cells names;
    fm_codes *entries; /* owned; in the schema's order: the first that fits wins */
    size_t count;
} fm_groups;

/* A partition of the range, each bin a feature: weight * (share of the bin below v - center). */
typedef struct {
    double *edges;   /* [count + 1], owned; NULL: no bins */
    double *inverse; /* [count] 1 / width of each, in edges' memory */
    size_t count;
    double weight, center;
} fm_bins;

typedef struct {
    char *name; /* owned */
    char *from; /* owned: name of the field whose cells it reads; NULL: its own */
    fm_column_kind kind;
    bool required;         /* a missing cell is an error */
    fm_cells missing;      /* besides the schema's own */
    double missing_weight; /* of the indicator */
    bool missing_default;  /* nothing in the schema says how large it is */
    bool indicator;        /* has one: cells may be missing */
    fm_odd odd;
    double lo, hi, center, scale; /* numeric; date: days since 1970-01-01 */
    double *knots;                /* owned */
    double gain;                  /* of its knots: 1, or what all features are multiplied by */
    size_t knot_count;
    bool piecewise;
    double linear;     /* weight of (v - center) / scale; 0: no such feature */
    fm_bins bins[2];   /* piecewise: equally wide ones, or those listed; then by decades */
    bool ordered;      /* categorical: steps before the values */
    float step;        /* ordered: what a step gives when it is reached; -step when not */
    fm_cells values;   /* categorical; label: negative ones, or all classes */
    fm_cells positive; /* label */
    fm_groups groups;  /* categorical: further values */
    fm_lookup lookup;  /* of missing (and, when categorical or a label, declared) cells */
    double weight, value_center; /* categorical: weight * (1[v = value] - value_center) */
    float on, off;               /* the two values that gives */
    fm_target target;            /* label */
    double *class_weights;       /* label, owned; NULL: all 1 */
    size_t first, features;      /* its part of the record's features */
} fm_column;

typedef enum { FM_SPACING_AUTO, FM_SPACING_LINEAR, FM_SPACING_LOG, FM_SPACING_BOTH } fm_spacing;

/* What columns use that do not say: `encoding` of the file. */
typedef struct {
    double weight, missing_weight, bin_weight, linear;
    double norm; /* of a record, as columns declare it; 0: features stay as they are; -1: 1, or 0
                    when a column is encoded plainly */
    bool centered, missing_declared;
    enum { FM_NUMERIC_AUTO, FM_NUMERIC_PLAIN, FM_NUMERIC_PIECEWISE } numeric;
    uint64_t bins;
    fm_spacing spacing;
} fm_encoding;

struct fm_schema {
    char *name, *text;
    bool header;
    char delimiter;
    fm_cells missing;
    fm_column *columns;
    size_t column_count;
    size_t label; /* index of the label column, or SIZE_MAX */
    size_t features;
    double norm; /* see fm_schema_norm */
    char **feature_names;
};

/* schema_cell.c */
/** YYYY-MM-DD to days since 1970-01-01. */
bool fm_cell_date(const char *text, double *out);
#define FM_CELL_DATE 40
const char *fm_cell_date_text(double day, char out[FM_CELL_DATE]);
FM_NODISCARD fm_status fm_cell_make(const char *text, fm_cell *out);
/** Index of the entry that `text` is, or SIZE_MAX. */
size_t fm_cells_find(const fm_cells *list, const char *text);
void fm_cells_fini(fm_cells *list);
/** A cell for an error text: cut at 40 bytes; control characters and what is no UTF-8 as '?'. */
#define FM_CELL_SHOWN 48
const char *fm_cell_show(const char *text, char out[FM_CELL_SHOWN]);

/* schema_parse.c */
FM_NODISCARD fm_status fm_schema_read(const fm_yaml_node *root, fm_schema *s);

/* schema_column.c */
FM_NODISCARD fm_status fm_column_read(const fm_yaml_node *map, const fm_schema *s,
                                      const fm_encoding *e, fm_column *out);
FM_NODISCARD fm_status fm_cells_read(const fm_yaml_node *map, const char *key, fm_cells *out);

/* schema_numeric.c: range, outside, and how the number becomes features */
FM_NODISCARD fm_status fm_column_numeric(const fm_yaml_node *map, const fm_encoding *e,
                                         fm_column *c);
FM_NODISCARD fm_status fm_column_range(const fm_yaml_node *map, fm_column *c);
/** center and scale, with their defaults. */
FM_NODISCARD fm_status fm_column_scale(const fm_yaml_node *map, fm_column *c);
FM_NODISCARD fm_status fm_column_odd(const fm_yaml_node *map, const char *key, unsigned allowed,
                                     fm_odd *out);
#define FM_ODD_BIT(o) (1u << (o))
FM_NODISCARD fm_status fm_spacing_read(const fm_yaml_node *map, fm_spacing otherwise,
                                       fm_spacing *out);
/** By how much the column's features can add to a record's squared norm, as docs/schema.md counts
 *  it; and all of them times `by`. */
double fm_column_square(const fm_column *c);
void fm_column_multiply(fm_column *c, double by);

/* schema_label.c */
FM_NODISCARD fm_status fm_column_label(const fm_yaml_node *map, fm_column *c);
FM_NODISCARD fm_status fm_label_encode(const fm_column *c, fm_slice cell, float *out);

/* schema_group.c */
FM_NODISCARD fm_status fm_groups_read(const fm_yaml_node *map, fm_groups *out);
/** Which group the code belongs to, or SIZE_MAX. */
size_t fm_groups_find(const fm_groups *g, fm_slice code);
void fm_groups_fini(fm_groups *g);

/* schema_lookup.c */
/** All of one column's declared cells; no two of them are the same cell. */
FM_NODISCARD fm_status fm_lookup_build(const fm_schema *s, fm_column *c);
/** Index of the declared value, FM_CODE_MISSING or FM_CODE_NONE. Positive labels are 1, others 0. */
int32_t fm_lookup_find(const fm_lookup *l, fm_slice cell);
/** The two halves of it. */
int32_t fm_lookup_by_text(const fm_lookup *l, fm_slice cell);
int32_t fm_lookup_by_number(const fm_lookup *l, double v);
void fm_lookup_fini(fm_lookup *l);

/* schema_encode.c */
/**
 * As fm_schema_encode; cells of columns that are not wanted are not looked at.
 * @param features NULL: only what the cells say.
 * @param values NULL, or [columns]: the number, the day, or the index of the category, then of the
 *               group, that each cell is; NaN when missing. Of label and ignored columns unchanged.
 */
FM_NODISCARD fm_status fm_schema_encode_row(const fm_schema *s, const fm_slice *cells,
                                            float *features, float *label, double *values,
                                            size_t *column);
/** One column's value into its part of a record's features: all that encoding does after reading. */
void fm_column_put(const fm_column *c, double value, float *features);
/** One column's cell. */
FM_NODISCARD fm_status fm_schema_encode_cell(const fm_schema *s, size_t column, fm_slice cell,
                                             float *features, float *label);

/* schema_hint.c */
/** What a refused cell may have been meant to be: "" or "; did you mean ...?". */
#define FM_HINT_MAX 200
const char *fm_cell_hint(const fm_column *c, fm_slice cell, char out[FM_HINT_MAX]);
/** "unknown", "n/a", "-": what people write where there is nothing. */
bool fm_cell_means_missing(const char *s);
/** Without what node.yaml can say of records: for a schema and a dictionary. */
const char *fm_cell_hint_alone(const fm_column *c, const char *text, char out[FM_HINT_MAX]);
double fm_this_year(void); /* of the mean Gregorian length: off by a day */
/** Of a number outside of the column's range: an age in months, a code for "missing"; "" or "; ...". */
const char *fm_range_hint(const fm_column *c, double v, char out[FM_HINT_MAX]);

#endif
