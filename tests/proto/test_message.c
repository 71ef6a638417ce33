#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "samples.h"
#include "suites.h"

static fm_buf encoded(const fm_message *m)
{
    fm_buf b;

    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    CU_ASSERT_EQUAL_FATAL(fm_message_encode(m, &b), FM_OK);
    return b;
}

/* Decodes to something that encodes to the same bytes, or not at all. */
static bool same_or_refused(const uint8_t *data, size_t len)
{
    fm_message *m = NULL;
    fm_buf again;
    bool same;

    if (fm_message_decode(data, len, &m) != FM_OK)
        return m == NULL;
    again = encoded(m);
    same = again.len == len && memcmp(again.data, data, len) == 0;
    fm_buf_fini(&again);
    fm_message_free(&m);
    return same;
}

static void every_message_comes_back_as_it_was(void)
{
    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        fm_buf b = encoded(sample_message((fm_msg_type)t));
        fm_message *m = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_message_decode(b.data, b.len, &m), FM_OK);
        CU_ASSERT_EQUAL(m->type, (fm_msg_type)t);
        fm_message_free(&m);
        CU_ASSERT_PTR_NULL(m);
        CU_ASSERT_TRUE(same_or_refused(b.data, b.len));
        fm_buf_fini(&b);
    }
}

static bool bytes_equal(fm_bytes a, fm_bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static fm_message *there_and_back(fm_msg_type t)
{
    fm_buf b = encoded(sample_message(t));
    fm_message *m = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_message_decode(b.data, b.len, &m), FM_OK);
    fm_buf_fini(&b);
    return m;
}

static void a_round_start_keeps_each_field(void)
{
    fm_message *m = there_and_back(FM_MSG_ROUND_START);
    const fm_msg_round_start *a = &sample_message(FM_MSG_ROUND_START)->round_start;
    const fm_msg_round_start *b = &m->round_start;

    CU_ASSERT_EQUAL(a->round, b->round);
    CU_ASSERT_EQUAL(memcmp(&a->session, &b->session, sizeof a->session), 0);
    CU_ASSERT_TRUE(fm_hash_equal(&a->roster_hash, &b->roster_hash));
    CU_ASSERT_TRUE(fm_hash_equal(&a->plan_hash, &b->plan_hash));
    CU_ASSERT_TRUE(fm_hash_equal(&a->model_hash, &b->model_hash));
    CU_ASSERT_TRUE(fm_hash_equal(&a->head, &b->head));
    CU_ASSERT_TRUE(bytes_equal(a->signature, b->signature));
    CU_ASSERT_EQUAL_FATAL(b->participant_count, 4);
    CU_ASSERT_EQUAL(memcmp(a->participants, b->participants, 4 * sizeof *a->participants), 0);
    CU_ASSERT_EQUAL_FATAL(b->entry_count, 2);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(a->entries[i].round, b->entries[i].round);
        CU_ASSERT_TRUE(fm_hash_equal(&a->entries[i].commit_digest, &b->entries[i].commit_digest));
        CU_ASSERT_TRUE(fm_hash_equal(&a->entries[i].model_after, &b->entries[i].model_after));
    }
    fm_message_free(&m);
}

static void a_finish_keeps_each_field(void)
{
    fm_message *m = there_and_back(FM_MSG_FINISH);
    const fm_msg_finish *a = &sample_message(FM_MSG_FINISH)->finish, *b = &m->finish;

    CU_ASSERT_EQUAL(a->rounds, b->rounds);
    CU_ASSERT_TRUE(fm_hash_equal(&a->model_hash, &b->model_hash));
    CU_ASSERT_TRUE(fm_hash_equal(&a->head, &b->head));
    CU_ASSERT_TRUE(bytes_equal(a->signature, b->signature));
    CU_ASSERT_EQUAL(b->entry_count, 2);
    fm_message_free(&m);
}

