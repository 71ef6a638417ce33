/* What a tokenizer.json may say, and what is refused, by its place in the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "suites.h"
#include "tokenizer_fixture.h"

static void what_is_around_a_text(void)
{
    static const char *const posts[] = {
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "
        "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": "
        "{\"id\": \"end\", \"type_id\": 0}}], \"pair\": [], \"special_tokens\": {\"<s>\": {\"id\": "
        "\"<s>\", \"ids\": [263], \"tokens\": [\"<s>\"]}, \"end\": {\"ids\": [1, 2]}}}",
        "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\", \"trim_offsets\": "
        "true}, "
        "{\"type\": \"RobertaProcessing\", \"cls\": [\"<s>\", 263], \"sep\": [\"b\", 1], "
        "\"trim_offsets\": true, \"add_prefix_space\": false}]}",
    };
    json_t *root = tok_small();
    fm_tokenizer *t;

    tok_put(root, "post_processor", posts[0]);
    t = tok_parse(root);
    TOK_GIVES(t, "a", FM_TOKENIZER_SPECIAL, TOK_ADDED, 'a', 1, 2);
    TOK_GIVES(t, "", FM_TOKENIZER_SPECIAL, TOK_ADDED, 1, 2);
    TOK_GIVES(t, "a", 0, 'a');
    fm_tokenizer_free(&t);
    root = tok_small();
    tok_put(root, "post_processor", posts[1]);
    t = tok_parse(root);
    TOK_GIVES(t, "a", FM_TOKENIZER_SPECIAL, TOK_ADDED, 'a', 1);
    fm_tokenizer_free(&t);
}

static void unknown_bytes_and_ignored_merges(void)
{
    json_t *root = tok_small();
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    fm_tokenizer *t;

    (void)json_object_del(vocab, "x");
    json_array_clear(json_object_get(root, "added_tokens"));
    tok_put(root, "model.unk_token", "\"?\"");
    t = tok_parse(json_deep_copy(root));
    TOK_GIVES(t, "axxa", 0, 'a', '?', '?', 'a');
    fm_tokenizer_free(&t);
    tok_put(root, "model.fuse_unk", "true");
    t = tok_parse(json_deep_copy(root));
    TOK_GIVES(t, "axxaxa", 0, 'a', '?', 'a', '?', 'a');
    fm_tokenizer_free(&t);
    tok_put(root, "model.unk_token", "null"); /* as the library: neighbours close up, and merge */
    t = tok_parse(root);
    TOK_GIVES(t, "axa", 0, TOK_AA);
    fm_tokenizer_free(&t);

    root = tok_small();
    tok_put(root, "model.merges", "[\"h e\"]");
    tok_put(root, "model.ignore_merges", "true");
    t = tok_parse(root);
    TOK_GIVES(t, "hello hello hehe", 0, TOK_HELLO, TOK_SPACE_HELLO, ' ', TOK_HE, TOK_HE);
    fm_tokenizer_free(&t);
}

