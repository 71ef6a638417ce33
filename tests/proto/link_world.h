/*
 * A consortium in a temporary folder, a server polled by the test's own thread, clients that
 * connect from a second one; and raw ZeroMQ peers that say what no client of ours would.
 */
#ifndef FEDMOE_TESTS_PROTO_LINK_WORLD_H
#define FEDMOE_TESTS_PROTO_LINK_WORLD_H

#include <zmq.h>

#include "fedmoe/proto/link/link.h"

/** Made once per process: names "aggregator", "riga", "oslo"; "stranger" of another CA. */
const fm_identity *world_identity(const char *name);
const fm_trust *world_trust(void);
const fm_trust *world_other_trust(void);
/** A node of the first CA whose certificate ended yesterday. */
const fm_identity *world_expired(void);
/** A node "revoked", and the CA's trust that knows of it. */
const fm_identity *world_revoked(fm_trust **trust_that_knows);
const uint8_t *world_door_public(void);
const uint8_t *world_door_secret(void);

/** On loopback, the port chosen by the system. */
fm_link_server *world_server(fm_link_limits limits);
fm_link_server_config world_server_config(fm_link_limits limits);
fm_link_client_config world_client_config(const fm_link_server *s, const char *name);

/** Events that came in while something else was awaited. */
typedef struct {
    fm_link_event list[64];
    size_t count;
} world_events;

/** Poll the server for `ms`, or until an event of `until` (FM_LINK_NONE: all of `ms`). */
void world_poll(fm_link_server *s, int ms, fm_link_event_kind until, world_events *events);
void world_events_free(world_events *e);
/** The first of its kind, or NULL. */
fm_link_event *world_event(world_events *e, fm_link_event_kind kind);

/** Connect from another thread while this one polls; *text (of 1024) gets its error text. */
fm_status world_connect(fm_link_server *s, const fm_link_client_config *c, fm_link_client **out,
                        world_events *events, char *text);
/** Connect as `name` or fail the test; the peer's id, from its JOINED event. */
fm_link_client *world_join(fm_link_server *s, const char *name, uint64_t *peer);
/** The client's next event that is not NONE, while the server is polled too (NULL: is not). */
fm_link_event world_client_event(fm_link_client *l, fm_link_server *s, int ms,
                                 world_events *events);

/* ---- raw peers ---- */

typedef struct {
    void *context, *socket;
    uint8_t public_key[32], secret_key[32];
    fm_credential credential;
} raw_peer;

/** A fresh CURVE key and a statement of `id` for it. */
raw_peer *raw_new(const fm_identity *id);
void raw_free(raw_peer **r);
/** Another DEALER with the peer's keys, CURVE to the door's. */
void *raw_socket(raw_peer *r, const fm_link_server *s);
/** Send one frame (the socket is opened at need); the answer, or NULL after `ms`. */
fm_message *raw_ask(raw_peer *r, fm_link_server *s, const void *data, size_t len, int ms);
/** Hello; the answer. */
fm_message *raw_hello(raw_peer *r, fm_link_server *s);
/** Hello, Welcome, Ping; the peer has joined. */
uint64_t raw_join(raw_peer *r, fm_link_server *s);
/** One message from a raw socket, decoded; NULL after `ms`. */
fm_message *raw_receive(void *socket, fm_link_server *s, int ms, world_events *events);
void raw_send(void *socket, const fm_message *m);

#endif
