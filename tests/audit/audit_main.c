#include "fm_test.h"

extern const fm_test_suite suite_audit_step, suite_audit_program;

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_audit_step,
#ifdef AUDIT_PROGRAM
        suite_audit_program,
#endif
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
