/* Waiting, and what comes of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "server_internal.h"

#define PROBE_MS 10        /* after a connection broke: ZeroMQ has dropped its route by then */
#define PROBE_APART_MS 200 /* anyone can open and close connections */

static void schedule(fm_link_server *s, uint64_t at_ms)
{
    if (at_ms < s->tick_ms)
        s->tick_ms = at_ms;
}

/* ---- events ---- */

static bool give_gone(fm_link_server *s, fm_link_event *event)
{
    for (size_t i = 0; s->lost > 0 && i < s->count; i++) {
        fm_link_peer *p = s->slots[i].peer;

        if (p->state != FM_PEER_LOST)
            continue;
        event->kind = FM_LINK_GONE;
        event->peer = p->id;
        memcpy(event->reason, p->reason, sizeof event->reason);
        event->offence = p->offence;
        fm_server_bury(s, p);
        return true;
    }
    return false;
}

static bool give_event(fm_link_server *s, fm_link_event *event)
{
    fm_link_peer *p;

    if (give_gone(s, event))
        return true;
    if ((p = s->joined_event) != NULL) {
        s->joined_event = NULL;
        p->announced = true;
        fm_credential_unpack(p->credential, &s->shown);
        *event = (fm_link_event){ .kind = FM_LINK_JOINED,
                                  .peer = p->id,
                                  .credential = &s->shown,
                                  .statement = &p->statement };
        return true;
    }
    if (!s->message_event)
        return false;
    if (!fm_server_find_id(s, s->message_peer)) { /* dropped since */
        fm_message_free(&s->message_event);
        return false;
    }
    *event = (fm_link_event){ .kind = FM_LINK_MESSAGE,
                              .peer = s->message_peer,
                              .message = s->message_event };
    s->message_event = NULL;
    return true;
}

/* ---- connections ---- */

/* A session's connection broke: a Ping to all finds the route that is gone, once what it still
 * brought was read. */
static void watch(fm_link_server *s, uint64_t now)
{
    if (!fm_server_watch(s, now))
        return;
    if (s->probe_ms == UINT64_MAX) {
        s->probe_ms = now + PROBE_MS;
        if (s->probe_ms < s->probed_ms + PROBE_APART_MS)
            s->probe_ms = s->probed_ms + PROBE_APART_MS;
    }
    schedule(s, s->probe_ms);
}

/* ---- messages ---- */

static void drop_offender(fm_link_server *s, fm_link_peer *p, const char *reason)
{
    p->offence = true;
    fm_server_lose(s, p, reason);
}

/* The first message after Hello: it believes the Welcome. */
static void join(fm_link_server *s, fm_link_peer *p)
{
    fm_link_peer *old = fm_server_find_name(s, p->statement.name, true);

    p->state = FM_PEER_JOINED;
    s->joined++;
    s->joined_event = p;
    fm_server_make_member(s, p->fd);
    if (old)
        fm_server_lose(s, old, FM_LINK_REPLACED);
    else if (s->joined > s->limits.max_peers)
        fm_server_lose(s, p, "there are as many sessions as this aggregator serves");
}

/* It said Hello once more while its Welcome was on the way. */
static bool is_hello_again(fm_link_server *s, const fm_link_peer *p, const fm_message *m)
{
    if (m->type != FM_MSG_HELLO)
        return false;
    fm_credential_unpack(p->credential, &s->shown);
    return fm_credential_equal(&m->hello.credential, &s->shown);
}

static void take_message(fm_link_server *s, fm_link_peer *p, fm_packet *from)
{
    fm_message *m = NULL;
    const uint8_t *data;
    size_t len;

    data = fm_packet_data(from, &len);
    if (!from->whole) {
        drop_offender(s, p, "it sent a message of several frames");
        return;
    }
    if (fm_message_decode(data, len, &m) != FM_OK) {
        drop_offender(s, p, fm_error_text());
        return;
    }
    if (p->state == FM_PEER_ADMITTED && !fm_msg_is_of_door(m->type))
        join(s, p);
    if (fm_msg_is_of_door(m->type) && !is_hello_again(s, p, m))
        fm_server_lose(s, p, "it sent a message that belongs to the door");
    if (fm_msg_is_of_door(m->type) || m->type == FM_MSG_PING || p->state != FM_PEER_JOINED) {
        fm_message_free(&m);
        return;
    }
    s->message_event = m;
    s->message_peer = p->id;
}

/*
 * The speaker is whom the connection's CURVE key says (ZAP's User-Id), never what is in the
 * message; and only on the one connection on which the key has said Hello.
 */
static void take_packet(fm_link_server *s, fm_packet *from, uint64_t now)
{
    fm_link_peer *p = from->keyed ? fm_server_find_key(s, from->key) : NULL;
    size_t len;

    (void)fm_packet_data(from, &len);
    s->counters.bytes_received += len;
    s->counters.messages_received++;
    if (!p || p->route.len != from->route.len ||
        memcmp(p->route.bytes, from->route.bytes, p->route.len) != 0) {
        watch(s, now); /* that it came is told before what it says */
        fm_server_hear_stranger(s, from, now);
        return;
    }
    if (p->state == FM_PEER_LOST)
        return; /* dropped before: whatever it still says */
    p->counters.bytes_received += len;
    p->counters.messages_received++;
    p->heard_ms = now;
    take_message(s, p, from);
}

