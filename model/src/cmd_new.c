#include <stdio.h>

#include "cmd.h"
#include "cmd_new.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/decoder_folder.h"
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

typedef struct {
    const char *schema, *config, *output;
    fm_decoder_plan plan;
    fm_cmd_new_adapter adapter;
    uint64_t vocabulary;
    bool force;
} request;

/* Of a tabular model, or of a decoder: an option of the other one would be passed over in silence.
 */
static fm_status check_words(const request *r)
{
    const fm_cmd_new_adapter *a = &r->adapter;

    if (a->model && (r->plan.preset || r->config))
        return fm_fail(FM_EINVAL, "--adapter-for takes a model that is there; --preset and "
                                  "--config are of other models");
    if (!a->model &&
        (a->modules || a->rank || a->alpha > 0.0 || a->square || a->context || a->end_token))
        return fm_fail(FM_EINVAL, "--modules, --rank, --alpha, --square, --context and "
                                  "--end-token belong to --adapter-for");
    if (r->plan.preset && (r->schema || r->config))
        return fm_fail(FM_EINVAL, "--preset makes a language model; --schema and --config are of "
                                  "models for records");
    if (r->plan.preset && r->force)
        return fm_fail(FM_EINVAL, "--force does not replace a folder; give another --output");
    if (!r->plan.preset && !r->schema)
        return fm_fail(FM_EINVAL, "--schema or --preset is needed");
    if (!r->plan.preset && (r->vocabulary || r->plan.tokenizer))
        return fm_fail(FM_EINVAL, "--vocabulary and --tokenizer belong to --preset");
    return FM_OK;
}

static fm_status make_tabular(const request *r)
{
    const char *inputs[] = { r->schema, r->config };
    fm_schema *schema = NULL;
    fm_tabular_config config;
    fm_buf file;
    size_t parameters = 0;
    fm_status st;

    fm_buf_init(&file, 4 * FM_TABULAR_MAX_PARAMETERS + FM_SAFETENSORS_MAX_HEADER + 8);
    if (!(st = fm_file_check_output(r->output, r->force, inputs, FM_CMD_COUNT(inputs))) &&
        !(st = fm_schema_load(r->schema, &schema)) &&
        !(st = configure(r->config, schema, &config)) &&
        !(st = fm_tabular_parameters(&config, &parameters)) &&
        !(st = encode(schema, &config, r->plan.seed, &file)))
        st = r->force ? fm_file_replace(r->output, file.data, file.len, 0644)
                      : fm_file_create(r->output, file.data, file.len, 0644);
    if (!st)
        printf("%s: %zu features, %zu parameters\n", r->output, config.features, parameters);
    fm_buf_fini(&file);
    fm_schema_free(&schema);
    return st;
}

static fm_status make_decoder(const request *r)
{
    fm_decoder_layout layout = { 0 };
    fm_decoder_config config;
    fm_buf text;
    fm_status st;

    fm_buf_init(&text, 0);
    fm_log_set_level(FM_LOG_ERROR); /* as in encode */
    if (!(st = fm_decoder_plan_write(&r->plan, r->output)) &&
        !(st = fm_decoder_plan_config(&r->plan, &text, &config)) &&
        !(st = fm_decoder_layout_make(&config, &layout)))
        printf("%s: %zu tokens, %zu parameters, %.1f %% of them active per token\n", r->output,
               config.vocabulary, layout.parameters,
               100.0 * (double)fm_decoder_active_parameters(&config, &layout) /
                   (double)layout.parameters);
    fm_decoder_layout_free(&layout);
    fm_buf_fini(&text);
    return st;
}

int fm_cmd_new(int argc, char **argv)
{
    static const char program[] = "fedmoe-model new";
    request r = { 0 };
    const fm_cli_option options[] = {
        { "schema", FM_CLI_STRING, &r.schema, "FILE", "what the records are", false, 0, 0 },
        { "config", FM_CLI_STRING, &r.config, "FILE", "model.yaml (default: docs/model.md)", false,
          0, 0 },
        { "preset", FM_CLI_STRING, &r.plan.preset, "NAME",
          "a language model instead: lite-nano, lite-tiny, lite-small or lite", false, 0, 0 },
        { "vocabulary", FM_CLI_U64, &r.vocabulary, "N", "its tokens (default: the preset's)", false,
          1, 16777216 },
        { "tokenizer", FM_CLI_STRING, &r.plan.tokenizer, "FILE",
          "tokenizer.json to take along; says how many tokens there are", false, 0, 0 },
        { "adapter-for", FM_CLI_STRING, &r.adapter.model, "FOLDER",
          "the first adapters of a federation that adapts this language model; --schema says what "
          "a text is",
          false, 0, 0 },
        { "modules", FM_CLI_STRING, &r.adapter.modules, "NAMES",
          "which linear maps have adapters: some of attention, shared, dense, experts (default "
          "attention,shared)",
          false, 0, 0 },
        { "rank", FM_CLI_U64, &r.adapter.rank, "R", "of the adapters (default 8)", false, 1, 1024 },
        { "alpha", FM_CLI_DOUBLE, &r.adapter.alpha, "A", "their scale (default twice the rank)",
          false, 1e-6, 1e6 },
        { "square", FM_CLI_FLAG, &r.adapter.square, NULL,
          "train a matrix of R x R between two constants: few numbers, for the smallest cohorts",
          false, 0, 0 },
        { "context", FM_CLI_U64, &r.adapter.context, "N",
          "most tokens of a sequence (default 512, or the model's context if that is less)", false,
          2, 16777216 },
        { "end-token", FM_CLI_STRING, &r.adapter.end_token, "TOKEN",
          "what ends a text (default: the tokenizer's <|endoftext|> or its like)", false, 0, 0 },
        { "seed", FM_CLI_U64, &r.plan.seed, "N", "of the first weights; public (default 0)", false,
          0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FILE",
          "the model, as safetensors; with --preset a new folder", true, 0, 0 },
        { "force", FM_CLI_FLAG, &r.force, NULL, "replace the output if it is there", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make a model for a schema, or a language model, with its first weights.",
        .examples = "fedmoe-model new --schema heart_disease.yaml --output first.safetensors\n"
                    "fedmoe-model new --schema heart_disease.yaml --config model.yaml --seed 7 "
                    "--output first.safetensors\n"
                    "fedmoe-model new --adapter-for base --schema notes.yaml --rank 8 --output "
                    "first.safetensors\n"
                    "fedmoe-model new --preset lite-small --tokenizer tokenizer.json --output base",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check_words(&r)) {
        (void)fm_cli_failed(program);
        return FM_EXIT_USAGE;
    }
    r.plan.vocabulary = (size_t)r.vocabulary;
    if (r.adapter.model) {
        r.adapter.schema = r.schema;
        r.adapter.output = r.output;
        r.adapter.seed = r.plan.seed;
        r.adapter.force = r.force;
        st = fm_cmd_new_adapter_make(&r.adapter);
    } else {
        st = r.plan.preset ? make_decoder(&r) : make_tabular(&r);
    }
    return st ? fm_cli_failed(program) : 0;
}
