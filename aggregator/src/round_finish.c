/* Steps 6 and 7: releases, the sum, the optimizer step; and how a round is abandoned. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "round_internal.h"

void fm_coord_clear_round(fm_coordinator *m)
{
    for (uint32_t i = 0; i < m->c.plan->max_nodes; i++) {
        free(m->slots[i].pair_seeds);
        sodium_memzero(&m->slots[i], sizeof m->slots[i]);
    }
    memset(m->sum, 0, (size_t)m->c.plan->parameters * sizeof *m->sum);
    m->participant_count = m->survivor_count = m->lost_count = 0;
}

static void tell_abandon(fm_coordinator *m, const char *reason)
{
    fm_message msg = { .type = FM_MSG_ABANDON };

    msg.abandon.round = m->round;
    fm_reason_set(msg.abandon.reason, reason);
    for (uint32_t i = 0; i < m->participant_count; i++) {
        uint64_t peer = m->roster_peers[m->participants[i]];
        member *who = peer ? fm_coord_find(m, peer) : NULL;

        if (who)
            fm_coord_send(m, who, &msg);
    }
}

fm_status fm_coord_abandon(fm_coordinator *m, uint64_t now_ms, const char *reason)
{
    uint32_t survivors = m->survivor_count, participants = m->participant_count;

    tell_abandon(m, reason);
    m->c.ports.round_ended(m->c.ports.ctx, m->round, false, survivors, participants, reason);
    fm_coord_clear_round(m);
    m->phase = FM_COORD_WAIT_MEMBERS;
    m->deadline_ms = 0;
    return fm_coord_go_on(m, now_ms);
}

fm_status fm_coord_late(fm_coordinator *m, uint64_t now_ms)
{
    bool commits = m->phase == FM_COORD_WAIT_COMMITS;
    uint64_t late[FM_MAX_NODES];
    uint32_t count = 0;
    fm_status st;

    for (uint32_t i = 0; i < m->survivor_count; i++) {
        const slot *s = &m->slots[m->survivors[i]];

        if (commits ? !s->committed : !s->released)
            late[count++] = m->roster_peers[m->survivors[i]];
    }
    /* The next round starts without them: gone from the books before it can begin. */
    m->phase = FM_COORD_WAIT_MEMBERS;
    for (uint32_t i = 0; i < count; i++) {
        member *who = late[i] ? fm_coord_find(m, late[i]) : NULL;

        if (who && (st = fm_coord_drop(m, who, now_ms, "no %s for round %llu in time",
                                       commits ? "commit" : "release",
                                       (unsigned long long)m->round)) != FM_OK)
            return st;
    }
    return fm_coord_abandon(m, now_ms,
                            commits ? "not every survivor committed in time"
                                    : "not every survivor released in time");
}

/* The seeds must be for exactly the lost nodes, in order. */
static bool fits(const fm_coordinator *m, const fm_msg_release *r)
{
    if (r->lost_count != m->lost_count)
        return false;
    for (uint32_t i = 0; i < r->lost_count; i++)
        if (r->lost[i] != m->lost[i])
            return false;
    return true;
}

static fm_status unmask_one(fm_coordinator *m, uint32_t at)
{
    const slot *s = &m->slots[at];
    size_t n = m->c.plan->parameters;
    fm_status st = fm_dp_mask_apply(m->sum, n, s->self_seed, -1);

    for (uint32_t i = 0; st == FM_OK && i < m->lost_count; i++)
        st = fm_dp_mask_apply(m->sum, n, s->pair_seeds[i], -fm_dp_mask_sign(at, m->lost[i]));
    return st;
}

static fm_status finish(fm_coordinator *m, uint64_t now_ms);

