/*
 * Revocations: a CA's list, brought by the aggregator. Only a higher number under the own CA's
 * signature counts, so the aggregator can bring a newer list or none, but no other. A successor of
 * the CA comes with its first list; only the CA itself can have named it. Whoever is
 * revoked is in no round, commit or release of this node from here on.
 */
#include <stdlib.h>

#include "round_internal.h"

void fm_node_unbar(fm_node_roster *r)
{
    for (uint32_t i = 0; r->barred && i < r->count; i++)
        free(r->barred[i]);
    free(r->barred);
    r->barred = NULL;
}

fm_status fm_node_check_barred(const fm_node_round *m, const uint32_t *places, uint32_t count)
{
    for (uint32_t i = 0; m->roster.barred && i < count; i++)
        if (m->roster.barred[places[i]])
            return fm_fail(FM_EAUTH, "since the roster: %s", m->roster.barred[places[i]]);
    return FM_OK;
}

/** Every member of the roster under the fresh list; *out may be half filled on failure. */
static fm_status bar(const fm_node_roster *r, const fm_trust *fresh, int64_t now_s,
                     fm_node_roster *out)
{
    void *p = NULL;
    fm_status st;

    if (r->count == 0)
        return FM_OK;
    if ((st = fm_alloc(r->count, sizeof *out->barred, &p)) != FM_OK)
        return st;
    out->barred = p;
    out->count = r->count;
    for (uint32_t i = 0; i < r->count; i++) {
        st = fm_peer_recheck(fresh, r->peers[i], now_s);
        if (st == FM_ENOMEM ||
            (st != FM_OK && (st = fm_strdup(fm_error_text(), &out->barred[i])) != FM_OK))
            return st;
    }
    return FM_OK;
}

/** A set that was agreed on already and holds someone who is revoked: not released any more. */
static void leave_open_round(fm_node_round *m)
{
    uint64_t round = m->open.number;

    if (round == 0 || m->phase != FM_NODE_WAIT_COMMITS ||
        fm_node_check_barred(m, m->open.survivors, m->open.survivor_count) == FM_OK)
        return;
    fm_node_round_close(m);
    fm_node_refuse_revoked(m, round);
}

void fm_node_refuse_revoked(fm_node_round *m, uint64_t round)
{
    /* As a failure's text: whose certificate it is, the aggregator knows. */
    if (fm_node_send_abandon(m, round, FM_ABANDON_REVOKED, false) == FM_OK)
        fm_node_progress(m, round, "abandoned");
}

/** Whether the list of the successor is among those of the trust. */
static bool has_successors_list(const fm_trust *t)
{
    bool has = false;

    for (size_t i = 0; t && !has && i < fm_trust_list_count(t); i++) {
        fm_crl_view list;

        fm_trust_list(t, i, &list);
        has = list.of_successor;
    }
    return has;
}

/** The trust with the message's CA, if it brings one that is new here, and with its list. */
static fm_status revise(const fm_node_round *m, const fm_msg_revocations *msg, int64_t now_s,
                        fm_trust **out)
{
    const fm_succession s = { msg->successor.authority.data, msg->successor.authority.len,
                              msg->successor.signature.data, msg->successor.signature.len };
    fm_trust *both = NULL, *revised = NULL;
    fm_status st = FM_OK;

    if (s.ca_len > 0)
        st = fm_trust_succeed(m->c.trust, &s, now_s, &both);
    if (st == FM_OK)
        st = fm_trust_revise_path(both ? both : m->c.trust, msg->list.data, msg->list.len,
                                  &msg->path, &revised);
    if (st == FM_OK && both && !has_successors_list(revised)) /* both count, or none */
        st = fm_fail(FM_EPROTO, "a successor of the CA with the list of another");
    fm_trust_free(&both);
    if (st == FM_OK)
        *out = revised;
    else
        fm_trust_free(&revised);
    return st;
}

fm_status fm_node_take_revocations(fm_node_round *m, const fm_msg_revocations *msg, int64_t now_s)
{
    const fm_node_ports *ports = &m->c.ports;
    fm_trust *fresh = NULL;
    fm_node_roster marks = { 0 };
    fm_status st;

    if (!ports->keep_revocations)
        return fm_fail(FM_ESTATE, "this node keeps no revocation list");
    if ((st = revise(m, msg, now_s, &fresh)) != FM_OK || !fresh)
        return st;
    if ((st = bar(&m->roster, fresh, now_s, &marks)) != FM_OK ||
        (st = ports->keep_revocations(ports->ctx, fresh)) != FM_OK) {
        fm_node_unbar(&marks);
        fm_trust_free(&fresh);
        return st;
    }
    m->c.trust = fresh; /* the port's */
    fm_node_unbar(&m->roster);
    m->roster.barred = marks.barred;
    leave_open_round(m);
    return FM_OK;
}
