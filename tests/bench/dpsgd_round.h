/* A round of a whole training (fedmoe-model train), of the shapes of dpsgd: sampling, the step by one
 * thread, a release with noise and mask, its opening, the optimizer. */
#ifndef FEDMOE_BENCH_DPSGD_ROUND_H
#define FEDMOE_BENCH_DPSGD_ROUND_H

#include "dpsgd_step.h"

#define DPSGD_ROUNDS 200u

/** Mean seconds of the fastest ten rounds in a row out of DPSGD_ROUNDS, of DPSGD_BATCH records as
 *  expected. @param noise_multiplier  0: without noise. */
FM_NODISCARD fm_status dpsgd_round(const dpsgd_learner *l, size_t experts, double noise_multiplier,
                                   double *out);

#endif
