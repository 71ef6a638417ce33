#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/dp/mask_graph.h"
#include "fedmoe/proto/limits.h"

double fm_words_posterior(double epsilon, double prior)
{
    return 1.0 / (1.0 + (1.0 - prior) / prior * exp(-epsilon));
}

double fm_words_guess(double epsilon, double delta)
{
    double e = exp(-epsilon);

    return fmin((1.0 + delta * e) / (1.0 + e), 1.0);
}

void fm_words_percent(double share, char out[FM_WORDS_PERCENT])
{
    double v = fmin(fmax(100.0 * share, 0.0), 100.0);
    int decimals = v >= 100.0 ? 0 : v >= 10.0 ? 1 : v >= 1.0 ? 2 : 3;
    double unit = pow(10.0, decimals);

    /* The last bits of 0.5 * 100 and the like are no reason for another digit. */
    v = fmin(ceil(v * unit * (1.0 - 1e-12)) / unit, 100.0);
    (void)snprintf(out, FM_WORDS_PERCENT, "%.*f%%", v >= 100.0 ? 0 : decimals, v);
}

/* A value that is short of a decimal by less than this is that decimal, written in binary. */
#define NEAR 1e-7

double fm_words_up(double v)
{
    return v > 0.0 ? fmax(0.0, ceil(v * 1e4 - NEAR)) / 1e4 : 0.0;
}

double fm_words_down(double v)
{
    return v > 0.0 ? floor(v * 1e4 + NEAR) / 1e4 : 0.0;
}

