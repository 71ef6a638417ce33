/* Lies in RoundStart and Finish: model, plan, session, participants, numbers, transcript. */
#include <stdlib.h>
#include <string.h>

#include "lie.h"
#include "suites.h"

#define START o->m.round_start
#define SIGN sign_start(o, the_world()->aggregator);

LIE(hash_of_another_model, FM_MSG_ROUND_START, "ends with", {
    o->model[0] ^= 1;
    START.model_hash = fm_model_digest(o->model, 4 * P);
    SIGN
})
LIE(another_plan, FM_MSG_ROUND_START, "another plan", {
    START.plan_hash.bytes[3] ^= 1;
    SIGN
})
LIE(another_session, FM_MSG_ROUND_START, "another session", {
    START.session.bytes[0] ^= 1;
    SIGN
})
LIE(another_roster, FM_MSG_ROUND_START, "another roster", {
    START.roster_hash.bytes[0] ^= 1;
    SIGN
})
LIE(too_few_participants, FM_MSG_ROUND_START, "at least 3", {
    START.participant_count = 2;
    SIGN
})
LIE(participants_without_self, FM_MSG_ROUND_START, "not among", {
    o->indices[1] = 2;
    o->indices[2] = 3;
    START.participant_count = 3;
    SIGN
})
LIE(unsorted_participants, FM_MSG_ROUND_START, "increasing", {
    o->indices[0] = 1;
    o->indices[1] = 0;
    SIGN
})
LIE(a_participant_twice, FM_MSG_ROUND_START, "increasing", {
    o->indices[2] = 1;
    SIGN
})
LIE(participants_beyond_the_roster, FM_MSG_ROUND_START, "increasing", {
    o->indices[3] = NODES;
    SIGN
})
LIE(a_round_that_is_over, FM_MSG_ROUND_START, "is over", {
    START.round = 1;
    SIGN
})
LIE(signed_by_another_aggregator, FM_MSG_ROUND_START, "signature",
    { sign_start(o, the_world()->other_aggregator); })
LIE(signed_by_a_node, FM_MSG_ROUND_START, "signature", { sign_start(o, the_world()->node[0]); })
LIE(not_signed, FM_MSG_ROUND_START, "signature", { START.signature.len = 0; })
LIE(changed_after_signing, FM_MSG_ROUND_START, "signature", { START.round++; })
LIE(transcript_that_ends_elsewhere, FM_MSG_ROUND_START, "does not continue", {
    START.head.bytes[0] ^= 1;
    SIGN
})
LIE(transcript_with_another_commit, FM_MSG_ROUND_START, "this node released", {
    fm_hash empty = { 0 };
    o->entries[0].commit_digest.bytes[0] ^= 1;
    START.head = fm_transcript_next(&empty, &o->entries[0]);
    SIGN
})
LIE(transcript_with_another_model, FM_MSG_ROUND_START, "ends with", {
    fm_hash empty = { 0 };
    o->entries[0].model_after.bytes[0] ^= 1;
    START.head = fm_transcript_next(&empty, &o->entries[0]);
    SIGN
})
LIE(a_round_that_its_transcript_has_finished, FM_MSG_ROUND_START, "own transcript", {
    o->entries[1].round = START.round;
    o->entries[1].model_after = START.model_hash;
    START.head = fm_transcript_next(&b->head, &o->entries[1]);
    START.entry_count = 2;
    SIGN
})

static void a_first_model_other_than_the_plans_change(bench *b, bench_message *o)
{
    (void)b;
    o->model[0] ^= 1;
    START.model_hash = fm_model_digest(o->model, 4 * P);
    SIGN
}

static void a_first_model_other_than_the_plans(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    check_lie_on(&b, FM_MSG_ROUND_START, "ends with", a_first_model_other_than_the_plans_change);
    bench_fini(&b);
}

static void three_of_four_change(bench *b, bench_message *o)
{
    (void)b;
    START.participant_count = 3;
    SIGN
}

/** The quorum is four; three would be enough for the node's own policy. */
static void fewer_participants_than_the_quorum(void)
{
    bench b;

    bench_init(&b);
    b.plan.quorum = 4;
    fm_buf_clear(&b.plan_bytes);
    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&b.plan, &b.plan_bytes), FM_OK);
    b.plan_hash = fm_plan_hash(b.plan_bytes.data, b.plan_bytes.len);
    reach(&b, FM_NODE_WAIT_START);
    check_lie_on(&b, FM_MSG_ROUND_START, "quorum is 4", three_of_four_change);
    bench_fini(&b);
}

/** The transcript names such a model, so that nothing but the weight is wrong. */
static void a_weight_that_is_no_number(void)
{
    static const uint32_t bad[] = { 0x7fc00000u, 0x7f800000u, 0xff800000u, 0x7f800001u };

    for (unsigned i = 0; i < 4; i++) {
        bench_message o = { 0 };
        bench b;

        bench_init(&b);
        finish_round(&b);
        fm_put_u32le(b.model + 4 * (P - 1), bad[i]);
        b.model_hash = fm_model_digest(b.model, sizeof b.model);
        b.entries[0].model_after = b.model_hash;
        b.head = fm_transcript_next(&(fm_hash){ 0 }, &b.entries[0]);
        say_start(&b, &o);
        CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
        CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(victim_ports(&b)->why, "finite"));
        CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 1);
        bench_fini(&b);
    }
}

