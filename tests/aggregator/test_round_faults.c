/* Nodes lost, late, wrong or lying in every phase of a round. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static const spec five = {
    .max_nodes = 5, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 2
};

/* The message that nodes leave unread so that the coordinator waits in this phase. */
static fm_msg_type stop_for(fm_coordinator_phase p)
{
    switch (p) {
    case FM_COORD_WAIT_UPDATES:
        return FM_MSG_ROUND_START;
    case FM_COORD_WAIT_COMMITS:
        return FM_MSG_SURVIVORS;
    default:
        return FM_MSG_COMMITS;
    }
}

static void bring_to(federation *f, fm_coordinator_phase p)
{
    fed_make(f, &five);
    fed_stop_all_at(f, stop_for(p));
    fed_join_all(f, 5);
    fed_pump(f);
    CU_ASSERT_EQUAL_FATAL(fed_phase(f), p);
}

/* Whatever happened before: whoever is away comes back, and all rounds finish with exact sums. */
static void finishes(federation *f)
{
    fed_stop_all_at(f, 0);
    for (uint32_t i = 0; i < 5; i++)
        if (f->nodes[i].peer == 0)
            fed_join(f, i);
    for (int i = 0; i < 20 && fed_phase(f) != FM_COORD_FINISHED; i++) {
        fed_pump(f);
        fed_tick(f, PHASE_MS);
    }
    CU_ASSERT_EQUAL(fed_phase(f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f->entry_count, 2);
}

static void a_node_lost_while_updates_come_is_left_out(void)
{
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    CU_ASSERT_EQUAL(f.round_count, 0);
    finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

static void a_node_lost_after_its_update_ends_the_round(void)
{
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    f.nodes[4].stop_at = 0;
    fed_pump(&f);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT(strstr(f.rounds[0].reason, "lost after its update") != NULL);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ABANDON], 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES); /* of the next, without it */
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROUND_START], 5 + 4);
    finishes(&f);
    fed_end(&f);
}

static void too_many_lost_before_their_updates_end_the_round_at_once(void)
{
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    fed_leave(&f, 3);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT(strstr(f.rounds[0].reason, "too many nodes were lost") != NULL);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    CU_ASSERT(fed_noted(&f, "3 of the 4 nodes that a round needs are ready"));
    finishes(&f);
    fed_end(&f);
}

/* The last one that is waited for leaves: the others' updates are enough. */
static void the_last_open_node_leaving_closes_the_phase(void)
{
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    for (uint32_t i = 0; i < 4; i++)
        f.nodes[i].stop_at = FM_MSG_SURVIVORS;
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 4);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_COMMITS);
    finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

static void too_few_updates_in_time_end_the_round_and_keep_the_members(void)
{
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    f.nodes[0].stop_at = f.nodes[1].stop_at = FM_MSG_ABANDON;
    fed_pump(&f);
    fed_tick(&f, PHASE_MS);
    CU_ASSERT(!f.rounds[0].finished && strstr(f.rounds[0].reason, "too few updates") != NULL);
    CU_ASSERT(fed_noted(&f, "round 1: no update from node-e in time"));
    CU_ASSERT_EQUAL(f.drop_count, 0);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    finishes(&f);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static void lose_survivor_in(fm_coordinator_phase p)
{
    federation f;

    bring_to(&f, p);
    fed_leave(&f, 2);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, 5);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    finishes(&f);
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

    bring_to(&f, FM_COORD_WAIT_RELEASES);
    f.nodes[2].stop_at = 0;
    fed_pump(&f);
    fed_leave(&f, 2);
    CU_ASSERT_EQUAL(f.round_count, 0);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 5);
    CU_ASSERT(fed_stepped(&f, all, 5));
    finishes(&f);
    fed_end(&f);
}

static void late_in(fm_coordinator_phase p, const char *reason)
{
    federation f;

    bring_to(&f, p);
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
    finishes(&f);
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

    bring_to(&f, p);
    fed_tick(&f, PHASE_MS);
    CU_ASSERT_EQUAL(f.drop_count, 5);
    CU_ASSERT_EQUAL(f.round_count, 1);
    CU_ASSERT_EQUAL(fm_coordinator_members(f.c), 0);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    finishes(&f);
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

        bring_to(&f, p);
        for (uint32_t i = 0; i < 5; i++)
            fed_leave(&f, i);
        CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
        finishes(&f);
        fed_end(&f);
    }
}

