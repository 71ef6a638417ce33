/* Steps 1 to 5 of a round: start, updates, survivors, commits. */
#include <string.h>

#include "round_internal.h"

static member *at_index(fm_coordinator *m, uint32_t index)
{
    return m->roster_peers[index] ? fm_coord_find(m, m->roster_peers[index]) : NULL;
}

static uint32_t choose_participants(fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->roster_count; i++) {
        m->slots[i].participant = m->roster_peers[i] != 0;
        if (m->slots[i].participant)
            m->participants[n++] = i;
    }
    return n;
}

fm_status fm_coord_start_round(fm_coordinator *m, uint64_t now_ms)
{
    const uint8_t *weights = (const uint8_t *)m->c.optimizer->weights;
    size_t bytes = m->c.optimizer->n * sizeof(float);
    fm_message msg = { .type = FM_MSG_ROUND_START };
    fm_msg_round_start *s = &msg.round_start;
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t signature_len = 0;
    fm_hash digest;
    fm_status st;

    fm_coord_clear_round(m);
    m->participant_count = choose_participants(m);
    if ((st = m->c.ports.next_round(m->c.ports.ctx, &m->round)) != FM_OK)
        return st;
    m->model = fm_model_digest(weights, bytes);
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
    m->phase = FM_COORD_WAIT_UPDATES;
    m->deadline_ms = now_ms + m->c.phase_ms;
    for (uint32_t i = 0; i < m->participant_count; i++) {
        member *who = at_index(m, m->participants[i]);
        bool held = fm_hash_equal(&who->holds_model, &m->model);

        s->model = held ? (fm_bytes){ NULL, 0 } : (fm_bytes){ weights, bytes };
        who->holds_model = m->model;
        m->c.ports.entries_after(m->c.ports.ctx, who->known_round, &s->entries, &s->entry_count);
        fm_coord_send(m, who, &msg);
    }
    return FM_OK;
}

/* A message of the round under way from one of its participants; late ones are passed over. */
static slot *slot_of(fm_coordinator *m, const member *who, uint64_t round,
                     fm_coordinator_phase phase)
{
    if (m->phase != phase || round != m->round || who->index == NO_INDEX ||
        !m->slots[who->index].participant)
        return NULL;
    return &m->slots[who->index];
}

static uint32_t count_updates(const fm_coordinator *m, uint32_t *open)
{
    uint32_t n = 0;

    *open = 0;
    for (uint32_t i = 0; i < m->participant_count; i++) {
        const slot *s = &m->slots[m->participants[i]];

        n += s->updated;
        *open += !s->updated && m->roster_peers[m->participants[i]] != 0 && s->participant;
    }
    return n;
}

static void choose_survivors(fm_coordinator *m, fm_hash *updates, fm_bytes *signatures)
{
    m->survivor_count = m->lost_count = 0;
    for (uint32_t i = 0; i < m->participant_count; i++) {
        uint32_t at = m->participants[i];
        const slot *s = &m->slots[at];

        if (!s->updated) {
            m->lost[m->lost_count++] = at;
            continue;
        }
        updates[m->survivor_count] = s->update;
        signatures[m->survivor_count] =
            (fm_bytes){ s->update_signature, s->update_signature_len };
        m->survivors[m->survivor_count++] = at;
    }
}

static void send_survivors(fm_coordinator *m, const fm_message *msg)
{
    for (uint32_t i = 0; i < m->survivor_count; i++) {
        member *who = at_index(m, m->survivors[i]);

        if (who)
            fm_coord_send(m, who, msg);
    }
}

/* Step 3: the update phase is over. */
static fm_status close_updates(fm_coordinator *m, uint64_t now_ms)
{
    fm_message msg = { .type = FM_MSG_SURVIVORS };
    static _Thread_local fm_hash updates[FM_MAX_NODES];
    static _Thread_local fm_bytes signatures[FM_MAX_NODES];
    fm_round_view view = fm_coord_view(m);
    uint32_t open = 0;

    if (count_updates(m, &open) < m->c.plan->quorum)
        return fm_coord_abandon(m, now_ms, "fewer updates than the quorum came in time");
    choose_survivors(m, updates, signatures);
    m->commit_digest = fm_commit_digest(&view, m->survivors, updates, m->survivor_count);
    msg.survivors =
        (fm_msg_survivors){ m->round, m->survivors, updates, signatures, m->survivor_count };
    m->phase = FM_COORD_WAIT_COMMITS;
    m->deadline_ms = now_ms + m->c.phase_ms;
    send_survivors(m, &msg);
    return FM_OK;
}

