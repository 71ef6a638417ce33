/* Every port fails once, in every way: nothing after it is done, and the next round works. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "suites.h"

/* A round's effects, in order. HEAD is there from the second round on. */
static const int order[] = { DID_HEAD,
                             DID_AFFORD,
                             DID_USE,
                             DID_TRAIN,
                             DID_SEND + FM_MSG_MASKED_UPDATE,
                             DID_COMMIT,
                             DID_SEND + FM_MSG_COMMIT,
                             DID_CHARGE,
                             DID_RELEASE,
                             DID_SEND + FM_MSG_RELEASE };
#define STEPS 10u

static void run_round(bench *b, fm_status expected)
{
    static const fm_msg_type said[] = { FM_MSG_ROUND_START, FM_MSG_SURVIVORS, FM_MSG_COMMITS };
    bench_message *o = calloc(1, sizeof *o);
    fm_status worst = FM_OK, st;

    need(o != NULL, "memory");
    for (unsigned s = 0; s < 3; s++) {
        say(b, said[s], o);
        for (unsigned i = 0; i < NODES; i++) {
            st = hear(b, i, o);
            if (i == VICTIM && st != FM_OK)
                worst = st;
        }
    }
    CU_ASSERT_EQUAL(worst, expected);
    free(o);
}

/** Step `at` of the second round fails with `with`. */
static void fail_at(unsigned at, fm_status with)
{
    bool fatal = with == FM_EIO || with == FM_ENOMEM || with == FM_EINTERNAL;
    bench *b = calloc(1, sizeof *b);
    port_double *d;
    unsigned before[STEPS];

    need(b != NULL, "memory");
    bench_init(b);
    finish_round(b);
    d = victim_ports(b);
    for (unsigned i = 0; i < STEPS; i++)
        before[i] = times(d, order[i]);
    d->fail = order[at];
    d->fail_with = with;
    run_round(b, fatal ? with : FM_OK);
    for (unsigned i = 0; i < STEPS; i++)
        CU_ASSERT_EQUAL(times(d, order[i]), before[i] + (i < at));
    CU_ASSERT(d->refusals >= 1);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_START);
    CU_ASSERT(did(d, DID_SEND + FM_MSG_ABANDON)); /* the aggregator need not wait */
    CU_ASSERT_PTR_NULL(strstr(d->sent[FM_MSG_ABANDON]->abandon.reason, "made to fail"));

    d->fail_with = FM_OK; /* the next round */
    d->refusals = 0;
    next_round(b);
    run_round(b, FM_OK);
    CU_ASSERT_EQUAL(d->refusals, 0);
    CU_ASSERT(d->book[3].released);
    bench_fini(b);
    free(b);
}

static void every_step_fails_for_good(void)
{
    for (unsigned i = 0; i < STEPS; i++) {
        fail_at(i, FM_EIO);
        fail_at(i, FM_ENOMEM);
    }
}

static void every_step_fails_in_passing(void)
{
    for (unsigned i = 0; i < STEPS; i++) {
        fail_at(i, FM_EBUDGET);
        fail_at(i, FM_EREPLAY);
        fail_at(i, FM_ENOTFOUND);
    }
}

static void a_failed_approval_is_no_approval(void)
{
    static const int steps[] = { DID_APPROVE, DID_SEND + FM_MSG_JOIN,
                                 DID_SEND + FM_MSG_PLAN_ANSWER };

    for (unsigned i = 0; i < 3; i++) {
        bench_message o = { 0 };
        bench b;

        bench_init(&b);
        victim_ports(&b)->fail = steps[i];
        victim_ports(&b)->fail_with = FM_EIO;
        say_plan(&b, &o);
        CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_EIO);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_PLAN);
        CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_PLAN_ANSWER));
        bench_fini(&b);
    }
}

static void a_failed_head_leaves_the_result_untaken(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    finish_round(&b);
    victim_ports(&b)->fail = DID_HEAD;
    victim_ports(&b)->fail_with = FM_EIO;
    say_finish(&b, &o);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_EIO);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_FINISH));
    bench_fini(&b);
}

static void a_node_over_its_budget_says_so_and_no_more(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    victim_ports(&b)->fail = DID_AFFORD;
    victim_ports(&b)->fail_with = FM_EBUDGET;
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_USE));
    CU_ASSERT_EQUAL(victim_ports(&b)->sent[FM_MSG_ABANDON]->abandon.round, b.round);
    CU_ASSERT(victim_ports(&b)->sent[FM_MSG_ABANDON]->abandon.final);
    CU_ASSERT_STRING_EQUAL(victim_ports(&b)->sent[FM_MSG_ABANDON]->abandon.reason,
                           "the privacy budget of this node does not allow the round");
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "every step fails for good: no step after it is done (journal fails: nothing is sent; ledger "
      "fails: nothing is released)",
      every_step_fails_for_good },
    { "every step fails in passing: no step after it is done, the next round works",
      every_step_fails_in_passing },
    { "a failed approval is no approval", a_failed_approval_is_no_approval },
    { "a result whose transcript cannot be recorded is not taken",
      a_failed_head_leaves_the_result_untaken },
    { "a node over its budget says so, and no more", a_node_over_its_budget_says_so_and_no_more },
};

const fm_test_suite suite_round_effects = { "node.round-effects", tests, FM_TEST_COUNT(tests) };
