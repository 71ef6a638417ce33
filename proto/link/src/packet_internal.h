/* One message on its way: encoded into, or received as, one ZeroMQ frame. */
#ifndef FEDMOE_LINK_PACKET_INTERNAL_H
#define FEDMOE_LINK_PACKET_INTERNAL_H

#include <zmq.h>

#include "fedmoe/proto/link/link.h"

#define FM_ROUTE_MAX 255

/** A ROUTER's handle of one connection. */
typedef struct {
    uint8_t bytes[FM_ROUTE_MAX];
    size_t len;
} fm_route;

/** Encode `m` as a frame that shares the encoder's buffer; wiped when the last user is done. */
FM_NODISCARD fm_status fm_packet_make(const fm_message *m, zmq_msg_t *out);

/**
 * Send a copy of the frame (the bytes are shared), to `route` unless that is NULL. Never blocks.
 * @return FM_OK; FM_ENOTFOUND no such connection; FM_ESTATE its queue is full.
 */
FM_NODISCARD fm_status fm_packet_send(void *socket, const fm_route *route, zmq_msg_t *packet);
/** Make and send. *bytes: payload length. */
FM_NODISCARD fm_status fm_packet_send_message(void *socket, const fm_route *route,
                                              const fm_message *m, size_t *bytes);

typedef struct {
    fm_route route;
    zmq_msg_t body;                  /* to be closed: fm_packet_close */
    bool whole;                      /* one frame, as it must be */
    bool keyed;                      /* `key` is there */
    uint8_t key[FM_CURVE_KEY_BYTES]; /* the connection's CURVE key, from ZAP's User-Id */
    int fd;                          /* -1 when unknown */
} fm_packet;

/** FM_ETIMEOUT when nothing waits; a ROUTER's route is read when `routed`. */
FM_NODISCARD fm_status fm_packet_receive(void *socket, bool routed, fm_packet *out);
void fm_packet_close(fm_packet *p);
const uint8_t *fm_packet_data(fm_packet *p, size_t *len);

#endif
