/* watermark keygen, watermark detect. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/edge/watermark.h"
#include "fedmoe/model/tokenizer.h"

static fm_status kind_of(const char *text, fm_watermark_kind *out)
{
    *out = strcmp(text, "red-green") == 0 ? FM_WATERMARK_RED_GREEN : FM_WATERMARK_TOURNAMENT;
    if (*out == FM_WATERMARK_TOURNAMENT && strcmp(text, "tournament") != 0)
        return fm_fail(FM_EINVAL, "--kind: '%.40s'; tournament and red-green are possible", text);
    return FM_OK;
}

typedef struct {
    const char *output, *kind;
    uint64_t window, layers; /* 0: not given */
    double gamma, delta;     /* below 0: not given */
} keygen_options;

static fm_status keygen(const keygen_options *k)
{
    fm_watermark_kind kind;
    fm_watermark_options o;
    fm_status st = kind_of(k->kind, &kind);

    if (st)
        return st;
    if (kind == FM_WATERMARK_TOURNAMENT && (k->gamma >= 0.0 || k->delta >= 0.0))
        return fm_fail(FM_EINVAL, "--gamma and --delta are of --kind red-green");
    if (kind == FM_WATERMARK_RED_GREEN && k->layers)
        return fm_fail(FM_EINVAL, "--layers is of --kind tournament");
    o = fm_watermark_defaults(kind);
    o.window = k->window ? (size_t)k->window : o.window;
    o.layers = k->layers ? (size_t)k->layers : o.layers;
    o.gamma = k->gamma >= 0.0 ? k->gamma : o.gamma;
    o.delta = k->delta >= 0.0 ? k->delta : o.delta;
    return fm_watermark_keygen(k->output, &o);
}

