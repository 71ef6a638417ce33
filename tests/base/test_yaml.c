#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/yaml.h"
#include "suites.h"

static fm_yaml *parse(const char *text)
{
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_parse("t.yaml", text, strlen(text), &doc);

    if (st != FM_OK)
        printf("\n    %s\n", fm_error_text());
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    return doc;
}

static void assert_refused(const char *text, size_t len, const char *needle)
{
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_parse("t.yaml", text, len, &doc);

    CU_ASSERT_EQUAL(st, FM_EPARSE);
    CU_ASSERT_PTR_NULL(doc);
    if (st == FM_EPARSE)
        assert_error_has(needle);
    else
        printf("\n    accepted: %s\n", text);
    fm_yaml_free(&doc);
}

static void keeps_order_kinds_lines_and_columns(void)
{
    fm_yaml *doc = parse("# a comment\n"
                         "name: cleveland\n"
                         "columns:\n"
                         "  - age\n"
                         "  - {low: 0, high: 120}\n"
                         "empty: []\n"
                         "'quoted key': \"a: b\"\n");
    const fm_yaml_node *root = fm_yaml_root(doc), *list, *map;

    CU_ASSERT_EQUAL(fm_yaml_node_kind(root), FM_YAML_MAP);
    CU_ASSERT_EQUAL(fm_yaml_size(root), 4);
    CU_ASSERT_STRING_EQUAL(fm_yaml_key(root, 0), "name");
    CU_ASSERT_STRING_EQUAL(fm_yaml_key(root, 3), "quoted key");
    CU_ASSERT_EQUAL(fm_yaml_line(root), 2);
    CU_ASSERT_EQUAL(fm_yaml_column(root), 1);
    list = fm_yaml_value(root, 1);
    CU_ASSERT_PTR_EQUAL(list, fm_yaml_find(root, "columns"));
    CU_ASSERT_EQUAL(fm_yaml_node_kind(list), FM_YAML_LIST);
    CU_ASSERT_EQUAL(fm_yaml_size(list), 2);
    map = fm_yaml_item(list, 1);
    CU_ASSERT_EQUAL(fm_yaml_node_kind(map), FM_YAML_MAP);
    CU_ASSERT_EQUAL(fm_yaml_line(map), 5);
    CU_ASSERT_EQUAL(fm_yaml_column(map), 5);
    CU_ASSERT_EQUAL(fm_yaml_line(fm_yaml_find(map, "high")), 5);
    CU_ASSERT_EQUAL(fm_yaml_column(fm_yaml_find(map, "high")), 20);
    CU_ASSERT_EQUAL(fm_yaml_size(fm_yaml_find(root, "empty")), 0);
    CU_ASSERT_EQUAL(fm_yaml_size(fm_yaml_find(root, "name")), 0);
    fm_yaml_free(&doc);
    CU_ASSERT_PTR_NULL(doc);
    fm_yaml_free(&doc);
    fm_yaml_free(NULL);
}

static void what_is_not_there_is_null(void)
{
    fm_yaml *doc = parse("a: 1\nl: [x]\n");
    const fm_yaml_node *root = fm_yaml_root(doc), *list = fm_yaml_find(root, "l");

    CU_ASSERT_PTR_NULL(fm_yaml_find(root, "b"));
    CU_ASSERT_PTR_NULL(fm_yaml_find(list, "x"));
    CU_ASSERT_PTR_NULL(fm_yaml_item(list, 1));
    CU_ASSERT_PTR_NULL(fm_yaml_item(root, 0));
    CU_ASSERT_PTR_NULL(fm_yaml_key(root, 2));
    CU_ASSERT_PTR_NULL(fm_yaml_value(root, 2));
    CU_ASSERT_PTR_NULL(fm_yaml_key(list, 0));
    CU_ASSERT_PTR_NULL(fm_yaml_value(list, 0));
    fm_yaml_free(&doc);
}

