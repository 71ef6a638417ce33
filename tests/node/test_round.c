/* The honest path, and what may happen on it without anyone lying. */
#include <string.h>

#include "bench.h"
#include "round_internal.h"
#include "suites.h"

static void effects_come_in_the_order_in_which_they_must_be_durable(void)
{
    static const int expected[] = { DID_APPROVE, DID_SEND + FM_MSG_JOIN,
                                    DID_SEND + FM_MSG_PLAN_ANSWER, DID_SEND + FM_MSG_ROSTER_ANSWER,
                                    DID_AFFORD, DID_USE, DID_TRAIN, DID_SEND + FM_MSG_MASKED_UPDATE,
                                    DID_COMMIT, DID_SEND + FM_MSG_COMMIT, DID_CHARGE, DID_RELEASE,
                                    DID_SEND + FM_MSG_RELEASE,
                                    /* round 2 begins with the transcript of round 1 */
                                    DID_HEAD, DID_AFFORD };
    const size_t count = sizeof expected / sizeof expected[0];
    bench b;

    bench_init(&b);
    finish_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_FATAL(victim_ports(&b)->count >= count);
    CU_ASSERT_EQUAL(memcmp(victim_ports(&b)->effects, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 1);
    CU_ASSERT(fm_hash_equal(&victim_ports(&b)->head, &b.head));
    bench_fini(&b);
}

/** What the aggregator computes of the releases is the sum of encodings and of the noise that is
 *  needed with so many survivors. */
static void check_sum(bench *b)
{
    const fm_dp_shares *shares = the_shares(&b->lattice, b->participant_count);
    uint32_t surplus = fm_dp_shares_surplus(shares, b->survivor_count);
    uint32_t sum[P] = { 0 }, want[P] = { 0 };

    for (uint32_t s = 0; s < b->survivor_count; s++) {
        uint32_t u = b->survivors[s];
        const port_double *d = &b->node[u].ports;
        const fm_msg_release *r = &d->sent[FM_MSG_RELEASE]->release;

        CU_ASSERT_EQUAL_FATAL(r->lost_count, b->participant_count - b->survivor_count);
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_words(32, sum, P, d->update, sizeof d->update), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_dp_mask_apply(32, sum, P, r->self_seed, -1), FM_OK);
        for (uint32_t l = 0; l < r->lost_count; l++)
            CU_ASSERT_EQUAL_FATAL(
                fm_dp_mask_apply(32, sum, P, r->pair_seeds[l], -fm_dp_mask_sign(u, r->lost[l])),
                FM_OK);
        CU_ASSERT_EQUAL(r->surplus_count, surplus);
        CU_ASSERT_EQUAL_FATAL(fm_dp_shares_subtract(shares, b->survivor_count, r->surplus_seeds,
                                                    r->surplus_count, sum, P),
                              FM_OK);
        for (unsigned i = 0; i < P; i++) {
            want[i] += (uint32_t)d->encoded[i];
            for (uint32_t l = 0; l < d->levels - surplus; l++)
                want[i] += (uint32_t)d->noise[l][i];
        }
    }
    CU_ASSERT_EQUAL(memcmp(sum, want, sizeof sum), 0);
}

/** With another one a node would mask with those that the others do not. The bench's plan is for
 *  too few nodes to have less than all: it is changed once it is approved. */
static void an_update_is_made_with_the_density_of_the_plan(void)
{
    bench b;

    bench_init(&b);
    finish_round(&b);
    CU_ASSERT_EQUAL(victim_ports(&b)->mask_density, 256);
    for (unsigned i = 0; i < NODES; i++)
        b.node[i].machine->plan.mask_density = 100;
    tell(&b, FM_MSG_ROUND_START, false);
    for (unsigned i = 0; i < NODES; i++)
        CU_ASSERT_EQUAL(b.node[i].ports.mask_density, 100);
    bench_fini(&b);
}

static void the_sum_of_four_releases_is_that_of_encodings_and_noise(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    tell(&b, FM_MSG_COMMITS, false);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent[FM_MSG_RELEASE]->release.surplus_count, 1);
    check_sum(&b);
    bench_fini(&b);
}

static void the_sum_comes_out_without_a_node_that_was_lost(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    b.survivor_count = 3; /* node 3 is late */
    for (int step = 0; step < 2; step++) {
        say(&b, step ? FM_MSG_COMMITS : FM_MSG_SURVIVORS, &o);
        for (unsigned i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(hear(&b, i, &o), FM_OK);
    }
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent[FM_MSG_RELEASE]->release.surplus_count, 0);
    check_sum(&b);
    CU_ASSERT_PTR_NULL(b.node[3].ports.sent[FM_MSG_RELEASE]);
    bench_fini(&b);
}

