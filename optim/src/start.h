/* start.c: the statistics round. */
#ifndef FEDMOE_OPTIM_START_INTERNAL_H
#define FEDMOE_OPTIM_START_INTERNAL_H

#include <stdbool.h>

#include "fedmoe/optim/optimizer.h"

/* Whether the spec's center, and its statistics round, have what they need among so many weights. */
bool fm_optim_start_fits(const fm_optimizer_spec *s, size_t weights);
/* Whether the next step is the statistics round. */
bool fm_optim_start_due(const fm_optimizer *o);
/* That step. @param m  float32[start_count], the sum there. @param bias_sum  the sum at start_bias.
 * @return false, with nothing changed, when it would leave the float32 numbers. */
bool fm_optim_start(fm_optimizer *o, const float *m, float bias_sum);

#endif
