/* Documents to sequences, sequences to units; what a text cannot do. */
#include <stdio.h>
#include <string.h>

#include "corpus_fixture.h"
#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "suites.h"

#define RECORDS "name: t\nsource: csv\ntext: note\nunit: record\n"
#define PATIENTS "name: t\nsource: csv\ntext: note\nunit: who\n"

/* A template that puts <s> before and, with END, <|endoftext|> behind. */
#define TEMPLATE(END)                                                                          \
    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "    \
    "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}" END "], \"pair\": []," \
    "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [257], \"tokens\": [\"<s>\"]}, " \
    "\"<|endoftext|>\": {\"id\": \"<|endoftext|>\", \"ids\": [256], \"tokens\": "              \
    "[\"<|endoftext|>\"]}}}"

static void documents_are_cut_to_the_context(void)
{
    const corpus_case c = { .schema = RECORDS, .context = 4 };
    static const char data[] = "note\na\nabc\nabcd\nabcde\nabcdefgh\nabcdefghijk\n";
    fm_corpus *got;

    /* The end token alone, behind abcd and abcdefgh, has nothing to predict. */
    CORPUS_GIVES(&c, data, "a$|abc$|abcd|abcd/e$|abcd/efgh|abcd/efgh/ijk$");
    got = corpus_read(&c, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->documents, 6);
    CU_ASSERT_EQUAL(got->empty, 0);
    CU_ASSERT_EQUAL(got->facts.records, 6);
    CU_ASSERT_EQUAL(got->facts.longest_tokens, 12);
    fm_corpus_free(&got);
    CU_ASSERT_PTR_NULL(got);
}

static void a_text_cannot_spell_the_end(void)
{
    static const char csv[] = "note\nx<|endoftext|>y<s>z\n";
    static const char json[] = "{\"note\": \"x<|endoftext|>y<\\u0073>z\"}\n";
    const corpus_case c[] = { { .schema = RECORDS },
                              { .schema = "name: t\nsource: ndjson\ntext: note\nunit: record\n" } };

    CORPUS_GIVES(&c[0], csv, "x<|endoftext|>y<s>z$");
    CORPUS_GIVES(&c[1], json, "x<|endoftext|>y<s>z$");
}

static void empty_documents_are_counted(void)
{
    static const char data[] = "note,n\na,1\n,2\n\"  \t\n \",3\nb,4\n";
    static const char nothing[] = "note,n\n,2\n\" \",3\n";
    const corpus_case skip = { .schema = RECORDS }, error = { .schema = RECORDS "empty: error\n" };
    fm_corpus *got = corpus_read(&skip, data, sizeof data - 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->documents, 4);
    CU_ASSERT_EQUAL(got->empty, 2);
    CU_ASSERT_EQUAL(got->units, 2);
    fm_corpus_free(&got);
    CORPUS_REFUSES(&error, data, "data:3: the text is empty\ndata:4: the text is empty");
    CORPUS_REFUSES(&skip, nothing, "there is no text among 2 records");
}

static void the_records_of_a_patient_are_one_unit(void)
{
    static const char data[] = "who,note\nada,1\nbob,2\n\" ada\",3\neve,\nADA,4\nbob,567\n";
    const corpus_case c = { .schema = PATIENTS, .context = 3 },
                      two = { .schema = PATIENTS, .context = 3, .max_unit_sequences = 2 };
    fm_corpus *got;

    CORPUS_GIVES(&c, data, "1$/3$|2$/567|4$");
    got = corpus_read(&two, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->facts.cut, 0);
    fm_corpus_free(&got);
}

static void of_a_long_unit_the_first_sequences_stay(void)
{
    static const char data[] = "who,note\nada,abcdef\nbob,1\nada,gh\nada,ij\nbob,2\n";
    const corpus_case c = { .schema = PATIENTS, .context = 4, .max_unit_sequences = 3 };
    const corpus_case one = { .schema = PATIENTS, .context = 4, .max_unit_sequences = 1 };
    fm_corpus *got;

    CORPUS_GIVES(&c, data, "abcd/ef$/gh$|1$/2$");
    CORPUS_GIVES(&one, data, "abcd|1$");
    got = corpus_read(&one, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->facts.cut, 4);
    fm_corpus_free(&got);
}

