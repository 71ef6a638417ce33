/* quantize: float32, BF16 or F16 weights into one file in 8 bits. */
#include <stdio.h>
#include <sys/stat.h>

#include "cmd.h"
#include "cmd_carry.h"
#include "fedmoe/base/file.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/model/decoder_adapter.h"

#define EVERYBODY 0644
#define OWNER 0600

typedef struct {
    const char *model, *adapter, *output;
    bool force;
} request;

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* What only its owner may read stays so. */
static mode_t mode_for(const request *r)
{
    const char *const inputs[] = { r->model, r->adapter };
    struct stat info;

    for (size_t i = 0; i < FM_CMD_COUNT(inputs); i++)
        if (inputs[i] && stat(inputs[i], &info) == 0 && (info.st_mode & 077) == 0)
            return OWNER;
    return EVERYBODY;
}

/* A decoder with the adapters in its weights. */
static fm_status merge(const char *adapter, const fm_decoder_folder *folder, fm_decoder **out)
{
    fm_decoder_options o = { .max_tokens = 1, .train = FM_TRAIN_NONE };
    fm_adapter_file *file = NULL;
    fm_status st = fm_adapter_file_open(adapter, fm_decoder_folder_config(folder), &file);

    if (st)
        return st;
    o.adapters = fm_adapter_file_adapters(file);
    if (!(st = fm_decoder_folder_load(folder, &o, out)) && !(st = fm_adapter_file_read(file, *out)))
        fm_decoder_adapters_merge(*out, fm_decoder_weights(*out));
    fm_adapter_file_free(&file);
    return st;
}

static fm_status quantise_folder(const request *r, fm_edge_facts *facts)
{
    fm_decoder_folder *folder = NULL;
    fm_decoder *merged = NULL;
    fm_status st = fm_decoder_folder_open(r->model, &folder);

    if (!st && r->adapter)
        st = merge(r->adapter, folder, &merged);
    if (!st)
        st = fm_edge_write_folder(folder, r->model, merged ? fm_decoder_weights(merged) : NULL,
                                  mode_for(r), r->output, r->force, facts);
    fm_decoder_free(&merged);
    fm_decoder_folder_free(&folder);
    return st;
}

static fm_status quantise(const request *r, fm_edge_facts *facts)
{
    const char *inputs[] = { r->model, r->adapter };
    fm_status st = fm_file_check_output(r->output, r->force, inputs, 2);

    if (st)
        return st;
    if (is_folder(r->model))
        st = quantise_folder(r, facts);
    else if (r->adapter)
        st = fm_fail(FM_EINVAL, "--adapter is for a language model; %s is no folder", r->model);
    else
        st = fm_edge_write_tabular(r->model, mode_for(r), r->output, facts);
    return st ? st : fm_cmd_carry_card(r->model, r->adapter, "quantize-int8", r->output);
}

int fm_cmd_quantize(int argc, char **argv)
{
    static const char program[] = "fedmoe-model quantize";
    fm_edge_facts facts = { 0 };
    request r = { 0 };
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &r.model, "FILE|FOLDER",
          "a model of records, or a language model's folder", true, 0, 0 },
        { "adapter", FM_CLI_STRING, &r.adapter, "FOLDER",
          "put these low-rank adapters, with PEFT's names, into the weights first", false, 0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FILE", "one safetensors file", true, 0, 0 },
        { "force", FM_CLI_FLAG, &r.force, NULL, "replace the output if it is there", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Round a model's weights to 8 bits, with one scale for each output row: a "
                   "quarter of the size, in one file.",
        .examples =
            "fedmoe-model quantize --model final.safetensors --output small.safetensors\n"
            "fedmoe-model quantize --model base --adapter adapter --output ward.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (quantise(&r, &facts))
        return fm_cli_failed(program);
    printf("%s: %llu bytes; weights %llu, in float32 %llu: %.1f %% smaller; a weight is off by "
           "%.3f of its row's scale at most\n",
           r.output, (unsigned long long)facts.after, (unsigned long long)facts.weights,
           (unsigned long long)facts.before,
           100.0 * (1.0 - (double)facts.weights / (double)facts.before), facts.worst);
    return 0;
}
