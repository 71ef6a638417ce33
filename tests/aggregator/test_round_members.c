/* Who takes part: joining, rosters, the plan, the transcript, certificates. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static const spec four = {
    .max_nodes = 4, .min_cohort = 3, .quorum = 3, .colluders = 1, .rounds = 3
};

static void a_full_federation_starts_at_once(void)
{
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join_all(&f, 3);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_join(&f, 3);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
    fed_end(&f);
}

static void enough_members_start_after_join_ms_from_the_first(void)
{
    federation f;

    fed_make(&f, &four);
    fed_tick(&f, 10 * JOIN_MS); /* nobody there: no time runs */
    fed_join_all(&f, 3);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS - 1);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    CU_ASSERT_EQUAL(fm_coordinator_wait_ms(f.c, f.now_ms), 1);
    fed_tick(&f, 1);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

static void too_few_members_wait_and_the_next_one_starts_them(void)
{
    federation f;

    fed_make(&f, &four);
    fed_join_all(&f, 2);
    fed_pump(&f);
    for (int i = 0; i < 5; i++)
        fed_tick(&f, JOIN_MS);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    CU_ASSERT(fed_noted(&f, "2 of the 3 nodes that a round needs are ready; waiting"));
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROSTER], 0);
    fed_join(&f, 2);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

static void all_leaving_before_the_start_resets_the_time(void)
{
    federation f;

    fed_make(&f, &four);
    fed_join(&f, 0);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS - 1);
    fed_leave(&f, 0);
    fed_tick(&f, 100);
    fed_join_all(&f, 3);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS - 1);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_tick(&f, 1);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
    fed_end(&f);
}

static void one_member_too_many_is_refused(void)
{
    federation f;

    fed_make(&f, &four);
    fed_join_all(&f, 5);
    CU_ASSERT(fed_dropped(&f, 5, "the federation is full"));
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.drop_count, 1);
    fed_end(&f);
}

static void a_member_that_joins_within_a_round_enters_at_the_next(void)
{
    federation f;
    fm_session first;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_SURVIVORS);
    fed_join_all(&f, 3);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_COMMITS);
    first = f.nodes[0].session;
    fed_join(&f, 3);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_COMMITS);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROSTER], 3);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROSTER], 3 + 4);
    CU_ASSERT(memcmp(&first, &f.nodes[0].session, sizeof first) != 0);
    CU_ASSERT_EQUAL(f.rounds[0].participants, 3);
    CU_ASSERT_EQUAL(f.rounds[1].participants, 4);
    CU_ASSERT_EQUAL(f.nodes[3].member_count, 4);
    fed_end(&f);
}

static void a_node_that_comes_back_takes_its_own_place(void)
{
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 4);
    fed_pump(&f);
    fed_join(&f, 1); /* without leaving: the old session is replaced */
    CU_ASSERT(fed_dropped(&f, 2, "a newer session of the same name"));
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, 3);
    CU_ASSERT_EQUAL(f.rounds[1].survivors, 4);
    CU_ASSERT_EQUAL(f.drop_count, 1);
    fed_end(&f);
}

static void a_member_that_refuses_the_plan_is_dropped_with_its_reason(void)
{
    fm_message no = { .type = FM_MSG_PLAN_ANSWER };
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_PLAN_OFFER);
    fed_join_all(&f, 4);
    no.plan_answer.plan_hash = fm_plan_hash(f.plan_bytes.data, f.plan_bytes.len);
    fm_reason_set(no.plan_answer.reason, "epsilon 1 is more than 0.5");
    fed_say(&f, 0, &no);
    CU_ASSERT(fed_dropped(&f, 1, "it refuses the plan: epsilon 1 is more than 0.5"));
    CU_ASSERT(fed_noted(&f, "node-a dropped: it refuses the plan: epsilon 1"));
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    fed_tick(&f, JOIN_MS);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

static void an_answer_about_another_plan_is_refused(void)
{
    fm_message yes = { .type = FM_MSG_PLAN_ANSWER };
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_PLAN_OFFER);
    fed_join(&f, 0);
    yes.plan_answer.approved = true;
    fed_say(&f, 0, &yes);
    CU_ASSERT(fed_dropped(&f, 1, "about another plan"));
    fed_end(&f);
}

static void a_plan_cannot_be_approved_before_join(void)
{
    fm_message yes = { .type = FM_MSG_PLAN_ANSWER };
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_PLAN_OFFER);
    fed_join(&f, 0);
    yes.plan_answer.plan_hash = fm_plan_hash(f.plan_bytes.data, f.plan_bytes.len);
    yes.plan_answer.approved = true;
    fed_say(&f, 0, &yes);
    CU_ASSERT(fed_dropped(&f, 1, "before it sent Join"));
    fed_end(&f);
}

