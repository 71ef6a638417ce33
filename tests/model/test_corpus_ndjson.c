/* Texts of NDJSON, and lines that were made to do harm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_fixture.h"
#include "fm_test.h"
#include "suites.h"

#define HEAD "name: t\nsource: ndjson\n"
#define NOTES HEAD "text: note.text\nunit: who.id\n"

static void keys_within_objects(void)
{
    const corpus_case c = { .schema = NOTES };
    const corpus_case joined = { .schema = HEAD "template: \"{a}: {b.c}\"\nunit: record\n" };

    CORPUS_GIVES(&c,
                 "{\"who\": {\"id\": \"x\"}, \"note\": {\"text\": \"one\"}}\n"
                 "{\"note\": {\"text\": \"tw\\u00f6\", \"more\": [1, {}]}, \"who\": {\"id\": 7}}\n"
                 "{\"who\": {\"id\": \" x\\t\"}, \"note\": {\"text\": \"three\"}}\n"
                 "{\"who\": {\"id\": \"7\"}, \"note\": {\"text\": \"4\"}}",
                 "one$/three$|tw\xc3\xb6$/4$");
    CORPUS_GIVES(&joined,
                 "{\"a\": -5, \"b\": {\"c\": \"x\"}}\n{\"a\": null, \"b\": {\"c\": \"y\"}}\n",
                 "-5: x$|: y$");
}

static void lines_of_every_kind(void)
{
    const corpus_case c = { .schema = HEAD "text: t\nunit: record\n" };
    static const char nul[] = "{\"t\": \"a\\u0000b\"}";
    fm_corpus *got;

    CORPUS_GIVES(&c, "\xef\xbb\xbf{\"t\": \"a\"}\r\n\r\n \t\n{\"t\": \"b\\n\"}\n\n{\"t\":\"c\"}",
                 "a$|b\n$|c$");
    got = corpus_read(&c, nul, sizeof nul - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->starts[1], 4);
    CU_ASSERT_EQUAL(got->tokens[1], 0);
    fm_corpus_free(&got);
}

static void values_that_are_none(void)
{
    const corpus_case c = { .schema = NOTES };

    CORPUS_REFUSES(&c, "{\"who\": {\"id\": 1}, \"note\": {}}\n",
                   "data:1, key note.text: not there; it must be a text or a whole number");
    CORPUS_REFUSES(&c, "\n{\"who\": {\"id\": 1}, \"note\": \"SECRET\"}\n",
                   "data:2, key note.text: not there");
    CORPUS_REFUSES(&c, "{\"who\": {\"id\": 1}, \"note\": {\"text\": [\"SECRET\"]}}\n",
                   "key note.text: a list");
    CORPUS_REFUSES(&c, "{\"who\": {\"id\": 1.5}, \"note\": {\"text\": \"SECRET\"}}\n",
                   "key who.id: a number; it must be");
    CORPUS_REFUSES(&c, "{\"who\": {\"id\": true}, \"note\": {\"text\": \"SECRET\"}}\n",
                   "key who.id: true or false");
    CORPUS_REFUSES(&c, "{\"who\": {\"id\": {}}, \"note\": {\"text\": \"SECRET\"}}\n",
                   "key who.id: an object");
    CORPUS_REFUSES(&c, "{\"note\": {\"text\": \"SECRET\"}}\n", "data:1, key who.id: not there");
    CORPUS_REFUSES(&c,
                   "{\"who\": {\"id\": null}, \"note\": {\"text\": \"SECRET\"}}\n"
                   "{\"who\": {\"id\": \" \"}, \"note\": {\"text\": \"SECRET\"}}\n",
                   "data:1, key who.id: empty; every record needs its who.id: it says whose it is\n"
                   "data:2, key who.id: empty");
}

/* The parser's words would repeat what stands there. */
static void lines_that_are_no_json(void)
{
    static const struct {
        const char *line, *want;
    } bad[] = {
        { "{\"t\": \"SECRET", "data:2, byte 13: the line ends before the object does" },
        { "{\"t\": SECRET}", "not JSON; every line must be one object" },
        { "{\"t\": \"a\", SECRET: 1}", "not JSON" },
        { "SECRET", "not JSON" },
        { "[\"SECRET\"]", "data:2: a list, and every line must be one object" },
        { "\"SECRET\"", "not JSON" },
        { "{\"t\": \"SECRET\"} {\"t\": \"b\"}", "something stands behind the object" },
        { "{\"t\": \"SECRET\"}, SECRET", "something stands behind the object" },
        { "{\"t\": [\"SECRET\"", "the line ends before the object does" },
        { "{\"t\": \"SECRET\", \"t\": \"SECRET\"}", "a key is there twice" },
        { "{\"x\": {\"SECRET\": 1, \"SECRET\": 2}, \"t\": \"a\"}", "a key is there twice" },
        { "{\"t\": \"SECRET\xff\"}", "not UTF-8" },
        { "{\"t\": \"SECRET\xc0\x80\"}", "not UTF-8" },
        { "{\"t\": \"SECRET\\ud800\"}", "not JSON" },
        { "{\"t\": \"SECRET\tSECRET\"}", "not JSON" },
        { "{\"SEC\\u0000RET\": 1, \"t\": \"a\"}", "a NUL byte" },
        { "{\"n\": 99999999999999999999, \"t\": \"SECRET\"}", "a number that is too large" },
        { "{\"n\": 1e999, \"t\": \"SECRET\"}", "a number that is too large" },
    };
    const corpus_case c = { .schema = HEAD "text: t\nunit: record\n" };
    fm_buf data = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        fm_buf_clear(&data);
        CU_ASSERT_EQUAL(fm_buf_printf(&data, "{\"t\": \"good\"}\n%s\n", bad[i].line), FM_OK);
        corpus_refuses(&c, data.data, data.len, bad[i].want);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "data:2"));
    }
    fm_buf_fini(&data);
    CORPUS_REFUSES(&c, "{\"t\": \"SEC\0RET\"}\n", "data:1, byte");
}

