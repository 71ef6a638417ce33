/* Shared data that is stored compressed. */
#ifndef FEDMOE_TESTS_SUPPORT_FM_TEST_XZ_H
#define FEDMOE_TESTS_SUPPORT_FM_TEST_XZ_H

#include <stdbool.h>

#include "fedmoe/base/memory.h"

/**
 * What `xz -dc`, or `gzip -dc` for a name that ends in .gz, makes of a file of the shared data.
 * @param out  its limit is raised to `limit` bytes; owned by the caller.
 * @param why  out on failure: what is missing, for fm_test_skip.
 */
bool fm_test_shared_xz(const char *rel, size_t limit, fm_buf *out, const char **why);

#endif
