/* A tiny layer over CUnit: tables of named tests, one main, fresh folders, shared data. */
#ifndef FEDMOE_TESTS_SUPPORT_FM_TEST_H
#define FEDMOE_TESTS_SUPPORT_FM_TEST_H

#include <stdbool.h>
#include <stddef.h>

#include <CUnit/CUnit.h>

typedef struct {
    const char *name; /* a sentence */
    void (*run)(void);
} fm_test;

typedef struct {
    const char *name; /* "<module>.<file>" */
    const fm_test *tests;
    size_t count;
} fm_test_suite;

#define FM_TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/**
 * Run every suite, or those whose name contains argv[1]; prints CUnit's summary.
 * Calls fm_random_init. @return 0 when at least one test ran and all passed, else 1.
 */
int fm_test_main(const fm_test_suite *suites, size_t n, int argc, char **argv);

/** A fresh folder under $TMPDIR or /tmp, removed with all it holds when this process exits. */
void fm_test_tmpdir(char *out, size_t cap);

/**
 * Path of a file or folder of the shared data: $FEDMOE_SHARED/rel, else <source>/../shared/rel.
 * @return false when it is not there; the test then calls fm_test_skip and returns.
 */
bool fm_test_shared(const char *rel, char *out, size_t cap);

/** Print "skipped: <why>". */
void fm_test_skip(const char *why);

#endif
