#include "cmd.h"
#include "fedmoe/model/predict.h"

int fm_cmd_predict(int argc, char **argv)
{
    static const char program[] = "fedmoe-model predict";
    fm_predict_options o = { 0 };
    uint64_t threads = 0;
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &o.model, "FILE", "the model", true, 0, 0 },
        { "input", FM_CLI_STRING, &o.input, "CSV", "records; the label column may be absent", true,
          0, 0 },
        { "output", FM_CLI_STRING, &o.output, "CSV", "where to (default: standard output)", false,
          0, 0 },
        { "force", FM_CLI_FLAG, &o.force, NULL, "replace the output if it is there", false, 0, 0 },
        { "id", FM_CLI_STRING, &o.id, "COLUMN", "a column of the records to pass through", false, 0,
          0 },
        { "threads", FM_CLI_U64, &threads, "N", "at a time (default: one for each processor)",
          false, 0, FM_PREDICT_MAX_THREADS },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Print the model's prediction for every record, in their order: the probability "
                   "of the positive label, class and probabilities, or a number.",
        .examples = "fedmoe-model predict --model final.safetensors --input new.csv\n"
                    "fedmoe-model predict --model final.safetensors --input new.csv --id patient "
                    "--output risk.csv",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    o.threads = (size_t)threads;
    return fm_predict_file(&o, NULL) ? fm_cli_failed(program) : 0;
}
