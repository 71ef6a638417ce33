/* text.yaml: what is taken, and what is refused with its line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "suites.h"
#include "text_schema_internal.h"

static fm_text_schema *parse(const char *yaml)
{
    fm_text_schema *s = NULL;

    if (fm_text_schema_parse("text.yaml", yaml, strlen(yaml), &s))
        CU_ASSERT_PTR_NULL(s);
    return s;
}

static void what_a_schema_says(void)
{
    static const char yaml[] =
        "name: visits\ndescription: of a clinic\nsource: csv\ncsv: {delimiter: \"\\t\"}\n"
        "template: \"{{{a}}} {b c}\\n{a}.\"\nunit: who\nempty: error\n";
    fm_text_schema *s = parse(yaml);

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(fm_text_schema_name(s), "visits");
    CU_ASSERT_STRING_EQUAL(fm_text_schema_text(s), yaml);
    CU_ASSERT_EQUAL(fm_text_schema_source(s), FM_TEXT_CSV);
    CU_ASSERT_STRING_EQUAL(fm_text_schema_unit(s), "who");
    CU_ASSERT_TRUE(s->header && s->empty_is_error);
    CU_ASSERT_EQUAL(s->delimiter, '\t');
    CU_ASSERT_EQUAL_FATAL(s->field_count, 2);
    CU_ASSERT_STRING_EQUAL(s->fields[0], "a");
    CU_ASSERT_STRING_EQUAL(s->fields[1], "b c");
    CU_ASSERT_EQUAL_FATAL(s->part_count, 4);
    CU_ASSERT_STRING_EQUAL(s->parts[0].fixed, "{");
    CU_ASSERT_STRING_EQUAL(s->parts[1].fixed, "} ");
    CU_ASSERT_STRING_EQUAL(s->parts[2].fixed, "\n");
    CU_ASSERT_STRING_EQUAL(s->parts[3].fixed, ".");
    CU_ASSERT_EQUAL(s->parts[2].field, 0);
    CU_ASSERT_EQUAL(s->parts[3].field, FM_TEXT_NO_FIELD);
    fm_text_schema_free(&s);
    CU_ASSERT_PTR_NULL(s);
}

static void texts_are_public_that_say_so(void)
{
    static const char *const sources[] = { "csv\ntext: a", "ndjson\ntext: a", "fhir" };
    static const char *const words[] = { "false", "true" };

    for (size_t i = 0; i < FM_TEST_COUNT(sources); i++)
        for (size_t k = 0; k < 2; k++) {
            char yaml[128];
            fm_text_schema *s;

            (void)snprintf(yaml, sizeof yaml, "name: n\nsource: %s\nunit: record\npublic: %s\n",
                           sources[i], words[k]);
            s = parse(yaml);
            CU_ASSERT_PTR_NOT_NULL_FATAL(s);
            CU_ASSERT_EQUAL(fm_text_schema_public(s), k == 1);
            fm_text_schema_free(&s);
        }
}

static void the_defaults(void)
{
    fm_text_schema *s = parse("name: n\nsource: fhir\nunit: patient\n");

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_TRUE(s->documents && s->reports && !s->empty_is_error);
    CU_ASSERT_FALSE(fm_text_schema_public(s)); /* nothing is unless somebody says so */
    CU_ASSERT_STRING_EQUAL(fm_text_schema_unit(s), "patient");
    fm_text_schema_free(&s);
    s = parse("name: n\nsource: fhir\nunit: record\nresources: [DiagnosticReport]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_TRUE(!s->documents && s->reports);
    CU_ASSERT_PTR_NULL(fm_text_schema_unit(s));
    fm_text_schema_free(&s);
    s = parse("name: n\nsource: csv\ntext: a\nunit: b\n"
              "csv: {header: false, columns: [x, a, b], delimiter: \";\"}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->column_count, 3);
    fm_text_schema_free(&s);
    fm_text_schema_free(&s);
    fm_text_schema_free(NULL);
}

/* The text has the line, and what is wrong there. */
static void what_is_refused(void)
{
    static const struct {
        const char *yaml, *want;
    } bad[] = {
        { "[a]", "text.yaml:1:1: expected a map" },
        { "name: n\nsource: xml\nunit: record\n", "text.yaml:2:9: source is \"xml\"" },
        { "name: n\ntext: a\nunit: record\n", "source" },
        { "name: n\ncolumns:\n  - {name: a, kind: numeric}\n",
          "text.yaml:3:3: this is a schema of a table" },
        { "source: csv\ntext: a\nunit: record\n", "name" },
        { "name: n\nsource: csv\ntext: a\n", "unit" },
        { "name: n\nsource: csv\nunit: record\n", "text" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ntxet: b\n", "text.yaml:5:1: unknown key" },
        { "name: n\nsource: ndjson\ncsv: {}\ntext: a\nunit: record\n", "text.yaml:3:1: unknown" },
        { "name: n\nsource: fhir\ntext: a\nunit: record\n", "text.yaml:3:1: unknown" },
        { "name: n\nsource: csv\ntext: a\ntemplate: \"{a}\"\nunit: record\n", "give one of them" },
        { "name: n\nsource: csv\ntemplate: a b\nunit: record\n",
          "text.yaml:3:11: the template has" },
        { "name: n\nsource: csv\ntemplate: \"{a\"\nunit: record\n", "a { that no } follows" },
        { "name: n\nsource: csv\ntemplate: \"{a{b}}\"\nunit: record\n", "a { that no } follows" },
        { "name: n\nsource: csv\ntemplate: \"{a} }\"\nunit: record\n", "a } without a {" },
        { "name: n\nsource: csv\ntemplate: \"{}\"\nunit: record\n", "a column without a name" },
        { "name: n\nsource: ndjson\ntext: a..b\nunit: record\n", "text.yaml:3:7: an empty key" },
        { "name: n\nsource: ndjson\ntext: .a\nunit: record\n", "an empty key" },
        { "name: n\nsource: ndjson\ntext: a\nunit: b.\n", "text.yaml:4:7: an empty key" },
        { "name: n\nsource: csv\ntext: a\nunit: record\nempty: no\n", "skip or error" },
        { "name: n\nsource: csv\ntext: a\nunit: record\npublic: perhaps\n", "text.yaml:5:9" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {delimiter: x}\n", "one of , ; | :" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {columns: [a]}\n", "unknown key" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {header: false}\n", "columns" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {header: false, columns: []}\n",
          "columns has 0 entries" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {header: false, columns: [a, a]}\n",
          "there twice" },
        { "name: n\nsource: csv\ntext: a\nunit: record\ncsv: {header: false, columns: [b]}\n",
          "csv.columns has no column \"a\"" },
        { "name: n\nsource: csv\ntext: a\nunit: w\ncsv: {header: false, columns: [a]}\n",
          "csv.columns has no column \"w\"" },
        { "name: n\nsource: fhir\nunit: ward\n", "patient or record" },
        { "name: n\nsource: fhir\nunit: patient\nresources: [Patient]\n", "text.yaml:4:13: \"Pat" },
        { "name: n\nsource: fhir\nunit: patient\nresources: []\n", "resources is empty" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_PTR_NULL(parse(bad[i].yaml));
        if (!strstr(fm_error_text(), bad[i].want))
            fprintf(stderr, "\n%s\nfor %s\n", fm_error_text(), bad[i].yaml);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), bad[i].want));
    }
}

