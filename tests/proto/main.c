#include <stdlib.h>

#include "fedmoe/base/log.h"
#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_message,    suite_message_limits, suite_digest,
                                     suite_plan,       suite_plan_check,     suite_link,
                                     suite_link_join,  suite_link_hostile,   suite_link_enrol,
                                     suite_invitation, suite_bundle,         suite_path,
                                     suite_groups };

    if (!getenv("FEDMOE_LOG"))
        fm_log_set_level(FM_LOG_ERROR); /* refusals are what is tested here */
    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
