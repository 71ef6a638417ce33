/* Join codes as text; what the codec refuses of the messages of enrolment. */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe.pb-c.h"
#include "fedmoe/proto/link/enrol.h"
#include "samples.h"
#include "suites.h"

static fm_invitation sample(void)
{
    fm_invitation i = { .door = "tcp://agg.example.org:7300",
                        .federation = "heart-study",
                        .name = "hospital-a",
                        .expires_s = 1800000000 };

    for (unsigned n = 0; n < 32; n++) {
        i.door_public[n] = (uint8_t)(n + 1);
        i.ca.bytes[n] = (uint8_t)(0x80 + n);
        i.token[n % FM_TOKEN_BYTES] = (uint8_t)(3 * n + 7);
    }
    return i;
}

static void encode(const fm_invitation *i, char *text)
{
    CU_ASSERT_EQUAL_FATAL(fm_invitation_encode(i, text), FM_OK);
}

static bool refused(const char *text, const char *says)
{
    fm_invitation i;

    return fm_invitation_decode(text, &i) == FM_EPARSE && strstr(fm_error_text(), says) != NULL;
}

static void a_code_comes_back_as_it_was(void)
{
    fm_invitation i = sample(), back;
    char text[FM_INVITATION_TEXT_MAX + 1], loose[2 * FM_INVITATION_TEXT_MAX];
    size_t n = 0;

    encode(&i, text);
    memset(&back, 0, sizeof back);
    CU_ASSERT_EQUAL(fm_invitation_decode(text, &back), FM_OK);
    CU_ASSERT_EQUAL(memcmp(&back, &i, sizeof i), 0);
    /* As it may come out of a letter: upper case, broken into lines. */
    for (size_t k = 0; text[k]; k++) {
        loose[n++] = text[k] >= 'a' && text[k] <= 'z' ? (char)(text[k] - 32) : text[k];
        if (k % 20 == 19)
            loose[n++] = k % 40 == 19 ? '\n' : '-';
    }
    loose[n] = '\0';
    memset(&back, 0, sizeof back);
    CU_ASSERT_EQUAL(fm_invitation_decode(loose, &back), FM_OK);
    CU_ASSERT_EQUAL(memcmp(&back, &i, sizeof i), 0);
}

/* docs/protocol.md, section 10; computed by tests/client, and the signature from RFC 8032. */
static void code_and_proof_are_those_of_the_document(void)
{
    static const char code[] = "fedmoe1aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qibamcq"
                               "ocilbuhrceyvc4mrwhi7eerskjzjfmws6mjtgu3tsoz5hzxhi6uaq2gjfge6usvl"
                               "bnv4yleadjes2yaaaaaac3imvqxe5bnon2hkzdzbjug643qnf2gc3bnmenhiy3qh"
                               "ixs6ylhm4xgk6dbnvygyzjon5zgoorxgmydbwrxk4wa";
    static const char key_hex[] =
        "b9e666e9c74f4d96b3c2b1a7c1cd40e7d4ca3f7cdfea2eb3672b86bc6df2e7c9";
    static const char proof_hex[] =
        "63742aa23871b1782425e983f76839b3291a1b3dda2120a948aaee68e91a9614"
        "e9e4b332170e8e4314670cb4a2fccca470e1dbb20843d9328a921daba919ac01";
    fm_invitation i = sample();
    char text[FM_INVITATION_TEXT_MAX + 1], hex[2 * FM_INVITATION_PROOF_BYTES + 1];
    uint8_t key[FM_INVITATION_KEY_BYTES], client[32];
    const fm_enrol_channel channel = { client, i.door_public };
    fm_msg_enrol m;

    encode(&i, text);
    CU_ASSERT_STRING_EQUAL(text, code);
    for (unsigned n = 0; n < 32; n++)
        client[n] = (uint8_t)(0x20 + n);
    CU_ASSERT_EQUAL(fm_enrol_public(i.token, key), FM_OK);
    CU_ASSERT_STRING_EQUAL(sodium_bin2hex(hex, sizeof hex, key, sizeof key), key_hex);
    CU_ASSERT_EQUAL_FATAL(
        fm_enrol_prove(i.token, &channel, (fm_bytes){ (const uint8_t *)"abcd", 4 }, &m), FM_OK);
    CU_ASSERT_STRING_EQUAL(sodium_bin2hex(hex, sizeof hex, m.proof, sizeof m.proof), proof_hex);
    CU_ASSERT_EQUAL(fm_enrol_check(&m, &channel), FM_OK);
}

