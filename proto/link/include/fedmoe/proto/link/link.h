/*
 * Sessions over ZeroMQ: one port, CURVE on every byte, a credential exchange before anything else
 * is said (docs/protocol.md, "Door and session").
 *
 * The server is one ROUTER with a long-lived CURVE key, the door's, whose public half stands in
 * every node.yaml. Whoever comes is at the door: only Hello, Enrol and Renew are understood there,
 * FM_MAX_DOOR_BYTES at most, so many connections and no more, each for connect_ms and no longer.
 * Enrol is for those who have no certificate yet (proto/link/enrol.h), Renew for those whose
 * certificate nears its end. After a good Hello the connection is a session; its Welcome proves,
 * by a signature over the node's fresh key, that the aggregator itself is at the other end.
 *
 * All sockets of an end belong to the one thread that calls it. Nothing here blocks but _poll.
 */
#ifndef FEDMOE_PROTO_LINK_LINK_H
#define FEDMOE_PROTO_LINK_LINK_H

#include "fedmoe/certs/statement.h"
#include "fedmoe/proto/message.h"

#define FM_CURVE_KEY_BYTES 32u

/** A CURVE key pair (raw bytes, secret half in guarded memory by its owner). */
FM_NODISCARD fm_status fm_curve_keypair(uint8_t public_key[FM_CURVE_KEY_BYTES],
                                        uint8_t secret_key[FM_CURVE_KEY_BYTES]);
FM_NODISCARD fm_status fm_curve_public(const uint8_t secret_key[FM_CURVE_KEY_BYTES],
                                       uint8_t public_key[FM_CURVE_KEY_BYTES]);
/** Z85 text, 40 characters and NUL; and back (FM_EPARSE). */
void fm_curve_text(const uint8_t key[FM_CURVE_KEY_BYTES], char out[41]);
FM_NODISCARD fm_status fm_curve_parse(const char *text, uint8_t key[FM_CURVE_KEY_BYTES]);

typedef struct {
    uint32_t heartbeat_ms;    /* a Ping after this long without another message; default 1000 */
    uint32_t peer_timeout_ms; /* gone after this long in silence; default 10000 */
    uint32_t connect_ms;      /* how long getting in may take, on both ends; default 5000 */
    uint32_t max_peers;       /* server: default FM_MAX_NODES */
} fm_link_limits;

typedef struct {
    uint64_t bytes_sent, bytes_received; /* message payloads given to or got from ZeroMQ */
    uint64_t messages_sent, messages_received;
} fm_link_counters;

/* ---- the aggregator's end ---- */

typedef struct fm_link_server fm_link_server;

/**
 * Who answers Enrol: called within _poll, after the proof was checked (the sender holds the key
 * m->invitation; whether that was ever invited is for the issuer to know).
 *
 * @param out  borrowed from the issuer until the next call; empty: the request waits.
 * @return FM_OK; else refused: the error text is told to the sender.
 */
typedef struct {
    void *ctx;
    fm_status (*enrol)(void *ctx, const fm_msg_enrol *m, fm_msg_enrolled *out); /* NULL: nobody */
    /* Whether the invitation is one; asked before anything that costs. NULL: each may be. */
    bool (*known)(void *ctx, const uint8_t invitation[FM_INVITATION_KEY_BYTES]);
    /* Renew, by the member `name`, whose credential was verified for this connection. */
    fm_status (*renew)(void *ctx, const char *name, fm_bytes request, fm_msg_enrolled *out);
} fm_link_issuer;

typedef struct {
    const char *door;           /* "tcp://0.0.0.0:7300"; port 0 or "*" picks one */
    const uint8_t *door_secret; /* [32] */
    const fm_identity *identity;
    const fm_trust *trust;
    fm_link_issuer issuer;
    fm_link_limits limits; /* zero fields mean the defaults */
} fm_link_server_config;

FM_NODISCARD fm_status fm_link_server_new(const fm_link_server_config *c, fm_link_server **out);
void fm_link_server_free(fm_link_server **s);
/** The endpoint as bound, with its real port; borrowed. */
const char *fm_link_server_door(const fm_link_server *s);

/** The reason of a GONE event, and of the Refusal, when a newer session took this one's place. */
#define FM_LINK_REPLACED "another session of the same name has replaced this one"

typedef enum { FM_LINK_NONE, FM_LINK_JOINED, FM_LINK_MESSAGE, FM_LINK_GONE } fm_link_event_kind;