/** Two rounds are finished and known; the aggregator comes back with the first only. */
static void a_transcript_rolled_back(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    finish_round(&b);
    finish_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    tell(&b, FM_MSG_ABANDON, false);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 2);
    next_round(&b);
    b.entry_count = 1;
    b.head = fm_transcript_next(&(fm_hash){ 0 }, &b.entries[0]);
    say_start(&b, &o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 3);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 2);
    bench_fini(&b);
}

/** A fork behind what is known: the same length, another history. */
static void a_transcript_forked(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    finish_round(&b);
    finish_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    tell(&b, FM_MSG_ABANDON, false);
    next_round(&b);
    b.entries[0].commit_digest.bytes[0] ^= 1;
    b.head = fm_transcript_next(&(fm_hash){ 0 }, &b.entries[0]);
    b.head = fm_transcript_next(&b.head, &b.entries[1]);
    say_start(&b, &o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 3);
    bench_fini(&b);
}

static void the_same_round_again(void)
{
    bench_message *first, *again;
    bench b;

    bench_init(&b);
    need((first = calloc(2, sizeof *first)) != NULL, "memory");
    again = first + 1;
    reach(&b, FM_NODE_WAIT_START);
    say_start(&b, first);
    say_start(&b, again);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, first), FM_OK);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, first), FM_OK); /* replayed */
    CU_ASSERT_EQUAL(hear(&b, VICTIM, again), FM_OK); /* signed again */
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 2);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 1);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_MASKED_UPDATE], 1);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS); /* the round goes on */
    bench_fini(&b);
    free(first);
}

static void a_certificate_that_expires_between_roster_and_round(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    say_start(&b, &o);
    CU_ASSERT_EQUAL(
        fm_node_round_take(b.node[VICTIM].machine, &o.m, the_world()->now_s + 11 * 24 * 3600),
        FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_TRAIN));
    bench_fini(&b);
}

LIE(a_result_signed_by_another, FM_MSG_FINISH, "signature",
    { sign_finish(o, the_world()->other_aggregator); })
LIE(a_result_on_another_transcript, FM_MSG_FINISH, "does not continue", {
    o->m.finish.head.bytes[0] ^= 1;
    sign_finish(o, the_world()->aggregator);
})
LIE(a_result_that_leaves_out_a_released_round, FM_MSG_FINISH, "this node released", {
    fm_hash empty = { 0 };
    o->entries[0].commit_digest.bytes[9] ^= 1;
    o->m.finish.head = fm_transcript_next(&empty, &o->entries[0]);
    sign_finish(o, the_world()->aggregator);
})

static const fm_test tests[] = {
    { "another model than the transcript ends with is refused", hash_of_another_model },
    { "a first model other than the plan's is refused", a_first_model_other_than_the_plans },
    { "a weight that is no number is refused", a_weight_that_is_no_number },
    { "another plan than the approved one is refused (else: less noise)", another_plan },
    { "another session is refused (else: masks of an old session)", another_session },
    { "another roster is refused (else: split views)", another_roster },
    { "a cohort below the minimum is refused (else: shrunken cohort)", too_few_participants },
    { "fewer participants than the quorum are refused", fewer_participants_than_the_quorum },
    { "participants without oneself are refused", participants_without_self },
    { "unsorted participants are refused", unsorted_participants },
    { "a participant that stands twice is refused (else: its masks cancel)", a_participant_twice },
    { "participants beyond the roster are refused", participants_beyond_the_roster },
    { "a round that is over is refused (else: two updates of one round)", a_round_that_is_over },
    { "the same round again is refused, replayed or signed anew", the_same_round_again },
    { "a start signed by another aggregator is refused", signed_by_another_aggregator },
    { "a start signed by a node is refused", signed_by_a_node },
    { "a start that is not signed is refused", not_signed },
    { "a start that was changed after signing is refused", changed_after_signing },
    { "a transcript that ends elsewhere is refused", transcript_that_ends_elsewhere },
    { "a transcript with another commit for a released round is refused",
      transcript_with_another_commit },
    { "a transcript with another model than is sent is refused", transcript_with_another_model },
    { "a round that its own transcript has finished is refused",
      a_round_that_its_transcript_has_finished },
    { "a transcript rolled back is refused", a_transcript_rolled_back },
    { "a forked transcript is refused", a_transcript_forked },
    { "a certificate that expires between roster and round stops the round",
      a_certificate_that_expires_between_roster_and_round },
    { "a result signed by another is refused", a_result_signed_by_another },
    { "a result on another transcript is refused", a_result_on_another_transcript },
    { "a result that leaves out a released round is refused",
      a_result_that_leaves_out_a_released_round },
};

const fm_test_suite suite_round_start = { "node.round-start", tests, FM_TEST_COUNT(tests) };
