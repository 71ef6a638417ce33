/* The defaults against their neighbours. */
#ifndef FEDMOE_BENCH_TABULAR_AROUND_H
#define FEDMOE_BENCH_TABULAR_AROUND_H

#include "tabular_train.h"

/**
 * Print AUC at the defaults, and how it changes when learning rate, clip norm or number of rounds is
 * half or twice the default's, the others as they are.
 * @param units    train on the first so many; 0: all of them.
 * @param epsilon  0: 1, 8 and none, one after the other.
 * @return FM_OK; *skipped when the shared data is not there.
 */
FM_NODISCARD fm_status tabular_around(const tabular_set *s, uint64_t seeds, size_t units,
                                      unsigned threads, double epsilon, bool *skipped);

#endif
