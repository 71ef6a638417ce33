/* Sums by groups: what the step is made of, whom a lost node concerns, and whom a poisoned update. */
#include <string.h>

#include "federation.h"
#include "suites.h"

static const spec nine = { .max_nodes = 9,
                           .min_cohort = 6,
                           .quorum = 6,
                           .rounds = 2,
                           .no_noise = true,
                           .groups = 3,
                           .group_quorum = 2,
                           .mean = FM_ROBUST_MEDIAN };

/* Sums of the last round by the nodes' own draw, and three times their median, as the optimizer gets it. */
static void estimate(const federation *f, float out[PARAMETERS])
{
    const uint64_t at = f->entries[f->entry_count - 1].round % PLAIN_ROUNDS;
    const node *any = &f->nodes[0];
    float groups[3][PARAMETERS];

    for (uint32_t g = 0; g < 3; g++) {
        uint32_t sum[PARAMETERS] = { 0 };

        for (uint32_t i = 0; i < PEOPLE; i++) {
            const node *n = &f->nodes[i];
            bool in = false;

            for (uint32_t k = 0; k < any->survivor_count; k++)
                in = in || (n->members[0] && n->self == any->survivors[k]);
            if (!in || any->groups.of[n->self] != g)
                continue;
            for (size_t w = 0; w < PARAMETERS; w++)
                sum[w] += (uint32_t)f->plain[at][i][w] + n->poison;
        }
        fm_dp_decode_sum(&f->lattice, sum, PARAMETERS, groups[g]);
    }
    for (size_t w = 0; w < PARAMETERS; w++) {
        const float a = groups[0][w], b = groups[1][w], c = groups[2][w];
        const float high = a > b ? a : b, low = a > b ? b : a;

        out[w] = 3.0f * (c > high ? high : c < low ? low : c);
    }
}

static bool stepped(federation *f)
{
    float gradient[PARAMETERS];

    estimate(f, gradient);
    need(fm_optimizer_step(f->reference, gradient, PARAMETERS) == FM_OK, "reference");
    return memcmp(f->reference->weights, f->optimizer->weights, sizeof gradient) == 0;
}

static void stop_after_one_round(federation *f)
{
    fed_pump(f);
    CU_ASSERT_EQUAL_FATAL(f->entry_count, 1);
}

static void the_step_is_the_median_of_the_groups(void)
{
    spec s = nine;
    federation f;

    s.rounds = 1;
    fed_make(&f, &s);
    fed_join_all(&f, 9);
    stop_after_one_round(&f);
    CU_ASSERT(stepped(&f));
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    fed_end(&f);
}

/* A node that is lost concerns its group alone: the others release nothing for it. */
static void a_node_is_lost_in_its_group(void)
{
    spec s = nine;
    federation f;

    s.rounds = 1;
    fed_make(&f, &s);
    f.nodes[8].stop_at = FM_MSG_ROUND_START;
    fed_join_all(&f, 9);
    fed_pump(&f);
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    fed_leave(&f, 8);
    stop_after_one_round(&f);
    CU_ASSERT_EQUAL(f.rounds[0].survivors, 8);
    CU_ASSERT(stepped(&f));
    fed_end(&f);
}

/* Two of one group, though six of nine would do for the round: it is abandoned at once, nobody has
 * committed, and the next round is drawn without them. */
static void a_group_below_its_quorum_ends_the_round(void)
{
    federation f;
    uint32_t lost = 0;

    fed_make(&f, &nine);
    fed_join_all(&f, 9);
    fed_stop_all_at(&f, FM_MSG_ROUND_START);
    fed_pump(&f);
    CU_ASSERT_EQUAL_FATAL(fed_phase(&f), FM_COORD_WAIT_UPDATES);
    {
        fm_groups g;
        const fm_msg_round_start *r = &f.nodes[0].inbox[0]->round_start;
        const fm_round_view view = {
            .federation = "heart",
            .session = r->session,
            .roster = r->roster_hash,
            .plan = r->plan_hash,
            .model = r->model_hash,
            .head = r->head,
            .round = r->round,
            .participants = r->participants,
            .participant_count = r->participant_count,
        };

        CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&f.plan, &view, &g), FM_OK);
        for (uint32_t i = 0; i < 9 && lost < 2; i++)
            if (g.of[f.nodes[i].self] == 0) {
                fed_leave(&f, i);
                lost++;
            }
    }
    CU_ASSERT_EQUAL(f.rounds[0].round, 1);
    CU_ASSERT_FALSE(f.rounds[0].finished);
    CU_ASSERT_STRING_EQUAL(f.rounds[0].reason, "too few nodes of a group are left");
    CU_ASSERT_EQUAL(f.sent[FM_MSG_SURVIVORS], 0);
    fed_stop_all_at(&f, 0);
    fed_pump(&f);
    CU_ASSERT_EQUAL(f.entry_count, 2);
    CU_ASSERT_EQUAL(f.rounds[1].participants, 7);
    fed_end(&f);
}

