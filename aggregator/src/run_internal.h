/* The driver's state, shared by run.c, status_file.c and trace.c. */
#ifndef FEDMOE_AGGREGATOR_RUN_INTERNAL_H
#define FEDMOE_AGGREGATOR_RUN_INTERNAL_H

#include <stdio.h>

#include "fedmoe/aggregator/round.h"
#include "fedmoe/aggregator/run.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/proto/link/link.h"

typedef struct {
    uint64_t peer; /* 0: not connected */
    char name[FM_NAME_MAX + 1];
    char state[FM_MAX_REASON_BYTES + 1]; /* "in", "gone", or why it was dropped */
    uint64_t bytes_received;
} run_member;

typedef struct {
    const fm_aggregator_run_options *options;
    fm_aggregator_config config;
    fm_buf plan;
    fm_identity *identity;
    fm_trust *trust;
    uint8_t *door_secret; /* guarded memory */
    fm_optimizer *optimizer;
    fm_state *state;
    fm_link_server *link;
    fm_coordinator *coordinator;
    FILE *trace;
    uint64_t round_started_ns;
    uint64_t abandoned;
    run_member *members; /* everyone seen since the start */
    size_t member_count;
} fm_run;

/** Find or add by name; NULL only without memory. */
run_member *fm_run_member(fm_run *r, const char *name);

/** status.json, atomically; a failure is logged, not fatal. */
void fm_run_write_status(fm_run *r, const char *state);
void fm_run_trace(fm_run *r, uint64_t round, bool finished);

#endif
