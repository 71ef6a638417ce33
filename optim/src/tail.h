/* The tail of the vector: load biases and the clip norm, moved by noised counts. */
#ifndef FEDMOE_OPTIM_TAIL_H
#define FEDMOE_OPTIM_TAIL_H

#include <stdbool.h>

#include "fedmoe/optim/optimizer.h"

#define FM_OPTIM_HELD 2 /* places of the loss: of the window under way, and of the one before */

/** Where in the tail the clip norm is, when it has a place, and where what is held out begins. */
static inline size_t fm_optim_tail_clip(const fm_optimizer_spec *s)
{
    return s->load_groups * s->load_experts;
}
static inline size_t fm_optim_tail_held(const fm_optimizer_spec *s)
{
    return fm_optim_tail_clip(s) + (s->clip_quantile > 0.0);
}

/** Ordinary steps taken: those after the statistics round. */
static inline uint64_t fm_optim_ordinary(const fm_optimizer *o)
{
    return o->steps - (o->spec.start_scale > 0.0 && o->steps > 0);
}

/** Where the tail would be after this step, into o->next_tail. @param sum float32[o->tail].
 *  False when a value would not be finite. */
bool fm_optim_tail_next(fm_optimizer *o, const float *sum);

#endif
