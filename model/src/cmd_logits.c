#include <stdlib.h>

#include "cmd.h"
#include "cmd_tokens.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder_adapter.h"

typedef struct {
    const char *model, *tokens, *adapter, *output;
    bool force;
} request;

typedef struct {
    fm_decoder_folder *folder;
    fm_adapter_file *adapter;
    fm_decoder *decoder;
    fm_token_list tokens;
    float *logits; /* [count, vocabulary] */
} work;

static fm_status compute(const request *r, work *w)
{
    fm_decoder_batch batch = { .sequences = 1 };
    fm_decoder_options o = { .train = FM_TRAIN_NONE };
    uint32_t end;
    void *fresh;
    fm_status st;

    if ((st = fm_decoder_folder_open(r->model, &w->folder)) ||
        (st = fm_cmd_tokens_parse(r->tokens, fm_decoder_folder_config(w->folder)->vocabulary,
                                  &w->tokens)))
        return st;
    if (r->adapter) {
        if ((st = fm_adapter_file_open(r->adapter, fm_decoder_folder_config(w->folder),
                                       &w->adapter)))
            return st;
        o.adapters = fm_adapter_file_adapters(w->adapter);
    }
    end = (uint32_t)w->tokens.count;
    o.max_tokens = w->tokens.count;
    batch.tokens = w->tokens.ids;
    batch.ends = &end;
    if ((st = fm_alloc(w->tokens.count,
                       fm_decoder_folder_config(w->folder)->vocabulary * sizeof(float), &fresh)))
        return st;
    w->logits = fresh;
    if ((st = fm_decoder_folder_load(w->folder, &o, &w->decoder)) ||
        (w->adapter && (st = fm_adapter_file_read(w->adapter, w->decoder))))
        return st;
    return fm_decoder_logits(w->decoder, &batch, w->logits);
}

static fm_status run(const request *r)
{
    const char *inputs[] = { r->adapter };
    work w = { 0 };
    fm_tensor_view logits = { .name = "logits", .dtype = "F32", .dims = 2 };
    fm_status st = fm_file_check_output(r->output, r->force, inputs, 1);

    if (!st && !(st = compute(r, &w))) {
        logits.shape[0] = w.tokens.count;
        logits.shape[1] = fm_decoder_folder_config(w.folder)->vocabulary;
        logits.data = (const uint8_t *)w.logits;
        logits.bytes = logits.shape[0] * logits.shape[1] * sizeof(float);
        st = fm_safetensors_replace(r->output, 0644, &logits, 1, NULL, 0);
    }
    fm_decoder_free(&w.decoder);
    fm_adapter_file_free(&w.adapter);
    fm_decoder_folder_free(&w.folder);
    fm_token_list_fini(&w.tokens);
    free(w.logits);
    return st;
}

int fm_cmd_logits(int argc, char **argv)
{
    static const char program[] = "fedmoe-model logits";
    request r = { 0 };
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &r.model, "FOLDER", "a language model", true, 0, 0 },
        { "tokens", FM_CLI_STRING, &r.tokens, "N,N,...", "one sequence of token ids", true, 0, 0 },
        { "adapter", FM_CLI_STRING, &r.adapter, "FILE", "low-rank adapters with PEFT's names",
          false, 0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FILE",
          "a safetensors file with 'logits', float32 of tokens times vocabulary", true, 0, 0 },
        { "force", FM_CLI_FLAG, &r.force, NULL, "replace the output if it is there", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Write a language model's logits after each token of a sequence.",
        .examples = "fedmoe-model logits --model base --tokens 1,2,3 --output logits.safetensors\n"
                    "fedmoe-model logits --model base --tokens 1,2,3 --adapter "
                    "adapter.safetensors --output adapted.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return run(&r) ? fm_cli_failed(program) : 0;
}
