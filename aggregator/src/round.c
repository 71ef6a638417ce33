/* The machine's life, its books of members, and the way from an event to what follows from it. */
#include "fedmoe/aggregator/round.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

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
    size_t nodes = m->c.plan->max_nodes, n = m->c.plan->parameters;
    fm_status st;

    if ((st = room(nodes, sizeof *m->members, &m->members)) != FM_OK ||
        (st = room(nodes, sizeof *m->roster_members, &m->roster_members)) != FM_OK ||
        (st = room(nodes, sizeof *m->slots, &m->slots)) != FM_OK ||
        (st = room(nodes, sizeof *m->participants, &m->participants)) != FM_OK ||
        (st = room(nodes, sizeof *m->survivors, &m->survivors)) != FM_OK ||
        (st = room(nodes, sizeof *m->lost, &m->lost)) != FM_OK ||
        (st = room(nodes, sizeof *m->targets, &m->targets)) != FM_OK ||
        (st = room(nodes, sizeof *m->peers, &m->peers)) != FM_OK ||
        (st = room(nodes, sizeof *m->update_hashes, &m->update_hashes)) != FM_OK ||
        (st = room(nodes, sizeof *m->signatures, &m->signatures)) != FM_OK ||
        (st = room(n, sizeof *m->sum, &m->sum)) != FM_OK)
        return st;
    return room(n, sizeof *m->gradient, &m->gradient);
}

fm_status fm_coordinator_new(const fm_coordinator_config *c, fm_coordinator **out)
{
    fm_coordinator *m = NULL;
    fm_dp_lattice_spec spec;
    fm_status st;

    if (!c || !out || !c->plan || !c->optimizer || c->optimizer->n != c->plan->parameters)
        return fm_fail(FM_EINVAL, "coordinator: plan and optimizer are missing or do not fit");
    if ((st = room(1, sizeof *m, &m)) != FM_OK)
        return st;
    m->c = *c;
    m->plan_hash = fm_plan_hash(c->plan_bytes, c->plan_len);
    m->model = fm_model_digest(c->optimizer->weights, c->optimizer->n * sizeof(float));
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
    for (uint32_t i = 0; i < m->member_count; i++)
        member_free(&m->members[i]);
    free(m->members);
    free(m->roster_members);
    free(m->slots);
    free(m->participants);
    free(m->survivors);
    free(m->lost);
    free(m->targets);
    free(m->peers);
    free(m->update_hashes);
    free(m->signatures);
    free(m->sum);
    free(m->gradient);
    free(m->result);
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

/* ---- members come and go ---- */

/* The roster has lost this index: what does it mean for what is under way? */
static void lose(fm_coordinator *m, uint32_t index)
{
    const slot *s = &m->slots[index];

    m->roster_members[index] = NULL;
    switch (m->phase) {
    case FM_COORD_WAIT_ROSTER: /* to be made again, without it */
        m->roster_count = 0;
        fm_coord_enter(m, FM_COORD_WAIT_MEMBERS, 0);
        break;
    case FM_COORD_WAIT_UPDATES:
    case FM_COORD_WAIT_COMMITS:
    case FM_COORD_WAIT_RELEASES:
        /* Its update is in the sum, and its mask would stay there. */
        if (s->updated && !s->released)
            m->broken = "a node was lost after its update";
        break;
    case FM_COORD_WAIT_MEMBERS:
    case FM_COORD_FINISHED:
        break;
    }
}

static member *find(fm_coordinator *m, uint64_t peer)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->peer == peer)
            return m->members[i];
    return NULL;
}

static void forget(fm_coordinator *m, member *who)
{
    uint32_t index = who->index;

    for (uint32_t i = 0; i < m->member_count; i++) {
        if (m->members[i] == who) {
            m->members[i] = m->members[--m->member_count];
            break;
        }
    }
    member_free(&who);
    if (index != NO_INDEX)
        lose(m, index);
}

void fm_coord_drop(fm_coordinator *m, member *who, const char *fmt, ...)
{
    char reason[FM_MAX_REASON_BYTES + 1];
    uint64_t peer = who->peer;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    fm_coord_note(m, "%s dropped: %s", who->name, reason);
    forget(m, who);
    m->c.ports.drop(m->c.ports.ctx, peer, reason);
}

void fm_coord_exhaust(fm_coordinator *m, member *who, const char *reason)
{
    uint32_t index = who->index;

    fm_coord_note(m, "%s takes part in no further round: %s", who->name, reason);
    who->exhausted = true;
    who->ready = false;
    who->index = NO_INDEX;
    if (index != NO_INDEX)
        lose(m, index);
}

/*
 * What every node checks of the roster is checked here first: a member that all others would
 * refuse must not get them dropped for not answering.
 */
