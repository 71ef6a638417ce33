/* The suites of this folder. */
#ifndef FEDMOE_TESTS_EDGE_SUITES_H
#define FEDMOE_TESTS_EDGE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_file, suite_int8, suite_long, suite_sample, suite_session;

#endif
