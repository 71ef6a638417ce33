/* kill -9 of a node between any two messages: new keys, a new machine, the old journal. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "suites.h"

/** The victim is back in a roster of its own new credential. */
static void come_back(bench *b)
{
    bench_message *o = calloc(1, sizeof *o);

    need(o != NULL, "memory");
    restart_victim(b);
    say_plan(b, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    fm_random_bytes(b->session.bytes, sizeof b->session.bytes);
    tell(b, FM_MSG_ROSTER, false);
    CU_ASSERT_EQUAL_FATAL(victim_phase(b), FM_NODE_WAIT_START);
    free(o);
}

static void check_round_is_lost(fm_node_phase killed_in, fm_msg_type next)
{
    bench_message *o = calloc(2, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, killed_in);
    say(&b, next, &o[0]); /* as it would have gone on */
    come_back(&b);
    say_start(&b, &o[1]); /* the same round, offered again */
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o[1]), FM_OK);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o[0]), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 2);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_TRAIN));
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_COMMIT));
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_RELEASE));
    next_round(&b);
    finish_round(&b);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 1);
    bench_fini(&b);
    free(o);
}

static void killed_after_its_update(void)
{
    check_round_is_lost(FM_NODE_WAIT_SURVIVORS, FM_MSG_SURVIVORS);
}

static void killed_after_its_commit(void)
{
    check_round_is_lost(FM_NODE_WAIT_COMMITS, FM_MSG_COMMITS);
}

/** The journal is the last line: even a machine that thinks otherwise cannot commit again. */
static void a_second_set_of_survivors_after_a_crash(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    /* A commit for this round is in the journal, though this machine does not know of it. */
    victim_ports(&b)->book[b.round].committed = true;
    say_survivors(&b, o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_COMMIT));
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    bench_fini(&b);
    free(o);
}

static void join_tells_how_far_the_transcript_is_known(void)
{
    const fm_msg_join *join;
    bench b;

    bench_init(&b);
    finish_round(&b);
    finish_round(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS); /* the second round's entry is heard of */
    come_back(&b);
    join = &victim_ports(&b)->sent[FM_MSG_JOIN]->join;
    CU_ASSERT_EQUAL(join->finished_round, 2);
    CU_ASSERT(fm_hash_equal(&join->head, &b.head));
    bench_fini(&b);
}

/* Released, and the aggregator lost it: the next transcript that reaches beyond it says so, also
 * to a node that was started again. */
static void a_released_round_that_the_transcript_leaves_out_is_noted(void)
{
    bench b;
    uint64_t lost;

    bench_init(&b);
    finish_round(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    tell(&b, FM_MSG_COMMITS, false);
    lost = b.round;
    CU_ASSERT_TRUE(victim_ports(&b)->book[lost].released);
    next_round(&b);
    come_back(&b);
    finish_round(&b); /* its start tells of nothing beyond the round yet */
    CU_ASSERT_FALSE(victim_ports(&b)->book[lost].abandoned);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    CU_ASSERT_TRUE(victim_ports(&b)->book[lost].abandoned);
    CU_ASSERT_FALSE(victim_ports(&b)->book[lost - 1].abandoned);
    CU_ASSERT_FALSE(victim_ports(&b)->book[lost + 1].abandoned);
    bench_fini(&b);
}

static void a_rollback_is_noticed_after_a_restart(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    finish_round(&b);
    finish_round(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    come_back(&b);
    next_round(&b);
    b.entry_count = 1;
    b.head = fm_transcript_next(&(fm_hash){ 0 }, &b.entries[0]);
    say_start(&b, o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_TRAIN));
    bench_fini(&b);
    free(o);
}

static void another_history_of_a_released_round_is_noticed_after_a_restart(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    finish_round(&b);
    come_back(&b);
    next_round(&b);
    b.entries[0].commit_digest.bytes[0] ^= 1;
    b.head = fm_transcript_next(&(fm_hash){ 0 }, &b.entries[0]);
    say_start(&b, o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(victim_ports(&b)->why, "this node released"));
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_TRAIN));
    bench_fini(&b);
    free(o);
}

static void a_roster_of_before_the_restart_is_refused(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    say_roster(&b, o);
    restart_victim(&b);
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_ROSTER);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    bench_fini(&b);
    free(o);
}

/** The victim's own mark of round 1, offered back after a restart. */
static void offer_mark(fm_status ledger_is, bool forged, bool goes_on)
{
    bench_message *o = calloc(1, sizeof *o);
    fm_msg_release r;
    uint8_t signature[FM_SIGNATURE_MAX];
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    finish_round(&b);
    r = victim_ports(&b)->sent[FM_MSG_RELEASE]->release;
    memcpy(signature, r.ledger_signature.data, r.ledger_signature.len);
    restart_victim(&b);
    if (ledger_is != FM_OK)
        victim_ports(&b)->ledger = (fm_hash){ { 1 } };
    say_plan(&b, o);
    signature[4] ^= forged;
    o->m.plan_offer.mark =
        (fm_ledger_mark){ 1, r.ledger_head, { signature, r.ledger_signature.len } };
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), goes_on ? FM_OK : FM_EIO);
    CU_ASSERT_EQUAL(victim_ports(&b)->marks, forged ? 0 : 1);
    CU_ASSERT_EQUAL(did(victim_ports(&b), DID_SEND + FM_MSG_JOIN), goes_on);
    CU_ASSERT_EQUAL(did(victim_ports(&b), DID_SEND + FM_MSG_PLAN_ANSWER), goes_on);
    bench_fini(&b);
    free(o);
}

static void an_own_mark_must_be_in_the_ledger(void)
{
    offer_mark(FM_OK, false, true);
    offer_mark(FM_EIO, false, false);
    offer_mark(FM_EIO, true, true);
}

static const fm_test tests[] = {
    { "a released round that the transcript leaves out is noted",
      a_released_round_that_the_transcript_leaves_out_is_noted },
    { "a mark that this node signed must be in its ledger, a forged one stops nothing",
      an_own_mark_must_be_in_the_ledger },
    { "killed after its update, a node never makes another for that round (else: the difference "
      "of two updates)",
      killed_after_its_update },
    { "killed after its commit, a node neither commits nor releases that round",
      killed_after_its_commit },
    { "a second set of survivors gets no commit after a crash (else: both sets are released)",
      a_second_set_of_survivors_after_a_crash },
    { "Join tells how far the transcript is known", join_tells_how_far_the_transcript_is_known },
    { "a rollback is noticed after a restart", a_rollback_is_noticed_after_a_restart },
    { "another history of a released round is noticed after a restart",
      another_history_of_a_released_round_is_noticed_after_a_restart },
    { "a roster of before the restart is refused (else: masks of keys that are gone)",
      a_roster_of_before_the_restart_is_refused },
};

const fm_test_suite suite_round_restart = { "node.round-restart", tests, FM_TEST_COUNT(tests) };
