#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"

#define LAST_WORDS_MS 20 /* a disconnection is told before the last messages are handed over */

static void lose(fm_link_client *l, const char *reason)
{
    if (l->gone)
        return;
    l->gone = true;
    (void)snprintf(l->reason, sizeof l->reason, "%.*s", (int)sizeof l->reason - 1, reason);
}

static fm_status gone(const fm_link_client *l)
{
    return fm_fail(FM_ENOTFOUND, "the session is over: %s", l->reason);
}

/* ---- sending ---- */

static void watch(fm_link_client *l, uint64_t now)
{
    fm_monitor_event e;

    while ((e = fm_monitor_next(l->monitor)).kind != FM_MONITOR_NOTHING)
        if (e.kind == FM_MONITOR_DISCONNECTED && l->disconnected_ms == 0)
            l->disconnected_ms = now;
}

static fm_status send_message(fm_link_client *l, const fm_message *m, uint64_t now)
{
    size_t bytes;
    fm_status st;

    watch(l, now);
    if (l->disconnected_ms != 0)
        return fm_fail(FM_ENOTFOUND, "the aggregator closed the connection");
    st = fm_packet_send_message(l->session, NULL, m, &bytes);
    if (st == FM_ESTATE) {
        lose(l, "the aggregator does not read");
        return gone(l);
    }
    if (st != FM_OK)
        return st;
    l->counters.bytes_sent += bytes;
    l->counters.messages_sent++;
    l->sent_ms = now;
    return FM_OK;
}

fm_status fm_client_ping(fm_link_client *l, uint64_t now)
{
    fm_message m = { .type = FM_MSG_PING, .ping = { l->ping_sequence++ } };

    return send_message(l, &m, now);
}

fm_status fm_link_client_send(fm_link_client *l, const fm_message *m)
{
    if (!l)
        return fm_fail(FM_EINVAL, "fm_link_client_send: no link");
    return l->gone ? gone(l) : send_message(l, m, fm_clock_now_ms());
}

void fm_link_client_set_patience(fm_link_client *l, uint32_t silence_ms)
{
    l->limits.peer_timeout_ms = silence_ms;
}

void fm_link_client_keepalive(fm_link_client *l)
{
    uint64_t now = fm_clock_now_ms();

    if (l && !l->gone && now - l->sent_ms >= l->limits.heartbeat_ms && !fm_socket_is_busy(l->fd))
        (void)!fm_client_ping(l, now); /* a failure is the next poll's GONE */
}

/* ---- receiving ---- */

static void take_message(fm_link_client *l, fm_packet *p, fm_link_event *event)
{
    fm_message *m = NULL;
    const uint8_t *data;
    size_t len;

    data = fm_packet_data(p, &len);
    l->counters.bytes_received += len;
    l->counters.messages_received++;
    if (!p->whole) {
        lose(l, "the aggregator sent a message of several frames");
    } else if (fm_message_decode(data, len, &m) != FM_OK) {
        lose(l, fm_error_text());
    } else if (m->type == FM_MSG_REFUSAL) {
        lose(l, m->refusal.reason);
    } else if (fm_msg_is_of_door(m->type)) {
        lose(l, "the aggregator sent a message that belongs to the door");
    } else if (m->type != FM_MSG_PING) {
        *event = (fm_link_event){ .kind = FM_LINK_MESSAGE, .message = m };
        return;
    }
    fm_message_free(&m);
}

static fm_status serve(fm_link_client *l, uint64_t now, fm_link_event *event, bool *any)
{
    fm_packet p;
    fm_status st = fm_packet_receive(l->session, false, &p);

    *any = st == FM_OK;
    if (st != FM_OK)
        return st == FM_ETIMEOUT ? FM_OK : st;
    l->heard_ms = now;
    take_message(l, &p, event);
    fm_packet_close(&p);
    return FM_OK;
}

