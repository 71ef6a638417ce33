#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/tabular.h"

/* A header and one probability a line, in the order of the records. */
static fm_status write_probabilities(const float *logits, size_t rows, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "probability\n");

    for (size_t i = 0; !st && i < rows; i++) {
        if (!isfinite(logits[i]))
            return fm_fail(FM_ENONFINITE, "record %zu: the prediction is no finite number", i + 1);
        st = fm_buf_printf(out, "%.9g\n", 1.0 / (1.0 + exp(-(double)logits[i])));
    }
    return st;
}

static fm_status predict(const char *model, const char *input, const char *output)
{
    const fm_table_options options = { .labels = false };
    fm_schema *schema = NULL;
    fm_tabular *m = NULL;
    fm_table t = { 0 };
    float *logits = NULL;
    fm_buf text;
    fm_status st;

    fm_buf_init(&text, FM_TABLE_MAX_BYTES);
    if ((st = fm_tabular_load(model, FM_CMD_BATCH, &schema, &m)) ||
        (st = fm_table_load(input, schema, &options, &t)) ||
        (st = fm_alloc(t.rows, sizeof *logits, (void **)&logits)) ||
        (st = fm_tabular_predict(m, t.x, t.rows, logits)) ||
        (st = write_probabilities(logits, t.rows, &text)))
        goto done;
    if (output) /* one line for each patient: private */
        st = fm_file_replace(output, text.data, text.len, 0600);
    else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
        st = fm_fail(FM_EIO, "cannot write to standard output");
done:
    free(logits);
    fm_buf_fini(&text);
    fm_table_fini(&t);
    fm_tabular_free(&m);
    fm_schema_free(&schema);
    return st;
}

int fm_cmd_predict(int argc, char **argv)
{
    static const char program[] = "fedmoe-model predict";
    const char *model = NULL, *input = NULL, *output = NULL;
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &model, "FILE", "the model", true, 0, 0 },
        { "input", FM_CLI_STRING, &input, "CSV", "records; the label column may be absent", true, 0,
          0 },
        { "output", FM_CLI_STRING, &output, "CSV", "where to (default: standard output)", false, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Print the probability of the positive label for every record, in their order.",
        .examples = "fedmoe-model predict --model final.safetensors --input new.csv\n"
                    "fedmoe-model predict --model final.safetensors --input new.csv --output "
                    "risk.csv",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return predict(model, input, output) ? fm_cli_failed(program) : 0;
}
