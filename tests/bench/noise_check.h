/* Statistics of many samples: the part of the benchmark that is a test. */
#ifndef FEDMOE_TESTS_BENCH_NOISE_CHECK_H
#define FEDMOE_TESTS_BENCH_NOISE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/status.h"

/** n samples of each sigma; prints every statistic. @return FM_EINTERNAL when one is off. */
FM_NODISCARD fm_status bench_noise_check(size_t n);

/** Prints what fm_dp_release_make costs a coordinate; quick: the smaller update alone. */
FM_NODISCARD fm_status bench_noise_release(bool quick);

#endif
