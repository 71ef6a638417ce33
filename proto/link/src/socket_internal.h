/* ZeroMQ sockets as this project uses them: CURVE always, small queues, bounded messages. */
#ifndef FEDMOE_LINK_SOCKET_INTERNAL_H
#define FEDMOE_LINK_SOCKET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/proto/link/link.h"

#define FM_ZAP_DOMAIN "door"

typedef struct {
    int type;                      /* ZMQ_ROUTER or ZMQ_DEALER */
    size_t message_bytes;          /* longest message that is received */
    int send_queue, receive_queue; /* messages waiting, per connection */
    const uint8_t *public_key;     /* own; a server's is implied by its secret key */
    const uint8_t *secret_key;     /* own; copied by ZeroMQ */
    const uint8_t *server_key;     /* a client's: the server's public key */
    const char *endpoint;          /* only to see whether it is an IPv6 one */
    bool reconnect;                /* a client's: try again when the connection fails */
    int handshake_ms;
} fm_socket_options;

/** A context with one I/O thread; FM_EIO when ZeroMQ was built without CURVE. */
FM_NODISCARD fm_status fm_socket_context(void **out);
/** Waits until the sockets' lingering is over. */
void fm_socket_context_free(void **context);

FM_NODISCARD fm_status fm_socket_new(void *context, const fm_socket_options *o, void **out);
/** Unsent messages are tried for `linger_ms`; NULL-safe. */
void fm_socket_free(void **socket, int linger_ms);
/** Bind, and the endpoint with its real port. FM_EIO names the endpoint. */
FM_NODISCARD fm_status fm_socket_bind(void *socket, const char *endpoint, char *bound, size_t cap);

/** End a connection of ZeroMQ's, which cannot do that itself: it sees the peer leave. */
void fm_socket_shut(int fd);

/** "ZeroMQ: <what>: <reason>", FM_EIO. */
fm_status fm_socket_failed(const char *what);

/** Milliseconds since TCP last brought bytes of the peer on `fd`; UINT64_MAX when unknown. */
uint64_t fm_socket_quiet_ms(int fd);
/** Whether bytes for the peer still wait in this machine: then a Ping would only wait behind them.
 */
bool fm_socket_is_busy(int fd);

#endif
