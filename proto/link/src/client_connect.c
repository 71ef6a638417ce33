/* The way in: Hello, Welcome. docs/protocol.md, "Door and session". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"
#include "fedmoe/proto/digest.h"

#define PAUSE_MS 100 /* and up to 255 more, before another connection is tried */

typedef struct {
    const fm_link_client_config *config;
    fm_link_client *link;
    uint8_t public_key[FM_CURVE_KEY_BYTES];
    uint8_t *secret_key; /* sodium_malloc */
    fm_door_visit visit;
} attempt;

/* ---- who we are ---- */

static fm_status make_credential(attempt *a)
{
    const fm_cert_info *info = fm_identity_info(a->config->identity);
    fm_statement s = { .role = FM_ROLE_NODE,
                       .not_after_s = fm_clock_wall_s() + FM_STATEMENT_VALID_S };
    fm_status st;

    if (!a->secret_key && !(a->secret_key = sodium_malloc(FM_CURVE_KEY_BYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for the session key");
    if ((st = fm_curve_keypair(a->public_key, a->secret_key)) != FM_OK)
        return st;
    memcpy(s.federation, info->federation, sizeof s.federation);
    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.curve_public, a->public_key, FM_CURVE_KEY_BYTES);
    memcpy(s.x25519_public, a->config->x25519_public, FM_SESSION_KEY_BYTES);
    return fm_credential_make(a->config->identity, &s, &a->link->credential);
}

/* ---- door ---- */

/* Whoever has the door's key can show a statement that was said to another; not sign this. */
static fm_status check_proof(const attempt *a, const fm_msg_welcome *w, const fm_statement *server,
                             const fm_peer *peer)
{
    const fm_link_client_config *c = a->config;
    const fm_hash digest = fm_welcome_digest(server->federation, a->public_key, c->door_public);

    if (memcmp(server->curve_public, c->door_public, FM_CURVE_KEY_BYTES) != 0)
        return fm_fail(FM_EAUTH, "its statement is for another door key");
    if (fm_peer_check_signature(peer, FM_LABEL_WELCOME, digest.bytes, FM_HASH_BYTES, w->proof.data,
                                w->proof.len) != FM_OK)
        return fm_fail(FM_EAUTH, "its proof is not by its certificate's key, or is not for this "
                                 "connection");
    return FM_OK;
}

static fm_status take_welcome(attempt *a, const fm_msg_welcome *w)
{
    fm_statement server;
    fm_peer *peer = NULL;
    fm_status st;

    if (w->version != FM_PROTO_VERSION)
        return fm_fail(FM_EAUTH, "the aggregator speaks version %u of the protocol, this node %u",
                       w->version, FM_PROTO_VERSION);
    if ((st = fm_credential_verify(a->config->trust, &w->credential, FM_ROLE_AGGREGATOR,
                                   fm_clock_wall_s(), &server, &peer)) == FM_OK)
        st = check_proof(a, w, &server, peer);
    if (st != FM_OK) {
        fm_peer_free(&peer);
        return fm_fail_context(st, "the aggregator's credential: ");
    }
    a->link->server = peer;
    return FM_OK;
}

static fm_status take_answer(attempt *a, const fm_message *m)
{
    if (m->type == FM_MSG_WELCOME)
        return take_welcome(a, &m->welcome);
    if (m->type == FM_MSG_REFUSAL)
        return fm_fail(FM_EAUTH, "the aggregator refused this node: %s", m->refusal.reason);
    return fm_fail(FM_EAUTH, "the aggregator answered Hello with %s", fm_msg_name(m->type));
}

/* ---- session ---- */

/* The connection that the Welcome came by. */
static fm_status become_session(attempt *a)
{
    fm_link_client *l = a->link;

    l->session = a->visit.socket;
    l->monitor = a->visit.monitor;
    l->fd = a->visit.fd;
    a->visit.socket = a->visit.monitor = NULL;
    l->heard_ms = l->polled_ms = fm_clock_now_ms();
    /* Says that the Welcome was believed: JOINED. */
    return fm_client_ping(l, l->heard_ms) == FM_OK
               ? FM_OK
               : fm_fail_context(FM_ETIMEOUT, "the door let this node in, but: ");
}

static fm_status say_hello(attempt *a)
{
    const fm_message hello = { .type = FM_MSG_HELLO,
                               .hello = { FM_PROTO_VERSION, a->link->credential } };
    fm_message *m = NULL;
    fm_status st;

    a->visit.say = &hello;
    a->visit.cut = false;
    if ((st = fm_client_visit_door(&a->visit, &m)) == FM_OK)
        st = take_answer(a, m);
    fm_message_free(&m);
    if (st == FM_OK && a->visit.cut) {
        fm_peer_free(&a->link->server);
        st = fm_fail(FM_ETIMEOUT, "the connection to the aggregator at %s was cut",
                     a->visit.endpoint);
    }
    if (st == FM_OK)
        st = become_session(a);
    fm_client_leave_door(&a->visit);
    return st;
}

/* ---- both: connecting, and asking for the next certificate ---- */

static fm_status prepare(attempt *a)
{
    fm_link_client *l = a->link;

    l->limits = fm_link_limits_or_default(a->config->limits);
    l->fd = -1;
    a->visit.endpoint = a->config->door;
    a->visit.server_key = a->config->door_public;
    a->visit.limits = l->limits;
    a->visit.deadline_ms = fm_clock_now_ms() + l->limits.connect_ms;
    a->visit.counters = &l->counters;
    return fm_socket_context(&l->context);
}

static fm_status make_keys(attempt *a)
{
    fm_status st = make_credential(a);

    a->visit.context = a->link->context;
    a->visit.public_key = a->public_key;
    a->visit.secret_key = a->secret_key;
    return st;
}

/* A connection that breaks off bears nobody's signature: a middle-man can bring it about by one
 * altered bit, and an aggregator that has too many just now does so in good faith. Only an answer
 * counts; without one, another connection is tried, with other keys once these were shown. */
static fm_status connect_link(attempt *a)
{
    fm_status st;

    a->visit.once = true;
    if ((st = make_keys(a)) != FM_OK)
        return st;
    while ((st = say_hello(a)) == FM_ETIMEOUT && a->visit.cut) {
        long pause_ms = PAUSE_MS + (long)a->public_key[0];

        if (fm_clock_now_ms() + (uint64_t)pause_ms >= a->visit.deadline_ms)
            break;
        if (zmq_poll(NULL, 0, pause_ms) < 0)
            return fm_fail(FM_EIO, "interrupted while connecting");
        if (a->visit.fd >= 0 && (st = make_keys(a)) != FM_OK)
            return st;
    }
    return st;
}

static fm_status begin(attempt *a, const fm_link_client_config *c)
{
    void *p;
    fm_status st;

    if (!c || !c->door || !c->door_public || !c->identity || !c->trust || !c->x25519_public)
        return fm_fail(FM_EINVAL, "a node's link: a field is missing");
    if ((st = fm_random_init()) != FM_OK || (st = fm_alloc(1, sizeof *a->link, &p)) != FM_OK)
        return st;
    a->link = p;
    return FM_OK;
}

fm_status fm_link_client_connect(const fm_link_client_config *c, fm_link_client **out)
{
    attempt a = { .config = c };
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "fm_link_client_connect: no place for the link");
    if ((st = begin(&a, c)) != FM_OK)
        return st;
    if ((st = prepare(&a)) == FM_OK)
        st = connect_link(&a);
    sodium_free(a.secret_key); /* wipes; NULL is fine */
    if (st != FM_OK) {
        fm_link_client_free(&a.link);
        return st;
    }
    *out = a.link;
    return FM_OK;
}

fm_status fm_link_renew(const fm_link_client_config *c, fm_bytes request, fm_message **answer)
{
    fm_message say = { .type = FM_MSG_RENEW }, *m = NULL;
    attempt a = { .config = c };
    fm_status st;

    if (!answer)
        return fm_fail(FM_EINVAL, "fm_link_renew: no place for the answer");
    if ((st = begin(&a, c)) != FM_OK)
        return st;
    if ((st = prepare(&a)) == FM_OK && (st = make_keys(&a)) == FM_OK) {
        say.renew = (fm_msg_renew){ FM_PROTO_VERSION, a.link->credential, request };
        a.visit.say = &say;
        st = fm_client_visit_door(&a.visit, &m);
        fm_client_leave_door(&a.visit);
    }
    if (st == FM_OK && m->type == FM_MSG_REFUSAL)
        st = fm_fail(FM_EPERM, "the aggregator refuses: %s", m->refusal.reason);
    else if (st == FM_OK && m->type != FM_MSG_ENROLLED)
        st = fm_fail(FM_EAUTH, "the aggregator answered Renew with %s", fm_msg_name(m->type));
    sodium_free(a.secret_key);
    fm_link_client_free(&a.link);
    if (st == FM_OK) {
        *answer = m;
        m = NULL;
    }
    fm_message_free(&m);
    return st;
}
