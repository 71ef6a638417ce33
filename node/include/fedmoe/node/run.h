/* The driver: link, journal, ledger, records and files around the round. */
#ifndef FEDMOE_NODE_RUN_H
#define FEDMOE_NODE_RUN_H

#include "fedmoe/node/config.h"

typedef struct {
    const char *config; /* node.yaml */
    const char *trace;  /* file of one JSON line a round {round, compute_ns}; NULL: none */
    uint64_t retry_s;   /* keep trying to (re)connect for so long; 0: default 60 */
    bool once;          /* exit after Finish (the default of the program) */
} fm_node_run_options;

/**
 * Run until the federation has finished. Writes beside node.yaml: status.json (atomically, at
 * each phase, a few times a second at most; mode 0600), plan.json (likewise; the plan last offered, and the answer),
 * model.safetensors, or result.json for a query (at the end), state.db, ledger.db.
 * status.json: {"name", "state", "paused", "paused_since", "round", "rounds", "phase",
 *  "epsilon_spent", "epsilon_budget", "epsilon_left", "delta", "releases" (of the data set, in the
 *  ledger), "rounds_affordable" (more rounds of the plan; null: not known), "updates_sent",
 *  "update_bytes_sent", "last_update" (null, or {"round", "bytes", "hash", "time", "released"}),
 *  "bytes_sent", "bytes_received" (of the link, since the start), "records", "reason", "page" (its
 *  address, or ""), "updated"}; state is starting, connecting, connected, joined, training, paused,
 *  refused, finished, stopped or failed; reason is the last refusal or failure.
 * @return FM_OK; FM_EPERM when this node refused the plan; FM_ESTATE when SIGINT or SIGTERM ended
 * it between two effects; FM_ETIMEOUT; FM_EAUTH; FM_EIO.
 */
FM_NODISCARD fm_status fm_node_run(const fm_node_run_options *o);

#endif
