/*
 * Every message type in every phase, from everyone who may be there: what is taken, what is passed
 * over, who is dropped; and after each, the rounds still finish.
 */
#include <stdio.h>
#include <string.h>

#include "federation.h"
#include "suites.h"

/* Nodes 0 to 4 make the roster, 5 waits for the next one, 6 is a stranger. */
#define ROSTER 5
#define WAITER 5

typedef enum { MEMBER, WAITING, LEFT_OUT, STRANGER } speaker;
typedef enum { TAKEN, PASSED_OVER, DROPPED } outcome;

static const char *const speakers[] = { "a member", "a waiting member", "a left out node",
                                        "a stranger" };
static const char *const phases[] = { "members", "roster",   "updates",
                                      "commits", "releases", "finished" };

static fm_msg_type stop_for(fm_coordinator_phase p)
{
    static const fm_msg_type stops[] = { FM_MSG_PLAN_OFFER, FM_MSG_ROSTER,  FM_MSG_ROUND_START,
                                         FM_MSG_SURVIVORS,  FM_MSG_COMMITS, 0 };

    return stops[p];
}

/* In WAIT_MEMBERS a member is one that has answered nothing yet, a waiting one is ready. */
static void bring_to(federation *f, fm_coordinator_phase p, speaker who)
{
    const spec s = { .max_nodes = 7, .min_cohort = 3, .quorum = 4, .rounds = 1 };

    fed_make(f, &s);
    f->trusting = true;
    fed_stop_all_at(f, stop_for(p));
    if (who == LEFT_OUT)
        f->nodes[0].stop_at = FM_MSG_ROUND_START;
    f->nodes[WAITER].stop_at = 0;
    if (p == FM_COORD_WAIT_MEMBERS && who == WAITING)
        fed_join(f, WAITER);
    fed_join_all(f, ROSTER);
    fed_pump(f);
    fed_tick(f, JOIN_MS);
    fed_pump(f);
    if (who == LEFT_OUT)
        fed_tick(f, PHASE_MS); /* the updates of the others are in */
    fed_pump(f);
    if (p != FM_COORD_WAIT_MEMBERS && who == WAITING) {
        f->nodes[WAITER].stop_at = FM_MSG_FINISH;
        fed_join(f, WAITER);
        fed_pump(f);
    }
    if (fed_phase(f) != p)
        printf("\n    phase %d, not %s", (int)fed_phase(f), phases[p]);
    CU_ASSERT_EQUAL_FATAL(fed_phase(f), p);
}

static uint32_t index_of(speaker who)
{
    switch (who) {
    case WAITING:
        return WAITER;
    case STRANGER:
        return PEOPLE - 1;
    default:
        return 0;
    }
}

/* As true as the speaker can make it: round, plan, roster and signatures are right where it knows
 * them. */
static fm_message make(federation *f, uint32_t i, fm_msg_type type)
{
    static uint8_t room[FM_SIGNATURE_MAX];
    node *n = &f->nodes[i];
    fm_message m = { .type = type };
    fm_message start = { 0 };
    bool answered = false;

    /* Who has a round or roster to read reads it, so that it knows what to lie about. Its update is
     * for the message under test to say, and its piece for that of an update. */
    n->quiet = true;
    if (n->waiting &&
        (n->inbox[0]->type == FM_MSG_ROUND_START || n->inbox[0]->type == FM_MSG_ROSTER ||
         n->inbox[0]->type == FM_MSG_SURVIVORS || n->inbox[0]->type == FM_MSG_COMMITS))
        node_read(f, n, &answered, &start);
    switch (type) {
    case FM_MSG_PLAN_ANSWER:
        m.plan_answer.plan_hash = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len);
        m.plan_answer.approved = true;
        break;
    case FM_MSG_ROSTER_ANSWER:
        m.roster_answer.roster_hash = f->nodes[1].member_count ? f->nodes[1].roster : n->roster;
        if (n->member_count)
            m.roster_answer.roster_hash = n->roster;
        break;
    case FM_MSG_MASKED_UPDATE:
        m.masked_update.round = 1;
        m.masked_update.signature = (fm_bytes){ room, 64 };
        n->quiet = fed_phase(f) != FM_COORD_WAIT_UPDATES;
        if (n->round)
            m = node_update(f, n, room);
        break;
    case FM_MSG_COMMIT:
        m.commit.round = 1;
        m.commit.signature = (fm_bytes){ room, 64 };
        if (n->survivor_count)
            m = node_commit(n, room);
        break;
    case FM_MSG_RELEASE:
        m.release.round = 1;
        if (start.type == FM_MSG_RELEASE && answered)
            m = start;
        break;
    case FM_MSG_ABANDON:
        m.abandon.round = 1;
        break;
    case FM_MSG_UPDATE_PIECE:
        m.update_piece.round = 1;
        m.update_piece.piece = (fm_bytes){ room, 4 };
        break;
    default: /* among them a ModelWant of a model that nobody names */
        break;
    }
    n->quiet = false;
    return m;
}

