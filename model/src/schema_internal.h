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

typedef struct {
    char *name; /* owned */
    fm_column_kind kind;
    bool required;         /* a missing cell is an error */
    fm_cells missing;      /* besides the schema's own */
    double missing_weight; /* of the indicator */
    bool indicator;        /* has one: cells may be missing */
    fm_odd odd;
    double lo, hi, center, scale; /* numeric; date: days since 1970-01-01 */
    double *knots;                /* owned */
    size_t knot_count;
    fm_cells values;             /* categorical; label: negative ones */
    fm_cells positive;           /* label */
    double weight, value_center; /* categorical: weight * (1[v = value] - value_center) */
    size_t first, features;      /* its part of the record's features */
} fm_column;

struct fm_schema {
    char *name, *text;
    bool header;
    char delimiter;
    fm_cells missing;
    fm_column *columns;
    size_t column_count;
    size_t label; /* index of the label column, or SIZE_MAX */
    size_t features;
    char **feature_names;
};

/* schema_cell.c */
/** YYYY-MM-DD to days since 1970-01-01. */
bool fm_cell_date(const char *text, double *out);
FM_NODISCARD fm_status fm_cell_make(const char *text, fm_cell *out);
/** Index of the entry that `text` is, or SIZE_MAX. */
size_t fm_cells_find(const fm_cells *list, const char *text);
void fm_cells_fini(fm_cells *list);
/** A cell for an error text: cut at 40 bytes, control characters as '?'. */
#define FM_CELL_SHOWN 48
const char *fm_cell_show(const char *text, char out[FM_CELL_SHOWN]);

/* schema_parse.c */
FM_NODISCARD fm_status fm_schema_read(const fm_yaml_node *root, fm_schema *s);

/* schema_column.c */
FM_NODISCARD fm_status fm_column_read(const fm_yaml_node *map, const fm_schema *s,
                                      const fm_column *defaults, fm_column *out);
FM_NODISCARD fm_status fm_cells_read(const fm_yaml_node *map, const char *key, fm_cells *out);

#endif
