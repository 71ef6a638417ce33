/* Use policies: the file that a coordinator edits, and what a user acknowledges. */
#include <string.h>

#include "model.h"

static fm_status parse(const char *text, fm_use_policy *p)
{
    return fm_use_policy_parse("use-policy.yaml", text, strlen(text), p);
}

static void the_default_has_twelve_uses_with_a_reason_each(void)
{
    fm_use_policy p = { 0 };

    CU_ASSERT_EQUAL_FATAL(parse(fm_use_policy_default(), &p), FM_OK);
    CU_ASSERT_EQUAL(p.prohibited_count, 12);
    CU_ASSERT_EQUAL(p.allowed_count, 0);
    for (size_t i = 0; i < p.prohibited_count; i++)
        CU_ASSERT(strlen(p.prohibited[i].use) > 10 && strlen(p.prohibited[i].reason) > 10);
    fm_use_policy_fini(&p);
}

static void what_is_wrong_is_named_with_its_line(void)
{
    static const char *const bad[][2] = {
        { "allowed: []\n", "use-policy.yaml:1:" },
        { "allowed: [a]\nforbidden: [b]\n", "use-policy.yaml:2:" },
        { "prohibited:\n  - use: a\n", "reason" },
        { "prohibited:\n  - use: a\n    reason: \"x\\ny\"\n", "use-policy.yaml:3:" },
        { "prohibited:\n  - use: a\n    reason: b\n    why: c\n", "use-policy.yaml:4:" },
        { "{}\n", "neither" },
        { "allowed: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]\n", "1 to 16" },
    };
    fm_use_policy p = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(parse(bad[i][0], &p), FM_EPARSE);
        CU_ASSERT(says(bad[i][1]));
    }
    CU_ASSERT_EQUAL(p.allowed_count + p.prohibited_count, 0);
}

static fm_hash hash_of(const char *text)
{
    fm_use_policy p = { 0 };
    fm_hash h = { 0 };

    need(parse(text, &p) == FM_OK && fm_use_policy_hash(&p, &h) == FM_OK, text);
    fm_use_policy_fini(&p);
    return h;
}

static void the_hash_is_of_the_words_not_of_the_file(void)
{
    const fm_hash a = hash_of("allowed: [a]\nprohibited: [{use: b, reason: c}]\n");
    const fm_hash b =
        hash_of("# edited\nprohibited:\n  - reason: c\n    use: \"b\"\nallowed: ['a']\n");
    const fm_hash c = hash_of("allowed: [a]\nprohibited: [{use: b, reason: d}]\n");

    CU_ASSERT(fm_hash_equal(&a, &b));
    CU_ASSERT_FALSE(fm_hash_equal(&a, &c));
}

static void the_plans_purpose_stands_first_and_once(void)
{
    fm_use_policy p = { 0 };
    char many[16][16];

    need(parse("allowed: [b]\n", &p) == FM_OK, "policy");
    CU_ASSERT_EQUAL(fm_use_policy_allow(&p, "a"), FM_OK);
    CU_ASSERT_EQUAL(fm_use_policy_allow(&p, "b"), FM_OK);
    CU_ASSERT_EQUAL(p.allowed_count, 2);
    CU_ASSERT_STRING_EQUAL(p.allowed[0], "a");
    CU_ASSERT_EQUAL(fm_use_policy_allow(&p, "line\nend"), FM_EINVAL);
    for (int i = 0; i < 14; i++) {
        snprintf(many[i], sizeof many[i], "%d", i);
        CU_ASSERT_EQUAL(fm_use_policy_allow(&p, many[i]), FM_OK);
    }
    CU_ASSERT_EQUAL(fm_use_policy_allow(&p, "one more"), FM_EINVAL);
    fm_use_policy_fini(&p);
}

static const fm_test tests[] = {
    { "the default has twelve uses with a reason each",
      the_default_has_twelve_uses_with_a_reason_each },
    { "what is wrong is named with its line", what_is_wrong_is_named_with_its_line },
    { "the hash is of the words, not of the file", the_hash_is_of_the_words_not_of_the_file },
    { "the plan's purpose stands first, and once", the_plans_purpose_stands_first_and_once },
};
const fm_test_suite suite_policy = { "provenance.policy", tests, FM_TEST_COUNT(tests) };
