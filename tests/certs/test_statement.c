/* The statement's bytes. */
#include <string.h>

#include "world.h"

static fm_statement example(fm_role role)
{
    fm_statement s;

    memset(&s, 0, sizeof s);
    s.role = role;
    memcpy(s.federation, "heart", 6);
    memcpy(s.name, "alpha", 6);
    memset(s.curve_public, 0xc5, sizeof s.curve_public);
    if (role == FM_ROLE_NODE)
        memset(s.x25519_public, 0x1d, sizeof s.x25519_public);
    s.not_after_s = 0x0102030405;
    return s;
}

static void comes_back_as_it_was(void)
{
    for (int role = FM_ROLE_NODE; role <= FM_ROLE_AGGREGATOR; role++)
        for (size_t n = 1; n <= FM_NAME_MAX; n++) {
            fm_statement s = example((fm_role)role), back;
            uint8_t buf[FM_STATEMENT_MAX_BYTES];
            size_t len = 0;

            memset(s.name, 'a', n);
            s.name[n] = '\0';
            memset(s.federation, 'f', FM_NAME_MAX + 1 - n);
            s.federation[FM_NAME_MAX + 1 - n] = '\0';
            CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_OK);
            CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &back), FM_OK);
            CU_ASSERT_EQUAL(back.role, s.role);
            CU_ASSERT_EQUAL(back.not_after_s, s.not_after_s);
            CU_ASSERT_STRING_EQUAL(back.name, s.name);
            CU_ASSERT_STRING_EQUAL(back.federation, s.federation);
            CU_ASSERT_EQUAL(memcmp(back.curve_public, s.curve_public, 32), 0);
            CU_ASSERT_EQUAL(memcmp(back.x25519_public, s.x25519_public, 32), 0);
        }
}

static void has_the_documented_layout(void)
{
    fm_statement s = example(FM_ROLE_NODE);
    uint8_t buf[FM_STATEMENT_MAX_BYTES], want[86] = { 1, 1, 5, 4, 3, 2, 1, 0, 0, 0 };
    size_t len = 0;

    memset(want + 10, 0xc5, 32);
    memset(want + 42, 0x1d, 32);
    memcpy(want + 74, "\5heart\5alpha", 12);
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_OK);
    CU_ASSERT_EQUAL(len, sizeof want);
    CU_ASSERT_EQUAL(memcmp(buf, want, sizeof want), 0);
}

static void every_truncation_and_a_trailing_byte_are_refused(void)
{
    fm_statement s = example(FM_ROLE_NODE), out;
    uint8_t buf[FM_STATEMENT_MAX_BYTES + 1] = { 0 };
    size_t len = 0;

    memset(&out, 0x77, sizeof out);
    fm_statement untouched = out;
    need(fm_statement_encode(&s, buf, FM_STATEMENT_MAX_BYTES, &len) == FM_OK, "encode");
    for (size_t n = 0; n < len; n++)
        CU_ASSERT_EQUAL(fm_statement_decode(buf, n, &out), FM_ETRUNC);
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len + 1, &out), FM_EPROTO);
    CU_ASSERT_EQUAL(memcmp(&out, &untouched, sizeof out), 0);
    CU_ASSERT_EQUAL(fm_statement_decode(NULL, len, &out), FM_EINVAL);
}

static void a_buffer_too_small_is_refused_untouched(void)
{
    fm_statement s = example(FM_ROLE_NODE);
    uint8_t buf[FM_STATEMENT_MAX_BYTES];
    size_t len = 0, ignored = 9;

    need(fm_statement_encode(&s, buf, sizeof buf, &len) == FM_OK, "encode");
    memset(buf, 0xee, sizeof buf);
    for (size_t n = 0; n < len; n++)
        CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, n, &ignored), FM_ETRUNC);
    CU_ASSERT_EQUAL(ignored, 9);
    CU_ASSERT_EQUAL(buf[0], 0xee);
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, len, &ignored), FM_OK);
}

/** What decodes must encode to the same bytes: each statement has one form. */
static void any_one_byte_change_is_refused_or_is_another_statement(void)
{
    fm_statement s = example(FM_ROLE_NODE), out;
    uint8_t buf[FM_STATEMENT_MAX_BYTES], again[FM_STATEMENT_MAX_BYTES];
    size_t len = 0, again_len = 0;

    need(fm_statement_encode(&s, buf, sizeof buf, &len) == FM_OK, "encode");
    for (size_t i = 0; i < len; i++)
        for (unsigned v = 0; v < 256; v++) {
            uint8_t kept = buf[i];

            buf[i] = (uint8_t)v;
            if (fm_statement_decode(buf, len, &out) == FM_OK) {
                CU_ASSERT_EQUAL(fm_statement_encode(&out, again, sizeof again, &again_len), FM_OK);
                CU_ASSERT_TRUE(again_len == len && memcmp(again, buf, len) == 0);
            }
            buf[i] = kept;
        }
}

static void bad_fields_are_refused_both_ways(void)
{
    fm_statement s = example(FM_ROLE_NODE), out;
    uint8_t buf[FM_STATEMENT_MAX_BYTES];
    size_t len = 0;

    need(fm_statement_encode(&s, buf, sizeof buf, &len) == FM_OK, "encode");
    buf[0] = 2;
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[0] = 1;
    buf[1] = 3;
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[1] = 2; /* an aggregator with a mask key */
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[1] = 1;
    buf[9] = 0x80; /* the time's sign */
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[9] = 0;
    buf[75] = 0; /* a zero inside a name */
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[75] = 'H';
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[75] = 'h';
    buf[74] = 64;
    CU_ASSERT_EQUAL(fm_statement_decode(buf, len, &out), FM_EPROTO);
    buf[74] = 0;
    CU_ASSERT_NOT_EQUAL(fm_statement_decode(buf, len, &out), FM_OK);

    s.role = (fm_role)0;
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
    s = example(FM_ROLE_NODE);
    memset(s.x25519_public, 0, 32);
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
    s = example(FM_ROLE_AGGREGATOR);
    s.x25519_public[31] = 1;
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
    s = example(FM_ROLE_NODE);
    memset(s.curve_public, 0, 32);
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
    s = example(FM_ROLE_NODE);
    memset(s.name, 'a', sizeof s.name); /* no end */
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
    s = example(FM_ROLE_NODE);
    s.not_after_s = -1;
    CU_ASSERT_EQUAL(fm_statement_encode(&s, buf, sizeof buf, &len), FM_EINVAL);
}

static const fm_test tests[] = {
    { "comes back as it was", comes_back_as_it_was },
    { "has the documented layout", has_the_documented_layout },
    { "every truncation and a trailing byte are refused",
      every_truncation_and_a_trailing_byte_are_refused },
    { "a buffer too small is refused untouched", a_buffer_too_small_is_refused_untouched },
    { "any one-byte change is refused or is another statement",
      any_one_byte_change_is_refused_or_is_another_statement },
    { "bad fields are refused both ways", bad_fields_are_refused_both_ways },
};

extern const fm_test_suite suite_statement;
const fm_test_suite suite_statement = { "certs.statement", tests, FM_TEST_COUNT(tests) };
