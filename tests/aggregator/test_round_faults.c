/* Nodes lost, late, wrong or lying in the phases of a round; what they release: test_round_release.c. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static void a_node_lost_while_updates_come_is_left_out(void)
{
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    CU_ASSERT_EQUAL(f.round_count, 0);
    fed_finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

static void a_node_lost_after_its_update_ends_the_round(void)
{
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    f.nodes[4].stop_at = 0;
    fed_pump(&f);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT(strstr(f.rounds[0].reason, "lost after its update") != NULL);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ABANDON], 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES); /* of the next, without it */
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROUND_START], 5 + 4);
    fed_finishes(&f);
    fed_end(&f);
}

static void too_many_lost_before_their_updates_end_the_round_at_once(void)
{
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    fed_leave(&f, 3);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT(strstr(f.rounds[0].reason, "too many nodes were lost") != NULL);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    CU_ASSERT(fed_noted(&f, "3 of the 4 nodes that a round needs are ready"));
    fed_finishes(&f);
    fed_end(&f);
}

/* The last one that is waited for leaves: the others' updates are enough. */
static void the_last_open_node_leaving_closes_the_phase(void)
{
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    for (uint32_t i = 0; i < 4; i++)
        f.nodes[i].stop_at = FM_MSG_SURVIVORS;
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_COMMITS);
    fed_finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

static void too_few_updates_in_time_end_the_round_and_keep_the_members(void)
{
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    f.nodes[0].stop_at = f.nodes[1].stop_at = FM_MSG_ABANDON;
    fed_pump(&f);
    fed_tick(&f, PHASE_MS);
    CU_ASSERT(!f.rounds[0].finished && strstr(f.rounds[0].reason, "too few updates") != NULL);
    CU_ASSERT(fed_noted(&f, "round 1: no update from node-e in time"));
    CU_ASSERT_EQUAL(f.drop_count, 0);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_finishes(&f);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static void lose_survivor_in(fm_coordinator_phase p)
{
    federation f;

    fed_bring_to(&f, p);
    fed_leave(&f, 2);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, 5);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_finishes(&f);
    fed_end(&f);
}

static void a_survivor_lost_before_commits_ends_the_round(void)
{
    lose_survivor_in(FM_COORD_WAIT_COMMITS);
}

static void a_survivor_lost_before_its_release_ends_the_round(void)
{
    lose_survivor_in(FM_COORD_WAIT_RELEASES);
}

static void a_survivor_lost_after_its_release_is_not_missed(void)
{
    const uint32_t all[] = { 0, 1, 2, 3, 4 };
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_RELEASES);
    f.nodes[2].stop_at = 0;
    fed_pump(&f);
    fed_leave(&f, 2);
    CU_ASSERT_EQUAL(f.round_count, 0);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 5);
    CU_ASSERT(fed_stepped(&f, all, 5));
    fed_finishes(&f);
    fed_end(&f);
}

static void late_in(fm_coordinator_phase p, const char *reason)
{
    federation f;

    fed_bring_to(&f, p);
    for (uint32_t i = 0; i < 4; i++)
        f.nodes[i].stop_at = FM_MSG_ABANDON;
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), p);
    fed_tick(&f, PHASE_MS - 1);
    CU_ASSERT_EQUAL(f.round_count, 0);
    fed_tick(&f, 1);
    CU_ASSERT(fed_dropped(&f, 5, reason));
    CU_ASSERT_EQUAL(f.drop_count, 1);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_finishes(&f);
    fed_end(&f);
}

static void a_late_commit_drops_the_node_and_ends_the_round(void)
{
    late_in(FM_COORD_WAIT_COMMITS, "no commit for round 1 in time");
}

static void a_late_release_drops_the_node_and_ends_the_round(void)
{
    late_in(FM_COORD_WAIT_RELEASES, "no release for round 1 in time");
}

