/* The suites of this folder. */
#ifndef FEDMOE_TESTS_TRAIN_SUITES_H
#define FEDMOE_TESTS_TRAIN_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_held, suite_memory, suite_personal, suite_program, suite_run,
    suite_scores, suite_scratch, suite_start, suite_state, suite_step, suite_teacher, suite_texts,
    suite_texts_run;

#endif
