/* What is remembered of a node across its sessions: repeated losses, a budget that is used up. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static const spec five = {
    .max_nodes = 5, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 8
};

/* Node 4 leaves after its update and comes back; the others have begun the next round. */
static void lose_the_last(federation *f)
{
    fed_stop_all_at(f, FM_MSG_SURVIVORS);
    fed_pump(f);
    CU_ASSERT_EQUAL(fed_phase(f), FM_COORD_WAIT_COMMITS);
    fed_leave(f, 4);
    fed_join(f, 4);
    fed_stop_all_at(f, FM_MSG_ROUND_START);
    fed_pump(f);
}

/* The round under way; then a roster, if one is made; the next round has begun. */
static void finish_one(federation *f)
{
    size_t before = f->round_count;

    fed_stop_all_at(f, FM_MSG_COMMITS);
    fed_pump(f);
    fed_stop_all_at(f, FM_MSG_ROUND_START);
    fed_pump(f);
    CU_ASSERT_EQUAL(f->round_count, before + 1);
    CU_ASSERT(f->rounds[before].finished);
}

static void a_node_lost_again_and_again_waits(void)
{
    static const uint32_t participants[] = { 5, 4, 5, 4, 4, 4, 5 };
    static const bool finished[] = { false, true, false, true, true, true, true };
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    lose_the_last(&f); /* the first time it is taken in again at once */
    finish_one(&f);
    lose_the_last(&f); /* the second time it waits */
    CU_ASSERT(fed_noted(&f, "node-e approved the plan; lost in the middle of rounds"));
    finish_one(&f);
    finish_one(&f);
    f.now_ms += PHASE_MS;
    finish_one(&f);
    finish_one(&f);
    CU_ASSERT_EQUAL(f.round_count, 7);
    for (size_t i = 0; i < 7 && i < f.round_count; i++)
        CU_ASSERT(f.rounds[i].participants == participants[i] &&
                  f.rounds[i].finished == finished[i]);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static const spec long_run = {
    .max_nodes = 5, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 40
};

static void four_finished_rounds_make_up_for_a_loss(void)
{
    federation f;

    fed_make(&f, &long_run);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    for (int i = 0; i < 3; i++) {
        lose_the_last(&f);
        finish_one(&f); /* without it */
        for (int k = 0; k < 4; k++) {
            finish_one(&f); /* with it */
            CU_ASSERT_EQUAL(f.rounds[f.round_count - 1].participants, 5);
        }
    }
    fed_end(&f);
}

/* Else a node could spoil every other round for ever. */
static void one_finished_round_does_not(void)
{
    uint64_t barred_ms = 0;
    federation f;

    fed_make(&f, &long_run);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    for (int i = 0; i < 6; i++) {
        const uint64_t last_ms = barred_ms;

        lose_the_last(&f);
        (void)fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms);
        CU_ASSERT(i == 0 ? barred_ms == 0 : barred_ms >= PHASE_MS);
        CU_ASSERT(barred_ms >= last_ms);
        f.now_ms += barred_ms;
        finish_one(&f); /* without it: it was begun before */
        finish_one(&f);
        CU_ASSERT_EQUAL(f.rounds[f.round_count - 1].participants, 5);
    }
    CU_ASSERT(barred_ms >= (uint64_t)4 * PHASE_MS);
    fed_end(&f);
}

static void what_no_honest_node_says_counts_as_a_loss(void)
{
    fm_message wrong = { .type = FM_MSG_COMMITS };
    uint64_t barred_ms = 0;
    federation f;

    fed_make(&f, &long_run);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    for (uint32_t i = 0; i < 3; i++) {
        fed_say(&f, 4, &wrong); /* costs nobody a round: it has sent no update */
        CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), i + 1);
        fed_join(&f, 4);
        finish_one(&f);
    }
    CU_ASSERT_EQUAL(barred_ms, 2 * PHASE_MS);
    CU_ASSERT(fed_noted(&f, "barred for 2 s"));
    CU_ASSERT_EQUAL(fm_coordinator_offended(f.c, f.nodes[4].peer, f.now_ms), FM_OK);
    CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), 4);
    CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-a", f.now_ms, &barred_ms), 0);
    fed_end(&f);
}

/* All others have released, and paid for the round. */
static void withhold_a_release(federation *f)
{
    fed_stop_all_at(f, 0);
    f->nodes[4].stop_at = FM_MSG_COMMITS;
    fed_pump(f);
    CU_ASSERT_EQUAL(fed_phase(f), FM_COORD_WAIT_RELEASES);
    fed_stop_all_at(f, FM_MSG_ROUND_START);
    fed_tick(f, PHASE_MS);
    CU_ASSERT(fed_noted(f, "no release for round"));
    fed_join(f, 4);
    fed_pump(f);
}

