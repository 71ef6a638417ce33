#include <string.h>

#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_status,      suite_memory,      suite_clock,       suite_file,
        suite_log,         suite_random,      suite_hash,        suite_json,
        suite_yaml,        suite_yaml_read,   suite_safetensors, suite_safetensors_encode,
        suite_cli,         suite_cli_program, suite_progress,    suite_exhaustion,
        suite_file_faults, suite_text,        suite_threads,
    };

    if (argc > 1 && strcmp(argv[1], "--log-child") == 0)
        return log_child();
    if (argc > 1 && strcmp(argv[1], "--seed-child") == 0)
        return seed_child();
    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
