/* Who comes in, and what it means when somebody goes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "round_internal.h"

/* ---- going ---- */

void fm_coord_member_free(member **who)
{
    if (!*who)
        return;
    fm_peer_free(&(*who)->certificate);
    fm_credential_pack_free(&(*who)->credential);
    free(*who);
    *who = NULL;
}

/* The roster has lost this index: what does it mean for what is under way? */
static void lose(fm_coordinator *m, uint32_t index)
{
    const slot *s = &m->slots[index];

    m->roster_members[index] = NULL;
    fm_coord_drop_pieces(m, index);
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

member *fm_coord_find(fm_coordinator *m, uint64_t peer)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (m->members[i]->peer == peer)
            return m->members[i];
    return NULL;
}

/* How much is lost by its going: what is under way has to begin again without this index, or is
 * paid for in vain. */
static uint32_t cost_of(const fm_coordinator *m, uint32_t index)
{
    if (index == NO_INDEX)
        return 0;
    if (m->phase == FM_COORD_WAIT_ROSTER)
        return 1;
    if (!m->slots[index].updated || m->slots[index].released || m->tainted)
        return 0;
    return m->phase == FM_COORD_WAIT_RELEASES ? FM_BLAME_RELEASE : 1;
}

void fm_coord_forget(fm_coordinator *m, member *who)
{
    const uint32_t index = who->index, cost = cost_of(m, index);

    for (uint32_t i = 0; i < m->member_count; i++) {
        if (m->members[i] == who) {
            m->members[i] = m->members[--m->member_count];
            break;
        }
    }
    if (cost > 0)
        fm_coord_blame(m, who->name, cost);
    fm_coord_member_free(&who);
    if (index != NO_INDEX)
        lose(m, index);
}

void fm_coord_lost(fm_coordinator *m, member *who, bool offence)
{
    if (offence && cost_of(m, who->index) == 0) /* fm_coord_forget does it otherwise */
        fm_coord_blame(m, who->name, 1);
    fm_coord_forget(m, who);
}

static void drop(fm_coordinator *m, member *who, bool offence, const char *reason)
{
    uint64_t peer = who->peer;

    fm_coord_note(m, "%s dropped: %s", who->name, reason);
    fm_coord_lost(m, who, offence);
    m->c.ports.drop(m->c.ports.ctx, peer, reason);
}

void fm_coord_drop(fm_coordinator *m, member *who, const char *fmt, ...)
{
    char reason[FM_MAX_REASON_BYTES + 1];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    drop(m, who, false, reason);
}

void fm_coord_offend(fm_coordinator *m, member *who, const char *fmt, ...)
{
    char reason[FM_MAX_REASON_BYTES + 1];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    drop(m, who, true, reason);
}

/* What it says goes no further than the log; what is shown of it is one of three things. */
static const char *why_left(const char *reason)
{
    return strcmp(reason, FM_ABANDON_BUDGET) == 0    ? FM_LEFT_FOR_BUDGET
           : strcmp(reason, FM_ABANDON_DECIDED) == 0 ? FM_LEFT_FOR_DECISION
                                                     : "it takes part in no further round";
}

void fm_coord_exhaust(fm_coordinator *m, member *who, const char *reason)
{
    uint32_t index = who->index;

    fm_coord_note(m, "%s takes part in no further round: %s", who->name, reason);
    fm_coord_set_exhausted(m, who->name, why_left(reason));
    who->exhausted = true;
    who->ready = false;
    who->index = NO_INDEX;
    if (index != NO_INDEX)
        lose(m, index);
}

/* ---- coming ---- */

static fm_status verify(const fm_coordinator *m, const fm_credential *credential,
                        const fm_statement *statement, member **out)
{
    member *who;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *who, &p);

    if (st != FM_OK)
        return st;
    who = p;
    if ((st = fm_credential_peer(m->c.trust, credential, FM_ROLE_NODE, m->now_s,
                                 &who->certificate)) != FM_OK ||
        (st = fm_credential_pack(credential, &who->credential)) != FM_OK) {
        fm_coord_member_free(&who);
        return st;
    }
    who->index = NO_INDEX;
    who->statement = *statement;
    who->not_after_s = fm_peer_info(who->certificate)->not_after_s;
    if (statement->not_after_s < who->not_after_s)
        who->not_after_s = statement->not_after_s;
    memcpy(who->name, statement->name, sizeof who->name);
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

static bool same_key(const uint8_t a[FM_SESSION_KEY_BYTES], const uint8_t b[FM_SESSION_KEY_BYTES])
{
    return memcmp(a, b, FM_SESSION_KEY_BYTES) == 0; /* public */
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
    for (uint32_t i = 0; i < m->member_count; i++) {
        const fm_statement *other = &m->members[i]->statement;

        if (same_key(other->x25519_public, s->x25519_public) ||
            same_key(other->curve_public, s->curve_public))
            return "its session key is that of another member";
    }
    if (m->member_count >= m->c.plan->max_nodes)
        return "the federation is full";
    return NULL;
}

static fm_status refuse(fm_coordinator *m, uint64_t peer, const char *name, const char *why,
                        const char *told)
{
    fm_coord_note(m, "%s not admitted: %s", name, why);
    m->c.ports.drop(m->c.ports.ctx, peer, told);
    return FM_OK;
}

fm_status fm_coord_admit(fm_coordinator *m, uint64_t peer, const fm_credential *credential,
                         const fm_statement *statement)
{
    fm_message offer = { .type = FM_MSG_PLAN_OFFER };
    fm_ledger_mark mark = { 0 };
    bool marked = false;
    member *who = NULL;
    const char *why;
    fm_status st;

    if ((st = verify(m, credential, statement, &who)) == FM_ENOMEM)
        return st;
    if (st != FM_OK)
        return refuse(m, peer, statement->name, fm_error_text(), "the certificate was refused");
    replace_namesake(m, who->name);
    if ((why = unfit(m, statement))) {
        fm_coord_member_free(&who);
        return refuse(m, peer, statement->name, why, why);
    }
    who->peer = peer;
    m->members[m->member_count++] = who;
    fm_coord_note(m, "%s joined", who->name);
    if ((st = fm_coord_send_revocations(m, &who, 1)) != FM_OK)
        return st;
    offer.plan_offer.plan = (fm_bytes){ m->c.plan_bytes, m->c.plan_len };
    m->c.ports.find_mark(m->c.ports.ctx, who->name, &marked, &mark);
    if (marked)
        offer.plan_offer.mark = mark;
    return fm_coord_send(m, who, &offer);
}

fm_status fm_coord_recheck(fm_coordinator *m)
{
    uint32_t i = 0;

    while (i < m->member_count) {
        fm_status st = fm_peer_recheck(m->c.trust, m->members[i]->certificate, m->now_s);

        if (st == FM_ENOMEM)
            return st;
        if (st == FM_OK) {
            i++;
            continue;
        }
        fm_coord_note(m, "%s: %s", m->members[i]->name, fm_error_text());
        m->tainted = m->tainted || m->members[i]->index != NO_INDEX;
        /* Another member takes its place in the list. */
        fm_coord_drop(m, m->members[i], "its certificate is not good any more");
    }
    return FM_OK;
}
