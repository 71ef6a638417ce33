/* Steps 1 to 5 of a round: start, updates, survivors, commits. */
#include <string.h>

#include "round_internal.h"

/* ---- 1: RoundStart ---- */

static void choose_participants(fm_coordinator *m)
{
    m->participant_count = 0;
    for (uint32_t i = 0; i < m->roster_count; i++)
        if (m->roster_members[i])
            m->participants[m->participant_count++] = i;
}

/* The transcript from where it is surely known. */
static void fit_start(fm_coordinator *m, const member *who, fm_message *msg)
{
    fm_msg_round_start *s = &msg->round_start;

    m->c.ports.entries_after(m->c.ports.ctx, who->known_round, &s->entries, &s->entry_count);
}

static fm_status send_start(fm_coordinator *m, fm_message *msg)
{
    for (uint32_t i = 0; i < m->participant_count; i++)
        m->targets[i] = m->roster_members[m->participants[i]];
    return fm_coord_send_fitted(m, m->targets, m->participant_count, fit_start, msg);
}

fm_status fm_coord_start_round(fm_coordinator *m)
{
    fm_message msg = { .type = FM_MSG_ROUND_START };
    fm_msg_round_start *s = &msg.round_start;
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t signature_len = 0;
    fm_round_view view;
    fm_hash digest;
    fm_status st;

    choose_participants(m);
    if ((st = m->c.ports.next_round(m->c.ports.ctx, &m->round)) != FM_OK)
        return st;
    view = fm_coord_view(m);
    if ((st = fm_replay_round_begin(m->sums, &view)) != FM_OK)
        return st;
    *s = (fm_msg_round_start){
        .round = m->round,
        .session = m->session,
        .roster_hash = m->roster,
        .plan_hash = m->plan_hash,
        .model_hash = m->model,
        .participants = m->participants,
        .participant_count = m->participant_count,
        .head = m->c.head,
    };
    digest = fm_round_start_digest(m->c.plan->federation, s);
    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_ROUND_START, digest.bytes, FM_HASH_BYTES,
                               signature, &signature_len)) != FM_OK)
        return st;
    s->signature = (fm_bytes){ signature, signature_len };
    fm_coord_enter(m, FM_COORD_WAIT_UPDATES, m->c.phase_ms);
    m->waiting_noted = m->tainted = false;
    st = send_start(m, &msg);
    /* While the nodes compute. */
    fm_replay_round_clear(m->sums);
    return st;
}

/* ---- what may come when ---- */

/* The first phase of a round in which the message may come. */
static fm_coordinator_phase first_phase(fm_msg_type type)
{
    switch (type) {
    case FM_MSG_RELEASE:
        return FM_COORD_WAIT_RELEASES;
    case FM_MSG_COMMIT:
        return FM_COORD_WAIT_COMMITS;
    default: /* UpdatePiece, MaskedUpdate; Abandon */
        return FM_COORD_WAIT_UPDATES;
    }
}

/*
 * A member can be late: its message may cross what closed the phase, or a whole round. It cannot
 * be early: Commit answers Survivors, Release answers Commits.
 */
slot *fm_coord_slot(fm_coordinator *m, member *who, uint64_t round, fm_msg_type type)
{
    const char *name = fm_msg_name(type);
    bool under_way = m->phase == FM_COORD_WAIT_UPDATES || m->phase == FM_COORD_WAIT_COMMITS ||
                     m->phase == FM_COORD_WAIT_RELEASES;

    if (who->exhausted)
        return NULL; /* what we sent crossed its last word */
    if (who->index == NO_INDEX || round > m->round) {
        fm_coord_offend(m, who, "%s for round %llu, which was not started with it", name,
                        (unsigned long long)round);
        return NULL;
    }
    if (round < m->round || !under_way)
        return NULL;
    if (m->phase < first_phase(type)) {
        fm_coord_offend(m, who, "%s for round %llu before it was asked for", name,
                        (unsigned long long)round);
        return NULL;
    }
    return &m->slots[who->index];
}

void fm_coord_take_refusal(fm_coordinator *m, member *who, const fm_msg_abandon *a)
{
    if (a->final && who->ready) { /* true whatever became of the round meanwhile */
        fm_coord_exhaust(m, who, a->reason);
        return;
    }
    if (!fm_coord_slot(m, who, a->round, FM_MSG_ABANDON))
        return;
    if (strcmp(a->reason, FM_ABANDON_PAUSED) == 0) { /* what it costs is judged as ever */
        fm_coord_drop(m, who, "%s", a->reason);
        return;
    }
    fm_coord_drop(m, who, "it refused round %llu: %s%s", (unsigned long long)a->round, a->reason,
                  m->tainted && strcmp(a->reason, FM_ABANDON_REVOKED) == 0
                      ? " (another's: no fault of this node, which comes back at once)"
                      : "");
}

/* ---- 3: Survivors ---- */

static void count_updates(fm_coordinator *m, uint32_t *came, uint32_t *open)
{
    *came = *open = 0;
    for (uint32_t i = 0; i < m->participant_count; i++) {
        uint32_t at = m->participants[i];

        if (m->slots[at].updated)
            ++*came;
        else
            *open += m->roster_members[at] != NULL;
    }
}

