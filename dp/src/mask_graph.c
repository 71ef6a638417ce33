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

uint32_t fm_dp_mask_work(uint32_t others, uint32_t density)
{
    const double p = (double)density / FM_DP_DENSITY_ALL, mean = others * p;
    const double most = ceil(mean + WORK_DEVIATIONS * sqrt(mean * (1.0 - p)));

    return most < (double)others ? (uint32_t)most : others;
}

uint32_t fm_dp_graph_coalition(uint32_t quorum, uint32_t colluders)
{
    return quorum / 3 > colluders ? quorum / 3 : colluders;
}

uint32_t fm_dp_mask_density_least(uint32_t nodes, uint32_t quorum, uint32_t colluders)
{
    const uint32_t honest = quorum - fm_dp_graph_coalition(quorum, colluders);
    uint32_t low = 1, high = FM_DP_DENSITY_ALL; /* high serves */
    factorials f;

    if (nodes <= FM_DP_DENSE_NODES || honest <= 1)
        return FM_DP_DENSITY_ALL;
    fill(&f, nodes);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;

        if (failure(&f, nodes, honest, middle) <= FM_DP_GRAPH_LOG2_LIMIT - MARGIN)
            high = middle;
        else
            low = middle + 1;
    }
    return fm_dp_mask_work(nodes - 1, high) < nodes - 1 ? high : FM_DP_DENSITY_ALL;
}

fm_status fm_dp_mask_density_check(uint32_t nodes, uint32_t quorum, uint32_t colluders,
                                   uint32_t density)
{
    uint32_t honest;
    double log2_failure;

    if (density < 1 || density > FM_DP_DENSITY_ALL || nodes < 2 || nodes > MAX_NODES ||
        quorum > nodes || colluders >= quorum)
        return fm_fail(FM_EINVAL,
                       "masks: a density of %u, for a quorum of %u of %u nodes and %u "
                       "colluders",
                       density, quorum, nodes, colluders);
    if (density == FM_DP_DENSITY_ALL)
        return FM_OK;
    if (nodes <= FM_DP_DENSE_NODES)
        return fm_fail(FM_EINVAL,
                       "masks: a density of %u of 256; up to %u nodes every pair must share one "
                       "(256)",
                       density, FM_DP_DENSE_NODES);
    honest = quorum - fm_dp_graph_coalition(quorum, colluders);
    log2_failure = honest > 1 ? fm_dp_graph_log2_failure(nodes, honest, density) : 0.0;
    if (log2_failure <= FM_DP_GRAPH_LOG2_LIMIT)
        return FM_OK;
    return fm_fail(
        FM_EINVAL,
        "masks: a density of %u of 256 is too sparse: %u honest survivors of a quorum of "
        "%u would fall apart, so that parts of their sum could be read, with a "
        "probability of up to 2^%.1f in each round; at most 2^%.0f is allowed",
        density, honest, quorum, fmin(log2_failure, 0.0), FM_DP_GRAPH_LOG2_LIMIT);
}
