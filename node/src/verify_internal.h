/* The check of a bundle under way, shared by verify*.c. */
#ifndef FEDMOE_NODE_VERIFY_INTERNAL_H
#define FEDMOE_NODE_VERIFY_INTERNAL_H

#include "fedmoe/certs/past.h"
#include "fedmoe/node/journal.h"
#include "fedmoe/node/verify.h"
#include "fedmoe/proto/bundle.h"
#include "fedmoe/replay/round.h"

typedef struct {
    fm_peer *peer; /* owned */
    size_t member; /* in the report */
    int64_t made_s, not_after_s, revoked_s;
} verify_place;

typedef struct {
    const fm_verify_options *o;
    fm_trust *trust;
    fm_bundle_reader *reader;
    fm_bundle_section at; /* the section that was read last */
    fm_verify_report report;

    /* the roster that counts */
    verify_place *places; /* [count] owned */
    uint32_t count;
    fm_session session;
    fm_hash roster;

    /* the round that was checked last */
    fm_buf bytes;    /* of its entry */
    fm_entry *entry; /* borrows from bytes; free */
    fm_hash commit;
    fm_hash head, model;

    /* what the next model is computed from; optimizer NULL: cannot be */
    fm_optimizer *optimizer;
    fm_replay_round *sums;

    /* the node's own books */
    fm_journal_row *rows; /* [row_count] owned, by round */
    size_t row_count;
    bool *seen; /* [row_count] in the bundle */
    fm_journal_state journal;
    bool met; /* the bundle had the head that the journal knows */
} verification;

/** The text behind file, section and round: "run.audit: section 7 (entry of round 3), FIELD: WHY" */
#define fm_verify_fail(v, st, field, ...) \
    (fm_error_record((st), __VA_ARGS__), fm_verify_place((v), (st), (field)))
/** The same in front of the text that there is. */
fm_status fm_verify_place(const verification *v, fm_status st, const char *field);

/* verify_entry.c */
FM_NODISCARD fm_status fm_verify_roster(verification *v);
FM_NODISCARD fm_status fm_verify_entry(verification *v);
FM_NODISCARD fm_status fm_verify_seal(verification *v);
void fm_verify_forget_roster(verification *v);

/* verify_sum.c */
/** The first model: what the sums will be added to. */
FM_NODISCARD fm_status fm_verify_model(verification *v);
/** One update (of the survivor at `i`), or its seeds. */
FM_NODISCARD fm_status fm_verify_update(verification *v, uint32_t i);
FM_NODISCARD fm_status fm_verify_seeds(verification *v, uint32_t i);
/** All of them were there: the step. */
FM_NODISCARD fm_status fm_verify_step(verification *v);
/** They were not: no later model can be recomputed. */
void fm_verify_gap(verification *v);

/* verify_journal.c */
FM_NODISCARD fm_status fm_verify_journal_open(verification *v);
FM_NODISCARD fm_status fm_verify_journal_entry(verification *v);
FM_NODISCARD fm_status fm_verify_journal_end(verification *v);

#endif
