/*
 * What the codec refuses. Bad structs are tried on the encoder; bad bytes are made by changing the
 * generated struct of a good message and packing that, past our own encoder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe.pb-c.h"
#include "samples.h"
#include "suites.h"

typedef Fedmoe__V1__Envelope envelope;

static fm_status encode(const fm_message *m)
{
    fm_status st;
    fm_buf b;

    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    st = fm_message_encode(m, &b);
    CU_ASSERT_TRUE(st == FM_OK || b.len == 0);
    fm_buf_fini(&b);
    return st;
}

/* Never freed piece by piece: the tests below put foreign pointers into what is unpacked here. */
static _Alignas(16) uint8_t g_store[1 << 16];
static size_t g_stored;

static void *store_take(void *unused, size_t size)
{
    void *p = g_store + g_stored;

    (void)unused;
    g_stored += (size + 15) / 16 * 16;
    return g_stored <= sizeof g_store ? p : NULL;
}

static void store_free(void *unused, void *p)
{
    (void)unused;
    (void)p;
}

/* Valid until the next call. */
static envelope *wire_sample(fm_msg_type t)
{
    ProtobufCAllocator store = { store_take, store_free, NULL };
    envelope *w;
    fm_buf b = { .len = 0 };

    g_stored = 0;
    CU_ASSERT_EQUAL_FATAL(fm_message_encode(sample_message(t), &b), FM_OK);
    w = fedmoe__v1__envelope__unpack(&store, b.len, b.data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    fm_buf_fini(&b);
    return w;
}

/* Whether the packed struct is refused with FM_EPROTO and a text that holds `says`. */
static bool refused(const envelope *w, const char *says)
{
    size_t len = fedmoe__v1__envelope__get_packed_size(w);
    uint8_t *data = malloc(len + 1);
    fm_message *m = NULL;
    fm_status st;

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    (void)fedmoe__v1__envelope__pack(w, data);
    st = fm_message_decode(data, len, &m);
    fm_message_free(&m);
    free(data);
    if (st != FM_EPROTO || !strstr(fm_error_text(), says))
        printf("\n  status %d, text '%s', wanted '%s'\n", (int)st, fm_error_text(), says);
    return st == FM_EPROTO && strstr(fm_error_text(), says);
}

#define REFUSED_WITH(type, change, says)  \
    do {                                  \
        envelope *w = wire_sample(type);  \
        change;                           \
        CU_ASSERT_TRUE(refused(w, says)); \
    } while (0)

/* The last byte of the longest vector, and the one after it. */
static void places_past_any_vector_are_refused(void)
{
    const uint64_t end = (uint64_t)4 * FM_MAX_PARAMETERS;

    REFUSED_WITH(FM_MSG_MODEL_WANT, w->model_want->at = end + 1, "ModelWant.at");
    REFUSED_WITH(FM_MSG_MODEL_PIECE, w->model_piece->at = end - 31, "ModelPiece.piece");
    REFUSED_WITH(FM_MSG_MODEL_PIECE, w->model_piece->at = UINT64_MAX, "ModelPiece.at");
    REFUSED_WITH(FM_MSG_UPDATE_PIECE, w->update_piece->at = end - 23, "UpdatePiece.piece");
    REFUSED_WITH(FM_MSG_UPDATE_PIECE, w->update_piece->at = UINT64_MAX - 3, "UpdatePiece.at");
    REFUSED_WITH(FM_MSG_UPDATE_WANT, w->update_want->until = end + 1, "UpdateWant.until");
    REFUSED_WITH(FM_MSG_UPDATE_PIECE, w->update_piece->round = 0, "UpdatePiece.round");
    REFUSED_WITH(FM_MSG_UPDATE_WANT, w->update_want->round = 0, "UpdateWant.round");
}

static void bytes_of_wrong_length_are_refused(void)
{
    static uint8_t many[FM_CERT_MAX_BYTES + 1];

    REFUSED_WITH(FM_MSG_JOIN, w->join->head.len = 31, "Join.head");
    REFUSED_WITH(FM_MSG_PLAN_ANSWER, w->plan_answer->plan_hash.len = 0, "PlanAnswer.plan_hash");
    REFUSED_WITH(FM_MSG_ROSTER, w->roster->session.len = 15, "Roster.session");
    REFUSED_WITH(FM_MSG_ROSTER_ANSWER, w->roster_answer->roster_hash.len = 1, "roster_hash");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->session.len = 1, "RoundStart.session");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->roster_hash.len = 1, "roster_hash");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->plan_hash.len = 1, "plan_hash");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->model_hash.len = 1, "model_hash");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->head.len = 1, "RoundStart.head");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->entries[1]->model_after.len = 3, "entries");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->entries[0]->commit_digest.len = 3, "entries");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->signature.len = 0, "RoundStart.signature");
    REFUSED_WITH(FM_MSG_MASKED_UPDATE, w->masked_update->signature.len = 0, "signature");
    REFUSED_WITH(FM_MSG_MODEL_WANT, w->model_want->model_hash.len = 31, "ModelWant.model_hash");
    REFUSED_WITH(FM_MSG_MODEL_PIECE, w->model_piece->model_hash.len = 31, "model_hash");
    REFUSED_WITH(FM_MSG_MODEL_PIECE, w->model_piece->piece.len = 0, "ModelPiece.piece");
    REFUSED_WITH(FM_MSG_UPDATE_PIECE, w->update_piece->piece.len = 0, "UpdatePiece.piece");
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->update_hashes[2].len = 31, "update_hashes");
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->update_signatures[2].len = 0, "update_signatures");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->self_seed.len = 31, "Release.self_seed");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->pair_seeds[3]->seed.len = 31, "pair_seeds");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->surplus_seeds[0].len = 31, "Release.surplus_seeds");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->surplus_seeds[2].len = 0, "Release.surplus_seeds");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->ledger_head.len = 31, "Release.ledger_head");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->ledger_signature.len = 0, "Release.ledger_signature");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->ledger_signature.data = many;
                 w->release->ledger_signature.len = FM_SIGNATURE_MAX + 1,
                 "Release.ledger_signature");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, w->plan_offer->mark->head.len = 31, "PlanOffer.mark.head");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, w->plan_offer->mark->signature.len = 0,
                 "PlanOffer.mark.signature");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, w->plan_offer->mark->signature.data = many;
                 w->plan_offer->mark->signature.len = FM_SIGNATURE_MAX + 1,
                 "PlanOffer.mark.signature");
    REFUSED_WITH(FM_MSG_FINISH, w->finish->model_hash.len = 30, "Finish.model_hash");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, w->plan_offer->plan.len = 0, "PlanOffer.plan");
    REFUSED_WITH(FM_MSG_COMMIT, w->commit->signature.data = many;
                 w->commit->signature.len = FM_SIGNATURE_MAX + 1, "Commit.signature");
    REFUSED_WITH(FM_MSG_COMMITS, w->commits->signatures[1].len = 0, "Commits.signatures");
    REFUSED_WITH(FM_MSG_HELLO, w->hello->credential->certificate.data = many;
                 w->hello->credential->certificate.len = sizeof many, "Hello.credential");
    REFUSED_WITH(FM_MSG_HELLO, w->hello->credential->statement.len = 0, "Hello.credential");
    REFUSED_WITH(FM_MSG_WELCOME, w->welcome->credential->signature.len = 0, "Welcome.credential");
    REFUSED_WITH(FM_MSG_WELCOME, w->welcome->proof.len = 0, "Welcome.proof");
    REFUSED_WITH(FM_MSG_WELCOME, w->welcome->proof.data = many;
                 w->welcome->proof.len = FM_SIGNATURE_MAX + 1, "Welcome.proof");
    REFUSED_WITH(FM_MSG_ROSTER, w->roster->members[1]->certificate.len = 0, "Roster.credential");
}

