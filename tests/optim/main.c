#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_defaults, suite_local, suite_optimizer, suite_robust,
                                     suite_schedule, suite_start, suite_tail,      suite_auc };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
