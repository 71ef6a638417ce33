#ifndef FEDMOE_TESTS_NODE_SUITES_H
#define FEDMOE_TESTS_NODE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_round, suite_round_matrix, suite_round_roster, suite_round_start,
    suite_round_commit, suite_round_effects, suite_round_restart, suite_journal,
    suite_journal_crash, suite_kill_sweep, suite_policy, suite_config, suite_step, suite_program,
    suite_driver;

#endif
