#include "commands.h"
#include "fedmoe/node/run.h"

int fm_cmd_start(int argc, char **argv)
{
    fm_node_run_options o = { .config = "node.yaml", .retry_s = 60, .once = true };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(o.config),
        { "trace", FM_CLI_STRING, &o.trace, "FILE", "append one JSON line a round", false, 0, 0 },
        { "retry-s", FM_CLI_U64, &o.retry_s, "SECONDS",
          "keep trying to reach the aggregator for so long (default 60)", false, 1, 31536000 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node start",
        .summary = "Connect, judge the plan by the policy of node.yaml, take part in every round, "
                   "store the result. Started again after a stop or a crash, it goes on.",
        .examples = "fedmoe-node start --config node.yaml\n"
                    "fedmoe-node start --config node.yaml --retry-s 3600",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return fm_node_run(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
