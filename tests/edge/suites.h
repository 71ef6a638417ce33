/* The suites of this folder. */
#ifndef FEDMOE_TESTS_EDGE_SUITES_H
#define FEDMOE_TESTS_EDGE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_file, suite_hostile, suite_int8, suite_long, suite_resident,
    suite_sample, suite_session, suite_tabular, suite_watermark, suite_watermark_detect;

#endif
