/*
 * Input that begins with '{': a tokenizer.json. Where it is taken, it encodes and decodes. Other
 * input: a text for one of three tokenizers, by its first byte; what is encoded comes back, unless
 * the tokenizer normalises.
 */
#include "fedmoe/model/tokenizer.h"

#include <stdint.h>
#include <string.h>

#include "fuzz.h"

static const char *const heads[] = {
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"added_tokens\": "
    "[]",
    "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
    "\"add_prefix_space\": true}, \"added_tokens\": [{\"id\": 257, \"content\": \"<a>\", "
    "\"single_word\": true, \"lstrip\": true, \"rstrip\": true, \"normalized\": true, \"special\": "
    "true}, {\"id\": 258, \"content\": \"  \", \"single_word\": false, \"lstrip\": false, "
    "\"rstrip\": "
    "false, \"normalized\": false, \"special\": false}]",
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
    "\"pattern\": {\"Regex\": \"\\\\p{N}{1,3}\"}, \"behavior\": \"Isolated\", \"invert\": false}, "
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?"
    "[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
    "\"behavior\": \"MergedWithNext\", \"invert\": true}, {\"type\": \"Digits\", "
    "\"individual_digits\": false}, {\"type\": \"Punctuation\"}, {\"type\": \"ByteLevel\", "
    "\"add_prefix_space\": false, \"use_regex\": false}]}, \"added_tokens\": []",
};
#define KINDS (sizeof heads / sizeof heads[0])

static fm_tokenizer *tokenizers[KINDS];
static fm_tokenizer_worker *workers[KINDS];

static void make(size_t kind)
{
    fm_buf b = { 0 };
    unsigned next = 256;

    FUZZ_REQUIRE(!fm_buf_printf(&b,
                                "{%s, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": "
                                "{\"merges\": [\"a a\"], \"vocab\": {\"aa\": 256",
                                heads[kind]));
    for (unsigned c = 0; c < 256; c++) { /* GPT-2's alphabet */
        const bool prints = (c > 0x20 && c < 0x7f) || (c > 0xa0 && c != 0xad);

        FUZZ_REQUIRE(!fm_buf_printf(&b, ", \"\\u%04x\": %u", prints ? c : next, c));
        next += !prints;
    }
    FUZZ_REQUIRE(!fm_buf_printf(&b, "}}}"));
    FUZZ_REQUIRE(!fm_tokenizer_parse("fuzz", b.data, b.len, &tokenizers[kind]));
    FUZZ_REQUIRE(!fm_tokenizer_worker_new(tokenizers[kind], &workers[kind]));
    fm_buf_fini(&b);
}

static void run(const fm_tokenizer *t, fm_tokenizer_worker *w, const uint8_t *text, size_t n,
                unsigned flags, bool comes_back)
{
    fm_token_list l = { 0 };
    fm_buf out = { 0 };
    fm_status st = fm_tokenizer_encode(w, text, n, flags, &l, NULL);

    if (!st) {
        FUZZ_REQUIRE(!fm_tokenizer_decode(t, l.ids, l.count, false, &out));
        FUZZ_REQUIRE(!comes_back || (out.len == n && (!n || memcmp(out.data, text, n) == 0)));
    }
    FUZZ_REQUIRE(!st || (st == FM_ETIMEOUT && !comes_back && !l.count));
    fm_buf_fini(&out);
    fm_token_list_fini(&l);
}

static void try_file(const uint8_t *data, size_t size)
{
    static const uint8_t text[] = "ab ab's 12 <a>\n\n \xff \xc3\xa9"
                                  "e\xcc\x81!";
    fm_tokenizer *t = NULL;
    fm_tokenizer_worker *w = NULL;

    if (fm_tokenizer_parse("fuzz", data, size, &t))
        return;
    FUZZ_REQUIRE(!fm_tokenizer_worker_new(t, &w));
    run(t, w, text, sizeof text - 1, FM_TOKENIZER_SPECIAL, false);
    fm_tokenizer_worker_free(&w);
    fm_tokenizer_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t kind;

    if (!size)
        return 0;
    if (data[0] == '{') {
        try_file(data, size);
        return 0;
    }
    kind = data[0] % KINDS;
    if (!tokenizers[kind])
        make(kind);
    run(tokenizers[kind], workers[kind], data + 1, size - 1,
        data[0] & 0x80 ? FM_TOKENIZER_PLAIN : 0, kind != 1);
    return 0;
}