/* All late at once: each is dropped, none is touched after it was. */
static void all_late_in(fm_coordinator_phase p)
{
    federation f;

    fed_bring_to(&f, p);
    fed_tick(&f, PHASE_MS);
    CU_ASSERT_EQUAL(f.drop_count, 5);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_EQUAL(fm_coordinator_members(f.c), 0);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_finishes(&f);
    fed_end(&f);
}

static void all_commits_late(void)
{
    all_late_in(FM_COORD_WAIT_COMMITS);
}

static void all_releases_late(void)
{
    all_late_in(FM_COORD_WAIT_RELEASES);
}

static void all_gone_in_every_phase(void)
{
    for (fm_coordinator_phase p = FM_COORD_WAIT_UPDATES; p <= FM_COORD_WAIT_RELEASES; p++) {
        federation f;

        fed_bring_to(&f, p);
        for (uint32_t i = 0; i < 5; i++)
            fed_leave(&f, i);
        CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
        fed_finishes(&f);
        fed_end(&f);
    }
}

static void a_refusal_drops_the_node_with_its_reason(void)
{
    fm_message no = { .type = FM_MSG_ABANDON };
    federation f;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    no.abandon.round = 1;
    fm_reason_set(no.abandon.reason, "the budget is spent");
    fed_say(&f, 3, &no);
    CU_ASSERT(fed_dropped(&f, 4, "it refused round 1: the budget is spent"));
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES); /* four can go on */
    fed_finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

/* ---- wrong contents ---- */

typedef enum { WRONG_SIZE, WRONG_BYTES, WRONG_ROUND, OTHERS_SIGNATURE, LONG_SIGNATURE } update_lie;

static void lie_about_update(update_lie lie, const char *reason)
{
    uint8_t room[FM_SIGNATURE_MAX], longer[FM_SIGNATURE_MAX + 8] = { 0 }, words[PARAMETERS * 4];
    fm_message m, start, piece = { .type = FM_MSG_UPDATE_PIECE };
    fm_bytes *bytes = &piece.update_piece.piece;
    federation f;
    bool answered;

    fed_bring_to(&f, FM_COORD_WAIT_UPDATES);
    f.nodes[0].quiet = f.nodes[1].quiet = true;
    node_read(&f, &f.nodes[0], &answered, &start); /* now it knows the round */
    m = node_update_of(&f, &f.nodes[0], room, bytes);
    memcpy(words, bytes->data, sizeof words);
    piece.update_piece.round = 1;
    switch (lie) {
    case WRONG_SIZE:
        bytes->len -= 4;
        break;
    case WRONG_BYTES:
        words[5] ^= 1;
        bytes->data = words;
        break;
    case WRONG_ROUND:
        m.masked_update.round = 2;
        break;
    case OTHERS_SIGNATURE:
        node_read(&f, &f.nodes[1], &answered, &start);
        m.masked_update.signature = node_update(&f, &f.nodes[1], room).masked_update.signature;
        break;
    case LONG_SIGNATURE:
        memcpy(longer, room, m.masked_update.signature.len);
        m.masked_update.signature = (fm_bytes){ longer, sizeof longer };
        break;
    }
    fed_say(&f, 0, &piece);
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, reason));
    CU_ASSERT_EQUAL(f.round_count, 0);
    f.nodes[0].quiet = f.nodes[1].quiet = false;
    fed_finishes(&f);
    fed_end(&f);
}

static void an_update_of_another_size_is_refused(void)
{
    lie_about_update(WRONG_SIZE, "28 bytes, not 32");
}

static void an_update_changed_on_the_way_is_refused(void)
{
    lie_about_update(WRONG_BYTES, "the signature of its update is wrong");
}

static void an_update_for_a_round_to_come_is_refused(void)
{
    lie_about_update(WRONG_ROUND, "round 2, which was not started with it");
}

static void an_update_signed_by_another_is_refused(void)
{
    lie_about_update(OTHERS_SIGNATURE, "the signature of its update is wrong");
}

static void a_signature_longer_than_any_is_refused(void)
{
    lie_about_update(LONG_SIGNATURE, "the signature of its update is wrong");
}

