#ifndef FEDMOE_LINK_LIMITS_INTERNAL_H
#define FEDMOE_LINK_LIMITS_INTERNAL_H

#include "fedmoe/proto/link/link.h"

/* Messages that wait in one connection's queues. Few come in, because each may have a MiB, and to
 * the aggregator from each of many nodes (with 1, ZeroMQ lets nobody in). What goes out is our own,
 * and a round's messages to a slow peer must not be lost. */
#define FM_SERVER_RECEIVE_QUEUE 2
#define FM_SESSION_RECEIVE_QUEUE 4
#define FM_SESSION_SEND_QUEUE 64
#define FM_DOOR_QUEUE 4  /* of one who asks for a certificate */
#define FM_LINGER_MS 500 /* at the end: last words (Finish, Refusal) get this long */

/** The defaults of link.h for the fields that are zero. */
static inline fm_link_limits fm_link_limits_or_default(fm_link_limits l)
{
    l.heartbeat_ms = l.heartbeat_ms ? l.heartbeat_ms : 1000;
    l.peer_timeout_ms = l.peer_timeout_ms ? l.peer_timeout_ms : 10000;
    l.connect_ms = l.connect_ms ? l.connect_ms : 5000;
    l.max_peers = l.max_peers ? l.max_peers : FM_MAX_NODES;
    return l;
}

#endif