fm_status fm_coord_take_release(fm_coordinator *m, member *who, const fm_msg_release *r,
                                uint64_t now_ms)
{
    slot *s;
    fm_status st;

    if (m->phase != FM_COORD_WAIT_RELEASES || r->round != m->round || who->index == NO_INDEX ||
        !m->slots[who->index].updated)
        return FM_OK;
    s = &m->slots[who->index];
    if (s->released)
        return fm_coord_drop(m, who, now_ms, "a second release for round %llu",
                             (unsigned long long)r->round);
    if (!fits(m, r))
        return fm_coord_drop(m, who, now_ms, "its release is not for the nodes that were lost");
    if (r->lost_count > 0) {
        if ((st = fm_alloc(r->lost_count, FM_SEED_BYTES, (void **)&s->pair_seeds)) != FM_OK)
            return st;
        memcpy(s->pair_seeds, r->pair_seeds, (size_t)r->lost_count * FM_SEED_BYTES);
    }
    memcpy(s->self_seed, r->self_seed, FM_SEED_BYTES);
    s->released = true;
    for (uint32_t i = 0; i < m->survivor_count; i++)
        if (!m->slots[m->survivors[i]].released)
            return FM_OK;
    return finish(m, now_ms);
}

static fm_status step(fm_coordinator *m)
{
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < m->survivor_count; i++)
        st = unmask_one(m, m->survivors[i]);
    if (st != FM_OK)
        return st;
    fm_dp_decode_sum(&m->lattice, m->sum, m->c.plan->parameters, m->gradient);
    return fm_optimizer_step(m->c.optimizer, m->gradient, m->c.plan->parameters);
}

static fm_status finish(fm_coordinator *m, uint64_t now_ms)
{
    fm_transcript_entry entry = { .round = m->round, .commit_digest = m->commit_digest };
    uint32_t survivors = m->survivor_count, participants = m->participant_count;
    fm_status st;

    if ((st = step(m)) != FM_OK)
        return st;
    entry.model_after = fm_model_digest(m->c.optimizer->weights,
                                        m->c.optimizer->n * sizeof(float));
    if ((st = m->c.ports.finish_round(m->c.ports.ctx, &entry, m->c.optimizer)) != FM_OK)
        return st;
    m->c.head = fm_transcript_next(&m->c.head, &entry);
    m->c.last_round = m->round;
    m->c.finished++;
    m->c.ports.round_ended(m->c.ports.ctx, m->round, true, survivors, participants, "");
    fm_coord_clear_round(m);
    if (m->c.finished < m->c.plan->rounds) {
        m->phase = FM_COORD_WAIT_MEMBERS;
        m->deadline_ms = 0;
        return fm_coord_go_on(m, now_ms);
    }
    m->phase = FM_COORD_FINISHED;
    m->deadline_ms = 0;
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->state == MEMBER_READY)
            fm_coord_send_finish(m, m->members[i]);
    return FM_OK;
}

void fm_coord_send_finish(fm_coordinator *m, member *who)
{
    size_t n = m->c.optimizer->n, len = 0;
    fm_message msg = { .type = FM_MSG_FINISH };
    uint8_t signature[FM_SIGNATURE_MAX];
    float *result = NULL;
    fm_hash digest;

    if (fm_alloc(n, sizeof *result, (void **)&result) != FM_OK)
        return;
    fm_optimizer_result(m->c.optimizer, result);
    msg.finish = (fm_msg_finish){
        .rounds = m->c.finished,
        .model_hash = fm_model_digest(result, n * sizeof *result),
        .model = { (const uint8_t *)result, n * sizeof *result },
        .head = m->c.head,
    };
    m->c.ports.entries_after(m->c.ports.ctx, who->known_round, &msg.finish.entries,
                             &msg.finish.entry_count);
    digest = fm_finish_digest(m->c.plan->federation, &msg.finish);
    if (fm_identity_sign(m->c.identity, FM_LABEL_FINISH, digest.bytes, FM_HASH_BYTES, signature,
                         &len) == FM_OK) {
        msg.finish.signature = (fm_bytes){ signature, len };
        fm_coord_send(m, who, &msg);
        who->finish_sent = true;
    }
    free(result);
}
