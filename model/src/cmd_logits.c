#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/decoder_adapter.h"

typedef struct {
    const char *model, *tokens, *adapter, *output;
    bool force;
} request;

typedef struct {
    fm_decoder_folder *folder;
    fm_adapter_file *adapter;
    fm_decoder *decoder;
    uint32_t *tokens;
    uint32_t count;
    float *logits; /* [count, vocabulary] */
} work;

/* "1,2,3" */
static fm_status read_tokens(const char *text, size_t vocabulary, work *w)
{
    size_t most = 1;
    void *fresh;
    fm_status st;

    for (const char *p = text; *p; p++)
        most += *p == ',';
    if (most > UINT32_MAX)
        return fm_fail(FM_EINVAL, "--tokens: too many");
    if ((st = fm_alloc(most, sizeof *w->tokens, &fresh)))
        return st;
    w->tokens = fresh;
    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, ",");
        char one[24];
        uint64_t value = 0;

        (void)snprintf(one, sizeof one, "%.*s", n < sizeof one ? (int)n : 0, p);
        if (!fm_text_u64(one, &value) || value >= vocabulary)
            return fm_fail(FM_EINVAL, "--tokens: '%.*s' is not a token; 0 to %zu are",
                           n < 40 ? (int)n : 40, p, vocabulary - 1);
        w->tokens[w->count++] = (uint32_t)value;
        p += n;
        if (!*p)
            return FM_OK;
    }
}

static fm_status compute(const request *r, work *w)
{
    fm_decoder_batch batch = { .sequences = 1 };
    fm_decoder_options o = { .train = FM_TRAIN_NONE };
    void *fresh;
    fm_status st;

    if ((st = fm_decoder_folder_open(r->model, &w->folder)) ||
        (st = read_tokens(r->tokens, fm_decoder_folder_config(w->folder)->vocabulary, w)))
        return st;
    if (r->adapter) {
        if ((st = fm_adapter_file_open(r->adapter, fm_decoder_folder_config(w->folder),
                                       &w->adapter)))
            return st;
        o.adapters = fm_adapter_file_adapters(w->adapter);
    }
    o.max_tokens = w->count;
    batch.tokens = w->tokens;
    batch.ends = &w->count;
    if ((st = fm_alloc(w->count, fm_decoder_folder_config(w->folder)->vocabulary * sizeof(float),
                       &fresh)))
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
        logits.shape[0] = w.count;
        logits.shape[1] = fm_decoder_folder_config(w.folder)->vocabulary;
        logits.data = (const uint8_t *)w.logits;
        logits.bytes = logits.shape[0] * logits.shape[1] * sizeof(float);
        st = fm_safetensors_replace(r->output, 0644, &logits, 1, NULL, 0);
    }
    fm_decoder_free(&w.decoder);
    fm_adapter_file_free(&w.adapter);
    fm_decoder_folder_free(&w.folder);
    free(w.tokens);
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
