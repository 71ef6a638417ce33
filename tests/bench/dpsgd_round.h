/* Rounds of a whole training (fedmoe-model train), of the MoE of dpsgd: sampling, the step, noise,
 * the opened sum, the optimizer. With few and many experts, records and threads. */
#ifndef FEDMOE_BENCH_DPSGD_ROUND_H
#define FEDMOE_BENCH_DPSGD_ROUND_H

#include "dpsgd_step.h"

typedef struct {
    size_t experts, batch; /* batch: as expected */
    unsigned threads;
    double best_s; /* of a round; 0: not measured */
} dpsgd_training;

#define DPSGD_TRAININGS 5
extern const dpsgd_training dpsgd_trainings[DPSGD_TRAININGS];

/** Mean seconds of the fastest ten rounds in a row with private sums; the best of all calls.
 *  @param seconds  about how long; never less than eleven rounds. */
FM_NODISCARD fm_status dpsgd_training_measure(const dpsgd_learner *l, double seconds,
                                              dpsgd_training *t);
void dpsgd_trainings_print(const dpsgd_training all[DPSGD_TRAININGS]);

#endif