/* Longer than honest nodes can make it: with one sum the run ends there, with groups it is one of
 * those that the median bears. */
static void a_group_that_is_too_long_is_borne(void)
{
    spec s = nine;
    federation f;

    s.rounds = 1;
    fed_make(&f, &s);
    fed_join_all(&f, 9);
    f.nodes[4].poison = 0x40000000u;
    stop_after_one_round(&f);
    CU_ASSERT(stepped(&f));
    CU_ASSERT(fed_noted(&f, "longer than honest nodes can make it"));
    fed_end(&f);
}

/* Until two are in different groups: then the model stays as it is. */
static void more_groups_than_the_mean_bears_end_the_run(void)
{
    spec s = nine;
    fm_status st = FM_OK;
    federation f;

    s.rounds = 1;
    fed_make(&f, &s);
    fed_stop_all_at(&f, FM_MSG_COMMITS);
    fed_join_all(&f, 9);
    for (uint32_t i = 0; i < 4; i++) /* of groups of three: at least two */
        f.nodes[i].poison = 0x40000000u;
    fed_pump(&f);
    CU_ASSERT_EQUAL_FATAL(fed_phase(&f), FM_COORD_WAIT_RELEASES);
    for (uint32_t i = 0; i < 9 && st == FM_OK; i++) {
        uint8_t room[FM_SIGNATURE_MAX];
        fm_dp_unmask *unmask = NULL;
        fm_message m = node_release(&f, &f.nodes[i], &unmask, room);

        st = fm_coordinator_take(f.c, f.nodes[i].peer, &m, f.now_ms, f.now_s);
        fm_dp_unmask_free(&unmask);
    }
    CU_ASSERT_EQUAL(st, FM_EPROTO);
    CU_ASSERT(strstr(fm_error_text(), "the plan bears 1") != NULL);
    CU_ASSERT_EQUAL(f.entry_count, 0);
    fed_end(&f);
}

static void who_is_in_every_outlying_group_is_suspected(void)
{
    spec s = nine;
    uint32_t outlying = 0, rounds = 0;
    federation f;

    s.rounds = 24;
    fed_make(&f, &s);
    fed_join_all(&f, 9);
    f.nodes[4].poison = 0x10000000u;
    for (int i = 0; i < 40 && fed_phase(&f) != FM_COORD_FINISHED; i++) {
        fed_pump(&f);
        fed_tick(&f, PHASE_MS);
    }
    CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
    CU_ASSERT(fm_coordinator_suspicion(f.c, f.nodes[4].name, &outlying, &rounds));
    CU_ASSERT_EQUAL(outlying, 24);
    CU_ASSERT_EQUAL(rounds, 24);
    for (uint32_t i = 0; i < 9; i++) {
        if (i == 4)
            continue;
        CU_ASSERT_FALSE(fm_coordinator_suspicion(f.c, f.nodes[i].name, &outlying, &rounds));
        CU_ASSERT(outlying < 20);
    }
    CU_ASSERT(fed_noted(&f, "was in outlying groups in"));
    CU_ASSERT_EQUAL(fm_coordinator_members(f.c), 9); /* nobody is dropped for it */
    fed_end(&f);
}

static const fm_test tests[] = {
    { "the step is the median of the groups", the_step_is_the_median_of_the_groups },
    { "a node is lost in its group", a_node_is_lost_in_its_group },
    { "a group below its quorum ends the round", a_group_below_its_quorum_ends_the_round },
    { "a group that is too long is borne", a_group_that_is_too_long_is_borne },
    { "more groups than the mean bears end the run", more_groups_than_the_mean_bears_end_the_run },
    { "who is in every outlying group is suspected", who_is_in_every_outlying_group_is_suspected },
};
const fm_test_suite suite_round_robust = { "aggregator.round_robust", tests, FM_TEST_COUNT(tests) };
