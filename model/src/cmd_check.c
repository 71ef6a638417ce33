#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "fedmoe/model/table.h"

#define PROBLEMS_MAX 100000

/* Prints what is wrong, or what is there. @return whether the file is good. */
static bool check(const char *path, const fm_schema *s, bool unlabelled)
{
    fm_buf problems = { 0 };
    const fm_table_options options = { .labels = !unlabelled,
                                       .max_problems = PROBLEMS_MAX,
                                       .problems = &problems,
                                       .count_only = true };
    fm_table t = { 0 };
    const fm_status st = fm_table_load(path, s, &options, &t);

    if (problems.len)
        fputs((const char *)problems.data, stdout);
    else if (st)
        printf("%s\n", fm_error_text());
    fm_buf_fini(&problems);
    if (st)
        return false;
    if (!unlabelled && fm_schema_target(s) == FM_TARGET_BINARY)
        printf("%s: %zu records, %zu positive\n", path, t.rows, t.positives);
    else
        printf("%s: %zu records\n", path, t.rows);
    fm_table_fini(&t);
    return true;
}

int fm_cmd_check(int argc, char **argv)
{
    static const char program[] = "fedmoe-model check";
    const char *schema_path = NULL;
    bool unlabelled = false;
    const fm_cli_option options[] = {
        { "schema", FM_CLI_STRING, &schema_path, "FILE", "what the records are", true, 0, 0 },
        { "unlabelled", FM_CLI_FLAG, &unlabelled, NULL, "the label column may be absent", false, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Read CSV files by a schema and list everything that is wrong, file and line.",
        .examples = "fedmoe-model check --schema heart_disease.yaml processed.*.data",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "CSV...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    fm_schema *schema = NULL;
    size_t bad = 0;
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_schema_load(schema_path, &schema) ||
        (!unlabelled && !fm_schema_has_label(schema) &&
         fm_fail(FM_EINVAL, "%s has no label column; did you mean --unlabelled?", schema_path))) {
        fm_schema_free(&schema);
        return fm_cli_failed(program);
    }
    for (int i = first; i < argc; i++)
        bad += !check(argv[i], schema, unlabelled);
    fm_schema_free(&schema);
    return bad ? FM_EXIT_FAILED : 0;
}
