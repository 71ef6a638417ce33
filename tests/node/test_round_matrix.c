/*
 * Every message in every phase. What may not come there has no effect, and what comes next is
 * taken as if nothing had been said. All but the first phases are those of a second round, so that
 * the whole first round is there to be replayed.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "suites.h"

static bool is_legal(fm_node_phase phase, fm_msg_type t)
{
    switch (t) {
    case FM_MSG_PLAN_OFFER:
        return phase == FM_NODE_WAIT_PLAN;
    case FM_MSG_ROSTER:
    case FM_MSG_FINISH:
        return phase != FM_NODE_WAIT_PLAN && phase != FM_NODE_FINISHED;
    case FM_MSG_ROUND_START:
        return phase == FM_NODE_WAIT_START || phase == FM_NODE_WAIT_SURVIVORS ||
               phase == FM_NODE_WAIT_COMMITS;
    case FM_MSG_SURVIVORS:
        return phase == FM_NODE_WAIT_SURVIVORS;
    case FM_MSG_COMMITS:
        return phase == FM_NODE_WAIT_COMMITS;
    case FM_MSG_ABANDON:
        return phase == FM_NODE_WAIT_SURVIVORS || phase == FM_NODE_WAIT_COMMITS;
    default:
        return false;
    }
}

/** Heard and forgotten: Ping; Abandon where no round is open; what may have crossed another
 *  message. */
static bool is_passed_over(fm_node_phase phase, fm_msg_type t)
{
    return t == FM_MSG_PING || t == FM_MSG_ABANDON ||
           (phase != FM_NODE_WAIT_PLAN && (t == FM_MSG_MODEL_PIECE || t == FM_MSG_UPDATE_WANT));
}

/** Heard without an effect. */
static void check_idle(bench *b, const bench_message *o)
{
    fm_node_phase phase = victim_phase(b);
    unsigned effects = victim_ports(b)->count;

    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(b)->count, effects);
    CU_ASSERT_EQUAL(victim_phase(b), phase);
}

/** All that may not come in this phase; and what was said in the round before, whatever it is. */
static void hear_all_that_is_illegal(bench *b, bench_message *before, unsigned before_count)
{
    bench_message *o = calloc(1, sizeof *o);
    unsigned refusals;

    need(o != NULL, "memory");
    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        if (is_legal(victim_phase(b), (fm_msg_type)t))
            continue;
        say(b, (fm_msg_type)t, o);
        refusals = victim_ports(b)->refusals;
        check_idle(b, o);
        if (!is_passed_over(victim_phase(b), (fm_msg_type)t))
            CU_ASSERT_EQUAL(victim_ports(b)->refusals, refusals + 1);
    }
    for (unsigned i = 0; i < before_count; i++)
        check_idle(b, &before[i]);
    free(o);
}

/* The first round's messages; sessions and pairs are still those. */
static const fm_msg_type replayed[] = { FM_MSG_ROUND_START, FM_MSG_SURVIVORS, FM_MSG_COMMITS,
                                        FM_MSG_ABANDON };
#define REPLAYED 4u

static void in_phase(fm_node_phase phase)
{
    bench *b = calloc(1, sizeof *b);
    bench_message *before = calloc(REPLAYED, sizeof *before);
    bool early = phase < FM_NODE_WAIT_START;

    need(b && before, "memory");
    bench_init(b);
    if (!early) {
        reach(b, FM_NODE_WAIT_COMMITS);
        for (unsigned i = 0; i < REPLAYED; i++)
            say(b, replayed[i], &before[i]);
        finish_round(b);
    }
    reach(b, phase);
    hear_all_that_is_illegal(b, before, early ? 0 : REPLAYED);
    if (phase != FM_NODE_FINISHED) {
        finish_round(b);
        CU_ASSERT_EQUAL(victim_ports(b)->sent_count[FM_MSG_RELEASE], early ? 1 : 2);
    }
    bench_fini(b);
    free(before);
    free(b);
}

static void waiting_for_a_plan(void)
{
    in_phase(FM_NODE_WAIT_PLAN);
}

static void waiting_for_a_roster(void)
{
    in_phase(FM_NODE_WAIT_ROSTER);
}

static void waiting_for_a_round(void)
{
    in_phase(FM_NODE_WAIT_START);
}

static void waiting_for_survivors(void)
{
    in_phase(FM_NODE_WAIT_SURVIVORS);
}

static void waiting_for_commits(void)
{
    in_phase(FM_NODE_WAIT_COMMITS);
}

static void finished(void)
{
    in_phase(FM_NODE_FINISHED);
}

static const fm_test tests[] = {
    { "waiting for a plan, nothing but a plan has an effect", waiting_for_a_plan },
    { "waiting for a roster, nothing but a roster or the result has an effect",
      waiting_for_a_roster },
    { "waiting for a round, neither the last one replayed nor a node's message has an effect",
      waiting_for_a_round },
    { "waiting for survivors, commits have no effect (else: a release without a commit)",
      waiting_for_survivors },
    { "waiting for commits, other survivors have no effect (else: two commits for one round)",
      waiting_for_commits },
    { "when finished, nothing has an effect", finished },
};

const fm_test_suite suite_round_matrix = { "node.round-matrix", tests, FM_TEST_COUNT(tests) };
