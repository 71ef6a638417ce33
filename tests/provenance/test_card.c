/* The card's text: one form, strictly read. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

static const int64_t WHEN_S = 1764124200; /* 2025-11-26T02:30:00Z */

static void write_card(fm_buf *out)
{
    fm_card c;

    model_card(&c, WHEN_S);
    memset(out, 0, sizeof *out);
    need(fm_card_write(&c, out) == FM_OK, "write");
    fm_card_fini(&c);
}

static void what_is_written_is_read(void)
{
    fm_buf text;
    fm_card c = { 0 };

    write_card(&text);
    CU_ASSERT_EQUAL_FATAL(fm_card_parse("card", text.data, text.len, &c), FM_OK);
    CU_ASSERT_STRING_EQUAL(c.federation, "heart");
    CU_ASSERT_STRING_EQUAL(c.signer, "hub");
    CU_ASSERT_EQUAL(c.signed_s, WHEN_S);
    CU_ASSERT_EQUAL(c.rounds, 40);
    CU_ASSERT_STRING_EQUAL(c.epsilon, "1.5");
    CU_ASSERT_EQUAL(c.plan.bytes[31], 0xab);
    CU_ASSERT_EQUAL(strlen(c.base), 64);
    CU_ASSERT_EQUAL(c.policy.allowed_count, 2);
    CU_ASSERT_STRING_EQUAL(c.policy.allowed[0], "heart disease risk");
    CU_ASSERT_STRING_EQUAL(c.policy.prohibited[0].use, "pricing \"by\" risk");
    CU_ASSERT_STRING_EQUAL(c.policy.prohibited[0].reason, "a \\ reason");
    fm_card_fini(&c);
    fm_buf_fini(&text);
}

static fm_status parse_edit(const char *from, const char *to)
{
    fm_buf text, edited = { 0 };
    fm_card c = { 0 };
    const char *at;
    fm_status st;

    write_card(&text);
    at = strstr((const char *)text.data, from);
    need(at != NULL, from);
    need(fm_buf_append(&edited, text.data, (size_t)(at - (const char *)text.data)) == FM_OK &&
             fm_buf_printf(&edited, "%s%s", to, at + strlen(from)) == FM_OK,
         "edit");
    st = fm_card_parse("card", edited.data, edited.len, &c);
    CU_ASSERT(st == FM_OK || c.federation[0] == '\0');
    fm_card_fini(&c);
    fm_buf_fini(&edited);
    fm_buf_fini(&text);
    return st;
}

static void another_form_of_the_same_card_is_refused(void)
{
    static const char *const edits[][2] = {
        { "rounds: 40", "rounds: 040" },
        { "card: 1\n", "card: 1\n\n" },
        { "card: 1\n", "# a remark\ncard: 1\n" },
        { "signer: \"hub\"", "signer: hub" },
        { "  - use", " - use" },
        { "abab", "ABab" },
        { "2025-11-26T02:30:00Z", "2025-11-26T02:29:60Z" },
    };

    CU_ASSERT_EQUAL(parse_edit("card: 1", "card: 1"), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(edits); i++)
        CU_ASSERT_EQUAL(parse_edit(edits[i][0], edits[i][1]), FM_EPARSE);
}

static void a_wrong_field_is_named_with_its_line(void)
{
    static const char *const edits[][3] = {
        { "card: 1", "card: 2", "card:1:" },
        { "\"heart\"", "\"Heart\"", "federation" },
        { "2025-11-26T02:30:00Z", "yesterday", "signed" },
        { "epsilon: \"1.5\"", "epsilon: \"-1\"", "epsilon" },
        { "epsilon", "epsilom", "epsilom" },
        { "abab", "xyab", "plan" },
        { "rounds: 40", "rounds: -1", "rounds" },
        { "reason", "raison", "raison" },
        { "weights", "ballast", "ballast" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(edits); i++) {
        CU_ASSERT_EQUAL(parse_edit(edits[i][0], edits[i][1]), FM_EPARSE);
        CU_ASSERT(says(edits[i][2]));
    }
}

/* Where a list ends is known only by what follows, so three beginnings are cards of their own. */
static void every_truncation_is_refused_or_another_card(void)
{
    size_t shorter = 0;
    fm_buf text;

    write_card(&text);
    for (size_t n = 0; n < text.len; n++) {
        fm_card c = { 0 };

        if (fm_card_parse("card", text.data, n, &c) != FM_OK)
            continue;
        shorter++;
        CU_ASSERT_EQUAL(text.data[n - 1], '\n');
        CU_ASSERT_EQUAL(c.policy.prohibited_count, 0);
        fm_card_fini(&c);
    }
    CU_ASSERT_EQUAL(shorter, 3);
    fm_buf_fini(&text);
}

static void what_is_too_long_is_not_read(void)
{
    char *text = calloc(1, FM_CARD_MAX_BYTES + 1);
    fm_card c = { 0 };

    need(text != NULL, "memory");
    memset(text, '\n', FM_CARD_MAX_BYTES + 1);
    CU_ASSERT_EQUAL(fm_card_parse("card", text, FM_CARD_MAX_BYTES + 1, &c), FM_EPROTO);
    free(text);
}

static const fm_test tests[] = {
    { "what is written is read", what_is_written_is_read },
    { "another form of the same card is refused", another_form_of_the_same_card_is_refused },
    { "a wrong field is named with its line", a_wrong_field_is_named_with_its_line },
    { "every truncation is refused, or another card", every_truncation_is_refused_or_another_card },
    { "what is too long is not read", what_is_too_long_is_not_read },
};
const fm_test_suite suite_card = { "provenance.card", tests, FM_TEST_COUNT(tests) };
