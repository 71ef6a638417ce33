#ifndef FEDMOE_TESTS_WEB_SUITES_H
#define FEDMOE_TESTS_WEB_SUITES_H

#include "fm_test.h"

extern const fm_test_suite web_actions_suite, web_links_suite, web_limits_suite, web_pages_suite,
    web_raw_suite, web_tls_suite;

#endif