static void a_patient_may_be_in_several_files(void)
{
    char dir[256], paths[2][320];
    const char *const list[] = { paths[0], paths[1] };
    const fm_corpus_options o = { .context = 64 };
    fm_tokenizer *t = corpus_tokenizer(NULL, true);
    fm_text_schema *s = NULL;
    fm_corpus *got = NULL;
    char text[256];

    fm_test_tmpdir(dir, sizeof dir);
    for (int i = 0; i < 2; i++)
        (void)snprintf(paths[i], sizeof paths[i], "%s/%d.csv", dir, i);
    CU_ASSERT_EQUAL(fm_file_create(paths[0], "who,note\nada,1\nbob,2\n", 21, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_file_create(paths[1], "note,x,who\n3,,bob\n4,,ada\n", 25, 0600), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_text_schema_parse("s", PATIENTS, strlen(PATIENTS), &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_corpus_load(s, t, &o, list, 2, &got), FM_OK);
    corpus_write(got, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "1$/4$|2$/3$");
    fm_corpus_free(&got);
    (void)snprintf(paths[1], sizeof paths[1], "%s/absent.csv", dir);
    CU_ASSERT_EQUAL(fm_corpus_load(s, t, &o, list, 2, &got), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "absent.csv"));
    CU_ASSERT_PTR_NULL(got);
    fm_text_schema_free(&s);
    fm_tokenizer_free(&t);
}

static void what_the_tokenizer_puts_around_stays(void)
{
    static const char data[] = "note\nab\n\n\"\"\nc\n";
    const corpus_case before = { .schema = RECORDS, .post = TEMPLATE("") };
    const corpus_case both = {
        .schema = RECORDS,
        .post = TEMPLATE(", {\"SpecialToken\": {\"id\": \"<|endoftext|>\", \"type_id\": 0}}")
    };
    fm_corpus *got;

    CORPUS_GIVES(&before, data, "^ab$|^c$");
    CORPUS_GIVES(&both, data, "^ab$|^c$"); /* one end, not two */
    got = corpus_read(&both, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->empty, 1); /* the empty line is no row, the empty cell is a document */
    fm_corpus_free(&got);
}

static void bytes_that_are_no_utf8_stay_and_are_counted(void)
{
    static const char data[] = "note\na\xff\xc3\n\xc3\xa4\n\xe2\x82z\n";
    const corpus_case c = { .schema = RECORDS };
    fm_corpus *got;

    CORPUS_GIVES(&c, data, "a\xff\xc3$|\xc3\xa4$|\xe2\x82z$");
    got = corpus_read(&c, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->facts.ill_formed, 4);
    CU_ASSERT_EQUAL(got->facts.lost, 0);
    fm_corpus_free(&got);
}

static void the_end_token_is_special(void)
{
    fm_tokenizer *t = corpus_tokenizer(NULL, true), *ordinary = corpus_tokenizer(NULL, false);
    uint32_t id = 7;

    CU_ASSERT_EQUAL(fm_corpus_end_token(t, NULL, &id), FM_OK);
    CU_ASSERT_EQUAL(id, CORPUS_END);
    CU_ASSERT_EQUAL(fm_corpus_end_token(t, "<s>", &id), FM_OK);
    CU_ASSERT_EQUAL(id, CORPUS_BEGIN);
    id = 7;
    CU_ASSERT_EQUAL(fm_corpus_end_token(t, "<e>", &id), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "no token <e>"));
    CU_ASSERT_EQUAL(fm_corpus_end_token(t, "<plain>", &id), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "a text could spell it"));
    CU_ASSERT_EQUAL(fm_corpus_end_token(ordinary, NULL, &id), FM_EINVAL);
    CU_ASSERT_EQUAL(id, 7);
    fm_tokenizer_free(&t);
    fm_tokenizer_free(&ordinary);
}

