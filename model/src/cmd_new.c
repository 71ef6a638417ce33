#include <stdio.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/tabular.h"

static fm_status configure(const char *path, const fm_schema *s, fm_tabular_config *out)
{
    fm_buf text = { 0 };
    fm_status st;

    if (!path) {
        fm_tabular_config_default(s, out);
        return FM_OK;
    }
    if (!(st = fm_file_read(path, FM_YAML_MAX_BYTES, &text)))
        st = fm_tabular_config_parse_new(path, text.data, text.len, s, out);
    fm_buf_fini(&text);
    return st;
}

static fm_status encode(const fm_schema *s, const fm_tabular_config *c, uint64_t seed, fm_buf *out)
{
    fm_tabular *m = NULL;
    fm_rng_seed state;
    fm_rng rng;
    fm_status st = fm_tabular_new(c, 1, &m);

    if (!st) {
        /* The first weights are public and protect nothing: no warning about seeds. */
        fm_log_set_level(FM_LOG_ERROR);
        rng = fm_rng_seeded(&state, seed);
        fm_tabular_init(m, &rng);
        st = fm_tabular_encode(m, s, NULL, 0, out);
    }
    fm_tabular_free(&m);
    return st;
}

int fm_cmd_new(int argc, char **argv)
{
    static const char program[] = "fedmoe-model new";
    const char *schema_path = NULL, *config_path = NULL, *output = NULL;
    uint64_t seed = 0;
    bool force = false;
    const fm_cli_option options[] = {
        { "schema", FM_CLI_STRING, &schema_path, "FILE", "what the records are", true, 0, 0 },
        { "config", FM_CLI_STRING, &config_path, "FILE", "model.yaml (default: docs/model.md)",
          false, 0, 0 },
        { "seed", FM_CLI_U64, &seed, "N", "of the first weights; public (default 0)", false, 0, 0 },
        { "output", FM_CLI_STRING, &output, "FILE", "the model, as safetensors", true, 0, 0 },
        { "force", FM_CLI_FLAG, &force, NULL, "replace the output if it is there", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make a model for a schema, with its first weights.",
        .examples = "fedmoe-model new --schema heart_disease.yaml --output first.safetensors\n"
                    "fedmoe-model new --schema heart_disease.yaml --config model.yaml --seed 7 "
                    "--output first.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    const char *inputs[2];
    fm_schema *schema = NULL;
    fm_tabular_config config;
    fm_buf file;
    size_t parameters = 0;
    int first, code;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    fm_buf_init(&file, 4 * FM_TABULAR_MAX_PARAMETERS + FM_SAFETENSORS_MAX_HEADER + 8);
    inputs[0] = schema_path;
    inputs[1] = config_path;
    if (!(st = fm_file_check_output(output, force, inputs, FM_CMD_COUNT(inputs))) &&
        !(st = fm_schema_load(schema_path, &schema)) &&
        !(st = configure(config_path, schema, &config)) &&
        !(st = fm_tabular_parameters(&config, &parameters)) &&
        !(st = encode(schema, &config, seed, &file)))
        st = force ? fm_file_replace(output, file.data, file.len, 0644)
                   : fm_file_create(output, file.data, file.len, 0644);
    if (!st)
        printf("%s: %zu features, %zu parameters\n", output, config.features, parameters);
    fm_buf_fini(&file);
    fm_schema_free(&schema);
    return st ? fm_cli_failed(program) : 0;
}
