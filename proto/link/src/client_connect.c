/* The way in: Hello, Welcome, session. docs/protocol.md, "Door". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"

#define ENDPOINT_MAX 256

typedef struct {
    const fm_link_client_config *config;
    fm_link_client *link;
    uint8_t public_key[FM_CURVE_KEY_BYTES];
    uint8_t *secret_key; /* sodium_malloc */
    uint64_t deadline_ms;
    fm_statement server; /* from Welcome, verified */
    uint16_t session_port;
} attempt;

/* ---- who we are ---- */

static fm_status make_credential(attempt *a)
{
    const fm_cert_info *info = fm_identity_info(a->config->identity);
    fm_statement s = { .role = FM_ROLE_NODE,
                       .not_after_s = fm_clock_wall_s() + FM_STATEMENT_VALID_S };
    fm_status st;

    if (!(a->secret_key = sodium_malloc(FM_CURVE_KEY_BYTES)))
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

static fm_status take_welcome(attempt *a, const fm_msg_welcome *w)
{
    fm_status st;

    if (w->version != FM_PROTO_VERSION)
        return fm_fail(FM_EAUTH, "the aggregator speaks version %u of the protocol, this node %u",
                       w->version, FM_PROTO_VERSION);
    if ((st = fm_credential_verify(a->config->trust, &w->credential, FM_ROLE_AGGREGATOR,
                                   fm_clock_wall_s(), &a->server, &a->link->server)) != FM_OK)
        return fm_fail_context(st, "the aggregator's credential: ");
    a->session_port = w->session_port;
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

static fm_status visit_door(attempt *a, const fm_message *say, fm_message **answer)
{
    fm_door_visit v = {
        .context = a->link->context,
        .endpoint = a->config->door,
        .server_key = a->config->door_public,
        .public_key = a->public_key,
        .secret_key = a->secret_key,
        .limits = a->link->limits,
        .deadline_ms = a->deadline_ms,
        .say = say,
        .counters = &a->link->counters,
    };

    return fm_client_visit_door(&v, answer);
}

static fm_status pass_door(attempt *a)
{
    const fm_message hello = { .type = FM_MSG_HELLO,
                               .hello = { FM_PROTO_VERSION, a->link->credential } };
    fm_message *m = NULL;
    fm_status st = visit_door(a, &hello, &m);

    if (st == FM_OK)
        st = take_answer(a, m);
    fm_message_free(&m);
    return st;
}

/* ---- session ---- */

/* The door's host, the session's port. */
static fm_status session_endpoint(const attempt *a, char *out, size_t cap)
{
    const char *colon = strrchr(a->config->door, ':');
    int n;

    if (!colon)
        return fm_fail(FM_EINVAL, "the door's address %s has no port", a->config->door);
    n = snprintf(out, cap, "%.*s:%u", (int)(colon - a->config->door), a->config->door,
                 a->session_port);
    if (n < 0 || (size_t)n >= cap)
        return fm_fail(FM_EINVAL, "the door's address is longer than %zu bytes", cap);
    return FM_OK;
}

static fm_status await_session(attempt *a, const char *endpoint)
{
    fm_link_client *l = a->link;
    bool readable = false, failed = false, cut = false;
    fm_monitor_event e;
    fm_status st;

    while (fm_clock_now_ms() < a->deadline_ms && !failed) {
        /* Only the monitor is awaited: an early message of the server's is the caller's. */
        if ((st = fm_client_wait_for(l->monitor, l->monitor, a->deadline_ms, &readable)) != FM_OK)
            return st;
        while ((e = fm_monitor_next(l->monitor)).kind != FM_MONITOR_NOTHING) {
            if (e.kind == FM_MONITOR_CONNECTED)
                l->fd = e.fd;
            if (e.kind == FM_MONITOR_HANDSHAKEN)
                return FM_OK;
            failed = failed || e.kind == FM_MONITOR_FAILED;
            cut = cut || e.kind == FM_MONITOR_UNREACHABLE || e.kind == FM_MONITOR_DISCONNECTED;
        }
        if (cut && !failed) /* the line, or an aggregator that just ended: worth another try */
            return fm_fail(FM_ETIMEOUT, "the connection to the session at %s was cut", endpoint);
    }
    /* A refusal in the handshake bears nobody's signature: a middle-man can forge it, or bring it
     * about by one altered bit, and an aggregator that was started again since gives it in good
     * faith. The door's answer is the one that counts: to be asked again. */
    return fm_fail(FM_ETIMEOUT, "the door let this node in, but its session at %s %s", endpoint,
                   failed ? "refused the connection" : "does not answer: is that port open?");
}

static fm_status open_session(attempt *a, const char *endpoint)
{
    const fm_socket_options o = {
        .type = ZMQ_DEALER,
        .message_bytes = FM_MAX_MESSAGE_BYTES,
        .send_queue = FM_SESSION_SEND_QUEUE,
        .receive_queue = FM_SESSION_RECEIVE_QUEUE,
        .public_key = a->public_key,
        .secret_key = a->secret_key,
        .server_key = a->server.curve_public,
        .endpoint = endpoint,
        .handshake_ms = (int)a->link->limits.connect_ms, /* and no second: one connection */
    };

    return fm_client_open(a->link->context, &o, "session", &a->link->session, &a->link->monitor);
}

static fm_status enter_session(attempt *a)
{
    fm_link_client *l = a->link;
    char endpoint[ENDPOINT_MAX];
    uint64_t now;
    fm_status st;

    if ((st = session_endpoint(a, endpoint, sizeof endpoint)) != FM_OK ||
        (st = open_session(a, endpoint)) != FM_OK || (st = await_session(a, endpoint)) != FM_OK)
        return st;
    now = fm_clock_now_ms();
    l->heard_ms = l->polled_ms = now;
    return fm_client_ping(l, now); /* the first message makes the server's JOINED */
}

/* ---- both: connecting, and asking for the next certificate ---- */

static fm_status prepare(attempt *a)
{
    fm_status st;

    a->link->limits = fm_link_limits_or_default(a->config->limits);
    a->link->fd = -1;
    a->deadline_ms = fm_clock_now_ms() + a->link->limits.connect_ms;
    if ((st = make_credential(a)) != FM_OK)
        return st;
    return fm_socket_context(&a->link->context);
}

static fm_status connect_link(attempt *a)
{
    fm_status st;

    if ((st = prepare(a)) != FM_OK || (st = pass_door(a)) != FM_OK)
        return st;
    return enter_session(a);
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
    if ((st = prepare(&a)) == FM_OK) {
        say.renew = (fm_msg_renew){ FM_PROTO_VERSION, a.link->credential, request };
        st = visit_door(&a, &say, &m);
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
