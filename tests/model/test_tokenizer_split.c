/* Splits: our scanners against the library's matches, every behaviour, texts made to be slow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "suites.h"
#include "tokenizer_fixture.h"
#include "tokenizer_internal.h"

#define SEED 62
#define TEXTS 4000

/* The library's matcher of an expression of ours. */
static pcre2_code *library(const char *pattern, fm_tk_runs *runs)
{
    fm_buf text = { 0 };
    PCRE2_SIZE at;
    int code;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_code *re;

    if (fm_tk_pattern_translate("test", pattern, strlen(pattern), &text, runs))
        printf("    %s\n", fm_error_text());
    CU_ASSERT_TRUE_FATAL(text.len > 0);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    re = pcre2_compile(text.data, text.len, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &at,
                       context);
    CU_ASSERT_PTR_NOT_NULL_FATAL(re);
    pcre2_compile_context_free(context);
    fm_buf_fini(&text);
    return re;
}

static bool next_match(const pcre2_code *re, pcre2_match_data *m, const uint8_t *p, size_t n,
                       size_t from, size_t range[2])
{
    if (pcre2_match(re, p, n, from, 0, m, NULL) < 1)
        return false;
    range[0] = pcre2_get_ovector_pointer(m)[0];
    range[1] = pcre2_get_ovector_pointer(m)[1];
    return true;
}

static void scan_equals(const fm_tk_classes *c, const pcre2_code *re, const uint8_t *p, size_t n)
{
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    size_t range[2] = { 0 };

    for (size_t at = 0, len; at < n; at += len) {
        len = fm_tk_scan(c, p + at, n - at);
        CU_ASSERT_TRUE_FATAL(next_match(re, m, p, n, at, range));
        if (range[0] != at || range[1] != at + len)
            printf("    at %zu of %zu: %zu, the library %zu..%zu\n", at, n, len, range[0],
                   range[1]);
        CU_ASSERT_TRUE_FATAL(range[0] == at && range[1] == at + len);
    }
    pcre2_match_data_free(m);
}

/* Each character between letters, spaces and digits. */
static size_t in_company(uint32_t ch, uint8_t *out)
{
    static const char *const company[] = { "a", " ", "  ", "1", "'", "\n" };
    size_t n = 0;

    for (size_t i = 0; i < FM_TEST_COUNT(company); i++) {
        n += fm_tk_encode(ch, out + n);
        memcpy(out + n, company[i], strlen(company[i]));
        n += strlen(company[i]);
    }
    return n + fm_tk_encode(ch, out + n);
}

static void the_scanner_is_the_expression(void)
{
    const fm_tk_classes *c;
    fm_tk_runs runs = { 0 };
    pcre2_code *re = library(FM_TK_GPT2, &runs);
    uint8_t text[400];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED);

    CU_ASSERT_FALSE(runs.known);
    CU_ASSERT_EQUAL_FATAL(fm_tk_classes_get(&c), FM_OK);
    for (size_t i = 0; i < TEXTS; i++)
        scan_equals(c, re, text, tok_random(&rng, text, sizeof text, false));
    for (uint32_t ch = 0; ch < 0x2100; ch++)
        if (ch < 0xd800)
            scan_equals(c, re, text, in_company(ch, text));
    pcre2_code_free(re);
}

/* Against the library, one character at a time: all of them. */
static void classes_are_the_library_s(void)
{
    static const struct {
        const char *pattern;
        uint8_t bit;
    } sets[] = {
        { "\\p{L}", FM_TK_LETTER },
        { "\\p{N}", FM_TK_NUMBER },
        { "[\\x{9}-\\x{d}\\x{85}\\p{Z}]", FM_TK_SPACE },
        { "[\\p{P}$+<=>^`|~]", FM_TK_PUNCT },
        { "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]", FM_TK_WORD },
    };
    const fm_tk_classes *c;
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);

    CU_ASSERT_EQUAL_FATAL(fm_tk_classes_get(&c), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(sets); i++) {
        PCRE2_SIZE at;
        int code;
        pcre2_code *re = pcre2_compile((PCRE2_SPTR)sets[i].pattern, PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
        size_t wrong = 0;

        CU_ASSERT_PTR_NOT_NULL_FATAL(re);
        for (uint32_t ch = 0; ch < 0x110000; ch++) {
            uint8_t text[4];
            const size_t n = fm_tk_encode(ch, text);

            if (ch >= 0xd800 && ch <= 0xdfff)
                continue;
            wrong += (pcre2_match(re, text, n, 0, PCRE2_NO_UTF_CHECK, m, NULL) > 0) !=
                     ((fm_tk_properties_of(c, ch).class & sets[i].bit) != 0);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        pcre2_code_free(re);
    }
    pcre2_match_data_free(m);
}

static const char *const simple[] = {
    "[\r\n]",
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u0370-\u0373]+",
    "\\s?[!-/:-~\uff01-\uff0f\u2018-\u201f\u3000-\u3002]+",
    "\\s+$",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    "\\p{N}{1,3}",
    "\\s?\\p{L}+",
    "\\s?\\p{P}+",
    "[^\\s\\p{L}\\p{N}]+",
    "\\S+",
    ".",
    "\\D?\\d+",
    "[\\P{L}a]{1,5}",
    "\\p{^Lu}?[\\x41-Z\\n]+",
    "[^a]+$",
};