/* A coordinator that was set back to an older state, or lies. */
static void a_head_ahead_of_ours_is_refused(void)
{
    federation f;

    fed_make(&f, &four);
    fed_join_all(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.entry_count, 3);
    f.entry_count = 1;
    memset(&f.head, 0, sizeof f.head);
    f.head = fm_transcript_next(&f.head, &f.entries[0]);
    fed_restart(&f);
    fed_join(&f, 0);
    fed_pump(&f);
    CU_ASSERT(fed_dropped(&f, 5, "its transcript (to round 3) is not part of ours (to round 1)"));
    CU_ASSERT_EQUAL(fm_coordinator_members(f.c), 0);
    fed_end(&f);
}

static void a_head_that_branches_off_ours_is_refused(void)
{
    federation f;

    fed_make(&f, &four);
    fed_join_all(&f, 4);
    fed_pump(&f);
    f.entry_count = 2;
    memset(&f.head, 0, sizeof f.head);
    for (uint32_t i = 0; i < 2; i++)
        f.head = fm_transcript_next(&f.head, &f.entries[i]);
    fed_restart(&f);
    f.nodes[0].finished_round = 2;
    f.nodes[0].head.bytes[0] ^= 1;
    fed_join(&f, 0);
    fed_pump(&f);
    CU_ASSERT(fed_dropped(&f, 5, "is not part of ours"));
    f.nodes[1].finished_round = 0; /* an old node that is behind is brought along */
    memset(&f.nodes[1].head, 0, sizeof f.nodes[1].head);
    fed_join(&f, 1);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.drop_count, 1);
    fed_end(&f);
}

static void a_roster_not_acknowledged_is_made_again_without_the_silent(void)
{
    federation f;

    fed_make(&f, &four);
    f.nodes[3].stop_at = FM_MSG_ROSTER;
    fed_join_all(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
    fed_tick(&f, PHASE_MS - 1);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_tick(&f, 1);
    CU_ASSERT(fed_dropped(&f, 4, "no answer to the roster in time"));
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.sent[FM_MSG_ROSTER], 4 + 3);
    CU_ASSERT_EQUAL(f.rounds[0].participants, 3);
    fed_end(&f);
}

static void a_loss_while_the_roster_waits_makes_it_again_at_once(void)
{
    federation f;

    fed_make(&f, &four);
    f.nodes[3].stop_at = FM_MSG_ROSTER;
    fed_join_all(&f, 4);
    fed_pump(&f);
    fed_leave(&f, 3);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_ROSTER);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static void a_roster_that_loses_too_many_waits_for_members(void)
{
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join_all(&f, 4);
    fed_pump(&f);
    fed_leave(&f, 3);
    fed_leave(&f, 2);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_tick(&f, 100 * PHASE_MS);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_stop_all_at(&f, 0);
    fed_join(&f, 2);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_end(&f);
}

static void an_answer_to_an_older_roster_is_passed_over(void)
{
    fm_message old = { .type = FM_MSG_ROSTER_ANSWER };
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROSTER);
    fed_join_all(&f, 4);
    fed_pump(&f);
    old.roster_answer.roster_hash.bytes[0] = 1;
    fed_say(&f, 0, &old);
    CU_ASSERT_EQUAL(f.drop_count, 0);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

static void equal_session_keys_keep_the_second_out(void)
{
    federation f;
    node *n = &f.nodes[1];

    fed_make(&f, &four);
    fed_join(&f, 0);
    node_new(&f, n);
    n->peer = ++f.next_peer;
    n->statement.x25519_public[0] ^= 1;
    memcpy(n->statement.x25519_public, f.nodes[0].statement.x25519_public, FM_SESSION_KEY_BYTES);
    CU_ASSERT_EQUAL(
        fm_coordinator_joined(f.c, n->peer, &n->credential, &n->statement, f.now_ms, f.now_s),
        FM_OK);
    CU_ASSERT(fed_dropped(&f, 2, "its session key is that of another member"));
    fed_end(&f);
}

static void a_session_key_of_low_order_is_kept_out(void)
{
    federation f;
    node *n = &f.nodes[0];

    fed_make(&f, &four);
    node_new(&f, n);
    n->peer = ++f.next_peer;
    memset(n->statement.x25519_public, 0, FM_SESSION_KEY_BYTES);
    CU_ASSERT_EQUAL(
        fm_coordinator_joined(f.c, n->peer, &n->credential, &n->statement, f.now_ms, f.now_s),
        FM_OK);
    CU_ASSERT(fed_dropped(&f, 1, "low order"));
    fed_end(&f);
}

static void an_expired_certificate_is_kept_out(void)
{
    federation f;

    fed_make(&f, &four);
    f.now_s += 60 * 24 * 3600; /* certificates are made for 30 days */
    fed_join(&f, 0);
    CU_ASSERT(fed_dropped(&f, 1, "the certificate was refused"));
    fed_end(&f);
}

static void a_statement_that_ends_is_dropped_before_the_next_round(void)
{
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 4);
    fed_pump(&f);
    f.now_s += 3601; /* of all four */
    fed_tick(&f, PHASE_MS);
    CU_ASSERT(fed_dropped(&f, 1, "has ended"));
    CU_ASSERT_EQUAL(fm_coordinator_members(f.c), 0);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_MEMBERS);
    fed_stop_all_at(&f, 0);
    fed_join_all(&f, 4);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

