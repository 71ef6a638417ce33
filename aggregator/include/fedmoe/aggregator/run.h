/* The driver: link, state and files around the coordinator. */
#ifndef FEDMOE_AGGREGATOR_RUN_H
#define FEDMOE_AGGREGATOR_RUN_H

#include "fedmoe/aggregator/config.h"

typedef struct {
    const char *dir;     /* made by fedmoe-aggregator init */
    const char *trace;   /* one JSON line a round {round, wall_ns, finished}; NULL: none */
    uint64_t linger_s;   /* serve Finish to late members for so long after the last round */
} fm_aggregator_run_options;

/**
 * Run until all rounds are finished. Writes status.json (atomically, each round), state.db,
 * checkpoint.safetensors and, at the end, model.safetensors.
 * status.json: {"federation", "state", "round", "rounds", "members": [{"name", "state",
 *  "bytes_received"}], "abandoned", "updated"}.
 */
FM_NODISCARD fm_status fm_aggregator_run(const fm_aggregator_run_options *o);

#endif
