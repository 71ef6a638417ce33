#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"

static void print_members(const json_t *members)
{
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
        printf("  %-24s %-12s %12lld bytes received%s\n",
               json_string_value(json_object_get(m, "name")),
               json_is_true(json_object_get(m, "connected")) ? "connected" : "away",
               (long long)json_integer_value(json_object_get(m, "bytes_received")),
               json_is_true(json_object_get(m, "connected")) ? "" : "");
}

static void print_status(const json_t *j)
{
    printf("federation %s: %s, %lld of %lld rounds finished, %lld abandoned (as of %s)\n",
           json_string_value(json_object_get(j, "federation")),
           json_string_value(json_object_get(j, "state")),
           (long long)json_integer_value(json_object_get(j, "round")),
           (long long)json_integer_value(json_object_get(j, "rounds")),
           (long long)json_integer_value(json_object_get(j, "abandoned")),
           json_string_value(json_object_get(j, "updated")));
    print_members(json_object_get(j, "members"));
}

int fm_cmd_status(int argc, char **argv)
{
    const char *dir = ".";
    bool json = false;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator status",
        .summary = "Show how far a federation is, and who takes part.",
        .examples = "fedmoe-aggregator status --directory agg --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    char *path = NULL;
    json_t *j = NULL;
    int first = 0, code = 0;

    switch (fm_cli_parse(&spec, argc, argv, &first)) {
    case FM_CLI_HELP_SHOWN:
        return 0;
    case FM_CLI_USAGE:
        return 2;
    case FM_CLI_RUN:
        break;
    }
    if (fm_path_join(dir, "status.json", &path) != FM_OK || fm_json_read(path, &j) != FM_OK)
        code = fm_cli_failed(spec.program);
    else if (json)
        code = fm_json_print(j) == FM_OK ? 0 : fm_cli_failed(spec.program);
    else
        print_status(j);
    json_decref(j);
    free(path);
    return code;
}
