/* The model comes in pieces: in one order, whole, and the one that was named; or not at all. */
#include <string.h>

#include "bench.h"
#include "suites.h"

#define SIZE ((size_t)4 * P)

static const uint64_t *wanted(bench *b)
{
    const fm_message *m = victim_ports(b)->sent[FM_MSG_MODEL_WANT];

    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    return &m->model_want.at;
}

/* Bytes [at, at + len) of the model, as they are at `from`. */
static void give(bench *b, const uint8_t *from, uint64_t at, size_t len)
{
    bench_message o = { 0 };

    say_piece(b, &o);
    o.m.model_piece.at = at;
    o.m.model_piece.piece = (fm_bytes){ from + at, len };
    CU_ASSERT_EQUAL(hear_alone(b, VICTIM, &o), FM_OK);
}

/* A round has started, the model is asked for. */
static void begin(bench *b)
{
    bench_message o = { 0 };

    bench_init(b);
    reach(b, FM_NODE_WAIT_START);
    say_start(b, &o);
    CU_ASSERT_EQUAL(hear_alone(b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_MODEL);
    CU_ASSERT_EQUAL(*wanted(b), 0);
}

static void a_model_in_pieces_is_taken_piece_by_piece(void)
{
    static const size_t lengths[] = { 1, 3, 4, SIZE - 9, 1 };
    uint64_t at = 0;
    bench b;

    begin(&b);
    for (size_t i = 0; i < FM_TEST_COUNT(lengths); at += lengths[i++]) {
        CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 0);
        CU_ASSERT_EQUAL(*wanted(&b), at);
        give(&b, b.model, at, lengths[i]);
    }
    CU_ASSERT_EQUAL(*wanted(&b), SIZE);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_TRAIN), 1);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    bench_fini(&b);
}

/* It says so, the aggregator need not wait, and the next round works. */
static void check_refused(bench *b, const char *word)
{
    port_double *d = victim_ports(b);

    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, word));
    CU_ASSERT_FALSE(did(d, DID_USE));
    CU_ASSERT_EQUAL(d->sent_count[FM_MSG_ABANDON], 1);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_START);
    next_round(b);
    tell(b, FM_MSG_ROUND_START, false);
    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_EQUAL(times(d, DID_TRAIN), 1);
    CU_ASSERT_EQUAL(victim_phase(b), FM_NODE_WAIT_SURVIVORS);
    bench_fini(b);
}

static void bytes_of_another_model(void)
{
    uint8_t other[SIZE];
    bench b;

    begin(&b);
    memcpy(other, b.model, SIZE);
    other[SIZE - 1] ^= 1;
    give(&b, other, 0, SIZE - 4);
    give(&b, other, SIZE - 4, 4);
    check_refused(&b, "not the one that it names by hash");
}

static void a_piece_past_the_end(void)
{
    uint8_t longer[SIZE + 4] = { 0 };
    bench b;

    begin(&b);
    memcpy(longer, b.model, SIZE);
    give(&b, longer, 0, SIZE - 4);
    give(&b, longer, SIZE - 4, 8);
    check_refused(&b, "byte 28 of 32 is next");
}

static void a_piece_that_was_left_out(void)
{
    bench b;

    begin(&b);
    give(&b, b.model, 0, 8);
    give(&b, b.model, 16, 16);
    check_refused(&b, "byte 8 of 32 is next");
}

static void a_piece_that_comes_twice(void)
{
    bench b;

    begin(&b);
    give(&b, b.model, 0, 8);
    give(&b, b.model, 0, 8);
    check_refused(&b, "byte 8 of 32 is next");
}

/* Nothing is kept of it, and the true one is taken when the aggregator comes again. */
static void a_result_with_other_bytes(void)
{
    bench_message o = { 0 };
    uint8_t other[SIZE];
    port_double *d;
    bench b;

    bench_init(&b);
    finish_round(&b);
    d = victim_ports(&b);
    say_finish(&b, &o);
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    memcpy(other, b.model, SIZE);
    other[1] ^= 1;
    give(&b, other, 0, SIZE);
    CU_ASSERT_EQUAL(d->refusals, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, "not the one that it names by hash"));
    CU_ASSERT_FALSE(did(d, DID_FINISH));
    CU_ASSERT_FALSE(did(d, DID_HEAD));
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_FINISHED);
    bench_fini(&b);
}