static void a_commit_to_something_else_is_refused(void)
{
    uint8_t room[FM_SIGNATURE_MAX];
    federation f;
    fm_message m;

    fed_bring_to(&f, FM_COORD_WAIT_COMMITS);
    f.nodes[0].commit.bytes[3] ^= 1;
    m = node_commit(&f.nodes[0], room);
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, "its commit signs something else"));
    CU_ASSERT_FALSE(f.rounds[0].finished);
    fed_finishes(&f);
    fed_end(&f);
}

static void a_round_number_that_cannot_be_kept_stops_the_run(void)
{
    federation f;
    fm_message answer;
    bool answered;

    fed_make(&f, &fed_five);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join_all(&f, 5);
    fed_pump(&f);
    f.next_fails = FM_EIO;
    for (uint32_t i = 0; i < 5; i++) {
        node_read(&f, &f.nodes[i], &answered, &answer);
        CU_ASSERT_EQUAL(fm_coordinator_take(f.c, f.nodes[i].peer, &answer, f.now_ms, f.now_s),
                        i < 4 ? FM_OK : FM_EIO);
    }
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROUND_START], 0);
    fed_end(&f);
}

static void a_checkpoint_that_cannot_be_kept_tells_nobody_of_the_round(void)
{
    federation f;
    fm_message answer;
    bool answered;

    fed_bring_to(&f, FM_COORD_WAIT_RELEASES);
    f.finish_fails = FM_EIO;
    for (uint32_t i = 0; i < 5; i++) {
        node_read(&f, &f.nodes[i], &answered, &answer);
        CU_ASSERT_EQUAL(fm_coordinator_take(f.c, f.nodes[i].peer, &answer, f.now_ms, f.now_s),
                        i < 4 ? FM_OK : FM_EIO);
    }
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROUND_START], 5);
    CU_ASSERT_EQUAL(f.round_count, 0);
    CU_ASSERT_EQUAL(fm_coordinator_finished(f.c), 0);
    fed_end(&f);
}

static const fm_test tests[] = {
    { "a node lost while updates come is left out", a_node_lost_while_updates_come_is_left_out },
    { "a node lost after its update ends the round", a_node_lost_after_its_update_ends_the_round },
    { "too many lost before their updates end the round at once",
      too_many_lost_before_their_updates_end_the_round_at_once },
    { "the last open node leaving closes the phase", the_last_open_node_leaving_closes_the_phase },
    { "too few updates in time end the round and keep the members",
      too_few_updates_in_time_end_the_round_and_keep_the_members },
    { "a survivor lost before commits ends the round",
      a_survivor_lost_before_commits_ends_the_round },
    { "a survivor lost before its release ends the round",
      a_survivor_lost_before_its_release_ends_the_round },
    { "a survivor lost after its release is not missed",
      a_survivor_lost_after_its_release_is_not_missed },
    { "a late commit drops the node and ends the round",
      a_late_commit_drops_the_node_and_ends_the_round },
    { "a late release drops the node and ends the round",
      a_late_release_drops_the_node_and_ends_the_round },
    { "all commits late", all_commits_late },
    { "all releases late", all_releases_late },
    { "all gone in every phase", all_gone_in_every_phase },
    { "a refusal drops the node with its reason", a_refusal_drops_the_node_with_its_reason },
    { "an update of another size is refused", an_update_of_another_size_is_refused },
    { "an update changed on the way is refused", an_update_changed_on_the_way_is_refused },
    { "an update for a round to come is refused", an_update_for_a_round_to_come_is_refused },
    { "an update signed by another is refused", an_update_signed_by_another_is_refused },
    { "a signature longer than any is refused", a_signature_longer_than_any_is_refused },
    { "a commit to something else is refused", a_commit_to_something_else_is_refused },
    { "a round number that cannot be kept stops the run",
      a_round_number_that_cannot_be_kept_stops_the_run },
    { "a checkpoint that cannot be kept tells nobody of the round",
      a_checkpoint_that_cannot_be_kept_tells_nobody_of_the_round },
};

const fm_test_suite suite_round_faults = { "aggregator.round.faults", tests, FM_TEST_COUNT(tests) };