static void syntax_errors_name_line_and_column(void)
{
    static const struct {
        const char *text, *needle;
    } cases[] = {
        { "a: [1\nb: 2\n", "t.yaml:1:4: the [ that is opened here is not closed" },
        { "a: 'open\n", "t.yaml:1:4: the quote that is opened here is not closed" },
        { "a: 1\n\tb: 2\n", "t.yaml:2:1: a tab" },
        { "a:\n\tb: 2\n", "t.yaml:2:1: a tab" },
        { "a: 1\nb 2\nc: 3\n", "t.yaml:2:1: this is no 'key: value'" },
        { "a: 1\nb: [c]\n  d: 3\n", "t.yaml:3:3: this fits no line above it" },
        { "a: b: c\n", "t.yaml:1:5: a ': ' where no key can stand" },
        { "a: 1\n b: 2\n", "t.yaml:2:3: " },
        { "a: }\n", "t.yaml:1:4: " },
        { "a: \"\\q\"\n", "t.yaml:1:" },
        { "a: `x`\n", "t.yaml:1:4: a text that begins with ` needs quotes" },
        { "", "t.yaml:1:1: the file is empty, but for comments perhaps; was it saved?" },
        { "# only a comment\n",
          "t.yaml:2:1: the file is empty, but for comments perhaps; was it saved?" },
        { "a: \x01\n", "t.yaml:1:4: a control character (0x01) is not allowed; take it away" },
        { "PK\3\4 x", "t.yaml:1:1: this is no YAML but a zip archive; unpack it" },
        { "a = 1\nb: 2\n", "t.yaml:1:1: this is no 'key: value'; a colon and a space are missing" },
        { "a: 1\n<<<<<<< HEAD\nb: 2\n",
          "t.yaml:2:1: a mark of Git's: two versions were merged and not finished" },
        { "a:\n\xc2\xa0 b: 1\n  c: 2\n", "t.yaml:2:1: a no-break space (U+00A0) is in this line" },
        { "a: \"x\nb: \"y\"\n", "t.yaml:1:4: the quote that is opened here is not closed" },
        { "a:\n  b: \"x\n  # don't\n  c: 1\n  d: \"y\"\n",
          "t.yaml:2:6: the quote that is opened here is not closed" },
        { "a: 5\" tube\nb: it's\nc: \"x\" y\n", "t.yaml:3:8: this fits no line above it" },
        { "a: 1\nb: {c: 1, d:\n", "t.yaml:2:4: the file ends inside the { that is opened here" },
        { "a: {b: [1,\n", "t.yaml:1:8: the file ends inside the [ that is opened here" },
        { "a: {b: \"]\", c: [1, # ]", "t.yaml:1:16: the file ends inside the [" },
        { "- a:b\n  c: 1\n", "t.yaml:1:1: this is no 'key: value'" },
        { "- a\n  c: 1\n", "t.yaml:2:4: a ': ' where no key can stand" },
        { "- http://a.b\n  c: 1\n", "t.yaml:2:4: a ': ' where no key can stand" },
        { "a: !x#y\n", "t.yaml:1:4: a text that begins with ! needs quotes" },
        { "b: !{z\n", "t.yaml:1:4: a text that begins with ! needs quotes" },
        { "a: >x\n", "t.yaml:1:4: a text that begins with > or | needs quotes" },
        { "a: |}x\n", "t.yaml:1:4: a text that begins with > or | needs quotes" },
        { "a: &}x\n", "t.yaml:1:4: a text that begins with & needs quotes" },
        { "a: {x!\nb: 1\n", "a text that begins with { needs quotes" },
        { "b: 1\na: \xff\n", "t.yaml:2:4: not UTF-8 text" },
        { "a: \xc0\x80\n", "not UTF-8 text" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].needle);
}