static void arguments_that_are_none_are_refused(void)
{
    static const size_t contexts[] = { 0, 1, FM_CORPUS_MAX_CONTEXT + 1 };
    fm_tokenizer *t = corpus_tokenizer(NULL, true);
    fm_text_schema *s = NULL;
    fm_corpus *got = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_text_schema_parse("s", RECORDS, strlen(RECORDS), &s), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(contexts); i++) {
        const fm_corpus_options o = { .context = contexts[i] };

        CU_ASSERT_EQUAL(fm_corpus_parse(s, t, &o, "d", "note\na\n", 7, &got), FM_EINVAL);
    }
    CU_ASSERT_EQUAL(fm_corpus_parse(s, t, NULL, "d", "", 0, &got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_corpus_load(s, t, &(fm_corpus_options){ .context = 4 }, NULL, 0, &got),
                    FM_EINVAL);
    CU_ASSERT_PTR_NULL(got);
    fm_text_schema_free(&s);
    fm_tokenizer_free(&t);
    fm_corpus_free(&got);
    fm_corpus_free(NULL);
}

/* Random patients and lengths against the plainest way to say the same. */
static void many_records_in_every_order(void)
{
    enum { PATIENTS_MOST = 7, ROWS = 400, LENGTH_MOST = 30 };
    static char want[PATIENTS_MOST][16384], all[65536], got[65536];
    fm_buf data = { 0 };
    uint32_t state = 12345;
    size_t order[PATIENTS_MOST], seen = 0;
    const corpus_case c = { .schema = PATIENTS, .context = 8 };
    fm_corpus *corpus;

    memset(want, 0, sizeof want);
    CU_ASSERT_EQUAL(fm_buf_printf(&data, "who,note\n"), FM_OK);
    for (size_t r = 0; r < ROWS; r++) {
        const size_t p = (state = state * 1664525u + 1013904223u) >> 24, who = p % PATIENTS_MOST;
        const size_t len = (state = state * 1664525u + 1013904223u) >> 24, n = len % LENGTH_MOST;
        char note[LENGTH_MOST + 2];
        size_t known = 0;

        for (size_t i = 0; i < n; i++)
            note[i] = (char)('a' + (r + i) % 26);
        note[n] = '\0';
        CU_ASSERT_EQUAL(fm_buf_printf(&data, "%zu,%s\n", who, note), FM_OK);
        if (!n)
            continue;
        note[n] = '$';
        note[n + 1] = '\0';
        while (known < seen && order[known] != who)
            known++;
        if (known == seen)
            order[seen++] = who;
        for (size_t i = 0; i <= n && n + 1 - i > 1; i += 8) {
            const size_t used = strlen(want[who]);

            (void)snprintf(want[who] + used, sizeof want[who] - used, "%s%.8s", used ? "/" : "",
                           note + i);
        }
    }
    all[0] = '\0';
    for (size_t i = 0; i < seen; i++)
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "|" : "",
                       want[order[i]]);
    corpus = corpus_read(&c, data.data, data.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(corpus);
    corpus_write(corpus, got, sizeof got);
    CU_ASSERT_STRING_EQUAL(got, all);
    fm_corpus_free(&corpus);
    fm_buf_fini(&data);
}

static const fm_test tests[] = {
    { "documents are cut to the context", documents_are_cut_to_the_context },
    { "a text cannot spell the end", a_text_cannot_spell_the_end },
    { "empty documents are counted", empty_documents_are_counted },
    { "the records of a patient are one unit", the_records_of_a_patient_are_one_unit },
    { "of a long unit the first sequences stay", of_a_long_unit_the_first_sequences_stay },
    { "a patient may be in several files", a_patient_may_be_in_several_files },
    { "what the tokenizer puts around stays", what_the_tokenizer_puts_around_stays },
    { "bytes that are no UTF-8 stay and are counted", bytes_that_are_no_utf8_stay_and_are_counted },
    { "the end token is special", the_end_token_is_special },
    { "arguments that are none are refused", arguments_that_are_none_are_refused },
    { "many records in every order", many_records_in_every_order },
};

const fm_test_suite suite_corpus = { "model.corpus", tests, FM_TEST_COUNT(tests) };
