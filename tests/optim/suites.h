/* The suites of this folder. */
#ifndef FEDMOE_TESTS_OPTIM_SUITES_H
#define FEDMOE_TESTS_OPTIM_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_auc, suite_defaults, suite_local, suite_optimizer, suite_robust,
    suite_schedule, suite_start, suite_tail;

#endif