static void refuses_what_a_configuration_does_not_need(void)
{
    static const struct {
        const char *text, *needle;
    } cases[] = {
        { "a: &x 1\n", "t.yaml:1:4: anchors (&) and aliases (*)" },
        { "a: &x [1]\n", "t.yaml:1:4: anchors" },
        { "a: &x {b: 1}\n", "t.yaml:1:4: anchors" },
        { "a: 1\nb: *x\n", "t.yaml:2:4: anchors" },
        { "a: *x\n", "a text that begins with & or * needs quotes" },
        { "a: !!str 1\n", "t.yaml:1:4: tags (!)" },
        { "a: ! 1\n", "t.yaml:1:4: tags" },
        { "a: !x [1]\n", "t.yaml:1:4: tags" },
        { "a: !x {b: 1}\n", "t.yaml:1:4: tags" },
        { "a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document" },
        { "%YAML 1.1\n---\na: 1\n", "t.yaml:1:1: directives" },
        { "%TAG ! tag:x,2000:\n---\na: 1\n", "t.yaml:1:1: directives" },
        { "a: 1\nb: 2\n'a': 3\n", "t.yaml:3:1: key 'a' is given twice, first in line 1" },
        { "{a: 1, b: 2, a: 3}\n", "t.yaml:1:14: key 'a' is given twice, first in line 1" },
        { "x:\n  a: 1\n  a: 1\n", "t.yaml:3:3: key 'a' is given twice, first in line 2" },
        { "- b: 1\n  a: 2\n  b: 3\n  a: 4\n",
          "t.yaml:3:3: key 'b' is given twice, first in line 1; is the '- ' missing" },
        { "x:\n- name age\n  kind: a\n", "t.yaml:2:1: this is no 'key: value'" },
        { "[a]: 1\n", "t.yaml:1:1: a key must be a plain text" },
        { "{a: 1}: 1\n", "t.yaml:1:1: a key must be a plain text" },
        { "? - a\n: 1\n", "a key must be a plain text" },
        { "a: \"x\\0y\"\n", "t.yaml:1:4: a text must not contain a NUL" },
        { "\"a\\0\": 1\n", "t.yaml:1:1: a text must not contain a NUL" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].needle);
    assert_refused("a: 1\0b: 2\n", 10, "t.yaml:1:");
    assert_refused("\0\0\0\0\0\0\0", 7, "t.yaml:1:1: the file holds nothing but NUL bytes");
    assert_refused("PK\3\4 xl/workbook.xml", 20,
                   "an Excel workbook; name the file that was written");
}

static void depth_has_a_ceiling(void)
{
    char text[2 * FM_YAML_MAX_DEPTH + 8];
    size_t n = 0;
    fm_yaml *doc;

    for (int i = 0; i < FM_YAML_MAX_DEPTH; i++)
        text[n++] = '[';
    for (int i = 0; i < FM_YAML_MAX_DEPTH; i++)
        text[n++] = ']';
    text[n] = '\0';
    doc = parse(text);
    fm_yaml_free(&doc);
    memset(text, '[', FM_YAML_MAX_DEPTH + 1);
    memset(text + FM_YAML_MAX_DEPTH + 1, ']', FM_YAML_MAX_DEPTH + 1);
    assert_refused(text, 2 * FM_YAML_MAX_DEPTH + 2, "t.yaml:1:33: nested deeper than 32 levels");
}

static void size_has_a_ceiling(void)
{
    char *big = malloc(FM_YAML_MAX_BYTES + 1);
    fm_yaml *doc = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    memset(big, '#', FM_YAML_MAX_BYTES + 1);
    memcpy(big, "a: 1\n", 5);
    CU_ASSERT_EQUAL(fm_yaml_parse("t.yaml", big, FM_YAML_MAX_BYTES, &doc), FM_OK);
    fm_yaml_free(&doc);
    assert_refused(big, FM_YAML_MAX_BYTES + 1, "longer than the limit");
    free(big);
}

