/*
 * The coordinator's inside, shared by the files round*.c.
 *
 * An event (a message, a loss, a deadline) only marks what happened; fm_coord_settle then goes on
 * as far as the marks allow. So no event is handled within another, and a member that was dropped
 * is touched by nobody any more.
 */
#ifndef FEDMOE_AGGREGATOR_ROUND_INTERNAL_H
#define FEDMOE_AGGREGATOR_ROUND_INTERNAL_H

#include "fedmoe/aggregator/round.h"
#include "fedmoe/replay/round.h"

#define NO_INDEX UINT32_MAX
#define FM_COORD_BLOCK ((size_t)192 << 10) /* whole words of each width */

typedef struct {
    uint64_t peer;
    char name[FM_NAME_MAX + 1];
    bool told_state;      /* Join came */
    bool ready;           /* and the plan is approved */
    bool exhausted;       /* takes part in no further round; waits for the result */
    bool acknowledged;    /* the roster */
    bool told;            /* within fm_coord_send_fitted */
    uint64_t known_round; /* transcript that the member surely has */
    fm_hash served;       /* the model that pieces were sent of, */
    uint64_t served_to;   /* up to this byte */
    uint32_t index;       /* in the roster, or NO_INDEX */
    int64_t not_after_s;  /* end of its certificate or its statement */
    fm_statement statement;
    fm_packed_credential *credential; /* owned */
    fm_peer *certificate;             /* owned: checks its signatures */
} member;

/* What is remembered of a name, across its sessions. */
typedef struct {
    char name[FM_NAME_MAX + 1];
    uint32_t harm; /* HARM for each time, less one for each round finished since */
    uint64_t held_until_ms;
    const char *left_for; /* why it takes part in no further round, static; NULL: it does */
    /* With groups, since the start: finished rounds, and those in which its group stood out. */
    uint32_t rounds, outlying;
    bool suspect;
} record;

/* What the round under way holds of one roster index. */
typedef struct {
    bool updated, committed, released;
    uint64_t at, until; /* bytes of its update: here, and asked for */
    fm_hasher *hasher;  /* of those that are here, owned; NULL: none came, or all have */
    fm_hash update;
    uint8_t update_signature[FM_SIGNATURE_MAX], commit_signature[FM_SIGNATURE_MAX];
    size_t update_signature_len, commit_signature_len;
} slot;

struct fm_coordinator {
    fm_coordinator_config c;
    fm_hash plan_hash;
    uint64_t now_ms; /* of the event under way */
    int64_t now_s;
    fm_coordinator_phase phase;
    uint64_t deadline_ms; /* of the phase; 0: none */
    bool overdue;         /* it has passed */
    bool tainted;         /* a participant's certificate was revoked, or ended, since it began: to
                             leave it is no harm */
    const char *broken;   /* why the round under way cannot be completed; NULL: it can */
    bool gathered;        /* a roster was made since the start: no more waiting for join_ms */
    bool waiting_noted;
    char conclusion[256]; /* why it ended early; "": it did not */

    member **members; /* [member_count], room for max_nodes */
    uint32_t member_count;

    uint64_t watched, outlying; /* survivors of rounds by groups, and those whose group stood out */
    record *records;            /* [record_count], room for record_room */
    uint32_t record_count, record_room;

    fm_session session; /* of the roster */
    fm_hash roster;
    uint32_t roster_count;   /* 0: none */
    member **roster_members; /* [max_nodes] by index; NULL once gone */
    /* Its statements were made before, and end after: no round with it finished outside of that,
     * whatever this machine's clock says. */
    int64_t roster_from_s, roster_to_s;