static void the_longest_fields_fit(void)
{
    fm_invitation i = sample(), back;
    char text[FM_INVITATION_TEXT_MAX + 1];

    memset(i.name, 'n', FM_NAME_MAX);
    memset(i.federation, 'f', FM_NAME_MAX);
    memset(i.door, 'd', FM_DOOR_ADDRESS_MAX);
    memcpy(i.door, "tcp://", 6);
    memcpy(i.door + FM_DOOR_ADDRESS_MAX - 5, ":7300", 5);
    i.expires_s = INT64_MAX;
    encode(&i, text);
    memset(&back, 0, sizeof back);
    CU_ASSERT_EQUAL(fm_invitation_decode(text, &back), FM_OK);
    CU_ASSERT_EQUAL(memcmp(&back, &i, sizeof i), 0);
}

/* Each character replaced by each other one, each left out, each pair swapped, each end cut off. */
static void a_mistyped_code_is_named_as_such(void)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz01234567890";
    fm_invitation i = sample();
    char text[FM_INVITATION_TEXT_MAX + 1], bad[FM_INVITATION_TEXT_MAX + 1];
    unsigned passed = 0;
    size_t len;

    encode(&i, text);
    len = strlen(text);
    for (size_t k = 7; k < len; k++) {
        for (size_t l = 0; letters[l]; l++) {
            memcpy(bad, text, len + 1);
            bad[k] = letters[l];
            passed += letters[l] != text[k] && !refused(bad, "mistyped or cut");
        }
        memcpy(bad, text, len + 1);
        memmove(bad + k, bad + k + 1, len - k);
        passed += !refused(bad, "mistyped or cut");
        memcpy(bad, text, len + 1);
        bad[k] = text[k - 1];
        bad[k - 1] = text[k];
        passed += k > 7 && bad[k] != bad[k - 1] && !refused(bad, "mistyped or cut");
        memcpy(bad, text, len + 1);
        bad[k] = '\0';
        passed += !refused(bad, "mistyped or cut");
    }
    CU_ASSERT_EQUAL(passed, 0);
}

static void what_is_no_code_is_told_apart(void)
{
    fm_invitation i = sample();
    char text[FM_INVITATION_TEXT_MAX + 1], longer[FM_INVITATION_TEXT_MAX + 2];

    encode(&i, text);
    text[6] = '2';
    CU_ASSERT_TRUE(refused(text, "another form"));
    CU_ASSERT_TRUE(refused("", "begins with fedmoe1"));
    CU_ASSERT_TRUE(refused("tcp://agg.example.org:7300", "begins with fedmoe1"));
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CU_ASSERT_TRUE(refused(longer, "longer than any"));
}

static void what_no_code_can_hold_is_not_made(void)
{
    static const char *const doors[] = { "",
                                         "agg:7300",
                                         "tcp://agg",
                                         "tcp://a b:1",
                                         "tcp://a\":1",
                                         "tcp://a\\:1",
                                         "tcp://\xc3\xa4:1",
                                         "tcp://a\n:1" };
    char text[FM_INVITATION_TEXT_MAX + 1];
    fm_invitation i = sample();

    for (size_t k = 0; k < sizeof doors / sizeof doors[0]; k++) {
        i = sample();
        strcpy(i.door, doors[k]);
        CU_ASSERT_EQUAL(fm_invitation_encode(&i, text), FM_EINVAL);
    }
    i = sample();
    strcpy(i.name, "Hospital");
    CU_ASSERT_EQUAL(fm_invitation_encode(&i, text), FM_EINVAL);
    i = sample();
    i.federation[0] = '\0';
    CU_ASSERT_EQUAL(fm_invitation_encode(&i, text), FM_EINVAL);
    i = sample();
    i.expires_s = 0;
    CU_ASSERT_EQUAL(fm_invitation_encode(&i, text), FM_EINVAL);
}

/* ---- Enrol, Enrolled, Revocations ---- */

static fm_status encodes(const fm_message *m)
{
    fm_buf b;
    fm_status st;

    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    st = fm_message_encode(m, &b);
    fm_buf_fini(&b);
    return st;
}

static void limits_of_enrolment_are_kept(void)
{
    static uint8_t bytes[FM_CRL_MAX_BYTES + 1];
    fm_message m = *sample_message(FM_MSG_ENROL);

    m.enrol.request = (fm_bytes){ bytes, FM_REQUEST_MAX_BYTES };
    CU_ASSERT_EQUAL(encodes(&m), FM_OK);
    m.enrol.request.len++;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrol.request.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_ENROL);
    m.enrol.version = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_RENEW);
    m.renew.request = (fm_bytes){ bytes, FM_REQUEST_MAX_BYTES };
    CU_ASSERT_EQUAL(encodes(&m), FM_OK);
    m.renew.request.len++;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_RENEW);
    m.renew.credential.cert_len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_REVOCATIONS);
    m.revocations.list = (fm_bytes){ bytes, FM_CRL_MAX_BYTES };
    CU_ASSERT_EQUAL(encodes(&m), FM_OK);
    m.revocations.list.len++;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.revocations.list.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
}

