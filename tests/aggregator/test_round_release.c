/* What nodes release: seeds for the wrong nodes, surplus noise, marks of their ledgers. */
#include <string.h>

#include "federation.h"
#include "suites.h"

/* A survivor gives the seeds of a node that has survived: no honest one would. */
static void a_release_for_other_nodes_is_refused(void)
{
    const uint32_t lost[] = { 3 };
    const uint8_t seeds[1][FM_SEED_BYTES] = { { 1 } };
    federation f;
    fm_message m = { .type = FM_MSG_RELEASE };

    fed_bring_to(&f, FM_COORD_WAIT_RELEASES);
    m.release.round = 1;
    m.release.lost = lost;
    m.release.pair_seeds = seeds;
    m.release.lost_count = 1;
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, "its release is not for the nodes that were lost"));
    CU_ASSERT_FALSE(f.rounds[0].finished);
    fed_finishes(&f);
    fed_end(&f);
}

/* None, or another one. */
static void release_in_place_of_the_lost(uint32_t count)
{
    const uint32_t another[] = { 3 };
    const uint8_t seeds[1][FM_SEED_BYTES] = { { 1 } };
    federation f;
    fm_message m = { .type = FM_MSG_RELEASE };

    fed_make(&f, &fed_five);
    fed_join_all(&f, 5);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    f.nodes[4].stop_at = FM_MSG_ROUND_START;
    fed_pump(&f);
    fed_leave(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
    m.release.round = 1;
    m.release.lost = another;
    m.release.pair_seeds = seeds;
    m.release.lost_count = count;
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, "its release is not for the nodes that were lost"));
    fed_finishes(&f);
    fed_end(&f);
}

static void a_release_without_the_lost_node_is_refused(void)
{
    release_in_place_of_the_lost(0);
}

static void a_release_for_another_than_the_lost_is_refused(void)
{
    release_in_place_of_the_lost(1);
}

/* Seeds of surplus noise, so many more than are due; with a node lost none is. */
static void wrong_surplus(int more, bool lose_one, const char *reason)
{
    uint8_t seeds[2][FM_SEED_BYTES], room[FM_SIGNATURE_MAX];
    fm_dp_unmask *unmask = NULL;
    federation f;
    fm_message m;

    fed_make(&f, &fed_five);
    fed_join_all(&f, 5);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    if (lose_one)
        f.nodes[4].stop_at = FM_MSG_ROUND_START;
    fed_pump(&f);
    if (lose_one) {
        fed_leave(&f, 4);
        fed_pump(&f);
    }
    CU_ASSERT_EQUAL_FATAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
    m = node_release(&f, &f.nodes[0], &unmask, room);
    CU_ASSERT_EQUAL_FATAL(m.release.surplus_count, lose_one ? 0 : 1);
    memcpy(seeds, unmask->surplus_seeds, sizeof seeds);
    m.release.surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds;
    m.release.surplus_count = (uint32_t)((int)m.release.surplus_count + more);
    fed_say(&f, 0, &m);
    fm_dp_unmask_free(&unmask);
    CU_ASSERT(fed_dropped(&f, 1, reason));
    CU_ASSERT_FALSE(f.rounds[0].finished);
    fed_finishes(&f);
    fed_end(&f);
}

static void a_release_that_keeps_its_surplus_is_refused(void)
{
    wrong_surplus(-1, false, "gives back 0 parts of its noise, not 1");
}

static void a_release_of_more_than_the_surplus_is_refused(void)
{
    wrong_surplus(1, false, "gives back 2 parts of its noise, not 1");
}

static void a_release_of_surplus_when_there_is_none_is_refused(void)
{
    wrong_surplus(1, true, "gives back 1 parts of its noise, not 0");
}

/* Nobody can tell: as if its records had been others. All else goes on. */
static void surplus_that_was_never_added_is_as_dishonest_data(void)
{
    const uint32_t all[] = { 0, 1, 2, 3, 4 };
    uint8_t room[FM_SIGNATURE_MAX];
    fm_dp_unmask *unmask = NULL;
    federation f;
    fm_message m;

    fed_bring_to(&f, FM_COORD_WAIT_RELEASES);
    for (uint32_t i = 1; i < 5; i++)
        f.nodes[i].stop_at = FM_MSG_ROUND_START;
    fed_pump(&f);
    m = node_release(&f, &f.nodes[0], &unmask, room);
    unmask->surplus_seeds[0][0] ^= 1;
    fed_say(&f, 0, &m);
    fm_dp_unmask_free(&unmask);
    CU_ASSERT_EQUAL_FATAL(f.entry_count, 1);
    CU_ASSERT_FALSE(fed_stepped(&f, all, 5));
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_clear_inbox(&f, 0);
    fed_leave(&f, 0);
    fed_finishes(&f);
    fed_end(&f);
}