    uint64_t round; /* under way, or the last one; 0: none since the start */
    fm_hash model;  /* of the optimizer's weights */
    slot *slots;    /* [max_nodes] */
    uint32_t *participants, *survivors, *lost; /* [max_nodes] */
    uint32_t participant_count, survivor_count, lost_count;
    member **targets;       /* [max_nodes] and these: */
    uint64_t *peers;        /* [max_nodes] whom a message goes to */
    fm_hash *update_hashes; /* [max_nodes] of the survivors, in order */
    fm_bytes *signatures;   /* [max_nodes] likewise, borrowed from the slots: of updates, then of
                               commits */
    fm_bytes *update_signatures; /* [max_nodes] likewise, for the record */
    fm_hash commit_digest;
    fm_replay_round
        *sums;      /* owned: masked words added, then masks and surplus subtracted, by groups */
    uint8_t *block; /* [FM_COORD_BLOCK] of an update that is added */
    /* Once finished, else NULL: the weights themselves, or, owned, their average. */
    const float *result; /* [parameters] */
    float *average;
    fm_hash result_hash;
};

/* round.c */
void fm_coord_note(fm_coordinator *m, const char *fmt, ...) FM_PRINTF(2, 3);
void fm_coord_enter(fm_coordinator *m, fm_coordinator_phase phase, uint64_t for_ms);
fm_round_view fm_coord_view(const fm_coordinator *m);
uint32_t fm_coord_needed(const fm_coordinator *m); /* max(min_cohort, quorum) */

/* round_admit.c */
member *fm_coord_find(fm_coordinator *m, uint64_t peer);
void fm_coord_member_free(member **who);
FM_NODISCARD fm_status fm_coord_admit(fm_coordinator *m, uint64_t peer,
                                      const fm_credential *credential,
                                      const fm_statement *statement);
/** Every member against m->c.trust. */
FM_NODISCARD fm_status fm_coord_recheck(fm_coordinator *m);
/** Out of the books. `who` is freed. */
void fm_coord_forget(fm_coordinator *m, member *who);
/** The same; it has broken the protocol, or has just gone. `who` is freed. */
void fm_coord_lost(fm_coordinator *m, member *who, bool offence);
/** Forget the member and tell it why. `who` is freed. */
void fm_coord_drop(fm_coordinator *m, member *who, const char *fmt, ...) FM_PRINTF(3, 4);
/** The same for what no honest node does: it counts as a loss of the others. `who` is freed. */
void fm_coord_offend(fm_coordinator *m, member *who, const char *fmt, ...) FM_PRINTF(3, 4);
/** No further round with it: it leaves the roster and stays for the result. */
void fm_coord_exhaust(fm_coordinator *m, member *who, const char *reason);

/* round_send.c */
FM_NODISCARD fm_status fm_coord_send(fm_coordinator *m, const member *who, const fm_message *msg);
/** To those of the roster's members `indices` that are here. */
FM_NODISCARD fm_status fm_coord_send_all(fm_coordinator *m, const uint32_t *indices, uint32_t count,
                                         const fm_message *msg);
/** The revocation list in force, if there is one: before whatever a node has to verify by it. */
FM_NODISCARD fm_status fm_coord_send_revocations(fm_coordinator *m, member *const *list,
                                                 uint32_t count);
/**
 * To each of `list` what `fit` makes of the message for it. Those that know the same transcript
 * get one message, encoded once.
 */
FM_NODISCARD fm_status fm_coord_send_fitted(fm_coordinator *m, member *const *list, uint32_t count,
                                            void (*fit)(fm_coordinator *m, const member *who,
                                                        fm_message *msg),
                                            fm_message *msg);

/* round_records.c */
/** It was lost in the middle of something that now begins again, or broke the protocol.
 *  @param times  that it counts as. */
