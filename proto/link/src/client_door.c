/* At the door, from outside: one message until it is answered. docs/protocol.md, "Door". */
#include <errno.h>
#include <string.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"

#define AGAIN_MS 1000 /* the door may have been shut and opened, or be busy */

fm_status fm_client_open(void *context, const fm_socket_options *o, const char *name, void **socket,
                         void **monitor)
{
    fm_status st;

    if ((st = fm_socket_new(context, o, socket)) != FM_OK ||
        (st = fm_monitor_new(context, *socket, name, monitor)) != FM_OK)
        return st;
    if (zmq_connect(*socket, o->endpoint) != 0)
        return fm_fail(FM_EIO, "cannot connect to %s: %s", o->endpoint, zmq_strerror(zmq_errno()));
    return FM_OK;
}

fm_status fm_client_wait_for(void *socket, void *monitor, uint64_t until, bool *readable)
{
    zmq_pollitem_t items[] = { { socket, 0, ZMQ_POLLIN, 0 }, { monitor, 0, ZMQ_POLLIN, 0 } };
    uint64_t now = fm_clock_now_ms();

    if (zmq_poll(items, 2, until > now ? (long)(until - now) : 0) < 0)
        return zmq_errno() == EINTR ? fm_fail(FM_EIO, "interrupted while connecting")
                                    : fm_socket_failed("poll");
    *readable = items[0].revents != 0;
    return FM_OK;
}

static fm_status say(fm_door_visit *v, void *door)
{
    size_t bytes;
    fm_status st = fm_packet_send_message(door, NULL, v->say, &bytes);

    if (st == FM_OK) {
        v->counters->bytes_sent += bytes;
        v->counters->messages_sent++;
    }
    /* No connection at this instant: the next handshake says it again. */
    return st == FM_ESTATE || st == FM_ENOTFOUND ? FM_OK : st;
}

static fm_status take_answer(fm_door_visit *v, void *door, fm_message **answer)
{
    const uint8_t *data;
    fm_packet p;
    size_t len;
    fm_status st;

    if ((st = fm_packet_receive(door, false, &p)) != FM_OK)
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
    return fm_fail(FM_ETIMEOUT, "the aggregator at %s did not answer %s within %u ms", v->endpoint,
                   fm_msg_name(v->say->type), ms);
}

/* The message goes out when the CURVE handshake is done, and again each second until an answer. */
static fm_status knock(fm_door_visit *v, void *door, void *monitor, fm_message **answer)
{
    uint64_t again_ms = UINT64_MAX, now;
    bool readable = false;
    fm_monitor_event e;
    fm_status st;

    while ((now = fm_clock_now_ms()) < v->deadline_ms) {
        uint64_t until = again_ms < v->deadline_ms ? again_ms : v->deadline_ms;

        if ((st = fm_client_wait_for(door, monitor, until, &readable)) != FM_OK)
            return st;
        if (readable)
            return take_answer(v, door, answer);
        now = fm_clock_now_ms();
        while ((e = fm_monitor_next(monitor)).kind != FM_MONITOR_NOTHING) {
            v->reached = v->reached || e.kind == FM_MONITOR_CONNECTED;
            if (e.kind == FM_MONITOR_HANDSHAKEN) {
                v->handshaken = true;
                again_ms = now;
            }
        }
        if (now >= again_ms) {
            if ((st = say(v, door)) != FM_OK)
                return st;
            again_ms = now + AGAIN_MS;
        }
    }
    return no_answer(v);
}

fm_status fm_client_visit_door(fm_door_visit *v, fm_message **answer)
{
    const fm_socket_options o = {
        .type = ZMQ_DEALER,
        .message_bytes = FM_MAX_DOOR_BYTES,
        .send_queue = FM_DOOR_QUEUE,
        .receive_queue = FM_DOOR_QUEUE,
        .public_key = v->public_key,
        .secret_key = v->secret_key,
        .server_key = v->server_key,
        .endpoint = v->endpoint,
        .reconnect = true,
        .handshake_ms = (int)v->limits.connect_ms,
    };
    void *door = NULL, *monitor = NULL;
    fm_status st = fm_client_open(v->context, &o, "door", &door, &monitor);

    if (st == FM_OK)
        st = knock(v, door, monitor, answer);
    fm_monitor_free(door, &monitor);
    fm_socket_free(&door, 0);
    return st;
}