static void one_masked_update_alone_differs_from_its_sum_in_every_coordinate(void)
{
    unsigned equal = 0;
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    for (unsigned u = 0; u < NODES; u++) {
        const port_double *d = &b.node[u].ports;

        for (unsigned i = 0; i < P; i++)
            equal += fm_get_u32le(d->update + 4 * i) ==
                     (uint32_t)d->encoded[i] + (uint32_t)d->noise[0][i] + (uint32_t)d->noise[1][i];
    }
    CU_ASSERT_EQUAL(equal, 0); /* false alarm: 32 words, 2^-32 each */
    bench_fini(&b);
}

static void a_model_that_is_held_need_not_be_sent_again(void)
{
    bench_message o = { 0 };
    unsigned wants;
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    tell(&b, FM_MSG_ABANDON, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    next_round(&b);
    say_start(&b, &o);
    wants = victim_ports(&b)->sent_count[FM_MSG_MODEL_WANT];
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_MODEL_WANT], wants);
    bench_fini(&b);
}

static void a_new_round_ends_the_one_under_way(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    next_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    tell(&b, FM_MSG_SURVIVORS, false);
    tell(&b, FM_MSG_COMMITS, false);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT(victim_ports(&b)->book[2].released);
    CU_ASSERT_FALSE(victim_ports(&b)->book[1].released);
    bench_fini(&b);
}

static void a_new_roster_ends_the_round_in_every_phase(void)
{
    static const fm_node_phase phases[] = { FM_NODE_WAIT_START, FM_NODE_WAIT_SURVIVORS,
                                            FM_NODE_WAIT_COMMITS };

    for (unsigned i = 0; i < 3; i++) {
        bench b;

        bench_init(&b);
        reach(&b, phases[i]);
        fm_random_bytes(b.session.bytes, sizeof b.session.bytes);
        tell(&b, FM_MSG_ROSTER, false);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
        next_round(&b);
        tell(&b, FM_MSG_ABANDON, false); /* no other round is open that this could disturb */
        finish_round(&b);
        CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
        CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 1);
        bench_fini(&b);
    }
}

static void entries_that_are_known_already_may_be_told_again(void)
{
    bench b;

    bench_init(&b);
    for (int i = 0; i < 3; i++)
        finish_round(&b); /* say_start always sends the whole transcript */
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 3);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 2);
    bench_fini(&b);
}

/** Less than is known is told, but the head is right: nothing is forgotten. */
static void what_is_known_is_not_replaced_by_less(void)
{
    bench b;

    bench_init(&b);
    finish_round(&b);
    finish_round(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    tell(&b, FM_MSG_ABANDON, false);
    next_round(&b);
    b.entry_count = 1;
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 2);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_HEAD), 2);
    bench_fini(&b);
}

/** However a round ends, the update and its undisclosed seeds are gone from memory. */
static void a_round_that_is_over_leaves_no_seeds(void)
{
    static const fm_msg_type ends[] = { FM_MSG_ABANDON, FM_MSG_ROSTER, FM_MSG_FINISH,
                                        FM_MSG_COMMITS };

    for (unsigned i = 0; i < 4; i++) {
        const fm_node_open_round *open;
        bench b;

        bench_init(&b);
        reach(&b, FM_NODE_WAIT_COMMITS);
        open = &b.node[VICTIM].machine->open;
        CU_ASSERT_PTR_NOT_NULL(open->release);
        tell(&b, ends[i], false);
        CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
        CU_ASSERT_PTR_NULL(open->release);
        CU_ASSERT_EQUAL(open->number, 0);
        bench_fini(&b);
    }
}

static void the_result_is_taken_with_its_transcript(void)
{
    bench b;

    bench_init(&b);
    finish_round(&b);
    tell(&b, FM_MSG_FINISH, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_FINISHED);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_rounds, 1);
    CU_ASSERT_EQUAL(victim_ports(&b)->finished_round, 1);
    CU_ASSERT(did(victim_ports(&b), DID_FINISH));
    bench_fini(&b);
}

