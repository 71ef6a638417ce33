/* The aggregator's end. One thread; every file below works on this one struct. */
#ifndef FEDMOE_LINK_SERVER_INTERNAL_H
#define FEDMOE_LINK_SERVER_INTERNAL_H

#include "bucket_internal.h"
#include "limits_internal.h"
#include "monitor_internal.h"
#include "packet_internal.h"
#include "socket_internal.h"
#include "zap_internal.h"

#define FM_ENDPOINT_MAX 256

/*
 * ADMITTED  its credential was verified, and its Welcome sent, which it may not believe
 * JOINED    its first message came: JOINED event given or queued
 * LOST      GONE event queued
 */
typedef enum { FM_PEER_ADMITTED, FM_PEER_JOINED, FM_PEER_LOST } fm_peer_state;

typedef struct fm_link_peer fm_link_peer;

struct fm_link_peer {
    uint64_t id;
    uint8_t key[FM_CURVE_KEY_BYTES];
    fm_peer_state state;
    bool announced;                   /* its JOINED event was given */
    fm_route route;                   /* of its connection */
    int fd;                           /* of the same; -1 once that is closed */
    fm_packed_credential *credential; /* owned */
    fm_statement statement;
    uint64_t heard_ms, sent_ms;
    uint64_t ping_sequence;
    fm_link_counters counters;
    char reason[256];
    bool offence; /* what it is lost for is its own doing */
    fm_link_peer *next_buried;
};

/* What a search reads: beside each other, so that a thousand fit the cache. */
typedef struct {
    uint64_t key_tag; /* first 8 bytes of the key */
    uint64_t id;
    fm_link_peer *peer;
} fm_peer_slot;

/* One TCP connection. A stranger's until a session stands on it, and again when that is over. */
typedef struct {
    int fd;
    bool member;       /* a session stands on it: its time does not run */
    bool dismissed;    /* not heard any more */
    unsigned said;     /* messages of a stranger */
    uint64_t until_ms; /* when a stranger's is shut */
} fm_connection;

struct fm_link_server {
    const fm_identity *identity;
    const fm_trust *trust;
    fm_link_issuer issuer;
    fm_link_limits limits;
    fm_link_counters counters;

    void *context, *zap, *socket, *monitor;
    char endpoint[FM_ENDPOINT_MAX];
    uint8_t door_public[FM_CURVE_KEY_BYTES]; /* the secret half is only in ZeroMQ */
    fm_message welcome;                      /* but for its proof */
    int64_t welcome_signed_s;
    uint8_t proof[FM_SIGNATURE_MAX];

    fm_bucket doors, hellos;  /* CURVE handshakes; messages of strangers */
    fm_bucket enrols, renews; /* of those, requests for a certificate: by codes; by members */
    uint64_t dropped_noted_ms;

    fm_connection *connections;
    size_t connection_count, connection_capacity, strangers;
    uint64_t crowded_ms; /* when it was last said that there are too many */

    fm_peer_slot *slots;
    size_t count, capacity;
    uint32_t joined, lost;
    uint64_t next_id;
    fm_link_peer *joined_event; /* borrowed from slots */
    fm_credential shown;        /* of a JOINED event, or what a Hello is compared with */
    fm_message *message_event;
    uint64_t message_peer;
    fm_link_peer *buried; /* freed at the next poll: events lend their parts */

    uint64_t tick_ms;   /* when timers are due */
    uint64_t probe_ms;  /* when all routes are to be tried; UINT64_MAX: no need */
    uint64_t probed_ms; /* when they last were */
    uint64_t polled_ms; /* end of the last poll */
};

/* server_peer.c */
fm_link_peer *fm_server_find_key(const fm_link_server *s, const uint8_t key[FM_CURVE_KEY_BYTES]);
fm_link_peer *fm_server_find_id(const fm_link_server *s, uint64_t id);
/** JOINED or not (`joined`), by the certificate's name; NULL when none. */
fm_link_peer *fm_server_find_name(const fm_link_server *s, const char *name, bool joined);
FM_NODISCARD fm_status fm_server_add(fm_link_server *s, const uint8_t key[FM_CURVE_KEY_BYTES],
                                     fm_link_peer **out);
/** Out of the table; freed at the next poll. */
void fm_server_bury(fm_link_server *s, fm_link_peer *p);
void fm_server_free_peer(fm_link_peer *p);
void fm_server_free_buried(fm_link_server *s);
/** The session is over: its connection will be shut, once last words had their time. */
void fm_server_leave(fm_link_server *s, fm_link_peer *p);
/** Say why, if it can still be said, leave, and queue the GONE event. */
void fm_server_lose(fm_link_server *s, fm_link_peer *p, const char *reason);
FM_NODISCARD fm_status fm_server_send_packet(fm_link_server *s, fm_link_peer *p, zmq_msg_t *packet);
void fm_server_send_refusal(fm_link_server *s, fm_link_peer *p, const char *reason);

/* server_door.c */
FM_NODISCARD fm_status fm_server_make_welcome(fm_link_server *s);
/** A message on a connection on which no session stands. */
void fm_server_hear_stranger(fm_link_server *s, fm_packet *from, uint64_t now);
fm_zap_verdict fm_server_judge(void *server);

/* server_gate.c */
FM_NODISCARD fm_status fm_server_make_gate(fm_link_server *s);
/** The connections that have come and gone since; whether a session's was among the latter. */
bool fm_server_watch(fm_link_server *s, uint64_t now);
/** NULL when it is gone; borrowed until the next call of fm_server_watch or _shut_late. */
fm_connection *fm_server_find_connection(const fm_link_server *s, int fd);
void fm_server_make_member(fm_link_server *s, int fd);
/** It is not heard any more, and shut at `until_ms` at the latest. */
void fm_server_dismiss(fm_link_server *s, fm_connection *c, uint64_t until_ms);
/** Those whose time is over. */
void fm_server_shut_late(fm_link_server *s, uint64_t now);

#endif