static outcome expected(fm_coordinator_phase p, speaker who, fm_msg_type type)
{
    bool over = p == FM_COORD_FINISHED;

    if (who == STRANGER)
        return PASSED_OVER;
    switch (type) {
    case FM_MSG_JOIN:
        return p == FM_COORD_WAIT_MEMBERS && who == MEMBER ? TAKEN : DROPPED;
    case FM_MSG_ROSTER_ANSWER:
        return p == FM_COORD_WAIT_ROSTER && who == MEMBER ? TAKEN : DROPPED;
    case FM_MSG_MODEL_WANT:
        return p == FM_COORD_WAIT_MEMBERS && who == MEMBER ? DROPPED : PASSED_OVER;
    case FM_MSG_UPDATE_PIECE:
    case FM_MSG_MASKED_UPDATE:
        if (who == LEFT_OUT || (over && who == MEMBER))
            return PASSED_OVER; /* late */
        return p == FM_COORD_WAIT_UPDATES && who == MEMBER ? TAKEN : DROPPED;
    case FM_MSG_COMMIT:
        if (over && who != WAITING)
            return PASSED_OVER;
        return p == FM_COORD_WAIT_COMMITS && who == MEMBER ? TAKEN : DROPPED;
    case FM_MSG_RELEASE:
        if (over && who != WAITING)
            return PASSED_OVER;
        return p == FM_COORD_WAIT_RELEASES && who == MEMBER ? TAKEN : DROPPED;
    case FM_MSG_ABANDON:
        return over && who != WAITING ? PASSED_OVER : DROPPED;
    default: /* PlanAnswer a second time, or before Join; what only others may say */
        return DROPPED;
    }
}

static void finish_it(federation *f)
{
    fed_stop_all_at(f, 0);
    for (int i = 0; i < 20 && fed_phase(f) != FM_COORD_FINISHED; i++) {
        for (uint32_t k = 0; k < ROSTER; k++)
            if (f->nodes[k].peer == 0)
                fed_join(f, k);
        fed_pump(f);
        fed_tick(f, PHASE_MS);
    }
    CU_ASSERT_EQUAL(fed_phase(f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f->entry_count, 1);
}

static void try_one(fm_coordinator_phase p, speaker who, fm_msg_type type)
{
    federation f;
    uint32_t i = index_of(who);
    fm_coordinator_phase before;
    uint64_t peer;
    size_t drops;
    fm_message m;
    outcome got, want = expected(p, who, type);

    bring_to(&f, p, who);
    if (who == STRANGER) {
        node_new(&f, &f.nodes[i]);
        f.nodes[i].peer = 999;
    }
    m = make(&f, i, type);
    before = fed_phase(&f);
    peer = f.nodes[i].peer;
    drops = f.drop_count;
    CU_ASSERT_EQUAL(fm_coordinator_take(f.c, peer, &m, f.now_ms, f.now_s), FM_OK);
    got = fed_dropped(&f, peer, "") ? DROPPED : TAKEN;
    if (got != (want == DROPPED ? DROPPED : TAKEN))
        printf("\n    %s from %s while waiting for %s: %s", fm_msg_name(type), speakers[who],
               phases[p], got == DROPPED ? f.drops[f.drop_count - 1].text : "not dropped");
    CU_ASSERT_EQUAL(got, want == DROPPED ? DROPPED : TAKEN);
    CU_ASSERT_EQUAL(f.drop_count, drops + (want == DROPPED)); /* and nobody else */
    if (want == PASSED_OVER)
        CU_ASSERT_EQUAL(fed_phase(&f), before);
    if (want == TAKEN && type != FM_MSG_JOIN) { /* taken: a second one is one too many */
        CU_ASSERT_EQUAL(fm_coordinator_take(f.c, peer, &m, f.now_ms, f.now_s), FM_OK);
        CU_ASSERT(fed_dropped(&f, peer, ""));
    } else if (want == TAKEN) {
        fed_leave(&f, i); /* or it would say its Join again */
    }
    if (who == STRANGER)
        f.nodes[i].peer = 0;
    finish_it(&f);
    fed_end(&f);
}

static void try_all(speaker who, fm_coordinator_phase from, fm_coordinator_phase to)
{
    for (fm_coordinator_phase p = from; p <= to; p++)
        for (fm_msg_type t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++)
            try_one(p, who, t);
}

static void from_a_member(void)
{
    try_all(MEMBER, FM_COORD_WAIT_MEMBERS, FM_COORD_FINISHED);
}

static void from_a_waiting_member(void)
{
    try_all(WAITING, FM_COORD_WAIT_MEMBERS, FM_COORD_FINISHED);
}

static void from_a_left_out_node(void)
{
    try_all(LEFT_OUT, FM_COORD_WAIT_COMMITS, FM_COORD_FINISHED);
}

static void from_a_stranger(void)
{
    try_all(STRANGER, FM_COORD_WAIT_MEMBERS, FM_COORD_FINISHED);
}

static const fm_test tests[] = {
    { "every message in every phase from a member", from_a_member },
    { "every message in every phase from a waiting member", from_a_waiting_member },
    { "every message in every phase from a left out node", from_a_left_out_node },
    { "every message in every phase from a stranger", from_a_stranger },
};
const fm_test_suite suite_round_matrix = { "aggregator.round.matrix", tests, FM_TEST_COUNT(tests) };
