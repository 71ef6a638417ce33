#include <string.h>

#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_cli,
        suite_cli_program,
        suite_clock,
        suite_exhaustion,
        suite_file,
        suite_file_faults,
        suite_file_output,
        suite_hash,
        suite_input,
        suite_json,
        suite_library,
        suite_log,
        suite_memory,
        suite_progress,
        suite_random,
        suite_safetensors,
        suite_safetensors_encode,
        suite_status,
        suite_text,
        suite_threads,
        suite_yaml,
        suite_yaml_read,
        suite_scratch,
    };

    if (argc > 1 && strcmp(argv[1], "--log-child") == 0)
        return log_child();
    if (argc > 1 && strcmp(argv[1], "--seed-child") == 0)
        return seed_child();
    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