static fm_status serve(fm_link_server *s, uint64_t now, bool *any)
{
    fm_packet p;
    fm_status st = fm_packet_receive(s->socket, true, &p);

    *any = st == FM_OK;
    if (st != FM_OK)
        return st == FM_ETIMEOUT ? FM_OK : st;
    take_packet(s, &p, now);
    fm_packet_close(&p);
    return FM_OK;
}

/* ---- time ---- */

static void ping(fm_link_server *s, fm_link_peer *p, uint64_t now)
{
    fm_message m = { .type = FM_MSG_PING, .ping = { p->ping_sequence++ } };

    if (fm_link_server_send(s, p->id, &m) == FM_OK)
        p->sent_ms = now;
}

static bool is_silent(const fm_link_server *s, const fm_link_peer *p, uint64_t now)
{
    if (now - p->heard_ms < s->limits.peer_timeout_ms)
        return false;
    /* One long message on a slow line is no silence. */
    return fm_socket_quiet_ms(p->fd) >= s->limits.peer_timeout_ms;
}

/* A Ping to all is due: those whose route is gone show themselves. */
static void probe(fm_link_server *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        s->slots[i].peer->sent_ms = 0;
    s->probed_ms = now;
    s->probe_ms = UINT64_MAX;
}

static void tick_peer(fm_link_server *s, fm_link_peer *p, uint64_t now)
{
    if (p->state != FM_PEER_JOINED)
        return;
    if (is_silent(s, p, now)) {
        char reason[64];

        (void)snprintf(reason, sizeof reason, "silent for %u ms", s->limits.peer_timeout_ms);
        fm_server_lose(s, p, reason);
    } else if (now - p->sent_ms >= s->limits.heartbeat_ms && !fm_socket_is_busy(p->fd)) {
        ping(s, p, now);
    }
}

static void tick(fm_link_server *s, uint64_t now)
{
    if (now < s->tick_ms)
        return;
    s->tick_ms = now + s->limits.heartbeat_ms / 4 + 1;
    if (now >= s->probe_ms)
        probe(s, now);
    for (size_t i = s->count; i > 0; i--) /* backwards: burying moves the last into the gap */
        tick_peer(s, s->slots[i - 1].peer, now);
    fm_server_shut_late(s, now);
    if (s->probe_ms != UINT64_MAX)
        schedule(s, s->probe_ms);
}

/* While nobody polled, nobody could be heard. */
static void excuse_absence(fm_link_server *s, uint64_t now)
{
    uint64_t away = now - s->polled_ms;

    if (away < s->limits.heartbeat_ms)
        return;
    for (size_t i = 0; i < s->count; i++) {
        s->slots[i].peer->heard_ms += away;
        if (s->slots[i].peer->heard_ms > now)
            s->slots[i].peer->heard_ms = now;
    }
    for (size_t i = 0; i < s->connection_count; i++)
        s->connections[i].until_ms += away;
}

/* ---- the loop ---- */

static fm_status wait_and_serve(fm_link_server *s, long wait_ms)
{
    zmq_pollitem_t items[] = {
        { s->socket, 0, ZMQ_POLLIN, 0 },
        { s->zap, 0, ZMQ_POLLIN, 0 },
        { s->monitor, 0, ZMQ_POLLIN, 0 },
    };
    int ready = zmq_poll(items, 3, wait_ms);
    uint64_t now = fm_clock_now_ms();
    bool heard = false;
    fm_status st = FM_OK;

    if (ready < 0)
        return zmq_errno() == EINTR ? FM_ETIMEOUT : fm_socket_failed("poll");
    if (items[0].revents && (st = serve(s, now, &heard)) != FM_OK)
        return st;
    if (items[1].revents)
        fm_zap_answer(s->zap, fm_server_judge, s);
    if (items[2].revents)
        watch(s, now);
    /* Nobody is called silent while words of his may be waiting, unless the talk never ends. */
    if (!heard || now > s->tick_ms + s->limits.heartbeat_ms)
        tick(s, now);
    return FM_OK;
}

static long wait_of(const fm_link_server *s, uint64_t now, uint64_t deadline)
{
    uint64_t until = s->tick_ms < deadline ? s->tick_ms : deadline;

    return until > now ? (long)(until - now) : 0;
}

fm_status fm_link_server_poll(fm_link_server *s, int timeout_ms, fm_link_event *event)
{
    uint64_t now = fm_clock_now_ms();
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : now + (uint64_t)timeout_ms;
    bool last = false;
    fm_status st;

    if (!s || !event)
        return fm_fail(FM_EINVAL, "fm_link_server_poll: no server or event");
    *event = (fm_link_event){ .kind = FM_LINK_NONE };
    fm_server_free_buried(s);
    excuse_absence(s, now);
    while (!give_event(s, event) && !last) {
        now = fm_clock_now_ms();
        last = now >= deadline;
        if ((st = wait_and_serve(s, wait_of(s, now, deadline))) == FM_ETIMEOUT)
            break; /* a signal: the caller may want to stop */
        if (st != FM_OK)
            return st;
    }
    s->polled_ms = fm_clock_now_ms();
    return FM_OK;
}
