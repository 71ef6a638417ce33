/* A node's end. One thread. */
#ifndef FEDMOE_LINK_CLIENT_INTERNAL_H
#define FEDMOE_LINK_CLIENT_INTERNAL_H

#include "limits_internal.h"
#include "monitor_internal.h"
#include "packet_internal.h"
#include "socket_internal.h"

struct fm_link_client {
    fm_link_limits limits;
    fm_link_counters counters;
    fm_credential credential;
    fm_peer *server;
    void *context, *session, *monitor;
    int fd; /* of its connection, only for fm_socket_quiet_ms; -1 */
    uint64_t heard_ms, sent_ms, polled_ms;
    uint64_t disconnected_ms; /* 0: it stands */
    uint64_t ping_sequence;
    bool gone;
    char reason[256];
};

/* client_door.c */

/** One message said until one comes back. */
typedef struct {
    void *context;
    const char *endpoint;
    const uint8_t *server_key, *public_key, *secret_key; /* [32] each */
    fm_link_limits limits;
    uint64_t deadline_ms;
    const fm_message *say;
    fm_link_counters *counters;
    bool once;                /* one connection; otherwise ZeroMQ connects again by itself */
    bool reached, handshaken; /* how far we came, on any connection */
    bool cut;                 /* the one connection broke off: FM_ETIMEOUT came early */
    void *socket, *monitor;   /* fm_client_leave_door; a session may be made of them */
    int fd;                   /* of the last connection; -1 */
    unsigned opened;          /* sockets so far: the monitor of each has a name of its own */
} fm_door_visit;

/**
 * @param answer  whatever the aggregator said, owned by the caller.
 * @return FM_OK; FM_ETIMEOUT (text: address, key, or no answer); FM_EAUTH not a message; FM_EIO.
 */
FM_NODISCARD fm_status fm_client_visit_door(fm_door_visit *v, fm_message **answer);
void fm_client_leave_door(fm_door_visit *v);

FM_NODISCARD fm_status fm_client_ping(fm_link_client *l, uint64_t now);

#endif