static void what_changes_nothing_is_taken(void)
{
    static const char *const neutral[][2] = {
        { "truncation", "null" },
        { "padding", "{\"strategy\": \"BatchLongest\", \"direction\": \"Right\", "
                     "\"pad_to_multiple_of\": null, \"pad_id\": 0}" },
        { "normalizer", "{\"type\": \"Sequence\", \"normalizers\": []}" },
        { "post_processor",
          "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": "
          "false, \"use_regex\": true}" },
        { "decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\"}]}" },
        { "model.dropout", "null" },
        { "model.continuing_subword_prefix", "\"\"" },
        { "model.end_of_word_suffix", "null" },
        { "model.byte_fallback", "true" }, /* all bytes have a token: it is never used */
        { "model.merges", "[\"#version: 0.2\", \"h e\", \"l l\", \"he ll\", \"hell o\", "
                          "[\"\u0120\", \"hello\"], \"a a\"]" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(neutral); i++) {
        json_t *root = tok_small();
        fm_tokenizer *t;

        tok_put(root, neutral[i][0], neutral[i][1]);
        t = tok_parse(root);
        TOK_GIVES(t, "hello hello", 0, TOK_HELLO, TOK_SPACE_HELLO);
        fm_tokenizer_free(&t);
    }
}

#define SPLIT(regex)                                                                               \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": " \
    "\"" regex "\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", "   \
    "\"add_prefix_space\": false, \"use_regex\": false}]}"

static const struct {
    const char *path, *value, *want;
} refusals[] = {
    { "extra", "1", "the key 'extra' is not known" },
    { "version", "\"2.0\"", "version: must be \"1.0\"" },
    { "truncation", "{\"max_length\": 5}", "truncation: cutting texts" },
    { "padding", "{\"strategy\": {\"Fixed\": 8}}", "padding: padding" },
    { "padding", "{\"strategy\": \"BatchLongest\", \"pad_to_multiple_of\": 8}",
      "padding: padding" },
    { "normalizer", "{\"type\": \"Lowercase\"}", "normalizer: the normalizer 'Lowercase'" },
    { "normalizer",
      "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": "
      "\"Replace\"}]}",
      "normalizer.normalizers[1]: the normalizer 'Replace'" },
    { "normalizer", "{\"type\": \"NFC\", \"x\": 1}", "normalizer: the key 'x'" },
    { "normalizer", "[]", "normalizer: must be an object" },
    { "pre_tokenizer", "null", "pre_tokenizer: must be ByteLevel" },
    { "pre_tokenizer", "{\"type\": \"Metaspace\"}", "the pre-tokenizer 'Metaspace'" },
    { "pre_tokenizer", "{\"type\": \"Digits\", \"individual_digits\": true}", "must be ByteLevel" },
    { "pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": 1}",
      "pre_tokenizer.pretokenizers: must be a list" },
    { "pre_tokenizer",
      "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\", "
      "\"add_prefix_space\": false}, {\"type\": \"Digits\"}]}",
      "pre_tokenizer.pretokenizers[1]: ByteLevel must be the last" },
    { "pre_tokenizer.use_regex", "3", "pre_tokenizer.use_regex: must be true or false" },
    { "pre_tokenizer.add_prefix_space", "null", "pre_tokenizer.add_prefix_space: must be" },
    { "pre_tokenizer", SPLIT("\\\\w+"),
      "pretokenizers[0].pattern: at byte 2 of the expression: "
      "the escape \\w" },
    { "pre_tokenizer", SPLIT("a\\\\b"), "the escape \\b is not known" },
    { "pre_tokenizer", SPLIT("[a[b]]"), "must be written \\[" },
    { "pre_tokenizer", SPLIT("[a&&b]"), "intersections" },
    { "pre_tokenizer", SPLIT("[\\\\S]"), "not known in a class" },
    { "pre_tokenizer", SPLIT("[b-a]"), "not in order" },
    { "pre_tokenizer", SPLIT("[a-b-c]"), "no range" },
    { "pre_tokenizer", SPLIT("[a"), "not closed" },
    { "pre_tokenizer", SPLIT("[]a]"), "an empty class" },
    { "pre_tokenizer", SPLIT("(a"), "a group is not closed" },
    { "pre_tokenizer", SPLIT("a)"), "without '('" },
    { "pre_tokenizer", SPLIT("(?<n>a)"), "this kind of group" },
    { "pre_tokenizer", SPLIT("(?i)a"), "this kind of group" },
    { "pre_tokenizer", SPLIT("(?i:ss)"), "'ss' within" },
    { "pre_tokenizer", SPLIT("(?i:\u00e9)"), "only ASCII" },
    { "pre_tokenizer", SPLIT("\\\\p{Greek}"), "general categories" },
    { "pre_tokenizer", SPLIT("(?i:\\\\p{Lu})"), "\\p is not known within" },
    { "pre_tokenizer", SPLIT("(?i:[\\\\x{e9}])"), "only ASCII" },
    { "pre_tokenizer", SPLIT("\\\\1"), "the escape \\1" },
    { "pre_tokenizer", SPLIT("\\\\xff"), "not a character" },
    { "pre_tokenizer", SPLIT("\\\\x{d800}"), "not a character" },
    { "pre_tokenizer", SPLIT("a**"), "repetition is repeated" },
    { "pre_tokenizer", SPLIT("*a"), "nothing to repeat" },
    { "pre_tokenizer", SPLIT("a{2}+"), "this repetition" },
    { "pre_tokenizer", SPLIT("a{3,2}"), "this repetition" },
    { "pre_tokenizer", SPLIT("a{9999}"), "repetitions" },
    { "pre_tokenizer", SPLIT("a{x}"), "braces" },
    { "pre_tokenizer", SPLIT("(?=a)+"), "an assertion is repeated" },
    { "pre_tokenizer", SPLIT("a\\\\"), "ends in a backslash" },
    { "pre_tokenizer", SPLIT(""), "1 to 8192 bytes" },
    { "pre_tokenizer", SPLIT("(?<=a+)b"), "cannot be used" },
    { "pre_tokenizer",
      "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": "
      "\"Sometimes\", \"invert\": false}",
      "pre_tokenizer.behavior: 'Sometimes'" },
    { "pre_tokenizer",
      "{\"type\": \"Split\", \"pattern\": \"a\", \"behavior\": \"Isolated\", "
      "\"invert\": false}",
      "pre_tokenizer.pattern: must be" },
    { "post_processor", "{\"type\": \"Other\"}", "post_processor: the post-processor 'Other'" },
    { "post_processor",
      "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
      "\"x\"}}], \"special_tokens\": {}}",
      "post_processor.single[0]: 'x' has no" },
    { "post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", "the Sequence A" },
    { "post_processor",
      "{\"type\": \"BertProcessing\", \"cls\": [\"a\", 9999], \"sep\": [\"a\", 1]}",
      "post_processor.cls: no token has the id 9999" },
    { "decoder", "null", "decoder: must be ByteLevel" },
    { "decoder", "{\"type\": \"WordPiece\"}", "decoder: the decoder 'WordPiece'" },
    { "decoder",
      "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\"}, {\"type\": "
      "\"Strip\"}]}",
      "decoder: must be ByteLevel" },
    { "model", "{\"type\": \"Unigram\", \"vocab\": []}", "model.type: 'Unigram'" },
    { "model.new_key", "1", "model: the key 'new_key'" },
    { "model.dropout", "0.1", "model.dropout: dropping" },
    { "model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix: is not" },
    { "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix: is not" },
    { "model.fuse_unk", "1", "model.fuse_unk: must be true or false" },
    { "model.vocab", "{}", "model.vocab: must be an object of tokens" },
    { "model.vocab.he", "-1", "model.vocab.he: must be an id" },
    { "model.vocab.he", "4194304", "model.vocab.he: must be an id" },
    { "model.vocab.he", "1.5", "model.vocab.he: must be an id" },
    { "model.vocab.he", "7", "has the id 7, which another token has" },
    { "model.merges", "{}", "model.merges: must be a list" },
    { "model.merges", "[\"h e\", \"he\"]", "model.merges[1]: must be two tokens" },
    { "model.merges", "[\"h e l\"]", "model.merges[0]: must be two tokens" },
    { "model.merges", "[[\"h\", 3]]", "model.merges[0]: must be two tokens" },
    { "model.merges", "[\"q q\"]", "model.merges[0]: 'qq' is not in the vocabulary" },
    { "model.merges", "[[\"zz\", \"h\"]]", "model.merges[0]: 'zz' is not" },
    { "added_tokens", "{}", "added_tokens: must be a list" },
    { "added_tokens", "[1]", "added_tokens[0]: must be an object" },
    { "added_tokens", "[{\"id\": 263, \"content\": \"\", \"single_word\": false}]",
      "added_tokens[0]: content must be" },
    { "added_tokens", "[{\"id\": 263, \"content\": \"x\", \"single_word\": 1}]",
      "added_tokens[0].single_word: must be" },
    { "added_tokens",
      "[{\"id\": 300, \"content\": \"xy\", \"single_word\": false, \"lstrip\": false, "
      "\"rstrip\": false, \"normalized\": false, \"special\": true}]",
      "added_tokens[0]: id is 300, but by the vocabulary 'xy' has 263" },
};

