/* A schema from a dictionary and from answers; what it says is what was declared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/draft.h"
#include "fedmoe/model/schema.h"
#include "fm_test.h"
#include "suites.h"

static void put(char path[512], const char *name, const char *text)
{
    char dir[256];

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, 512, "%s/%s", dir, name);
    CU_ASSERT_EQUAL_FATAL(fm_file_create(path, text, strlen(text), 0600), FM_OK);
}

/* The draft's text; it must be a schema. */
static void drafted(const fm_draft *d, const char *label, fm_buf *out)
{
    fm_schema *s = NULL;
    const fm_status st = fm_draft_write(d, "clinic", label, NULL, out);

    if (st)
        printf("    %s\n", fm_error_text());
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    if (fm_schema_parse("draft", out->data, out->len, &s))
        printf("    %s\n%s", fm_error_text(), (const char *)out->data);
    CU_ASSERT_PTR_NOT_NULL(s);
    fm_schema_free(&s);
}

static void holds(const fm_buf *b, const char *text)
{
    if (!strstr((const char *)b->data, text))
        printf("    not in it: %s\n%s", text, (const char *)b->data);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)b->data, text));
}

static const char dictionary[] = "name,type,min,max,unit,categories,label,description\n"
                                 "id,identifier,,,,,,\n"
                                 "age,integer,18,100,years,,Age,at entry\n"
                                 "sex,category,,,,1=male; 2=female,Sex,\n"
                                 "seen,date,2000-01-01,2030-12-31,,,,\n"
                                 "bmi,number,,,,,,\n"
                                 "died,yesno,,,,,Died,\n";

static void a_dictionary_becomes_a_schema(void)
{
    char path[512];
    fm_draft d = { 0 };
    fm_buf out = { 0 };

    put(path, "dictionary.csv", dictionary);
    CU_ASSERT_EQUAL_FATAL(fm_draft_dictionary(path, &d), FM_OK);
    CU_ASSERT_EQUAL(d.count, 6);
    drafted(&d, "died", &out);
    holds(&out, "  # Age: at entry (years)\n  - name: \"age\"\n    kind: numeric\n"
                "    range: [18, 100]\n    source: \"");
    holds(&out, "kind: categorical\n    values: [\"1\", \"2\"]\n");
    holds(&out, "kind: date\n    range: [2000-01-01, 2030-12-31]\n");
    holds(&out, "name: \"bmi\"\n    kind: ignore\n"); /* nobody said its range */
    holds(&out, "kind: label\n");
    holds(&out, "negative: [\"0\"]\n    positive: [\"1\"]\n");
    fm_buf_fini(&out);
    fm_draft_fini(&d);
}

static void redcaps_dictionary_is_known(void)
{
    static const char text[] =
        "\"Variable / Field Name\",\"Form Name\",\"Field Type\",\"Field Label\",\"Choices, "
        "Calculations, OR Slider Labels\",\"Text Validation Type OR Show Slider Number\",\"Text "
        "Validation Min\",\"Text Validation Max\",Identifier?\n"
        "mrn,a,text,Number,,,,,y\n"
        "age,a,text,Age,,integer,18,100,\n"
        "when,a,text,When,,date_ymd,2000-01-01,2030-12-31,\n"
        "sex,a,radio,Sex,\"1, Male, or man | 2, Female\",,,,\n"
        "drugs,a,checkbox,Drugs,\"1, A | 2, B\",,,,\n"
        "pain,a,slider,Pain,,,,,\n"
        "died,a,truefalse,Died,,,,,\n";
    char path[512];
    fm_draft d = { 0 };
    fm_buf out = { 0 };

    put(path, "redcap.csv", text);
    CU_ASSERT_EQUAL_FATAL(fm_draft_dictionary(path, &d), FM_OK);
    drafted(&d, "died", &out);
    holds(&out, "name: \"mrn\"\n    kind: ignore\n");
    holds(&out, "name: \"age\"\n    kind: numeric\n    range: [18, 100]\n");
    holds(&out, "name: \"when\"\n    kind: date\n");
    holds(&out, "name: \"sex\"\n    kind: categorical\n    values: [\"1\", \"2\"]\n");
    holds(&out, "name: \"drugs___2\"\n    kind: categorical\n    values: [\"0\", \"1\"]\n");
    holds(&out, "name: \"pain\"\n    kind: numeric\n    range: [0, 100]\n");
    fm_buf_fini(&out);
    fm_draft_fini(&d);
}

