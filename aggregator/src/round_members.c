/* Who takes part: plan approved, transcript known, roster acknowledged. */
#include <stdlib.h>
#include <string.h>

#include "round_internal.h"

static uint32_t count_ready(const fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->member_count; i++)
        n += m->members[i]->state == MEMBER_READY;
    return n;
}

static bool someone_waits(const fm_coordinator *m)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->state == MEMBER_READY && m->members[i]->index == NO_INDEX)
            return true;
    return false;
}

fm_status fm_coord_take_join(fm_coordinator *m, member *who, const fm_msg_join *j,
                             uint64_t now_ms)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;

    if (who->told_state)
        return fm_coord_drop(m, who, now_ms, "Join was sent twice");
    /* Ours must extend theirs: a coordinator restored from an old backup stops here. */
    m->c.ports.entries_after(m->c.ports.ctx, j->finished_round, &entries, &count);
    if (j->finished_round > m->c.last_round ||
        fm_transcript_follow(j->finished_round, &j->head, entries, count, &m->c.head) != FM_OK)
        return fm_coord_drop(m, who, now_ms,
                             "its transcript (to round %llu) is not part of ours (to round %llu): "
                             "this aggregator's state is older than what it signed, or of "
                             "another run; restore its newest state",
                             (unsigned long long)j->finished_round,
                             (unsigned long long)m->c.last_round);
    who->told_state = true;
    who->known_round = j->finished_round;
    return FM_OK;
}

fm_status fm_coord_take_plan_answer(fm_coordinator *m, member *who, const fm_msg_plan_answer *a,
                                    uint64_t now_ms)
{
    if (!fm_hash_equal(&a->plan_hash, &m->plan_hash))
        return fm_coord_drop(m, who, now_ms, "its answer is about another plan");
    if (!a->approved) {
        who->state = MEMBER_REFUSED;
        fm_coord_note(m, "%s refuses the plan: %s", who->name, a->reason);
        return FM_OK;
    }
    if (!who->told_state || who->state == MEMBER_READY)
        return fm_coord_drop(m, who, now_ms, "it approved the plan twice, or before Join");
    who->state = MEMBER_READY;
    fm_coord_note(m, "%s approved the plan", who->name);
    if (m->phase == FM_COORD_FINISHED)
        fm_coord_send_finish(m, who);
    else if (m->phase == FM_COORD_WAIT_MEMBERS)
        return fm_coord_go_on(m, now_ms);
    return FM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(member *const *)a)->name, (*(member *const *)b)->name);
}

/* The ready members in the order of their names; *list is owned by the caller. */
static fm_status ready_members(fm_coordinator *m, member ***list, uint32_t *count)
{
    member **found = NULL;
    uint32_t n = 0;
    fm_status st = fm_alloc(m->member_count ? m->member_count : 1, sizeof *found,
                            (void **)&found);

    if (st != FM_OK)
        return st;
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->state == MEMBER_READY)
            found[n++] = m->members[i];
    qsort(found, n, sizeof *found, by_name);
    *list = found;
    *count = n;
    return FM_OK;
}

/* A fresh session: new pair secrets, and nothing of an older roster can be taken for it. */
static fm_status make_roster(fm_coordinator *m, uint64_t now_ms)
{
    fm_message msg = { .type = FM_MSG_ROSTER };
    fm_credential *credentials = NULL;
    member **list = NULL;
    uint32_t count = 0;
    fm_status st;

    if ((st = ready_members(m, &list, &count)) != FM_OK ||
        (st = fm_alloc(count, sizeof *credentials, (void **)&credentials)) != FM_OK)
        goto done;
    m->c.ports.random(m->c.ports.ctx, m->session.bytes, sizeof m->session.bytes);
    for (uint32_t i = 0; i < m->member_count; i++)
        m->members[i]->index = NO_INDEX;
    for (uint32_t i = 0; i < count; i++) {
        credentials[i] = list[i]->credential;
        list[i]->index = i;
        list[i]->acknowledged = false;
        m->roster_peers[i] = list[i]->peer;
    }
    m->roster_count = count;
    msg.roster = (fm_msg_roster){ m->session, credentials, count };
    m->roster = fm_roster_digest(&msg.roster);
    m->phase = FM_COORD_WAIT_ROSTER;
    m->deadline_ms = now_ms + m->c.phase_ms;
    fm_coord_note(m, "roster of %u", count);
    for (uint32_t i = 0; i < count; i++)
        fm_coord_send(m, list[i], &msg);
done:
    free(list);
    free(credentials);
    return st;
}

static uint32_t present(const fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->roster_count; i++)
        n += m->roster_peers[i] != 0;
    return n;
}

fm_status fm_coord_go_on(fm_coordinator *m, uint64_t now_ms)
{
    uint32_t ready = count_ready(m), needed = fm_coord_needed(m);
    bool under_way = m->roster_count > 0;

    if (under_way && !someone_waits(m) && present(m) >= needed)
        return fm_coord_start_round(m, now_ms);
    if (ready >= m->c.plan->max_nodes || (under_way && ready >= needed))
        return make_roster(m, now_ms);
    if (m->phase != FM_COORD_WAIT_MEMBERS || m->deadline_ms == 0) {
        m->phase = FM_COORD_WAIT_MEMBERS;
        m->deadline_ms = now_ms + m->c.join_ms;
    }
    return FM_OK;
}

fm_status fm_coord_members_deadline(fm_coordinator *m, uint64_t now_ms)
{
    if (count_ready(m) >= fm_coord_needed(m))
        return make_roster(m, now_ms);
    fm_coord_note(m, "%u of the %u nodes that a round needs are ready; waiting", count_ready(m),
                  fm_coord_needed(m));
    m->deadline_ms = now_ms + (m->c.join_ms ? m->c.join_ms : 1000);
    return FM_OK;
}

fm_status fm_coord_take_roster_answer(fm_coordinator *m, member *who,
                                      const fm_msg_roster_answer *a, uint64_t now_ms)
{
    if (m->phase != FM_COORD_WAIT_ROSTER || who->index == NO_INDEX ||
        !fm_hash_equal(&a->roster_hash, &m->roster))
        return FM_OK; /* of a roster that was made again meanwhile */
    who->acknowledged = true;
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->index != NO_INDEX && !m->members[i]->acknowledged)
            return FM_OK;
    return fm_coord_start_round(m, now_ms);
}

fm_status fm_coord_roster_deadline(fm_coordinator *m, uint64_t now_ms)
{
    for (uint32_t i = 0; i < m->roster_count; i++) {
        member *who = m->roster_peers[i] ? fm_coord_find(m, m->roster_peers[i]) : NULL;

        if (who && !who->acknowledged) {
            who->index = NO_INDEX; /* not a loss of a round: none is under way */
            m->roster_peers[i] = 0;
            fm_status st = fm_coord_drop(m, who, now_ms, "no answer to the roster in time");
            if (st != FM_OK)
                return st;
        }
    }
    m->roster_count = 0;
    m->phase = FM_COORD_WAIT_MEMBERS;
    return count_ready(m) >= fm_coord_needed(m) ? make_roster(m, now_ms)
                                                : fm_coord_go_on(m, now_ms);
}
