/*
 * schema.yaml: what each column of the records is, and the public constants that turn it into
 * numbers. Every constant is declared here, from published sources; none is read from the data
 * (docs/schema.md says why).
 *
 *   name: heart-disease
 *   csv: {header: false, delimiter: ",", missing: ["?", ""]}     # as the files are
 *   encoding: {weight: 1.414, missing_weight: 1.414, centered: true}  # defaults for all columns
 *   #          numeric: piecewise, bins: 8, spacing: linear, bin_weight: 1
 *   columns:                       # in file order when there is no header
 *     - name: age
 *       kind: numeric
 *       range: [18, 100]           # declared; what lies outside is an error, or see `outside`
 *       outside: clip              # error (default) | clip | missing
 *       center: 55                 # default: middle of the range
 *       scale: 10                  # default: a quarter of the range
 *       knots: [45, 65]            # optional hinges max(0, v - knot) / scale
 *       missing: ["0"]             # further cells that mean "not measured"; compared as numbers
 *       required: true             # a missing cell is an error (default false)
 *       source: "where center, scale and range are published"
 *     - {name: since, kind: date, range: [2000-01-01, 2030-12-31]}   # numeric, in days
 *     - {name: income, kind: numeric, range: [0, 1000000], bins: 12, spacing: log}
 *     - {name: cp, kind: categorical, values: ["1", "2", "3"]}  # as numbers if both are
 *     - {name: diag, kind: categorical, groups: {heart: "390-429, 785", injury: "800-959"}}
 *     - {name: num, kind: label, negative: ["0"], positive: ["1", "2", "3", "4"]}
 *     # or, of several classes: values: [a, b, c]; of a number: range: [0, 40]
 *     - {name: id, kind: ignore}
 *
 * Features of a numeric column that declares center, scale or knots: (clip(v) - center) / scale,
 * then its hinges. Of another one: for each bin of its range, what share of the bin lies below v
 * (piecewise-linear encoding; Gorishniy et al. 2022, arXiv:2203.05556). Then, when cells may be
 * missing, an indicator that is missing_weight or 0 (the others are 0 when missing). Of a
 * categorical column: for each value, then each group, weight * (1[v = value] - 1 / values), all 0
 * when missing, then the same indicator. The exact rules are in docs/schema.md.
 */
#ifndef FEDMOE_MODEL_SCHEMA_H
#define FEDMOE_MODEL_SCHEMA_H

#include <stdbool.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/base/yaml.h"

#define FM_SCHEMA_MAX_COLUMNS 4096u
#define FM_SCHEMA_MAX_VALUES 4096u
#define FM_SCHEMA_MAX_KNOTS 64u
#define FM_SCHEMA_MAX_BINS 256u
#define FM_SCHEMA_MAX_FEATURES (1u << 16)

typedef struct fm_schema fm_schema; /* immutable */

/** @param name for error texts. FM_EPARSE with "name:line:column: ...". */
FM_NODISCARD fm_status fm_schema_parse(const char *name, const void *text, size_t len,
                                       fm_schema **out);
FM_NODISCARD fm_status fm_schema_load(const char *path, fm_schema **out);
void fm_schema_free(fm_schema **s);

const char *fm_schema_name(const fm_schema *s);
/** The text it was parsed from, NUL-terminated, borrowed. */
const char *fm_schema_text(const fm_schema *s);
size_t fm_schema_columns(const fm_schema *s);
/** F, the number of features that a record is encoded to. */
size_t fm_schema_features(const fm_schema *s);
/** How its files are written, for who makes such bytes; the text borrowed. */
typedef struct {
    bool header;
    char delimiter;
    const char *missing; /* a cell that means "not measured" in every column */
} fm_schema_csv;
fm_schema_csv fm_schema_csv_of(const fm_schema *s);
/** "age", "cp=2", "chol missing": name of feature i, borrowed. */
const char *fm_schema_feature_name(const fm_schema *s, size_t i);
/** About the largest L2 norm of a record's features, as docs/schema.md counts it: encoding.norm, or
 *  what the columns' weights come to. For defaults of training; no bound that privacy rests on. */
double fm_schema_norm(const fm_schema *s);
bool fm_schema_has_label(const fm_schema *s);

/** What the label column asks for. */
typedef enum {
    FM_TARGET_BINARY,  /* label 0 or 1; one logit */
    FM_TARGET_CLASSES, /* label 0..K-1; K logits, softmax */
    FM_TARGET_NUMBER,  /* label (v - center) / scale; one output, squared error */
} fm_target;
/** BINARY without a label column. */
fm_target fm_schema_target(const fm_schema *s);
/** K of FM_TARGET_CLASSES, else 1. */
size_t fm_schema_outputs(const fm_schema *s);
/** Public weight of a class in the loss, mean 1 over the classes unless the schema says otherwise;
 *  1 for a number. @param class 0 or 1, or 0..K-1. */
double fm_schema_class_weight(const fm_schema *s, size_t class);
/** Name of the label column, borrowed; NULL without one. */
const char *fm_schema_label_name(const fm_schema *s);
/** The class as the records write it, borrowed: of BINARY the first negative (0) or positive (1)
 *  value. Not for NUMBER. @param class 0 or 1, or 0..K-1. */
const char *fm_schema_class_name(const fm_schema *s, size_t class);
/** The model's output in the label's own unit: center + scale * output, within the declared range
 *  (NaN stays NaN); itself unless NUMBER. */
double fm_schema_number(const fm_schema *s, double output);
/** The model's output within the declared range, in the model's unit; what is not finite, and any
 *  output unless NUMBER, as it is. */
float fm_schema_bound(const fm_schema *s, float output);
/** `scale` of NUMBER: what one unit of the model's output is in the label's; else 1. */
double fm_schema_number_scale(const fm_schema *s);

/**
 * Encode one record. cells[columns] are NUL-terminated texts in schema order.
 * @param features  out, float32[F].
 * @param label     out, as fm_target says; NULL when labels are not wanted (the column may then be missing).
 * @param column    out on failure: index of the column at fault.
 * @return FM_OK; FM_EPARSE, the text naming the column, the value and what was expected.
 */
FM_NODISCARD fm_status fm_schema_encode(const fm_schema *s, const char *const *cells,
                                        float *features, float *label, size_t *column);

#endif
