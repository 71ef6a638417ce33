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
    int fd; /* of the session, only for fm_socket_quiet_ms; -1 */
    uint64_t heard_ms, sent_ms, polled_ms;
    uint64_t disconnected_ms; /* 0: it stands */
    uint64_t ping_sequence;
    bool gone;
    char reason[256];
};

FM_NODISCARD fm_status fm_client_ping(fm_link_client *l, uint64_t now);

#endif
