#include "fm_test.h"

extern const fm_test_suite suite_ack, suite_card, suite_derivation, suite_fingerprint, suite_policy,
    suite_request_log, suite_sign;

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_ack,         suite_card,   suite_derivation,
                                     suite_fingerprint, suite_policy, suite_request_log,
                                     suite_sign };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
