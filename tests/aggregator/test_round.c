/* Rounds that go well, with and without losses: what comes out is the plain sum, bit for bit. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static const spec six = {
    .max_nodes = 6, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 3
};
static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };

static void finish_every_round(uint32_t word_bits)
{
    const spec s = { .max_nodes = 4,
                     .min_cohort = 3,
                     .quorum = 3,
                     .colluders = 1,
                     .rounds = 5,
                     .word_bits = word_bits };
    federation f;

    fed_make(&f, &s);
    fed_join_all(&f, 4);
    for (uint32_t r = 0; r < s.rounds; r++) {
        fed_stop_all_at(&f, FM_MSG_COMMITS);
        fed_pump(&f); /* every update of this round is in */
        CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
        CU_ASSERT_EQUAL(f.nodes[3].entries, r > 0); /* only what it cannot know yet */
        fed_stop_all_at(&f, FM_MSG_ROUND_START);
        fed_pump(&f);
        CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), r + 1);
        CU_ASSERT(fed_stepped(&f, all, 4));
    }
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    CU_ASSERT_EQUAL(f.round_count, 5);
    for (size_t i = 0; i < f.round_count; i++)
        CU_ASSERT(f.rounds[i].finished && f.rounds[i].survivors == 4 &&
                  f.rounds[i].participants == 4);
    for (uint32_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(f.nodes[i].finish_rounds, 5);
        CU_ASSERT(memcmp(f.nodes[i].result, f.optimizer->weights, sizeof f.nodes[i].result) == 0);
        CU_ASSERT(fm_hash_equal(&f.nodes[i].head, &f.head));
    }
    fed_end(&f);
}

static void four_nodes_finish_every_round_with_the_plain_sum(void)
{
    for (uint32_t bits = 16; bits <= 32; bits += 8)
        finish_every_round(bits);
}

static void without_noise_the_sum_is_that_of_the_encodings(void)
{
    const spec s = { .max_nodes = 4, .min_cohort = 3, .quorum = 3, .rounds = 1, .no_noise = true };
    federation f;

    fed_make(&f, &s);
    fed_join_all(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT(fed_stepped(&f, all, 4));
    fed_end(&f);
}

/* All of it stays: nobody gives anything back. */
static void local_noise_stays_whole(void)
{
    const spec s = { .max_nodes = 4,
                     .min_cohort = 3,
                     .quorum = 3,
                     .colluders = 1,
                     .rounds = 1,
                     .local_noise = true };
    federation f;

    fed_make(&f, &s);
    fed_join_all(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(fm_dp_shares_levels(fed_shares(&f, 4)), 1);
    CU_ASSERT_EQUAL(fm_dp_shares_surplus(fed_shares(&f, 4), 4), 0);
    CU_ASSERT(fed_stepped(&f, all, 4));
    fed_end(&f);
}

/* Of six nodes `silent` have left, or are late. */
static void run_with_losses_at(uint32_t word_bits, uint32_t lost, bool leave)
{
    federation f;
    spec s = six;

    s.word_bits = word_bits;
    fed_make(&f, &s);
    CU_ASSERT_EQUAL(f.lattice.word_bits, word_bits);
    fed_join_all(&f, 6);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    for (uint32_t i = lost; i < 6; i++)
        f.nodes[i].stop_at = 0;
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f),
                    lost ? FM_COORD_WAIT_UPDATES : FM_COORD_FINISHED); /* all three rounds */
    for (uint32_t i = lost; i < 6; i++)
        f.nodes[i].stop_at = FM_MSG_ROUND_START;
    for (uint32_t i = 0; leave && i < lost; i++)
        fed_leave(&f, i);
    if (lost && !leave)
        fed_tick(&f, PHASE_MS);
    fed_pump(&f);
    if (lost) {
        CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), 1);
        CU_ASSERT_EQUAL(f.rounds[0].survivors, 6 - lost);
        CU_ASSERT_EQUAL(f.rounds[0].participants, 6);
        CU_ASSERT(f.rounds[0].finished);
        CU_ASSERT(fed_stepped(&f, all + lost, 6 - lost));
        CU_ASSERT_EQUAL(f.drop_count, 0);
    }
    fed_end(&f);
}

static void run_with_losses(uint32_t lost, bool leave)
{
    for (uint32_t bits = 16; bits <= 32; bits += 8)
        run_with_losses_at(bits, lost, leave);
}

/*
 * 40 nodes that share masks with half of the others each; those of the last `lost` come off again by
 * the seeds of all survivors, edge or not.
 */
