/* The machine's life, and the way from an event to what follows from it. */
#include "fedmoe/aggregator/round.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "round_internal.h"

#define LONGEST_WAIT_MS 1000

static fm_status room(size_t count, size_t size, void *place)
{
    void *p = NULL;
    fm_status st = fm_alloc(count, size, &p);

    if (st == FM_OK)
        memcpy(place, &p, sizeof p);
    return st;
}

static fm_status take_room(fm_coordinator *m)
{
    const size_t nodes = m->c.plan->max_nodes;
    fm_status st;

    if ((st = room(nodes, sizeof *m->members, &m->members)) != FM_OK ||
        (st = room(2 * nodes, sizeof *m->records, &m->records)) != FM_OK ||
        (st = room(nodes, sizeof *m->roster_members, &m->roster_members)) != FM_OK ||
        (st = room(nodes, sizeof *m->slots, &m->slots)) != FM_OK ||
        (st = room(nodes, sizeof *m->participants, &m->participants)) != FM_OK ||
        (st = room(nodes, sizeof *m->survivors, &m->survivors)) != FM_OK ||
        (st = room(nodes, sizeof *m->lost, &m->lost)) != FM_OK ||
        (st = room(nodes, sizeof *m->targets, &m->targets)) != FM_OK ||
        (st = room(nodes, sizeof *m->peers, &m->peers)) != FM_OK ||
        (st = room(nodes, sizeof *m->update_hashes, &m->update_hashes)) != FM_OK ||
        (st = room(nodes, sizeof *m->signatures, &m->signatures)) != FM_OK ||
        (st = room(nodes, sizeof *m->update_signatures, &m->update_signatures)) != FM_OK ||
        (st = room(FM_COORD_BLOCK, 1, &m->block)) != FM_OK)
        return st;
    m->record_room = (uint32_t)(2 * nodes);
    return FM_OK;
}

fm_status fm_coordinator_new(const fm_coordinator_config *c, fm_coordinator **out)
{
    fm_coordinator *m = NULL;
    fm_status st;

    if (!c || !out || !c->plan || !c->optimizer || c->optimizer->n != c->plan->parameters)
        return fm_fail(FM_EINVAL, "coordinator: plan and optimizer are missing or do not fit");
    if ((st = room(1, sizeof *m, &m)) != FM_OK)
        return st;
    m->c = *c;
    m->plan_hash = fm_plan_hash(c->plan_bytes, c->plan_len);
    m->model = fm_model_digest(c->optimizer->weights, c->optimizer->n * sizeof(float));
    if ((st = fm_replay_round_new(c->plan, &m->sums)) != FM_OK || (st = take_room(m)) != FM_OK)
        goto done;
    m->phase = c->finished >= c->plan->rounds || fm_optimizer_is_done(c->optimizer)
                   ? FM_COORD_FINISHED
                   : FM_COORD_WAIT_MEMBERS;
    *out = m;
    m = NULL;
done:
    fm_coordinator_free(&m);
    return st;
}

void fm_coordinator_free(fm_coordinator **mp)
{
    fm_coordinator *m = mp ? *mp : NULL;

    if (!m)
        return;
    for (uint32_t i = 0; i < m->member_count; i++)
        fm_coord_member_free(&m->members[i]);
    free(m->members);
    free(m->records);
    free(m->roster_members);
    for (uint32_t i = 0; m->slots && i < m->c.plan->max_nodes; i++)
        fm_hasher_free(&m->slots[i].hasher);
    free(m->slots);
    free(m->participants);
    free(m->survivors);
    free(m->lost);
    free(m->targets);
    free(m->peers);
    free(m->update_hashes);
    free(m->signatures);
    free(m->update_signatures);
    free(m->block);
    fm_replay_round_free(&m->sums);
    free(m->average);
    free(m);
    *mp = NULL;
}

/* ---- shared by round*.c ---- */

void fm_coord_note(fm_coordinator *m, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!m->c.ports.note)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    m->c.ports.note(m->c.ports.ctx, text);
}

void fm_coord_enter(fm_coordinator *m, fm_coordinator_phase phase, uint64_t for_ms)
{
    m->phase = phase;
    m->deadline_ms = for_ms ? m->now_ms + for_ms : 0;
    m->overdue = false;
}

fm_round_view fm_coord_view(const fm_coordinator *m)
{
    return (fm_round_view){
        .federation = m->c.plan->federation,
        .session = m->session,
        .roster = m->roster,
        .plan = m->plan_hash,
        .model = m->model,
        .head = m->c.head,
        .round = m->round,
        .participants = m->participants,
        .participant_count = m->participant_count,
    };
}

uint32_t fm_coord_needed(const fm_coordinator *m)
{
    return m->c.plan->min_cohort > m->c.plan->quorum ? m->c.plan->min_cohort : m->c.plan->quorum;
}

/* ---- events ---- */