static void tick(fm_link_client *l, uint64_t now)
{
    char reason[96];

    fm_link_client_keepalive(l);
    if (l->disconnected_ms != 0 && now - l->disconnected_ms >= LAST_WORDS_MS)
        lose(l, "the aggregator closed the connection");
    if (now - l->heard_ms >= l->limits.peer_timeout_ms &&
        fm_socket_quiet_ms(l->fd) >= l->limits.peer_timeout_ms) {
        (void)snprintf(reason, sizeof reason, "the aggregator is silent for %u ms",
                       l->limits.peer_timeout_ms);
        lose(l, reason);
    }
}

static long wait_of(const fm_link_client *l, uint64_t now, uint64_t deadline)
{
    uint64_t until = now + l->limits.heartbeat_ms / 4 + 1;
    uint64_t ping_ms = l->sent_ms + l->limits.heartbeat_ms;

    if (ping_ms > now && ping_ms < until) /* overdue: the line is busy, no hurry */
        until = ping_ms;
    if (l->disconnected_ms != 0 && l->disconnected_ms + LAST_WORDS_MS < until)
        until = l->disconnected_ms + LAST_WORDS_MS;
    if (deadline < until)
        until = deadline;
    return until > now ? (long)(until - now) : 0;
}

static fm_status wait_and_serve(fm_link_client *l, long wait_ms, fm_link_event *event)
{
    zmq_pollitem_t items[] = { { l->session, 0, ZMQ_POLLIN, 0 }, { l->monitor, 0, ZMQ_POLLIN, 0 } };
    int ready = zmq_poll(items, 2, wait_ms);
    uint64_t now = fm_clock_now_ms();
    bool heard = false;
    fm_status st;

    if (ready < 0)
        return zmq_errno() == EINTR ? FM_ETIMEOUT : fm_socket_failed("poll");
    if (items[0].revents && (st = serve(l, now, event, &heard)) != FM_OK)
        return st;
    if (items[1].revents)
        watch(l, now);
    if (!heard)
        tick(l, now);
    return FM_OK;
}

/* While nobody polled, nobody could be heard. */
static void excuse_absence(fm_link_client *l, uint64_t now)
{
    if (now - l->polled_ms >= l->limits.heartbeat_ms)
        l->heard_ms =
            l->heard_ms + (now - l->polled_ms) < now ? l->heard_ms + (now - l->polled_ms) : now;
}

fm_status fm_link_client_poll(fm_link_client *l, int timeout_ms, fm_link_event *event)
{
    uint64_t now = fm_clock_now_ms();
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : now + (uint64_t)timeout_ms;
    bool last = false;
    fm_status st;

    if (!l || !event)
        return fm_fail(FM_EINVAL, "fm_link_client_poll: no link or event");
    *event = (fm_link_event){ .kind = FM_LINK_NONE };
    excuse_absence(l, now);
    while (!l->gone && event->kind == FM_LINK_NONE && !last) {
        now = fm_clock_now_ms();
        last = now >= deadline;
        if ((st = wait_and_serve(l, wait_of(l, now, deadline), event)) == FM_ETIMEOUT)
            break; /* a signal: the caller may want to stop */
        if (st != FM_OK)
            return st;
    }
    if (l->gone && event->kind == FM_LINK_NONE) {
        event->kind = FM_LINK_GONE;
        memcpy(event->reason, l->reason, sizeof event->reason);
    }
    l->polled_ms = fm_clock_now_ms();
    return FM_OK;
}

/* ---- the rest ---- */

void fm_link_client_free(fm_link_client **link)
{
    fm_link_client *l;

    if (!link || !(l = *link))
        return;
    fm_monitor_free(l->session, &l->monitor);
    fm_socket_free(&l->session, l->gone ? 0 : FM_LINGER_MS);
    fm_socket_context_free(&l->context);
    fm_peer_free(&l->server);
    free(l);
    *link = NULL;
}

fm_link_counters fm_link_client_counters(const fm_link_client *l)
{
    return l->counters;
}

const fm_credential *fm_link_client_credential(const fm_link_client *l)
{
    return &l->credential;
}

const fm_peer *fm_link_client_server(const fm_link_client *l)
{
    return l->server;
}