static void simple_expressions_are_the_expressions(void)
{
    const fm_tk_classes *c;
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    uint8_t text[300];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED + 1);

    CU_ASSERT_EQUAL_FATAL(fm_tk_classes_get(&c), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(simple); i++) {
        fm_tk_runs runs = { 0 };
        pcre2_code *re = library(simple[i], &runs);

        CU_ASSERT_TRUE_FATAL(runs.known);
        fm_tk_set_close(&runs.lead, c);
        fm_tk_set_close(&runs.body, c);
        for (size_t k = 0; k < TEXTS / 4; k++) {
            const size_t n = tok_random(&rng, text, sizeof text, false);
            size_t ours[2] = { 0 }, theirs[2] = { 0 };
            bool more = n > 0;

            while (more) {
                const size_t from = theirs[1];

                more = next_match(re, m, text, n, from, theirs);
                CU_ASSERT_EQUAL_FATAL(fm_tk_runs_next(&runs, c, text, n, from, ours), more);
                CU_ASSERT_TRUE_FATAL(!more || (ours[0] == theirs[0] && ours[1] == theirs[1]));
            }
        }
        pcre2_code_free(re);
        fm_tk_runs_fini(&runs);
    }
    pcre2_match_data_free(m);
}

static void what_is_not_simple_goes_to_the_library(void)
{
    static const char *const patterns[] = { "a+|b", "a*",    "a+?",     "(?:a)+", "a+$|b", "ab",
                                            "a?b?", "a{2}",  "a{2,3}",  "a++",    "^a+",   "a+^",
                                            "$",    "a{1,}", "a+(?!b)", "a?a$",   "(?i:a)" };

    for (size_t i = 0; i < FM_TEST_COUNT(patterns); i++) {
        fm_tk_runs runs = { 0 };

        pcre2_code_free(library(patterns[i], &runs));
        CU_ASSERT_FALSE(runs.known);
        fm_tk_runs_fini(&runs);
    }
}

static fm_tokenizer *with_splits(const char *stages)
{
    json_t *root = tok_small();
    char text[4096];

    (void)snprintf(text, sizeof text,
                   "{\"type\": \"Sequence\", \"pretokenizers\": [%s, {\"type\": \"ByteLevel\", "
                   "\"add_prefix_space\": false, \"use_regex\": false}]}",
                   stages);
    tok_put(root, "pre_tokenizer", text);
    return tok_parse(root);
}