/* Within the round under way; the others go on. */
static void a_revoked_member_is_dropped_at_once(void)
{
    const uint32_t revoked = PEOPLE - 1; /* no other test may use it */
    fm_trust *trust;
    federation f;

    fed_make(&f, &four);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_join_all(&f, 3);
    fed_join(&f, revoked);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    trust = fed_trust_without(revoked);
    CU_ASSERT_EQUAL(fm_coordinator_set_trust(f.c, trust, f.now_ms, f.now_s), FM_OK);
    CU_ASSERT(fed_dropped(&f, 4, "its certificate is not good any more"));
    CU_ASSERT_EQUAL(f.drop_count, 1);
    for (uint32_t i = 0; i < 3; i++)
        f.nodes[i].stop_at = 0;
    CU_ASSERT_EQUAL(f.nodes[0].lists_heard, 1); /* with which it came in */
    fed_pump(&f);
    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(f.nodes[i].lists_heard, 2);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, 3);
    fed_join(&f, revoked);
    CU_ASSERT(fed_dropped(&f, 5, "the certificate was refused"));
    fed_end(&f);
    fm_trust_free(&trust);
}

/* It has released, so the round still stands; but no honest node releases beside it any more. */
static void to_leave_a_round_with_a_revoked_member_is_no_harm(void)
{
    const uint32_t revoked = PEOPLE - 1;

    for (int with = 0; with < 2; with++) {
        fm_message m = { .type = FM_MSG_ABANDON };
        fm_trust *trust = NULL;
        uint64_t barred_ms;
        federation f;

        fed_make(&f, &four);
        fed_stop_all_at(&f, FM_MSG_COMMITS);
        f.nodes[revoked].stop_at = 0;
        fed_join_all(&f, 3);
        fed_join(&f, revoked);
        fed_pump(&f);
        CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
        if (with) {
            trust = fed_trust_without(revoked);
            CU_ASSERT_EQUAL(fm_coordinator_set_trust(f.c, trust, f.now_ms, f.now_s), FM_OK);
            CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
        }
        m.abandon.round = f.last_given;
        fm_reason_set(m.abandon.reason, "a member's certificate counts no more");
        fed_say(&f, 0, &m);
        CU_ASSERT(fed_noted(&f, "it refused round"));
        CU_ASSERT_EQUAL(fed_noted(&f, "no fault of this node, which comes back at once"), with);
        CU_ASSERT_EQUAL(fm_coordinator_harm(f.c, f.nodes[0].name, f.now_ms, &barred_ms),
                        with ? 0 : 3);
        fed_end(&f);
        fm_trust_free(&trust);
    }
}

static const fm_test tests[] = {
    { "to leave a round with a revoked member is no harm",
      to_leave_a_round_with_a_revoked_member_is_no_harm },
    { "a full federation starts at once", a_full_federation_starts_at_once },
    { "enough members start after join_ms from the first",
      enough_members_start_after_join_ms_from_the_first },
    { "too few members wait and the next one starts them",
      too_few_members_wait_and_the_next_one_starts_them },
    { "all leaving before the start resets the time",
      all_leaving_before_the_start_resets_the_time },
    { "one member too many is refused", one_member_too_many_is_refused },
    { "a member that joins within a round enters at the next",
      a_member_that_joins_within_a_round_enters_at_the_next },
    { "a node that comes back takes its own place", a_node_that_comes_back_takes_its_own_place },
    { "a member that refuses the plan is dropped with its reason",
      a_member_that_refuses_the_plan_is_dropped_with_its_reason },
    { "an answer about another plan is refused", an_answer_about_another_plan_is_refused },
    { "a plan cannot be approved before join", a_plan_cannot_be_approved_before_join },
    { "a head ahead of ours is refused", a_head_ahead_of_ours_is_refused },
    { "a head that branches off ours is refused", a_head_that_branches_off_ours_is_refused },
    { "a roster not acknowledged is made again without the silent",
      a_roster_not_acknowledged_is_made_again_without_the_silent },
    { "a loss while the roster waits makes it again at once",
      a_loss_while_the_roster_waits_makes_it_again_at_once },
    { "a roster that loses too many waits for members",
      a_roster_that_loses_too_many_waits_for_members },
    { "an answer to an older roster is passed over", an_answer_to_an_older_roster_is_passed_over },
    { "equal session keys keep the second out", equal_session_keys_keep_the_second_out },
    { "a session key of low order is kept out", a_session_key_of_low_order_is_kept_out },
    { "an expired certificate is kept out", an_expired_certificate_is_kept_out },
    { "a statement that ends is dropped before the next round",
      a_statement_that_ends_is_dropped_before_the_next_round },
    { "a revoked member is dropped at once", a_revoked_member_is_dropped_at_once },
};
const fm_test_suite suite_round_members = { "aggregator.round.members", tests,
                                            FM_TEST_COUNT(tests) };