static void run_sparsely(uint32_t word_bits, uint32_t lost)
{
    const spec sparse = { .max_nodes = PEOPLE,
                          .min_cohort = 21,
                          .quorum = 21,
                          .rounds = 1,
                          .max_units = 120,
                          .local_noise = true, /* one level */
                          .word_bits = word_bits,
                          .mask_density = 128 };
    uint32_t survivors[PEOPLE];
    federation f;

    fed_make(&f, &sparse);
    f.trusting = true;
    for (uint32_t i = 0; i < PEOPLE; i++)
        survivors[i] = i;
    for (uint32_t i = PEOPLE - lost; i < PEOPLE; i++)
        f.nodes[i].stop_at = FM_MSG_ROUND_START;
    fed_join_all(&f, PEOPLE);
    fed_pump(&f);
    if (lost > 0)
        fed_tick(&f, PHASE_MS);
    fed_pump(&f);
    CU_ASSERT_EQUAL_FATAL(f.entry_count, 1);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, PEOPLE - lost);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    CU_ASSERT(fed_stepped(&f, survivors, PEOPLE - lost));
    fed_end(&f);
}

static void many_nodes_with_some_masks(void)
{
    run_sparsely(32, 0);
    run_sparsely(24, 7);
    run_sparsely(32, 19);
}

static void no_node_lost(void)
{
    run_with_losses(0, true);
}

static void one_node_gone_before_its_update_is_unmasked_away(void)
{
    run_with_losses(1, true);
}

static void two_nodes_gone_before_their_updates_are_unmasked_away(void)
{
    run_with_losses(2, true);
}

static void one_late_node_is_left_out(void)
{
    run_with_losses(1, false);
}

static void two_late_nodes_are_left_out(void)
{
    run_with_losses(2, false);
}

static void a_left_out_node_takes_part_in_the_next_round(void)
{
    federation f;

    fed_make(&f, &six);
    fed_join_all(&f, 6);
    f.nodes[2].stop_at = FM_MSG_ROUND_START;
    fed_pump(&f);
    fed_tick(&f, PHASE_MS);
    CU_ASSERT(fed_noted(&f, "round 1: no update from node-c in time; left out"));
    for (uint32_t i = 0; i < 6; i++)
        f.nodes[i].stop_at = i == 2 ? 0 : FM_MSG_ROUND_START;
    fed_pump(&f); /* its update of round 1 is passed over; it also reads the start of round 2 */
    CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), 1);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    CU_ASSERT_EQUAL(f.rounds[1].survivors, 6);
    fed_end(&f);
}

static void a_number_is_never_used_twice_and_only_grows(void)
{
    federation f;

    fed_make(&f, &six);
    fed_join_all(&f, 6);
    for (int i = 0; i < 2; i++) { /* abandon two rounds, and restart in the middle of a third */
        fed_stop_all_at(&f, FM_MSG_SURVIVORS);
        fed_pump(&f);
        fed_leave(&f, 0);
        fed_stop_all_at(&f, FM_MSG_ROUND_START);
        fed_join(&f, 0);
        fed_pump(&f);
        fed_tick(&f, PHASE_MS);
    }
    fed_restart(&f);
    fed_stop_all_at(&f, 0);
    fed_join_all(&f, 6);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    for (size_t i = 1; i < f.round_count; i++)
        CU_ASSERT(f.rounds[i].round > f.rounds[i - 1].round);
    fed_end(&f);
}

static void a_restart_goes_on_from_the_last_finished_round(void)
{
    federation f;

    fed_make(&f, &six);
    fed_join_all(&f, 6);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_pump(&f);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT(fed_stepped(&f, all, 6));
    fed_restart(&f);
    CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), 1);
    fed_join_all(&f, 6);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_pump(&f);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), 2);
    CU_ASSERT(fed_stepped(&f, all, 6));
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static void a_late_member_gets_the_result_of_a_finished_federation(void)
{
    federation f;

    fed_make(&f, &six);
    fed_join_all(&f, 5);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_join(&f, 5);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.nodes[5].finish_rounds, 3);
    CU_ASSERT(fm_hash_equal(&f.nodes[5].head, &f.head));
    fed_restart(&f); /* also one that starts with nothing left to do */
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_join(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.nodes[0].finish_rounds, 3);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static const fm_test tests[] = {
    { "four nodes finish every round with the plain sum",
      four_nodes_finish_every_round_with_the_plain_sum },
    { "local noise stays whole", local_noise_stays_whole },
    { "without noise the sum is that of the encodings",
      without_noise_the_sum_is_that_of_the_encodings },
    { "many nodes with some masks each", many_nodes_with_some_masks },
    { "no node lost", no_node_lost },
    { "one node gone before its update is unmasked away",
      one_node_gone_before_its_update_is_unmasked_away },
    { "two nodes gone before their updates are unmasked away",
      two_nodes_gone_before_their_updates_are_unmasked_away },
    { "one late node is left out", one_late_node_is_left_out },
    { "two late nodes are left out", two_late_nodes_are_left_out },
    { "a left out node takes part in the next round",
      a_left_out_node_takes_part_in_the_next_round },
    { "a number is never used twice and only grows", a_number_is_never_used_twice_and_only_grows },
    { "a restart goes on from the last finished round",
      a_restart_goes_on_from_the_last_finished_round },
    { "a late member gets the result of a finished federation",
      a_late_member_gets_the_result_of_a_finished_federation },
};
const fm_test_suite suite_round = { "aggregator.round", tests, FM_TEST_COUNT(tests) };