static void values_out_of_range_are_refused(void)
{
    REFUSED_WITH(FM_MSG_HELLO, w->hello->version = 0, "Hello.version");
    REFUSED_WITH(FM_MSG_JOIN, w->join->finished_round = 0, "Join.head");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->round = 0, "RoundStart.round");
    REFUSED_WITH(FM_MSG_COMMIT, w->commit->round = 0, "Commit.round");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, w->plan_offer->mark->round = 0, "PlanOffer.mark");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->participants[3] = 1024, "participants");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->entries[1]->round = 7, "entries");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->entries[0]->round = 0, "entries");
}

static void unordered_lists_are_refused(void)
{
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->participants[1] = 0, "participants");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->participants[1] = 300, "participants");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->entries[1]->round = 3, "entries");
    REFUSED_WITH(FM_MSG_FINISH, w->finish->entries[1]->round = 2, "entries");
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->survivors[2] = 3, "survivors");
    REFUSED_WITH(FM_MSG_RELEASE, w->release->pair_seeds[1]->lost = 0, "pair_seeds");
}

static void counts_that_differ_are_refused(void)
{
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->n_update_hashes = 3, "update_hashes");
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->n_update_signatures = 3, "update_signatures");
    REFUSED_WITH(FM_MSG_SURVIVORS, w->survivors->n_survivors = 3, "update_hashes");
    REFUSED_WITH(FM_MSG_SURVIVORS,
                 w->survivors->n_survivors = w->survivors->n_update_hashes =
                     w->survivors->n_update_signatures = 0,
                 "survivors");
    REFUSED_WITH(FM_MSG_COMMITS, w->commits->n_signatures = 0, "Commits.signatures");
    REFUSED_WITH(FM_MSG_ROSTER, w->roster->n_members = 0, "Roster.members");
    REFUSED_WITH(FM_MSG_ROUND_START, w->round_start->n_participants = 0, "participants");
}

