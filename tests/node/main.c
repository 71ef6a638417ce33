#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_config,      suite_policy,       suite_journal,       suite_journal_crash,
        suite_step,        suite_round,        suite_round_matrix,  suite_round_roster,
        suite_round_start, suite_round_commit, suite_round_effects, suite_round_restart,
        suite_program,     suite_driver,       suite_kill_sweep,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
