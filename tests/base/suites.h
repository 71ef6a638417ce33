#ifndef FEDMOE_TESTS_BASE_SUITES_H
#define FEDMOE_TESTS_BASE_SUITES_H

#include "fm_test.h"

extern const fm_test_suite suite_cli, suite_cli_program, suite_clock, suite_exhaustion, suite_file,
    suite_file_faults, suite_file_output, suite_hash, suite_input, suite_json, suite_library,
    suite_log, suite_memory, suite_progress, suite_random, suite_scratch, suite_safetensors,
    suite_safetensors_encode, suite_status, suite_text, suite_threads, suite_yaml, suite_yaml_read;

/** "test-base --log-child": the four levels, one line each, in a fresh process. */
int log_child(void);
/** "test-base --seed-child": two seeded generators, likewise. */
int seed_child(void);

#endif
