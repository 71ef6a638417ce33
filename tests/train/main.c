#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = { suite_step,   suite_scratch, suite_start,  suite_state,
                                     suite_held,   suite_scores,  suite_memory, suite_personal,
                                     suite_run,    suite_program, suite_texts,  suite_texts_run,
                                     suite_teacher };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
