/* Vectors that take several windows: no more is under way than was asked for, whoever is lost in the
 * middle has left no trace, and who is slow slows only itself. */
#include <stdlib.h>
#include <string.h>

#include "pieces.h"
#include "suites.h"

static house *h;

static void begin(uint32_t rounds)
{
    need((h = malloc(sizeof *h)) != NULL, "memory");
    house_make(h, rounds);
}

static void end(void)
{
    house_end(h);
    free(h);
}

static void join_all(void)
{
    for (uint32_t i = 0; i < NODES; i++)
        house_join(h, i);
}

/* Each of these nodes has given `times` updates, nobody else any, and nothing else is in the sum. */
static void check_sums(const char *times)
{
    for (uint32_t i = 0; i < NODES; i++)
        CU_ASSERT_EQUAL(house_sums(h, i), (float)(times[i] - '0'));
    CU_ASSERT_EQUAL(house_stray(h), 0);
}

static void models_and_updates_of_several_windows(void)
{
    begin(2);
    join_all();
    house_run(h);
    CU_ASSERT_EQUAL(h->entry_count, 2);
    CU_ASSERT_EQUAL(h->abandoned, 0);
    CU_ASSERT_EQUAL(h->results, NODES);
    check_sums("2222");
    for (uint32_t i = 0; i < NODES; i++) {
        CU_ASSERT_EQUAL(h->node[i].up, SIZE); /* and never more than asked for: pieces.c */
        CU_ASSERT(h->node[i].finished);
    }
    end();
}

/* Cut after so many messages of the node's; which of them had all of its update there? */
static void cut_after(int messages)
{
    begin(1);
    join_all();
    h->node[3].says_left = messages;
    house_run(h);
    if (h->entry_count == 0) {
        house_leave(h, 3);
        house_run(h);
    }
    if (h->abandoned) { /* lost after its update: once more, without it */
        CU_ASSERT_EQUAL(h->abandoned, 1);
        house_run(h);
    }
    CU_ASSERT_EQUAL(h->entry_count, 1);
    check_sums(h->survivors == 4 ? "1111" : "1110");
    end();
}

static void a_node_lost_at_any_message_leaves_no_trace(void)
{
    /* Join, PlanAnswer, RosterAnswer, ModelWants, UpdatePieces, MaskedUpdate, Commit, Release */
    for (int messages = 3; messages < 24; messages += 2)
        cut_after(messages);
}

/* Its model comes, but not what it says: no window is opened for it a second time. */
static void a_node_that_acknowledges_nothing_gets_one_window(void)
{
    begin(1);
    join_all();
    h->node[3].says_left = 4; /* up to its first ModelWant */
    house_run(h);
    CU_ASSERT_EQUAL(h->node[3].most_down, fm_plan_window_bytes(&h->plan));
    CU_ASSERT_EQUAL(h->entry_count, 0);
    house_tick(h, ROUND_MS + 1);
    house_run(h);
    CU_ASSERT_EQUAL(h->entry_count, 1);
    CU_ASSERT_EQUAL(h->survivors, 3);
    check_sums("1110");
    CU_ASSERT_EQUAL(h->node[3].most_down, fm_plan_window_bytes(&h->plan));
    end();
}

/* ---- what no honest node says ---- */

static void bring_to_updates(void)
{
    begin(1);
    join_all();
    h->node[3].says_left = 3; /* its model is not asked for, and no update comes of it */
    house_run(h);
    h->node[3].says_left = -1;
    CU_ASSERT_EQUAL(h->entry_count, 0);
}

static void say_piece(uint64_t at, size_t len)
{
    static uint8_t bytes[FM_MAX_PIECE_BYTES];
    fm_message m = { .type = FM_MSG_UPDATE_PIECE };

    m.update_piece = (fm_msg_update_piece){ h->rounds, at, { bytes, len } };
    house_say(h, 3, &m);
}

static void check_dropped(const char *why)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(h->dropped[3], why));
    house_run(h);
    CU_ASSERT_EQUAL(h->entry_count, 1);
    CU_ASSERT_EQUAL(h->survivors, 3);
    check_sums("1110");
    end();
}

static void a_piece_past_what_was_asked_for(void)
{
    bring_to_updates();
    say_piece(0, FM_FIRST_PIECE_BYTES + 1);
    check_dropped("more of its update than was asked for");
}

static void a_piece_out_of_order(void)
{
    bring_to_updates();
    say_piece(0, 100);
    say_piece(200, 100);
    check_dropped("a piece at byte 200 of its update; byte 100 is next");
}

static void a_piece_twice(void)
{
    bring_to_updates();
    say_piece(0, 100);
    say_piece(0, 100);
    check_dropped("a piece at byte 0 of its update; byte 100 is next");
}

static void a_model_that_was_not_sent(void)
{
    fm_message m = { .type = FM_MSG_MODEL_WANT };

    bring_to_updates();
    m.model_want.model_hash = fm_model_digest(h->optimizer->weights, SIZE);
    m.model_want.at = 1000;
    house_say(h, 3, &m);
    check_dropped("it says to have 1000 bytes of the model; 0 were sent");
}

/* ---- lost and back ---- */

static void a_node_that_was_cut_off_begins_again_at_the_first_byte(void)
{
    begin(2);
    join_all();
    h->node[3].says_left = 10; /* in the middle of the model */
    house_run(h);
    house_leave(h, 3);
    house_run(h);
    CU_ASSERT_EQUAL(h->entry_count, 2);
    check_sums("2220");
    house_join(h, 3);
    house_run(h);
    CU_ASSERT(h->node[3].finished);
    CU_ASSERT_EQUAL(h->node[3].most_down, SIZE);
    CU_ASSERT_EQUAL(h->results, NODES);
    end();
}

static const fm_test tests[] = {
    { "models and updates of several windows", models_and_updates_of_several_windows },
    { "a node lost at any message leaves no trace in the sum",
      a_node_lost_at_any_message_leaves_no_trace },
    { "a node that acknowledges nothing gets one window, and the others go on without it",
      a_node_that_acknowledges_nothing_gets_one_window },
    { "a piece past what was asked for at first", a_piece_past_what_was_asked_for },
    { "a piece out of order", a_piece_out_of_order },
    { "a piece twice", a_piece_twice },
    { "a model that was not sent is not acknowledged", a_model_that_was_not_sent },
    { "a node that was cut off begins again at the first byte",
      a_node_that_was_cut_off_begins_again_at_the_first_byte },
};

const fm_test_suite suite_pieces = { "demo.pieces", tests, FM_TEST_COUNT(tests) };
