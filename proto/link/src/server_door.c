/* What a stranger may say: Hello, Enrol, Renew. docs/protocol.md, "Door and session". */
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "fedmoe/proto/digest.h"
#include "fedmoe/proto/link/enrol.h"
#include "server_internal.h"

#define DROPPED_NOTED_MS 60000u
#define WELCOME_FRESH_S (24 * 3600)
#define LAST_WORDS_MS 500    /* a refusal gets this long to arrive */
#define STRANGER_MESSAGES 16 /* a node says the same again once a second, for some seconds */

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
    memcpy(statement.curve_public, s->door_public, FM_CURVE_KEY_BYTES);
    if ((st = fm_credential_make(s->identity, &statement, &w->credential)) != FM_OK)
        return st;
    s->welcome.type = FM_MSG_WELCOME;
    w->version = FM_PROTO_VERSION;
    s->welcome_signed_s = now;
    return FM_OK;
}

/* ---- ZAP ---- */

/* Any key is let in, and heard as a stranger; but not too many at once. */
fm_zap_verdict fm_server_judge(void *server)
{
    fm_link_server *s = server;

    return fm_bucket_take(&s->doors, fm_clock_now_ms()) ? FM_ZAP_ADMIT : FM_ZAP_LATER;
}

/* ---- Hello ---- */

/* False when it is gone already: it will come again if it wants in. */
static bool answer(fm_link_server *s, const fm_route *to, const fm_message *m)
{
    size_t bytes;

    if (fm_packet_send_message(s->socket, to, m, &bytes) != FM_OK)
        return false;
    s->counters.bytes_sent += bytes;
    s->counters.messages_sent++;
    return true;
}

static void refuse(fm_link_server *s, const fm_route *to, const char *reason)
{
    fm_message m = { .type = FM_MSG_REFUSAL };

    fm_reason_set(m.refusal.reason, reason);
    fm_log(FM_LOG_WARN, "refused at the door: %s", m.refusal.reason);
    (void)answer(s, to, &m);
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
                       const fm_statement *statement, fm_link_peer **out)
{
    fm_packed_credential *packed = NULL;
    fm_link_peer *p;
    fm_status st;

    /* A session is one connection, and a second with the same key is none. */
    if (fm_server_find_key(s, from->key))
        return fm_fail(FM_EAUTH, "this key has its session already");
    if ((p = fm_server_find_name(s, statement->name, false)) != NULL)
        fm_server_lose(s, p, FM_LINK_REPLACED); /* an older Hello that never came in */
    if (s->joined >= s->limits.max_peers && !fm_server_find_name(s, statement->name, true))
        return fm_fail(FM_EAUTH, "there are %u sessions, which is the limit", s->joined);
    if ((st = fm_credential_pack(&h->credential, &packed)) != FM_OK)
        return st;
    if ((st = fm_server_add(s, from->key, &p)) != FM_OK) {
        fm_credential_pack_free(&packed);
        return st;
    }
    p->state = FM_PEER_ADMITTED;
    p->route = from->route;
    p->fd = from->fd;
    p->credential = packed;
    p->statement = *statement;
    *out = p;
    return FM_OK;
}

/* Only who holds our certificate's key can say this, and only of this connection: whoever has
 * stolen the door's key has no use for a Welcome that was said to somebody else. */
static fm_status welcome(fm_link_server *s, const fm_packet *from, bool *said)
{
    const fm_cert_info *info = fm_identity_info(s->identity);
    const fm_hash digest = fm_welcome_digest(info->federation, from->key, s->door_public);
    const int64_t wall_s = fm_clock_wall_s();
    size_t len = 0;
    fm_status st;

    /* Signed before the clock was set back, it would reach too far into the future. */
    if ((wall_s < s->welcome_signed_s || wall_s - s->welcome_signed_s > WELCOME_FRESH_S) &&
        (st = fm_server_make_welcome(s)) != FM_OK)
        return st;
    if ((st = fm_identity_sign(s->identity, FM_LABEL_WELCOME, digest.bytes, FM_HASH_BYTES, s->proof,
                               &len)) != FM_OK)
        return st;
    s->welcome.welcome.proof = (fm_bytes){ s->proof, len };
    *said = answer(s, &from->route, &s->welcome);
    return FM_OK;
}

static fm_status take_hello(fm_link_server *s, const fm_packet *from, const fm_message *m)
{
    fm_link_peer *p = NULL;
    fm_statement statement;
    bool said = false;
    fm_status st;

    if ((st = verify(s, from, &m->hello, &statement)) != FM_OK ||
        (st = admit(s, from, &m->hello, &statement, &p)) != FM_OK)
        return st;
    if ((st = welcome(s, from, &said)) != FM_OK || !said)
        fm_server_bury(s, p);
    return st;
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
    (void)answer(s, &from->route, &m);
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
    (void)answer(s, &from->route, &m);
    return FM_OK;
}

/* ---- all ---- */

static fm_status take_message(fm_link_server *s, const fm_packet *from, const fm_message *m,
                              uint64_t now)
{
    if (m->type == FM_MSG_HELLO)
        return take_hello(s, from, m);
    if (m->type != FM_MSG_ENROL && m->type != FM_MSG_RENEW)
        return fm_fail(FM_EPROTO, "only Hello, Enrol and Renew are understood at the door, not %s",
                       fm_msg_name(m->type));
    return m->type == FM_MSG_ENROL ? take_enrol(s, from, &m->enrol, now)
                                   : take_renew(s, from, &m->renew, now);
}

static fm_status take_packet(fm_link_server *s, fm_connection *c, fm_packet *from, uint64_t now)
{
    fm_message *m = NULL;
    const uint8_t *data;
    size_t len;
    fm_status st;

    data = fm_packet_data(from, &len);
    if (!from->whole || len > FM_MAX_DOOR_BYTES)
        return fm_fail(FM_EPROTO, "not one frame of a door's length");
    if (++c->said > STRANGER_MESSAGES)
        return fm_fail(FM_EPROTO, "more than %d messages at the door", STRANGER_MESSAGES);
    /* Past the limit nothing is answered: a node says Hello again after a second. */
    if (!fm_bucket_take(&s->hellos, now))
        return FM_OK;
    if ((st = fm_message_decode(data, len, &m)) == FM_OK)
        st = take_message(s, from, m, now);
    fm_message_free(&m);
    return st;
}

void fm_server_hear_stranger(fm_link_server *s, fm_packet *from, uint64_t now)
{
    fm_connection *c = fm_server_find_connection(s, from->fd);

    /* Closed by now; or dismissed, or of a session that is over: whatever it still says. */
    if (!from->keyed || !c || c->member || c->dismissed)
        return;
    if (take_packet(s, c, from, now) == FM_OK)
        return;
    refuse(s, &from->route, fm_error_text());
    fm_server_dismiss(s, c, now + LAST_WORDS_MS);
}
