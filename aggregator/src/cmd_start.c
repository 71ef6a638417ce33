#include "commands.h"
#include "fedmoe/aggregator/run.h"
#include "fedmoe/base/cli.h"

int fm_cmd_start(int argc, char **argv)
{
    fm_aggregator_run_options o = { .dir = ".", .linger_s = 30 };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "ca", FM_CLI_STRING, &o.ca, "DIR",
          "the CA's directory: invited nodes get their certificates at once, without 'enrol'",
          false, 0, 0 },
        { "linger", FM_CLI_U64, &o.linger_s, "SECONDS",
          "serve the result to late members for so long (default 30)", false, 0, 86400 },
        { "trace", FM_CLI_STRING, &o.trace, "FILE", "append one JSON line a round", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator start",
        .summary = "Run the federation until all rounds are finished. Started again after a stop "
                   "or a crash, it goes on from the last finished round.",
        .examples = "fedmoe-aggregator start --directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return fm_aggregator_run(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
