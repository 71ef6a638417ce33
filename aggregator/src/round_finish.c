/* Steps 6 and 7: releases, the sum, the optimizer step; and how a round is abandoned. */
#include <stdio.h>

#include <sodium.h>

#include "round_internal.h"

static void clear_round(fm_coordinator *m)
{
    for (uint32_t i = 0; i < m->participant_count; i++)
        fm_coord_drop_pieces(m, m->participants[i]);
    sodium_memzero(m->slots, m->c.plan->max_nodes * sizeof *m->slots);
    m->participant_count = m->survivor_count = m->lost_count = 0;
    m->broken = NULL;
}

/* ---- no sum ---- */

static fm_status tell_abandon(fm_coordinator *m, const char *reason)
{
    fm_message msg = { .type = FM_MSG_ABANDON };

    msg.abandon.round = m->round;
    fm_reason_set(msg.abandon.reason, reason);
    return fm_coord_send_all(m, m->participants, m->participant_count, &msg);
}

static void tell_ended(fm_coordinator *m, bool finished, const char *reason)
{
    if (m->c.ports.round_ended)
        m->c.ports.round_ended(m->c.ports.ctx, m->round, finished, m->survivor_count,
                               m->participant_count, reason);
}

fm_status fm_coord_abandon(fm_coordinator *m, const char *reason)
{
    fm_status st = tell_abandon(m, reason);

    tell_ended(m, false, reason);
    clear_round(m);
    fm_coord_enter(m, FM_COORD_WAIT_MEMBERS, 0);
    return st;
}

fm_status fm_coord_late(fm_coordinator *m, const char *part, bool (*done)(const slot *s))
{
    char reason[64];

    for (uint32_t i = 0; i < m->survivor_count; i++) {
        member *who = m->roster_members[m->survivors[i]];

        if (who && !done(&m->slots[m->survivors[i]]))
            fm_coord_drop(m, who, "no %s for round %llu in time", part,
                          (unsigned long long)m->round);
    }
    (void)snprintf(reason, sizeof reason, "a %s did not come in time", part);
    return fm_coord_abandon(m, reason);
}

/* ---- 6: Release ---- */

/* The seeds must be for exactly the lost nodes of its group, in order. */
static bool fits(const fm_coordinator *m, const member *who, const fm_msg_release *r)
{
    uint32_t lost[FM_MAX_NODES];
    const uint32_t count = fm_replay_round_lost(m->sums, who->index, lost);

    if (r->lost_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (r->lost[i] != lost[i])
            return false;
    return true;
}

/* At once, so that only the last one's are left to subtract when all have come. */
static fm_status unmask(fm_coordinator *m, uint32_t at, const fm_msg_release *r)
{
    fm_status st = fm_replay_round_unmask(m->sums, at, r);

    if (st == FM_OK && m->c.ports.keep_release)
        st = m->c.ports.keep_release(m->c.ports.ctx, at, r);
    return st;
}

/* The mark of its ledger, signed for this very round. */
static fm_status check_mark(const fm_coordinator *m, const member *who, const fm_msg_release *r)
{
    fm_hash digest =
        fm_ledger_mark_digest(m->c.plan->federation, &m->plan_hash, r->round, &r->ledger_head);

    return fm_peer_check_signature(who->certificate, FM_LABEL_LEDGER_MARK, digest.bytes,
                                   FM_HASH_BYTES, r->ledger_signature.data,
                                   r->ledger_signature.len);
}

static fm_status keep_mark(fm_coordinator *m, const member *who, const fm_msg_release *r)
{
    const fm_ledger_mark mark = { r->round, r->ledger_head, r->ledger_signature };

    return m->c.ports.keep_mark(m->c.ports.ctx, who->name, &mark);
}

fm_status fm_coord_take_release(fm_coordinator *m, member *who, const fm_msg_release *r)
{
    slot *s = fm_coord_slot(m, who, r->round, FM_MSG_RELEASE);
    fm_status st;

    if (!s)
        return FM_OK;
    if (!s->updated) {
        fm_coord_offend(m, who, "a release of round %llu, which it was left out of",
                        (unsigned long long)r->round);
    } else if (s->released) {
        fm_coord_offend(m, who, "a second release for round %llu", (unsigned long long)r->round);
    } else if (!fits(m, who, r)) {
        fm_coord_offend(m, who, "its release is not for the nodes that were lost");
    } else if (r->surplus_count != fm_replay_round_surplus(m->sums, who->index)) {
        fm_coord_offend(m, who, "its release gives back %u parts of its noise, not %u",
                        (unsigned)r->surplus_count,
                        (unsigned)fm_replay_round_surplus(m->sums, who->index));
    } else if ((st = check_mark(m, who, r)) == FM_EAUTH) {
        fm_coord_offend(m, who,
                        "the mark of its ledger does not bear its signature for this round");
    } else {
        if (st != FM_OK || (st = keep_mark(m, who, r)) != FM_OK ||
            (st = unmask(m, who->index, r)) != FM_OK)
            return st;
        s->released = true;
    }
    return FM_OK;
}

/* ---- 7: the sum ---- */

static fm_status step(fm_coordinator *m)
{
    fm_optimizer *o = m->c.optimizer;
    fm_replay_outliers outliers;
    fm_status st = fm_replay_round_step(m->sums, o, &outliers);

    if (st == FM_OK)
        fm_coord_watch(m, &outliers);
    if (st == FM_OK)
        m->model = fm_model_digest(o->weights, o->n * sizeof *o->weights);
    return st;
}

static fm_status finish(fm_coordinator *m)
{
    fm_transcript_entry entry = { .round = m->round, .commit_digest = m->commit_digest };
    const fm_hash model_before = m->model;
    fm_buf full = { 0 };
    fm_status st;

    if ((st = step(m)) != FM_OK)
        return st;
    entry.model_after = m->model;
    if ((st = fm_coord_record(m, &entry, &model_before, &full)) == FM_OK)
        st = m->c.ports.finish_round(m->c.ports.ctx, &entry, (fm_bytes){ full.data, full.len },
                                     m->c.optimizer);
    fm_buf_fini(&full);
    if (st != FM_OK)
        return st;
    m->c.head = fm_transcript_next(&m->c.head, &entry);
    m->c.last_round = m->round;
    m->c.finished++;
    tell_ended(m, true, "");
    for (uint32_t i = 0; i < m->survivor_count; i++)
        if (m->roster_members[m->survivors[i]])
            fm_coord_forgive(m, m->roster_members[m->survivors[i]]->name);
    clear_round(m);
    if (m->c.finished < m->c.plan->rounds && !fm_optimizer_is_done(m->c.optimizer)) {
        fm_coord_enter(m, FM_COORD_WAIT_MEMBERS, 0);
        return FM_OK;
    }
    return fm_coord_conclude(m);
}

fm_status fm_coord_conclude(fm_coordinator *m)
{
    uint32_t count = 0;

    fm_coord_enter(m, FM_COORD_FINISHED, 0);
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->ready || m->members[i]->exhausted)
            m->targets[count++] = m->members[i];
    return fm_coord_send_finish(m, m->targets, count);
}

