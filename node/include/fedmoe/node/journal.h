/*
 * What the node must never forget: which rounds it used, committed and released, and how far it
 * knows the transcript. SQLite, WAL, synced; one row a round, keyed by (federation, plan, round).
 * What returned FM_OK survives kill -9. Uses and commits survive a power cut too. Releases and
 * heads are synced with the next use or commit: what a power cut takes back of them guards nothing,
 * since the seeds of a release live in memory only, its charge is a synced entry of the ledger that
 * cannot be made twice, and an older head is only a shorter history that must still be extended.
 */
#ifndef FEDMOE_NODE_JOURNAL_H
#define FEDMOE_NODE_JOURNAL_H

#include <stdbool.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/status.h"

typedef struct fm_journal fm_journal;

/** Behind what SQLite says of a damaged file. */
#define FM_JOURNAL_RESTORE \
    "; the file is damaged: restore it and the ledger (ledger.db) together, from the same backup"

FM_NODISCARD fm_status fm_journal_open(const char *path, const char *federation,
                                       const fm_hash *plan, fm_journal **out);
void fm_journal_close(fm_journal **j);

typedef struct {
    uint64_t last_used;      /* 0: none; an update may only be made for a greater round */
    uint64_t finished_round; /* last round known to be in the transcript; 0: none */
    fm_hash head;            /* transcript head after it; zero: none */
} fm_journal_state;
FM_NODISCARD fm_status fm_journal_state_get(fm_journal *j, fm_journal_state *out);

/** Rounds released under any plan and federation that this file ever served. */
FM_NODISCARD fm_status fm_journal_released(fm_journal *j, uint64_t *count);

/**
 * The same of a file that is not opened for writing, so that a report may look while the node works.
 * @return FM_OK; FM_ENOTFOUND; FM_EPERM mode too wide; FM_EIO, also for what is no journal.
 */
FM_NODISCARD fm_status fm_journal_read_released(const char *path, uint64_t *count);

typedef struct {
    uint64_t round;
    fm_hash digest; /* that it committed to */
    bool released;  /* and released */
    bool abandoned; /* after that: the transcript that this node was shown leaves it out */
} fm_journal_row;

/**
 * All rounds of a plan that have a commit, by round, and the state; of a file
 * that is not opened for writing, as above. Nothing is made up for a plan that it does not know.
 * @param rows  out, [*count], owned by the caller: free(); NULL when there are none.
 * @return as fm_journal_read_released; FM_EPROTO a damaged row; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_journal_read_rounds(const char *path, const char *federation,
                                              const fm_hash *plan, fm_journal_row **rows,
                                              size_t *count, fm_journal_state *state);

/** Digest that `round` was released with; *found false when it was not released. */
FM_NODISCARD fm_status fm_journal_released_commit(fm_journal *j, uint64_t round, bool *found,
                                                  fm_hash *digest);

/** The plan's secret, random and the same ever after: by which records are held out. A backup takes
 *  it along; without one there is another, and records that were trained on may judge. */
FM_NODISCARD fm_status fm_journal_secret(fm_journal *j, uint8_t out[16]);

/** FM_EREPLAY unless round > every round used before. */
FM_NODISCARD fm_status fm_journal_use(fm_journal *j, uint64_t round);
/** Its update is about to leave: a line for who asks what left. Not synced; it guards nothing. */
FM_NODISCARD fm_status fm_journal_sent(fm_journal *j, uint64_t round, const fm_hash *hash,
                                       uint64_t bytes);

typedef struct {
    char federation[64];
    fm_hash plan, hash; /* of the update: masked and noised */
    uint64_t round, bytes;
    int64_t sent_s, released_s; /* released_s 0: its mask never left */
    bool abandoned;             /* released, and then lost */
} fm_journal_sent_row;

/**
 * The newest of what left, newest first, under any plan; of a file that is not opened for writing.
 * @param rows   out, room for `room`; *count of them are filled.
 * @param total  out: how many updates ever left, as far as this file has noted them, and their bytes.
 * @return as fm_journal_read_released; FM_EPROTO a damaged row.
 */
FM_NODISCARD fm_status fm_journal_read_sent(const char *path, fm_journal_sent_row *rows,
                                            size_t room, size_t *count, uint64_t total[2]);

/** FM_EREPLAY when the round has a commit already (even the same); FM_ESTATE when never used. */
FM_NODISCARD fm_status fm_journal_commit(fm_journal *j, uint64_t round, const fm_hash *digest);
/** FM_EREPLAY when released already; FM_ESTATE unless committed with this digest. */
FM_NODISCARD fm_status fm_journal_release(fm_journal *j, uint64_t round, const fm_hash *digest);
/** The least round above `after` and below `before` that was released; *found false: none. */
FM_NODISCARD fm_status fm_journal_next_released(fm_journal *j, uint64_t after, uint64_t before,
                                                bool *found, uint64_t *round);
/** A released round that the transcript leaves out; *fresh: it was not recorded as such before.
 *  Not synced: what a power cut takes back has to be looked up in the log. */
FM_NODISCARD fm_status fm_journal_abandon(fm_journal *j, uint64_t round, bool *fresh);
/** How many decisions of people (decision.h) were there when it was last looked, and the hash of the
 *  last; 0: none. Of the folder, not of a plan. */
FM_NODISCARD fm_status fm_journal_decisions(fm_journal *j, uint64_t *count, fm_hash *head);
/** Note it, synced; FM_EREPLAY when there were more already. */
FM_NODISCARD fm_status fm_journal_note_decisions(fm_journal *j, uint64_t count,
                                                 const fm_hash *head);

#define FM_JOURNAL_TEXT_MAX 255
/** Somebody has declared the decisions lost, and all that were made void: the count begins anew. */
typedef struct {
    uint64_t times; /* which it is, from 1; 0: there is none, and all else is zero */
    int64_t at_s;
    uint64_t count; /* decisions that were known then */
    char by[FM_JOURNAL_TEXT_MAX + 1], why[FM_JOURNAL_TEXT_MAX + 1];
} fm_journal_voided;
/** The last one. */
FM_NODISCARD fm_status fm_journal_voided_get(fm_journal *j, fm_journal_voided *out);
/** Likewise of a file that is not opened for writing. @param which  from 1; 0: the last one */
FM_NODISCARD fm_status fm_journal_read_voided(const char *path, uint64_t which,
                                              fm_journal_voided *out);
/** Note that, synced: no decision is known any more. The line stays for ever. @param what  times and
 *  count are not looked at. FM_ENOTFOUND no journal; FM_EPERM, FM_EIO. */
FM_NODISCARD fm_status fm_journal_void_decisions(const char *path, const fm_journal_voided *what);

/** As fm_journal_decisions, of a file that is not opened for writing. FM_ENOTFOUND, FM_EPERM, FM_EIO. */
FM_NODISCARD fm_status fm_journal_read_decisions(const char *path, uint64_t *count, fm_hash *head);
/** The transcript is known up to here; FM_EREPLAY when round goes backwards. */
FM_NODISCARD fm_status fm_journal_head(fm_journal *j, uint64_t round, const fm_hash *head);

#endif
