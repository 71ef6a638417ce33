/*
 * What the two score histograms say of a classifier. All figures but the groups' predictions are
 * ratios of linear functions of the bins' counts; their errors are those of the linear part
 * (delta method) with the tree's exact variances, for AUC the quadratic part too.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query_internal.h"

typedef struct {
    const fm_query_block *block;
    fm_query_tree trees[2]; /* of the sum of the classes and of their difference */
    size_t bins;
    double *nodes[2];      /* [2 bins] counts of nodes; of negatives, of positives */
    double *w[2];          /* [bins] weights of the classes' bins in a linear function */
    double *rotated, *aux; /* [bins], [2 bins + 2] scratch */
    double *cdf[2];        /* [bins + 1] of negatives, of positives */
    double total[2];
} scores;

enum { NEGATIVE, POSITIVE };

static double of_bin(const scores *s, int class, size_t j)
{
    return s->nodes[class][s->bins + j];
}

/* Standard deviation of the sum of w times the bins' counts: with positives (s + d)/2 and negatives
 * (s - d)/2, a function of two independent trees. */
static double sd_of_weights(const scores *s)
{
    double variance = 0.0;

    for (int tree = FM_QUERY_SUM; tree <= FM_QUERY_DIFFERENCE; tree++) {
        double sign = tree == FM_QUERY_SUM ? 1.0 : -1.0;

        for (size_t j = 0; j < s->bins; j++)
            s->rotated[j] = (s->w[POSITIVE][j] + sign * s->w[NEGATIVE][j]) / 2.0;
        variance += fm_query_tree_variance(&s->trees[tree], s->rotated, s->aux);
    }
    return s->block->noise * sqrt(variance);
}

/* Share of a class below each edge of the bins, never falling, from 0 to 1. */
static void cumulate(const scores *s, int class)
{
    double *cdf = s->cdf[class];

    cdf[0] = 0.0;
    for (size_t j = 0; j < s->bins; j++)
        cdf[j + 1] = cdf[j] + of_bin(s, class, j) / s->total[class];
    fm_query_isotonic(cdf, s->bins + 1, s->aux);
    for (size_t j = 0; j <= s->bins; j++)
        cdf[j] = fmin(fmax(cdf[j], 0.0), 1.0);
    cdf[0] = 0.0;
    cdf[s->bins] = 1.0;
}

static double below_middle(const scores *s, int class, size_t j)
{
    return (s->cdf[class][j] + s->cdf[class][j + 1]) / 2.0;
}

/* The pairs that are in the right order, over all pairs; ties within a bin count half. */
static double auc_of(const scores *s)
{
    double sum = 0.0;

    for (size_t j = 0; j < s->bins; j++)
        sum += (s->cdf[POSITIVE][j + 1] - s->cdf[POSITIVE][j]) * below_middle(s, NEGATIVE, j);
    return sum;
}

/* Variance of a node's left less right. */
static double split_variance(const fm_query_tree *t, size_t node)
{
    return 4.0 * fm_query_tree_node_variance(t, 2 * node) - fm_query_tree_node_variance(t, node);
}

/* In both trees a node's term is (D_sum T_difference - D_difference T_sum)/4, D being left less
 * right and T the node's count: the noises' own product is what the linear part leaves out. */
static double quadratic_part(const scores *s)
{
    const fm_query_tree *sum = &s->trees[FM_QUERY_SUM], *diff = &s->trees[FM_QUERY_DIFFERENCE];
    double total = 0.0, noise = s->block->noise;

    for (size_t i = 1; i < s->bins; i++)
        total += split_variance(sum, i) * fm_query_tree_node_variance(diff, i) +
                 split_variance(diff, i) * fm_query_tree_node_variance(sum, i);
    total *= noise * noise * noise * noise / 64.0;
    return total / pow(s->total[POSITIVE] * s->total[NEGATIVE], 2.0);
}

