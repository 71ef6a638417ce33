#include "fm_test.h"

extern const fm_test_suite suite_ca, suite_credential, suite_enrol, suite_forged, suite_held,
    suite_identity, suite_intermediate, suite_outside, suite_past, suite_program, suite_renew,
    suite_revocation, suite_statement, suite_succession, suite_token;

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_ca,         suite_identity,   suite_forged,
                                     suite_revocation, suite_statement,  suite_credential,
                                     suite_enrol,      suite_renew,      suite_program,
                                     suite_past,       suite_outside,    suite_intermediate,
                                     suite_token,      suite_succession, suite_held };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
