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
 * ADMITTED  a verified Hello; its key may connect to the session socket, once
 * ENTERED   ZAP let that connection in; no message yet
 * JOINED    the first message came: JOINED event given or queued
 * LOST      GONE event queued
 */
typedef enum { FM_PEER_ADMITTED, FM_PEER_ENTERED, FM_PEER_JOINED, FM_PEER_LOST } fm_peer_state;

typedef struct fm_link_peer fm_link_peer;

struct fm_link_peer {
    uint64_t id;
    uint8_t key[FM_CURVE_KEY_BYTES];
    fm_peer_state state;
    bool announced; /* its JOINED event was given */
    fm_route route; /* of the session connection */
    int fd;         /* of the same, only for fm_socket_quiet_ms */
    fm_credential credential;
    fm_statement statement;
    uint64_t admitted_ms, heard_ms, sent_ms;
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

struct fm_link_server {
    const fm_identity *identity;
    const fm_trust *trust;
    fm_link_issuer issuer;
    fm_link_limits limits;
    fm_link_counters counters;

    void *context, *zap, *door, *session, *door_monitor, *session_monitor;
    char door_endpoint[FM_ENDPOINT_MAX], session_endpoint[FM_ENDPOINT_MAX];
    uint8_t door_public[FM_CURVE_KEY_BYTES];
    uint8_t *door_secret;                       /* sodium_malloc; the door can be opened anew */
    uint8_t session_public[FM_CURVE_KEY_BYTES]; /* its secret half is only in ZeroMQ */
    fm_message welcome;
    int64_t welcome_signed_s;

    fm_bucket doors, hellos;  /* CURVE handshakes at the door; messages read */
    fm_bucket enrols, renews; /* of those, requests for a certificate: by codes; by members */
    uint64_t dropped_noted_ms;
    int64_t door_open; /* connections */
    uint64_t door_opened_ms;

    fm_peer_slot *slots;
    size_t count, capacity;
    uint32_t joined, lost;
    uint64_t next_id;
    fm_link_peer *joined_event; /* borrowed from slots */
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
void fm_server_free_buried(fm_link_server *s);
/** Say why, if it can still be said, and queue the GONE event. */
void fm_server_lose(fm_link_server *s, fm_link_peer *p, const char *reason);
FM_NODISCARD fm_status fm_server_send_packet(fm_link_server *s, fm_link_peer *p, zmq_msg_t *packet);
void fm_server_send_refusal(fm_link_server *s, fm_link_peer *p, const char *reason);

/* server_door.c */
FM_NODISCARD fm_status fm_server_open_door(fm_link_server *s);
FM_NODISCARD fm_status fm_server_make_welcome(fm_link_server *s);
/** At most a few Hellos, so that sessions come first. */
FM_NODISCARD fm_status fm_server_serve_door(fm_link_server *s, uint64_t now);
void fm_server_watch_door(fm_link_server *s, uint64_t now);
fm_zap_verdict fm_server_judge(void *server, const char *domain,
                               const uint8_t key[FM_CURVE_KEY_BYTES]);

#endif
