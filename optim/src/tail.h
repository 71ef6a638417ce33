/* The tail of the vector: load biases and the clip norm, moved by noised counts. */
#ifndef FEDMOE_OPTIM_TAIL_H
#define FEDMOE_OPTIM_TAIL_H

#include <stdbool.h>

#include "fedmoe/optim/optimizer.h"

/** Where the tail would be after this step, into o->next_tail. @param sum float32[o->tail].
 *  False when a value would not be finite. */
bool fm_optim_tail_next(fm_optimizer *o, const float *sum);

#endif
