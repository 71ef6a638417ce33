#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"
#include "server_internal.h"

#define PER_SECOND 200u
#define ENROLS 32u /* at once, and half as many each second: a node asks once a second */

/* ---- making ---- */

static fm_status open_door(fm_link_server *s, const fm_link_server_config *c)
{
    const fm_socket_options o = {
        .type = ZMQ_ROUTER,
        .message_bytes = FM_MAX_NODE_MESSAGE_BYTES,
        .send_queue = FM_SESSION_SEND_QUEUE,
        .receive_queue = FM_SERVER_RECEIVE_QUEUE,
        .secret_key = c->door_secret,
        .endpoint = c->door,
        .handshake_ms = (int)s->limits.connect_ms,
    };
    fm_status st;

    if ((st = fm_curve_public(c->door_secret, s->door_public)) != FM_OK ||
        (st = fm_socket_new(s->context, &o, &s->socket)) != FM_OK ||
        (st = fm_monitor_new(s->context, s->socket, "door", &s->monitor)) != FM_OK)
        return st;
    return fm_socket_bind(s->socket, c->door, s->endpoint, sizeof s->endpoint);
}

/* Twice as many places as sessions: those that are lost keep theirs until it was told. */
static fm_status make_table(fm_link_server *s)
{
    void *slots;
    fm_status st;

    s->capacity = 2 * (size_t)s->limits.max_peers;
    if ((st = fm_alloc(s->capacity, sizeof *s->slots, &slots)) != FM_OK)
        return st;
    s->slots = slots;
    s->next_id = 1;
    return FM_OK;
}

static fm_status start(fm_link_server *s, const fm_link_server_config *c)
{
    uint64_t now = fm_clock_now_ms();
    fm_status st;

    s->identity = c->identity;
    s->trust = c->trust;
    s->issuer = c->issuer;
    s->limits = fm_link_limits_or_default(c->limits);
    s->polled_ms = s->tick_ms = now;
    s->probe_ms = UINT64_MAX;
    fm_bucket_init(&s->doors, 2 * (uint64_t)s->limits.max_peers + 64, PER_SECOND, now);
    fm_bucket_init(&s->hellos, s->limits.max_peers + (uint64_t)64, PER_SECOND, now);
    fm_bucket_init(&s->enrols, ENROLS, ENROLS / 2, now);
    fm_bucket_init(&s->renews, ENROLS, ENROLS / 2, now);
    if ((st = make_table(s)) != FM_OK || (st = fm_server_make_gate(s)) != FM_OK ||
        (st = fm_socket_context(&s->context)) != FM_OK ||
        (st = fm_zap_new(s->context, &s->zap)) != FM_OK || (st = open_door(s, c)) != FM_OK)
        return st;
    return fm_server_make_welcome(s);
}

fm_status fm_link_server_new(const fm_link_server_config *c, fm_link_server **out)
{
    fm_link_server *s;
    void *p;
    fm_status st;

    if (!c || !out || !c->door || !c->door_secret || !c->identity || !c->trust ||
        c->limits.max_peers > FM_MAX_NODES)
        return fm_fail(FM_EINVAL, "fm_link_server_new: a field is missing or out of range");
    if ((st = fm_random_init()) != FM_OK || (st = fm_alloc(1, sizeof *s, &p)) != FM_OK)
        return st;
    s = p;
    if ((st = start(s, c)) != FM_OK) {
        fm_link_server_free(&s);
        return st;
    }
    *out = s;
    return FM_OK;
}

void fm_link_server_free(fm_link_server **server)
{
    fm_link_server *s;

    if (!server || !(s = *server))
        return;
    fm_monitor_free(s->socket, &s->monitor);
    fm_socket_free(&s->socket, FM_LINGER_MS);
    fm_socket_free(&s->zap, 0);
    fm_socket_context_free(&s->context);
    fm_message_free(&s->message_event);
    for (size_t i = 0; i < s->count; i++)
        fm_server_free_peer(s->slots[i].peer);
    fm_server_free_buried(s);
    free(s->slots);
    free(s->connections);
    free(s);
    *server = NULL;
}

const char *fm_link_server_door(const fm_link_server *s)
{
    return s->endpoint;
}

void fm_link_server_set_trust(fm_link_server *s, const fm_trust *trust)
{
    if (s && trust)
        s->trust = trust;
}

/* ---- sending ---- */

static fm_status send_to(fm_link_server *s, uint64_t peer, zmq_msg_t *packet)
{
    fm_link_peer *p = fm_server_find_id(s, peer);

    if (!p || p->state != FM_PEER_JOINED)
        return fm_fail(FM_ENOTFOUND, "peer %llu is gone", (unsigned long long)peer);
    if (fm_server_send_packet(s, p, packet) == FM_OK) {
        p->sent_ms = fm_clock_now_ms();
        return FM_OK;
    }
    fm_server_lose(s, p, fm_error_text());
    return FM_ENOTFOUND;
}

fm_status fm_link_server_send(fm_link_server *s, uint64_t peer, const fm_message *m)
{
    zmq_msg_t packet;
    fm_status st;

    if (!s)
        return fm_fail(FM_EINVAL, "fm_link_server_send: no server");
    if ((st = fm_packet_make(m, &packet)) != FM_OK)
        return st;
    st = send_to(s, peer, &packet);
    (void)zmq_msg_close(&packet);
    return st;
}

fm_status fm_link_server_broadcast(fm_link_server *s, const uint64_t *peers, size_t count,
                                   const fm_message *m)
{
    zmq_msg_t packet;
    fm_status st;

    if (!s || (!peers && count > 0))
        return fm_fail(FM_EINVAL, "fm_link_server_broadcast: no server or peers");
    if ((st = fm_packet_make(m, &packet)) != FM_OK)
        return st;
    for (size_t i = 0; i < count; i++)
        (void)!send_to(s, peers[i], &packet);
    (void)zmq_msg_close(&packet);
    return FM_OK;
}

void fm_link_server_drop(fm_link_server *s, uint64_t peer, const char *reason)
{
    fm_link_peer *p = s ? fm_server_find_id(s, peer) : NULL;

    if (!p)
        return;
    if (p->state == FM_PEER_JOINED)
        fm_server_send_refusal(s, p, reason);
    fm_server_leave(s, p);
    fm_server_bury(s, p);
}

fm_link_counters fm_link_server_counters(const fm_link_server *s)
{
    return s->counters;
}

fm_link_counters fm_link_server_peer_counters(const fm_link_server *s, uint64_t peer)
{
    const fm_link_peer *p = s ? fm_server_find_id(s, peer) : NULL;

    return p ? p->counters : (fm_link_counters){ 0 };
}
