/* The driver's state, shared by run.c, run_open.c, run_ports.c, status_file.c and trace.c. */
#ifndef FEDMOE_AGGREGATOR_RUN_INTERNAL_H
#define FEDMOE_AGGREGATOR_RUN_INTERNAL_H

#include <stdio.h>
#include <sys/stat.h>

#include "directory_internal.h"
#include "fedmoe/aggregator/enrol.h"
#include "fedmoe/aggregator/round.h"
#include "fedmoe/aggregator/run.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/proto/link/link.h"
#include "kept_internal.h"
#include "page.h"
#include "spool_internal.h"

typedef struct {
    uint64_t peer; /* 0: not connected */
    char name[FM_NAME_MAX + 1];
    char state[FM_MAX_REASON_BYTES + 1]; /* FM_RUN_DECIDING, "in", or why it is gone */
    bool has_result;                     /* it said so */
    uint64_t bytes_before;               /* received in sessions that have ended */
    uint64_t bytes_now;                  /* in this one */
    fm_packed_credential *credential; /* its last one, owned; NULL: none that counts (any more) */
    uint64_t admission; /* how often somebody was admitted anew, it the last of them */
} run_member;

typedef struct fm_run {
    const fm_aggregator_run_options *options;
    int lock; /* the directory is ours; -1: not */
    fm_aggregator_config config;
    fm_buf plan;
    fm_identity *identity;
    fm_trust *trust;
    char *crl, *ca; /* paths of crl.pem and ca.crt */
    struct stat crl_seen, ca_seen;
    uint64_t judged_ms;   /* when it was last looked which members' certificates have run out */
    uint8_t *door_secret; /* guarded memory */
    fm_optimizer *optimizer;
    fm_state *state;
    fm_kept *kept; /* updates are kept; NULL: they are not */
    fm_spool *spool;
    fm_enroller *enroller;
    fm_link_server *link;
    fm_coordinator *coordinator;
    FILE *trace;
    uint64_t round_started_ns;
    uint64_t abandoned;
    run_member *members; /* everyone seen since the start */
    size_t member_count;
    uint64_t admissions; /* of members without a credential that counts, since the start */
    bool status_due;
    uint64_t status_written_ms;
    fm_clock_seen clock;
    fm_page *page; /* NULL: none */
} fm_run;

/* run_open.c */
/** Files, state, coordinator, sockets: all that a run needs. fm_run_close also after a failure. */
FM_NODISCARD fm_status fm_run_open(fm_run *r);
void fm_run_close(fm_run *r);
/** Two looks at the files' dates: has crl.pem or ca.crt changed? Then they count from here on. */
FM_NODISCARD fm_status fm_run_watch_crl(fm_run *r, uint64_t now_ms);

/* run_ports.c */
fm_coordinator_ports fm_run_ports(fm_run *r);
/** Takes down that the peer is gone or dropped; its name, or NULL when it is not known. */
const char *fm_run_member_gone(fm_run *r, uint64_t peer, const char *reason);
/** A message came from the peer: the link forgets its figures when it is gone. */
void fm_run_member_heard(fm_run *r, uint64_t peer);

/** Connected, and the plan is not answered yet: its people may be looking at it. */
#define FM_RUN_DECIDING "deciding"
/** It has approved the plan. */
void fm_run_member_decided(fm_run *r, uint64_t peer);

/* run_members.c */
/** Its credential is the one that counts from now on. */
FM_NODISCARD fm_status fm_run_admit(fm_run *r, run_member *m, const fm_credential *credential);
/** Lists or CAs have changed: whose certificate counts no more is no member until it comes again. */
void fm_run_judge_members(fm_run *r);
void fm_run_members_fini(fm_run *r);

/* status_file.c */
/** Find or add by name; NULL only without memory. */
run_member *fm_run_member(fm_run *r, const char *name);
/** status.json, atomically; a failure is logged, not fatal. state NULL: what the coordinator is at.
 */
void fm_run_write_status(fm_run *r, const char *state);
/** State "failed" and why; of the last status.json, where the run has not come far enough. */
void fm_run_write_failed(fm_run *r, const char *reason);
/** If it is due, and the last one is a second old: it waits for a disk. */
void fm_run_refresh_status(fm_run *r, uint64_t now_ms);

/* trace.c */
void fm_run_trace(fm_run *r, uint64_t round, bool finished);

#endif
