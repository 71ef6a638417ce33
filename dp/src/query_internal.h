/* What query*.c share: the query's insides, the tree, figures of an answer. */
#ifndef FEDMOE_DP_QUERY_INTERNAL_H
#define FEDMOE_DP_QUERY_INTERNAL_H

#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/query.h"

/* Amplitudes are multiples of 2^-8: on every lattice of 256 steps or more they are whole numbers,
 * and what a record adds is encoded without rounding. */
#define FM_QUERY_MEAN_SUM 0.875
#define FM_QUERY_MEAN_COUNT 0.46875

#define FM_QUERY_MAX_LEVELS 12u

/*
 * A histogram of 2^levels bins as its total and, for each node of the binary tree over the bins,
 * left minus right (Haar). Coordinate 0 is the total, coordinate i >= 1 node i in heap order. A
 * record touches the total and one node a level; the squares of the amplitudes add up to at most 1.
 */
typedef struct {
    size_t bins;
    unsigned levels;
    double total, level[FM_QUERY_MAX_LEVELS]; /* amplitudes */
} fm_query_tree;

/** Relative amplitudes; `decay` is that of a level over the one above. bins: a power of two. */
typedef struct {
    double total, first, decay;
} fm_query_shape;
/** `count` trees to which a record adds at once: together they have norm 1 at most. */
void fm_query_trees_make(size_t bins, const fm_query_shape *shapes, size_t count,
                         fm_query_tree *out);
/** Add `weight` times a record of `bin` to block[bins]. */
void fm_query_tree_add(const fm_query_tree *t, size_t bin, double weight, float *block);
/** Unbiased counts of all nodes: tree[2 bins], node i at i, the bins from `bins` on. */
void fm_query_tree_nodes(const fm_query_tree *t, const float *block, double weight, double *tree);
/** Variance of the sum of w[j] * count of bin j, when each coordinate's noise has variance 1 (and
 *  weight is 1). scratch: double[2 bins]. */
double fm_query_tree_variance(const fm_query_tree *t, const double *w, double *scratch);
/** Variance of the count of node i, likewise. */
double fm_query_tree_node_variance(const fm_query_tree *t, size_t i);
/** Variance of (count of the first `bins` bins) - q total, likewise. */
double fm_query_tree_prefix_variance(const fm_query_tree *t, size_t bins, double q);

struct fm_query {
    fm_query_task task;
    fm_yaml *doc; /* owns the texts */
    fm_query_item *items;
    const char **values; /* of all items */
    double *points;
    size_t item_count, value_count, point_count, width;
    double norm;
};

fm_query_tree fm_query_quantile_tree(const fm_query_item *it);
/** Scores of all records, and those of positives less those of negatives: the AUC is better for it
 *  than for a tree for each class (tests/bench/query.c). */
enum { FM_QUERY_SUM, FM_QUERY_DIFFERENCE };
void fm_query_score_trees(const fm_query_item *it, fm_query_tree out[2]);
/** Where a score lies on (0, 1): 1 / (1 + exp(-logit / 2)). */
double fm_query_position(double logit);
double fm_query_probability_at(double position);
/** Bins are (from, to], so that a logit of 0 counts as a negative answer. */
size_t fm_query_score_bin(const fm_query_item *it, double logit);

#define FM_QUERY_Z95 1.959963984540054
/* An estimate below so many standard errors is lost in the noise. */
#define FM_QUERY_LOST 3.0

/** {"estimate", "standard_error", "low", "high"}, all within [lo, hi]; NULL without memory. */
json_t *fm_query_figure(double estimate, double se, double lo, double hi);
/** Non-decreasing least squares of v[n], in place (pool adjacent violators). scratch: [2 n]. */
void fm_query_isotonic(double *v, size_t n, double *scratch);

/** A block of the sum: `unit` is what one record (of weight 1) adds to a coordinate of amplitude 1,
 *  `noise` the standard deviation of the noise over it. */
typedef struct {
    const fm_query_item *item;
    const float *sum; /* of the block */
    double unit, noise;
} fm_query_block;

/* Each adds its figures to the object `out`. */
FM_NODISCARD fm_status fm_query_read_quantiles(const fm_query_block *b, json_t *out);
FM_NODISCARD fm_status fm_query_read_scores(const fm_query_block *b, json_t *out);
#define FM_QUERY_NO_MEMORY fm_fail(FM_ENOMEM, "no memory for the answer of the query")

#endif