static void the_rest_is_refused_by_name(void)
{
    for (size_t i = 0; i < FM_TEST_COUNT(refusals); i++) {
        json_t *root = tok_small();

        tok_put(root, refusals[i].path, refusals[i].value);
        tok_refused(root, refusals[i].want);
    }
}

static void added_tokens_are_refused(void)
{
    json_t *root = tok_small();
    char longest[300];

    tok_add(root, TOK_ADDED, "<s>", "special");
    tok_refused(root, "added_tokens[1]: another added token has the same content");
    root = tok_small();
    tok_put(root, "normalizer", "{\"type\": \"NFC\"}");
    tok_add(root, TOK_ADDED + 1, "\u1e63", "normalized");
    tok_add(root, TOK_ADDED + 2, "s\u0323", "normalized");
    tok_refused(root, "added_tokens[2]: another added token has the same content");
    root = tok_small();
    memset(longest, 'x', sizeof longest);
    longest[257] = '\0';
    tok_add(root, TOK_ADDED + 1, longest, "");
    tok_refused(root, "added_tokens[1]: content must have 1 to 256 bytes");
    root = tok_small();
    tok_add(root, TOK_ADDED + 1, "a\xf4\x8f\xbf\xbf", "");
    tok_refused(root, "added_tokens[1]: content with U+10FFFF");
}

