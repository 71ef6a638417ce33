#include "desk.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_bundle, suite_hostile, suite_journal, suite_times };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
