/* The owner's pause: before an update leaves nothing of it does; after, the round is done. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "round_internal.h"
#include "suites.h"

static void check_declined(bench *b, unsigned abandons)
{
    port_double *d = victim_ports(b);

    CU_ASSERT_EQUAL_FATAL(d->sent_count[FM_MSG_ABANDON], abandons);
    CU_ASSERT_STRING_EQUAL(d->sent[FM_MSG_ABANDON]->abandon.reason, "paused by its owner");
    CU_ASSERT_EQUAL(d->sent[FM_MSG_ABANDON]->abandon.round, b->round);
    CU_ASSERT_FALSE(d->sent[FM_MSG_ABANDON]->abandon.final);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "paused by its owner"));
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_UPDATE_PIECE], 0);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_MASKED_UPDATE], 0);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_RELEASE], 0);
    CU_ASSERT_EQUAL(d->noted, 0);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_START);
}

static void a_round_is_declined_before_anything_is_done_for_it(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    victim_ports(&b)->pause_from = 1;
    tell(&b, FM_MSG_ROUND_START, false);
    check_declined(&b, 1);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_USE));
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_TRAIN));

    next_round(&b); /* still paused */
    tell(&b, FM_MSG_ROUND_START, false);
    check_declined(&b, 2);

    victim_ports(&b)->pause_from = 0;
    victim_ports(&b)->refusals = 0;
    next_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    finish_round(&b);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_RELEASE), 1);
    bench_fini(&b);
}

/* Asked at RoundStart, when the model is here, and when the update is made. */
static void a_pause_that_comes_later_still_stops_the_update(void)
{
    for (unsigned asked = 2; asked <= 3; asked++) {
        bench b;

        bench_init(&b);
        reach(&b, FM_NODE_WAIT_START);
        victim_ports(&b)->pause_from = asked;
        tell(&b, FM_MSG_ROUND_START, false);
        check_declined(&b, 1);
        CU_ASSERT_EQUAL(did(victim_ports(&b), DID_TRAIN), asked == 3);
        CU_ASSERT_FALSE(did(victim_ports(&b), DID_CHARGE));
        bench_fini(&b);
    }
}

static void an_update_that_is_out_is_released(void)
{
    port_double *d;
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    d = victim_ports(&b);
    d->pause_from = 1;
    CU_ASSERT_EQUAL(d->noted, 1);
    finish_round(&b);
    CU_ASSERT_EQUAL(d->refusals, 0);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_ABANDON], 0);
    CU_ASSERT_EQUAL(times(d, DID_CHARGE), 1);
    CU_ASSERT_EQUAL(times(d, DID_RELEASE), 1);

    next_round(&b);
    tell(&b, FM_MSG_ROUND_START, false);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_ABANDON], 1);
    CU_ASSERT_EQUAL(times(d, DID_TRAIN), 1);
    bench_fini(&b);
}

/* A large one leaves in pieces as it is asked for: the rest of it stays. */
static void half_an_update_is_not_finished(void)
{
    bench_message o = { .m = { .type = FM_MSG_UPDATE_WANT } };
    fm_node_round *m;
    unsigned pieces;
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_SURVIVORS);
    m = b.node[VICTIM].machine;
    m->open.sent = m->open.until = 4; /* as if it were larger than the first piece */
    m->open.told = false;
    pieces = victim_ports(&b)->sent_count[FM_MSG_UPDATE_PIECE];
    victim_ports(&b)->pause_from = 1;
    o.m.update_want = (fm_msg_update_want){ b.round, 4 * P };
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_UPDATE_PIECE], pieces);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_ABANDON], 1);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    CU_ASSERT_PTR_NULL(m->open.release); /* the masks are gone */
    bench_fini(&b);
}

/** The honest RoundStart, of which the victim's process ends. */
static void reach_failing(bench *b)
{
    bench_message *o = calloc(1, sizeof *o);

    need(o != NULL, "memory");
    say(b, FM_MSG_ROUND_START, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_EIO);
    free(o);
}

static void what_leaves_is_noted_before_it_does(void)
{
    port_double *d;
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    d = victim_ports(&b);
    d->note_fails = true;
    reach_failing(&b);
    CU_ASSERT_EQUAL(d->noted, 1);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_UPDATE_PIECE], 0);
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_MASKED_UPDATE], 0);
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "a round is declined before anything is done for it",
      a_round_is_declined_before_anything_is_done_for_it },
    { "a pause that comes later still stops the update",
      a_pause_that_comes_later_still_stops_the_update },
    { "an update that is out is released", an_update_that_is_out_is_released },
    { "half an update is not finished", half_an_update_is_not_finished },
    { "what leaves is noted before it does", what_leaves_is_noted_before_it_does },
};

const fm_test_suite suite_round_pause = { "node.round-pause", tests, FM_TEST_COUNT(tests) };
