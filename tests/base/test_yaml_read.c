#include <math.h>
#include <string.h>

#include "capture.h"
#include "fedmoe/base/yaml.h"
#include "suites.h"

static const char config[] = "site: cleveland\n"
                             "quoted: \"5\"\n"
                             "epsilon: 2.5\n"
                             "rounds: 40\n"
                             "strict: true\n"
                             "loose: false\n"
                             "nothing:\n"
                             "list: [a, 1]\n"
                             "map: {x: 1}\n"
                             "big: 18446744073709551615\n"
                             "bigger: 18446744073709551616\n"
                             "minus: -3\n"
                             "hex: 0x10\n"
                             "nan: .nan\n"
                             "nan2: nan\n"
                             "inf: inf\n"
                             "huge: 1e999\n"
                             "tail: 5 apples\n"
                             "plus: +4.5E-1\n"
                             "dot: .\n"
                             "point: .5\n"
                             "open: 5.\n"
                             "exp: 1e\n"
                             "word: yes\n"
                             "space: ' 5'\n";

static fm_yaml *g_doc;

static const fm_yaml_node *root(void)
{
    if (!g_doc)
        CU_ASSERT_EQUAL_FATAL(fm_yaml_parse("n.yaml", config, strlen(config), &g_doc), FM_OK);
    return fm_yaml_root(g_doc);
}

static void done(void)
{
    fm_yaml_free(&g_doc);
}

static void reads_texts(void)
{
    const char *s = "before";

    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "site", &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "cleveland");
    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "quoted", &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "5");
    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "rounds", &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "40");
    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "nothing", &s), FM_EPARSE);
    assert_error_has("n.yaml:7:");
    assert_error_has("'nothing' is empty");
    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "list", &s), FM_EPARSE);
    assert_error_has("n.yaml:8:7: 'list' must be a text, found a list");
    CU_ASSERT_EQUAL(fm_yaml_get_string(root(), "absent", &s), FM_EPARSE);
    assert_error_has("n.yaml:1:1: key 'absent' is missing");
    CU_ASSERT_STRING_EQUAL(s, "40"); /* failures left it alone */
    CU_ASSERT_EQUAL(fm_yaml_get_string_or(root(), "absent", "default", &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "default");
    CU_ASSERT_EQUAL(fm_yaml_get_string_or(root(), "absent", NULL, &s), FM_OK);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL(fm_yaml_get_string_or(root(), "map", "default", &s), FM_EPARSE);
    assert_error_has("found a map");
    CU_ASSERT_EQUAL(fm_yaml_scalar(fm_yaml_find(root(), "nothing"), &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "");
    CU_ASSERT_EQUAL(fm_yaml_scalar(fm_yaml_find(root(), "list"), &s), FM_EPARSE);
    assert_error_has("n.yaml:8:7: expected a single value, found a list");
    done();
}

static void reads_doubles_within_bounds(void)
{
    double v = -7.0;

    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "epsilon", 0.1, 10.0, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 2.5);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "epsilon", 2.5, 2.5, &v), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "rounds", 0.0, 100.0, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 40.0);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "minus", -5.0, 5.0, &v), FM_OK);
    CU_ASSERT_EQUAL(v, -3.0);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "plus", -5.0, 5.0, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 0.45);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "point", -5.0, 5.0, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 0.5);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "open", -5.0, 5.0, &v), FM_OK);
    v = -7.0;
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "epsilon", 0.1, 2.0, &v), FM_EPARSE);
    assert_error_has("n.yaml:3:10: 'epsilon' must be between 0.1 and 2, found 2.5");
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "epsilon", 3.0, 4.0, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_double(root(), "absent", 0.0, 1.0, &v), FM_EPARSE);
    assert_error_has("key 'absent' is missing");
    CU_ASSERT_EQUAL(v, -7.0);
    CU_ASSERT_EQUAL(fm_yaml_get_double_or(root(), "absent", 0.0, 1.0, 0.25, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 0.25);
    CU_ASSERT_EQUAL(fm_yaml_get_double_or(root(), "epsilon", 0.0, 1.0, 0.25, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_double_or(root(), "epsilon", 0.0, 5.0, 0.25, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 2.5);
    done();
}

static void refuses_what_is_no_decimal_number(void)
{
    static const char *const bad[] = { "site", "quoted", "nothing", "list",  "map",  "hex",
                                       "nan",  "nan2",   "inf",     "huge",  "tail", "dot",
                                       "exp",  "word",   "space",   "strict" };
    double v = -7.0;
    uint64_t u = 7;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_yaml_get_double(root(), bad[i], -INFINITY, INFINITY, &v), FM_EPARSE);
        assert_error_has("must be a number");
        CU_ASSERT_EQUAL(fm_yaml_number(fm_yaml_find(root(), bad[i]), &v), FM_EPARSE);
        assert_error_has("expected a number, found '");
        CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), bad[i], 0, UINT64_MAX, &u), FM_EPARSE);
        assert_error_has("must be a whole number");
    }
    CU_ASSERT_EQUAL(v, -7.0);
    CU_ASSERT_EQUAL(u, 7);
    CU_ASSERT_EQUAL(fm_yaml_number(fm_yaml_find(root(), "minus"), &v), FM_OK);
    CU_ASSERT_EQUAL(v, -3.0);
    done();
}