static void names_and_pieces_have_limits(void)
{
    fm_buf yaml = { 0 };
    fm_text_schema *s = NULL;
    char name[FM_TEXT_MAX_NAME + 2];

    for (int over = 0; over < 2; over++) {
        fm_buf_clear(&yaml);
        CU_ASSERT_EQUAL(fm_buf_printf(&yaml, "name: n\nsource: csv\nunit: record\ntemplate: \""),
                        FM_OK);
        for (unsigned i = 0; i < FM_TEXT_MAX_FIELDS + (unsigned)over; i++)
            CU_ASSERT_EQUAL(fm_buf_printf(&yaml, "{f%u}", i), FM_OK);
        CU_ASSERT_EQUAL(fm_buf_printf(&yaml, "\"\n"), FM_OK);
        s = parse((const char *)yaml.data);
        CU_ASSERT_EQUAL(!s, over);
        CU_ASSERT_TRUE(!over || strstr(fm_error_text(), "more than 64 pieces"));
        fm_text_schema_free(&s);

        memset(name, 'n', sizeof name);
        name[FM_TEXT_MAX_NAME + (unsigned)over] = '\0';
        fm_buf_clear(&yaml);
        CU_ASSERT_EQUAL(
            fm_buf_printf(&yaml, "name: n\nsource: ndjson\nunit: record\ntext: %s\n", name), FM_OK);
        s = parse((const char *)yaml.data);
        CU_ASSERT_EQUAL(!s, over);
        fm_text_schema_free(&s);
    }
    fm_buf_fini(&yaml);
}

static void the_schema_shown_is_a_schema(void)
{
    static const char fence[] = "```yaml\n";
    const char *at, *end;
    fm_text_schema *s = NULL;
    fm_buf file = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_file_read(FEDMOE_DOCS "/text.md", 1 << 20, &file), FM_OK);
    at = strstr((const char *)file.data, "## Texts");
    at = at ? strstr(at, fence) : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at += strlen(fence);
    end = strstr(at, "```\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    CU_ASSERT_EQUAL(fm_text_schema_parse("docs/text.md", at, (size_t)(end - at), &s), FM_OK);
    if (s)
        CU_ASSERT_STRING_EQUAL(fm_text_schema_unit(s), "patient");
    fm_text_schema_free(&s);
    fm_buf_fini(&file);
}

/* Right or wrong: it is the key that tells texts from tables. */
static void a_source_makes_a_schema_one_of_texts(void)
{
    CU_ASSERT_TRUE(fm_text_schema_is("source: fhir\n", 13));
    CU_ASSERT_TRUE(fm_text_schema_is("a: 1\nsource: x\n", 15));
    CU_ASSERT_FALSE(fm_text_schema_is("name: n\ncolumns: []\n", 20));
    CU_ASSERT_FALSE(fm_text_schema_is("a: {source: x}\n", 15));
    CU_ASSERT_FALSE(fm_text_schema_is("[source]\n", 9));
    CU_ASSERT_FALSE(fm_text_schema_is("source: [\n", 10));
    CU_ASSERT_FALSE(fm_text_schema_is("", 0));
    CU_ASSERT_FALSE(fm_text_schema_is(NULL, 0));
}

static const fm_test tests[] = {
    { "what a schema says", what_a_schema_says },
    { "the defaults", the_defaults },
    { "texts are public that say so", texts_are_public_that_say_so },
    { "what is refused", what_is_refused },
    { "names and pieces have limits", names_and_pieces_have_limits },
    { "a source makes a schema one of texts", a_source_makes_a_schema_one_of_texts },
    { "the schema shown is a schema", the_schema_shown_is_a_schema },
};

const fm_test_suite suite_text_schema = { "model.text_schema", tests, FM_TEST_COUNT(tests) };