static const char *unfit(const fm_coordinator *m, const fm_statement *s)
{
    static const uint8_t any_scalar[crypto_scalarmult_SCALARBYTES] = { 8 };
    uint8_t shared[crypto_scalarmult_BYTES];

    if (crypto_scalarmult(shared, any_scalar, s->x25519_public) != 0)
        return "its session key is of low order";
    for (uint32_t i = 0; i < m->member_count; i++)
        if (memcmp(m->members[i]->session_key, s->x25519_public, FM_SESSION_KEY_BYTES) == 0)
            return "its session key is that of another member";
    if (m->member_count >= m->c.plan->max_nodes)
        return "the federation is full";
    return NULL;
}

static fm_status admit(fm_coordinator *m, uint64_t peer, const fm_credential *credential,
                       const fm_statement *statement, member **out)
{
    member *who = NULL;
    fm_status st;

    if ((st = room(1, sizeof *who, &who)) != FM_OK)
        return st;
    st = fm_peer_verify(m->c.trust, credential->cert, credential->cert_len, FM_ROLE_NODE, m->now_s,
                        &who->certificate);
    if (st != FM_OK) {
        member_free(&who);
        return st;
    }
    who->peer = peer;
    who->index = NO_INDEX;
    who->credential = *credential;
    who->not_after_s = fm_peer_info(who->certificate)->not_after_s;
    if (statement->not_after_s < who->not_after_s)
        who->not_after_s = statement->not_after_s;
    memcpy(who->session_key, statement->x25519_public, sizeof who->session_key);
    memcpy(who->name, statement->name, sizeof who->name);
    m->members[m->member_count++] = who;
    *out = who;
    return FM_OK;
}

/* The link does the same; a roster with one name twice would be refused by all. */
static void replace_namesake(fm_coordinator *m, const char *name)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (strcmp(m->members[i]->name, name) == 0) {
            fm_coord_drop(m, m->members[i], "a newer session of the same name takes its place");
            return;
        }
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
    fm_message offer = { .type = FM_MSG_PLAN_OFFER };
    const char *why;
    member *who = NULL;
    fm_status st;

    m->now_ms = now_ms;
    m->now_s = now_s;
    replace_namesake(m, statement->name);
    if ((why = unfit(m, statement))) {
        fm_coord_note(m, "%s not admitted: %s", statement->name, why);
        m->c.ports.drop(m->c.ports.ctx, peer, why);
        return settle(m);
    }
    if ((st = admit(m, peer, credential, statement, &who)) != FM_OK) {
        if (st == FM_ENOMEM)
            return st;
        fm_coord_note(m, "%s not admitted: %s", statement->name, fm_error_text());
        m->c.ports.drop(m->c.ports.ctx, peer, "the certificate was refused");
        return settle(m);
    }
    fm_coord_note(m, "%s joined", who->name);
    offer.plan_offer.plan = (fm_bytes){ m->c.plan_bytes, m->c.plan_len };
    st = fm_coord_send(m, who, &offer);
    return st == FM_OK ? settle(m) : st;
}

fm_status fm_coordinator_gone(fm_coordinator *m, uint64_t peer, uint64_t now_ms)
{
    member *who = find(m, peer);

    m->now_ms = now_ms;
    if (!who)
        return FM_OK;
    forget(m, who);
    return settle(m);
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
    case FM_MSG_MASKED_UPDATE:
        fm_coord_take_update(m, who, &msg->masked_update);
        return FM_OK;
    case FM_MSG_COMMIT:
        fm_coord_take_commit(m, who, &msg->commit);
        return FM_OK;
    case FM_MSG_RELEASE:
        return fm_coord_take_release(m, who, &msg->release);
    case FM_MSG_ABANDON:
        fm_coord_take_refusal(m, who, &msg->abandon);
        return FM_OK;
    default:
        fm_coord_drop(m, who, "a node may not send %s", fm_msg_name(msg->type));
        return FM_OK;
    }
}

fm_status fm_coordinator_take(fm_coordinator *m, uint64_t peer, const fm_message *msg,
                              uint64_t now_ms, int64_t now_s)
{
    member *who = find(m, peer);
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
    uint32_t i = 0;

    m->now_ms = now_ms;
    m->now_s = now_s;
    m->c.trust = trust;
    while (i < m->member_count) {
        const fm_credential *c = &m->members[i]->credential;
        fm_peer *peer = NULL;
        fm_status st = fm_peer_verify(trust, c->cert, c->cert_len, FM_ROLE_NODE, now_s, &peer);

        fm_peer_free(&peer);
        if (st == FM_ENOMEM)
            return st;
        if (st == FM_OK) {
            i++;
            continue;
        }
        fm_coord_note(m, "%s: %s", m->members[i]->name, fm_error_text());
        /* Another member takes its place in the list. */
        fm_coord_drop(m, m->members[i], "its certificate is not good any more");
    }
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
