/* Quantiles of the tree's cumulative counts, with the interval of Woodruff 1952 (JASA 47): the
 * values at which the count below cannot be told from q of all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query_internal.h"

typedef struct {
    const fm_query_block *block;
    fm_query_tree tree;
    double *below;  /* [bins + 1] records before each edge, unbiased */
    double *steady; /* the same, never falling */
    double total;
} cumulated;

static double edge(const cumulated *c, size_t i)
{
    const fm_query_item *it = c->block->item;

    return it->lo + (it->hi - it->lo) * (double)i / (double)it->bins;
}

static double estimate(const cumulated *c, double wanted)
{
    size_t j = 1, bins = c->tree.bins;
    double step, at;

    while (j < bins && c->steady[j] < wanted)
        j++;
    step = c->steady[j] - c->steady[j - 1];
    at = step > 0.0 ? (wanted - c->steady[j - 1]) / step : 0.5;
    at = at < 0.0 ? 0.0 : at > 1.0 ? 1.0 : at;
    return edge(c, j - 1) + at * (edge(c, j) - edge(c, j - 1));
}

static json_t *quantile(const cumulated *c, double q)
{
    double wanted = q * c->total;
    size_t bins = c->tree.bins, first = bins, last = 0;

    for (size_t j = 0; j <= bins; j++) {
        double reach =
            FM_QUERY_Z95 * c->block->noise * sqrt(fm_query_tree_prefix_variance(&c->tree, j, q));

        if (first == bins && c->below[j] + reach >= wanted)
            first = j;
        if (c->below[j] - reach <= wanted)
            last = j;
    }
    return json_pack("{s:f, s:f, s:f, s:f}", "at", q, "estimate", estimate(c, wanted), "low",
                     edge(c, first ? first - 1 : 0), "high",
                     edge(c, last < bins ? last + 1 : bins));
}

static void cumulate(cumulated *c, double *nodes, double *scratch)
{
    size_t bins = c->tree.bins;

    fm_query_tree_nodes(&c->tree, c->block->sum, c->block->unit, nodes);
    c->total = nodes[1];
    c->below[0] = 0.0;
    for (size_t j = 0; j < bins; j++)
        c->below[j + 1] = c->below[j] + nodes[bins + j];
    memcpy(c->steady, c->below, (bins + 1) * sizeof *c->below);
    fm_query_isotonic(c->steady, bins + 1, scratch);
}

static fm_status put(const cumulated *c, json_t *out)
{
    const fm_query_item *it = c->block->item;
    double se = c->block->noise / c->tree.total;
    bool lost = !(c->total > FM_QUERY_LOST * se) || !(c->total > 0.0);
    json_t *list = json_array();
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && !lost && i < it->point_count; i++)
        if (json_array_append_new(list, quantile(c, it->points[i])) != 0)
            st = FM_QUERY_NO_MEMORY;
    if (st == FM_OK &&
        (json_object_set_new(out, "range", json_pack("[f, f]", it->lo, it->hi)) != 0 ||
         json_object_set_new(out, "present", fm_query_figure(c->total, se, 0.0, HUGE_VAL)) != 0 ||
         json_object_set_new(out, "quantiles", lost ? json_null() : json_incref(list)) != 0))
        st = FM_QUERY_NO_MEMORY;
    json_decref(list);
    return st;
}

fm_status fm_query_read_quantiles(const fm_query_block *b, json_t *out)
{
    size_t bins = b->item->bins;
    cumulated c = { .block = b, .tree = fm_query_quantile_tree(b->item) };
    double *room;
    void *p = NULL;
    fm_status st = fm_alloc(6 * bins + 4, sizeof *room, &p);

    if (st != FM_OK)
        return st;
    room = p;
    c.below = room;
    c.steady = room + bins + 1;
    cumulate(&c, room + 2 * bins + 2, room + 4 * bins + 2);
    st = put(&c, out);
    free(room);
    return st;
}