static void lists_longer_than_the_limit_are_refused(void)
{
    static Fedmoe__V1__Credential *members[FM_MAX_NODES + 1];
    static Fedmoe__V1__TranscriptEntry *entries[FM_MAX_ENTRIES + 1];
    static ProtobufCBinaryData signatures[FM_MAX_NODES + 1];
    static uint32_t indices[FM_MAX_NODES + 1];
    envelope *w = wire_sample(FM_MSG_ROSTER);

    for (size_t i = 0; i <= FM_MAX_NODES; i++)
        members[i] = w->roster->members[0];
    w->roster->members = members;
    w->roster->n_members = FM_MAX_NODES + 1;
    CU_ASSERT_TRUE(refused(w, "Roster.members"));
    w = wire_sample(FM_MSG_ROUND_START);
    for (size_t i = 0; i <= FM_MAX_ENTRIES; i++)
        entries[i] = w->round_start->entries[0];
    w->round_start->entries = entries;
    w->round_start->n_entries = FM_MAX_ENTRIES + 1;
    CU_ASSERT_TRUE(refused(w, "RoundStart.entries"));
    w = wire_sample(FM_MSG_COMMITS);
    for (size_t i = 0; i <= FM_MAX_NODES; i++)
        signatures[i] = w->commits->signatures[0];
    w->commits->signatures = signatures;
    w->commits->n_signatures = FM_MAX_NODES + 1;
    CU_ASSERT_TRUE(refused(w, "Commits.signatures"));
    w = wire_sample(FM_MSG_ROUND_START);
    for (uint32_t i = 0; i <= FM_MAX_NODES; i++)
        indices[i] = i;
    w->round_start->participants = indices;
    w->round_start->n_participants = FM_MAX_NODES + 1;
    CU_ASSERT_TRUE(refused(w, "RoundStart.participants"));
    w = wire_sample(FM_MSG_RELEASE);
    for (size_t i = 0; i <= FM_MAX_LEVELS; i++)
        signatures[i] = w->release->surplus_seeds[0];
    w->release->surplus_seeds = signatures;
    w->release->n_surplus_seeds = FM_MAX_LEVELS + 1;
    CU_ASSERT_TRUE(refused(w, "Release.surplus_seeds"));
}

