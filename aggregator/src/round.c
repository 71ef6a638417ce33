#include "fedmoe/aggregator/round.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "round_internal.h"

static fm_status take_room(fm_coordinator *m)
{
    size_t nodes = m->c.plan->max_nodes, n = m->c.plan->parameters;
    fm_status st;

    if ((st = fm_alloc(nodes, sizeof *m->members, (void **)&m->members)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof *m->roster_peers, (void **)&m->roster_peers)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof *m->slots, (void **)&m->slots)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof(uint32_t), (void **)&m->participants)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof(uint32_t), (void **)&m->survivors)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof(uint32_t), (void **)&m->lost)) != FM_OK ||
        (st = fm_alloc(n, sizeof(uint32_t), (void **)&m->sum)) != FM_OK)
        return st;
    return fm_alloc(n, sizeof(float), (void **)&m->gradient);
}

fm_status fm_coordinator_new(const fm_coordinator_config *c, fm_coordinator **out)
{
    fm_coordinator *m = NULL;
    fm_dp_lattice_spec spec;
    fm_status st;

    if (!c || !out || !c->plan || !c->optimizer || c->optimizer->n != c->plan->parameters)
        return fm_fail(FM_EINVAL, "coordinator: plan and optimizer are missing or do not fit");
    if ((st = fm_alloc(1, sizeof *m, (void **)&m)) != FM_OK)
        return st;
    m->c = *c;
    m->plan_hash = fm_plan_hash(c->plan_bytes, c->plan_len);
    spec = (fm_dp_lattice_spec){
        .clip_norm = c->plan->clip_norm,
        .noise_multiplier = c->plan->noise_multiplier,
        .max_units = c->plan->max_units,
        .nodes = c->plan->max_nodes,
        .quorum = c->plan->quorum,
        .colluders = c->plan->colluders,
    };
    if ((st = fm_dp_lattice_make(&spec, &m->lattice)) != FM_OK || (st = take_room(m)) != FM_OK)
        goto done;
    m->phase = c->finished >= c->plan->rounds ? FM_COORD_FINISHED : FM_COORD_WAIT_MEMBERS;
    *out = m;
    m = NULL;
done:
    fm_coordinator_free(&m);
    return st;
}

static void member_free(member **who)
{
    if (!*who)
        return;
    fm_peer_free(&(*who)->certificate);
    free(*who);
    *who = NULL;
}

void fm_coordinator_free(fm_coordinator **mp)
{
    fm_coordinator *m = mp ? *mp : NULL;

    if (!m)
        return;
    if (m->slots)
        fm_coord_clear_round(m);
    for (uint32_t i = 0; i < m->member_count; i++)
        member_free(&m->members[i]);
    free(m->members);
    free(m->roster_peers);
    free(m->slots);
    free(m->participants);
    free(m->survivors);
    free(m->lost);
    free(m->sum);
    free(m->gradient);
    free(m);
    *mp = NULL;
}

member *fm_coord_find(fm_coordinator *m, uint64_t peer)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->peer == peer)
            return m->members[i];
    return NULL;
}

void fm_coord_note(fm_coordinator *m, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (m->c.ports.note)
        m->c.ports.note(m->c.ports.ctx, text);
}

