/* A strict reader of the report's page: what a browser would see of it. */
#ifndef FEDMOE_TESTS_NODE_REPORT_PAGE_H
#define FEDMOE_TESTS_NODE_REPORT_PAGE_H

#include "fedmoe/base/memory.h"

typedef struct {
    unsigned elements, circles, rows;
    char why[160]; /* "" when all is well */
} page_facts;

/**
 * Every tag closed in order, every element and attribute one of those that the report uses, every
 * attribute in double quotes, every '&' a reference, no '<' or '"' out of place.
 */
page_facts page_read(const char *page);

#endif
