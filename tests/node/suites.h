#ifndef FEDMOE_TESTS_NODE_SUITES_H
#define FEDMOE_TESTS_NODE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_config, suite_diabetes, suite_draft_charge, suite_driver,
    suite_journal, suite_journal_crash, suite_kill_sweep, suite_local, suite_policy, suite_program,
    suite_report, suite_round, suite_round_commit, suite_round_effects, suite_round_matrix,
    suite_round_pieces, suite_round_restart, suite_round_revoke, suite_round_roster,
    suite_round_start, suite_round_successor, suite_step, suite_step_query, suite_step_unit,
    suite_step_unit_fast, suite_words, suite_round_pause, suite_page, suite_pause, suite_decision,
    suite_round_decide;

#endif
