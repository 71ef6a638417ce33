/*
 * Garbage in every field of every message of a node: one bit at a time of what an honest node says,
 * as it travels. Link or machine drop whom it came from, or nothing comes of it; the others finish
 * all the same. (A wrong seed in a Release is not seen until it has spoilt the sum: that has tests
 * of its own in test_round_release.c.)
 */
#include <stdlib.h>
#include <string.h>

#include "federation.h"
#include "suites.h"

#define LIAR 4u
/* Bytes from one wrong bit to the next. */
#define HEAD 6u /* up to here one: tags, lengths, the round */
#define STRIDE 11u

static void bring_to(federation *f, fm_coordinator_phase p)
{
    if (p != FM_COORD_WAIT_MEMBERS && p != FM_COORD_WAIT_ROSTER) {
        fed_bring_to(f, p);
        return;
    }
    fed_make(f, &fed_five);
    fed_stop_all_at(f, p == FM_COORD_WAIT_ROSTER ? FM_MSG_ROSTER : FM_MSG_PLAN_OFFER);
    fed_join_all(f, 5);
    fed_pump(f);
    CU_ASSERT_EQUAL_FATAL(fed_phase(f), p);
}

/* What the liar would say if it were honest; its parts lie in storage of its own. */
static fm_message honest(federation *f, fm_msg_type type)
{
    fm_message m = { .type = type }, join = { .type = FM_MSG_JOIN };
    bool answered = false;

    switch (type) {
    case FM_MSG_JOIN:
        break;
    case FM_MSG_ABANDON:
        m.abandon.round = f->last_given;
        fm_reason_set(m.abandon.reason, "its disk is full");
        break;
    case FM_MSG_PLAN_ANSWER:
        fed_say(f, LIAR, &join);
        m.plan_answer.plan_hash = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len);
        m.plan_answer.approved = true;
        break;
    default:
        node_read(f, &f->nodes[LIAR], &answered, &m);
        CU_ASSERT_TRUE_FATAL(answered && m.type == type);
    }
    return m;
}

static bool only_seeds_differ(const fm_message *a, const fm_message *b)
{
    const fm_msg_release *x = &a->release, *y = &b->release;

    return a->type == FM_MSG_RELEASE && b->type == FM_MSG_RELEASE && x->round == y->round &&
           x->lost_count == y->lost_count && x->surplus_count == y->surplus_count &&
           fm_hash_equal(&x->ledger_head, &y->ledger_head) &&
           x->ledger_signature.len == y->ledger_signature.len &&
           memcmp(x->ledger_signature.data, y->ledger_signature.data, x->ledger_signature.len) == 0;
}

/* One federation in which bit `at` of byte `at` is wrong; false: there is no such byte. */
static bool spoil(fm_coordinator_phase p, fm_msg_type type, size_t at)
{
    fm_buf bytes = { .limit = FM_MAX_MESSAGE_BYTES };
    fm_message *heard = NULL;
    fm_message said;
    federation f;
    bool there;

    bring_to(&f, p);
    said = honest(&f, type);
    CU_ASSERT_EQUAL_FATAL(fm_message_encode(&said, &bytes), FM_OK);
    if ((there = at < bytes.len)) {
        bytes.data[at] ^= (uint8_t)(1u << at % 8);
        if (fm_message_decode(bytes.data, bytes.len, &heard) != FM_OK) {
            CU_ASSERT_EQUAL(fm_coordinator_offended(f.c, f.nodes[LIAR].peer, f.now_ms), FM_OK);
            f.nodes[LIAR].peer = 0;
        } else if (!only_seeds_differ(&said, heard)) {
            fed_say(&f, LIAR, heard);
        }
        fed_finishes(&f);
        for (uint32_t i = 0; i < LIAR; i++)
            CU_ASSERT_EQUAL(f.nodes[i].finish_rounds, 2);
    }
    fm_message_free(&heard);
    fm_buf_fini(&bytes);
    fed_end(&f);
    return there;
}

static void spoil_all(fm_coordinator_phase p, fm_msg_type type)
{
    for (size_t at = 0; spoil(p, type, at); at += at < HEAD ? 1 : STRIDE)
        ;
}

static void garbage_before_a_roster(void)
{
    spoil_all(FM_COORD_WAIT_MEMBERS, FM_MSG_JOIN);
    spoil_all(FM_COORD_WAIT_MEMBERS, FM_MSG_PLAN_ANSWER);
    spoil_all(FM_COORD_WAIT_ROSTER, FM_MSG_ROSTER_ANSWER);
}

static void garbage_in_an_update(void)
{
    spoil_all(FM_COORD_WAIT_UPDATES, FM_MSG_MASKED_UPDATE);
    spoil_all(FM_COORD_WAIT_UPDATES, FM_MSG_ABANDON);
}

static void garbage_in_a_commit(void)
{
    spoil_all(FM_COORD_WAIT_COMMITS, FM_MSG_COMMIT);
}

static void garbage_in_a_release(void)
{
    spoil_all(FM_COORD_WAIT_RELEASES, FM_MSG_RELEASE);
}

static const fm_test tests[] = {
    { "garbage in Join, PlanAnswer and RosterAnswer", garbage_before_a_roster },
    { "garbage in MaskedUpdate and Abandon", garbage_in_an_update },
    { "garbage in Commit", garbage_in_a_commit },
    { "garbage in Release", garbage_in_a_release },
};

const fm_test_suite suite_round_garbage = { "aggregator.round.garbage", tests,
                                            FM_TEST_COUNT(tests) };
