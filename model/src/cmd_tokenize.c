#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/tokenizer.h"

typedef struct {
    const char *tokenizer, *input;
    bool json, special, plain;
} options_of;

/* {"ids": [1, 2]}, or a line of numbers: by hand, as there may be many millions. */
static fm_status print_ids(const fm_token_list *l, bool json)
{
    bool ok = !json || fputs("{\"ids\": [", stdout) != EOF;

    for (size_t i = 0; i < l->count && ok; i++)
        ok = printf("%s%u", i ? (json ? ", " : " ") : "", (unsigned)l->ids[i]) > 0;
    ok = ok && fputs(json ? "]}\n" : "\n", stdout) != EOF && fflush(stdout) == 0;
    return ok ? FM_OK : fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
}

static fm_status tokenize(const options_of *o)
{
    const unsigned flags =
        (o->special ? FM_TOKENIZER_SPECIAL : 0) | (o->plain ? FM_TOKENIZER_PLAIN : 0);
    fm_tokenizer *t = NULL;
    fm_tokenizer_worker *w = NULL;
    fm_token_list list = { 0 };
    fm_buf text = { 0 };
    size_t lost = 0;
    fm_status st = fm_tokenizer_load(o->tokenizer, &t);

    if (!st)
        st = fm_file_read(o->input, FM_TOKENIZER_MAX_TEXT, &text);
    if (!st)
        st = fm_tokenizer_worker_new(t, &w);
    if (!st)
        st = fm_tokenizer_encode(w, text.data, text.len, flags, &list, &lost);
    if (!st && lost)
        fm_log(FM_LOG_WARN,
               "%zu bytes of the text have no token: they are left out, or, where the text is not "
               "UTF-8, replaced by U+FFFD",
               lost);
    if (!st)
        st = print_ids(&list, o->json);
    fm_token_list_fini(&list);
    fm_tokenizer_worker_free(&w);
    fm_buf_fini(&text);
    fm_tokenizer_free(&t);
    return st;
}

int fm_cmd_tokenize(int argc, char **argv)
{
    static const char program[] = "fedmoe-model tokenize";
    options_of o = { .input = "/dev/stdin" };
    const fm_cli_option options[] = {
        { "tokenizer", FM_CLI_STRING, &o.tokenizer, "FILE", "a tokenizer.json", true, 0, 0 },
        { "input", FM_CLI_STRING, &o.input, "FILE", "the text (default: standard input)", false, 0,
          0 },
        { "special", FM_CLI_FLAG, &o.special, NULL,
          "with what the tokenizer puts around a text (BOS, EOS)", false, 0, 0 },
        { "plain", FM_CLI_FLAG, &o.plain, NULL,
          "special tokens that the text spells out are ordinary text", false, 0, 0 },
        { "json", FM_CLI_FLAG, &o.json, NULL, "as JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Print the token ids of a text (any bytes, at most 256 MiB).",
        .examples = "fedmoe-model tokenize --tokenizer tokenizer.json --json < note.txt\n"
                    "fedmoe-model tokenize --tokenizer tokenizer.json --plain --input letters.txt",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return tokenize(&o) ? fm_cli_failed(program) : 0;
}
