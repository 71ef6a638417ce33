/* Hello and Welcome; who may enter the session socket. docs/protocol.md, "Door". */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "fedmoe/proto/link/enrol.h"
#include "server_internal.h"

#define HELLOS_PER_TURN 4
#define DROPPED_NOTED_MS 60000u
#define WELCOME_FRESH_S (24 * 3600)
/* So many connections at the door are not nodes: they leave as soon as they have their Welcome.
 * ZeroMQ cannot close one connection, but it can close a socket: the door is shut and opened. */
#define DOOR_MAX_OPEN 256
#define DOOR_MIN_OPEN_MS 2000

fm_status fm_server_open_door(fm_link_server *s)
{
    fm_socket_options o = {
        .type = ZMQ_ROUTER,
        .message_bytes = FM_MAX_DOOR_BYTES,
        .send_queue = FM_DOOR_QUEUE,
        .receive_queue = FM_DOOR_QUEUE,
        .secret_key = s->door_secret,
        .domain = FM_ZAP_DOMAIN_DOOR,
        .endpoint = s->door_endpoint,
        .handshake_ms = (int)s->limits.connect_ms,
    };
    char bound[FM_ENDPOINT_MAX];
    fm_status st;

    if ((st = fm_socket_new(s->context, &o, &s->door)) != FM_OK ||
        (st = fm_monitor_new(s->context, s->door, "door", &s->door_monitor)) != FM_OK ||
        (st = fm_socket_bind(s->door, s->door_endpoint, bound, sizeof bound)) != FM_OK) {
        fm_monitor_free(s->door, &s->door_monitor);
        fm_socket_free(&s->door, 0);
        return st;
    }
    memcpy(s->door_endpoint, bound, sizeof bound); /* the port, if ZeroMQ chose it */
    s->door_open = 0;
    s->door_opened_ms = fm_clock_now_ms();
    return FM_OK;
}

static uint16_t port_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

fm_status fm_server_make_welcome(fm_link_server *s)
{
    const fm_cert_info *info = fm_identity_info(s->identity);
    int64_t now = fm_clock_wall_s();
    fm_statement statement = { .role = FM_ROLE_AGGREGATOR,
                               .not_after_s = now + FM_STATEMENT_VALID_S };
    fm_msg_welcome *w = &s->welcome.welcome;
    fm_status st;

    memcpy(statement.federation, info->federation, sizeof statement.federation);
    memcpy(statement.name, info->name, sizeof statement.name);
    memcpy(statement.curve_public, s->session_public, FM_CURVE_KEY_BYTES);
    if ((st = fm_credential_make(s->identity, &statement, &w->credential)) != FM_OK)
        return st;
    s->welcome.type = FM_MSG_WELCOME;
    w->version = FM_PROTO_VERSION;
    w->session_port = port_of(s->session_endpoint);
    s->welcome_signed_s = now;
    return FM_OK;
}

/* ---- ZAP ---- */

fm_zap_verdict fm_server_judge(void *server, const char *domain,
                               const uint8_t key[FM_CURVE_KEY_BYTES])
{
    fm_link_server *s = server;
    fm_link_peer *p;

    if (strcmp(domain, FM_ZAP_DOMAIN_DOOR) == 0)
        return fm_bucket_take(&s->doors, fm_clock_now_ms()) ? FM_ZAP_ADMIT : FM_ZAP_LATER;
    /* Once per Hello: a session is one connection, and a second with the same key is none. */
    if (!(p = fm_server_find_key(s, key)) || p->state != FM_PEER_ADMITTED)
        return FM_ZAP_REFUSE;
    p->state = FM_PEER_ENTERED;
    return FM_ZAP_ADMIT;
}

/* ---- Hello ---- */

static void answer(fm_link_server *s, const fm_route *to, const fm_message *m)
{
    size_t bytes;

    if (fm_packet_send_message(s->door, to, m, &bytes) != FM_OK)
        return; /* gone already: it will come again if it wants in */
    s->counters.bytes_sent += bytes;
    s->counters.messages_sent++;
}

