/*
 * Questions about the records that are answered by one noisy sum: what each record adds to it, and
 * how the sum is read. Knows no tables and no models: cells and scores come in as numbers.
 *
 * A statistics query (each entry of `columns` is one item, a block of the vector):
 *
 *   columns:
 *     - {column: age, ask: count}
 *     - {column: chol, ask: mean, range: [100, 600]}
 *     - {column: chol, ask: histogram, range: [0, 600], bins: 60}
 *     - {column: chol, ask: quantiles, range: [0, 1000], at: [0.01, 0.5, 0.99]}  # bins: 256
 *     - {column: cp, ask: values, values: ["1", "2", "3", "4"], weight: 2}       # weight: 1
 *
 * An evaluation query:
 *
 *   scores: {bins: 64, thresholds: [0.5], groups: 8}      # the defaults
 *
 * Every record adds to each item's block a vector of L2 norm at most the item's weight, so the
 * norm of all it adds is at most fm_query_norm, the square root of the sum of squared weights
 * (docs/privacy.md, section 7). A unit of several records adds the mean of what they would add: it
 * weighs as much as a unit of one, and the bound holds for it too.
 */
#ifndef FEDMOE_DP_QUERY_H
#define FEDMOE_DP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "fedmoe/dp/encode.h"

#define FM_QUERY_MAX_ITEMS 256u
#define FM_QUERY_MAX_BINS 4096u
#define FM_QUERY_MAX_POINTS 64u /* quantiles of one item, thresholds */
#define FM_QUERY_MAX_WIDTH (1u << 20)

typedef enum { FM_QUERY_STATISTICS = 1, FM_QUERY_EVALUATION = 2 } fm_query_task;

typedef enum {
    FM_QUERY_COUNT,     /* records with and without a value */
    FM_QUERY_MEAN,      /* of the values, each moved to the nearer end of the range */
    FM_QUERY_HISTOGRAM, /* bins of equal width, and what lies below and above */
    FM_QUERY_QUANTILES,
    FM_QUERY_VALUES, /* how often each of the listed values stands there */
    FM_QUERY_SCORES, /* the only item of an evaluation */
} fm_query_kind;

typedef struct {
    fm_query_kind kind;
    const char *column; /* borrowed from the query, as all below; NULL for scores */
    double lo, hi;      /* range; lo < hi */
    size_t bins;        /* of quantiles and scores: a power of two */
    const char *const *values;
    size_t value_count;
    const double *points; /* quantiles, or thresholds as probabilities: in (0, 1) */
    size_t point_count;
    size_t groups;        /* scores: calibration groups, a power of two <= bins */
    double weight;        /* [1/64, 64] */
    size_t offset, width; /* its block of the vector */
} fm_query_item;

typedef struct fm_query fm_query; /* immutable */

/** @param name  for error texts. FM_EPARSE with "name:line:column: ..."; FM_ENOMEM. */
FM_NODISCARD fm_status fm_query_parse(fm_query_task task, const char *name, const void *text,
                                      size_t len, fm_query **out);
void fm_query_free(fm_query **q);

size_t fm_query_items(const fm_query *q);
const fm_query_item *fm_query_at(const fm_query *q, size_t i);
/** Coordinates of the vector. */
size_t fm_query_width(const fm_query *q);
/** L2 bound of what a record adds, in real numbers. */
double fm_query_norm(const fm_query *q);
/** The clip norm for it: a multiple of 1/1024, so far above the norm that no record is clipped. */
double fm_query_clip_norm(const fm_query *q);

/**
 * Add a record's answer to item i of a statistics query.
 * @param cell   the value; NaN: missing; for VALUES the index of the value, value_count: another.
 * @param share  1 over the number of records of the unit.
 * @param out    float32[width] of the unit, zero before its first record.
 */
void fm_query_add(const fm_query *q, size_t i, double cell, float share, float *out);
/** The same for an evaluation. A score that is not finite adds nothing. */
void fm_query_add_score(const fm_query *q, double logit, bool positive, float share, float *out);

/** What the answer is published with. Borrowed. */
typedef struct {
    const char *federation, *purpose, *plan; /* plan: its hash in hexadecimal */
    double epsilon, delta;                   /* as the plan states; >= 1000: nothing is private */
    double rounds;                           /* that were added up */
    double noise_std;                        /* of each coordinate of the sum */
} fm_query_report;

/**
 * The most noise that a sum over `rounds` rounds may hold, in the unit of the contributions, however
 * many take part and are lost (shares.h). Intervals made with it may be a little too wide, never too
 * narrow.
 */
double fm_query_noise_std(const fm_dp_lattice *l, uint64_t rounds);

/**
 * Read the sum: every figure as {"estimate", "standard_error", "low", "high"}, where low to high is
 * the 95 % interval of what the noise alone can have done (docs/queries.md has the whole shape).
 * A figure that is lost in the noise is null.
 * @param sum  float32[width].
 * @param out  owned by the caller (json_decref).
 */
FM_NODISCARD fm_status fm_query_read(const fm_query *q, const float *sum, const fm_query_report *r,
                                     json_t **out);

#endif
