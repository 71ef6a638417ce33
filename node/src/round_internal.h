/*
 * The participant's state. Every handler checks all of a message before it changes anything, and
 * returns FM_OK or the reason of a refusal (fm_fail); fm_node_round_take tells the ports.
 */
#ifndef FEDMOE_NODE_ROUND_INTERNAL_H
#define FEDMOE_NODE_ROUND_INTERNAL_H

#include "fedmoe/node/round.h"
#include "fedmoe/proto/groups.h"

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
    fm_groups *groups; /* owned: who is summed with whom */
    uint32_t *group;   /* [group_count], owned: this node's */
    uint32_t group_count;
    fm_dp_release *release; /* owned; its seeds die with it */
    fm_hash update;         /* own, as sent */
    uint64_t sent, until;   /* bytes of it: sent, and that may be */
    bool told;              /* all were sent, and signed for */
    uint32_t *survivors;    /* [survivor_count], owned; of all groups */
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

/** What waits for the model to be here. */
typedef struct {
    fm_msg_type what; /* RoundStart or Finish */
    fm_node_transcript known;
    uint64_t rounds; /* of Finish */
} fm_node_pending;

/** The model: held, or on its way here. */
typedef struct {
    uint8_t *bytes; /* plan.parameters * 4, owned; NULL: none */
    fm_hash hash;   /* of what is held, or is to come */
    bool held, coming;
    uint64_t at;       /* bytes that have come */
    fm_hasher *hasher; /* of them, owned; NULL when nothing is coming */
} fm_node_model;

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
    fm_node_model model;
    fm_node_pending pending; /* in FM_NODE_WAIT_MODEL */
};

/* ---- one handler a message ---- */
fm_status fm_node_take_plan_offer(fm_node_round *m, const fm_msg_plan_offer *msg, int64_t now_s);
/** The plan that is offered, after all that needs no people: their decision, and the answer. */
fm_status fm_node_answer_plan(fm_node_round *m);
fm_status fm_node_take_roster(fm_node_round *m, const fm_msg_roster *msg, int64_t now_s);
fm_status fm_node_take_round_start(fm_node_round *m, const fm_msg_round_start *msg, int64_t now_s);
fm_status fm_node_take_survivors(fm_node_round *m, const fm_msg_survivors *msg);
fm_status fm_node_take_commits(fm_node_round *m, const fm_msg_commits *msg);
fm_status fm_node_take_abandon(fm_node_round *m, const fm_msg_abandon *msg);
fm_status fm_node_take_revocations(fm_node_round *m, const fm_msg_revocations *msg, int64_t now_s);
fm_status fm_node_take_finish(fm_node_round *m, const fm_msg_finish *msg);
fm_status fm_node_take_model_piece(fm_node_round *m, const fm_msg_model_piece *msg);
fm_status fm_node_take_update_want(fm_node_round *m, const fm_msg_update_want *msg);

/* ---- what people decided of a round: round_decide.c ---- */
/** Whether the round may begin with these places of the roster. If not, the aggregator is told. */
fm_status fm_node_check_allowed(fm_node_round *m, uint64_t round, const uint32_t *places,
                                uint32_t count);
/** Before the open round's commit: whether its sum may be of these survivors. Likewise; it is closed. */
fm_status fm_node_check_sum_allowed(fm_node_round *m, const uint32_t *survivors, uint32_t count);
/** Before the open round's release: whether they still want it. If not, it is closed likewise. */
fm_status fm_node_check_still_allowed(fm_node_round *m);

/* ---- what follows when the model is here ---- */
/** The open round's part of this node. */
fm_status fm_node_begin_round(fm_node_round *m);
fm_status fm_node_end(fm_node_round *m);

/* ---- shared ---- */
bool fm_node_is_paused(const fm_node_round *m);
/** The owner has paused this node: the round goes on without it, which is told. Always fails. */
fm_status fm_node_decline(fm_node_round *m, uint64_t round);
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
/** After the whole message was checked: tell the ports of rounds that the entries leave out. */
fm_status fm_node_transcript_note(const fm_node_round *m, const fm_transcript_entry *entries,
                                  uint32_t count);
/** Record it through the ports, then remember it. */
fm_status fm_node_transcript_record(fm_node_round *m, const fm_node_transcript *t);

/* round_model.c */
bool fm_node_model_is_held(const fm_node_round *m, const fm_hash *hash);
/** Ask for it, or for the rest of it if it is coming already; what was held is not any more. */
fm_status fm_node_model_fetch(fm_node_round *m, const fm_hash *hash);
void fm_node_model_fini(fm_node_model *model);

/* ---- the way out: every message this node sends is made in round_send.c ---- */
fm_status fm_node_send_join(fm_node_round *m, uint64_t finished_round, const fm_hash *head);
/** why NULL: approved. */
fm_status fm_node_send_plan_answer(fm_node_round *m, const fm_hash *plan, const char *why);
fm_status fm_node_send_roster_answer(fm_node_round *m, const fm_hash *roster);
/** The only maker of UpdatePiece and MaskedUpdate: as much of the open round's update as may be
 *  sent; once all of it was, its signed hash. */
fm_status fm_node_send_update(fm_node_round *m);
/** at: how much of the model that is held or coming is here. */
fm_status fm_node_send_model_want(fm_node_round *m, uint64_t at);
fm_status fm_node_send_commit(fm_node_round *m);
/** With the mark of the ledger that holds the round's charge, signed. */
fm_status fm_node_send_release(fm_node_round *m, const fm_dp_unmask *unmask,
                               const fm_hash *ledger_head);
/** final: the budget allows no further round of this plan. */
fm_status fm_node_send_abandon(fm_node_round *m, uint64_t round, const char *why, bool final);

#endif
