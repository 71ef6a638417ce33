#include "corpus_fixture.h"

#include <stdio.h>
#include <string.h>

#include "fm_test.h"

/* The byte alphabet of byte-level tokenizers: what prints in Latin-1 stands for itself, the others
 * for U+0100 and on. */
static fm_status put_vocabulary(fm_buf *b)
{
    uint32_t next = 256;
    fm_status st = FM_OK;

    for (uint32_t byte = 0; !st && byte < 256; byte++) {
        const bool prints =
            (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad && byte <= 0xff);

        st = fm_buf_printf(b, "%s\"\\u%04x\": %u", byte ? ", " : "", prints ? byte : next++, byte);
    }
    return st;
}

fm_tokenizer *corpus_tokenizer(const char *post, bool special)
{
    static const char added[] = "{\"id\": %u, \"content\": \"%s\", \"single_word\": false, "
                                "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                                "\"special\": %s}%s";
    fm_buf b = { 0 };
    fm_tokenizer *t = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "{\"version\": \"1.0\", \"added_tokens\": ["), FM_OK);
    CU_ASSERT_EQUAL(
        fm_buf_printf(&b, added, CORPUS_END, "<|endoftext|>", special ? "true" : "false", ", "),
        FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&b, added, CORPUS_BEGIN, "<s>", "true", ", "), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&b, added, CORPUS_ORDINARY, "<plain>", "false", ""), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&b,
                                  "], \"normalizer\": null, \"pre_tokenizer\": {\"type\": "
                                  "\"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": "
                                  "true, \"use_regex\": true}, \"post_processor\": %s, "
                                  "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": "
                                  "\"BPE\", \"unk_token\": null, \"merges\": [], \"vocab\": {",
                                  post ? post : "null"),
                    FM_OK);
    CU_ASSERT_EQUAL(put_vocabulary(&b), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "}}}"), FM_OK);
    if (fm_tokenizer_parse("tokenizer.json", b.data, b.len, &t))
        fprintf(stderr, "%s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    fm_buf_fini(&b);
    return t;
}

static fm_corpus *read_with(const corpus_case *c, const void *data, size_t len, fm_buf *problems)
{
    const fm_corpus_options o = { .context = c->context ? c->context : 64,
                                  .max_unit_sequences = c->max_unit_sequences,
                                  .problems = problems };
    fm_tokenizer *t = corpus_tokenizer(c->post, true);
    fm_text_schema *s = NULL;
    fm_corpus *out = NULL;

    if (fm_text_schema_parse("text.yaml", c->schema, strlen(c->schema), &s))
        fprintf(stderr, "%s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    /* The last: its error text is the test's to read. */
    if (fm_corpus_parse(s, t, &o, "data", data, len, &out))
        CU_ASSERT_PTR_NULL(out);
    fm_text_schema_free(&s);
    fm_tokenizer_free(&t);
    return out;
}

fm_corpus *corpus_read(const corpus_case *c, const void *data, size_t len)
{
    return read_with(c, data, len, NULL);
}

static void put(char *out, size_t cap, size_t *at, uint32_t id)
{
    const char c = id == CORPUS_END ? '$' : id == CORPUS_BEGIN ? '^' : (char)id;

    if (*at + 1 < cap)
        out[(*at)++] = c;
    out[*at] = '\0';
}

void corpus_write(const fm_corpus *c, char *out, size_t cap)
{
    size_t at = 0, longest = 0;

    out[0] = '\0';
    CU_ASSERT_EQUAL(c->starts[0], 0);
    CU_ASSERT_EQUAL(c->unit_start[0], 0);
    CU_ASSERT_EQUAL(c->unit_start[c->units], c->sequences);
    for (size_t u = 0; u < c->units; u++) {
        CU_ASSERT_TRUE(c->unit_start[u] < c->unit_start[u + 1]);
        for (size_t i = c->unit_start[u]; i < c->unit_start[u + 1]; i++) {
            const size_t len = (size_t)(c->starts[i + 1] - c->starts[i]);

            CU_ASSERT_TRUE(len >= 2);
            longest = len > longest ? len : longest;
            if (i)
                put(out, cap, &at, i == c->unit_start[u] ? '|' : '/');
            for (size_t k = 0; k < len; k++)
                put(out, cap, &at, c->tokens[c->starts[i] + k]);
        }
    }
    CU_ASSERT_EQUAL(longest, c->longest);
}

void corpus_gives(const corpus_case *c, const void *data, size_t len, const char *want)
{
    fm_corpus *got = corpus_read(c, data, len);
    char text[4096];

    if (!got)
        fprintf(stderr, "\nrefused: %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    corpus_write(got, text, sizeof text);
    if (strcmp(text, want) != 0)
        fprintf(stderr, "\ngot  %s\nwant %s\n", text, want);
    CU_ASSERT_STRING_EQUAL(text, want);
    fm_corpus_free(&got);
}

void corpus_refuses(const corpus_case *c, const void *data, size_t len, const char *want)
{
    fm_buf problems = { 0 };
    fm_corpus *got = read_with(c, data, len, &problems);

    CU_ASSERT_PTR_NULL(got);
    if (!got && !strstr(fm_error_text(), want))
        fprintf(stderr, "\ngot  %s\nwant %s\n", fm_error_text(), want);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), want));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "SECRET"));
    if (problems.len)
        CU_ASSERT_PTR_NULL(strstr((const char *)problems.data, "SECRET"));
    fm_buf_fini(&problems);
    fm_corpus_free(&got);
}
