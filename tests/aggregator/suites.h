/* The suites of this folder. */
#ifndef FEDMOE_TESTS_AGGREGATOR_SUITES_H
#define FEDMOE_TESTS_AGGREGATOR_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_config, suite_config_words, suite_directory, suite_enrol,
    suite_enrol_kill, suite_query, suite_round, suite_round_faults, suite_round_garbage,
    suite_round_matrix, suite_round_members, suite_round_random, suite_round_records,
    suite_round_release, suite_round_robust, suite_spool, suite_state, suite_state_kill;

#endif
