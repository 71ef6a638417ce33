/* adapter: what a federation has trained, with the base model, as PEFT opens it. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "cmd_carry.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/tabular.h"

#define FILE_MOST ((size_t)1 << 30)

typedef struct {
    const char *model, *file, *output;
    bool merge;
} request;

static const char *const promised[] = { "fedmoe.federation", "fedmoe.plan",        "fedmoe.rounds",
                                        "fedmoe.purpose",    "fedmoe.epsilon",     "fedmoe.delta",
                                        "fedmoe.mechanism",  "fedmoe.privacy_unit" };

/* What the federation's file promises goes along. @return how many entries. */
static size_t carry_promise(const fm_safetensors *file, fm_safetensors_meta *meta)
{
    size_t n = 0;

    for (size_t i = 0; i < FM_CMD_COUNT(promised); i++) {
        const char *value = fm_safetensors_meta_get(file, promised[i]);

        if (value)
            meta[n++] = (fm_safetensors_meta){ promised[i], value };
    }
    return n;
}

static fm_status write_result(const request *r, const fm_decoder_folder *f, fm_decoder *d,
                              const fm_adapter_terms *t, const fm_safetensors *file)
{
    fm_safetensors_meta meta[FM_CMD_COUNT(promised)];
    const size_t n = carry_promise(file, meta);
    const fm_adapter_about about = { .base = r->model, .meta = meta, .meta_count = n };
    const fm_decoder_about whole = { .meta = meta, .meta_count = n };
    const fm_decoder_adapters adapters = {
        .rank = t->rank, .alpha = t->alpha, .maps = t->maps, .square = t->square
    };
    float *flat = fm_decoder_weights(d);

    if (!r->merge)
        return fm_adapter_write(d, &adapters, &about, r->output);
    fm_decoder_adapters_merge(d, flat);
    return fm_decoder_folder_write_about(f, flat, &whole, r->output);
}

static fm_status convert(const request *r)
{
    fm_decoder_folder *folder = NULL;
    fm_safetensors *file = NULL;
    fm_adapter_terms t;
    fm_decoder *d = NULL;
    const char *text;
    fm_status st;

    if ((st = fm_safetensors_load(r->file, FILE_MOST, &file)))
        return st;
    text = fm_safetensors_meta_get(file, FM_META_MODEL);
    if (!fm_adapter_terms_is(text))
        st =
            fm_fail(FM_EPROTO, "%s: no adapter of a federation; see fedmoe-model inspect", r->file);
    else if (!(st = fm_adapter_terms_parse(r->file, text, &t)) &&
             !(st = fm_decoder_folder_open(r->model, &folder)) &&
             !(st = fm_adapter_terms_check(&t, folder)) &&
             !(st = fm_adapter_terms_load(&t, folder, 0, &d)) &&
             !(st = fm_adapter_terms_read(file, d)))
        st = write_result(r, folder, d, &t, file);
    if (!st)
        st = fm_cmd_carry_card(r->file, NULL, r->merge ? "merge" : "adapter", r->output);
    fm_decoder_free(&d);
    fm_decoder_folder_free(&folder);
    fm_safetensors_free(&file);
    return st;
}

int fm_cmd_adapter(int argc, char **argv)
{
    static const char program[] = "fedmoe-model adapter";
    request r = { 0 };
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &r.model, "FOLDER", "the base model that it was trained for",
          true, 0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FOLDER",
          "a new folder: the adapters with PEFT's names, or a whole model", true, 0, 0 },
        { "merge", FM_CLI_FLAG, &r.merge, NULL, "a whole model with the adapters in its weights",
          false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Turn what a federation has trained into a folder that PEFT opens.",
        .examples = "fedmoe-model adapter --model base --output adapter model.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "FILE",
        .operands_min = 1,
        .operands_max = 1,
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    r.file = argv[first];
    return convert(&r) ? fm_cli_failed(program) : 0;
}
