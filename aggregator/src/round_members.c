/* Who takes part: plan approved, transcript known, roster acknowledged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "round_internal.h"

/* Whom the next roster may take: the ready, without those that are held back unless `all`. */
static bool is_eligible(const fm_coordinator *m, const member *who, bool all)
{
    return who->ready && (all || !fm_coord_is_held(m, who));
}

static uint32_t count_eligible(const fm_coordinator *m, bool all)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->member_count; i++)
        n += is_eligible(m, m->members[i], all);
    return n;
}

static bool someone_waits(const fm_coordinator *m, bool all)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->index == NO_INDEX && is_eligible(m, m->members[i], all))
            return true;
    return false;
}

/* Members of the roster that are still here. */
static uint32_t present(const fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->roster_count; i++)
        n += m->roster_members[i] != NULL;
    return n;
}

void fm_coord_take_join(fm_coordinator *m, member *who, const fm_msg_join *j)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;

    if (who->told_state) {
        fm_coord_offend(m, who, "Join was sent twice");
        return;
    }
    /* Ours must extend theirs: a coordinator restored from an old backup stops here. */
    m->c.ports.entries_after(m->c.ports.ctx, j->finished_round, &entries, &count);
    if (j->finished_round > m->c.last_round ||
        fm_transcript_follow(j->finished_round, &j->head, entries, count, &m->c.head) != FM_OK) {
        fm_coord_drop(m, who,
                      "its transcript (to round %llu) is not part of ours (to round %llu): this "
                      "aggregator's state is older than what it signed, or of another run; restore "
                      "its newest state",
                      (unsigned long long)j->finished_round, (unsigned long long)m->c.last_round);
        return;
    }
    who->told_state = true;
    who->known_round = j->finished_round;
}

fm_status fm_coord_take_plan_answer(fm_coordinator *m, member *who, const fm_msg_plan_answer *a)
{
    if (!fm_hash_equal(&a->plan_hash, &m->plan_hash)) {
        fm_coord_offend(m, who, "its answer is about another plan");
    } else if (!a->approved) {
        fm_coord_drop(m, who, "it refuses the plan: %s", a->reason);
    } else if (!who->told_state || who->ready || who->exhausted) {
        fm_coord_offend(m, who, "it approved the plan %s",
                        who->ready ? "twice" : "before it sent Join");
    } else {
        who->ready = true;
        fm_coord_set_exhausted(m, who->name, NULL); /* it has more by now */
        fm_coord_note(m, "%s approved the plan%s", who->name,
                      fm_coord_is_held(m, who)
                          ? "; lost in the middle of rounds more than once, it "
                            "has to wait for a while"
                          : "");
        if (m->phase == FM_COORD_FINISHED)
            return fm_coord_send_finish(m, &who, 1);
    }
    return FM_OK;
}

void fm_coord_take_roster_answer(fm_coordinator *m, member *who, const fm_msg_roster_answer *a)
{
    if (who->exhausted)
        return; /* the roster crossed its last word */
    if (who->index == NO_INDEX) {
        fm_coord_offend(m, who, "it answers a roster that it was not sent");
    } else if (fm_hash_equal(&a->roster_hash, &m->roster)) { /* else: one that was made again */
        if (who->acknowledged)
            fm_coord_offend(m, who, "it answered the roster twice");
        else
            who->acknowledged = true;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(member *const *)a)->name, (*(member *const *)b)->name);
}

/* The eligible members in the order of their names; *list is owned by the caller. */
static fm_status choose_members(fm_coordinator *m, bool all, member ***list, uint32_t *count)
{
    member **found;
    void *p = NULL;
    uint32_t n = 0;
    fm_status st = fm_alloc(m->member_count, sizeof *found, &p);

    if (st != FM_OK)
        return st;
    found = p;
    for (uint32_t i = 0; i < m->member_count; i++)
        if (is_eligible(m, m->members[i], all))
            found[n++] = m->members[i];
    qsort(found, n, sizeof *found, by_name);
    *list = found;
    *count = n;
    return FM_OK;
}

/* When they all stand: after the last of their beginnings, before the first of their ends. */
static void bound_time(fm_coordinator *m, member *const *list, uint32_t count)
{
    m->roster_from_s = INT64_MIN;
    m->roster_to_s = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t begun_s = fm_peer_info(list[i]->certificate)->not_before_s;
        const int64_t end_s = list[i]->statement.not_after_s;
        const int64_t made_s = end_s - FM_STATEMENT_VALID_S;
        const int64_t from_s = made_s > begun_s ? made_s : begun_s;

        m->roster_from_s = from_s > m->roster_from_s ? from_s : m->roster_from_s;
        m->roster_to_s = end_s < m->roster_to_s ? end_s : m->roster_to_s;
    }
}