typedef struct {
    fm_link_event_kind kind;
    uint64_t peer;                   /* never reused within a process; 0 at the client */
    fm_message *message;             /* MESSAGE: owned by the receiver (fm_message_free) */
    const fm_credential *credential; /* JOINED: verified; borrowed until the next poll */
    const fm_statement *statement;   /* JOINED: likewise, until the peer is gone */
    char reason[256];                /* GONE */
    bool offence;                    /* GONE: dropped here for what no honest peer sends */
} fm_link_event;

/**
 * Wait up to `timeout_ms` for one event (FM_LINK_NONE when none came). Door, ZAP, heartbeats and
 * bad messages are dealt with inside: a peer that sends what does not decode is dropped (GONE).
 * A second session of the same certificate name replaces the first (GONE, then JOINED).
 * @return FM_OK; FM_EIO when ZeroMQ fails.
 */
FM_NODISCARD fm_status fm_link_server_poll(fm_link_server *s, int timeout_ms, fm_link_event *event);
/** FM_ENOTFOUND when the peer is gone (a GONE event follows or came). Never blocks. */
FM_NODISCARD fm_status fm_link_server_send(fm_link_server *s, uint64_t peer, const fm_message *m);
/** Tell the peer why (Refusal) and forget it; no GONE event follows. */
void fm_link_server_drop(fm_link_server *s, uint64_t peer, const char *reason);
/**
 * One message to many: encoded once, its bytes shared by all queues until each is encrypted. Peers
 * that are gone are passed over; their GONE events tell.
 * @return FM_OK; FM_EINVAL when a limit is passed; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_link_server_broadcast(fm_link_server *s, const uint64_t *peers,
                                                size_t count, const fm_message *m);
/** Verify Hellos against `trust` from now on (borrowed): after a revocation. Sessions stay. */
void fm_link_server_set_trust(fm_link_server *s, const fm_trust *trust);
fm_link_counters fm_link_server_counters(const fm_link_server *s);
/** Of one peer; zeros when unknown. */
fm_link_counters fm_link_server_peer_counters(const fm_link_server *s, uint64_t peer);

/* ---- a node's end ---- */

typedef struct fm_link_client fm_link_client;

typedef struct {
    const char *door;           /* "tcp://host:7300" */
    const uint8_t *door_public; /* [32] */
    const fm_identity *identity;
    const fm_trust *trust;
    const uint8_t *x25519_public; /* [32], goes into the statement */
    fm_link_limits limits;
} fm_link_client_config;

/**
 * Say Hello at the door, verify the Welcome (role aggregator, statement, the door's key, the proof
 * for this connection). Keys are fresh for each connection; one that breaks off is tried again.
 * @return FM_OK; FM_ETIMEOUT (no answer: worth another try; text says address, key, or not
 *         started);
 *         FM_EAUTH (their credential, or they refused ours: text says why); FM_EIO.
 */
FM_NODISCARD fm_status fm_link_client_connect(const fm_link_client_config *c, fm_link_client **out);
/**
 * Ask at the door for the next certificate, as the identity of `c` and on a connection of its own;
 * a session that stands is not touched. Blocks for limits.connect_ms at most.
 *
 * @param answer  an Enrolled, owned by the caller (fm_message_free), not checked
 *                (fm_identity_renew); empty: not yet.
 * @return FM_OK; FM_EPERM refused (text says why); FM_ETIMEOUT; FM_EAUTH; FM_EIO.
 */
FM_NODISCARD fm_status fm_link_renew(const fm_link_client_config *c, fm_bytes request,
                                     fm_message **answer);
void fm_link_client_free(fm_link_client **l);
/** As the server's; FM_LINK_GONE when the aggregator is silent or refused us. */
FM_NODISCARD fm_status fm_link_client_poll(fm_link_client *l, int timeout_ms, fm_link_event *event);
FM_NODISCARD fm_status fm_link_client_send(fm_link_client *l, const fm_message *m);
/** From here on the aggregator is gone after this long in silence: it may have more to compute at a
 *  time than limits.peer_timeout_ms was made for. */
void fm_link_client_set_patience(fm_link_client *l, uint32_t silence_ms);
/** Send a due Ping without receiving: for use between long computations. */
void fm_link_client_keepalive(fm_link_client *l);
fm_link_counters fm_link_client_counters(const fm_link_client *l);
/** Own credential as it was sent in Hello: the roster must hold exactly these bytes. */
const fm_credential *fm_link_client_credential(const fm_link_client *l);
/** The aggregator's certificate, verified; borrowed. */
const fm_peer *fm_link_client_server(const fm_link_client *l);

#endif