fm_status fm_coord_take_update(fm_coordinator *m, member *who, const fm_msg_masked_update *u,
                               uint64_t now_ms)
{
    slot *s = slot_of(m, who, u->round, FM_COORD_WAIT_UPDATES);
    fm_round_view view = fm_coord_view(m);
    uint32_t open = 0;
    fm_hash update, digest;

    if (!s)
        return FM_OK;
    if (s->updated)
        return fm_coord_drop(m, who, now_ms, "a second update for round %llu",
                             (unsigned long long)u->round);
    if (u->masked.len != (size_t)m->c.plan->parameters * 4)
        return fm_coord_drop(m, who, now_ms, "its update has %zu bytes, not %zu", u->masked.len,
                             (size_t)m->c.plan->parameters * 4);
    update = fm_update_bytes_digest(u->masked.data, u->masked.len);
    digest = fm_update_digest(&view, who->index, &update);
    if (fm_peer_check_signature(who->certificate, FM_LABEL_UPDATE, digest.bytes, FM_HASH_BYTES,
                                u->signature.data, u->signature.len) != FM_OK)
        return fm_coord_drop(m, who, now_ms, "the signature of its update is wrong");
    fm_status st =
        fm_dp_sum_words(m->sum, m->c.plan->parameters, u->masked.data, u->masked.len);
    if (st != FM_OK)
        return st;
    s->updated = true;
    s->update = update;
    s->update_signature_len = u->signature.len;
    memcpy(s->update_signature, u->signature.data, u->signature.len);
    who->known_round = m->c.last_round; /* it followed the transcript to send this */
    count_updates(m, &open);
    return open == 0 ? close_updates(m, now_ms) : FM_OK;
}

fm_status fm_coord_take_refusal(fm_coordinator *m, member *who, const fm_msg_abandon *a,
                                uint64_t now_ms)
{
    if (a->round != m->round || who->index == NO_INDEX ||
        (m->phase != FM_COORD_WAIT_UPDATES && m->phase != FM_COORD_WAIT_COMMITS &&
         m->phase != FM_COORD_WAIT_RELEASES))
        return FM_OK;
    return fm_coord_drop(m, who, now_ms, "it refused round %llu: %s",
                         (unsigned long long)a->round, a->reason);
}

fm_status fm_coord_lose(fm_coordinator *m, uint32_t index, uint64_t now_ms)
{
    slot *s = &m->slots[index];
    uint32_t open = 0;

    switch (m->phase) {
    case FM_COORD_WAIT_ROSTER:
        m->roster_count = 0;
        m->phase = FM_COORD_WAIT_MEMBERS;
        m->deadline_ms = now_ms + m->c.join_ms;
        return FM_OK;
    case FM_COORD_WAIT_UPDATES:
        if (!s->participant)
            return FM_OK;
        /* Its update is in the sum, and it can no longer commit to it. */
        if (s->updated)
            return fm_coord_abandon(m, now_ms, "a node was lost after its update");
        count_updates(m, &open);
        return open == 0 ? close_updates(m, now_ms) : FM_OK;
    case FM_COORD_WAIT_COMMITS:
    case FM_COORD_WAIT_RELEASES:
        /* A survivor that has released already is not needed any more. */
        if (!s->updated || s->released)
            return FM_OK;
        return fm_coord_abandon(m, now_ms, "a node was lost after its update");
    case FM_COORD_WAIT_MEMBERS:
    case FM_COORD_FINISHED:
        break;
    }
    return FM_OK;
}

fm_status fm_coord_updates_deadline(fm_coordinator *m, uint64_t now_ms)
{
    fm_coord_note(m, "round %llu: the time for updates is over", (unsigned long long)m->round);
    return close_updates(m, now_ms);
}

/* Step 5: every survivor signed the same digest. */
static void send_commits(fm_coordinator *m, uint64_t now_ms)
{
    static _Thread_local fm_bytes signatures[FM_MAX_NODES];
    fm_message msg = { .type = FM_MSG_COMMITS };

    for (uint32_t i = 0; i < m->survivor_count; i++) {
        const slot *s = &m->slots[m->survivors[i]];

        signatures[i] = (fm_bytes){ s->commit_signature, s->commit_signature_len };
    }
    msg.commits = (fm_msg_commits){ m->round, signatures, m->survivor_count };
    m->phase = FM_COORD_WAIT_RELEASES;
    m->deadline_ms = now_ms + m->c.phase_ms;
    send_survivors(m, &msg);
}

fm_status fm_coord_take_commit(fm_coordinator *m, member *who, const fm_msg_commit *c,
                               uint64_t now_ms)
{
    slot *s = slot_of(m, who, c->round, FM_COORD_WAIT_COMMITS);

    if (!s || !s->updated)
        return FM_OK;
    if (s->committed)
        return fm_coord_drop(m, who, now_ms, "a second commit for round %llu",
                             (unsigned long long)c->round);
    if (fm_peer_check_signature(who->certificate, FM_LABEL_COMMIT, m->commit_digest.bytes,
                                FM_HASH_BYTES, c->signature.data, c->signature.len) != FM_OK)
        return fm_coord_drop(m, who, now_ms, "its commit signs something else");
    s->committed = true;
    s->commit_signature_len = c->signature.len;
    memcpy(s->commit_signature, c->signature.data, c->signature.len);
    for (uint32_t i = 0; i < m->survivor_count; i++)
        if (!m->slots[m->survivors[i]].committed)
            return FM_OK;
    send_commits(m, now_ms);
    return FM_OK;
}