/* Every event ends here: go on until there is something to wait for. */
static fm_status settle(fm_coordinator *m)
{
    fm_coordinator_phase before;
    uint64_t round;
    fm_status st = FM_OK;

    do {
        before = m->phase;
        round = m->round;
        switch (m->phase) {
        case FM_COORD_WAIT_MEMBERS:
            st = fm_coord_settle_members(m);
            break;
        case FM_COORD_WAIT_ROSTER:
            st = fm_coord_settle_roster(m);
            break;
        case FM_COORD_WAIT_UPDATES:
            st = fm_coord_settle_updates(m);
            break;
        case FM_COORD_WAIT_COMMITS:
            st = fm_coord_settle_commits(m);
            break;
        case FM_COORD_WAIT_RELEASES:
            st = fm_coord_settle_releases(m);
            break;
        case FM_COORD_FINISHED:
            break;
        }
    } while (st == FM_OK && (m->phase != before || m->round != round));
    return st;
}

fm_status fm_coordinator_joined(fm_coordinator *m, uint64_t peer, const fm_credential *credential,
                                const fm_statement *statement, uint64_t now_ms, int64_t now_s)
{
    fm_status st;

    m->now_ms = now_ms;
    m->now_s = now_s;
    st = fm_coord_admit(m, peer, credential, statement);
    return st == FM_OK ? settle(m) : st;
}

static fm_status gone(fm_coordinator *m, uint64_t peer, bool offence, uint64_t now_ms)
{
    member *who = fm_coord_find(m, peer);

    m->now_ms = now_ms;
    if (!who)
        return FM_OK;
    fm_coord_lost(m, who, offence);
    return settle(m);
}

fm_status fm_coordinator_gone(fm_coordinator *m, uint64_t peer, uint64_t now_ms)
{
    return gone(m, peer, false, now_ms);
}

fm_status fm_coordinator_offended(fm_coordinator *m, uint64_t peer, uint64_t now_ms)
{
    return gone(m, peer, true, now_ms);
}

static fm_status take(fm_coordinator *m, member *who, const fm_message *msg)
{
    switch (msg->type) {
    case FM_MSG_JOIN:
        fm_coord_take_join(m, who, &msg->join);
        return FM_OK;
    case FM_MSG_PLAN_ANSWER:
        return fm_coord_take_plan_answer(m, who, &msg->plan_answer);
    case FM_MSG_ROSTER_ANSWER:
        fm_coord_take_roster_answer(m, who, &msg->roster_answer);
        return FM_OK;
    case FM_MSG_MODEL_WANT:
        return fm_coord_take_model_want(m, who, &msg->model_want);
    case FM_MSG_UPDATE_PIECE:
        return fm_coord_take_update_piece(m, who, &msg->update_piece);
    case FM_MSG_MASKED_UPDATE:
        return fm_coord_take_update(m, who, &msg->masked_update);
    case FM_MSG_COMMIT:
        fm_coord_take_commit(m, who, &msg->commit);
        return FM_OK;
    case FM_MSG_RELEASE:
        return fm_coord_take_release(m, who, &msg->release);
    case FM_MSG_ABANDON:
        fm_coord_take_refusal(m, who, &msg->abandon);
        return FM_OK;
    default:
        fm_coord_offend(m, who, "a node may not send %s", fm_msg_name(msg->type));
        return FM_OK;
    }
}

fm_status fm_coordinator_take(fm_coordinator *m, uint64_t peer, const fm_message *msg,
                              uint64_t now_ms, int64_t now_s)
{
    member *who = fm_coord_find(m, peer);
    fm_status st;

    m->now_ms = now_ms;
    m->now_s = now_s;
    if (!who)
        return FM_OK; /* dropped while the message was on its way */
    st = take(m, who, msg);
    return st == FM_OK ? settle(m) : st;
}

fm_status fm_coordinator_tick(fm_coordinator *m, uint64_t now_ms, int64_t now_s)
{
    m->now_ms = now_ms;
    m->now_s = now_s;
    if (m->deadline_ms == 0 || now_ms < m->deadline_ms)
        return FM_OK;
    m->deadline_ms = 0;
    m->overdue = true;
    return settle(m);
}

fm_status fm_coordinator_set_trust(fm_coordinator *m, const fm_trust *trust, uint64_t now_ms,
                                   int64_t now_s)
{
    fm_status st;

    m->now_ms = now_ms;
    m->now_s = now_s;
    m->c.trust = trust;
    if ((st = fm_coord_recheck(m)) != FM_OK ||
        (st = fm_coord_send_revocations(m, m->members, m->member_count)) != FM_OK)
        return st;
    return settle(m);
}

/* ---- what a driver asks ---- */

int fm_coordinator_wait_ms(const fm_coordinator *m, uint64_t now_ms)
{
    if (m->deadline_ms == 0 || m->deadline_ms > now_ms + LONGEST_WAIT_MS)
        return LONGEST_WAIT_MS;
    return m->deadline_ms <= now_ms ? 0 : (int)(m->deadline_ms - now_ms);
}

fm_coordinator_phase fm_coordinator_get_phase(const fm_coordinator *m)
{
    return m->phase;
}

uint32_t fm_coordinator_members(const fm_coordinator *m)
{
    return m->member_count;
}

uint64_t fm_coordinator_finished(const fm_coordinator *m)
{
    return m->c.finished;
}
