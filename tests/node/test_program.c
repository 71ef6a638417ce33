/* placeholder */
#include "suites.h"
static void nothing(void)
{
}
static const fm_test tests[] = { { "nothing", nothing } };
const fm_test_suite suite_program = { "node.program", tests, FM_TEST_COUNT(tests) };
