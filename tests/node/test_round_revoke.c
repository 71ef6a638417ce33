/*
 * A revocation list that comes in the middle of things. The aggregator goes on as if nothing had
 * happened: what it shows of the revoked node is refused, in every phase.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "suites.h"

#define OTHER 2u /* the one who is revoked */

static const char *name_of(unsigned node)
{
    return fm_identity_info(the_world()->node[node])->name;
}

static fm_status hear_list(bench *b, const fm_buf *list)
{
    bench_message *o = calloc(1, sizeof *o);
    fm_status st;

    need(o != NULL, "memory");
    o->m.type = FM_MSG_REVOCATIONS;
    o->m.revocations.list = (fm_bytes){ list->data, list->len };
    st = hear(b, VICTIM, o);
    free(o);
    return st;
}

/** The honest message of that kind is refused by the victim, because of OTHER. */
static void refused(bench *b, fm_msg_type what)
{
    bench_message *o = calloc(1, sizeof *o);
    port_double *d = victim_ports(b);
    unsigned refusals = d->refusals, effects = d->count;

    need(o != NULL, "memory");
    say(b, what, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(d->refusals, refusals + 1);
    if (what == FM_MSG_ROUND_START) /* it says so: silence would pass for being late */
        CU_ASSERT_EQUAL(d->effects[effects++], DID_SEND + FM_MSG_ABANDON);
    CU_ASSERT_EQUAL(d->count, effects);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "revoked"));
    free(o);
}

static void taken(bench *b, fm_msg_type what, fm_node_phase after)
{
    bench_message *o = calloc(1, sizeof *o);
    unsigned refusals = victim_ports(b)->refusals;

    need(o != NULL, "memory");
    say(b, what, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(b)->refusals, refusals);
    CU_ASSERT_EQUAL(victim_phase(b), after);
    free(o);
}

static void without_other(uint32_t list[NODES], uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < NODES; i++)
        if (i != OTHER)
            list[(*count)++] = i;
}

static bench *begin(fm_node_phase phase)
{
    bench *b = calloc(1, sizeof *b);

    need(b != NULL, "memory");
    bench_init(b);
    reach(b, phase);
    return b;
}

static void end(bench *b)
{
    bench_fini(b);
    free(b);
}

static void a_roster_with_a_revoked_node_is_refused(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_ROSTER);

    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    CU_ASSERT_EQUAL(times(victim_ports(b), DID_KEEP), 1);
    refused(b, FM_MSG_ROSTER);
    fm_buf_fini(&list);
    end(b);
}

static void a_round_with_a_revoked_node_gets_no_update(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_START);

    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    for (int again = 0; again < 3; again++)
        refused(b, FM_MSG_ROUND_START);
    CU_ASSERT_FALSE(did(victim_ports(b), DID_TRAIN));
    CU_ASSERT_FALSE(did(victim_ports(b), DID_SEND + FM_MSG_MASKED_UPDATE));
    without_other(b->participants, &b->participant_count);
    taken(b, FM_MSG_ROUND_START, FM_NODE_WAIT_SURVIVORS);
    fm_buf_fini(&list);
    end(b);
}

/* The round was taken before the list came; the model comes after it. */
static void a_node_revoked_while_the_model_comes_gets_no_update(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_START);
    bench_message *o = calloc(1, sizeof *o);
    port_double *d = victim_ports(b);

    need(o != NULL, "memory");
    say(b, FM_MSG_ROUND_START, o);
    CU_ASSERT_EQUAL(hear_alone(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_MODEL);
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    say_piece(b, o);
    CU_ASSERT_EQUAL(hear_alone(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_START);
    CU_ASSERT_EQUAL(times(d, DID_SEND + FM_MSG_ABANDON), 1);
    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "revoked"));
    CU_ASSERT_FALSE(did(d, DID_TRAIN));
    CU_ASSERT_FALSE(did(d, DID_USE));
    CU_ASSERT_FALSE(did(d, DID_SEND + FM_MSG_MASKED_UPDATE));
    b->round++; /* the next one is without it, and the model is here */
    without_other(b->participants, &b->participant_count);
    taken(b, FM_MSG_ROUND_START, FM_NODE_WAIT_SURVIVORS);
    free(o);
    fm_buf_fini(&list);
    end(b);
}

