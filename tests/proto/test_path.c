/* Intermediate CAs in messages: kept, limited, and part of what is hashed. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe.pb-c.h"
#include "samples.h"
#include "suites.h"

static void add_intermediates(fm_credential *c, size_t len)
{
    for (size_t i = 0; i < FM_INTERMEDIATES_MAX; i++) {
        c->intermediate_len[i] = len;
        memset(c->intermediates[i], (int)(0x30 + i), len);
    }
    c->intermediate_count = FM_INTERMEDIATES_MAX;
}

static fm_status encode(const fm_message *m, fm_buf *b)
{
    fm_buf_init(b, FM_MAX_MESSAGE_BYTES);
    return fm_message_encode(m, b);
}

static void they_are_kept_and_fit_the_door(void)
{
    static fm_message m;
    fm_message *back = NULL;
    uint8_t big[FM_REQUEST_MAX_BYTES] = { 1 };
    fm_buf b;

    m = *sample_message(FM_MSG_RENEW);
    m.renew.credential.cert_len = FM_CERT_MAX_BYTES;
    m.renew.credential.statement_len = FM_STATEMENT_MAX_BYTES;
    m.renew.credential.signature_len = FM_SIGNATURE_MAX;
    m.renew.request = (fm_bytes){ big, sizeof big };
    add_intermediates(&m.renew.credential, FM_INTERMEDIATE_MAX_BYTES);
    CU_ASSERT_EQUAL_FATAL(encode(&m, &b), FM_OK);
    CU_ASSERT_TRUE(b.len <= FM_MAX_DOOR_BYTES);
    CU_ASSERT_EQUAL_FATAL(fm_message_decode(b.data, b.len, &back), FM_OK);
    CU_ASSERT_TRUE(fm_credential_equal(&m.renew.credential, &back->renew.credential));
    CU_ASSERT_EQUAL(back->renew.credential.intermediate_count, FM_INTERMEDIATES_MAX);
    fm_message_free(&back);
    fm_buf_fini(&b);

    m = *sample_message(FM_MSG_REVOCATIONS);
    m.revocations.path = (fm_ca_path){ { big, big + 7 }, { 5, 4000 }, 2 };
    m.revocations.successor = (fm_successor){ { big, FM_SUCCESSOR_MAX_BYTES }, { big + 1, 64 } };
    CU_ASSERT_EQUAL_FATAL(encode(&m, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_message_decode(b.data, b.len, &back), FM_OK);
    CU_ASSERT_EQUAL(back->revocations.path.count, 2);
    CU_ASSERT_TRUE(back->revocations.path.len[1] == 4000 &&
                   memcmp(back->revocations.path.der[0], big, 5) == 0);
    CU_ASSERT_TRUE(back->revocations.successor.authority.len == FM_SUCCESSOR_MAX_BYTES &&
                   back->revocations.successor.signature.len == 64 &&
                   memcmp(back->revocations.successor.signature.data, big + 1, 64) == 0);
    fm_message_free(&back);
    fm_buf_fini(&b);
}

static void longer_or_more_are_refused_before_sending(void)
{
    static fm_message m;
    fm_buf b;

    m = *sample_message(FM_MSG_HELLO);
    add_intermediates(&m.hello.credential, 10);
    m.hello.credential.intermediate_len[1] = FM_INTERMEDIATE_MAX_BYTES + 1;
    CU_ASSERT_EQUAL(encode(&m, &b), FM_EINVAL);
    m.hello.credential.intermediate_len[1] = 0;
    CU_ASSERT_EQUAL(encode(&m, &b), FM_EINVAL);
    m.hello.credential.intermediate_len[1] = 10;
    m.hello.credential.intermediate_count = FM_INTERMEDIATES_MAX + 1;
    CU_ASSERT_EQUAL(encode(&m, &b), FM_EINVAL);
    m = *sample_message(FM_MSG_REVOCATIONS);
    m.revocations.path.count = FM_INTERMEDIATES_MAX + 1;
    CU_ASSERT_EQUAL(encode(&m, &b), FM_EINVAL);
    m.revocations.path.count = 0;
    m.revocations.successor.signature = m.revocations.list;
    CU_ASSERT_EQUAL(encode(&m, &b), FM_EINVAL); /* a signature over nothing */
    fm_buf_fini(&b);
}

