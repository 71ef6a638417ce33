/* The checkpoint file of the aggregator's state; state.c keeps the database beside it. */
#ifndef FEDMOE_AGGREGATOR_STATE_INTERNAL_H
#define FEDMOE_AGGREGATOR_STATE_INTERNAL_H

#include "fedmoe/aggregator/state.h"

/** What the checkpoint says of itself. */
typedef struct {
    fm_hash plan;
    uint64_t finished; /* count of finished rounds, this one included */
    fm_hash head;      /* after `entry` */
    fm_transcript_entry entry;
} fm_checkpoint_note;

FM_NODISCARD fm_status fm_checkpoint_write(const char *path, const fm_safetensors *like,
                                           const fm_optimizer *o, const fm_checkpoint_note *note);
/** FM_ENOTFOUND when there is none; FM_EPROTO when it is no checkpoint of this model. On any
 *  error *o is unchanged. */
FM_NODISCARD fm_status fm_checkpoint_read(const char *path, fm_optimizer *o,
                                          fm_checkpoint_note *note);

#endif