/* The list is good, but this machine's clock is not: nobody was revoked, and it is not said. */
static void a_list_that_does_not_count_now_is_named_as_what_it_is(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_START);
    bench_message *o = calloc(1, sizeof *o);
    port_double *d = victim_ports(b);

    need(o != NULL, "memory");
    b->wrong_s = -3600; /* before lists and certificates began */
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    b->wrong_s = 0;
    say(b, FM_MSG_ROUND_START, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "since the roster: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "clock"));
    CU_ASSERT_PTR_NULL(strstr(d->why, "revoked by the CA"));
    free(o);
    fm_buf_fini(&list);
    end(b);
}

static void survivors_with_a_revoked_node_get_no_commit(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_SURVIVORS);

    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    refused(b, FM_MSG_SURVIVORS);
    without_other(b->survivors, &b->survivor_count);
    taken(b, FM_MSG_SURVIVORS, FM_NODE_WAIT_COMMITS);
    fm_buf_fini(&list);
    end(b);
}

static void a_sum_with_a_revoked_node_is_not_released(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_COMMITS);
    bench_message *o = calloc(1, sizeof *o);

    need(o != NULL, "memory");
    say(b, FM_MSG_COMMITS, o);
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_START);
    CU_ASSERT_EQUAL(times(victim_ports(b), DID_SEND + FM_MSG_ABANDON), 1);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_FALSE(did(victim_ports(b), DID_CHARGE));
    CU_ASSERT_FALSE(did(victim_ports(b), DID_SEND + FM_MSG_RELEASE));
    free(o);
    fm_buf_fini(&list);
    end(b);
}

static void a_round_without_the_revoked_node_goes_on(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_SURVIVORS);

    without_other(b->survivors, &b->survivor_count);
    reach(b, FM_NODE_WAIT_COMMITS);
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_COMMITS);
    taken(b, FM_MSG_COMMITS, FM_NODE_WAIT_START);
    CU_ASSERT_TRUE(did(victim_ports(b), DID_SEND + FM_MSG_RELEASE));
    fm_buf_fini(&list);
    end(b);
}

/* What the aggregator may not do with lists: bring back an older one, or bring one of its own. */
static void an_older_list_and_one_of_another_ca_change_nothing(void)
{
    fm_buf foreign = world_revoke("beta", true);
    fm_buf old = world_revoke(name_of(OTHER), false), list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_START);
    port_double *d = victim_ports(b);

    CU_ASSERT_EQUAL(hear_list(b, &foreign), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "not signed by the pinned CA"));
    CU_ASSERT_FALSE(did(d, DID_KEEP));
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK);
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_OK); /* heard again: nothing new */
    CU_ASSERT_EQUAL(times(d, DID_KEEP), 1);
    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_EQUAL(hear_list(b, &old), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "only a higher number counts"));
    CU_ASSERT_EQUAL(times(d, DID_KEEP), 1);
    refused(b, FM_MSG_ROUND_START);
    fm_buf_fini(&foreign);
    fm_buf_fini(&old);
    fm_buf_fini(&list);
    end(b);
}

/* It must be durable before it counts: a node that cannot keep it does not go on. */
static void a_list_that_cannot_be_kept_ends_the_process(void)
{
    fm_buf list = world_revoke(name_of(OTHER), false);
    bench *b = begin(FM_NODE_WAIT_START);

    victim_ports(b)->fail = DID_KEEP;
    victim_ports(b)->fail_with = FM_EIO;
    CU_ASSERT_EQUAL(hear_list(b, &list), FM_EIO);
    fm_buf_fini(&list);
    end(b);
}

static const fm_test tests[] = {
    { "a roster with a revoked node is refused", a_roster_with_a_revoked_node_is_refused },
    { "a round with a revoked node gets no update", a_round_with_a_revoked_node_gets_no_update },
    { "a node revoked while the model comes gets no update",
      a_node_revoked_while_the_model_comes_gets_no_update },
    { "a list that does not count now is named as what it is",
      a_list_that_does_not_count_now_is_named_as_what_it_is },
    { "survivors with a revoked node get no commit", survivors_with_a_revoked_node_get_no_commit },
    { "a sum with a revoked node is not released", a_sum_with_a_revoked_node_is_not_released },
    { "a round without the revoked node goes on", a_round_without_the_revoked_node_goes_on },
    { "an older list and one of another CA change nothing",
      an_older_list_and_one_of_another_ca_change_nothing },
    { "a list that cannot be kept ends the process", a_list_that_cannot_be_kept_ends_the_process },
};
const fm_test_suite suite_round_revoke = { "node.round_revoke", tests, FM_TEST_COUNT(tests) };