/** Past our own encoder. @param len  of the last one. */
static fm_status decode_with(size_t count, size_t len)
{
    static uint8_t bytes[FM_INTERMEDIATE_MAX_BYTES + 1];
    ProtobufCBinaryData list[FM_INTERMEDIATES_MAX + 1];
    Fedmoe__V1__Envelope w = FEDMOE__V1__ENVELOPE__INIT;
    Fedmoe__V1__Hello h = FEDMOE__V1__HELLO__INIT;
    Fedmoe__V1__Credential c = FEDMOE__V1__CREDENTIAL__INIT;
    fm_message *m = NULL;
    uint8_t *packed = malloc(1 << 16);
    fm_status st;

    for (size_t i = 0; i < count; i++)
        list[i] = (ProtobufCBinaryData){ i + 1 == count ? len : 9, bytes };
    c.certificate = c.statement = c.signature = (ProtobufCBinaryData){ 8, bytes };
    c.n_intermediates = count;
    c.intermediates = list;
    h.version = 3;
    h.credential = &c;
    w.body_case = FEDMOE__V1__ENVELOPE__BODY_HELLO;
    w.hello = &h;
    CU_ASSERT_PTR_NOT_NULL_FATAL(packed);
    st = fm_message_decode(packed, fedmoe__v1__envelope__pack(&w, packed), &m);
    CU_ASSERT_EQUAL(st == FM_OK, m != NULL);
    fm_message_free(&m);
    free(packed);
    return st;
}

static void longer_or_more_are_refused_on_receipt(void)
{
    CU_ASSERT_EQUAL(decode_with(0, 0), FM_OK);
    CU_ASSERT_EQUAL(decode_with(2, FM_INTERMEDIATE_MAX_BYTES), FM_OK);
    CU_ASSERT_EQUAL(decode_with(2, FM_INTERMEDIATE_MAX_BYTES + 1), FM_EPROTO);
    CU_ASSERT_EQUAL(decode_with(1, 0), FM_EPROTO);
    CU_ASSERT_EQUAL(decode_with(3, 9), FM_EPROTO);
}

static void the_roster_is_hashed_with_them(void)
{
    static fm_credential c[3], moved[3];
    fm_msg_roster r = sample_message(FM_MSG_ROSTER)->roster;
    fm_hash without, with, h;

    memcpy(c, r.members, sizeof c);
    r.members = c;
    without = fm_roster_digest(&r);
    add_intermediates(&c[1], 20);
    with = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&with, &without));
    c[1].intermediates[1][19] ^= 1;
    h = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&with, &h));
    c[1].intermediates[1][19] ^= 1;
    c[1].intermediate_count = 1;
    h = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&with, &h));
    c[1].intermediate_count = 2;
    /* The same ones at another member. */
    memcpy(moved, c, sizeof moved);
    moved[1].intermediate_count = 0;
    add_intermediates(&moved[2], 20);
    r.members = moved;
    h = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&with, &h));
}

/* Computed apart from this program (tests/client). */
static void its_hash_has_its_known_value(void)
{
    static fm_credential c[3];
    fm_msg_roster r = sample_message(FM_MSG_ROSTER)->roster;
    char hex[2 * FM_HASH_BYTES + 1];
    fm_hash h;

    memcpy(c, r.members, sizeof c);
    r.members = c;
    add_intermediates(&c[1], 20);
    h = fm_roster_digest(&r);
    fm_hash_hex(&h, hex);
    CU_ASSERT_STRING_EQUAL(hex, "609810e58d887498f889c25a84f32718d5b223efbfacb17a9e2a25bf4a6c8719");
}

static const fm_test tests[] = {
    { "they are kept, and fit the door", they_are_kept_and_fit_the_door },
    { "longer or more are refused before sending", longer_or_more_are_refused_before_sending },
    { "longer or more are refused on receipt", longer_or_more_are_refused_on_receipt },
    { "the roster is hashed with them", the_roster_is_hashed_with_them },
    { "its hash has its known value", its_hash_has_its_known_value },
};

const fm_test_suite suite_path = { "proto.path", tests, FM_TEST_COUNT(tests) };