static void reads_whole_numbers_within_bounds(void)
{
    static const char *const bad[] = { "epsilon", "minus", "bigger", "plus", "point" };
    uint64_t v = 7;

    CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), "rounds", 1, 40, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 40);
    CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), "big", 0, UINT64_MAX, &v), FM_OK);
    CU_ASSERT_EQUAL(v, UINT64_MAX);
    v = 7;
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), bad[i], 0, UINT64_MAX, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), "rounds", 1, 39, &v), FM_EPARSE);
    assert_error_has("n.yaml:4:9: 'rounds' must be between 1 and 39, found 40");
    CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), "rounds", 41, 50, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_u64(root(), "absent", 0, 9, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(v, 7);
    CU_ASSERT_EQUAL(fm_yaml_get_u64_or(root(), "absent", 0, 9, 5, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 5);
    CU_ASSERT_EQUAL(fm_yaml_get_u64_or(root(), "rounds", 0, 9, 5, &v), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_u64_or(root(), "rounds", 0, 90, 5, &v), FM_OK);
    CU_ASSERT_EQUAL(v, 40);
    done();
}

static void reads_booleans_by_two_words_only(void)
{
    bool b = false;

    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "strict", false, &b), FM_OK);
    CU_ASSERT_TRUE(b);
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "loose", true, &b), FM_OK);
    CU_ASSERT_FALSE(b);
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "absent", true, &b), FM_OK);
    CU_ASSERT_TRUE(b);
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "word", false, &b), FM_EPARSE);
    assert_error_has("'word' must be true or false, found 'yes'");
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "list", false, &b), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(root(), "nothing", false, &b), FM_EPARSE);
    CU_ASSERT_TRUE(b);
    done();
}

static void reads_maps_and_lists_of_their_kind(void)
{
    const fm_yaml_node *n = NULL;

    CU_ASSERT_EQUAL(fm_yaml_get_map(root(), "map", &n), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_size(n), 1);
    CU_ASSERT_EQUAL(fm_yaml_get_list(root(), "list", &n), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_size(n), 2);
    CU_ASSERT_EQUAL(fm_yaml_get_map(root(), "list", &n), FM_EPARSE);
    assert_error_has("n.yaml:8:7: 'list' must be a map, found a list");
    CU_ASSERT_EQUAL(fm_yaml_get_list(root(), "map", &n), FM_EPARSE);
    assert_error_has("'map' must be a list, found a map");
    CU_ASSERT_EQUAL(fm_yaml_get_list(root(), "site", &n), FM_EPARSE);
    assert_error_has("found a single value");
    CU_ASSERT_EQUAL(fm_yaml_get_map(root(), "absent", &n), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_list(root(), "absent", &n), FM_EPARSE);
    done();
}

