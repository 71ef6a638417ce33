#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_config,        suite_diabetes,      suite_driver,       suite_journal,
        suite_journal_crash, suite_kill_sweep,    suite_policy,       suite_program,
        suite_report,        suite_round,         suite_round_commit, suite_round_effects,
        suite_round_matrix,  suite_round_restart, suite_round_roster, suite_round_start,
        suite_step,          suite_step_query,    suite_step_unit,    suite_step_unit_fast,
        suite_words,         suite_round_revoke,  suite_round_pieces, suite_round_successor,
        suite_round_pause,   suite_page,          suite_pause,        suite_decision,
        suite_round_decide,  suite_local,         suite_draft_charge,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
