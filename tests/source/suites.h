/* The suites of this folder. */
#ifndef FEDMOE_TESTS_SOURCE_SUITES_H
#define FEDMOE_TESTS_SOURCE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_sqlite, suite_fhir;

#endif