static void survivors_and_commits_keep_each_field(void)
{
    fm_message *m = there_and_back(FM_MSG_SURVIVORS);
    fm_message *c = there_and_back(FM_MSG_COMMITS);
    fm_msg_survivors a = sample_message(FM_MSG_SURVIVORS)->survivors;

    CU_ASSERT_EQUAL(a.round, m->survivors.round);
    CU_ASSERT_EQUAL(c->commits.round, 7);
    CU_ASSERT_EQUAL_FATAL(m->survivors.count, 4);
    CU_ASSERT_EQUAL_FATAL(c->commits.count, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(a.survivors[i], m->survivors.survivors[i]);
        CU_ASSERT_TRUE(fm_hash_equal(&a.update_hashes[i], &m->survivors.update_hashes[i]));
        CU_ASSERT_TRUE(bytes_equal(a.update_signatures[i], m->survivors.update_signatures[i]));
        CU_ASSERT_TRUE(bytes_equal(a.update_signatures[i], c->commits.signatures[i]));
    }
    fm_message_free(&m);
    fm_message_free(&c);
}

static void release_and_update_keep_each_field(void)
{
    fm_message *m = there_and_back(FM_MSG_RELEASE);
    fm_message *u = there_and_back(FM_MSG_MASKED_UPDATE);
    fm_msg_release a = sample_message(FM_MSG_RELEASE)->release;
    fm_msg_masked_update b = sample_message(FM_MSG_MASKED_UPDATE)->masked_update;

    CU_ASSERT_EQUAL(m->release.round, 7);
    CU_ASSERT_EQUAL(memcmp(a.self_seed, m->release.self_seed, FM_SEED_BYTES), 0);
    CU_ASSERT_EQUAL_FATAL(m->release.lost_count, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(a.lost[i], m->release.lost[i]);
        CU_ASSERT_EQUAL(memcmp(a.pair_seeds[i], m->release.pair_seeds[i], FM_SEED_BYTES), 0);
    }
    CU_ASSERT_EQUAL_FATAL(m->release.surplus_count, 3);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(memcmp(a.surplus_seeds[i], m->release.surplus_seeds[i], FM_SEED_BYTES), 0);
    CU_ASSERT_EQUAL(u->masked_update.round, 7);
    CU_ASSERT_TRUE(bytes_equal(b.signature, u->masked_update.signature));
    fm_message_free(&m);
    fm_message_free(&u);
}

