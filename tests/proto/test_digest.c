#include <stdio.h>
#include <string.h>

#include "fedmoe/proto/digest.h"
#include "samples.h"
#include "suites.h"

static bool is_hex(fm_hash h, const char *want)
{
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&h, hex);
    if (strcmp(hex, want) != 0)
        printf("\n  %s\n", hex);
    return strcmp(hex, want) == 0;
}

static const uint32_t g_three[] = { 0, 2, 5 }, g_other[] = { 0, 2, 6 };

static fm_round_view view(void)
{
    return (fm_round_view){
        .federation = "heart-2026",
        .session = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
        .roster = sample_hash(1),
        .plan = sample_hash(2),
        .model = sample_hash(3),
        .head = sample_hash(4),
        .round = 7,
        .participants = g_three,
        .participant_count = 3,
    };
}

static fm_hash update_of(const fm_round_view *v)
{
    fm_hash u = sample_hash(9);

    return fm_update_digest(v, 2, &u);
}

static fm_hash commit_of(const fm_round_view *v)
{
    fm_hash u[2] = { sample_hash(10), sample_hash(11) };

    return fm_commit_digest(v, g_three, u, 2);
}

static void each_field_of_the_round_matters(void)
{
    fm_round_view views[10];
    size_t n = sizeof views / sizeof views[0];

    for (size_t i = 0; i < n; i++)
        views[i] = view();
    views[1].federation = "heart-2027";
    views[2].session.bytes[15] ^= 1;
    views[3].roster.bytes[0] ^= 1;
    views[4].plan.bytes[31] ^= 1;
    views[5].model.bytes[0] ^= 1;
    views[6].head.bytes[0] ^= 1;
    views[7].round = 8;
    views[8].participants = g_other;
    views[9].participant_count = 2;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            fm_hash a = update_of(&views[i]), b = update_of(&views[k]);
            fm_hash c = commit_of(&views[i]), d = commit_of(&views[k]);

            CU_ASSERT_FALSE(fm_hash_equal(&a, &b));
            CU_ASSERT_FALSE(fm_hash_equal(&c, &d));
        }
}

static void node_hash_and_survivors_matter(void)
{
    fm_round_view v = view();
    fm_hash u[3] = { sample_hash(10), sample_hash(11), sample_hash(12) };
    fm_hash swapped[2] = { u[1], u[0] };
    fm_hash base = fm_update_digest(&v, 2, &u[0]);
    fm_hash other_node = fm_update_digest(&v, 3, &u[0]);
    fm_hash other_hash = fm_update_digest(&v, 2, &u[1]);
    fm_hash two = fm_commit_digest(&v, g_three, u, 2);
    fm_hash three = fm_commit_digest(&v, g_three, u, 3);
    fm_hash others = fm_commit_digest(&v, g_other, u, 3);
    fm_hash crossed = fm_commit_digest(&v, g_three, swapped, 2);

    CU_ASSERT_FALSE(fm_hash_equal(&base, &other_node));
    CU_ASSERT_FALSE(fm_hash_equal(&base, &other_hash));
    CU_ASSERT_FALSE(fm_hash_equal(&two, &three));
    CU_ASSERT_FALSE(fm_hash_equal(&three, &others));
    CU_ASSERT_FALSE(fm_hash_equal(&two, &crossed));
}