static json_t *auc_figure(const scores *s)
{
    double auc;

    cumulate(s, NEGATIVE);
    cumulate(s, POSITIVE);
    auc = auc_of(s);
    for (size_t j = 0; j < s->bins; j++) {
        s->w[POSITIVE][j] = (below_middle(s, NEGATIVE, j) - auc) / s->total[POSITIVE];
        s->w[NEGATIVE][j] = (1.0 - below_middle(s, POSITIVE, j) - auc) / s->total[NEGATIVE];
    }
    return fm_query_figure(auc, hypot(sd_of_weights(s), sqrt(quadratic_part(s))), 0.0, 1.0);
}

/* ---- thresholds ---- */

/* Share of bin j that lies above the cut (in bins), and count of a class above it. */
static double share_above(size_t j, double cut)
{
    return fmin(fmax((double)j + 1.0 - cut, 0.0), 1.0);
}

static double count_above(const scores *s, int class, double cut)
{
    double sum = 0.0;

    for (size_t j = 0; j < s->bins; j++)
        sum += share_above(j, cut) * of_bin(s, class, j);
    return sum;
}

/* Standard deviation of the share r of right answers among those of the classes given. */
static double sd_of_share(const scores *s, double cut, bool positives, bool negatives, double r)
{
    double all = (positives ? s->total[POSITIVE] : 0.0) + (negatives ? s->total[NEGATIVE] : 0.0);

    for (size_t j = 0; j < s->bins; j++) {
        double above = share_above(j, cut);

        s->w[POSITIVE][j] = positives ? (above - r) / all : 0.0;
        s->w[NEGATIVE][j] = negatives ? (1.0 - above - r) / all : 0.0;
    }
    return sd_of_weights(s);
}

static json_t *threshold_figures(const scores *s, size_t i)
{
    double threshold = s->block->item->points[i];
    double cut = fm_query_position(log(threshold / (1.0 - threshold))) * (double)s->bins;
    double p = s->total[POSITIVE], n = s->total[NEGATIVE];
    double right_p = count_above(s, POSITIVE, cut), right_n = n - count_above(s, NEGATIVE, cut);
    double accuracy = (right_p + right_n) / (p + n);

    return json_pack(
        "{s:f, s:o, s:o, s:o}", "threshold", threshold, "accuracy",
        fm_query_figure(accuracy, sd_of_share(s, cut, true, true, accuracy), 0.0, 1.0),
        "sensitivity",
        fm_query_figure(right_p / p, sd_of_share(s, cut, true, false, right_p / p), 0.0, 1.0),
        "specificity",
        fm_query_figure(right_n / n, sd_of_share(s, cut, false, true, right_n / n), 0.0, 1.0));
}

/* ---- calibration ---- */

static double mean_prediction(const scores *s, size_t first, size_t count)
{
    double sum = 0.0, weight = 0.0;

    for (size_t j = first; j < first + count; j++) {
        double here = fmax(of_bin(s, NEGATIVE, j) + of_bin(s, POSITIVE, j), 0.0);

        sum += here * fm_query_probability_at(((double)j + 0.5) / (double)s->bins);
        weight += here;
    }
    if (weight > 0.0)
        return sum / weight;
    return fm_query_probability_at(((double)first + (double)count / 2.0) / (double)s->bins);
}

/* The share of positives, p/(p + n), has the error of (1 - share) p - share n over all. */
static json_t *group_figures(const scores *s, size_t g)
{
    size_t groups = s->block->item->groups, count = s->bins / groups, node = groups + g;
    double sum = fm_query_tree_node_variance(&s->trees[FM_QUERY_SUM], node);
    double diff = fm_query_tree_node_variance(&s->trees[FM_QUERY_DIFFERENCE], node);
    double sd = s->block->noise * sqrt(sum);
    double p = s->nodes[POSITIVE][node], all = p + s->nodes[NEGATIVE][node];
    bool lost = !(all > FM_QUERY_LOST * sd) || !(all > 0.0);
    double share = lost ? 0.0 : fmin(fmax(p / all, 0.0), 1.0);
    double share_sd = s->block->noise * sqrt(pow(1.0 - 2.0 * share, 2.0) * sum + diff) / 2.0;

    return json_pack(
        "{s:f, s:f, s:o, s:o, s:o}", "from", fm_query_probability_at((double)g / (double)groups),
        "to", fm_query_probability_at((double)(g + 1) / (double)groups), "records",
        fm_query_figure(all, sd, 0.0, HUGE_VAL), "predicted",
        lost ? json_null() : json_real(mean_prediction(s, g * count, count)), "observed",
        lost ? json_null() : fm_query_figure(share, share_sd / all, 0.0, 1.0));
}

