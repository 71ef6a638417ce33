/* The way in: Hello, Welcome, session. docs/protocol.md, "Door". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"

#define HELLO_AGAIN_MS 1000 /* the door may have been shut and opened, or be busy */
#define ENDPOINT_MAX 256

typedef struct {
    const fm_link_client_config *config;
    fm_link_client *link;
    uint8_t public_key[FM_CURVE_KEY_BYTES];
    uint8_t *secret_key; /* sodium_malloc */
    uint64_t deadline_ms;
    bool reached, handshaken; /* how far the door let us */
    fm_statement server;      /* from Welcome, verified */
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

static fm_status open_socket(attempt *a, const char *endpoint, const uint8_t *server_key, bool door,
                             void **socket, void **monitor)
{
    fm_socket_options o = {
        .type = ZMQ_DEALER,
        .message_bytes = door ? FM_MAX_DOOR_BYTES : FM_MAX_MESSAGE_BYTES,
        .send_queue = door ? FM_DOOR_QUEUE : FM_SESSION_SEND_QUEUE,
        .receive_queue = door ? FM_DOOR_QUEUE : FM_SESSION_RECEIVE_QUEUE,
        .public_key = a->public_key,
        .secret_key = a->secret_key,
        .server_key = server_key,
        .endpoint = endpoint,
        .reconnect = door, /* a session is one connection */
        .handshake_ms = (int)a->link->limits.connect_ms,
    };
    fm_status st;

    if ((st = fm_socket_new(a->link->context, &o, socket)) != FM_OK ||
        (st = fm_monitor_new(a->link->context, *socket, door ? "door" : "session", monitor)) !=
            FM_OK)
        return st;
    if (zmq_connect(*socket, endpoint) != 0)
        return fm_fail(FM_EIO, "cannot connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
    return FM_OK;
}

/* Until `until`, or something can be read on either. */
static fm_status wait_for(void *socket, void *monitor, uint64_t until, bool *readable)
{
    zmq_pollitem_t items[] = { { socket, 0, ZMQ_POLLIN, 0 }, { monitor, 0, ZMQ_POLLIN, 0 } };
    uint64_t now = fm_clock_now_ms();

    if (zmq_poll(items, 2, until > now ? (long)(until - now) : 0) < 0)
        return zmq_errno() == EINTR ? fm_fail(FM_EIO, "interrupted while connecting")
                                    : fm_socket_failed("poll");
    *readable = items[0].revents != 0;
    return FM_OK;
}

/* ---- door ---- */

static fm_status say_hello(attempt *a, void *door)
{
    fm_message m = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, a->link->credential } };
    size_t bytes;
    fm_status st = fm_packet_send_message(door, NULL, &m, &bytes);

    if (st == FM_OK) {
        a->link->counters.bytes_sent += bytes;
        a->link->counters.messages_sent++;
    }
    /* No connection at this instant: the next handshake says it again. */
    return st == FM_ESTATE || st == FM_ENOTFOUND ? FM_OK : st;
}

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

static fm_status take_answer(attempt *a, void *door)
{
    fm_message *m = NULL;
    const uint8_t *data;
    fm_packet p;
    size_t len;
    fm_status st;

    if ((st = fm_packet_receive(door, false, &p)) != FM_OK)
        return st;
    data = fm_packet_data(&p, &len);
    a->link->counters.bytes_received += len;
    a->link->counters.messages_received++;
    if (!p.whole)
        st = fm_fail(FM_EPROTO, "a message of several frames");
    else
        st = fm_message_decode(data, len, &m);
    if (st != FM_OK)
        st = fm_fail_context(FM_EAUTH, "the aggregator's answer at the door: ");
    else if (m->type == FM_MSG_WELCOME)
        st = take_welcome(a, &m->welcome);
    else if (m->type == FM_MSG_REFUSAL)
        st = fm_fail(FM_EAUTH, "the aggregator refused this node: %s", m->refusal.reason);
    else
        st = fm_fail(FM_EAUTH, "the aggregator answered Hello with %s", fm_msg_name(m->type));
    fm_message_free(&m);
    fm_packet_close(&p);
    return st;
}

