/* The folder's parties: statements, credentials, signatures; what a statement must not be. */
#include <string.h>

#include "vec.h"

static json_t *party_json(vec_party p)
{
    const fm_cert_info *info = fm_identity_info(vec_identity(p));
    const uint8_t *der;
    size_t len;

    fm_identity_der(vec_identity(p), &der, &len);
    return json_pack("{s:s,s:s,s:s,s:o,s:o}", "name", info->name, "federation", info->federation,
                     "role", fm_role_name(info->role), "certificate", vec_hex(der, len),
                     "fingerprint", vec_hash(&info->fingerprint));
}

/* Ed25519 alone: ECDSA draws a number, and its signatures are in certificates.json. */
static void put_signatures(json_t *list)
{
    static const char *const labels[] = { "fedmoe statement v1", "fedmoe round start v1",
                                          "fedmoe update v1",    "fedmoe commit v1",
                                          "fedmoe finish v1",    "fedmoe ledger mark v1",
                                          "fedmoe entry v1",     "fedmoe bundle seal v1" };
    const fm_hash digest = vec_count(1);

    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        const fm_bytes s = vec_sign(VEC_ALPHA, labels[i], &digest);

        json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:o}", "by", "alpha", "label",
                                              labels[i], "digest", vec_hash(&digest), "signature",
                                              vec_hex(s.data, s.len)));
    }
}

static json_t *statement_json(const fm_statement *s)
{
    return json_pack("{s:i,s:I,s:o,s:o,s:s,s:s}", "role", (int)s->role, "not_after",
                     (json_int_t)s->not_after_s, "curve",
                     vec_hex(s->curve_public, FM_SESSION_KEY_BYTES), "x25519",
                     vec_hex(s->x25519_public, FM_SESSION_KEY_BYTES), "federation", s->federation,
                     "name", s->name);
}

static void put_session(json_t *list, vec_party p, const uint8_t *x25519)
{
    const fm_credential c = vec_session(p, x25519);
    fm_statement s;

    vec_need(fm_statement_decode(c.statement, c.statement_len, &s) == FM_OK, "statement");
    vec_need(fm_credential_verify(vec_trust(), &c, s.role, VEC_NOW_S, &s, NULL) == FM_OK, s.name);
    json_array_append_new(list, json_pack("{s:o,s:o}", "statement", statement_json(&s),
                                          "credential", vec_credential(&c)));
}

/* One thing wrong in each, and signed all the same. */
typedef struct {
    const char *why;
    size_t at;
    uint8_t byte;
    int64_t now_s;
    int grow;
} flaw;

static const flaw flaws[] = {
    { "as it must be", 0, 1, VEC_NOW_S, 0 },
    { "its last second", 0, 1, VEC_NOW_S + FM_STATEMENT_VALID_S - 1, 0 },
    { "over", 0, 1, VEC_NOW_S + FM_STATEMENT_VALID_S, 0 },
    { "an hour before it was made", 0, 1, VEC_NOW_S - 3600, 0 },
    { "more than an hour before it was made", 0, 1, VEC_NOW_S - 3601, 0 },
    { "version 2", 0, 2, VEC_NOW_S, 0 },
    { "the other role", 1, 2, VEC_NOW_S, 0 },
    { "role 3", 1, 3, VEC_NOW_S, 0 },
    { "another name", 87, 'x', VEC_NOW_S, 0 },
    { "another federation", 75, 'x', VEC_NOW_S, 0 },
    { "a name that is too long for it", 85, 6, VEC_NOW_S, 0 },
    { "a byte behind it", 0, 1, VEC_NOW_S, 1 },
    { "a byte less", 0, 1, VEC_NOW_S, -1 },
};

static void put_flaws(json_t *list)
{
    const fm_hash key = vec_count(96);

    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        const flaw *f = &flaws[i];
        fm_credential c = vec_session(VEC_ALPHA, key.bytes);
        fm_statement s;
        fm_status st;

        c.statement[f->at] = f->byte;
        c.statement_len += (size_t)(ptrdiff_t)f->grow;
        vec_need(fm_identity_sign(vec_identity(VEC_ALPHA), "fedmoe statement v1", c.statement,
                                  c.statement_len, c.signature, &c.signature_len) == FM_OK,
                 "signature");
        st = fm_credential_verify(vec_trust(), &c, FM_ROLE_NODE, f->now_s, &s, NULL);
        vec_need(st == FM_OK || st == FM_EAUTH, f->why);
        json_array_append_new(list, json_pack("{s:s,s:o,s:I,s:b}", "why", f->why, "credential",
                                              vec_credential(&c), "time", (json_int_t)f->now_s,
                                              "accept", st == FM_OK));
    }
}

static void put_keyless(json_t *list)
{
    static const struct {
        const char *why;
        size_t at;
    } keys[] = { { "no CURVE key", 10 }, { "a node without an X25519 key", 42 } };
    const fm_hash key = vec_count(96);

    for (size_t i = 0; i < 2; i++) {
        fm_credential c = vec_session(VEC_ALPHA, key.bytes);
        fm_statement s;

        memset(c.statement + keys[i].at, 0, FM_SESSION_KEY_BYTES);
        vec_need(fm_identity_sign(vec_identity(VEC_ALPHA), "fedmoe statement v1", c.statement,
                                  c.statement_len, c.signature, &c.signature_len) == FM_OK,
                 "signature");
        vec_need(fm_credential_verify(vec_trust(), &c, FM_ROLE_NODE, VEC_NOW_S, &s, NULL) ==
                     FM_EAUTH,
                 keys[i].why);
        json_array_append_new(list, json_pack("{s:s,s:o,s:I,s:b}", "why", keys[i].why, "credential",
                                              vec_credential(&c), "time", (json_int_t)VEC_NOW_S,
                                              "accept", 0));
    }
}

json_t *vec_identities(void)
{
    json_t *parties = json_array(), *signatures = json_array(), *sessions = json_array();
    json_t *judged = json_array();
    const fm_hash key = vec_count(96);
    const fm_hash ca = fm_trust_fingerprint(vec_trust());

    for (int p = 0; p < VEC_PARTIES; p++)
        json_array_append_new(parties, party_json((vec_party)p));
    put_signatures(signatures);
    put_session(sessions, VEC_ALPHA, key.bytes);
    put_session(sessions, VEC_HUB, NULL);
    put_flaws(judged);
    put_keyless(judged);
    return json_pack("{s:o,s:I,s:o,s:o,s:o,s:o}", "ca_fingerprint", vec_hash(&ca), "time",
                     (json_int_t)VEC_NOW_S, "parties", parties, "signatures", signatures,
                     "sessions", sessions, "credentials", judged);
}