/* The first time may be an honest crash: the node is in the round after the next at once. */
static void a_withheld_release_weighs_more_than_a_late_update(void)
{
    uint64_t barred_ms = 0;
    federation f;

    fed_make(&f, &long_run);
    fed_join_all(&f, 5);
    withhold_a_release(&f);
    CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), 3);
    CU_ASSERT_EQUAL(barred_ms, 0);
    finish_one(&f); /* without it: it was begun before */
    withhold_a_release(&f);
    CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), 6);
    CU_ASSERT_EQUAL(barred_ms, 16 * PHASE_MS);
    finish_one(&f);
    finish_one(&f);
    CU_ASSERT_EQUAL(f.rounds[f.round_count - 1].participants, 4);
    fed_end(&f);
}

static void a_node_that_is_needed_does_not_wait(void)
{
    federation f;

    fed_make(&f, &five);
    for (uint32_t i = 1; i < 5; i++)
        fed_join(&f, i); /* four: no round can be without any of them */
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS);
    fed_pump(&f);
    for (int i = 0; i < 4; i++)
        lose_the_last(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

/* It approves the plan, but never the roster: each time costs the others a phase. */
static void a_node_that_refuses_every_roster_costs_less_and_less(void)
{
    uint32_t stalls = 0;
    federation f;

    fed_make(&f, &five);
    f.nodes[4].stop_at = FM_MSG_ROSTER;
    fed_join_all(&f, 5);
    for (int i = 0; i < 40 && fed_phase(&f) != FM_COORD_FINISHED; i++) {
        for (uint32_t k = 0; k < 4; k++)
            f.nodes[k].stop_at = FM_MSG_ROUND_START;
        fed_pump(&f);
        if (fed_phase(&f) == FM_COORD_WAIT_ROSTER) {
            stalls++;
            fed_tick(&f, PHASE_MS);
            fed_join(&f, 4); /* comes back at once */
            fed_pump(&f);
        }
        for (uint32_t k = 0; k < 4; k++)
            f.nodes[k].stop_at = FM_MSG_COMMITS;
        fed_pump(&f);
    }
    for (uint32_t k = 0; k < 4; k++)
        f.nodes[k].stop_at = 0;
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(stalls, 2); /* of eight rounds; no time passes in them */
    fed_end(&f);
}

/* More names than there is room to remember. */
static void more_names_than_places_give_way(void)
{
    const spec two = { .max_nodes = 2, .min_cohort = 2, .quorum = 2, .rounds = 1 };
    federation f;

    fed_make(&f, &two);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join(&f, 0);
    for (int turn = 0; turn < 3; turn++) {
        for (uint32_t i = 1; i < 6; i++) {
            fed_join(&f, i);
            fed_pump(&f);
            CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
            fed_leave(&f, i);
        }
    }
    fed_stop_all_at(&f, 0);
    fed_join(&f, 1);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

/* ---- a pause ---- */

static void say_paused(federation *f, uint32_t i)
{
    fm_message no = { .type = FM_MSG_ABANDON };

    no.abandon.round = f->last_given;
    fm_reason_set(no.abandon.reason, FM_ABANDON_PAUSED);
    fed_say(f, i, &no);
}

/* Again and again: at the round's start it costs nobody anything. */
static void a_paused_node_is_gone_without_harm_and_comes_back(void)
{
    uint64_t barred_ms = 0;
    federation f;

    fed_make(&f, &long_run);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    for (int i = 0; i < 4; i++) {
        const size_t drops = f.drop_count;

        say_paused(&f, 4);
        CU_ASSERT_EQUAL(f.drop_count, drops + 1);
        CU_ASSERT_STRING_EQUAL(f.drops[drops].text, "paused by its owner");
        finish_one(&f); /* without it */
        CU_ASSERT_EQUAL(f.rounds[f.round_count - 1].survivors, 4);
        CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), 0);
        fed_join(&f, 4);
        fed_pump(&f);
        finish_one(&f); /* begun before it came back */
        finish_one(&f);
        CU_ASSERT_EQUAL(f.rounds[f.round_count - 1].participants, 5);
    }
    fed_end(&f);
}

/* The word alone excuses nothing: its update is in the sum, and the others' round is lost. */
static void to_say_paused_after_an_update_is_harm_as_ever(void)
{
    uint64_t barred_ms = 0;
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_SURVIVORS);
    fed_join_all(&f, 5);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_COMMITS);
    say_paused(&f, 4);
    CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, "node-e", f.now_ms, &barred_ms), 1);
    CU_ASSERT_EQUAL_FATAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    fed_end(&f);
}

/* ---- budgets ---- */

static void give_up_for(federation *f, uint32_t i, const char *why)
{
    fm_message no = { .type = FM_MSG_ABANDON };

    no.abandon.round = f->last_given;
    no.abandon.final = true;
    fm_reason_set(no.abandon.reason, why);
    fed_say(f, i, &no);
}

static void give_up(federation *f, uint32_t i)
{
    give_up_for(f, i, FM_ABANDON_BUDGET);
}

