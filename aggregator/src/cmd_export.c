#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/cli.h"

int fm_cmd_export(int argc, char **argv)
{
    const char *dir = ".", *output = NULL;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "output", FM_CLI_STRING, &output, "FILE",
          "the model, or the answer; replaced if it is there", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator export",
        .summary =
            "Write the model as it stands after the last finished round, for fedmoe-model; of "
            "a query the answer, as JSON. Works while the aggregator runs.",
        .examples = "fedmoe-aggregator export --directory agg --output model-now.safetensors",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    uint64_t rounds = 0;
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_aggregator_export(dir, output, &rounds) != FM_OK)
        return fm_cli_failed(spec.program);
    printf("%s: the result of %llu round%s\n", output, (unsigned long long)rounds,
           rounds == 1 ? "" : "s");
    return 0;
}
