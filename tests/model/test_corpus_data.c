/* Public texts by the example schemas; skipped without the shared data. The figures were counted
 * with Python's csv, json and base64: a token is a byte here. */
#include <stdio.h>
#include <string.h>

#include "corpus_fixture.h"
#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "fm_test_xz.h"
#include "suites.h"

typedef struct {
    const char *schema, *files[2];
    size_t documents, units, tokens, sequences, longest;
} set;

static void check(const set *s, const fm_corpus *c)
{
    CU_ASSERT_EQUAL(c->documents, s->documents);
    CU_ASSERT_EQUAL(c->units, s->units);
    CU_ASSERT_EQUAL(c->starts[c->sequences], s->tokens);
    CU_ASSERT_EQUAL(c->sequences, s->sequences);
    CU_ASSERT_EQUAL(c->facts.longest_tokens, s->longest);
    CU_ASSERT_EQUAL(c->longest, s->longest < 512 ? s->longest : 512);
    CU_ASSERT_EQUAL(c->empty + c->facts.ill_formed + c->facts.lost + c->facts.cut, 0);
}

static fm_text_schema *schema_of(const char *name)
{
    char path[512];
    fm_text_schema *s = NULL;

    (void)snprintf(path, sizeof path, FEDMOE_EXAMPLES "/texts/%s.yaml", name);
    if (fm_text_schema_load(path, &s))
        printf("    %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static void tables_of_texts(void)
{
    static const set sets[] = {
        { "banking77", { "data/text/banking77/train.csv" }, 10003, 10003, 604995, 10003, 434 },
        { "mts_dialog",
          { "data/text/mts_dialog/MTS-Dialog-TrainingSet.csv",
            "data/text/mts_dialog/MTS-Dialog-ValidationSet.csv" },
          1301,
          1301,
          1107212,
          2831,
          15201 },
    };
    const fm_corpus_options o = { .context = 512 };
    fm_tokenizer *t = corpus_tokenizer(NULL, true);
    char paths[2][4096];
    const char *const list[] = { paths[0], paths[1] };

    for (size_t i = 0; i < FM_TEST_COUNT(sets); i++) {
        const size_t count = sets[i].files[1] ? 2 : 1;
        fm_text_schema *s = schema_of(sets[i].schema);
        fm_corpus *c = NULL;

        if (!fm_test_shared(sets[i].files[0], paths[0], sizeof paths[0]) ||
            (count > 1 && !fm_test_shared(sets[i].files[1], paths[1], sizeof paths[1])))
            fm_test_skip("the shared data is not there");
        else
            CU_ASSERT_EQUAL(fm_corpus_load(s, t, &o, list, count, &c), FM_OK);
        if (c)
            check(&sets[i], c);
        fm_corpus_free(&c);
        fm_text_schema_free(&s);
    }
    fm_tokenizer_free(&t);
}

static void notes_of_an_export(void)
{
    static const set notes = { "fhir_notes", { NULL }, 1215, 13, 1618621, 3868, 3013 };
    const fm_corpus_options o = { .context = 512 };
    fm_tokenizer *t = corpus_tokenizer(NULL, true);
    fm_text_schema *s = schema_of(notes.schema);
    fm_buf lines = { 0 };
    fm_corpus *c = NULL;
    const char *why;

    if (!fm_test_shared_xz("data/fhir_bulk/10-patients/DocumentReference.000.ndjson.xz", 64 << 20,
                           &lines, &why))
        fm_test_skip(why);
    else
        CU_ASSERT_EQUAL(fm_corpus_parse(s, t, &o, "notes", lines.data, lines.len, &c), FM_OK);
    if (c)
        check(&notes, c);
    fm_corpus_free(&c);
    fm_buf_fini(&lines);
    fm_text_schema_free(&s);
    fm_tokenizer_free(&t);
}

static const fm_test tests[] = {
    { "tables of texts", tables_of_texts },
    { "notes of an export", notes_of_an_export },
};

const fm_test_suite suite_corpus_data = { "model.corpus_data", tests, FM_TEST_COUNT(tests) };