/* Whether each group can still have its quorum, should all who are here send. */
static bool groups_can_be(const fm_coordinator *m)
{
    uint32_t left[FM_MAX_NODES], count = 0;

    for (uint32_t i = 0; i < m->participant_count; i++) {
        const uint32_t at = m->participants[i];

        if (m->slots[at].updated || m->roster_members[at])
            left[count++] = at;
    }
    return fm_groups_check(fm_replay_round_groups(m->sums), m->c.plan, left, count) == FM_OK;
}

static void choose_survivors(fm_coordinator *m)
{
    m->survivor_count = m->lost_count = 0;
    for (uint32_t i = 0; i < m->participant_count; i++) {
        uint32_t at = m->participants[i];
        const slot *s = &m->slots[at];

        if (!s->updated) {
            m->lost[m->lost_count++] = at;
            continue;
        }
        m->update_hashes[m->survivor_count] = s->update;
        m->signatures[m->survivor_count] = m->update_signatures[m->survivor_count] =
            (fm_bytes){ s->update_signature, s->update_signature_len };
        m->survivors[m->survivor_count++] = at;
    }
}

/* The others have waited a whole phase for it: once is no more than bad luck. */
static void blame_late(fm_coordinator *m)
{
    for (uint32_t i = 0; i < m->lost_count; i++) {
        member *who = m->roster_members[m->lost[i]];

        if (!who)
            continue;
        fm_coord_note(m, "round %llu: no update from %s in time; left out",
                      (unsigned long long)m->round, who->name);
        fm_coord_blame(m, who->name, 1);
        if (fm_coord_is_barred(m, who->name))
            fm_coord_drop(m, who, "no update for round %llu in time, again",
                          (unsigned long long)m->round);
    }
}

fm_status fm_coord_settle_updates(fm_coordinator *m)
{
    fm_message msg = { .type = FM_MSG_SURVIVORS };
    fm_round_view view = fm_coord_view(m);
    uint32_t came = 0, open = 0;

    count_updates(m, &came, &open);
    if (m->broken)
        return fm_coord_abandon(m, m->broken);
    if (came + open >= fm_coord_needed(m) && open > 0 && !m->overdue && groups_can_be(m))
        return FM_OK;
    choose_survivors(m);
    if (m->overdue)
        blame_late(m);
    if (!groups_can_be(m))
        return fm_coord_abandon(m, "too few nodes of a group are left");
    if (came < fm_coord_needed(m))
        return fm_coord_abandon(m, open > 0 && m->overdue ? "too few updates came in time"
                                                          : "too many nodes were lost");
    if (fm_replay_round_survive(m->sums, m->survivors, m->survivor_count) != FM_OK)
        return fm_coord_abandon(m, "too few updates of a group came in time");
    m->commit_digest = fm_commit_digest(&view, m->survivors, m->update_hashes, m->survivor_count);
    msg.survivors = (fm_msg_survivors){ m->round, m->survivors, m->update_hashes, m->signatures,
                                        m->survivor_count };
    fm_coord_enter(m, FM_COORD_WAIT_COMMITS, m->c.phase_ms);
    return fm_coord_send_all(m, m->survivors, m->survivor_count, &msg);
}

/* ---- 4: Commit ---- */

void fm_coord_take_commit(fm_coordinator *m, member *who, const fm_msg_commit *c)
{
    slot *s = fm_coord_slot(m, who, c->round, FM_MSG_COMMIT);

    if (!s)
        return;
    if (!s->updated)
        fm_coord_offend(m, who, "a commit to round %llu, which it was left out of",
                        (unsigned long long)c->round);
    else if (s->committed)
        fm_coord_offend(m, who, "a second commit for round %llu", (unsigned long long)c->round);
    else if (fm_peer_check_signature(who->certificate, FM_LABEL_COMMIT, m->commit_digest.bytes,
                                     FM_HASH_BYTES, c->signature.data, c->signature.len) != FM_OK ||
             !fm_coord_keep_signature(s->commit_signature, &s->commit_signature_len, c->signature))
        fm_coord_offend(m, who, "its commit signs something else");
    else
        s->committed = true;
}

/* ---- 5: Commits ---- */

static bool has_committed(const slot *s)
{
    return s->committed;
}

fm_status fm_coord_settle_commits(fm_coordinator *m)
{
    fm_message msg = { .type = FM_MSG_COMMITS };
    uint32_t missing = 0;

    for (uint32_t i = 0; i < m->survivor_count; i++) {
        const slot *s = &m->slots[m->survivors[i]];

        missing += !s->committed;
        m->signatures[i] = (fm_bytes){ s->commit_signature, s->commit_signature_len };
    }
    if (m->broken)
        return fm_coord_abandon(m, m->broken);
    if (missing > 0)
        return m->overdue ? fm_coord_late(m, "commit", has_committed) : FM_OK;
    msg.commits = (fm_msg_commits){ m->round, m->signatures, m->survivor_count };
    fm_coord_enter(m, FM_COORD_WAIT_RELEASES, m->c.phase_ms);
    return fm_coord_send_all(m, m->survivors, m->survivor_count, &msg);
}
