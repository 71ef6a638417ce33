#ifndef FEDMOE_TESTS_PROTO_SUITES_H
#define FEDMOE_TESTS_PROTO_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_message, suite_message_limits, suite_digest, suite_plan,
    suite_plan_check, suite_groups, suite_bundle, suite_invitation, suite_link, suite_link_enrol,
    suite_link_join, suite_link_hostile, suite_path;

#endif
