#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/tokenizer.h"

#define INPUT_MAX ((size_t)64 * 1024 * 1024)
#define OUTPUT_MAX ((size_t)1024 * 1024 * 1024)
#define SPACES " \t\r\n\v\f"

/* A list of numbers: room for the next. */
static fm_status put(fm_buf *ids, uint64_t id, size_t place)
{
    uint8_t *to;
    fm_status st;

    if (id > UINT32_MAX)
        return fm_fail(FM_EPROTO, "number %zu of the input is no token id", place);
    if ((st = fm_buf_extend(ids, sizeof(uint32_t), &to)) == FM_OK)
        memcpy(to, &(uint32_t){ (uint32_t)id }, sizeof(uint32_t));
    return st;
}

static fm_status read_json(const fm_buf *text, fm_buf *ids)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &error);
    const json_t *list = json_is_array(root) ? root : json_object_get(root, "ids");
    fm_status st = FM_OK;

    if (!root)
        return fm_fail(FM_EPARSE, "the input, line %d, column %d: %s", error.line, error.column,
                       error.text);
    if (!json_is_array(list))
        st = fm_fail(FM_EPROTO, "the input must be {\"ids\": [1, 2, 3]}, a list, or numbers");
    for (size_t i = 0; i < json_array_size(list) && !st; i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;

        st = put(ids, id < 0 ? UINT64_MAX : (uint64_t)id, i + 1);
    }
    json_decref(root);
    return st;
}

static fm_status read_numbers(fm_buf *text, fm_buf *ids)
{
    char *rest = (char *)text->data;
    size_t place = 0;
    fm_status st = FM_OK;

    if (memchr(text->data, '\0', text->len))
        return fm_fail(FM_EPROTO, "the input has a zero byte; it must be numbers or JSON");
    for (char *word; !st && (word = strtok_r(rest, SPACES, &rest)) != NULL;) {
        uint64_t id = UINT64_MAX;

        (void)fm_text_u64(word, &id);
        st = put(ids, id, ++place);
    }
    return st;
}

static fm_status detokenize(const char *tokenizer, const char *input, bool skip_special)
{
    fm_tokenizer *t = NULL;
    fm_buf in = { 0 }, ids = { .limit = OUTPUT_MAX }, out = { .limit = OUTPUT_MAX };
    const char *begin;
    fm_status st = fm_tokenizer_load(tokenizer, &t);

    if (!st)
        st = fm_file_read(input, INPUT_MAX, &in);
    if (!st && in.len) {
        begin = (const char *)in.data + strspn((const char *)in.data, SPACES);
        st = *begin == '{' || *begin == '[' ? read_json(&in, &ids) : read_numbers(&in, &ids);
    }
    if (!st)
        st = fm_tokenizer_decode(t, (const uint32_t *)(const void *)ids.data,
                                 ids.len / sizeof(uint32_t), skip_special, &out);
    if (!st && ((out.len && fwrite(out.data, 1, out.len, stdout) != out.len) || fflush(stdout)))
        st = fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    fm_buf_fini(&out);
    fm_buf_fini(&ids);
    fm_buf_fini(&in);
    fm_tokenizer_free(&t);
    return st;
}

int fm_cmd_detokenize(int argc, char **argv)
{
    static const char program[] = "fedmoe-model detokenize";
    const char *tokenizer = NULL, *input = "/dev/stdin";
    bool skip = false;
    const fm_cli_option options[] = {
        { "tokenizer", FM_CLI_STRING, &tokenizer, "FILE", "a tokenizer.json", true, 0, 0 },
        { "input", FM_CLI_STRING, &input, "FILE", "the ids (default: standard input)", false, 0,
          0 },
        { "skip-special", FM_CLI_FLAG, &skip, NULL, "leave special tokens out", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Print the text of token ids, read as JSON ({\"ids\": [1, 2]}, or a list) or as "
                   "numbers between spaces; at most 64 MiB.",
        .examples = "fedmoe-model tokenize --tokenizer tokenizer.json --json < note.txt |\n"
                    "    fedmoe-model detokenize --tokenizer tokenizer.json\n"
                    "echo 464 3290 | fedmoe-model detokenize --tokenizer tokenizer.json",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return detokenize(tokenizer, input, skip) ? fm_cli_failed(program) : 0;
}
