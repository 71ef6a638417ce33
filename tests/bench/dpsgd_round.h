/* A round of a whole training (fedmoe-model train), of the shapes of dpsgd: sampling, the step by one
 * thread, a release with noise and mask, its opening, the optimizer. */
#ifndef FEDMOE_BENCH_DPSGD_ROUND_H
#define FEDMOE_BENCH_DPSGD_ROUND_H

#include "dpsgd_step.h"

#define DPSGD_ROUNDS_MAX 1000u

/** Mean seconds of the fastest ten rounds in a row, of DPSGD_BATCH records as expected and with
 *  private sums. @param rounds  of the training: raised to 11, lowered to DPSGD_ROUNDS_MAX. */
FM_NODISCARD fm_status dpsgd_round(const dpsgd_learner *l, size_t experts, size_t rounds,
                                   double *out);

#endif