static void every_fault_of_a_dictionary_is_named(void)
{
    char path[512], want[4096];
    fm_draft d = { 0 };

    put(path, "d.csv",
        "name;type;min;max;categories\na;numbr;;;\nb;number;1,5;2;\n;date;;;\n"
        "c;category;;;x|x\nd;number;5;1;\ne;number;1\n");
    CU_ASSERT_EQUAL(fm_draft_dictionary(path, &d), FM_EPARSE);
    (void)snprintf(
        want, sizeof want,
        "%s:2, column type: \"numbr\" is no type; did you mean \"number\"?; say number, date, "
        "category, text or label\n"
        "%s:3, column min: \"1,5\" is not a number; a decimal comma? write 1.5\n"
        "%s:4, column name: it is empty; give the column's name in the records\n"
        "%s:5, column categories: \"x\" is there twice\n",
        path, path, path, path);
    CU_ASSERT_TRUE(strncmp(fm_error_text(), want, strlen(want)) == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), ":7: 3 fields where 5 belong"));
    fm_draft_fini(&d);
}

static void of_the_records_only_the_header_is_taken(void)
{
    char path[512], records[512];
    fm_draft d = { 0 };
    fm_buf out = { 0 };

    put(path, "dictionary.csv", dictionary);
    put(records, "records.csv", "died;age;secret\n0;40;classified\n1;50;classified\n");
    CU_ASSERT_EQUAL_FATAL(fm_draft_dictionary(path, &d), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_draft_header(records, &d), FM_OK);
    CU_ASSERT_TRUE(d.header && d.delimiter == ';');
    CU_ASSERT_TRUE(fm_draft_find(&d, "age")->in_file && !fm_draft_find(&d, "bmi")->in_file);
    drafted(&d, "died", &out);
    holds(&out, "delimiter: \";\"");
    holds(&out, "name: \"secret\"\n    kind: ignore\n");
    CU_ASSERT_PTR_NULL(strstr((const char *)out.data, "classified"));
    fm_buf_fini(&out);
    fm_draft_fini(&d);
}

static void an_answer_gives_ranges_and_values(void)
{
    json_error_t e;
    json_t *answer = json_loads(
        "{\"task\": \"statistics\", \"federation\": \"f\", \"epsilon\": 1, \"plan\": \"ab\","
        " \"results\": [{\"ask\": \"quantiles\", \"column\": \"chol\", \"quantiles\":"
        "  [{\"at\": 0.01, \"estimate\": 130, \"low\": 117.3, \"high\": 150},"
        "   {\"at\": 0.99, \"estimate\": 380, \"low\": 350, \"high\": 403.1}]},"
        " {\"ask\": \"values\", \"column\": \"y\", \"values\": [{\"value\": \"no\"}, {\"value\": "
        "\"yes\"}]},"
        " {\"ask\": \"quantiles\", \"column\": \"age\", \"quantiles\": [{\"at\": 0.5, \"low\": 1, "
        "\"high\": 2}]}]}",
        0, &e);
    fm_draft d = { 0 };
    fm_draft_column *c = NULL;
    fm_buf out = { 0 };

    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    CU_ASSERT_EQUAL(fm_draft_add(&d, "age", &c), FM_OK); /* declared: stays */
    c->kind = FM_DRAFT_NUMERIC;
    CU_ASSERT_EQUAL(fm_draft_set(&c->lo, "18"), FM_OK);
    CU_ASSERT_EQUAL(fm_draft_set(&c->hi, "100"), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_draft_answer("result.json", answer, &d), FM_OK);
    drafted(&d, "y", &out);
    holds(&out, "range: [110, 410]\n    outside: clip\n    source: \"query of federation 'f'");
    holds(&out, "negative: [\"no\"]\n    positive: [\"yes\"]");
    holds(&out, "range: [18, 100]");
    fm_buf_fini(&out);
    fm_draft_fini(&d);
    json_object_set_new(answer, "task", json_string("evaluation"));
    CU_ASSERT_EQUAL(fm_draft_answer("result.json", answer, &d), FM_EPARSE);
    json_decref(answer);
}

static void ranges_are_rounded_outwards(void)
{
    static const struct {
        double v;
        const char *down, *up;
    } cases[] = { { 117.3, "110", "120" }, { -0.0123, "-0.013", "-0.012" },
                  { 100, "100", "100" },   { 0, "0", "0" },
                  { 99.9, "99", "100" },   { 1e6, "1000000", "1000000" } };
    char out[32];

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        fm_draft_round(cases[i].v, false, out);
        CU_ASSERT_STRING_EQUAL(out, cases[i].down);
        fm_draft_round(cases[i].v, true, out);
        CU_ASSERT_STRING_EQUAL(out, cases[i].up);
    }
}

static const fm_test tests[] = {
    { "a dictionary becomes a schema", a_dictionary_becomes_a_schema },
    { "REDCap's dictionary is known", redcaps_dictionary_is_known },
    { "every fault of a dictionary is named", every_fault_of_a_dictionary_is_named },
    { "of the records only the header is taken", of_the_records_only_the_header_is_taken },
    { "an answer gives ranges and values", an_answer_gives_ranges_and_values },
    { "ranges are rounded outwards", ranges_are_rounded_outwards },
};

const fm_test_suite suite_draft = { "model.draft", tests, FM_TEST_COUNT(tests) };