/* A fresh session: new pair secrets, and nothing of an older roster can be taken for it. */
static fm_status make_roster(fm_coordinator *m, bool all)
{
    fm_message msg = { .type = FM_MSG_ROSTER };
    fm_credential *credentials = NULL;
    member **list = NULL;
    uint32_t count = 0;
    void *p = NULL;
    fm_status st;

    if ((st = choose_members(m, all, &list, &count)) != FM_OK ||
        (st = fm_alloc(count, sizeof *credentials, &p)) != FM_OK)
        goto done;
    credentials = p;
    m->c.ports.random(m->c.ports.ctx, m->session.bytes, sizeof m->session.bytes);
    for (uint32_t i = 0; i < count; i++) {
        fm_credential_unpack(list[i]->credential, &credentials[i]);
        list[i]->index = i;
        list[i]->acknowledged = false;
        m->roster_members[i] = list[i];
    }
    m->roster_count = count;
    bound_time(m, list, count);
    msg.roster = (fm_msg_roster){ m->session, credentials, count };
    m->roster = fm_roster_digest(&msg.roster);
    m->gathered = true;
    m->waiting_noted = false;
    fm_coord_enter(m, FM_COORD_WAIT_ROSTER, m->c.phase_ms);
    fm_coord_note(m, "roster of %u nodes", count);
    for (uint32_t i = 0; i < count; i++)
        m->participants[i] = i;
    if ((st = m->c.ports.keep_roster(m->c.ports.ctx, &msg.roster)) == FM_OK)
        st = fm_coord_send_all(m, m->participants, count, &msg);
done:
    free(list);
    free(credentials);
    return st;
}

/* A certificate or statement that ended meanwhile would get the roster refused by all. */
static void drop_expired(fm_coordinator *m)
{
    uint32_t i = 0;

    while (i < m->member_count)
        if (m->now_s > m->members[i]->not_after_s)
            fm_coord_drop(m, m->members[i], "its certificate or its session's statement has ended");
        else
            i++;
}

/* Nothing can begin yet: see to it that join_ms runs, and say once what is missing. */
static void wait_for_members(fm_coordinator *m, uint32_t ready, uint32_t needed)
{
    bool patient = !m->gathered && !m->overdue;

    if (!patient && !m->waiting_noted) {
        m->waiting_noted = true;
        fm_coord_note(m, "%u of the %u nodes that a round needs are ready; waiting", ready, needed);
    }
    if (ready == 0)
        fm_coord_enter(m, FM_COORD_WAIT_MEMBERS, 0); /* join_ms runs from the first */
    else if (patient && m->deadline_ms == 0)
        m->deadline_ms = m->now_ms + m->c.join_ms;
}

/* Why there is no further round: budgets, people, or some of both. */
static void say_spent(fm_coordinator *m, uint32_t left)
{
    char who[160];
    uint32_t budgets = 0, people = 0;

    for (uint32_t i = 0; i < m->record_count; i++) {
        const char *why = m->records[i].left_for;

        budgets += why && strcmp(why, FM_LEFT_FOR_BUDGET) == 0;
        people += why && strcmp(why, FM_LEFT_FOR_DECISION) == 0;
    }
    if (budgets == left)
        (void)snprintf(who, sizeof who, "the budgets of %u of %u nodes are used up", left,
                       m->c.plan->max_nodes);
    else if (people == left)
        (void)snprintf(who, sizeof who,
                       "those who decide for %u of %u nodes allow no further round", left,
                       m->c.plan->max_nodes);
    else
        (void)snprintf(who, sizeof who,
                       "%u of %u nodes take part in no further round (budget used up: %u; their "
                       "people's decision: %u)",
                       left, m->c.plan->max_nodes, budgets, people);
    (void)snprintf(m->conclusion, sizeof m->conclusion, "%s: concluded after %llu of %u rounds",
                   who, (unsigned long long)m->c.finished, m->c.plan->rounds);
    fm_coord_note(m, "%s", m->conclusion);
}

const char *fm_coordinator_conclusion(const fm_coordinator *m)
{
    return m->conclusion;
}

/* Rounds that were released and then lost have cost too many nodes the last ones. */
static bool is_spent(fm_coordinator *m)
{
    uint32_t exhausted = fm_coord_count_exhausted(m), nodes = m->c.plan->max_nodes;

    if (exhausted == 0 || nodes - (exhausted < nodes ? exhausted : nodes) >= fm_coord_needed(m))
        return false;
    say_spent(m, exhausted);
    return true;
}

fm_status fm_coord_settle_members(fm_coordinator *m)
{
    uint32_t ready, needed = fm_coord_needed(m);
    bool all;

    drop_expired(m);
    if (is_spent(m))
        return fm_coord_conclude(m);
    all = count_eligible(m, false) < needed; /* no round can be without those held back */
    if (m->roster_count > 0 && !someone_waits(m, all) && present(m) >= needed)
        return fm_coord_start_round(m);
    ready = count_eligible(m, all);
    if (ready >= m->c.plan->max_nodes ||
        (ready >= needed && (m->gathered || m->overdue || m->c.join_ms == 0)))
        return make_roster(m, all);
    wait_for_members(m, ready, needed);
    return FM_OK;
}

fm_status fm_coord_settle_roster(fm_coordinator *m)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < m->roster_count; i++)
        missing += !m->roster_members[i]->acknowledged;
    if (missing == 0)
        return fm_coord_start_round(m);
    if (!m->overdue)
        return FM_OK;
    fm_coord_enter(m, FM_COORD_WAIT_MEMBERS, 0);
    for (uint32_t i = 0; i < m->roster_count; i++) {
        if (m->roster_members[i]->acknowledged)
            continue;
        fm_coord_blame(m, m->roster_members[i]->name, 1);
        fm_coord_drop(m, m->roster_members[i], "no answer to the roster in time");
    }
    m->roster_count = 0;
    return FM_OK;
}
