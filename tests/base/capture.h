/* What a piece of code writes to standard output or standard error. */
#ifndef FEDMOE_TESTS_BASE_CAPTURE_H
#define FEDMOE_TESTS_BASE_CAPTURE_H

#include <stdio.h>

/** Redirect `stream` into a temporary file. */
void capture_begin(FILE *stream);
/** Restore it. @return what was written: static storage until the next call for this stream. */
const char *capture_end(FILE *stream);

/** Assert that the error text holds `needle`, and print both when it does not. */
void assert_error_has(const char *needle);
void assert_has(const char *text, const char *needle);
void assert_lacks(const char *text, const char *needle);

#endif