/* Sent before the aggregator knew that another model is wanted, or none. */
static void pieces_that_nobody_waits_for_are_passed_over(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    give(&b, b.model, 0, SIZE);
    tell(&b, FM_MSG_ROUND_START, false);
    give(&b, b.model, 0, SIZE);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    next_round(&b);
    say_piece(&b, &o);
    o.m.model_piece.model_hash.bytes[0] ^= 1;
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    bench_fini(&b);
}

static void an_abandoned_round_does_not_stop_the_model(void)
{
    bench_message o = { 0 };
    unsigned wants;
    bench b;

    begin(&b);
    give(&b, b.model, 0, 8);
    tell(&b, FM_MSG_ABANDON, false);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
    give(&b, b.model, 8, 8);
    next_round(&b);
    wants = victim_ports(&b)->sent_count[FM_MSG_MODEL_WANT];
    say_start(&b, &o);
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_MODEL_WANT], wants); /* it goes on */
    give(&b, b.model, 16, 16);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    bench_fini(&b);
}

static void another_model_begins_at_its_first_byte(void)
{
    bench_message o = { 0 };
    uint8_t before[SIZE];
    bench b;

    bench_init(&b);
    finish_round(&b); /* the next model is another */
    say_start(&b, &o);
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    give(&b, b.model, 0, 8);
    memcpy(before, b.model, SIZE);
    b.model[5] ^= 1; /* as if the aggregator had finished a round without this node */
    b.model_hash = fm_model_digest(b.model, SIZE);
    b.entries[1] = (fm_transcript_entry){ b.round, { { 7 } }, b.model_hash };
    b.head = fm_transcript_next(&b.head, &b.entries[1]);
    b.entry_count = 2;
    next_round(&b);
    say_start(&b, &o);
    CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(*wanted(&b), 0);
    give(&b, b.model, 0, SIZE);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_SURVIVORS);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 0);
    bench_fini(&b);
}

static void a_result_is_acknowledged_once_it_is_kept(void)
{
    for (int fails = 0; fails < 2; fails++) {
        bench_message o = { 0 };
        bench b;

        bench_init(&b);
        finish_round(&b);
        victim_ports(&b)->fail = fails ? DID_FINISH : DID_NOTHING;
        victim_ports(&b)->fail_with = FM_EIO;
        say_finish(&b, &o);
        CU_ASSERT_EQUAL(hear_alone(&b, VICTIM, &o), FM_OK);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_MODEL);
        give(&b, b.model, 0, 8);
        CU_ASSERT_EQUAL(victim_ports(&b)->finished_rounds, 0);
        give(&b, b.model, 8, SIZE - 8);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_FINISHED);
        CU_ASSERT_EQUAL(*wanted(&b), fails ? 8 : SIZE);
        bench_fini(&b);
    }
}

/* A failing send of what travels in pieces is one of the round's failures. */
static void a_link_that_fails_under_a_piece(void)
{
    static const fm_msg_type fails[] = { FM_MSG_MODEL_WANT, FM_MSG_UPDATE_PIECE };

    for (size_t i = 0; i < 2; i++) {
        bench_message o = { 0 };
        port_double *d;
        bench b;

        bench_init(&b);
        reach(&b, FM_NODE_WAIT_START);
        d = victim_ports(&b);
        d->fail = DID_SEND + (int)fails[i];
        d->fail_with = FM_ENOTFOUND;
        say_start(&b, &o);
        CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
        CU_ASSERT_EQUAL(d->refusals, 1);
        CU_ASSERT_EQUAL(d->sent_count[FM_MSG_MASKED_UPDATE], 0);
        CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_START);
        bench_fini(&b);
    }
}

static const fm_test tests[] = {
    { "a model in pieces is taken piece by piece", a_model_in_pieces_is_taken_piece_by_piece },
    { "bytes of another model", bytes_of_another_model },
    { "a piece past the end", a_piece_past_the_end },
    { "a piece that was left out", a_piece_that_was_left_out },
    { "a piece that comes twice", a_piece_that_comes_twice },
    { "a result with other bytes", a_result_with_other_bytes },
    { "pieces that nobody waits for are passed over",
      pieces_that_nobody_waits_for_are_passed_over },
    { "an abandoned round does not stop the model", an_abandoned_round_does_not_stop_the_model },
    { "another model begins at its first byte", another_model_begins_at_its_first_byte },
    { "a result is acknowledged once it is kept", a_result_is_acknowledged_once_it_is_kept },
    { "a link that fails under a piece", a_link_that_fails_under_a_piece },
};

const fm_test_suite suite_round_pieces = { "node.round-pieces", tests, FM_TEST_COUNT(tests) };