static void an_answer_is_whole_or_empty_and_fits_the_door(void)
{
    static uint8_t bytes[FM_MAX_DOOR_CRL_BYTES + 1];
    fm_message m = *sample_message(FM_MSG_ENROLLED);
    fm_buf b;

    m.enrolled = (fm_msg_enrolled){ .certificate = { bytes, FM_CERT_MAX_BYTES },
                                    .authority = { bytes, FM_CERT_MAX_BYTES },
                                    .revocations = { bytes, FM_MAX_DOOR_CRL_BYTES - 100 },
                                    .successor = { { bytes, FM_SUCCESSOR_MAX_BYTES },
                                                   { bytes, FM_SIGNATURE_MAX } },
                                    .successor_revocations = { bytes, 100 } };
    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    CU_ASSERT_EQUAL(fm_message_encode(&m, &b), FM_OK);
    CU_ASSERT_TRUE(b.len <= FM_MAX_DOOR_BYTES);
    fm_buf_fini(&b);
    m.enrolled.successor_revocations.len++;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.successor_revocations.len--;
    m.enrolled.successor.authority.len++;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.successor.authority.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.successor = (fm_successor){ { bytes, 1 }, { bytes, 0 } };
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.successor = (fm_successor){ 0 };
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL); /* a list of nobody */
    m.enrolled.successor_revocations.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_OK);
    m.enrolled.revocations.len = FM_MAX_DOOR_CRL_BYTES + 1;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.revocations.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_OK);
    m.enrolled.authority.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.certificate.len = 0;
    CU_ASSERT_EQUAL(encodes(&m), FM_OK); /* it waits */
    m.enrolled.revocations.len = 1;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
    m.enrolled.revocations.len = 0;
    m.enrolled.authority.len = 1;
    CU_ASSERT_EQUAL(encodes(&m), FM_EINVAL);
}

/* Past our own encoder: lengths that the struct cannot have. */
static void fixed_lengths_are_exact(void)
{
    for (int which = 0; which < 2; which++)
        for (int delta = -1; delta <= 1; delta += 2) {
            uint8_t bytes[80] = { 1 }, packed[400];
            Fedmoe__V1__Envelope w = FEDMOE__V1__ENVELOPE__INIT;
            Fedmoe__V1__Enrol e = FEDMOE__V1__ENROL__INIT;
            fm_message *m = NULL;
            size_t len;

            e.version = 3;
            e.request = (ProtobufCBinaryData){ 5, bytes };
            e.invitation = (ProtobufCBinaryData){ FM_INVITATION_KEY_BYTES, bytes };
            e.proof = (ProtobufCBinaryData){ FM_INVITATION_PROOF_BYTES, bytes };
            w.body_case = FEDMOE__V1__ENVELOPE__BODY_ENROL;
            w.enrol = &e;
            len = fedmoe__v1__envelope__pack(&w, packed);
            CU_ASSERT_EQUAL(fm_message_decode(packed, len, &m), FM_OK);
            fm_message_free(&m);
            *(which ? &e.invitation.len : &e.proof.len) += (size_t)delta;
            len = fedmoe__v1__envelope__pack(&w, packed);
            CU_ASSERT_EQUAL(fm_message_decode(packed, len, &m), FM_EPROTO);
            CU_ASSERT_PTR_NULL(m);
        }
}

static const fm_test tests[] = {
    { "a code comes back as it was", a_code_comes_back_as_it_was },
    { "code and proof are those of the document", code_and_proof_are_those_of_the_document },
    { "the longest fields fit", the_longest_fields_fit },
    { "a mistyped code is named as such", a_mistyped_code_is_named_as_such },
    { "what is no code is told apart", what_is_no_code_is_told_apart },
    { "what no code can hold is not made", what_no_code_can_hold_is_not_made },
    { "limits of enrolment are kept", limits_of_enrolment_are_kept },
    { "an answer is whole or empty, and fits the door",
      an_answer_is_whole_or_empty_and_fits_the_door },
    { "fixed lengths are exact", fixed_lengths_are_exact },
};
const fm_test_suite suite_invitation = { "proto.invitation", tests, FM_TEST_COUNT(tests) };
