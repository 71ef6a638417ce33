/* People's decision in the machine: nothing is said before it, and rounds and releases ask for it. */
#include <string.h>

#include "bench.h"
#include "round_internal.h"
#include "suites.h"

static struct {
    bool wait;
    fm_status decide, allow, still; /* of the plan; of a round; of its release */
    unsigned asked;
    uint32_t company;
    char first[FM_NAME_MAX + 1];
} g_people;

static fm_status decide(void *ctx, const fm_plan *plan, const fm_hash *hash, bool *wait)
{
    (void)ctx;
    (void)plan;
    (void)hash;
    g_people.asked++;
    *wait = g_people.wait;
    return g_people.decide == FM_OK ? FM_OK : fm_fail(g_people.decide, "people said no");
}

static fm_status allow(void *ctx, uint64_t round, const char *const *names, uint32_t count)
{
    fm_status st = count > 0 ? g_people.allow : g_people.still;

    (void)ctx;
    (void)round;
    if (count > 0) {
        g_people.company = count;
        memcpy(g_people.first, names[0], strlen(names[0]) + 1);
    }
    return st == FM_OK ? FM_OK : fm_fail(st, "condition: the secret one");
}

static void begin(bench *b)
{
    memset(&g_people, 0, sizeof g_people);
    bench_init(b);
    b->node[VICTIM].machine->c.ports.decide = decide;
    b->node[VICTIM].machine->c.ports.allow_round = allow;
}

static void nothing_is_said_before_a_decision(void)
{
    bench_message o;
    bench b;

    begin(&b);
    g_people.wait = true;
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_DECISION);
    CU_ASSERT_EQUAL(fm_node_round_decided(b.node[VICTIM].machine), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_DECISION);
    CU_ASSERT_EQUAL(g_people.asked, 2);
    for (int t = 0; t <= FM_MSG_LAST; t++)
        CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[t], 0);
    /* Neither a second offer nor a round changes that. */
    say(&b, FM_MSG_PLAN_OFFER, &o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_DECISION);
    g_people.wait = false;
    CU_ASSERT_EQUAL(fm_node_round_decided(b.node[VICTIM].machine), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_ROSTER);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_JOIN], 1);
    CU_ASSERT(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    CU_ASSERT_EQUAL(fm_node_round_decided(b.node[VICTIM].machine), FM_OK); /* once */
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_PLAN_ANSWER], 1);
    bench_fini(&b);
}

static void a_refusal_is_told_with_its_reason(void)
{
    bench b;

    begin(&b);
    g_people.wait = true;
    tell(&b, FM_MSG_PLAN_OFFER, false);
    g_people.wait = false;
    g_people.decide = FM_EPERM;
    CU_ASSERT_EQUAL(fm_node_round_decided(b.node[VICTIM].machine), FM_OK);
    CU_ASSERT(!victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.approved);
    CU_ASSERT_STRING_EQUAL(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.reason,
                           "people said no");
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_JOIN], 0);
    bench_fini(&b);
}

static void decisions_that_are_not_in_order_are_not_told(void)
{
    bench b;

    begin(&b);
    g_people.decide = FM_EAUTH;
    tell(&b, FM_MSG_PLAN_OFFER, false);
    CU_ASSERT_PTR_NULL(
        strstr(victim_ports(&b)->sent[FM_MSG_PLAN_ANSWER]->plan_answer.reason, "people"));
    bench_fini(&b);
}

/** @param final  whether it leaves for good. */
static void leaves(fm_status why, bool final)
{
    const fm_msg_abandon *a;
    bench b;

    begin(&b);
    reach(&b, FM_NODE_WAIT_START);
    g_people.allow = why;
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_EQUAL(g_people.company, b.participant_count);
    CU_ASSERT_STRING_EQUAL(
        g_people.first,
        fm_peer_info(b.node[VICTIM].machine->roster.peers[b.participants[0]])->name);
    CU_ASSERT(!did(victim_ports(&b), DID_USE) && !did(victim_ports(&b), DID_TRAIN));
    CU_ASSERT_EQUAL_FATAL(victim_ports(&b)->sent_count[FM_MSG_ABANDON], 1);
    a = &victim_ports(&b)->sent[FM_MSG_ABANDON]->abandon;
    CU_ASSERT_EQUAL(a->final, final);
    CU_ASSERT_PTR_NULL(strstr(a->reason, "secret")); /* which condition it was stays here */
    CU_ASSERT_PTR_NOT_NULL(strstr(victim_ports(&b)->why, "secret"));
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    bench_fini(&b);
}

static void a_condition_that_ended_ends_its_part(void)
{
    leaves(FM_EPERM, true);
}

static void too_small_a_company_ends_the_round_alone(void)
{
    leaves(FM_ESTATE, false);
}

static void a_sum_of_too_few_is_not_committed_to(void)
{
    bench b;

    begin(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    g_people.allow = FM_ESTATE;
    tell(&b, FM_MSG_SURVIVORS, false);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_COMMIT], 0);
    CU_ASSERT(!did(victim_ports(&b), DID_COMMIT));
    CU_ASSERT_EQUAL_FATAL(victim_ports(&b)->sent_count[FM_MSG_ABANDON], 1);
    CU_ASSERT(!victim_ports(&b)->sent[FM_MSG_ABANDON]->abandon.final);
    CU_ASSERT_PTR_NULL(b.node[VICTIM].machine->open.release);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    bench_fini(&b);
}

static void a_release_asks_again(void)
{
    bench b;

    begin(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    g_people.still = FM_EPERM;
    tell(&b, FM_MSG_COMMITS, false);
    CU_ASSERT(!did(victim_ports(&b), DID_CHARGE) && !did(victim_ports(&b), DID_RELEASE));
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 0);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_ABANDON], 1);
    CU_ASSERT_PTR_NULL(b.node[VICTIM].machine->open.release); /* its seeds are gone */
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "nothing is said before a decision", nothing_is_said_before_a_decision },
    { "a refusal is told with its reason", a_refusal_is_told_with_its_reason },
    { "decisions that are not in order are not told",
      decisions_that_are_not_in_order_are_not_told },
    { "a condition that ended ends its part", a_condition_that_ended_ends_its_part },
    { "too small a company ends the round alone", too_small_a_company_ends_the_round_alone },
    { "a sum of too few is not committed to", a_sum_of_too_few_is_not_committed_to },
    { "a release asks again", a_release_asks_again },
};

const fm_test_suite suite_round_decide = { "node.round_decide", tests, FM_TEST_COUNT(tests) };