/* Seeds that do not fit the update: the sum is noise, and the model must not see it. */
static void stop_at_wrong_seeds(const spec *s)
{
    uint8_t room[FM_SIGNATURE_MAX];
    fm_dp_unmask *unmask = NULL;
    fm_message m;
    float before[PARAMETERS];
    federation f;

    fed_make(&f, s);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_join_all(&f, 5);
    fed_pump(&f);
    memcpy(before, f.optimizer->weights, sizeof before);
    f.nodes[1].stop_at = f.nodes[2].stop_at = f.nodes[3].stop_at = f.nodes[4].stop_at = 0;
    fed_pump(&f);
    m = node_release(&f, &f.nodes[0], &unmask, room);
    memset(m.release.self_seed, 7, FM_SEED_BYTES);
    CU_ASSERT_EQUAL(fm_coordinator_take(f.c, f.nodes[0].peer, &m, f.now_ms, f.now_s), FM_EPROTO);
    CU_ASSERT(memcmp(before, f.optimizer->weights, sizeof before) == 0);
    CU_ASSERT_EQUAL(f.entry_count, 0);
    fm_dp_unmask_free(&unmask);
    fed_restart(&f);
    fed_finishes(&f);
    fed_end(&f);
}

/* With noise in words of 16 bits, too: the noise is far below the width of a word. */
static void wrong_seeds_stop_the_run_and_leave_the_model_alone(void)
{
    spec s = { .max_nodes = 5, .min_cohort = 3, .quorum = 4, .rounds = 2 };

    for (s.word_bits = 16; s.word_bits <= 32; s.word_bits += 8)
        stop_at_wrong_seeds(&s);
    s.word_bits = 32;
    s.no_noise = true;
    s.max_units = 1 << 20;
    stop_at_wrong_seeds(&s);
}

/* A mark that its node did not sign is worth nothing to it later: kept by nobody. */
static void a_release_without_a_signed_ledger_mark_is_refused(void)
{
    const spec s = { .max_nodes = 5, .min_cohort = 3, .quorum = 4, .rounds = 2 };
    uint8_t room[FM_SIGNATURE_MAX];
    fm_dp_unmask *unmask = NULL;
    uint64_t peer;
    fm_message m;
    federation f;

    fed_make(&f, &s);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_join_all(&f, 5);
    fed_pump(&f);
    m = node_release(&f, &f.nodes[0], &unmask, room);
    m.release.ledger_head.bytes[0] ^= 1;
    peer = f.nodes[0].peer;
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, peer, "mark of its ledger"));
    CU_ASSERT_EQUAL(f.mark_count, 0);
    fm_dp_unmask_free(&unmask);
    fed_stop_all_at(&f, 0);
    fed_finishes(&f);
    fed_end(&f);
}

/* Each node finds the newest mark that it signed when it comes back. */
static void a_node_that_joins_again_is_handed_its_newest_mark(void)
{
    const spec s = { .max_nodes = 4, .min_cohort = 3, .quorum = 3, .rounds = 3 };
    federation f;

    fed_make(&f, &s);
    fed_join_all(&f, 4);
    CU_ASSERT_EQUAL(f.nodes[2].offered_mark, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.mark_count, 4);
    fed_restart(&f);
    fed_join(&f, 2);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.nodes[2].offered_mark, 3);
    CU_ASSERT_FALSE(fm_hash_is_zero(&f.nodes[2].offered_head));
    fed_end(&f);
}

/* ---- our own side fails ---- */

static const fm_test tests[] = {
    { "a release for other nodes is refused", a_release_for_other_nodes_is_refused },
    { "a release for another than the lost is refused",
      a_release_for_another_than_the_lost_is_refused },
    { "a release without the lost node is refused", a_release_without_the_lost_node_is_refused },
    { "a release that keeps its surplus is refused", a_release_that_keeps_its_surplus_is_refused },
    { "a release of more than the surplus is refused",
      a_release_of_more_than_the_surplus_is_refused },
    { "a release of surplus when there is none is refused",
      a_release_of_surplus_when_there_is_none_is_refused },
    { "surplus that was never added is as dishonest data",
      surplus_that_was_never_added_is_as_dishonest_data },
    { "wrong seeds stop the run and leave the model alone",
      wrong_seeds_stop_the_run_and_leave_the_model_alone },
    { "a release without a signed ledger mark is refused",
      a_release_without_a_signed_ledger_mark_is_refused },
    { "a node that joins again is handed its newest mark",
      a_node_that_joins_again_is_handed_its_newest_mark },
};

const fm_test_suite suite_round_release = { "aggregator.round.release", tests,
                                            FM_TEST_COUNT(tests) };