/* As many as there may be of everything: the receiver's memory suffices. */
static void the_longest_release_travels(void)
{
    static uint8_t seeds[FM_MAX_NODES][FM_SEED_BYTES];
    static uint32_t lost[FM_MAX_NODES];
    fm_message m = *sample_message(FM_MSG_RELEASE), *back = NULL;
    fm_buf b = { .len = 0 };

    for (uint32_t i = 0; i < FM_MAX_NODES; i++)
        lost[i] = i;
    memset(seeds, 9, sizeof seeds);
    m.release.lost = lost;
    m.release.lost_count = FM_MAX_NODES;
    m.release.pair_seeds = m.release.surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds;
    m.release.surplus_count = FM_MAX_LEVELS;
    CU_ASSERT_EQUAL_FATAL(fm_message_encode(&m, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_message_decode(b.data, b.len, &back), FM_OK);
    CU_ASSERT_EQUAL(back->release.lost_count, FM_MAX_NODES);
    CU_ASSERT_EQUAL(back->release.surplus_count, FM_MAX_LEVELS);
    fm_message_free(&back);
    fm_buf_fini(&b);
}

static void bad_text_is_refused(void)
{
    static char bad[][8] = { "\x01",     "a\nb",         "\x7f",     "\xc2\x85",        "\xff",
                             "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80" };
    static char longer[FM_MAX_REASON_BYTES + 2];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        REFUSED_WITH(FM_MSG_REFUSAL, w->refusal->reason = bad[i], "Refusal.reason");
        REFUSED_WITH(FM_MSG_PLAN_ANSWER, w->plan_answer->reason = bad[i], "PlanAnswer.reason");
        REFUSED_WITH(FM_MSG_ABANDON, w->abandon->reason = bad[i], "Abandon.reason");
    }
    memset(longer, 'a', sizeof longer - 1);
    REFUSED_WITH(FM_MSG_REFUSAL, w->refusal->reason = longer, "Refusal.reason");
}

static ProtobufCMessageUnknownField g_unknown = {
    .tag = 99, .wire_type = 0, .len = 1, .data = (uint8_t *)(uintptr_t) "\x01"
};

static void add_unknown(ProtobufCMessage *m)
{
    m->n_unknown_fields = 1;
    m->unknown_fields = &g_unknown;
}

static void unknown_fields_are_refused_at_every_level(void)
{
    REFUSED_WITH(FM_MSG_PING, add_unknown(&w->base), "not known");
    REFUSED_WITH(FM_MSG_PING, add_unknown(&w->ping->base), "not known");
    REFUSED_WITH(FM_MSG_HELLO, add_unknown(&w->hello->credential->base), "not known");
    REFUSED_WITH(FM_MSG_ROSTER, add_unknown(&w->roster->members[2]->base), "not known");
    REFUSED_WITH(FM_MSG_ROUND_START, add_unknown(&w->round_start->entries[1]->base), "not known");
    REFUSED_WITH(FM_MSG_PLAN_OFFER, add_unknown(&w->plan_offer->mark->base), "not known");
    REFUSED_WITH(FM_MSG_RELEASE, add_unknown(&w->release->pair_seeds[1]->base), "not known");
}

static void missing_parts_are_refused(void)
{
    REFUSED_WITH(FM_MSG_HELLO, w->hello->credential = NULL, "Hello.credential");
    REFUSED_WITH(FM_MSG_WELCOME, w->welcome->credential = NULL, "Welcome.credential");
    REFUSED_WITH(FM_MSG_PING, add_unknown(&w->base);
                 w->body_case = FEDMOE__V1__ENVELOPE__BODY__NOT_SET, "no body");
}

static bool refused_bytes(const void *data, size_t len)
{
    fm_message *m = NULL;
    fm_status st = fm_message_decode(data, len, &m);

    fm_message_free(&m);
    return st == FM_EPROTO;
}

static void other_encodings_of_a_message_are_refused(void)
{
    const uint8_t twice[] = { 0x8a, 1, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1,
                              0x8a, 1, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1 };
    const uint8_t two_bodies[] = { 0x1a, 0, 0x8a, 1, 0 };
    const uint8_t zero_spelled_out[] = { 0x8a, 1, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0 };
    const uint8_t long_varint[] = { 0x8a, 0x81, 0, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1 };
    const uint8_t nul_in_text[] = { 0x1a, 3, 0x0a, 1, 0 };
    const uint8_t empty_refusal[] = { 0x1a, 0 };
    fm_message *m = NULL;

    CU_ASSERT_TRUE(refused_bytes(twice, sizeof twice));
    CU_ASSERT_TRUE(refused_bytes(two_bodies, sizeof two_bodies));
    CU_ASSERT_TRUE(refused_bytes(zero_spelled_out, sizeof zero_spelled_out));
    CU_ASSERT_TRUE(refused_bytes(long_varint, sizeof long_varint));
    CU_ASSERT_TRUE(refused_bytes(nul_in_text, sizeof nul_in_text));
    CU_ASSERT_TRUE(refused_bytes("", 0));
    CU_ASSERT_EQUAL(fm_message_decode(empty_refusal, 2, &m), FM_OK);
    fm_message_free(&m);
}

