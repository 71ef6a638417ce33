/* How dense the graph of the masks must be; the edge itself is in mask_edge.c. */
#include "fedmoe/dp/mask_graph.h"

#include <math.h>

#define MAX_NODES 1024u
#define MARGIN 1.0 /* bits, of fm_dp_mask_density_least */
#define WORK_DEVIATIONS 3.0

/* log2 of n! for n to MAX_NODES. Not lgamma: it writes a global. */
typedef struct {
    double of[MAX_NODES + 1];
} factorials;

static void fill(factorials *f, uint32_t most)
{
    f->of[0] = 0.0;
    for (uint32_t i = 1; i <= most; i++)
        f->of[i] = f->of[i - 1] + log2((double)i);
}

/* log2(2^a + 2^b) */
static double add_log2(double a, double b)
{
    const double high = fmax(a, b), low = fmin(a, b);

    return isinf(low) ? high : high + log2(1.0 + exp2(low - high));
}

static double split(const factorials *f, uint32_t nodes, uint32_t density)
{
    double sum = -INFINITY, apart;

    if (density >= FM_DP_DENSITY_ALL)
        return sum;
    apart = log2((double)(FM_DP_DENSITY_ALL - density) / FM_DP_DENSITY_ALL);
    for (uint32_t i = 1; i <= nodes / 2; i++)
        sum = add_log2(sum, f->of[nodes] - f->of[i] - f->of[nodes - i] +
                                (double)i * (double)(nodes - i) * apart);
    return sum;
}

/* In rounds of more survivors fewer masks may be missing, but there are more to fall apart. */
static double failure(const factorials *f, uint32_t nodes, uint32_t honest, uint32_t density)
{
    double worst = -INFINITY;

    for (uint32_t n = honest; n <= nodes; n++)
        worst = fmax(worst, split(f, n, density));
    return worst;
}

double fm_dp_graph_log2_split(uint32_t nodes, uint32_t density)
{
    factorials f;

    fill(&f, nodes);
    return split(&f, nodes, density);
}

double fm_dp_graph_log2_failure(uint32_t nodes, uint32_t honest, uint32_t density)
{
    factorials f;

    fill(&f, nodes);
    return failure(&f, nodes, honest, density);
}

double fm_dp_mask_mean(uint32_t others, uint32_t density)
{
    return others * ((double)density / FM_DP_DENSITY_ALL);
}

uint32_t fm_dp_mask_work(uint32_t others, uint32_t density)
{
    const double p = (double)density / FM_DP_DENSITY_ALL, mean = fm_dp_mask_mean(others, density);
    const double most = ceil(mean + WORK_DEVIATIONS * sqrt(mean * (1.0 - p)));

    return most < (double)others ? (uint32_t)most : others;
}

uint32_t fm_dp_graph_colluders(const fm_dp_graph *g)
{
    const uint64_t twice = 2 * (uint64_t)g->quorum;

    return twice > g->nodes ? (uint32_t)(twice - g->nodes - 1) : 0;
}

uint32_t fm_dp_graph_coalition(const fm_dp_graph *g)
{
    const uint32_t held = fm_dp_graph_colluders(g), third = g->quorum / 3;
    const uint32_t most = held > third ? held : third;

    return g->colluders > most ? g->colluders : most;
}

/* What the bound may be of a round, log2. */
static double limit(const fm_dp_graph *g)
{
    return fmin(FM_DP_GRAPH_LOG2_LIMIT,
                log2(g->delta * FM_DP_GRAPH_DELTA_SHARE) - log2((double)FM_DP_GRAPH_ROUNDS)) -
           FM_DP_GRAPH_TIME_BITS;
}

uint32_t fm_dp_mask_density_least(const fm_dp_graph *g)
{
    const uint32_t honest = g->quorum - fm_dp_graph_coalition(g);
    uint32_t low = 1, high = FM_DP_DENSITY_ALL; /* high serves */
    factorials f;

    if (g->nodes <= FM_DP_DENSE_NODES || honest <= 1 || g->rounds > FM_DP_GRAPH_ROUNDS)
        return FM_DP_DENSITY_ALL;
    fill(&f, g->nodes);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;

        if (failure(&f, g->nodes, honest, middle) <= limit(g) - MARGIN)
            high = middle;
        else
            low = middle + 1;
    }
    return fm_dp_mask_work(g->nodes - 1, high) < g->nodes - 1 ? high : FM_DP_DENSITY_ALL;
}

static fm_status check_figures(const fm_dp_graph *g, uint32_t density)
{
    if (density < 1 || density > FM_DP_DENSITY_ALL || g->nodes < 2 || g->nodes > MAX_NODES ||
        g->quorum > g->nodes || g->colluders >= g->quorum)
        return fm_fail(FM_EINVAL,
                       "masks: a density of %u, for a quorum of %u of %u nodes and %u "
                       "colluders",
                       density, g->quorum, g->nodes, g->colluders);
    if (density < FM_DP_DENSITY_ALL && !(g->delta > 0.0)) /* a NaN is refused */
        return fm_fail(FM_EINVAL, "masks: a density of %u with a delta of %g", density, g->delta);
    return FM_OK;
}

fm_status fm_dp_mask_density_check(const fm_dp_graph *g, uint32_t density)
{
    uint32_t honest;
    double log2_failure;
    fm_status st = check_figures(g, density);

    if (st != FM_OK || density == FM_DP_DENSITY_ALL)
        return st;
    if (g->nodes <= FM_DP_DENSE_NODES)
        return fm_fail(FM_EINVAL,
                       "masks: a density of %u of 256; up to %u nodes every pair must share one "
                       "(256)",
                       density, FM_DP_DENSE_NODES);
    if (g->rounds > FM_DP_GRAPH_ROUNDS)
        return fm_fail(FM_EINVAL,
                       "masks: a density of %u of 256 for %u rounds; for more than %u every pair "
                       "must share one (256)",
                       density, g->rounds, FM_DP_GRAPH_ROUNDS);
    honest = g->quorum - fm_dp_graph_coalition(g);
    log2_failure = honest > 1 ? fm_dp_graph_log2_failure(g->nodes, honest, density) : 0.0;
    if (log2_failure <= limit(g))
        return FM_OK;
    return fm_fail(
        FM_EINVAL,
        "masks: a density of %u of 256 is too sparse: %u honest survivors of a quorum of "
        "%u would fall apart, so that parts of their sum could be read, with a "
        "probability of up to 2^%.1f in each round; at most 2^%.1f is allowed at delta %g",
        density, honest, g->quorum, fmin(log2_failure, 0.0), limit(g), g->delta);
}

fm_status fm_dp_mask_release_check(uint32_t density, uint64_t released)
{
    if (density >= FM_DP_DENSITY_ALL || released < FM_DP_GRAPH_ROUNDS)
        return FM_OK;
    return fm_fail(FM_EBUDGET,
                   "masks: %llu rounds of this plan were released, in which some pairs share none; "
                   "they are for %u, and more take a plan in which all share one",
                   (unsigned long long)released, FM_DP_GRAPH_ROUNDS);
}
