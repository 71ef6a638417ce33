/* The vector that a record adds. What bounds its norm is proved in docs/privacy.md, section 7. */
#include "fedmoe/dp/query.h"

#include <math.h>
#include <stdlib.h>

#include "query_internal.h"
#include "shares_internal.h"

/* Quantiles ask every level for as much. For the AUC the coarse levels matter more, and the classes'
 * difference more than their sum: near the best for classes of 1:1 to 1:9 and AUC 0.7 to 0.95. */
static const fm_query_shape quantile_shape = { 1.0, 1.0, 1.0 };
static const fm_query_shape score_shapes[2] = {
    [FM_QUERY_SUM] = { 1.0, 0.9, 0.88 },
    [FM_QUERY_DIFFERENCE] = { 0.6, 1.3, 0.87 },
};

#define CLIP_STEPS 1024.0

void fm_query_free(fm_query **q)
{
    if (!q || !*q)
        return;
    fm_yaml_free(&(*q)->doc);
    free((*q)->items);
    free((*q)->values);
    free((*q)->points);
    free(*q);
    *q = NULL;
}

size_t fm_query_items(const fm_query *q)
{
    return q->item_count;
}

const fm_query_item *fm_query_at(const fm_query *q, size_t i)
{
    return &q->items[i];
}

size_t fm_query_width(const fm_query *q)
{
    return q->width;
}

double fm_query_norm(const fm_query *q)
{
    return q->norm;
}

double fm_query_clip_norm(const fm_query *q)
{
    return (floor(q->norm * CLIP_STEPS) + 1.0) / CLIP_STEPS;
}

fm_query_tree fm_query_quantile_tree(const fm_query_item *it)
{
    fm_query_tree t;

    fm_query_trees_make(it->bins, &quantile_shape, 1, &t);
    return t;
}

void fm_query_score_trees(const fm_query_item *it, fm_query_tree out[2])
{
    fm_query_trees_make(it->bins, score_shapes, 2, out);
}

static double clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Bin of a value within the range; the upper end belongs to the last one. */
static size_t bin_of(const fm_query_item *it, double v)
{
    double at = (clamp(v, it->lo, it->hi) - it->lo) / (it->hi - it->lo) * (double)it->bins;

    return at >= (double)it->bins ? it->bins - 1 : (size_t)at;
}

static void add_mean(const fm_query_item *it, double v, double weight, float *block)
{
    double half = (it->hi - it->lo) / 2.0;
    double u = clamp((clamp(v, it->lo, it->hi) - it->lo) / half - 1.0, -1.0, 1.0);

    block[0] += (float)(weight * FM_QUERY_MEAN_SUM * u);
    block[1] += (float)(weight * FM_QUERY_MEAN_COUNT);
}

static size_t value_index(const fm_query_item *it, double cell)
{
    return cell >= 0.0 && cell < (double)it->value_count ? (size_t)cell : it->value_count;
}

static size_t histogram_index(const fm_query_item *it, double v)
{
    if (v < it->lo)
        return it->bins;
    return v > it->hi ? it->bins + 1 : bin_of(it, v);
}

void fm_query_add(const fm_query *q, size_t i, double cell, float share, float *out)
{
    const fm_query_item *it = &q->items[i];
    double weight = it->weight * (double)share;
    float *block = out + it->offset;
    fm_query_tree t;

    if (isnan(cell)) { /* the last coordinate of every block */
        block[it->width - 1] += (float)weight;
        return;
    }
    switch (it->kind) {
    case FM_QUERY_COUNT:
        block[0] += (float)weight;
        break;
    case FM_QUERY_MEAN:
        add_mean(it, cell, weight, block);
        break;
    case FM_QUERY_HISTOGRAM:
        block[histogram_index(it, cell)] += (float)weight;
        break;
    case FM_QUERY_QUANTILES:
        t = fm_query_quantile_tree(it);
        fm_query_tree_add(&t, bin_of(it, cell), weight, block);
        break;
    case FM_QUERY_VALUES:
        block[value_index(it, cell)] += (float)weight;
        break;
    case FM_QUERY_SCORES: /* fm_query_add_score */
        break;
    }
}

/* ---- scores ---- */

double fm_query_position(double logit)
{
    return 1.0 / (1.0 + exp(-logit / 2.0));
}

double fm_query_probability_at(double position)
{
    double odds;

    if (position <= 0.0 || position >= 1.0)
        return position <= 0.0 ? 0.0 : 1.0;
    odds = position / (1.0 - position);
    return odds * odds / (1.0 + odds * odds);
}

size_t fm_query_score_bin(const fm_query_item *it, double logit)
{
    double at = ceil(fm_query_position(logit) * (double)it->bins) - 1.0;

    return at < 0.0 ? 0 : at >= (double)it->bins ? it->bins - 1 : (size_t)at;
}

void fm_query_add_score(const fm_query *q, double logit, bool positive, float share, float *out)
{
    const fm_query_item *it = &q->items[0];
    double weight = it->weight * (double)share;
    float *block = out + it->offset;
    fm_query_tree t[2];
    size_t bin;

    if (q->task != FM_QUERY_EVALUATION || !isfinite(logit))
        return;
    bin = fm_query_score_bin(it, logit);
    fm_query_score_trees(it, t);
    fm_query_tree_add(&t[FM_QUERY_SUM], bin, weight, block);
    fm_query_tree_add(&t[FM_QUERY_DIFFERENCE], bin, positive ? weight : -weight, block + it->bins);
}

/* Variance in a sum over `survivors` of `participants`: of the levels that stay, from each. */
static double left_over(const fm_dp_levels *levels, uint32_t survivors)
{
    uint32_t kept = fm_dp_levels_kept(levels, survivors);
    double share = 0.0;

    for (uint32_t i = 0; i < kept; i++)
        share += levels->sigma[i] * levels->sigma[i];
    return share * survivors;
}

double fm_query_noise_std(const fm_dp_lattice *l, uint64_t rounds)
{
    double most = 0.0;

    for (uint32_t n = l->quorum; n <= l->nodes; n++) {
        const fm_dp_levels levels = fm_dp_levels_of(l, n);

        for (uint32_t survivors = l->quorum; survivors <= n; survivors++)
            most = fmax(most, left_over(&levels, survivors));
    }
    return sqrt(most * (double)rounds) / l->scale;
}
