/* At the door, from outside: one message until it is answered. docs/protocol.md, "Door". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"

#define AGAIN_MS 1000    /* the aggregator may be busy */
#define LAST_WORDS_MS 20 /* a disconnection is told before the last message is handed over */

static fm_status open_door(fm_door_visit *v)
{
    const fm_socket_options o = {
        .type = ZMQ_DEALER,
        .message_bytes = v->once ? FM_MAX_MESSAGE_BYTES : FM_MAX_DOOR_BYTES,
        .send_queue = v->once ? FM_SESSION_SEND_QUEUE : FM_DOOR_QUEUE,
        .receive_queue = v->once ? FM_SESSION_RECEIVE_QUEUE : FM_DOOR_QUEUE,
        .public_key = v->public_key,
        .secret_key = v->secret_key,
        .server_key = v->server_key,
        .endpoint = v->endpoint,
        .reconnect = !v->once,
        .handshake_ms = (int)v->limits.connect_ms,
    };
    char name[32];
    fm_status st;

    v->fd = -1;
    (void)snprintf(name, sizeof name, "door-%u", v->opened++);
    if ((st = fm_socket_new(v->context, &o, &v->socket)) != FM_OK ||
        (st = fm_monitor_new(v->context, v->socket, name, &v->monitor)) != FM_OK)
        return st;
    if (zmq_connect(v->socket, v->endpoint) != 0)
        return fm_fail(FM_EIO, "cannot connect to %s: %s", v->endpoint, zmq_strerror(zmq_errno()));
    return FM_OK;
}

void fm_client_leave_door(fm_door_visit *v)
{
    fm_monitor_free(v->socket, &v->monitor);
    fm_socket_free(&v->socket, 0);
}

/* Until `until`, or something can be read on either. */
static fm_status wait_for(const fm_door_visit *v, uint64_t until, bool *readable)
{
    zmq_pollitem_t items[] = { { v->socket, 0, ZMQ_POLLIN, 0 }, { v->monitor, 0, ZMQ_POLLIN, 0 } };
    uint64_t now = fm_clock_now_ms();

    if (zmq_poll(items, 2, until > now ? (long)(until - now) : 0) < 0)
        return zmq_errno() == EINTR ? fm_fail(FM_EIO, "interrupted while connecting")
                                    : fm_socket_failed("poll");
    *readable = items[0].revents != 0;
    return FM_OK;
}

static fm_status say(fm_door_visit *v)
{
    size_t bytes;
    fm_status st = fm_packet_send_message(v->socket, NULL, v->say, &bytes);

    if (st == FM_OK) {
        v->counters->bytes_sent += bytes;
        v->counters->messages_sent++;
    }
    /* No connection at this instant: the next handshake says it again. */
    return st == FM_ESTATE || st == FM_ENOTFOUND ? FM_OK : st;
}

static fm_status take_answer(fm_door_visit *v, fm_message **answer)
{
    const uint8_t *data;
    fm_packet p;
    size_t len;
    fm_status st;

    if ((st = fm_packet_receive(v->socket, false, &p)) != FM_OK)
        return st;
    data = fm_packet_data(&p, &len);
    v->counters->bytes_received += len;
    v->counters->messages_received++;
    if (!p.whole)
        st = fm_fail(FM_EPROTO, "a message of several frames");
    else
        st = fm_message_decode(data, len, answer);
    fm_packet_close(&p);
    return st == FM_OK ? FM_OK : fm_fail_context(FM_EAUTH, "the aggregator's answer at the door: ");
}

static fm_status no_answer(const fm_door_visit *v)
{
    uint32_t ms = v->limits.connect_ms;

    if (!v->reached)
        return fm_fail(FM_ETIMEOUT,
                       "nothing listens at %s (%u ms): is the aggregator started, is the address "
                       "right, does a firewall stand between?",
                       v->endpoint, ms);
    if (!v->handshaken)
        return fm_fail(FM_ETIMEOUT,
                       "%s does not answer to the door key (%u ms): is it the aggregator's, and "
                       "is the key the one of the invitation?",
                       v->endpoint, ms);
    if (v->cut)
        return fm_fail(FM_ETIMEOUT,
                       "the connection to the aggregator at %s was cut before it answered %s",
                       v->endpoint, fm_msg_name(v->say->type));
    return fm_fail(FM_ETIMEOUT, "the aggregator at %s did not answer %s within %u ms", v->endpoint,
                   fm_msg_name(v->say->type), ms);
}

static void note_events(fm_door_visit *v, uint64_t now, uint64_t *again_ms)
{
    fm_monitor_event e;

    while ((e = fm_monitor_next(v->monitor)).kind != FM_MONITOR_NOTHING) {
        if (e.kind == FM_MONITOR_CONNECTED) {
            v->reached = true;
            v->fd = e.fd;
        } else if (e.kind == FM_MONITOR_HANDSHAKEN) {
            v->handshaken = true;
            *again_ms = now;
        } else if (e.kind != FM_MONITOR_OTHER) {
            v->cut = v->once;
        }
    }
}

/* The message goes out when the CURVE handshake is done, and again each second until an answer. */
static fm_status knock(fm_door_visit *v, fm_message **answer)
{
    uint64_t again_ms = UINT64_MAX, deadline_ms = v->deadline_ms;
    bool readable = false;
    fm_status st;

    while (fm_clock_now_ms() < deadline_ms) {
        uint64_t until = again_ms < deadline_ms ? again_ms : deadline_ms;

        if ((st = wait_for(v, until, &readable)) != FM_OK)
            return st;
        if (readable)
            return take_answer(v, answer);
        const uint64_t now = fm_clock_now_ms();
        note_events(v, now, &again_ms);
        if (v->cut && deadline_ms > now + LAST_WORDS_MS)
            deadline_ms = now + LAST_WORDS_MS;
        if (!v->cut && now >= again_ms) {
            if ((st = say(v)) != FM_OK)
                return st;
            again_ms = now + AGAIN_MS;
        }
        if (v->cut)
            again_ms = UINT64_MAX;
    }
    return no_answer(v);
}

fm_status fm_client_visit_door(fm_door_visit *v, fm_message **answer)
{
    fm_status st = open_door(v);

    return st == FM_OK ? knock(v, answer) : st;
}