/* ---- all of it ---- */

static fm_status put_list(const scores *s, json_t *out, const char *key, size_t count,
                          json_t *(*one)(const scores *s, size_t i))
{
    json_t *list = json_array();
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < count; i++)
        if (json_array_append_new(list, one(s, i)) != 0)
            st = FM_QUERY_NO_MEMORY;
    if (st == FM_OK && json_object_set(out, key, list) != 0)
        st = FM_QUERY_NO_MEMORY;
    json_decref(list);
    return st;
}

static fm_status put(const scores *s, json_t *out)
{
    double se = s->block->noise *
                sqrt(fm_query_tree_node_variance(&s->trees[FM_QUERY_SUM], 1) +
                     fm_query_tree_node_variance(&s->trees[FM_QUERY_DIFFERENCE], 1)) /
                2.0;
    bool lost = !(fmin(s->total[0], s->total[1]) > FM_QUERY_LOST * se) ||
                !(fmin(s->total[0], s->total[1]) > 0.0);
    fm_status st;

    if (json_object_set_new(out, "positives",
                            fm_query_figure(s->total[POSITIVE], se, 0.0, HUGE_VAL)) != 0 ||
        json_object_set_new(out, "negatives",
                            fm_query_figure(s->total[NEGATIVE], se, 0.0, HUGE_VAL)) != 0 ||
        json_object_set_new(out, "auc", lost ? json_null() : auc_figure(s)) != 0)
        return FM_QUERY_NO_MEMORY;
    if ((st = put_list(s, out, "thresholds", lost ? 0 : s->block->item->point_count,
                       threshold_figures)) != FM_OK)
        return st;
    return put_list(s, out, "calibration", s->block->item->groups, group_figures);
}

/* Counts of the classes from those of their sum and difference. */
static void read_nodes(scores *s)
{
    double *p = s->nodes[POSITIVE], *n = s->nodes[NEGATIVE];

    fm_query_tree_nodes(&s->trees[FM_QUERY_SUM], s->block->sum, s->block->unit, p);
    fm_query_tree_nodes(&s->trees[FM_QUERY_DIFFERENCE], s->block->sum + s->bins, s->block->unit, n);
    for (size_t i = 1; i < 2 * s->bins; i++) {
        double sum = p[i], difference = n[i];

        p[i] = (sum + difference) / 2.0;
        n[i] = (sum - difference) / 2.0;
    }
    s->total[POSITIVE] = p[1];
    s->total[NEGATIVE] = n[1];
}

fm_status fm_query_read_scores(const fm_query_block *b, json_t *out)
{
    size_t bins = b->item->bins;
    scores s = { .block = b, .bins = bins };
    double *room;
    void *p = NULL;
    fm_status st = fm_alloc(11 * bins + 4, sizeof *room, &p);

    if (st != FM_OK)
        return st;
    room = p;
    s.nodes[POSITIVE] = room;
    s.nodes[NEGATIVE] = room + 2 * bins;
    s.w[POSITIVE] = room + 4 * bins;
    s.w[NEGATIVE] = room + 5 * bins;
    s.rotated = room + 6 * bins;
    s.cdf[POSITIVE] = room + 7 * bins;
    s.cdf[NEGATIVE] = room + 8 * bins + 1;
    s.aux = room + 9 * bins + 2;
    fm_query_score_trees(b->item, s.trees);
    read_nodes(&s);
    st = put(&s, out);
    free(room);
    return st;
}