static void fill(fm_buf *b, const char *text, size_t times)
{
    const size_t len = strlen(text);
    uint8_t *to;

    if (fm_buf_extend(b, len * times, &to))
        CU_FAIL_FATAL("no memory");
    for (size_t i = 0; i < times; i++)
        memcpy(to + i * len, text, len);
}

static void objects_that_are_too_deep_or_too_many(void)
{
    static const struct {
        const char *text, *want;
        size_t times;
    } bad[] = {
        { "[", "lists and objects are more than 64 deep", FM_CORPUS_MAX_DEPTH },
        { "{\"\":", "lists and objects are more than 64 deep", 1000000 },
        { "[],", "more than 1048576 values in one line", FM_CORPUS_MAX_VALUES },
        { "0,", "more than 1048576 values in one line", FM_CORPUS_MAX_VALUES },
    };
    const corpus_case c = { .schema = HEAD "text: t\nunit: record\n" };
    fm_buf data = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        fm_buf_clear(&data);
        fill(&data, "{\"t\": \"\\\"[[[[{{{{\", \"x\": [", 1);
        fill(&data, bad[i].text, bad[i].times);
        fill(&data, "\n{\"t\": \"good\"}\n", 1);
        corpus_refuses(&c, data.data, data.len, bad[i].want);
    }
    /* Brackets in texts are none, and as deep as may be is good. */
    fm_buf_clear(&data);
    fill(&data, "{\"t\": \"\\\"", 1);
    fill(&data, "[", 100);
    fill(&data, "\", \"x\": ", 1);
    fill(&data, "[", FM_CORPUS_MAX_DEPTH - 1);
    fill(&data, "]", FM_CORPUS_MAX_DEPTH - 1);
    fill(&data, "}", 1);
    fm_corpus *got = corpus_read(&c, data.data, data.len);
    CU_ASSERT_PTR_NOT_NULL(got);
    fm_corpus_free(&got);
    fm_buf_fini(&data);
}

/* Lines longer than what is read at once, and one longer than a line may be. */
static void lines_that_are_long(void)
{
    static const size_t sizes[] = { 1, 21841, 21842, 21843, 65536, 700000, 3 };
    const corpus_case c = { .schema = HEAD "text: t\nunit: record\n",
                            .context = FM_CORPUS_MAX_CONTEXT };
    fm_buf data = { .limit = 2 * FM_CORPUS_MAX_LINE };
    fm_corpus *got;

    for (size_t i = 0; i < FM_TEST_COUNT(sizes); i++) {
        fill(&data, "{\"t\": \"", 1);
        fill(&data, "ab ", sizes[i]);
        fill(&data, "\"}\n", 1);
    }
    got = corpus_read(&c, data.data, data.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->sequences, FM_TEST_COUNT(sizes));
    for (size_t i = 0; i < got->sequences; i++)
        CU_ASSERT_EQUAL(got->starts[i + 1] - got->starts[i], 3 * sizes[i] + 1);
    fm_corpus_free(&got);
    fill(&data, "x", FM_CORPUS_MAX_LINE + 1);
    corpus_refuses(&c, data.data, data.len, "data:8: the line is longer than 67108864 bytes");
    fm_buf_fini(&data);
}

static const fm_test tests[] = {
    { "keys within objects", keys_within_objects },
    { "lines of every kind", lines_of_every_kind },
    { "values that are none", values_that_are_none },
    { "lines that are no JSON", lines_that_are_no_json },
    { "objects that are too deep or too many", objects_that_are_too_deep_or_too_many },
    { "lines that are long", lines_that_are_long },
};

const fm_test_suite suite_corpus_ndjson = { "model.corpus_ndjson", tests, FM_TEST_COUNT(tests) };