static void the_result_may_come_in_the_middle_of_a_round_and_ends_it(void)
{
    static const fm_node_phase phases[] = { FM_NODE_WAIT_ROSTER, FM_NODE_WAIT_SURVIVORS,
                                            FM_NODE_WAIT_COMMITS };

    for (unsigned i = 0; i < 3; i++) {
        bench b;

        bench_init(&b);
        reach(&b, phases[i]);
        tell(&b, FM_MSG_FINISH, false);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_FINISHED);
        tell(&b, FM_MSG_COMMITS, false);
        CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_RELEASE));
        bench_fini(&b);
    }
}

static void a_refused_plan_is_answered_with_the_reason_and_another_may_follow(void)
{
    const port_double *d;
    bench b;

    bench_init(&b);
    d = victim_ports(&b);
    victim_ports(&b)->approve = FM_EPERM;
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_PLAN);
    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_FALSE(did(d, DID_SEND + FM_MSG_JOIN));
    CU_ASSERT_FALSE(d->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    CU_ASSERT_STRING_EQUAL(d->sent[FM_MSG_PLAN_ANSWER]->plan_answer.reason, d->why);
    victim_ports(&b)->approve = FM_OK;
    tell(&b, FM_MSG_PLAN_OFFER, true);
    reach(&b, FM_NODE_WAIT_ROSTER);
    CU_ASSERT(d->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    bench_fini(&b);
}

static void what_is_spent_and_file_names_do_not_leave_with_a_refusal(void)
{
    static const fm_status causes[] = { FM_EBUDGET, FM_EAUTH, FM_ETIMEOUT };

    for (unsigned i = 0; i < 3; i++) {
        const char *reason;
        bench b;

        bench_init(&b);
        victim_ports(&b)->approve = causes[i];
        tell(&b, FM_MSG_PLAN_OFFER, false);
        reason = victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.reason;
        CU_ASSERT_PTR_NULL(strstr(reason, "0.1234"));
        CU_ASSERT_PTR_NULL(strstr(reason, "/srv"));
        CU_ASSERT_PTR_NOT_NULL(strstr(victim_ports(&b)->why, "0.1234"));
        bench_fini(&b);
    }
}

static void a_plan_of_another_federation_is_refused(void)
{
    bench b;

    bench_init(&b);
    memcpy(b.plan.federation, "lungs", 6);
    fm_buf_clear(&b.plan_bytes);
    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&b.plan, &b.plan_bytes), FM_OK);
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_PLAN);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_APPROVE));
    CU_ASSERT_FALSE(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    bench_fini(&b);
}

static void a_plan_that_does_not_decode_is_refused(void)
{
    bench b;

    bench_init(&b);
    b.plan_bytes.data[0] ^= 0xff;
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]);
    CU_ASSERT_FALSE(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_PLAN);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_APPROVE));
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "an update is made with the density of the plan",
      an_update_is_made_with_the_density_of_the_plan },
    { "effects come in the order in which they must be durable (else: a crash between two of them "
      "repeats a round or releases unpaid)",
      effects_come_in_the_order_in_which_they_must_be_durable },
    { "the sum of four releases is that of encodings and noise",
      the_sum_of_four_releases_is_that_of_encodings_and_noise },
    { "the sum comes out without a node that was lost",
      the_sum_comes_out_without_a_node_that_was_lost },
    { "one masked update alone differs from its sum in every coordinate",
      one_masked_update_alone_differs_from_its_sum_in_every_coordinate },
    { "a model that is held need not be sent again", a_model_that_is_held_need_not_be_sent_again },
    { "a new round ends the one under way", a_new_round_ends_the_one_under_way },
    { "a new roster ends the round in every phase", a_new_roster_ends_the_round_in_every_phase },
    { "entries that are known already may be told again",
      entries_that_are_known_already_may_be_told_again },
    { "what is known is not replaced by less (else: a transcript rolled back)",
      what_is_known_is_not_replaced_by_less },
    { "a round that is over leaves no seeds (else: they are there to be stolen)",
      a_round_that_is_over_leaves_no_seeds },
    { "the result is taken with its transcript", the_result_is_taken_with_its_transcript },
    { "the result may come in the middle of a round, and ends it",
      the_result_may_come_in_the_middle_of_a_round_and_ends_it },
    { "a refused plan is answered with the reason, and another may follow",
      a_refused_plan_is_answered_with_the_reason_and_another_may_follow },
    { "what is spent, and file names, do not leave with a refusal",
      what_is_spent_and_file_names_do_not_leave_with_a_refusal },
    { "a plan of another federation is refused", a_plan_of_another_federation_is_refused },
    { "a plan that does not decode is refused", a_plan_that_does_not_decode_is_refused },
};

const fm_test_suite suite_round = { "node.round", tests, FM_TEST_COUNT(tests) };