static void a_refusal_drops_the_node_with_its_reason(void)
{
    fm_message no = { .type = FM_MSG_ABANDON };
    federation f;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    no.abandon.round = 1;
    fm_reason_set(no.abandon.reason, "the budget is spent");
    fed_say(&f, 3, &no);
    CU_ASSERT(fed_dropped(&f, 4, "it refused round 1: the budget is spent"));
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES); /* four can go on */
    finishes(&f);
    CU_ASSERT(f.rounds[0].finished && f.rounds[0].survivors == 4);
    fed_end(&f);
}

/* ---- wrong contents ---- */

typedef enum { WRONG_SIZE, WRONG_BYTES, WRONG_ROUND, OTHERS_SIGNATURE, LONG_SIGNATURE } update_lie;

static void lie_about_update(update_lie lie, const char *reason)
{
    uint8_t room[FM_SIGNATURE_MAX], longer[FM_SIGNATURE_MAX + 8] = { 0 }, words[PARAMETERS * 4];
    fm_message m, start;
    federation f;
    bool answered;

    bring_to(&f, FM_COORD_WAIT_UPDATES);
    node_read(&f, &f.nodes[0], &answered, &start); /* now it knows the round */
    m = node_update(&f, &f.nodes[0], room);
    memcpy(words, m.masked_update.masked.data, sizeof words);
    switch (lie) {
    case WRONG_SIZE:
        m.masked_update.masked.len -= 4;
        break;
    case WRONG_BYTES:
        words[5] ^= 1;
        m.masked_update.masked.data = words;
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
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, reason));
    CU_ASSERT_EQUAL(f.round_count, 0);
    finishes(&f);
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

    bring_to(&f, FM_COORD_WAIT_COMMITS);
    f.nodes[0].commit.bytes[3] ^= 1;
    m = node_commit(&f.nodes[0], room);
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, "its commit signs something else"));
    CU_ASSERT_FALSE(f.rounds[0].finished);
    finishes(&f);
    fed_end(&f);
}

/* A survivor gives the seeds of a node that has survived: no honest one would. */
static void a_release_for_other_nodes_is_refused(void)
{
    const uint32_t lost[] = { 3 };
    const uint8_t seeds[1][FM_SEED_BYTES] = { { 1 } };
    federation f;
    fm_message m = { .type = FM_MSG_RELEASE };

    bring_to(&f, FM_COORD_WAIT_RELEASES);
    m.release.round = 1;
    m.release.lost = lost;
    m.release.pair_seeds = seeds;
    m.release.lost_count = 1;
    fed_say(&f, 0, &m);
    CU_ASSERT(fed_dropped(&f, 1, "its release is not for the nodes that were lost"));
    CU_ASSERT_FALSE(f.rounds[0].finished);
    finishes(&f);
    fed_end(&f);
}

/* None, or another one. */
static void release_in_place_of_the_lost(uint32_t count)
{
    const uint32_t another[] = { 3 };
    const uint8_t seeds[1][FM_SEED_BYTES] = { { 1 } };
    federation f;
    fm_message m = { .type = FM_MSG_RELEASE };

    fed_make(&f, &five);
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
    finishes(&f);
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

    fed_make(&f, &five);
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
    finishes(&f);
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

    bring_to(&f, FM_COORD_WAIT_RELEASES);
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
    finishes(&f);
    fed_end(&f);
}

/* Seeds that do not fit the update: the sum is noise, and the model must not see it. */
static void wrong_seeds_stop_the_run_and_leave_the_model_alone(void)
{
    uint8_t room[FM_SIGNATURE_MAX];
    fm_dp_unmask *unmask = NULL;
    fm_message m;
    float before[PARAMETERS];
    federation f;

    /* Noise far below the width of a word, so that a left mask stands out. */
    const spec s = { .max_nodes = 5,
                     .min_cohort = 3,
                     .quorum = 4,
                     .rounds = 2,
                     .no_noise = true,
                     .max_units = 1 << 20 };

    fed_make(&f, &s);
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
    finishes(&f);
    fed_end(&f);
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
    finishes(&f);
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

static void a_round_number_that_cannot_be_kept_stops_the_run(void)
{
    federation f;
    fm_message answer;
    bool answered;

    fed_make(&f, &five);
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

    bring_to(&f, FM_COORD_WAIT_RELEASES);
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
    { "a round number that cannot be kept stops the run",
      a_round_number_that_cannot_be_kept_stops_the_run },
    { "a checkpoint that cannot be kept tells nobody of the round",
      a_checkpoint_that_cannot_be_kept_tells_nobody_of_the_round },
};
const fm_test_suite suite_round_faults = { "aggregator.round.faults", tests, FM_TEST_COUNT(tests) };