static void only_maps_have_keys(void)
{
    const fm_yaml_node *list = fm_yaml_find(root(), "list");
    static const char *const known[] = { "a", NULL };
    const char *s;
    double d;
    uint64_t u;
    bool b;

    CU_ASSERT_EQUAL(fm_yaml_get_string(list, "k", &s), FM_EPARSE);
    assert_error_has("n.yaml:8:7: expected a map with the key 'k', found a list");
    CU_ASSERT_EQUAL(fm_yaml_get_string_or(list, "k", "", &s), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_double_or(list, "k", 0, 1, 0, &d), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_u64_or(list, "k", 0, 1, 0, &u), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_bool_or(list, "k", false, &b), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_get_map(list, "k", &list), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_yaml_check_keys(list, known), FM_EPARSE);
    assert_error_has("expected a map (key: value), found a list");
    done();
}

static void assert_keys(const char *text, const char *const *known, const char *needle)
{
    fm_yaml *doc = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_yaml_parse("n.yaml", text, strlen(text), &doc), FM_OK);
    CU_ASSERT_EQUAL(fm_yaml_check_keys(fm_yaml_root(doc), known), needle ? FM_EPARSE : FM_OK);
    if (needle)
        assert_error_has(needle);
    fm_yaml_free(&doc);
}

static void unknown_keys_name_the_nearest_known_one(void)
{
    static const char *const known[] = { "epsilon", "delta", "unit", "budget", NULL };
    static const char *const none[] = { NULL };
    char longer[300] = "\n\n  ";

    assert_keys("delta: 1\nepsilon: 2\n", known, NULL);
    assert_keys("{}", known, NULL);
    assert_keys("delta: 1\nepsilom: 2\n", known,
                "n.yaml:2:1: unknown key 'epsilom'; did you mean 'epsilon'?");
    assert_keys("units: 1\n", known, "did you mean 'unit'?");
    assert_keys("delat: 1\n", known, "did you mean 'delta'?");
    assert_keys("colour: 1\n", known,
                "unknown key 'colour'; known here: epsilon, delta, unit, budget");
    assert_keys("a: 1\n", none, "unknown key 'a'; known here: ");
    memset(longer + 4, 'k', 120);
    memcpy(longer + 124, ": 1\n", 5);
    assert_keys(longer, known, "n.yaml:3:3: unknown key 'kkkk"); /* cut, not overrun */
}

static void a_very_long_list_of_known_keys_is_cut(void)
{
    const char *known[101];

    for (size_t i = 0; i < 100; i++)
        known[i] = "a-rather-long-name-of-a-key";
    known[100] = NULL;
    assert_keys("z: 1\n", known, "known here: a-rather-long-name-of-a-key, ");
    CU_ASSERT(strlen(fm_error_text()) < 600);
}

static void failures_of_the_reader_carry_the_position(void)
{
    CU_ASSERT_EQUAL(fm_yaml_fail(fm_yaml_find(root(), "map"), "no %s", "good"), FM_EPARSE);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "n.yaml:9:6: no good");
    done();
}

static const fm_test tests[] = {
    { "reads texts", reads_texts },
    { "reads doubles within bounds", reads_doubles_within_bounds },
    { "refuses what is no decimal number", refuses_what_is_no_decimal_number },
    { "reads whole numbers within bounds", reads_whole_numbers_within_bounds },
    { "reads booleans by two words only", reads_booleans_by_two_words_only },
    { "reads maps and lists of their kind", reads_maps_and_lists_of_their_kind },
    { "only maps have keys", only_maps_have_keys },
    { "unknown keys name the nearest known one", unknown_keys_name_the_nearest_known_one },
    { "a very long list of known keys is cut", a_very_long_list_of_known_keys_is_cut },
    { "failures of the reader carry the position", failures_of_the_reader_carry_the_position },
};
const fm_test_suite suite_yaml_read = { "base.yaml_read", tests, FM_TEST_COUNT(tests) };