static void refuse(fm_link_server *s, const fm_route *to, const char *reason)
{
    fm_message m = { .type = FM_MSG_REFUSAL };

    fm_reason_set(m.refusal.reason, reason);
    fm_log(FM_LOG_WARN, "refused at the door: %s", m.refusal.reason);
    answer(s, to, &m);
}

/* FM_EAUTH or FM_ENOMEM with the reason that the peer is told. */
static fm_status verify(const fm_link_server *s, const fm_packet *from, const fm_msg_hello *h,
                        fm_statement *statement)
{
    fm_status st;

    if (h->version != FM_PROTO_VERSION)
        return fm_fail(FM_EAUTH, "it speaks version %u of the protocol, this aggregator %u",
                       h->version, FM_PROTO_VERSION);
    if ((st = fm_credential_verify(s->trust, &h->credential, FM_ROLE_NODE, fm_clock_wall_s(),
                                   statement, NULL)) != FM_OK)
        return st;
    /* CURVE proved that the peer holds this connection's key; only then is the statement its own.
     */
    if (sodium_memcmp(statement->curve_public, from->key, FM_CURVE_KEY_BYTES) != 0)
        return fm_fail(FM_EAUTH, "the statement of '%s' is for another CURVE key", statement->name);
    return FM_OK;
}

static fm_status admit(fm_link_server *s, const fm_packet *from, const fm_msg_hello *h,
                       const fm_statement *statement, uint64_t now)
{
    fm_link_peer *p = fm_server_find_key(s, from->key);
    fm_status st;

    if (p && p->state != FM_PEER_ADMITTED)
        return fm_fail(FM_EAUTH, "this key has its session already");
    if (!p && (p = fm_server_find_name(s, statement->name, false)) != NULL) {
        fm_server_bury(s, p); /* an older Hello that never came in */
        p = NULL;
    }
    if (!p) {
        if (s->joined >= s->limits.max_peers && !fm_server_find_name(s, statement->name, true))
            return fm_fail(FM_EAUTH, "there are %u sessions, which is the limit", s->joined);
        if ((st = fm_server_add(s, from->key, &p)) != FM_OK)
            return st;
    }
    p->state = FM_PEER_ADMITTED;
    p->admitted_ms = now;
    p->credential = h->credential;
    p->statement = *statement;
    return FM_OK;
}

static fm_status take_hello(fm_link_server *s, const fm_packet *from, const fm_message *m,
                            uint64_t now)
{
    const int64_t wall_s = fm_clock_wall_s();
    fm_statement statement;
    fm_status st;

    if ((st = verify(s, from, &m->hello, &statement)) != FM_OK ||
        (st = admit(s, from, &m->hello, &statement, now)) != FM_OK)
        return st;
    /* Signed before the clock was set back, it would reach too far into the future. */
    if ((wall_s < s->welcome_signed_s || wall_s - s->welcome_signed_s > WELCOME_FRESH_S) &&
        (st = fm_server_make_welcome(s)) != FM_OK)
        return st;
    answer(s, &from->route, &s->welcome);
    return FM_OK;
}

/* ---- Enrol ---- */

/* Past its limit a request is not answered: a node asks again after a second. */
static bool may_ask(fm_link_server *s, fm_bucket *b, uint64_t now)
{
    if (fm_bucket_take(b, now))
        return true;
    if (s->dropped_noted_ms == 0 || now - s->dropped_noted_ms >= DROPPED_NOTED_MS) {
        s->dropped_noted_ms = now ? now : 1;
        fm_log(FM_LOG_WARN, "requests for certificates come faster than they are looked at: some "
                            "are not answered");
    }
    return false;
}

/* What is no invitation costs nothing and takes nothing of the limit: anybody can make those up. */
static fm_status take_enrol(fm_link_server *s, const fm_packet *from, const fm_msg_enrol *e,
                            uint64_t now)
{
    const fm_enrol_channel channel = { from->key, s->door_public };
    fm_message m = { .type = FM_MSG_ENROLLED };
    fm_status st;

    if (e->version != FM_PROTO_VERSION)
        return fm_fail(FM_EPROTO, "it speaks version %u of the protocol, this aggregator %u",
                       e->version, FM_PROTO_VERSION);
    if (!s->issuer.enrol)
        return fm_fail(FM_EPERM, "this aggregator issues no certificates");
    if (s->issuer.known && !s->issuer.known(s->issuer.ctx, e->invitation))
        return fm_fail(FM_EPERM, "this join code is not known here; ask the coordinator for one");
    if (!may_ask(s, &s->enrols, now))
        return FM_OK;
    if ((st = fm_enrol_check(e, &channel)) != FM_OK ||
        (st = s->issuer.enrol(s->issuer.ctx, e, &m.enrolled)) != FM_OK)
        return st;
    answer(s, &from->route, &m);
    return FM_OK;
}

