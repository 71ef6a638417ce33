#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_sqlite, suite_fhir };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