int fm_cmd_watermark_keygen(int argc, char **argv)
{
    static const char program[] = "fedmoe-model watermark keygen";
    keygen_options k = { .kind = "tournament", .gamma = -1.0, .delta = -1.0 };
    const fm_cli_option options[] = {
        { "output", FM_CLI_STRING, &k.output, "FILE", "the new key's file, mode 0600", true, 0, 0 },
        { "kind", FM_CLI_STRING, &k.kind, "KIND",
          "tournament (default: texts stay as likely as they were) or red-green (distorts them)",
          false, 0, 0 },
        { "window", FM_CLI_U64, &k.window, "N",
          "tokens before that decide on a token's mark (default 4): fewer withstand more edits",
          false, 1, FM_WATERMARK_WINDOW_MAX },
        { "layers", FM_CLI_U64, &k.layers, "N", "rounds of a tournament (default 30)", false, 1,
          FM_WATERMARK_LAYERS_MAX },
        { "gamma", FM_CLI_DOUBLE, &k.gamma, "G", "green part of the vocabulary (default 0.25)",
          false, 0.01, 0.99 },
        { "delta", FM_CLI_DOUBLE, &k.delta, "D", "what green logits are raised by (default 2)",
          false, 0, 20 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make a secret key for a watermark of generated text.",
        .examples = "fedmoe-model watermark keygen --output ward.key\n"
                    "fedmoe-model generate --model ward.safetensors --watermark-key ward.key "
                    "--prompt 'Discharge summary:'",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return keygen(&k) ? fm_cli_failed(program) : 0;
}

/* ---- detect ---- */

typedef struct {
    const char *key, *tokenizer;
    double level;
    bool json;
    char **files;
    size_t count;
} detect_options;

typedef struct {
    fm_watermark *mark;
    fm_tokenizer *tokenizer;
    fm_tokenizer_worker *worker;
    json_t *list;     /* of --json */
    size_t too_short; /* texts */
} detection;

static const char *verdict_of(const fm_watermark_found *f, double level)
{
    if (f->scored < FM_WATERMARK_LEAST)
        return "too short";
    return f->p_value <= level ? "marked" : "no mark found";
}

static fm_status show(detection *d, const char *file, const fm_watermark_found *f, double level)
{
    const char *verdict = verdict_of(f, level);
    json_t *j;

    if (!d->list)
        return printf("%s: %s: score %.2f, p-value %.3g, %zu of %zu tokens scored\n", file, verdict,
                      f->score, f->p_value, f->scored, f->tokens) > 0
                   ? FM_OK
                   : fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    j = json_pack("{s:s#, s:s, s:f, s:f, s:I, s:I, s:f}", "file", file, (int)strlen(file),
                  "verdict", verdict, "score", f->score, "p_value", f->p_value, "tokens",
                  (json_int_t)f->tokens, "tokens_scored", (json_int_t)f->scored, "level", level);
    if (!j) /* a name of a file need not be UTF-8 */
        return fm_fail(FM_EINVAL, "the name of a file is not UTF-8: --json cannot show it");
    return json_array_append_new(d->list, j) == 0 ? FM_OK : fm_fail(FM_ENOMEM, "out of memory");
}

static fm_status detect_file(detection *d, const char *file, double level)
{
    fm_token_list tokens = { 0 };
    fm_buf text = { 0 };
    fm_watermark_found f;
    fm_status st = fm_file_read(file, FM_TOKENIZER_MAX_TEXT, &text);

    if (!st)
        st = fm_tokenizer_encode(d->worker, text.data, text.len, FM_TOKENIZER_PLAIN, &tokens, NULL);
    if (!st)
        st = fm_watermark_detect(d->mark, tokens.ids, tokens.count, &f);
    if (!st) {
        d->too_short += f.scored < FM_WATERMARK_LEAST;
        st = show(d, file, &f, level);
    }
    fm_token_list_fini(&tokens);
    fm_buf_fini(&text);
    return st;
}

static fm_status detect(const detect_options *o)
{
    detection d = { 0 };
    fm_status st = fm_watermark_load(o->key, &d.mark);

    if (!st && o->json && !(d.list = json_array()))
        st = fm_fail(FM_ENOMEM, "out of memory");
    if (!st && !(st = fm_tokenizer_load(o->tokenizer, &d.tokenizer)))
        st = fm_tokenizer_worker_new(d.tokenizer, &d.worker);
    for (size_t i = 0; i < o->count && !st; i++)
        st = detect_file(&d, o->files[i], o->level);
    if (!st && d.list)
        st = fm_json_print(d.list);
    if (!st && d.too_short)
        st = fm_fail(FM_EINVAL,
                     "%zu of %zu texts are too short: %zu tokens are needed, each after "
                     "others that were not there before",
                     d.too_short, o->count, FM_WATERMARK_LEAST);
    json_decref(d.list);
    fm_tokenizer_worker_free(&d.worker);
    fm_tokenizer_free(&d.tokenizer);
    fm_watermark_free(&d.mark);
    return st;
}

int fm_cmd_watermark_detect(int argc, char **argv)
{
    static const char program[] = "fedmoe-model watermark detect";
    detect_options o = { .level = 1e-4 };
    const fm_cli_option options[] = {
        { "key", FM_CLI_STRING, &o.key, "FILE", "the key of keygen", true, 0, 0 },
        { "tokenizer", FM_CLI_STRING, &o.tokenizer, "FILE",
          "tokenizer.json of the model that may have written the texts", true, 0, 0 },
        { "level", FM_CLI_DOUBLE, &o.level, "P",
          "chance of calling a text marked that is not (default 0.0001)", false, 1e-20, 0.5 },
        { "json", FM_CLI_FLAG, &o.json, NULL, "as JSON, a list", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Tell whether texts bear a key's watermark (any bytes; no model is needed). "
                   "Exit code 1 also when a text is too short to tell.",
        .examples = "fedmoe-model watermark detect --key ward.key --tokenizer tokenizer.json "
                    "letter.txt note.txt",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = 100000,
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    o.files = argv + first;
    o.count = (size_t)(argc - first);
    return detect(&o) ? fm_cli_failed(program) : 0;
}
