/* The parts of bench-mask: mask.c, mask_graph.c, mask_peer.c, mask_round.c. */
#ifndef FEDMOE_TESTS_BENCH_MASK_BENCH_H
#define FEDMOE_TESTS_BENCH_MASK_BENCH_H

#include "fedmoe/base/random.h"
#include "fedmoe/base/status.h"

#define BENCH_MASK_PEERS 3
#define BENCH_MASK_NEIGHBOURS_MAX 100

typedef fm_status bench_mask_work(void *ctx);

/** Milliseconds of the fastest of so many. */
double bench_mask_ms(bench_mask_work *work, void *ctx, int tries, fm_status *st);

extern const char *const bench_mask_peer_names[BENCH_MASK_PEERS];
/** Milliseconds of 4 * n bytes of key stream that stay in the first-level cache; not added. */
FM_NODISCARD fm_status bench_mask_peers(size_t n, int tries, double ms[BENCH_MASK_PEERS]);

/** Prints a node's masking step: a release with and without noise, and one pass for each mask. */
FM_NODISCARD fm_status bench_mask_node(size_t n, uint32_t neighbours, int tries);
/** Prints a release among so many nodes: with a mask for each, and for as many as are needed. */
FM_NODISCARD fm_status bench_mask_graph(size_t n, uint32_t nodes, int tries);
/** Prints CPU seconds of the sum of so many updates and of subtracting their self masks. */
FM_NODISCARD fm_status bench_mask_aggregator(uint32_t *sum, size_t n, uint32_t updates);

#endif
