#ifndef FEDMOE_TESTS_MODEL_SUITES_H
#define FEDMOE_TESTS_MODEL_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_gradient, suite_isolation;

#endif