static void each_signed_field_of_a_round_start_matters(void)
{
    fm_msg_round_start m[10];
    size_t n = sizeof m / sizeof m[0];
    fm_hash d[11];

    for (size_t i = 0; i < n; i++)
        m[i] = sample_message(FM_MSG_ROUND_START)->round_start;
    m[1].round++;
    m[2].session.bytes[0] ^= 1;
    m[3].roster_hash.bytes[0] ^= 1;
    m[4].plan_hash.bytes[0] ^= 1;
    m[5].model_hash.bytes[0] ^= 1;
    m[6].participant_count--;
    m[7].head.bytes[0] ^= 1;
    for (size_t i = 0; i < n; i++)
        d[i] = fm_round_start_digest("f", &m[i]);
    d[10] = fm_round_start_digest("g", &m[0]);
    for (size_t i = 0; i < 8; i++)
        for (size_t k = i + 1; k < 8; k++)
            CU_ASSERT_FALSE(fm_hash_equal(&d[i], &d[k]));
    CU_ASSERT_FALSE(fm_hash_equal(&d[0], &d[10]));
    /* Entries (the head is in) and signature are not signed. */
    m[8].entry_count = 0;
    m[8].signature.len = 1;
    d[8] = fm_round_start_digest("f", &m[8]);
    CU_ASSERT_TRUE(fm_hash_equal(&d[0], &d[8]));
}

static void each_signed_field_of_a_finish_matters(void)
{
    fm_msg_finish m[4];
    fm_hash d[5];

    for (int i = 0; i < 4; i++)
        m[i] = sample_message(FM_MSG_FINISH)->finish;
    m[1].rounds++;
    m[2].model_hash.bytes[0] ^= 1;
    m[3].head.bytes[0] ^= 1;
    for (int i = 0; i < 4; i++)
        d[i] = fm_finish_digest("f", &m[i]);
    d[4] = fm_finish_digest("g", &m[0]);
    for (int i = 0; i < 5; i++)
        for (int k = i + 1; k < 5; k++)
            CU_ASSERT_FALSE(fm_hash_equal(&d[i], &d[k]));
}

static void each_byte_of_a_roster_matters(void)
{
    static fm_credential c[3];
    fm_msg_roster r = sample_message(FM_MSG_ROSTER)->roster;
    fm_hash base = fm_roster_digest(&r), h;

    memcpy(c, r.members, sizeof c);
    r.members = c;
    h = fm_roster_digest(&r);
    CU_ASSERT_TRUE(fm_hash_equal(&base, &h));
    for (int field = 0; field < 3; field++) {
        uint8_t *p = field == 0 ? c[1].cert : field == 1 ? c[1].statement : c[1].signature;

        p[5] ^= 1;
        h = fm_roster_digest(&r);
        CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
        p[5] ^= 1;
    }
    r.count = 2;
    h = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
    r.count = 3;
    r.session.bytes[3] ^= 1;
    h = fm_roster_digest(&r);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
}

/* Computed apart from this program, with Python's hashlib, from docs/protocol.md
 * (tests/client). */
static void digests_have_their_known_values(void)
{
    fm_round_view v = view();
    fm_msg_round_start s = sample_message(FM_MSG_ROUND_START)->round_start;
    fm_msg_finish f = sample_message(FM_MSG_FINISH)->finish;
    fm_msg_roster r = sample_message(FM_MSG_ROSTER)->roster;
    fm_hash head = sample_hash(4);

    CU_ASSERT_TRUE(is_hex(fm_model_digest("abcd", 4),
                          "c704b379285403a844e78ee366a85bef01dfbac73b74ca92636cc0653e27bc41"));
    CU_ASSERT_TRUE(is_hex(fm_update_bytes_digest("abcd", 4),
                          "a6da83dbcf5440eca30e67210e17bafb2d096560130b215964692ae378cdc629"));
    CU_ASSERT_TRUE(is_hex(fm_plan_hash("abcd", 4),
                          "670ba9dad7d0a5e2b84cf51c72dba7ccc1b83d08c8e2fcd7f5bb0d2e56ef9df6"));
    CU_ASSERT_TRUE(is_hex(fm_participants_digest(g_three, 3),
                          "3310c74e72967a7585dcb1e07588eb2d7472b350123ac688dcbb10a0fab974d7"));
    CU_ASSERT_TRUE(is_hex(fm_roster_digest(&r),
                          "4aecc9011799a1ff3bc68a7b1ef2c2de81fca560496c155b2d6e4ebd4bdc3192"));
    CU_ASSERT_TRUE(is_hex(fm_round_start_digest("heart-2026", &s),
                          "1b923bc8cefd4d392db17df889dcf09f8687ecac127b7bc9e1099c7601320906"));
    CU_ASSERT_TRUE(
        is_hex(update_of(&v), "4445f9f4d05168f8a0556adcf20692b23831ba7a5a5811d613f573b1816e06f5"));
    CU_ASSERT_TRUE(
        is_hex(commit_of(&v), "36d89cf9a171acf7f526bb9d4cfa8f2ff999bdb0022063e22d8303177f91a67b"));
    CU_ASSERT_TRUE(is_hex(fm_finish_digest("heart-2026", &f),
                          "02c6a79a311386c49c2a5c1b845fbe6380a9b04cae4b3be4a2ac99f57c1d258b"));
    CU_ASSERT_TRUE(is_hex(fm_transcript_next(&head, &s.entries[0]),
                          "943d3d11090db3aaca3e487be8a9e30fb5f32f7dbbd5df5dcd0602ad1e59592f"));
}