static fm_status no_answer(const attempt *a)
{
    const char *door = a->config->door;
    uint32_t ms = a->link->limits.connect_ms;

    if (!a->reached)
        return fm_fail(FM_ETIMEOUT,
                       "nothing listens at %s (%u ms): is the aggregator started, is the address "
                       "right, does a firewall stand between?",
                       door, ms);
    if (!a->handshaken)
        return fm_fail(FM_ETIMEOUT,
                       "%s does not answer to the door key (%u ms): is it the aggregator's, and "
                       "is the key the one of the invitation?",
                       door, ms);
    return fm_fail(FM_ETIMEOUT, "the aggregator at %s did not answer Hello within %u ms", door, ms);
}

/* Hello goes out when the CURVE handshake is done, and again each second until an answer. */
static fm_status knock(attempt *a, void *door, void *monitor)
{
    uint64_t again_ms = UINT64_MAX, now;
    bool readable = false;
    fm_monitor_event e;
    fm_status st;

    while ((now = fm_clock_now_ms()) < a->deadline_ms) {
        uint64_t until = again_ms < a->deadline_ms ? again_ms : a->deadline_ms;

        if ((st = wait_for(door, monitor, until, &readable)) != FM_OK)
            return st;
        if (readable)
            return take_answer(a, door);
        now = fm_clock_now_ms();
        while ((e = fm_monitor_next(monitor)).kind != FM_MONITOR_NOTHING) {
            a->reached = a->reached || e.kind == FM_MONITOR_CONNECTED;
            if (e.kind == FM_MONITOR_HANDSHAKEN) {
                a->handshaken = true;
                again_ms = now;
            }
        }
        if (now >= again_ms) {
            if ((st = say_hello(a, door)) != FM_OK)
                return st;
            again_ms = now + HELLO_AGAIN_MS;
        }
    }
    return no_answer(a);
}

static fm_status pass_door(attempt *a)
{
    void *door = NULL, *monitor = NULL;
    fm_status st = open_socket(a, a->config->door, a->config->door_public, true, &door, &monitor);

    if (st == FM_OK)
        st = knock(a, door, monitor);
    fm_monitor_free(door, &monitor);
    fm_socket_free(&door, 0);
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
        if ((st = wait_for(l->monitor, l->monitor, a->deadline_ms, &readable)) != FM_OK)
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

static fm_status enter_session(attempt *a)
{
    fm_link_client *l = a->link;
    char endpoint[ENDPOINT_MAX];
    uint64_t now;
    fm_status st;

    if ((st = session_endpoint(a, endpoint, sizeof endpoint)) != FM_OK ||
        (st = open_socket(a, endpoint, a->server.curve_public, false, &l->session, &l->monitor)) !=
            FM_OK ||
        (st = await_session(a, endpoint)) != FM_OK)
        return st;
    now = fm_clock_now_ms();
    l->heard_ms = l->polled_ms = now;
    return fm_client_ping(l, now); /* the first message makes the server's JOINED */
}

static fm_status connect_link(attempt *a)
{
    fm_status st;

    a->link->limits = fm_link_limits_or_default(a->config->limits);
    a->link->fd = -1;
    a->deadline_ms = fm_clock_now_ms() + a->link->limits.connect_ms;
    if ((st = make_credential(a)) != FM_OK ||
        (st = fm_socket_context(&a->link->context)) != FM_OK || (st = pass_door(a)) != FM_OK)
        return st;
    return enter_session(a);
}

fm_status fm_link_client_connect(const fm_link_client_config *c, fm_link_client **out)
{
    attempt a = { .config = c };
    void *p;
    fm_status st;

    if (!c || !out || !c->door || !c->door_public || !c->identity || !c->trust || !c->x25519_public)
        return fm_fail(FM_EINVAL, "fm_link_client_connect: a field is missing");
    if ((st = fm_random_init()) != FM_OK || (st = fm_alloc(1, sizeof *a.link, &p)) != FM_OK)
        return st;
    a.link = p;
    st = connect_link(&a);
    sodium_free(a.secret_key); /* wipes; NULL is fine */
    if (st != FM_OK) {
        fm_link_client_free(&a.link);
        return st;
    }
    *out = a.link;
    return FM_OK;
}