static bool credential_equal(const fm_credential *a, const fm_credential *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void credentials_are_kept_byte_for_byte(void)
{
    fm_message *h = there_and_back(FM_MSG_HELLO);
    fm_message *w = there_and_back(FM_MSG_WELCOME);
    fm_message *r = there_and_back(FM_MSG_ROSTER);

    CU_ASSERT_EQUAL(h->hello.version, FM_PROTO_VERSION);
    CU_ASSERT_EQUAL_FATAL(w->welcome.proof.len, 63);
    CU_ASSERT_EQUAL(
        memcmp(w->welcome.proof.data, sample_message(FM_MSG_WELCOME)->welcome.proof.data, 63), 0);
    CU_ASSERT_TRUE(
        credential_equal(&h->hello.credential, &sample_message(FM_MSG_HELLO)->hello.credential));
    CU_ASSERT_TRUE(credential_equal(&w->welcome.credential,
                                    &sample_message(FM_MSG_WELCOME)->welcome.credential));
    CU_ASSERT_EQUAL_FATAL(r->roster.count, 3);
    CU_ASSERT_EQUAL(memcmp(&r->roster.session, &sample_message(FM_MSG_ROSTER)->roster.session, 16),
                    0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(credential_equal(&r->roster.members[i],
                                        &sample_message(FM_MSG_ROSTER)->roster.members[i]));
    fm_message_free(&h);
    fm_message_free(&w);
    fm_message_free(&r);
}

static void short_messages_keep_each_field(void)
{
    fm_message *j = there_and_back(FM_MSG_JOIN);
    fm_message *a = there_and_back(FM_MSG_PLAN_ANSWER);
    fm_message *b = there_and_back(FM_MSG_ABANDON);
    fm_message *p = there_and_back(FM_MSG_PING);
    fm_message *o = there_and_back(FM_MSG_PLAN_OFFER);

    CU_ASSERT_EQUAL(j->join.finished_round, 12);
    CU_ASSERT_EQUAL(j->join.head.bytes[0], 1);
    CU_ASSERT_TRUE(a->plan_answer.approved);
    CU_ASSERT_EQUAL(a->plan_answer.plan_hash.bytes[31], 33);
    CU_ASSERT_STRING_EQUAL(a->plan_answer.reason, "zu teuer: \xc3\xa9psilon");
    CU_ASSERT_EQUAL(b->abandon.round, 7);
    CU_ASSERT_TRUE(b->abandon.final);
    CU_ASSERT_STRING_EQUAL(b->abandon.reason, "node riga is lost");
    CU_ASSERT_EQUAL(p->ping.sequence, 0x0102030405060708u);
    CU_ASSERT_EQUAL(o->plan_offer.plan.len, 40);
    CU_ASSERT_EQUAL(o->plan_offer.mark.round, 6);
    CU_ASSERT_EQUAL(o->plan_offer.mark.head.bytes[0], 10);
    CU_ASSERT_EQUAL(o->plan_offer.mark.signature.len,
                    sample_message(FM_MSG_PLAN_OFFER)->plan_offer.mark.signature.len);
    fm_message_free(&j);
    fm_message_free(&a);
    fm_message_free(&b);
    fm_message_free(&p);
    fm_message_free(&o);
}

/* Known answer, by hand from the protobuf specification: field 17, length 9, fixed64. */
static void a_ping_is_these_twelve_bytes(void)
{
    const uint8_t want[] = { 0x8a, 0x01, 0x09, 0x09, 8, 7, 6, 5, 4, 3, 2, 1 };
    fm_buf b = encoded(sample_message(FM_MSG_PING));

    CU_ASSERT_EQUAL_FATAL(b.len, sizeof want);
    CU_ASSERT_EQUAL(memcmp(b.data, want, sizeof want), 0);
    fm_buf_fini(&b);
}

static void every_truncation_is_refused(void)
{
    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        fm_buf b = encoded(sample_message((fm_msg_type)t));
        size_t accepted = 0;

        for (size_t len = 0; len < b.len; len++) {
            fm_message *m = NULL;

            accepted += fm_message_decode(b.data, len, &m) == FM_OK;
            fm_message_free(&m);
        }
        CU_ASSERT_EQUAL(accepted, 0);
        fm_buf_fini(&b);
    }
}

static void one_trailing_byte_is_refused(void)
{
    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        fm_buf b = encoded(sample_message((fm_msg_type)t));
        uint8_t *last;
        int accepted = 0;

        CU_ASSERT_EQUAL_FATAL(fm_buf_extend(&b, 1, &last), FM_OK);
        for (int v = 0; v < 256; v++) {
            fm_message *m = NULL;

            *last = (uint8_t)v;
            accepted += fm_message_decode(b.data, b.len, &m) == FM_OK;
            fm_message_free(&m);
        }
        CU_ASSERT_EQUAL(accepted, 0);
        fm_buf_fini(&b);
    }
}

static void a_changed_byte_is_refused_or_another_message(void)
{
    size_t ambiguous = 0;

    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        fm_buf b = encoded(sample_message((fm_msg_type)t));

        for (size_t i = 0; i < b.len; i++) {
            for (int x = 1; x < 256; x = x < 128 ? 2 * x : 256) {
                b.data[i] ^= (uint8_t)x;
                ambiguous += !same_or_refused(b.data, b.len);
                b.data[i] ^= (uint8_t)x;
            }
            b.data[i] ^= 0xff;
            ambiguous += !same_or_refused(b.data, b.len);
            b.data[i] ^= 0xff;
        }
        fm_buf_fini(&b);
    }
    CU_ASSERT_EQUAL(ambiguous, 0);
}

