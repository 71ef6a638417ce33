#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_config,        suite_config_words, suite_directory,     suite_query,
        suite_round,         suite_round_faults, suite_round_garbage, suite_round_matrix,
        suite_round_members, suite_round_random, suite_round_records, suite_round_release,
        suite_spool,         suite_state,        suite_state_kill,    suite_enrol,
        suite_enrol_kill,    suite_round_robust,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