void fm_words_bytes(double bytes, char out[24])
{
    static const char *const prefixes[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
    size_t i = 0;

    while (bytes >= 999.5 && i + 1 < sizeof prefixes / sizeof prefixes[0]) {
        bytes /= 1000.0;
        i++;
    }
    (void)snprintf(out, 24, "%.*f %s", i > 0 && bytes < 99.95 ? 1 : 0, fmin(bytes, 1e9),
                   prefixes[i]);
}

void fm_words_exact(double v, char out[32])
{
    /* As many digits as a whole number has, so that 20 is not written 2e+01. */
    int whole = fabs(v) >= 1.0 ? (int)fmin(floor(log10(fabs(v))) + 1.0, 17.0) : 1;

    for (int digits = whole; digits <= 17; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            return;
    }
}

static bool is_record(const char *unit)
{
    return strcmp(unit, "record") == 0;
}

fm_status fm_words_unit_meaning(fm_buf *out, const char *unit, long long max_rows)
{
    if (is_record(unit))
        return fm_buf_printf(out, "The protected unit is one record, that is one line of the file. "
                                  "A person with k records is protected about k times less: for "
                                  "that person, count with k times epsilon and a larger "
                                  "delta.");
    return fm_buf_printf(
        out,
        "The protected unit is the whole of all records with the same %s: they "
        "are drawn together and clipped as one, so who has many records is hidden "
        "as well as who has one. At most %lld records of one unit count in a round, "
        "drawn by chance; the rest is left out of it.",
        unit, max_rows);
}

fm_status fm_words_noise(fm_buf *out, const char *noise, long long quorum, long long colluders)
{
    if (strcmp(noise, "local") == 0)
        return fm_buf_printf(out, "This node alone adds all the noise that its guarantee needs. It "
                                  "holds even if all other nodes and the aggregator collude. The "
                                  "price is accuracy: the variance of the noise in a sum of n "
                                  "nodes is n times what it had to be.");
    return fm_buf_printf(out,
                         "Each node adds a share, and the shares add up to the noise that hides a "
                         "unit. They are sized for the fewest nodes that a sum may have (%lld) "
                         "less %lld: the guarantee holds if at most %lld of the other nodes "
                         "collude with the aggregator and take their shares off. Surplus noise may "
                         "be taken off again when no node drops out, never below what the "
                         "guarantee needs.",
                         quorum, colluders, colluders);
}

fm_status fm_words_local(fm_buf *out, long long steps, long long rounds, bool scaffold)
{
    fm_status st;

    if (steps < 2)
        return FM_OK;
    st = fm_buf_printf(
        out,
        " In a round this node makes %lld steps, each on a noised sum of its own, and "
        "moves its own copy of the model between them; what is sent is their sum. "
        "Each step has the whole noise and is charged by itself: a round costs what "
        "%lld rounds of one step would, %lld in all.",
        steps, steps, steps * rounds);
    if (st == FM_OK && scaffold)
        st = fm_buf_printf(out, " The mean of its noised sums of the last round is kept in this "
                                "node's folder (correction.bin), once that round was charged, and "
                                "corrects the steps of the next.");
    return st;
}

fm_status fm_words_masks(fm_buf *out, const fm_words_graph *g)
{
    const fm_dp_graph graph = { .nodes = (uint32_t)g->nodes,
                                .quorum = (uint32_t)g->quorum,
                                .colluders = (uint32_t)g->colluders };
    const uint32_t others = graph.nodes - 1, density = (uint32_t)g->density;
    uint32_t held;
    char with[64];

    if (g->density < 1 || g->density > FM_DP_DENSITY_ALL || g->nodes < 2 ||
        g->nodes > FM_MAX_NODES || g->quorum < 1 || g->quorum > g->nodes || g->colluders < 0 ||
        g->colluders >= g->quorum)
        return FM_OK;
    if (g->density == FM_DP_DENSITY_ALL)
        return fm_buf_printf(out,
                             " Until a round is released an update is hidden by masks, one with "
                             "every other node of %s.",
                             g->groups ? "its group" : "the round");
    held = fm_dp_graph_colluders(&graph);
    (void)snprintf(with, sizeof with, " and up to %u node%s that collude%s with it", held,
                   held == 1 ? "" : "s", held == 1 ? "s" : "");
    return fm_buf_printf(
        out,
        " Until a round is released an update is hidden by masks with about %.0f of %u others, "
        "drawn anew and in secret each round; only the two who share a mask know of it. Against "
        "the aggregator%s these masks hold the updates of all others together, but for a "
        "probability below 2^%.1f in a round.",
        fm_dp_mask_mean(others, density), others, held > 0 ? with : "",
        fmin(0.0, fm_dp_graph_log2_failure(graph.nodes,
                                           graph.quorum - fm_dp_graph_coalition(&graph), density)));
}

/* "the median in each coordinate", and how many groups may be spoilt. */
static long long robust_mean(const fm_words_groups *g, const char **name)
{
    if (strcmp(g->mean, "trimmed") == 0) {
        *name = "in each coordinate, the mean without the lowest and the highest";
        return g->trim;
    }
    *name = strcmp(g->mean, "geometric") == 0 ? "the point that is nearest to all of them together"
                                              : "in each coordinate, the one in the middle";
    return (g->groups - 1) / 2;
}

fm_status fm_words_groups_of(fm_buf *out, const fm_words_groups *g)
{
    const char *name;
    long long bears;
    fm_status st;

    if (g->groups < 1)
        return FM_OK;
    bears = robust_mean(g, &name);
    st = fm_buf_printf(
        out,
        " In each round the nodes are dealt out by lot to %lld groups, and the aggregator reads "
        "the sum "
        "of each group, not one of all: of %lld nodes at least, two of them honest if no more than "
        "%lld "
        "collude. From these it makes one: %s; so %lld group%s in which a node sends what is no "
        "honest "
        "update cannot carry the model away. A unit is in one group's sum only, so it costs no "
        "more "
        "epsilon. Over many rounds the sums of changing groups tell more of an institution's own "
        "average than one sum would.",
        g->groups, g->quorum, g->colluders, name, bears, bears == 1 ? "" : "s");
    if (st != FM_OK || g->local)
        return st;
    return fm_buf_printf(
        out,
        " The price is accuracy: each group's sum carries all of the noise, so their "
        "mean carries %.2f times that of one sum%s.",
        sqrt((double)g->groups),
        strcmp(g->mean, "median") == 0 ? ", and a median up to a quarter more" : "");
}

fm_status fm_words_encoding(fm_buf *out, const char *encoding)
{
    if (strcmp(encoding, "fast") == 0)
        return fm_buf_printf(out,
                             " What it adds are whole numbers from the start, products of rounded "
                             "factors; no unit's own gradient is ever stored. Their length is "
                             "known exactly, and is checked (encoding: fast).");
    if (strcmp(encoding, "exact") == 0)
        return fm_buf_printf(out, " What it adds is rounded to whole numbers by itself, and their "
                                  "length is checked before they are added (encoding: exact).");
    return FM_OK;
}

fm_status fm_words_tail_of(fm_buf *out, const fm_words_tail *tail)
{
    const bool counts = tail->load_groups > 0, vote = tail->clip_quantile > 0.0;
    const bool one = tail->load_groups == 1;
    fm_status st = FM_OK;

    if (counts)
        st = fm_buf_printf(out,
                           " A part of that length, %g of it, goes to counts: which of the %lld "
                           "experts in %s%lld part%s of the model its records were sent to. "
                           "Training evens out the experts' load by the noised sums of these.",
                           tail->load_share, tail->load_experts, one ? "" : "each of ",
                           tail->load_groups, one ? "" : "s");
    if (st == FM_OK && vote)
        st = fm_buf_printf(out,
                           " A part of that length, %g of it, goes to one vote: whether the unit "
                           "was cut. By the noised sum of the votes the length to which gradients "
                           "are cut moves from round to round, so that about %g%% of the units are "
                           "not cut.",
                           tail->clip_share, 100.0 * tail->clip_quantile);
    if (st == FM_OK && (counts || vote))
        st = fm_buf_printf(out,
                           " This needs no noise and no budget of its own: gradient%s%s together "
                           "stay within the one bound, in every round.",
                           counts && vote ? ", counts"
                           : counts       ? " and counts"
                                          : "",
                           vote ? " and vote" : "");
    if (st == FM_OK && tail->patience > 0)
        st = fm_buf_printf(
            out,
            " About %g%% of the units, chosen by secret coins, are never trained on: "
            "each of them adds only how far the model is wrong about it%s, within the "
            "same bound and under the same noise. When the noised sum of these has "
            "not become smaller for %lld rounds, training ends early and the rest of "
            "the plan's budget is not spent.",
            100.0 * tail->held_share,
            tail->held_bins > 0 ? ", and in which of a few ranges its score lies and "
                                  "what its label is, for a noised AUC"
                                : "",
            tail->patience);
    return st;
}