void fm_coord_send(fm_coordinator *m, const member *who, const fm_message *msg)
{
    if (m->c.ports.send(m->c.ports.ctx, who->peer, msg) != FM_OK)
        fm_coord_note(m, "%s to %s could not be sent: %s", fm_msg_name(msg->type), who->name,
                      fm_error_text());
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

/* Take the member out of the books; returns its index in the roster. */
static uint32_t forget(fm_coordinator *m, member *who)
{
    uint32_t index = who->index;

    if (index != NO_INDEX)
        m->roster_peers[index] = 0;
    for (uint32_t i = 0; i < m->member_count; i++) {
        if (m->members[i] == who) {
            m->members[i] = m->members[--m->member_count];
            break;
        }
    }
    member_free(&who);
    return index;
}

fm_status fm_coord_drop(fm_coordinator *m, member *who, uint64_t now_ms, const char *fmt, ...)
{
    char reason[FM_MAX_REASON_BYTES];
    uint64_t peer = who->peer;
    uint32_t index;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    fm_coord_note(m, "%s dropped: %s", who->name, reason);
    index = forget(m, who);
    m->c.ports.drop(m->c.ports.ctx, peer, reason);
    return index == NO_INDEX ? FM_OK : fm_coord_lose(m, index, now_ms);
}

fm_status fm_coordinator_joined(fm_coordinator *m, uint64_t peer, const fm_credential *credential,
                                const fm_statement *statement, uint64_t now_ms, int64_t now_s)
{
    fm_message offer = { .type = FM_MSG_PLAN_OFFER };
    member *who = NULL;
    fm_status st;

    (void)now_ms;
    if (m->member_count >= m->c.plan->max_nodes) {
        m->c.ports.drop(m->c.ports.ctx, peer, "the federation is full");
        return FM_OK;
    }
    if ((st = fm_alloc(1, sizeof *who, (void **)&who)) != FM_OK)
        return st;
    st = fm_peer_verify(m->c.trust, credential->cert, credential->cert_len, FM_ROLE_NODE, now_s,
                        &who->certificate);
    if (st != FM_OK) {
        m->c.ports.drop(m->c.ports.ctx, peer, "the certificate was refused");
        member_free(&who);
        return st == FM_ENOMEM ? st : FM_OK;
    }
    who->peer = peer;
    who->index = NO_INDEX;
    who->credential = *credential;
    memcpy(who->name, statement->name, sizeof who->name);
    m->members[m->member_count++] = who;
    fm_coord_note(m, "%s joined", who->name);
    offer.plan_offer.plan = (fm_bytes){ m->c.plan_bytes, m->c.plan_len };
    fm_coord_send(m, who, &offer);
    return FM_OK;
}

fm_status fm_coordinator_gone(fm_coordinator *m, uint64_t peer, uint64_t now_ms)
{
    member *who = fm_coord_find(m, peer);
    uint32_t index;

    if (!who)
        return FM_OK;
    fm_coord_note(m, "%s is gone", who->name);
    index = forget(m, who);
    return index == NO_INDEX ? FM_OK : fm_coord_lose(m, index, now_ms);
}

fm_status fm_coordinator_take(fm_coordinator *m, uint64_t peer, const fm_message *msg,
                              uint64_t now_ms, int64_t now_s)
{
    member *who = fm_coord_find(m, peer);

    (void)now_s;
    if (!who)
        return FM_OK; /* dropped while the message was on its way */
    switch (msg->type) {
    case FM_MSG_JOIN:
        return fm_coord_take_join(m, who, &msg->join, now_ms);
    case FM_MSG_PLAN_ANSWER:
        return fm_coord_take_plan_answer(m, who, &msg->plan_answer, now_ms);
    case FM_MSG_ROSTER_ANSWER:
        return fm_coord_take_roster_answer(m, who, &msg->roster_answer, now_ms);
    case FM_MSG_MASKED_UPDATE:
        return fm_coord_take_update(m, who, &msg->masked_update, now_ms);
    case FM_MSG_COMMIT:
        return fm_coord_take_commit(m, who, &msg->commit, now_ms);
    case FM_MSG_RELEASE:
        return fm_coord_take_release(m, who, &msg->release, now_ms);
    case FM_MSG_ABANDON:
        return fm_coord_take_refusal(m, who, &msg->abandon, now_ms);
    default:
        return fm_coord_drop(m, who, now_ms, "a node may not send %s", fm_msg_name(msg->type));
    }
}

fm_status fm_coordinator_tick(fm_coordinator *m, uint64_t now_ms, int64_t now_s)
{
    (void)now_s;
    if (m->deadline_ms == 0 || now_ms < m->deadline_ms)
        return FM_OK;
    m->deadline_ms = 0;
    switch (m->phase) {
    case FM_COORD_WAIT_MEMBERS:
        return fm_coord_members_deadline(m, now_ms);
    case FM_COORD_WAIT_ROSTER:
        return fm_coord_roster_deadline(m, now_ms);
    case FM_COORD_WAIT_UPDATES:
        return fm_coord_updates_deadline(m, now_ms);
    case FM_COORD_WAIT_COMMITS:
    case FM_COORD_WAIT_RELEASES:
        return fm_coord_late(m, now_ms);
    case FM_COORD_FINISHED:
        break;
    }
    return FM_OK;
}

int fm_coordinator_wait_ms(const fm_coordinator *m, uint64_t now_ms)
{
    if (m->deadline_ms == 0 || m->deadline_ms > now_ms + 1000)
        return 1000;
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
