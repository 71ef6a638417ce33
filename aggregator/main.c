/* fedmoe-aggregator: the coordinator's program. */
#include "fedmoe/base/cli.h"
#include "src/commands.h"

int main(int argc, char **argv)
{
    static const fm_cli_command commands[] = {
        { "init", "make a federation's directory: plan, door key, identity", fm_cmd_init },
        { "start", "run the federation until all rounds are finished", fm_cmd_start },
        { "status", "show how far a federation is, and who takes part", fm_cmd_status },
        { "export", "write the model as it stands after the last finished round", fm_cmd_export },
    };
    static const fm_cli_program program = {
        .program = "fedmoe-aggregator",
        .summary = "Coordinates a federation: collects masked updates, steps the optimizer, "
                   "redistributes the model. It can read only sums.",
        .examples =
            "fedmoe-aggregator init --directory agg --config federation.yaml --identity agg-id\n"
            "fedmoe-aggregator start --directory agg",
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
    };

    return fm_cli_main(&program, argc, argv);
}