/* Pairwise comparison of these keys would take 10^9 steps and more. */
static void many_keys_take_no_quadratic_time(void)
{
    fm_buf b = { 0 };
    fm_yaml *doc = NULL;
    clock_t before;

    for (unsigned i = 0; b.len < FM_YAML_MAX_BYTES - 20; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "k%u:\n", i), FM_OK);
    before = clock();
    CU_ASSERT_EQUAL(fm_yaml_parse("t.yaml", b.data, b.len, &doc), FM_OK);
    CU_ASSERT((clock() - before) / CLOCKS_PER_SEC < 20);
    fm_yaml_free(&doc);
    fm_buf_fini(&b);
}

/* Every prefix either parses or is refused with a position; the sanitizers watch. */
static void every_truncation_is_answered(void)
{
    static const char text[] = "name: \"a\\u00e9b\"\nlist:\n  - 'x''y'\n  - {k: [1, 2.5e3], m: ~}\n"
                               "block: |\n  one\n  two\nfolded: >-\n  three\n  four\n";

    for (size_t n = 0; n < sizeof text; n++) {
        fm_yaml *doc = NULL;
        char *copy = malloc(n + 1); /* exact, so that reading past the end is seen */
        fm_status st;

        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, text, n);
        st = fm_yaml_parse("t.yaml", copy, n, &doc);
        CU_ASSERT(st == FM_OK || st == FM_EPARSE);
        if (st != FM_OK)
            assert_error_has("t.yaml:");
        fm_yaml_free(&doc);
        free(copy);
    }
}

static void arguments_must_be_there(void)
{
    fm_yaml *doc = NULL;

    CU_ASSERT_EQUAL(fm_yaml_parse(NULL, "a: 1", 4, &doc), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_yaml_parse("t", NULL, 4, &doc), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_yaml_parse("t", "a: 1", 4, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_yaml_parse("t", NULL, 0, &doc), FM_EPARSE);
}

static void loads_files_under_their_path(void)
{
    char dir[256], path[300];
    fm_yaml *doc = NULL;
    char *big;

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/node.yaml", dir);
    CU_ASSERT_EQUAL(fm_yaml_load(path, &doc), FM_ENOTFOUND);
    assert_error_has(path);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "a: 1\nb: [\n", 10, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_load(path, &doc), FM_EPARSE);
    assert_error_has("node.yaml:2:4: ");
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "", 0, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_load(path, &doc), FM_EPARSE);
    assert_error_has("empty");
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path,
                                          "\xef\xbb\xbf"
                                          "a: 1\r\n",
                                          9, 0644),
                          FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_load(path, &doc), FM_OK); /* as an editor on Windows saves it */
    CU_ASSERT_STRING_EQUAL(fm_yaml_key(fm_yaml_root(doc), 0), "a");
    fm_yaml_free(&doc);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big = calloc(1, FM_YAML_MAX_BYTES + 1));
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, big, FM_YAML_MAX_BYTES + 1, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_load(path, &doc), FM_EPARSE);
    assert_error_has("longer than the limit");
    free(big);
}

static const fm_test tests[] = {
    { "keeps order, kinds, lines and columns", keeps_order_kinds_lines_and_columns },
    { "what is not there is NULL", what_is_not_there_is_null },
    { "syntax errors name line and column", syntax_errors_name_line_and_column },
    { "refuses what a configuration does not need", refuses_what_a_configuration_does_not_need },
    { "depth has a ceiling", depth_has_a_ceiling },
    { "size has a ceiling", size_has_a_ceiling },
    { "many keys take no quadratic time", many_keys_take_no_quadratic_time },
    { "every truncation is answered", every_truncation_is_answered },
    { "arguments must be there", arguments_must_be_there },
    { "loads files under their path", loads_files_under_their_path },
};
const fm_test_suite suite_yaml = { "base.yaml", tests, FM_TEST_COUNT(tests) };
