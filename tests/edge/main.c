#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_file,   suite_hostile, suite_int8,      suite_resident,         suite_tabular,
        suite_sample, suite_session, suite_watermark, suite_watermark_detect, suite_long,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
