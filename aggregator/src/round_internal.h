/* The coordinator's inside, shared by the files round*.c. */
#ifndef FEDMOE_AGGREGATOR_ROUND_INTERNAL_H
#define FEDMOE_AGGREGATOR_ROUND_INTERNAL_H

#include "fedmoe/aggregator/round.h"
#include "fedmoe/dp/mask.h"

#define NO_INDEX UINT32_MAX

typedef enum { MEMBER_OFFERED, MEMBER_READY, MEMBER_REFUSED } member_state;

typedef struct {
    uint64_t peer;
    char name[FM_NAME_MAX + 1];
    member_state state;
    bool told_state;        /* Join came */
    uint64_t known_round;   /* transcript that the member surely has */
    fm_hash holds_model;    /* last model sent to it */
    uint32_t index;         /* in the roster, or NO_INDEX */
    bool acknowledged;      /* the roster */
    bool finish_sent;
    fm_credential credential;
    fm_peer *certificate;   /* owned: checks its signatures */
} member;

/* What the round under way holds of one roster index. */
typedef struct {
    bool participant, updated, committed, released;
    fm_hash update;
    uint8_t update_signature[FM_SIGNATURE_MAX], commit_signature[FM_SIGNATURE_MAX];
    size_t update_signature_len, commit_signature_len;
    uint8_t self_seed[FM_SEED_BYTES];
    uint8_t (*pair_seeds)[FM_SEED_BYTES]; /* [lost_count], owned */
} slot;

struct fm_coordinator {
    fm_coordinator_config c;
    fm_hash plan_hash;
    fm_dp_lattice lattice;
    fm_coordinator_phase phase;
    uint64_t deadline_ms;   /* of the phase; 0: none */

    member **members;       /* [member_count], room for max_nodes */
    uint32_t member_count;

    fm_session session;     /* of the roster */
    fm_hash roster;
    uint32_t roster_count;  /* 0: none */
    uint64_t *roster_peers; /* [max_nodes] peer by index; 0 once gone */

    uint64_t round;         /* under way */
    fm_hash model;          /* of the weights it is made with */
    slot *slots;            /* [max_nodes] */
    uint32_t *participants, *survivors, *lost; /* [max_nodes] */
    uint32_t participant_count, survivor_count, lost_count;
    fm_hash commit_digest;
    uint32_t *sum;          /* [parameters] masked words, added */
    float *gradient;        /* [parameters] */
};

/* round.c */
member *fm_coord_find(fm_coordinator *m, uint64_t peer);
void fm_coord_note(fm_coordinator *m, const char *fmt, ...) FM_PRINTF(2, 3);
/** Forget the member and tell it why; ends or shrinks the round it was in. */
FM_NODISCARD fm_status fm_coord_drop(fm_coordinator *m, member *who, uint64_t now_ms,
                                     const char *fmt, ...) FM_PRINTF(4, 5);
/** A failed send is the peer's loss, not ours: the link reports it as gone later. */
void fm_coord_send(fm_coordinator *m, const member *who, const fm_message *msg);
fm_round_view fm_coord_view(const fm_coordinator *m);
uint32_t fm_coord_needed(const fm_coordinator *m); /* max(min_cohort, quorum) */

/* round_members.c */
FM_NODISCARD fm_status fm_coord_take_join(fm_coordinator *m, member *who, const fm_msg_join *j,
                                          uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_take_plan_answer(fm_coordinator *m, member *who,
                                                 const fm_msg_plan_answer *a, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_take_roster_answer(fm_coordinator *m, member *who,
                                                   const fm_msg_roster_answer *a,
                                                   uint64_t now_ms);
/** Between rounds: a new roster when someone is waiting, else the next round, else wait. */
FM_NODISCARD fm_status fm_coord_go_on(fm_coordinator *m, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_roster_deadline(fm_coordinator *m, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_members_deadline(fm_coordinator *m, uint64_t now_ms);

/* round_phases.c */
FM_NODISCARD fm_status fm_coord_start_round(fm_coordinator *m, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_take_update(fm_coordinator *m, member *who,
                                            const fm_msg_masked_update *u, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_take_refusal(fm_coordinator *m, member *who,
                                             const fm_msg_abandon *a, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_take_commit(fm_coordinator *m, member *who,
                                            const fm_msg_commit *c, uint64_t now_ms);
/** A participant is lost: its update was not, or will not be, completed. */
FM_NODISCARD fm_status fm_coord_lose(fm_coordinator *m, uint32_t index, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_updates_deadline(fm_coordinator *m, uint64_t now_ms);

/* round_finish.c */
FM_NODISCARD fm_status fm_coord_take_release(fm_coordinator *m, member *who,
                                             const fm_msg_release *r, uint64_t now_ms);
FM_NODISCARD fm_status fm_coord_abandon(fm_coordinator *m, uint64_t now_ms, const char *reason);
/** Commits or releases did not all come: drop those that are missing, abandon the round. */
FM_NODISCARD fm_status fm_coord_late(fm_coordinator *m, uint64_t now_ms);
void fm_coord_send_finish(fm_coordinator *m, member *who);
void fm_coord_clear_round(fm_coordinator *m);

#endif