static bool has_released(const slot *s)
{
    return s->released;
}

fm_status fm_coord_settle_releases(fm_coordinator *m)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < m->survivor_count; i++)
        missing += !m->slots[m->survivors[i]].released;
    if (missing == 0)
        return finish(m);
    if (m->broken)
        return fm_coord_abandon(m, m->broken);
    return m->overdue ? fm_coord_late(m, "release", has_released) : FM_OK;
}

/* ---- Finish ---- */

static fm_status make_result(fm_coordinator *m)
{
    const fm_optimizer *o = m->c.optimizer;
    void *p = NULL;
    fm_status st;

    if (m->result)
        return FM_OK;
    m->result = o->weights; /* no step is made any more */
    m->result_hash = m->model;
    if (o->averaged == 0)
        return FM_OK;
    if ((st = fm_alloc_whole(o->n, sizeof *m->average, &p)) != FM_OK) {
        m->result = NULL;
        return st;
    }
    fm_optimizer_result(o, p);
    m->result = m->average = p;
    m->result_hash = fm_model_digest(p, o->n * sizeof *m->average);
    return FM_OK;
}

/* The signature does not cover the entries: head says where they must lead. */
static void fit_finish(fm_coordinator *m, const member *who, fm_message *msg)
{
    m->c.ports.entries_after(m->c.ports.ctx, who->known_round, &msg->finish.entries,
                             &msg->finish.entry_count);
}

fm_status fm_coord_send_finish(fm_coordinator *m, member *const *list, uint32_t count)
{
    size_t len = 0;
    fm_message msg = { .type = FM_MSG_FINISH };
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_hash digest;
    fm_status st;

    if ((st = make_result(m)) != FM_OK)
        return st;
    msg.finish = (fm_msg_finish){
        .rounds = m->c.finished,
        .model_hash = m->result_hash,
        .head = m->c.head,
    };
    digest = fm_finish_digest(m->c.plan->federation, &msg.finish);
    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_FINISH, digest.bytes, FM_HASH_BYTES,
                               signature, &len)) != FM_OK)
        return st;
    msg.finish.signature = (fm_bytes){ signature, len };
    return fm_coord_send_fitted(m, list, count, fit_finish, &msg);
}
