#include "fedmoe/proto/link/enrol.h"

#include <string.h>

#include <sodium.h>

#include "client_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"

#define SEED_LABEL "fedmoe invitation seed v1"
#define PROOF_LABEL "fedmoe enrol v1"

_Static_assert(FM_INVITATION_KEY_BYTES == crypto_sign_PUBLICKEYBYTES &&
                   FM_INVITATION_PROOF_BYTES == crypto_sign_BYTES &&
                   FM_HASH_BYTES == crypto_sign_SEEDBYTES &&
                   FM_DOOR_KEY_BYTES == FM_CURVE_KEY_BYTES,
               "invitations are Ed25519");

/* ---- the proof ---- */

/** @param secret  [crypto_sign_SECRETKEYBYTES] guarded memory. */
static fm_status keypair(const uint8_t *token, uint8_t *public_key, uint8_t *secret)
{
    fm_hash seed = fm_hash_of(SEED_LABEL, token, FM_TOKEN_BYTES);
    int failed = crypto_sign_seed_keypair(public_key, secret, seed.bytes);

    sodium_memzero(&seed, sizeof seed);
    return failed ? fm_fail(FM_EINTERNAL, "no key of the join code") : FM_OK;
}

static fm_hash proof_digest(const fm_msg_enrol *m, const fm_enrol_channel *channel)
{
    fm_hasher h;

    fm_hasher_begin(&h, PROOF_LABEL);
    fm_hasher_add(&h, channel->client_public, FM_CURVE_KEY_BYTES);
    fm_hasher_add(&h, channel->door_public, FM_CURVE_KEY_BYTES);
    fm_hasher_add(&h, m->invitation, sizeof m->invitation);
    fm_hasher_add_part(&h, m->request.data, m->request.len);
    return fm_hasher_end(&h);
}

fm_status fm_enrol_public(const uint8_t token[FM_TOKEN_BYTES],
                          uint8_t invitation[FM_INVITATION_KEY_BYTES])
{
    uint8_t *secret;
    fm_status st;

    if (!token || !invitation)
        return fm_fail(FM_EINVAL, "fm_enrol_public: NULL argument");
    if (!(secret = sodium_malloc(crypto_sign_SECRETKEYBYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for the key of a join code");
    st = keypair(token, invitation, secret);
    sodium_free(secret); /* wipes */
    return st;
}

fm_status fm_enrol_prove(const uint8_t token[FM_TOKEN_BYTES], const fm_enrol_channel *channel,
                         fm_bytes request, fm_msg_enrol *out)
{
    fm_msg_enrol m = { .version = FM_PROTO_VERSION, .request = request };
    uint8_t *secret;
    fm_hash digest;
    fm_status st;

    if (!token || !channel || !request.data || !out)
        return fm_fail(FM_EINVAL, "fm_enrol_prove: NULL argument");
    if (!(secret = sodium_malloc(crypto_sign_SECRETKEYBYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for the key of a join code");
    if ((st = keypair(token, m.invitation, secret)) == FM_OK) {
        digest = proof_digest(&m, channel);
        if (crypto_sign_detached(m.proof, NULL, digest.bytes, FM_HASH_BYTES, secret) != 0)
            st = fm_fail(FM_EINTERNAL, "the join code cannot sign");
    }
    sodium_free(secret);
    if (st == FM_OK)
        *out = m;
    return st;
}

fm_status fm_enrol_check(const fm_msg_enrol *m, const fm_enrol_channel *channel)
{
    fm_hash digest;

    if (!m || !channel)
        return fm_fail(FM_EINVAL, "fm_enrol_check: NULL argument");
    digest = proof_digest(m, channel);
    if (crypto_sign_verify_detached(m->proof, digest.bytes, FM_HASH_BYTES, m->invitation) != 0)
        return fm_fail(FM_EAUTH, "the proof is not by the holder of the join code, or not for this "
                                 "connection and request");
    return FM_OK;
}

/* ---- asking ---- */

typedef struct {
    const fm_link_enrol_config *config;
    uint8_t public_key[FM_CURVE_KEY_BYTES];
    uint8_t *secret_key; /* sodium_malloc */
    void *context;
} enrolment;

static fm_status ask(enrolment *e, fm_message **answer)
{
    const fm_invitation *i = e->config->invitation;
    const fm_enrol_channel channel = { e->public_key, i->door_public };
    fm_message m = { .type = FM_MSG_ENROL };
    fm_link_counters counters = { 0 };
    fm_door_visit v = {
        .context = e->context,
        .endpoint = i->door,
        .server_key = i->door_public,
        .public_key = e->public_key,
        .secret_key = e->secret_key,
        .limits = fm_link_limits_or_default(e->config->limits),
        .say = &m,
        .counters = &counters,
    };
    fm_status st = fm_enrol_prove(i->token, &channel, e->config->request, &m.enrol);

    if (st != FM_OK)
        return st;
    v.deadline_ms = fm_clock_now_ms() + v.limits.connect_ms;
    st = fm_client_visit_door(&v, answer);
    fm_client_leave_door(&v);
    return st;
}

static fm_status prepare(enrolment *e)
{
    fm_status st;

    if (!(e->secret_key = sodium_malloc(FM_CURVE_KEY_BYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for a key");
    if ((st = fm_curve_keypair(e->public_key, e->secret_key)) != FM_OK)
        return st;
    return fm_socket_context(&e->context);
}

fm_status fm_link_enrol(const fm_link_enrol_config *c, fm_message **answer)
{
    enrolment e = { .config = c };
    fm_message *m = NULL;
    fm_status st;

    if (!c || !c->invitation || !c->request.data || !answer)
        return fm_fail(FM_EINVAL, "fm_link_enrol: NULL argument");
    if ((st = fm_random_init()) != FM_OK)
        return st;
    if ((st = prepare(&e)) == FM_OK)
        st = ask(&e, &m);
    fm_socket_context_free(&e.context);
    sodium_free(e.secret_key); /* wipes; NULL is fine */
    if (st == FM_OK && m->type == FM_MSG_REFUSAL)
        st = fm_fail(FM_EPERM, "the aggregator refuses: %s", m->refusal.reason);
    else if (st == FM_OK && m->type != FM_MSG_ENROLLED)
        st = fm_fail(FM_EAUTH, "the aggregator answered Enrol with %s", fm_msg_name(m->type));
    if (st == FM_OK) {
        *answer = m;
        m = NULL;
    }
    fm_message_free(&m);
    return st;
}