/* As a Hello, by the same checks; but it asks for the next certificate, not for a session. */
static fm_status take_renew(fm_link_server *s, const fm_packet *from, const fm_msg_renew *r,
                            uint64_t now)
{
    const fm_msg_hello as_hello = { r->version, r->credential };
    fm_message m = { .type = FM_MSG_ENROLLED };
    fm_statement statement;
    fm_status st;

    if (!s->issuer.renew)
        return fm_fail(FM_EPERM, "this aggregator issues no certificates");
    if ((st = verify(s, from, &as_hello, &statement)) != FM_OK)
        return st;
    if (!may_ask(s, &s->renews, now))
        return FM_OK;
    if ((st = s->issuer.renew(s->issuer.ctx, statement.name, r->request, &m.enrolled)) != FM_OK)
        return st;
    answer(s, &from->route, &m);
    return FM_OK;
}

/* ---- all ---- */

static fm_status take_message(fm_link_server *s, const fm_packet *from, const fm_message *m,
                              uint64_t now)
{
    if (m->type == FM_MSG_HELLO)
        return take_hello(s, from, m, now);
    if (m->type != FM_MSG_ENROL && m->type != FM_MSG_RENEW)
        return fm_fail(FM_EPROTO, "only Hello, Enrol and Renew are understood at the door, not %s",
                       fm_msg_name(m->type));
    return m->type == FM_MSG_ENROL ? take_enrol(s, from, &m->enrol, now)
                                   : take_renew(s, from, &m->renew, now);
}

static void take_packet(fm_link_server *s, fm_packet *from, uint64_t now)
{
    fm_message *m = NULL;
    const uint8_t *data;
    size_t len;

    data = fm_packet_data(from, &len);
    s->counters.bytes_received += len;
    s->counters.messages_received++;
    /* Past the limit nothing is answered: a node says Hello again after a second. */
    if (!from->keyed || !fm_bucket_take(&s->hellos, now))
        return;
    if (!from->whole || len > FM_MAX_DOOR_BYTES)
        refuse(s, &from->route, "not one frame of a door's length");
    else if (fm_message_decode(data, len, &m) != FM_OK || take_message(s, from, m, now) != FM_OK)
        refuse(s, &from->route, fm_error_text());
    fm_message_free(&m);
}

fm_status fm_server_serve_door(fm_link_server *s, uint64_t now)
{
    for (int i = 0; s->door && i < HELLOS_PER_TURN; i++) {
        fm_packet p;
        fm_status st = fm_packet_receive(s->door, true, &p);

        if (st == FM_ETIMEOUT)
            break;
        if (st != FM_OK)
            return st;
        take_packet(s, &p, now);
        fm_packet_close(&p);
    }
    return FM_OK;
}

/* ---- the door itself ---- */

void fm_server_watch_door(fm_link_server *s, uint64_t now)
{
    fm_monitor_event e;

    while (s->door && (e = fm_monitor_next(s->door_monitor)).kind != FM_MONITOR_NOTHING) {
        s->door_open += e.kind == FM_MONITOR_ACCEPTED;
        s->door_open -= e.kind == FM_MONITOR_DISCONNECTED;
    }
    if (s->door && s->door_open > DOOR_MAX_OPEN && now - s->door_opened_ms >= DOOR_MIN_OPEN_MS) {
        fm_log(FM_LOG_WARN, "%lld connections wait at the door without leaving: closing them all",
               (long long)s->door_open);
        fm_monitor_free(s->door, &s->door_monitor);
        fm_socket_free(&s->door, 0);
    }
    /* The port is free again once ZeroMQ's own thread has closed it: a later turn tries again. */
    if (!s->door)
        (void)!fm_server_open_door(s);
}