static void random_bytes_never_decode_ambiguously(void)
{
    fm_rng_seed s;
    fm_rng r = fm_rng_seeded(&s, 20261);
    size_t ambiguous = 0;
    uint8_t data[64];

    for (int i = 0; i < 20000; i++) {
        size_t len = fm_rng_below(&r, sizeof data);

        r.fill(r.state, data, sizeof data);
        ambiguous += !same_or_refused(data, len);
    }
    CU_ASSERT_EQUAL(ambiguous, 0);
}

static void pieces_keep_each_field(void)
{
    fm_message *w = there_and_back(FM_MSG_MODEL_WANT), *m = there_and_back(FM_MSG_MODEL_PIECE);
    fm_message *u = there_and_back(FM_MSG_UPDATE_PIECE), *n = there_and_back(FM_MSG_UPDATE_WANT);
    const fm_msg_model_piece a = sample_message(FM_MSG_MODEL_PIECE)->model_piece;
    const fm_msg_update_piece b = sample_message(FM_MSG_UPDATE_PIECE)->update_piece;

    CU_ASSERT_TRUE(fm_hash_equal(&a.model_hash, &w->model_want.model_hash));
    CU_ASSERT_EQUAL(w->model_want.at, 20);
    CU_ASSERT_TRUE(fm_hash_equal(&a.model_hash, &m->model_piece.model_hash));
    CU_ASSERT_EQUAL(m->model_piece.at, a.at);
    CU_ASSERT_TRUE(bytes_equal(a.piece, m->model_piece.piece));
    CU_ASSERT_EQUAL(u->update_piece.round, b.round);
    CU_ASSERT_EQUAL(u->update_piece.at, b.at);
    CU_ASSERT_TRUE(bytes_equal(b.piece, u->update_piece.piece));
    CU_ASSERT_EQUAL(n->update_want.round, 7);
    CU_ASSERT_EQUAL(n->update_want.until, 64);
    fm_message_free(&w);
    fm_message_free(&m);
    fm_message_free(&u);
    fm_message_free(&n);
}

static void every_type_has_its_name(void)
{
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_HELLO), "Hello");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_ROSTER_ANSWER), "RosterAnswer");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_ROUND_START), "RoundStart");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_ABANDON), "Abandon");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_FINISH), "Finish");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_PING), "Ping");
    CU_ASSERT_STRING_EQUAL(fm_msg_name(FM_MSG_REVOCATIONS), "Revocations");
    CU_ASSERT_STRING_EQUAL(fm_msg_name((fm_msg_type)0), "unknown message");
    CU_ASSERT_STRING_EQUAL(fm_msg_name((fm_msg_type)(FM_MSG_LAST + 1)), "unknown message");
}

static const fm_test tests[] = {
    { "every message comes back as it was", every_message_comes_back_as_it_was },
    { "a RoundStart keeps each field", a_round_start_keeps_each_field },
    { "a Finish keeps each field", a_finish_keeps_each_field },
    { "Survivors and Commits keep each field", survivors_and_commits_keep_each_field },
    { "Release and MaskedUpdate keep each field", release_and_update_keep_each_field },
    { "credentials are kept byte for byte", credentials_are_kept_byte_for_byte },
    { "short messages keep each field", short_messages_keep_each_field },
    { "a Ping is these twelve bytes", a_ping_is_these_twelve_bytes },
    { "every truncation is refused", every_truncation_is_refused },
    { "one trailing byte is refused", one_trailing_byte_is_refused },
    { "a changed byte is refused or is another message",
      a_changed_byte_is_refused_or_another_message },
    { "random bytes never decode ambiguously", random_bytes_never_decode_ambiguously },
    { "pieces keep each field", pieces_keep_each_field },
    { "every type has its name", every_type_has_its_name },
};

const fm_test_suite suite_message = { "proto.message", tests, FM_TEST_COUNT(tests) };
