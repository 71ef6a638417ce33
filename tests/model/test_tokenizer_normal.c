/* Normal forms against utf8proc's own, whole characters and random texts; and added tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "fm_test.h"
#include "suites.h"
#include "tokenizer_fixture.h"
#include "tokenizer_internal.h"

#define SEED 63

static const int options[] = {
    UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

static void equals(fm_tk_form form, const uint8_t *text, size_t n)
{
    fm_buf ours = { 0 };
    utf8proc_uint8_t *theirs = NULL;
    const utf8proc_ssize_t len =
        utf8proc_map(text, (utf8proc_ssize_t)n, &theirs, (utf8proc_option_t)options[form]);

    CU_ASSERT_TRUE_FATAL(len >= 0);
    CU_ASSERT_EQUAL_FATAL(fm_tk_normalise(form, text, n, &ours), FM_OK);
    if (ours.len != (size_t)len || (len && memcmp(ours.data, theirs, ours.len) != 0))
        printf("    form %d of %.*s\n", (int)form, (int)n, (const char *)text);
    CU_ASSERT_EQUAL_FATAL(ours.len, (size_t)len);
    CU_ASSERT_TRUE_FATAL(!len || memcmp(ours.data, theirs, ours.len) == 0);
    free(theirs);
    fm_buf_fini(&ours);
}

/* Eight in a row of each block: alone, behind a letter, and before an accent. */
static void every_character(void)
{
    uint8_t text[8 * 12];

    for (uint32_t first = 0; first < 0x30000; first += 8) {
        size_t n = 0;

        if (first == 0x3400 || first == 0x4e00 || first == 0xac00)
            first += 0x1900; /* the middle of ranges without exceptions */
        for (uint32_t c = first; c < first + 8; c++) {
            if (c >= 0xd800 && c <= 0xdfff)
                continue;
            text[n++] = 'a';
            n += fm_tk_encode(c, text + n);
            memcpy(text + n, "\u0301", 2);
            n += 2;
        }
        for (size_t form = 0; form < FM_TEST_COUNT(options); form++)
            equals((fm_tk_form)form, text, n);
    }
}

static void random_texts(void)
{
    static const char *const parts[] = {
        "a",      "e\u0301",      "\u0316\u0301", "\u1100",      "\u1161",
        "\u11a8", "\uac00",       "\u304b\u3099", "\u212b",      "\u4e2d",
        "\ufb01", "\u00e9",       "\u0345\u0327", " ",           "\u2019",
        "\u0439", "\u1e9b\u0323", "\uf900",       "\u09c7\u09be"
    };
    uint8_t text[600];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED);

    for (size_t i = 0; i < 3000; i++) {
        const size_t parts_wanted = (size_t)fm_rng_below(&rng, 40);
        size_t n = 0;

        if (i & 1)
            n = tok_random(&rng, text, sizeof text, false);
        else
            for (size_t k = 0; k < parts_wanted; k++) {
                const char *s = parts[fm_rng_below(&rng, FM_TEST_COUNT(parts))];

                memcpy(text + n, s, strlen(s));
                n += strlen(s);
            }
        equals((fm_tk_form)(i / 2 % 4), text, n);
    }
}

/* More marks than are sorted by insertion. */
static void many_marks_are_in_order(void)
{
    static const char *const marks[] = { "\u0301", "\u0316", "\u0327", "\u0345", "\u0334" };
    uint8_t text[1000];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED + 1);

    for (size_t i = 0; i < 100; i++) {
        size_t n = 1;

        text[0] = 'a';
        for (; n + 2 < sizeof text; n += 2)
            memcpy(text + n, marks[fm_rng_below(&rng, FM_TEST_COUNT(marks))], 2);
        equals((fm_tk_form)(i % 4), text, n);
    }
}

static void ill_formed_bytes_stay_and_the_rest_is_normalised(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_put(
        root, "normalizer",
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFD\"}, {\"type\": \"NFC\"}]}");
    t = tok_parse(root);
    TOK_GIVES(t, "e\xcc\x81", 0, 0xc3, 0xa9);
    TOK_GIVES(t, "e\xcc\xff\xcc\x81", 0, 'e', 0xcc, 0xff, 0xcc, 0x81);
    TOK_GIVES(t,
              "\xe1\x80"
              "e\xcc\x81",
              0, 0xe1, 0x80, 0xc3, 0xa9);
    fm_tokenizer_free(&t);
}