static void parse_fails(const char *text, size_t len, const char *want)
{
    fm_tokenizer *t = NULL;

    CU_ASSERT_EQUAL(fm_tokenizer_parse("t.json", text, len, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), want));
    CU_ASSERT_PTR_NULL(t);
}

static void what_is_no_json_is_refused(void)
{
    char deep[5000];

    parse_fails("", 0, "t.json:1:0:");
    parse_fails("{\"version\": \"1.0\",\n \"version\": \"1.0\"}", 37, "duplicate object key");
    parse_fails("{\"model\": \"\\ud800\"}", 19, "t.json:1:");
    memset(deep, '[', sizeof deep);
    parse_fails(deep, sizeof deep, "maximum parsing depth");
}

/* Every cut of a file is refused, and nothing of it is read beyond. */
static void every_cut_is_refused(void)
{
    json_t *root = tok_small();
    char *text = json_dumps(root, JSON_COMPACT);
    const size_t len = strlen(text);

    for (size_t cut = 0; cut < len; cut += cut < len - 400 ? 97 : 1) {
        char *exact = malloc(cut ? cut : 1);
        fm_tokenizer *t = NULL;

        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, text, cut);
        CU_ASSERT_EQUAL(fm_tokenizer_parse("t.json", exact, cut, &t), FM_EPARSE);
        free(exact);
    }
    free(text);
    json_decref(root);
}

static void expressions_that_are_taken(void)
{
    static const char *const patterns[] = {
        "a|b",
        "(?:a|b)+",
        "(?i:'s|'ll|[SDMT])",
        "\\\\p{^L}\\\\P{N}",
        "\\\\x41\\\\u0042\\\\x{43}",
        "a{,3}b{2}c{1,}d{1,2}?",
        "[\\\\-\\\\]\\\\[^\\\\s\\\\d\\\\p{L}]",
        "(?<=a)b(?!c)(?<!d)(?>e)",
        "\\\\r\\\\n\\\\t\\\\f\\\\v\\\\a\\\\e",
        "^.$",
        "[-a][a-]",
        "\\\\.\\\\*\\\\{\\\\}",
        "]}#",
        "a*?b+?c??d*+e++f?+",
        "\u00e9+\u4e2d",
    };

    for (size_t i = 0; i < FM_TEST_COUNT(patterns); i++) {
        char text[512];
        json_t *root = tok_small();
        fm_tokenizer *t;

        (void)snprintf(text, sizeof text, SPLIT("%s"), patterns[i]);
        tok_put(root, "pre_tokenizer", text);
        t = tok_parse(root);
        if (t)
            tok_round_trip(t, "hello 'LL \xff{}\r\n", 15);
        fm_tokenizer_free(&t);
    }
}

static const fm_test tests[] = {
    { "what is around a text", what_is_around_a_text },
    { "unknown bytes, and ignored merges", unknown_bytes_and_ignored_merges },
    { "what changes nothing is taken", what_changes_nothing_is_taken },
    { "expressions that are taken", expressions_that_are_taken },
    { "the rest is refused by name", the_rest_is_refused_by_name },
    { "added tokens are refused", added_tokens_are_refused },
    { "what is no JSON is refused", what_is_no_json_is_refused },
    { "every cut is refused", every_cut_is_refused },
};
const fm_test_suite suite_tokenizer_file = { "model.tokenizer_file", tests, FM_TEST_COUNT(tests) };
