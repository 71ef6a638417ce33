/* The YAML that the documents show is YAML that the program takes. */
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/tabular.h"
#include "fm_test.h"
#include "suites.h"

/* The first ```yaml block of docs/name. */
static bool block(const char *name, fm_buf *file, const char **text, size_t *len)
{
    char path[512];
    const char *begin, *end;

    (void)snprintf(path, sizeof path, "%s/%s", FEDMOE_DOCS, name);
    if (fm_file_read(path, 1 << 20, file) ||
        !(begin = strstr((const char *)file->data, "```yaml\n")) ||
        !(end = strstr(begin + 8, "```\n")))
        return false;
    *text = begin + 8;
    *len = (size_t)(end - *text);
    return true;
}

static void the_schema_shown_is_a_schema(void)
{
    fm_buf file = { 0 };
    fm_schema *s = NULL;
    const char *text = NULL;
    size_t len = 0;

    CU_ASSERT_TRUE_FATAL(block("schema.md", &file, &text, &len));
    CU_ASSERT_EQUAL(fm_schema_parse("docs/schema.md", text, len, &s), FM_OK);
    if (s)
        CU_ASSERT_EQUAL(fm_schema_features(s), 4 + 2 + 5 + 5 + 4);
    fm_schema_free(&s);
    fm_buf_fini(&file);
}

static void the_examples_are_schemas(void)
{
    static const struct {
        const char *name;
        double norm; /* 0: as declared */
    } examples[] = {
        { "heart_disease", 0.0 }, { "diabetes130", 0.0 },    { "diabetes130_groups", 1.0 },
        { "adult", 1.0 },         { "credit_default", 1.0 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(examples); i++) {
        fm_schema *s = NULL;
        char path[512];

        (void)snprintf(path, sizeof path, FEDMOE_EXAMPLES "/schemas/%s.yaml", examples[i].name);
        CU_ASSERT_EQUAL(fm_schema_load(path, &s), FM_OK);
        if (s && examples[i].norm > 0.0)
            CU_ASSERT_EQUAL(fm_schema_norm(s), examples[i].norm);
        if (s && examples[i].norm == 0.0)
            CU_ASSERT_TRUE(fm_schema_norm(s) > 3.0);
        fm_schema_free(&s);
    }
}

static void the_defaults_shown_are_the_defaults(void)
{
    static const char any[] = "name: t\ncolumns:\n  - {name: x, kind: numeric, range: [0, 8]}\n";
    fm_buf file = { 0 }, shown = { 0 }, real = { 0 };
    fm_schema *s = NULL;
    fm_tabular_config c;
    const char *text = NULL;
    size_t len = 0, lines = 0, keys = 0;

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", any, strlen(any), &s), FM_OK);
    CU_ASSERT_TRUE_FATAL(block("model.md", &file, &text, &len));
    CU_ASSERT_EQUAL(fm_tabular_config_parse_new("docs/model.md", text, len, s, &c), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_config_write(&c, &shown), FM_OK);
    fm_tabular_config_default(s, &c);
    CU_ASSERT_EQUAL(fm_tabular_config_write(&c, &real), FM_OK);
    CU_ASSERT_STRING_EQUAL((const char *)shown.data, (const char *)real.data);
    /* ... and no key is left out. */
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    for (size_t i = 0; i < real.len; i++)
        keys += real.data[i] == '\n';
    CU_ASSERT_EQUAL(lines, keys);
    fm_schema_free(&s);
    fm_buf_fini(&file);
    fm_buf_fini(&shown);
    fm_buf_fini(&real);
}

static const fm_test tests[] = {
    { "the examples are schemas", the_examples_are_schemas },
    { "the schema shown is a schema", the_schema_shown_is_a_schema },
    { "the defaults shown are the defaults", the_defaults_shown_are_the_defaults },
};
const fm_test_suite suite_docs = { "model.docs", tests, FM_TEST_COUNT(tests) };
