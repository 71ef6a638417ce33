/* The driver: link, state and files around the coordinator. */
#ifndef FEDMOE_AGGREGATOR_RUN_H
#define FEDMOE_AGGREGATOR_RUN_H

#include "fedmoe/aggregator/config.h"

typedef struct {
    const char *dir;   /* made by fedmoe-aggregator init */
    const char *ca;    /* CA folder: join codes are answered at once; NULL: by enrol */
    const char *trace; /* one JSON line a round {round, wall_ns, finished}; NULL: none */
    uint64_t linger_s; /* serve Finish to late members for so long after the last round */
} fm_aggregator_run_options;

/**
 * Run until all rounds are finished, or SIGINT or SIGTERM. Writes state.db, checkpoint.safetensors,
 * status.json (atomically, at most once a second) and, at the end, result.safetensors; of a query
 * result.json, and the same as a table on standard output. (The first
 * model keeps its own name, often model.safetensors: it must stay for a restart.) A crl.pem that is
 * replaced in the directory takes effect within a second.
 *
 * status.json: {"federation", "state" (waiting, training, finished, stopped, failed), "round"
 * (finished), "rounds", "members": [{"name", "state", "connected", "bytes_received",
 * "harm" (times that it cost the others something), "barred_until" (while it is)}],
 * "abandoned", "updated"; "reason" when failed; "page" (where, when there is one)}.
 *
 * @return FM_OK, also when stopped; FM_EEXIST when another process runs this directory; else why
 *         it cannot go on.
 */
FM_NODISCARD fm_status fm_aggregator_run(const fm_aggregator_run_options *o);

#endif
