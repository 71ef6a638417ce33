/*
 * What the aggregator must not lose: state.db (SQLite, WAL, synced: round numbers given out, the
 * transcript) and checkpoint.safetensors (weights, optimizer state, and in its metadata the round,
 * head and transcript entry, so that either file alone tells whether the other is behind).
 */
#ifndef FEDMOE_AGGREGATOR_STATE_H
#define FEDMOE_AGGREGATOR_STATE_H

#include "fedmoe/aggregator/optimizer.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/proto/digest.h"

typedef struct fm_state fm_state;

/** Open or create in `dir`; refuses (FM_ESTATE) a directory that belongs to another plan. On a
 *  checkpoint, *o is brought to it; a transcript one entry behind is repaired from it. */
FM_NODISCARD fm_status fm_state_open(const char *dir, const fm_hash *plan,
                                     const fm_safetensors *like, fm_optimizer *o, fm_state **out);
void fm_state_close(fm_state **s);

uint64_t fm_state_finished(const fm_state *s);   /* finished rounds, a count */
uint64_t fm_state_last_round(const fm_state *s); /* greatest finished round number; 0: none */
fm_hash fm_state_head(const fm_state *s);
/** A round number never given before, durable before it is returned. */
FM_NODISCARD fm_status fm_state_next_round(fm_state *s, uint64_t *round);
/** Entries after `round` (all when 0); borrowed until the next call that changes the state. */
void fm_state_entries(const fm_state *s, uint64_t round, const fm_transcript_entry **entries,
                      uint32_t *count);
/** Checkpoint, then transcript; durable when FM_OK. */
FM_NODISCARD fm_status fm_state_finish_round(fm_state *s, const fm_transcript_entry *e,
                                             const fm_optimizer *o);

#endif
