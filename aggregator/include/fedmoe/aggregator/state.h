/*
 * What the aggregator must not lose: state.db (SQLite, WAL, synced: round numbers given out, the
 * transcript) and checkpoint.safetensors (weights, optimizer state, and in its metadata the round,
 * head and transcript entry, so that either file alone tells whether the other is behind).
 *
 * A finished round is durable with its checkpoint alone; its line in state.db may follow while the
 * nodes compute the next round (fm_state_settle), because the checkpoint brings it along. The
 * ledger marks of the nodes follow with it: what a crash takes of them is those of the last round,
 * and each node then finds an older one of its own, which it can check all the same.
 *
 * For those who were not there it keeps a signed record of each finished round (the checkpoint
 * brings it along, too) and the roster of each session that has one: never more records than rounds, nor
 * more than one roster without a round.
 */
#ifndef FEDMOE_AGGREGATOR_STATE_H
#define FEDMOE_AGGREGATOR_STATE_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/optim/auc.h"
#include "fedmoe/proto/digest.h"

typedef struct fm_state fm_state;

/**
 * Open or create in `dir`. On a checkpoint, *o is brought to it; a transcript one entry behind is
 * repaired from it.
 *
 * @param like  the model, for names and shapes of tensors; borrowed until the close.
 * @return FM_OK; FM_ESTATE a directory of another plan, or files that do not belong together, or
 *         another aggregator at work in it; FM_EPROTO a damaged file; FM_EIO; FM_ENOMEM. On error
 *         *o is unchanged.
 */
FM_NODISCARD fm_status fm_state_open(const char *dir, const fm_hash *plan,
                                     const fm_safetensors *like, fm_optimizer *o, fm_state **out);
/** Settles first, as far as it can. */
void fm_state_close(fm_state **s);

uint64_t fm_state_finished(const fm_state *s);   /* finished rounds, a count */
uint64_t fm_state_last_round(const fm_state *s); /* greatest finished round number; 0: none */
fm_hash fm_state_head(const fm_state *s);
/** A round number never given before, durable before it is returned. No writing after a settle. */
FM_NODISCARD fm_status fm_state_next_round(fm_state *s, uint64_t *round);
/** Entries after `round` (all when 0); borrowed until the next fm_state_finish_round. */
void fm_state_entries(const fm_state *s, uint64_t round, const fm_transcript_entry **entries,
                      uint32_t *count);
/**
 * Durable when FM_OK: the checkpoint, which brings entry and record along.
 * @param record  what the entry stands for (proto/entry.h), copied; empty: none is kept.
 * @return also FM_EPROTO, FM_EINVAL for a record that is none of this round.
 */
FM_NODISCARD fm_status fm_state_finish_round(fm_state *s, const fm_transcript_entry *e,
                                             fm_bytes record, const fm_optimizer *o);
/**
 * The roster of the session that begins, an encoded Roster message (copied): durable before a round
 * finishes, or with the next settle. Those of sessions without a finished round are forgotten.
 */
FM_NODISCARD fm_status fm_state_keep_roster(fm_state *s, const fm_session *session,
                                            fm_bytes roster);

/** `record` is borrowed for the call; empty when the round has none. */
typedef fm_status fm_state_take_record(void *ctx, uint64_t round, fm_bytes record);
/** The records of all finished rounds in order, as far as they are settled; ends at a failure. */
FM_NODISCARD fm_status fm_state_each_record(fm_state *s, fm_state_take_record *take, void *ctx);
/** Of units held out, after a round: the loss as a share of the largest that counts, and the AUC; NaN for
 *  what was not known. */
typedef struct {
    double loss;
    fm_auc auc;
} fm_state_held;
/** What was known after a settled round; of others, NaN. FM_EIO. */
FM_NODISCARD fm_status fm_state_find_held(fm_state *s, uint64_t round, fm_state_held *out);
/** Append the roster of a session to `out`; FM_EPROTO when it is not there. */
FM_NODISCARD fm_status fm_state_read_roster(fm_state *s, const fm_session *session, fm_buf *out);
/**
 * One transaction, if anything is left to write: the transcript entry of the last finished round,
 * new ledger marks, and the next round number, given out in advance. To be called when nobody waits
 * for it.
 */
FM_NODISCARD fm_status fm_state_settle(fm_state *s);

/**
 * The newest ledger mark of the node `name` (1..FM_NAME_MAX bytes), in place of the one before;
 * copied. Durable with the next settle. FM_EINVAL; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_state_keep_mark(fm_state *s, const char *name,
                                          const fm_ledger_mark *mark);
/** False when the node has none; otherwise *out borrows until the next fm_state_keep_mark. */
bool fm_state_find_mark(const fm_state *s, const char *name, fm_ledger_mark *out);

/**
 * Bring *o to the checkpoint in `dir`, for reading only, also while an aggregator runs there.
 * @param finished  out: rounds that went into it. @param head  out: of the transcript after them.
 * @return FM_OK; FM_ENOTFOUND none yet; FM_ESTATE of another plan; FM_EPROTO damaged.
 */
FM_NODISCARD fm_status fm_state_peek(const char *dir, const fm_hash *plan, fm_optimizer *o,
                                     uint64_t *finished, fm_hash *head);

#endif