static void a_transcript_is_followed_to_its_head(void)
{
    fm_transcript_entry e[3];
    fm_hash zero = { { 0 } }, head = zero, first;

    for (uint8_t i = 0; i < 3; i++) {
        e[i] = (fm_transcript_entry){ 2u + 3u * i, sample_hash(i), sample_hash((uint8_t)(i + 9)) };
        head = fm_transcript_next(&head, &e[i]);
    }
    first = fm_transcript_next(&zero, &e[0]);
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &zero, e, 3, &head), FM_OK);
    CU_ASSERT_EQUAL(fm_transcript_follow(2, &first, e, 3, &head), FM_OK); /* e[0] is known */
    CU_ASSERT_EQUAL(fm_transcript_follow(8, &head, e, 3, &head), FM_OK);  /* all are */
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &first, e, 3, &head), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_transcript_follow(1, &zero, e, 3, &head), FM_OK);
    CU_ASSERT_EQUAL(fm_transcript_follow(2, &zero, e, 3, &head), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &zero, e, 2, &head), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &head, e, 3, &head), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &zero, NULL, 0, &zero), FM_OK);
    CU_ASSERT_EQUAL(fm_transcript_follow(8, &head, NULL, 0, &head), FM_OK);
    CU_ASSERT_EQUAL(fm_transcript_follow(8, &zero, NULL, 0, &head), FM_EPROTO);
    e[1].round = 2;
    CU_ASSERT_EQUAL(fm_transcript_follow(0, &zero, e, 3, &head), FM_EPROTO);
}

static void each_field_of_an_entry_moves_the_head(void)
{
    fm_transcript_entry e = { 5, sample_hash(1), sample_hash(2) }, x = e;
    fm_hash head = sample_hash(3), other = sample_hash(4), base = fm_transcript_next(&head, &e), h;

    h = fm_transcript_next(&other, &e);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
    x.round = 6;
    h = fm_transcript_next(&head, &x);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
    x = e;
    x.commit_digest.bytes[0] ^= 1;
    h = fm_transcript_next(&head, &x);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
    x = e;
    x.model_after.bytes[31] ^= 1;
    h = fm_transcript_next(&head, &x);
    CU_ASSERT_FALSE(fm_hash_equal(&base, &h));
}

static const fm_test tests[] = {
    { "each field of the round matters", each_field_of_the_round_matters },
    { "node, hash and survivors matter", node_hash_and_survivors_matter },
    { "each signed field of a RoundStart matters", each_signed_field_of_a_round_start_matters },
    { "each signed field of a Finish matters", each_signed_field_of_a_finish_matters },
    { "each byte of a roster matters", each_byte_of_a_roster_matters },
    { "digests have their known values", digests_have_their_known_values },
    { "a transcript is followed to its head", a_transcript_is_followed_to_its_head },
    { "each field of an entry moves the head", each_field_of_an_entry_moves_the_head },
};

const fm_test_suite suite_digest = { "proto.digest", tests, FM_TEST_COUNT(tests) };