/* Roster and round start were on their way when it said its last word; it answers them, too. */
static void what_crosses_the_last_word_is_passed_over(void)
{
    fm_message answer;
    bool answered = false;
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join_all(&f, 5);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
    give_up(&f, 4);
    node_read(&f, &f.nodes[4], &answered, &answer);
    CU_ASSERT(answered && answer.type == FM_MSG_ROSTER_ANSWER);
    fed_say(&f, 4, &answer);
    give_up(&f, 4);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

static void a_used_up_node_waits_for_the_result(void)
{
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    finish_one(&f);
    give_up(&f, 4);
    CU_ASSERT(fed_noted(&f, "node-e takes part in no further round: the privacy budget"));
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_clear_inbox(&f, 4); /* its RoundStart is answered (with the give-up) */
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.entry_count, 8);
    CU_ASSERT_EQUAL(f.rounds[1].survivors, 4);
    CU_ASSERT_EQUAL(f.rounds[2].participants, 4);
    CU_ASSERT_EQUAL(f.nodes[4].finish_rounds, 8);
    fed_end(&f);
}

/* In the middle of a round: its mask stays in the sum, so the round begins again without it. */
static void a_budget_that_ends_before_the_release_abandons_the_round(void)
{
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_join_all(&f, 5);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
    give_up(&f, 2);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROUND_START], 5 + 4);
    fed_end(&f);
}

static void too_many_used_up_conclude_the_run(bool leave)
{
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    finish_one(&f);
    finish_one(&f);
    give_up(&f, 4);
    if (leave)
        fed_leave(&f, 4); /* it is remembered */
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    give_up_for(&f, 3, leave ? FM_ABANDON_DECIDED : FM_ABANDON_BUDGET);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT(fed_noted(&f, leave
                                ? "2 of 5 nodes take part in no further round (budget used up: 1; "
                                  "their people's decision: 1): concluded after 2 of 8"
                                : "the budgets of 2 of 5 nodes are used up: concluded after 2 "
                                  "of 8"));
    fed_stop_all_at(&f, 0);
    fed_clear_inbox(&f, 3);
    fed_clear_inbox(&f, 4);
    for (uint32_t i = 0; i < 3; i++) {
        fed_pump(&f);
        CU_ASSERT_EQUAL(f.nodes[i].finish_rounds, 2);
    }
    CU_ASSERT_EQUAL(f.sent[FM_MSG_FINISH], leave ? 4 : 5);
    fed_end(&f);
}

static void too_many_used_up_conclude(void)
{
    too_many_used_up_conclude_the_run(false);
}

static void a_used_up_node_that_left_is_remembered(void)
{
    too_many_used_up_conclude_the_run(true);
}

static void a_raised_budget_counts_again(void)
{
    federation f;

    fed_make(&f, &five);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 5);
    fed_pump(&f);
    give_up(&f, 4);
    fed_leave(&f, 4);
    fed_join(&f, 4); /* approves the plan again */
    fed_pump(&f);
    give_up(&f, 3);
    CU_ASSERT_NOT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_clear_inbox(&f, 3);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.entry_count, 8);
    CU_ASSERT_EQUAL(f.nodes[3].finish_rounds, 8);
    fed_end(&f);
}

static const fm_test tests[] = {
    { "a paused node is gone without harm, and comes back",
      a_paused_node_is_gone_without_harm_and_comes_back },
    { "to say paused after an update is harm as ever",
      to_say_paused_after_an_update_is_harm_as_ever },
    { "a withheld release weighs more than a late update",
      a_withheld_release_weighs_more_than_a_late_update },
    { "a node lost again and again waits", a_node_lost_again_and_again_waits },
    { "what crosses a node's last word is passed over", what_crosses_the_last_word_is_passed_over },
    { "four finished rounds make up for a loss", four_finished_rounds_make_up_for_a_loss },
    { "one finished round does not: who spoils every other one waits longer and longer",
      one_finished_round_does_not },
    { "what no honest node says counts as a loss, whatever it cost",
      what_no_honest_node_says_counts_as_a_loss },
    { "a node that is needed does not wait", a_node_that_is_needed_does_not_wait },
    { "a node that refuses every roster costs less and less",
      a_node_that_refuses_every_roster_costs_less_and_less },
    { "more names than places give way", more_names_than_places_give_way },
    { "a used up node waits for the result", a_used_up_node_waits_for_the_result },
    { "a budget that ends before the release abandons the round",
      a_budget_that_ends_before_the_release_abandons_the_round },
    { "too many used up conclude", too_many_used_up_conclude },
    { "a used up node that left is remembered", a_used_up_node_that_left_is_remembered },
    { "a raised budget counts again", a_raised_budget_counts_again },
};
const fm_test_suite suite_round_records = { "aggregator.round.records", tests,
                                            FM_TEST_COUNT(tests) };
