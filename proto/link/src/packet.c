#include "packet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "socket_internal.h"

/* ZeroMQ is done with the bytes, on its own thread. */
static void buffer_done(void *data, void *buffer)
{
    (void)data;
    fm_buf_fini(buffer);
    free(buffer);
}

fm_status fm_packet_make(const fm_message *m, zmq_msg_t *out)
{
    fm_buf *b;
    void *p;
    fm_status st = fm_alloc(1, sizeof *b, &p);

    if (st != FM_OK)
        return st;
    b = p;
    fm_buf_init(b, FM_MAX_MESSAGE_BYTES);
    if ((st = fm_message_encode(m, b)) == FM_OK &&
        zmq_msg_init_data(out, b->data, b->len, buffer_done, b) != 0)
        st = fm_fail(FM_ENOMEM, "no memory for a frame of %zu bytes", b->len);
    if (st != FM_OK)
        buffer_done(NULL, b);
    return st;
}

static fm_status send_frame(void *socket, zmq_msg_t *frame, int flags)
{
    for (;;) {
        if (zmq_msg_send(frame, socket, flags | ZMQ_DONTWAIT) >= 0)
            return FM_OK;
        if (zmq_errno() == EINTR)
            continue;
        if (zmq_errno() == EHOSTUNREACH)
            return fm_fail(FM_ENOTFOUND, "the peer's connection is gone");
        if (zmq_errno() == EAGAIN)
            return fm_fail(FM_ESTATE, "the peer does not read; its queue is full");
        return fm_socket_failed("send");
    }
}

static fm_status send_route(void *socket, const fm_route *route)
{
    zmq_msg_t frame;
    fm_status st;

    if (zmq_msg_init_size(&frame, route->len) != 0)
        return fm_fail(FM_ENOMEM, "no memory for a frame");
    memcpy(zmq_msg_data(&frame), route->bytes, route->len);
    if ((st = send_frame(socket, &frame, ZMQ_SNDMORE)) != FM_OK)
        (void)zmq_msg_close(&frame);
    return st;
}

fm_status fm_packet_send(void *socket, const fm_route *route, zmq_msg_t *packet)
{
    zmq_msg_t copy;
    fm_status st;

    if (route && (st = send_route(socket, route)) != FM_OK)
        return st;
    (void)zmq_msg_init(&copy);
    (void)zmq_msg_copy(&copy, packet);
    if ((st = send_frame(socket, &copy, 0)) != FM_OK)
        (void)zmq_msg_close(&copy);
    return st;
}

fm_status fm_packet_send_message(void *socket, const fm_route *route, const fm_message *m,
                                 size_t *bytes)
{
    zmq_msg_t packet;
    fm_status st = fm_packet_make(m, &packet);

    if (st != FM_OK)
        return st;
    *bytes = zmq_msg_size(&packet);
    st = fm_packet_send(socket, route, &packet);
    (void)zmq_msg_close(&packet);
    return st;
}

/* ---- receiving ---- */

static fm_status receive_frame(void *socket, zmq_msg_t *frame)
{
    while (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EINTR)
            continue;
        return zmq_errno() == EAGAIN ? FM_ETIMEOUT : fm_socket_failed("receive");
    }
    return FM_OK;
}

static fm_status receive_route(void *socket, fm_route *out)
{
    zmq_msg_t frame;
    fm_status st;

    (void)zmq_msg_init(&frame);
    if ((st = receive_frame(socket, &frame)) == FM_OK) {
        out->len = zmq_msg_size(&frame);
        if (out->len > FM_ROUTE_MAX || !zmq_msg_more(&frame))
            st = fm_fail(FM_EINTERNAL, "ZeroMQ gave a route of %zu bytes", out->len);
        else
            memcpy(out->bytes, zmq_msg_data(&frame), out->len);
    }
    (void)zmq_msg_close(&frame);
    return st;
}

/* The rest of a message that should have been one frame. */
static void drain(void *socket)
{
    zmq_msg_t frame;
    bool more = true;

    while (more) {
        (void)zmq_msg_init(&frame);
        more = receive_frame(socket, &frame) == FM_OK && zmq_msg_more(&frame);
        (void)zmq_msg_close(&frame);
    }
}

/* What ZAP answered for this connection: the one thing here that the peer cannot choose. */
static bool key_of(zmq_msg_t *body, uint8_t key[FM_CURVE_KEY_BYTES])
{
    const char *hex = zmq_msg_gets(body, "User-Id");
    size_t len = 0;

    return hex && strlen(hex) == (size_t)2 * FM_CURVE_KEY_BYTES &&
           sodium_hex2bin(key, FM_CURVE_KEY_BYTES, hex, strlen(hex), NULL, &len, NULL) == 0 &&
           len == FM_CURVE_KEY_BYTES;
}

fm_status fm_packet_receive(void *socket, bool routed, fm_packet *out)
{
    fm_status st;

    memset(out, 0, sizeof *out);
    if (routed && (st = receive_route(socket, &out->route)) != FM_OK)
        return st;
    (void)zmq_msg_init(&out->body);
    if ((st = receive_frame(socket, &out->body)) != FM_OK) {
        (void)zmq_msg_close(&out->body);
        return st;
    }
    out->whole = !zmq_msg_more(&out->body);
    if (!out->whole)
        drain(socket);
    out->keyed = key_of(&out->body, out->key);
    out->fd = zmq_msg_get(&out->body, ZMQ_SRCFD);
    return FM_OK;
}

void fm_packet_close(fm_packet *p)
{
    (void)zmq_msg_close(&p->body);
}

const uint8_t *fm_packet_data(fm_packet *p, size_t *len)
{
    *len = zmq_msg_size(&p->body);
    return zmq_msg_data(&p->body);
}