/* Two bytes each, about a hundred in memory each if nobody counted. */
static void a_million_empty_elements_do_not_take_memory(void)
{
    size_t n = 1u << 20, len = 2 * n + 8;
    uint8_t *data = malloc(len);
    uint8_t *p = data;

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    *p++ = 7 << 3 | 2; /* Envelope.roster, length 2 n */
    for (size_t v = 2 * n; v > 0; v >>= 7)
        *p++ = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    for (size_t i = 0; i < n; i++) {
        *p++ = 2 << 3 | 2; /* members, empty */
        *p++ = 0;
    }
    CU_ASSERT_TRUE(refused_bytes(data, (size_t)(p - data)));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "more elements"));
    free(data);
}

static void the_encoder_keeps_the_same_limits(void)
{
    static uint8_t bytes[FM_MAX_PLAN_BYTES + 1];
    fm_message m = *sample_message(FM_MSG_COMMIT);

    m.commit.signature = (fm_bytes){ bytes, FM_SIGNATURE_MAX + 1 };
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m.commit.signature = (fm_bytes){ NULL, 1 };
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_PLAN_OFFER);
    m.plan_offer.plan = (fm_bytes){ bytes, FM_MAX_PLAN_BYTES };
    CU_ASSERT_EQUAL(encode(&m), FM_OK);
    m.plan_offer.plan.len++;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_REFUSAL);
    m.refusal.reason[3] = '\n';
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    memset(m.refusal.reason, 'a', sizeof m.refusal.reason);
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_SURVIVORS);
    m.survivors.survivors = (const uint32_t[]){ 1, 1, 2, 3 };
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_RELEASE);
    m.release.surplus_count = FM_MAX_LEVELS + 1;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m.release.surplus_count = 1;
    m.release.surplus_seeds = NULL;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_ROUND_START);
    m.round_start.round = 0;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m = *sample_message(FM_MSG_UPDATE_PIECE);
    m.update_piece.piece.len = FM_MAX_PIECE_BYTES + 1;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
    m.type = (fm_msg_type)99;
    CU_ASSERT_EQUAL(encode(&m), FM_EINVAL);
}

static void a_reason_is_cut_on_a_character_and_cleaned(void)
{
    char reason[FM_MAX_REASON_BYTES + 1];
    char text[FM_MAX_REASON_BYTES + 10];
    fm_message m = { .type = FM_MSG_REFUSAL };

    fm_reason_set(reason, "a\nb\x1b[0m \xff \xc2\x85 \xc3\xa9");
    CU_ASSERT_STRING_EQUAL(reason, "a?b?[0m ? ? \xc3\xa9");
    memset(text, 'x', sizeof text);
    memcpy(text + FM_MAX_REASON_BYTES - 1, "\xc3\xa9", 3);
    fm_reason_set(reason, text);
    CU_ASSERT_EQUAL(strlen(reason), FM_MAX_REASON_BYTES - 1);
    fm_reason_set(reason, NULL);
    CU_ASSERT_STRING_EQUAL(reason, "");
    for (int i = 0; i < 255; i++)
        text[i] = (char)(i + 1);
    text[255] = '\0';
    fm_reason_set(m.refusal.reason, text);
    CU_ASSERT_EQUAL(encode(&m), FM_OK);
}

static const fm_test tests[] = {
    { "places past any vector are refused", places_past_any_vector_are_refused },
    { "bytes of wrong length are refused", bytes_of_wrong_length_are_refused },
    { "values out of range are refused", values_out_of_range_are_refused },
    { "unordered lists are refused", unordered_lists_are_refused },
    { "counts that differ are refused", counts_that_differ_are_refused },
    { "lists longer than the limit are refused", lists_longer_than_the_limit_are_refused },
    { "the longest release travels", the_longest_release_travels },
    { "bad text is refused", bad_text_is_refused },
    { "unknown fields are refused at every level", unknown_fields_are_refused_at_every_level },
    { "missing parts are refused", missing_parts_are_refused },
    { "other encodings of a message are refused", other_encodings_of_a_message_are_refused },
    { "a million empty elements do not take memory", a_million_empty_elements_do_not_take_memory },
    { "the encoder keeps the same limits", the_encoder_keeps_the_same_limits },
    { "a reason is cut on a character and cleaned", a_reason_is_cut_on_a_character_and_cleaned },
};

const fm_test_suite suite_message_limits = { "proto.message_limits", tests, FM_TEST_COUNT(tests) };
