/*
 * Which pairs of a round share a mask: all, or the edges of a random graph that is drawn anew and in
 * secret for each round; and how dense that graph must be.
 *
 * docs/protocol.md, section 9.1: a pair is an edge if the first 4 bytes, u32le, of
 * H("fedmoe edge v1"; k_uv) are below density * 2^24. k_uv is the pair's key of the round, so both
 * ends draw the same, and of two honest nodes nobody else can. docs/privacy.md, section 6, has the
 * proof: the honest survivors' sum alone can be read as long as the edges among them connect them.
 *
 * @thread pure, all of it.
 */
#ifndef FEDMOE_DP_MASK_GRAPH_H
#define FEDMOE_DP_MASK_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** Densities are 1 to this many 256ths; with this one every pair is an edge. */
#define FM_DP_DENSITY_ALL 256u
/** Up to so many nodes every pair must be one: there is little to gain. */
#define FM_DP_DENSE_NODES 32u
/** So many rounds a node releases of a plan at most in which some pairs share no mask. */
#define FM_DP_GRAPH_ROUNDS 16384u
/**
 * log2 of how likely the honest survivors of a released round may fall apart, at most: all rounds
 * so stay below 2^-40, and below a hundredth of the plan's delta, which does not count them. A bit
 * less is asked for: for what the time of a node's update tells of its edges (docs/privacy.md,
 * section 6).
 */
#define FM_DP_GRAPH_LOG2_LIMIT (-54.0)
#define FM_DP_GRAPH_DELTA_SHARE 0.01
#define FM_DP_GRAPH_TIME_BITS 1.0

/** What a plan says of those among whom the edges are drawn. */
typedef struct {
    uint32_t nodes;     /* 2..1024: most participants of a round */
    uint32_t quorum;    /* 1..nodes: fewest survivors */
    uint32_t colluders; /* below quorum */
    uint32_t rounds;
    double delta; /* of the promise; above 0 */
} fm_dp_graph;

/**
 * 1 if the mask of this seed, k_uv, is one of the round, else 0. No branch and no address depends on
 * the seed.
 * @param density  1..FM_DP_DENSITY_ALL: with the last always 1, and nothing is hashed.
 */
unsigned fm_dp_mask_edge(const uint8_t seed[32], uint32_t density);

/** With so many of `others` a node shares a mask on average. */
double fm_dp_mask_mean(uint32_t others, uint32_t density);
/**
 * So many masks a node computes, whatever its number of edges to `others` is: their mean and three
 * deviations, or all. One node in a thousand or so has more edges, and computes those; the time of
 * all others says no more than that they have not (docs/privacy.md, section 6).
 */
uint32_t fm_dp_mask_work(uint32_t others, uint32_t density);

/**
 * So many colluders cannot have two sets of survivors released in a round, and more can: 2 quorum -
 * nodes - 1, which is no fewer than the plan's (docs/privacy.md, S1). Uses nodes and quorum alone.
 */
uint32_t fm_dp_graph_colluders(const fm_dp_graph *g);
/**
 * The coalition that a plan's density is made for: the colluders above, so that the graph is never
 * what gives way first, and a third of the quorum at least. So quorum - this are honest. Does not
 * use rounds and delta.
 */
uint32_t fm_dp_graph_coalition(const fm_dp_graph *g);

/**
 * log2 of an upper bound of the probability that a graph on so many nodes, each pair of which is an
 * edge with probability density / 256, is not connected: the sum over i from 1 to nodes / 2 of
 * C(nodes, i) (1 - density / 256)^(i (nodes - i)), some i nodes without an edge to the others.
 * @param nodes  0..1024; -INFINITY for 0 and 1. May be above 0, where it says nothing.
 */
double fm_dp_graph_log2_split(uint32_t nodes, uint32_t density);
/** The same for the worst number of honest survivors, from `honest` to `nodes`. */
double fm_dp_graph_log2_failure(uint32_t nodes, uint32_t honest, uint32_t density);

/**
 * The smallest density for rounds of up to `nodes` with at least `quorum` survivors, of whom a
 * coalition as above is not honest: one bit below what fm_dp_mask_density_check allows, so that
 * whoever reckons with other roundings finds it allowed, too. FM_DP_DENSITY_ALL when no smaller one
 * serves, or none saves a mask (fm_dp_mask_work), or for more than FM_DP_GRAPH_ROUNDS.
 * @param g  of values as above.
 */
uint32_t fm_dp_mask_density_least(const fm_dp_graph *g);
/**
 * @return FM_OK; FM_EINVAL when the density or a figure of `g` is none, or too small for such
 *         rounds: the text has the figure.
 */
FM_NODISCARD fm_status fm_dp_mask_density_check(const fm_dp_graph *g, uint32_t density);
/**
 * Whether one more round of a plan may be released.
 * @param released  rounds that were, by this node's own books.
 * @return FM_OK; FM_EBUDGET when not all pairs share a mask and FM_DP_GRAPH_ROUNDS were.
 */
FM_NODISCARD fm_status fm_dp_mask_release_check(uint32_t density, uint64_t released);

#endif
