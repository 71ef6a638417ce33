#include "monitor_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "socket_internal.h"

#define WATCHED                                                                   \
    (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |   \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED)

fm_status fm_monitor_new(void *context, void *socket, const char *name, void **out)
{
    int unlimited = 0; /* or a full queue would stop ZeroMQ's I/O thread */
    char endpoint[64];
    void *m;

    (void)snprintf(endpoint, sizeof endpoint, "inproc://monitor-%s", name);
    if (zmq_socket_monitor(socket, endpoint, WATCHED) != 0)
        return fm_socket_failed("monitor");
    if (!(m = zmq_socket(context, ZMQ_PAIR)))
        return fm_socket_failed("monitor");
    if (zmq_setsockopt(m, ZMQ_RCVHWM, &unlimited, sizeof unlimited) != 0 ||
        zmq_connect(m, endpoint) != 0) {
        fm_status st = fm_socket_failed("monitor");

        fm_socket_free(&m, 0);
        return st;
    }
    *out = m;
    return FM_OK;
}

void fm_monitor_free(void *socket, void **monitor)
{
    if (socket && *monitor)
        (void)zmq_socket_monitor(socket, NULL, 0);
    fm_socket_free(monitor, 0);
}

static fm_monitor_kind kind_of(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        return FM_MONITOR_CONNECTED;
    case ZMQ_EVENT_ACCEPTED:
        return FM_MONITOR_ACCEPTED;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return FM_MONITOR_HANDSHAKEN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: /* the line broke before it was done */
        return FM_MONITOR_FAILED;
    case ZMQ_EVENT_DISCONNECTED:
        return FM_MONITOR_DISCONNECTED;
    case ZMQ_EVENT_CLOSED:
        return FM_MONITOR_UNREACHABLE;
    default:
        return FM_MONITOR_OTHER;
    }
}

/* First frame: u16 event, u32 value, both native (zmq_socket_monitor(3)); second: the address. */
fm_monitor_event fm_monitor_next(void *monitor)
{
    fm_monitor_event e = { FM_MONITOR_NOTHING, -1 };
    uint8_t frame[8], address[1];
    uint16_t event;
    uint32_t value;
    int n = zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);

    if (n < 0)
        return e;
    (void)zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
    e.kind = FM_MONITOR_OTHER;
    if (n == 6) {
        memcpy(&event, frame, sizeof event);
        memcpy(&value, frame + 2, sizeof value);
        e.kind = kind_of(event);
        if (e.kind == FM_MONITOR_CONNECTED || e.kind == FM_MONITOR_ACCEPTED ||
            e.kind == FM_MONITOR_DISCONNECTED)
            e.fd = (int)value;
    }
    return e;
}
