/* The checkpoint file of the aggregator's state; state.c keeps the database beside it. */
#ifndef FEDMOE_AGGREGATOR_STATE_INTERNAL_H
#define FEDMOE_AGGREGATOR_STATE_INTERNAL_H

#include <sqlite3.h>

#include "fedmoe/aggregator/state.h"

#define FM_CHECKPOINT_FILE "checkpoint.safetensors"

/** What the checkpoint says of itself. */
typedef struct {
    fm_hash plan;
    uint64_t finished; /* count of finished rounds, this one included */
    fm_hash head;      /* after `entry` */
    fm_transcript_entry entry;
    fm_bytes record; /* of the same round (proto/entry.h), borrowed; may be empty */
} fm_checkpoint_note;

FM_NODISCARD fm_status fm_checkpoint_write(const char *path, const fm_safetensors *like,
                                           const fm_optimizer *o, const fm_checkpoint_note *note);

/** A checkpoint that was read and found whole, but not yet taken over. */
typedef struct {
    fm_checkpoint_note note; /* its record borrows from the file */
    uint64_t steps, averaged;
    fm_safetensors *file; /* owned */
} fm_checkpoint;

/**
 * @param o  only to compare shapes with.
 * @return FM_OK; FM_ENOTFOUND when there is none; FM_ESTATE when it is of another plan; FM_EPROTO
 *         when it is no checkpoint of this model, or damaged.
 */
FM_NODISCARD fm_status fm_checkpoint_load(const char *path, const fm_hash *plan,
                                          const fm_optimizer *o, fm_checkpoint *out);
void fm_checkpoint_apply(const fm_checkpoint *c, fm_optimizer *o);
void fm_checkpoint_fini(fm_checkpoint *c);

/** Remove what kills in the middle of fm_checkpoint_write left in `dir`, as far as possible. */
void fm_checkpoint_sweep(const char *dir);

/* ---- state_marks.c: the newest ledger mark of each node ---- */

typedef struct {
    char name[FM_NAME_MAX + 1];
    uint64_t round;
    fm_hash head;
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t signature_len;
    bool due; /* not in the database yet */
} fm_state_mark;

typedef struct {
    fm_state_mark *marks; /* [count], room for `room` */
    size_t count, room;
    bool due; /* some of them */
} fm_state_marks;

FM_NODISCARD fm_status fm_state_marks_keep(fm_state_marks *t, const char *name,
                                           const fm_ledger_mark *mark);
const fm_state_mark *fm_state_marks_find(const fm_state_marks *t, const char *name);
/** FM_EPROTO a damaged one; FM_EIO with SQLite's words. */
FM_NODISCARD fm_status fm_state_marks_load(sqlite3 *db, fm_state_marks *t);
/** Those that are due, in the open transaction; fm_state_marks_settled after its commit. */
FM_NODISCARD fm_status fm_state_marks_write(sqlite3 *db, const fm_state_marks *t);
void fm_state_marks_settled(fm_state_marks *t);
void fm_state_marks_fini(fm_state_marks *t);

/** What to do about the database's last failure, to stand at the end of its text: fm_file_advice.
 *  @param last  errno of just then: SQLite forgets that of a failed write to its log. */
const char *fm_db_advice(sqlite3 *db, int last);

/* ---- state_audit.c: records of finished rounds, rosters of their sessions ---- */

typedef struct {
    fm_session session;
    fm_buf roster;   /* encoded Roster message of that session */
    bool roster_due; /* not in the database yet */
    fm_session record_session;
    fm_buf record; /* of the last finished round, while it is not in the database */
} fm_state_audit;

FM_NODISCARD fm_status fm_state_audit_roster(fm_state_audit *a, const fm_session *session,
                                             fm_bytes roster);
/** FM_EPROTO, FM_EINVAL for what is not an entry of the round; an empty one is passed over. */
FM_NODISCARD fm_status fm_state_audit_stage(fm_state_audit *a, uint64_t round, fm_bytes record);
/** What is due, in the open transaction; fm_state_audit_settled after its commit.
 *  @param pending  the round whose record is due; 0: none. */
FM_NODISCARD fm_status fm_state_audit_write(sqlite3 *db, const fm_state_audit *a, uint64_t pending);
void fm_state_audit_settled(fm_state_audit *a); /* also its end */
FM_NODISCARD fm_status fm_state_audit_each(sqlite3 *db, fm_state_take_record *take, void *ctx);
FM_NODISCARD fm_status fm_state_audit_read_roster(sqlite3 *db, const fm_session *session,
                                                  fm_buf *out);

/* ---- state_held.c ---- */

fm_state_held fm_state_held_of(const fm_optimizer *o);
/** Of a round that is not there yet, in the open transaction; nothing without a loss. */
FM_NODISCARD fm_status fm_state_held_write(sqlite3 *db, uint64_t round, const fm_state_held *h);
FM_NODISCARD fm_status fm_state_held_read(sqlite3 *db, uint64_t round, fm_state_held *out);

#endif
