/*
 * The participant's state. Every handler checks all of a message before it changes anything, and
 * returns FM_OK or the reason of a refusal (fm_fail); fm_node_round_take tells the ports.
 */
#ifndef FEDMOE_NODE_ROUND_INTERNAL_H
#define FEDMOE_NODE_ROUND_INTERNAL_H

#include "fedmoe/node/round.h"

/** The roster that this session works with; all verified. */
typedef struct {
    fm_session session;
    fm_hash hash;
    fm_peer **peers; /* [count], owned */
    uint32_t count, self;
    fm_dp_pairs *pairs; /* owned */
    char **barred;      /* [count], owned, each too: why the newest list, or the clock, speaks
                           against it since the roster came; NULL: nothing does */
} fm_node_roster;

/** The round under way; `number` 0 when there is none. */
typedef struct {
    uint64_t number;
    fm_hash model;
    uint32_t *participants; /* [participant_count], owned */
    uint32_t participant_count;
    fm_dp_release *release; /* owned; its seeds die with it */
    fm_hash update;         /* own, as sent */
    uint32_t *survivors;    /* [survivor_count], owned */
    uint32_t survivor_count;
    fm_hash commit;
} fm_node_open_round;

/** How far the transcript is known. */
typedef struct {
    uint64_t round; /* last finished; 0: none */
    fm_hash head;
    fm_hash model; /* after that round */
    bool model_known;
} fm_node_transcript;

struct fm_node_round {
    fm_node_round_config c;
    const char *federation; /* of the own certificate */
    fm_node_phase phase;
    fm_plan plan;
    fm_hash plan_hash;
    uint64_t last_used;
    fm_node_transcript transcript;
    fm_node_roster roster;
    fm_node_open_round open;
    uint64_t released; /* last round released in this session, and its commit */
    fm_hash released_commit;
    uint8_t *model; /* held: plan.parameters * 4 bytes, owned; NULL: none */
    fm_hash model_hash;
};

/* ---- one handler a message ---- */
fm_status fm_node_take_plan_offer(fm_node_round *m, const fm_msg_plan_offer *msg, int64_t now_s);
fm_status fm_node_take_roster(fm_node_round *m, const fm_msg_roster *msg, int64_t now_s);
fm_status fm_node_take_round_start(fm_node_round *m, const fm_msg_round_start *msg, int64_t now_s);
fm_status fm_node_take_survivors(fm_node_round *m, const fm_msg_survivors *msg);
fm_status fm_node_take_commits(fm_node_round *m, const fm_msg_commits *msg);
fm_status fm_node_take_abandon(fm_node_round *m, const fm_msg_abandon *msg);
fm_status fm_node_take_revocations(fm_node_round *m, const fm_msg_revocations *msg, int64_t now_s);
fm_status fm_node_take_finish(fm_node_round *m, const fm_msg_finish *msg);

/* ---- shared ---- */
/** End the open round, if any: masks are wiped, nothing more of it can be sent. */
void fm_node_round_close(fm_node_round *m);
/** A step of `round` failed here: close it, tell the aggregator that this node is out of it (so
 *  that it need not wait), and return `st` with its text as it was. */
fm_status fm_node_round_give_up(fm_node_round *m, uint64_t round, fm_status st);
void fm_node_roster_fini(fm_node_roster *r);
/** FM_EAUTH when one of these places in the roster has been revoked since. */
void fm_node_unbar(fm_node_roster *r);
/** Tell the aggregator that the round will not be done with such a member: silence would pass for
 *  being late. */
void fm_node_refuse_revoked(fm_node_round *m, uint64_t round);
fm_status fm_node_check_barred(const fm_node_round *m, const uint32_t *places, uint32_t count);
/** The open round as signatures see it; borrows from m. */
fm_round_view fm_node_round_view(const fm_node_round *m);
void fm_node_progress(fm_node_round *m, uint64_t round, const char *phase);
bool fm_node_contains(const uint32_t *sorted, uint32_t count, uint32_t value);

/** Whether `entries` lead from what is known to `head`; *out: known afterwards. Changes nothing. */
fm_status fm_node_transcript_check(const fm_node_round *m, const fm_transcript_entry *entries,
                                   uint32_t count, const fm_hash *head, fm_node_transcript *out);
/** Record it through the ports, then remember it. */
fm_status fm_node_transcript_record(fm_node_round *m, const fm_node_transcript *t);

/** The bytes given, or the model held when there are none; length, hash, finite numbers. */
fm_status fm_node_model_check(const fm_node_round *m, fm_bytes given, const fm_hash *hash,
                              const uint8_t **out);
/** Hold a copy of a checked model. */
fm_status fm_node_model_hold(fm_node_round *m, const uint8_t *model, const fm_hash *hash);

/* ---- the way out: every message this node sends is made in round_send.c ---- */
fm_status fm_node_send_join(fm_node_round *m, uint64_t finished_round, const fm_hash *head);
/** why NULL: approved. */
fm_status fm_node_send_plan_answer(fm_node_round *m, const fm_hash *plan, const char *why);
fm_status fm_node_send_roster_answer(fm_node_round *m, const fm_hash *roster);
/** The only maker of a MaskedUpdate; signs its hash. */
fm_status fm_node_send_update(fm_node_round *m, const fm_dp_release *release);
fm_status fm_node_send_commit(fm_node_round *m);
/** With the mark of the ledger that holds the round's charge, signed. */
fm_status fm_node_send_release(fm_node_round *m, const fm_dp_unmask *unmask,
                               const fm_hash *ledger_head);
/** final: the budget allows no further round of this plan. */
fm_status fm_node_send_abandon(fm_node_round *m, uint64_t round, const char *why, bool final);

#endif