/* Where splits are shows in merges that do not happen: "aa" is one id, "a" twice is two. */
static void behaviours_of_splits(void)
{
    static const struct {
        const char *behaviour, *invert;
        uint32_t ids[8];
        size_t count;
    } cases[] = {
        /* aabbaa split by b */
        { "Isolated", "false", { TOK_AA, 'b', 'b', TOK_AA }, 4 },
        { "Removed", "false", { TOK_AA, TOK_AA }, 2 },
        { "Removed", "true", { 'b', 'b' }, 2 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char text[256];
        fm_tokenizer *t;

        (void)snprintf(text, sizeof text,
                       "{\"type\": \"Split\", \"pattern\": {\"String\": \"b\"}, \"behavior\": "
                       "\"%s\", \"invert\": %s}",
                       cases[i].behaviour, cases[i].invert);
        t = with_splits(text);
        tok_gives(t, "aabbaa", 6, 0, cases[i].ids, cases[i].count);
        fm_tokenizer_free(&t);
    }
}

/* Split by a, so that merges of a tell which pieces they share: h e | a... */
static void merging_behaviours(void)
{
    static const struct {
        const char *behaviour;
        uint32_t ids[8];
        size_t count;
    } cases[] = {
        /* "aaaa" by single a's: each its own, all together, or pairs as the library makes them */
        { "Isolated", { 'a', 'a', 'a', 'a', 'h', 'e' }, 6 },
        { "Contiguous", { TOK_AAAA, 'h', 'e' }, 3 },
        { "MergedWithPrevious", { 'a', 'a', 'a', 'a', TOK_HE }, 5 },
        { "MergedWithNext", { 'a', 'a', 'a', 'a', 'h', 'e' }, 6 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char text[512];
        const bool previous = strcmp(cases[i].behaviour, "MergedWithPrevious") == 0;
        fm_tokenizer *t;

        (void)snprintf(text, sizeof text,
                       "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"%s\"}, \"behavior\": "
                       "\"%s\", \"invert\": false}",
                       previous ? "a|e" : "a|h", cases[i].behaviour);
        t = with_splits(text);
        if (strcmp(cases[i].behaviour, "Contiguous") == 0) {
            /* "aaaah" matches throughout: one piece */
            tok_gives(t, "aaaahe", 6, 0, cases[i].ids, cases[i].count);
        } else if (strcmp(cases[i].behaviour, "MergedWithNext") == 0) {
            /* the last match before what is none goes with it: h + e, and then it merges */
            static const uint32_t ids[] = { 'a', 'a', 'a', 'a', TOK_HE };

            tok_gives(t, "aaaahe", 6, 0, ids, 5);
        } else {
            tok_gives(t, "aaaahe", 6, 0, cases[i].ids, cases[i].count);
        }
        fm_tokenizer_free(&t);
    }
}

static void digits_punctuation_prefix(void)
{
    fm_tokenizer *t = with_splits("{\"type\": \"Digits\", \"individual_digits\": true}");
    json_t *root;

    TOK_GIVES(t, "aa12aa", 0, TOK_AA, '1', '2', TOK_AA);
    fm_tokenizer_free(&t);
    t = with_splits("{\"type\": \"Punctuation\"}");
    TOK_GIVES(t, "he!he", 0, TOK_HE, '!', TOK_HE);
    fm_tokenizer_free(&t);
    root = tok_small();
    tok_put(root, "pre_tokenizer.add_prefix_space", "true");
    t = tok_parse(root);
    TOK_GIVES(t, "hello", 0, TOK_SPACE_HELLO);
    TOK_GIVES(t, " hello", 0, TOK_SPACE_HELLO);
    TOK_GIVES(t, "<s>hello", 0, TOK_ADDED, TOK_SPACE_HELLO);
    tok_gives(t, "", 0, 0, NULL, 0);
    fm_tokenizer_free(&t);
}

/* As the library's iterator: "x*" matches at every place, and splits there. */
static void empty_matches_split(void)
{
    fm_tokenizer *t = with_splits("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?=h)\"}, "
                                  "\"behavior\": \"Isolated\", \"invert\": false}");

    TOK_GIVES(t, "aahe", 0, TOK_AA, TOK_HE);
    TOK_GIVES(t, "hehe", 0, TOK_HE, TOK_HE);
    fm_tokenizer_free(&t);
    t = with_splits("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x*\"}, "
                    "\"behavior\": \"Isolated\", \"invert\": false}");
    TOK_GIVES(t, "aa\u00e9", 0, 'a', 'a', 0xc3, 0xa9);
    fm_tokenizer_free(&t);
}

static void a_piece_that_is_taken_away_takes_its_bad_bytes(void)
{
    fm_tokenizer *t = with_splits("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"b[^a]*b\"}, "
                                  "\"behavior\": \"Removed\", \"invert\": false}");

    TOK_GIVES(t,
              "a\xff"
              "b\xfe"
              "ba\xfd",
              0, 'a', 0xff, 'a', 0xfd);
    fm_tokenizer_free(&t);
}

/* What DeepSeek-V2 and V3, and Llama 3, split by. */
#define V2                                                                                       \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\r\\n]\"}, \"behavior\": \"Isolated\", " \
    "\"invert\": false}, {\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\s+$\"}, "          \
    "\"behavior\": \"Isolated\", \"invert\": false}"
#define V3                                                                                         \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}{1,3}\"}, \"behavior\": "            \
    "\"Isolated\", \"invert\": false}, {\"type\": \"Split\", \"pattern\": {\"Regex\": "            \
    "\"[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\\\p{L}\\\\p{P}" \
    "\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)" \
    "|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}"

static void families_split_as_they_should(void)
{
    fm_tokenizer *t = with_splits(V3);

    TOK_GIVES(t, "aa12345", 0, TOK_AA, '1', '2', '3', '4', '5');
    TOK_GIVES(t, ".hello  hello", 0, '.', TOK_HELLO, ' ', TOK_SPACE_HELLO);
    TOK_GIVES(t, "!\n\naa", 0, '!', '\n', '\n', TOK_AA);
    fm_tokenizer_free(&t);
    t = with_splits(V2);
    TOK_GIVES(t, "hello  \n hello", 0, TOK_HELLO, ' ', ' ', '\n', TOK_SPACE_HELLO);
    fm_tokenizer_free(&t);
}

/* A megabyte of something: time may grow as n log n, not as n squared (which would take hours). */
static void slow_text(const fm_tokenizer *t, const char *unit, const char *tail)
{
    enum { LEN = 1 << 20 };
    const size_t step = strlen(unit), n = LEN / step * step;
    uint8_t *text = malloc(n + 8);
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    double seconds;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < n; i += step)
        memcpy(text + i, unit, step);
    memcpy(text + n, tail, strlen(tail));
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    seconds = tok_seconds();
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, text, n + strlen(tail), 0, &l, NULL), FM_OK);
    seconds = tok_seconds() - seconds;
    if (seconds > 8.0)
        printf("    %.1f s for a megabyte of \"%s\"\n", seconds, unit);
    CU_ASSERT_TRUE(seconds < 8.0);
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
    free(text);
}

