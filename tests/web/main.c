#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { web_actions_suite, web_limits_suite, web_links_suite,
                                     web_pages_suite,   web_raw_suite,    web_tls_suite };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