void fm_coord_blame(fm_coordinator *m, const char *name, uint32_t times);
/** What it withholds when all others have released costs each of them that round's budget. */
#define FM_BLAME_RELEASE 3u
/** A round finished with it: some of these make up for a loss. */
void fm_coord_forgive(fm_coordinator *m, const char *name);
/** Of this name, made if there is none; and only if there is one, else NULL. */
record *fm_coord_record_of(fm_coordinator *m, const char *name);
record *fm_coord_record_find(const fm_coordinator *m, const char *name);
/** @param why  static; NULL: it takes part again. */
void fm_coord_set_exhausted(fm_coordinator *m, const char *name, const char *why);
uint32_t fm_coord_count_exhausted(const fm_coordinator *m);
/** Whether it has done harm more than once, and not long ago. */
bool fm_coord_is_barred(const fm_coordinator *m, const char *name);
/** Whether it has to wait before the next roster takes it in. */
bool fm_coord_is_held(const fm_coordinator *m, const member *who);

/* round_members.c */
void fm_coord_take_join(fm_coordinator *m, member *who, const fm_msg_join *j);
FM_NODISCARD fm_status fm_coord_take_plan_answer(fm_coordinator *m, member *who,
                                                 const fm_msg_plan_answer *a);
void fm_coord_take_roster_answer(fm_coordinator *m, member *who, const fm_msg_roster_answer *a);
/** Between rounds: a new roster when someone is waiting, else the next round, else wait. */
FM_NODISCARD fm_status fm_coord_settle_members(fm_coordinator *m);
FM_NODISCARD fm_status fm_coord_settle_roster(fm_coordinator *m);

/* round_pieces.c */
FM_NODISCARD fm_status fm_coord_take_model_want(fm_coordinator *m, member *who,
                                                const fm_msg_model_want *w);
FM_NODISCARD fm_status fm_coord_take_update_piece(fm_coordinator *m, member *who,
                                                  const fm_msg_update_piece *u);
FM_NODISCARD fm_status fm_coord_take_update(fm_coordinator *m, member *who,
                                            const fm_msg_masked_update *u);
/** What came of an update that is not whole is of no use any more. */
void fm_coord_drop_pieces(fm_coordinator *m, uint32_t index);
bool fm_coord_keep_signature(uint8_t to[FM_SIGNATURE_MAX], size_t *len, fm_bytes from);

/* round_phases.c */
FM_NODISCARD fm_status fm_coord_start_round(fm_coordinator *m);
void fm_coord_take_commit(fm_coordinator *m, member *who, const fm_msg_commit *c);
void fm_coord_take_refusal(fm_coordinator *m, member *who, const fm_msg_abandon *a);
/** The slot of a message about the round under way; NULL when there is nothing more to do: the
 *  message was late, or could not be, and the member was dropped for it. */
slot *fm_coord_slot(fm_coordinator *m, member *who, uint64_t round, fm_msg_type type);
FM_NODISCARD fm_status fm_coord_settle_updates(fm_coordinator *m);
FM_NODISCARD fm_status fm_coord_settle_commits(fm_coordinator *m);

/* round_record.c */
/** Encode and sign the entry of the round that `e` finishes. @param out  empty. */
FM_NODISCARD fm_status fm_coord_record(fm_coordinator *m, const fm_transcript_entry *e,
                                       const fm_hash *model_before, fm_buf *out);

/* round_watch.c */
/** Count whose groups stood out, and tell when that is no chance. */
void fm_coord_watch(fm_coordinator *m, const fm_replay_outliers *o);

/* round_finish.c */
FM_NODISCARD fm_status fm_coord_take_release(fm_coordinator *m, member *who,
                                             const fm_msg_release *r);
FM_NODISCARD fm_status fm_coord_settle_releases(fm_coordinator *m);
FM_NODISCARD fm_status fm_coord_abandon(fm_coordinator *m, const char *reason);
/** Drop the survivors that did not do their part in time, abandon the round. */
FM_NODISCARD fm_status fm_coord_late(fm_coordinator *m, const char *part,
                                     bool (*done)(const slot *s));
/** No further round: the result to all who approved the plan. */
FM_NODISCARD fm_status fm_coord_conclude(fm_coordinator *m);
/** To those of `list`. */
FM_NODISCARD fm_status fm_coord_send_finish(fm_coordinator *m, member *const *list, uint32_t count);

#endif