/* ---- Added tokens ---- */

static void added_tokens_and_spaces(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_add(root, TOK_ADDED + 1, "<l>", "lstrip special");
    tok_add(root, TOK_ADDED + 2, "<r>", "rstrip special");
    tok_add(root, TOK_ADDED + 3, "  ", "normalized");
    t = tok_parse(root);
    TOK_GIVES(t, "a \u00a0\n<l> b", 0, 'a', TOK_ADDED + 1, ' ', 'b');
    TOK_GIVES(t, "a <r> \u3000b", 0, 'a', ' ', TOK_ADDED + 2, 'b');
    TOK_GIVES(t, "<r> <l>", 0, TOK_ADDED + 2, TOK_ADDED + 1);
    TOK_GIVES(t, "a   b", 0, 'a', TOK_ADDED + 3, ' ', 'b');
    fm_tokenizer_free(&t);
}

static void added_tokens_whole_words_and_longest(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_add(root, TOK_ADDED + 1, "he", "single_word");
    t = NULL;
    tok_refused(root, "added_tokens[1]: id is 264, but by the vocabulary 'he' has 256");
    root = tok_small();
    tok_add(root, TOK_HE, "he", "single_word");
    tok_add(root, TOK_ADDED + 1, "ab", "");
    tok_add(root, TOK_ADDED + 2, "abc", "");
    t = tok_parse(root);
    TOK_GIVES(t, "he", 0, TOK_HE);
    TOK_GIVES(t, "(he)", 0, '(', TOK_HE, ')');
    TOK_GIVES(t, "he\u00e9", 0, TOK_HE, 0xc3, 0xa9); /* a word goes on: by merges, the same id */
    TOK_GIVES(t, "abcab", 0, TOK_ADDED + 2, TOK_ADDED + 1);
    TOK_GIVES(t, "abab", 0, TOK_ADDED + 1, TOK_ADDED + 1);
    fm_tokenizer_free(&t);
}

static void words_keep_added_tokens_out(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_add(root, TOK_ADDED + 1, "xy", "single_word");
    t = tok_parse(root);
    TOK_GIVES(t, "xy", 0, TOK_ADDED + 1);
    TOK_GIVES(t, "(xy", 0, '(', TOK_ADDED + 1);
    TOK_GIVES(t, "axy", 0, 'a', 'x', 'y');
    TOK_GIVES(t, "xy_", 0, 'x', 'y', '_');
    TOK_GIVES(t, "xy\u0301", 0, 'x', 'y', 0xcc, 0x81);
    TOK_GIVES(t, "xyxy xy", 0, 'x', 'y', 'x', 'y', ' ', TOK_ADDED + 1);
    fm_tokenizer_free(&t);
}

static void normalized_tokens_match_what_is_normalised(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;
    fm_buf out = { 0 };
    const uint32_t id = TOK_ADDED + 1;

    tok_put(root, "normalizer", "{\"type\": \"NFC\"}");
    tok_add(root, TOK_ADDED + 1, "e\u0301", "normalized");
    tok_add(root, TOK_ADDED + 2, "o\u0301", "");
    t = tok_parse(root);
    TOK_GIVES(t, "\u00e9e\u0301", 0, TOK_ADDED + 1, TOK_ADDED + 1);
    TOK_GIVES(t, "\u00f3o\u0301", 0, 0xc3, 0xb3, TOK_ADDED + 2);
    CU_ASSERT_EQUAL(fm_tokenizer_decode(t, &id, 1, false, &out), FM_OK);
    CU_ASSERT_TRUE(out.len == 3 && memcmp(out.data, "e\u0301", 3) == 0); /* its content */
    fm_buf_fini(&out);
    fm_tokenizer_free(&t);
}

static const fm_test tests[] = {
    { "every character", every_character },
    { "random texts", random_texts },
    { "many marks are in order", many_marks_are_in_order },
    { "ill-formed bytes stay, and the rest is normalised",
      ill_formed_bytes_stay_and_the_rest_is_normalised },
    { "added tokens and spaces", added_tokens_and_spaces },
    { "added tokens, whole words and the longest", added_tokens_whole_words_and_longest },
    { "words keep added tokens out", words_keep_added_tokens_out },
    { "normalized tokens match what is normalised", normalized_tokens_match_what_is_normalised },
};
const fm_test_suite suite_tokenizer_normal = { "model.tokenizer_normal", tests,
                                               FM_TEST_COUNT(tests) };