static void hostile_texts_are_not_slow(void)
{
    static const char *const units[] = {
        "a", " ", "\n", "\U0001f469\u200d", "\u0301\u0316", "\u1100\u1161", "1", "!", "\xff", "<s"
    };
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_put(root, "normalizer", "{\"type\": \"NFC\"}");
    t = tok_parse(root);
    for (size_t i = 0; i < FM_TEST_COUNT(units); i++)
        slow_text(t, units[i], "x");
    fm_tokenizer_free(&t);
    /* Deeper than the machine code's stack. */
    t = with_splits("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?:a[bc]?)+\"}, "
                    "\"behavior\": \"Isolated\", \"invert\": false}");
    slow_text(t, "ab", "x");
    fm_tokenizer_free(&t);
    t = with_splits(V2 "," V3);
    slow_text(t, " ", "x");
    slow_text(t, "a", " ");
    slow_text(t, "\n ", "x");
    fm_tokenizer_free(&t);
}

/* Exponential on a text made for them: the library's steps are counted. */
static void hostile_expressions_are_given_up(void)
{
    static const char *const patterns[] = { "(?:a+)+[bc]", "(?:a|a)*[cd]" };
    enum { LEN = 4000 };
    char text[LEN], stage[256];

    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < FM_TEST_COUNT(patterns); i++) {
        fm_tokenizer *t;
        fm_tokenizer_worker *w = NULL;
        fm_token_list l = { 0 };

        (void)snprintf(stage, sizeof stage,
                       "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"%s\"}, \"behavior\": "
                       "\"Isolated\", \"invert\": false}",
                       patterns[i]);
        t = with_splits(stage);
        CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
        CU_ASSERT_EQUAL(fm_tokenizer_encode(w, text, sizeof text, 0, &l, NULL), FM_ETIMEOUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "pre_tokenizer.pretokenizers[0].pattern"));
        CU_ASSERT_EQUAL(l.count, 0);
        fm_token_list_fini(&l);
        fm_tokenizer_worker_free(&w);
        fm_tokenizer_free(&t);
    }
}

/* Quadratic: each start is cheap enough, all together are not; the clock is looked at. */
static void quadratic_expressions_are_given_up(void)
{
    enum { LEN = 1 << 20 };
    char *text = malloc(LEN);
    fm_tokenizer *t = with_splits("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?=a+[bc])\"}, "
                                  "\"behavior\": \"Isolated\", \"invert\": false}");
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    double seconds = tok_seconds();

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'a', LEN);
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    w->budget_ns = 0; /* not ten seconds: one, for the megabyte */
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, text, LEN, 0, &l, NULL), FM_ETIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "takes too long on this text"));
    CU_ASSERT_TRUE((seconds = tok_seconds() - seconds) < 5.0);
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
    fm_tokenizer_free(&t);
    free(text);
}

static const fm_test tests[] = {
    { "the scanner is the expression", the_scanner_is_the_expression },
    { "classes are the library's", classes_are_the_library_s },
    { "simple expressions are the expressions", simple_expressions_are_the_expressions },
    { "what is not simple goes to the library", what_is_not_simple_goes_to_the_library },
    { "behaviours of splits", behaviours_of_splits },
    { "merging behaviours", merging_behaviours },
    { "digits, punctuation, the space before", digits_punctuation_prefix },
    { "empty matches split", empty_matches_split },
    { "a piece that is taken away takes its bad bytes",
      a_piece_that_is_taken_away_takes_its_bad_bytes },
    { "families split as they should", families_split_as_they_should },
    { "hostile texts are not slow", hostile_texts_are_not_slow },
    { "hostile expressions are given up", hostile_expressions_are_given_up },
    { "quadratic expressions are given up", quadratic_expressions_are_given_up },
};
const fm_test_suite suite_tokenizer_split = { "model.tokenizer_split", tests,
                                              FM_TEST_COUNT(tests) };
