/* The checkpoint file of the aggregator's state; state.c keeps the database beside it. */
#ifndef FEDMOE_AGGREGATOR_STATE_INTERNAL_H
#define FEDMOE_AGGREGATOR_STATE_INTERNAL_H

#include "fedmoe/aggregator/state.h"

#define FM_CHECKPOINT_FILE "checkpoint.safetensors"

/** What the checkpoint says of itself. */
typedef struct {
    fm_hash plan;
    uint64_t finished; /* count of finished rounds, this one included */
    fm_hash head;      /* after `entry` */
    fm_transcript_entry entry;
} fm_checkpoint_note;

FM_NODISCARD fm_status fm_checkpoint_write(const char *path, const fm_safetensors *like,
                                           const fm_optimizer *o, const fm_checkpoint_note *note);

/** A checkpoint that was read and found whole, but not yet taken over. */
typedef struct {
    fm_checkpoint_note note;
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

#endif
