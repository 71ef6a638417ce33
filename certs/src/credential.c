/* A statement as it travels: certificate, statement, signature. */
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/certs/statement.h"

#define CLOCK_DIFFERENCE_S 3600

static bool names_match(const fm_statement *s, const fm_cert_info *info)
{
    return s->role == info->role && strcmp(s->name, info->name) == 0 &&
           strcmp(s->federation, info->federation) == 0;
}

fm_ca_path fm_credential_path(const fm_credential *c)
{
    fm_ca_path path = { .count = c->intermediate_count };

    for (size_t i = 0; i < path.count && i < FM_INTERMEDIATES_MAX; i++) {
        path.der[i] = c->intermediates[i];
        path.len[i] = c->intermediate_len[i];
    }
    return path;
}

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

bool fm_credential_equal(const fm_credential *a, const fm_credential *b)
{
    bool equal = same(a->cert, a->cert_len, b->cert, b->cert_len) &&
                 same(a->statement, a->statement_len, b->statement, b->statement_len) &&
                 same(a->signature, a->signature_len, b->signature, b->signature_len) &&
                 a->intermediate_count == b->intermediate_count;

    for (size_t i = 0; equal && i < a->intermediate_count; i++)
        equal = same(a->intermediates[i], a->intermediate_len[i], b->intermediates[i],
                     b->intermediate_len[i]);
    return equal;
}

/** Their lengths are fm_identity_load's affair. */
static void put_path(const fm_identity *id, fm_credential *c)
{
    const fm_ca_path path = fm_identity_path(id);

    for (size_t i = 0; i < path.count; i++)
        memcpy(c->intermediates[i], path.der[i], c->intermediate_len[i] = path.len[i]);
    c->intermediate_count = path.count;
}

fm_status fm_credential_make(const fm_identity *id, const fm_statement *s, fm_credential *out)
{
    fm_credential c;
    const uint8_t *der;
    fm_status st;

    if (!id || !s || !out)
        return fm_fail(FM_EINVAL, "fm_credential_make: NULL argument");
    memset(&c, 0, sizeof c);
    if ((st = fm_statement_encode(s, c.statement, sizeof c.statement, &c.statement_len)) != FM_OK)
        return st;
    if (!names_match(s, fm_identity_info(id)))
        return fm_fail(FM_EINVAL, "a statement for %s '%s' of '%s' cannot be made by %s '%s'",
                       fm_role_name(s->role), s->name, s->federation,
                       fm_role_name(fm_identity_info(id)->role), fm_identity_info(id)->name);
    fm_identity_der(id, &der, &c.cert_len);
    if (c.cert_len > sizeof c.cert)
        return fm_fail(FM_EINVAL, "a certificate of %zu bytes; %u are allowed", c.cert_len,
                       FM_CERT_MAX_BYTES);
    memcpy(c.cert, der, c.cert_len);
    put_path(id, &c);
    if ((st = fm_identity_sign(id, FM_LABEL_STATEMENT, c.statement, c.statement_len, c.signature,
                               &c.signature_len)) != FM_OK)
        return st;
    *out = c;
    return FM_OK;
}

/** The signature before the content: nothing unsigned is ever parsed. */
fm_status fm_credential_statement(const fm_peer *p, const fm_credential *c, fm_statement *out)
{
    const fm_cert_info *info = fm_peer_info(p);
    fm_statement s;
    fm_status st;

    if ((st = fm_peer_check_signature(p, FM_LABEL_STATEMENT, c->statement, c->statement_len,
                                      c->signature, c->signature_len)) != FM_OK)
        return st;
    if ((st = fm_statement_decode(c->statement, c->statement_len, &s)) != FM_OK)
        return fm_fail_context(st == FM_ENOMEM ? st : FM_EAUTH, "from '%s': ", info->name);
    if (!names_match(&s, info))
        return fm_fail(FM_EAUTH, "'%s' signed a statement for %s '%s' of '%s'", info->name,
                       fm_role_name(s.role), s.name, s.federation);
    *out = s;
    return FM_OK;
}

static fm_status check(const fm_peer *p, const fm_credential *c, int64_t now_s, fm_statement *out)
{
    const fm_cert_info *info = fm_peer_info(p);
    fm_statement s;
    fm_status st = fm_credential_statement(p, c, &s);

    if (st != FM_OK)
        return st;
    if (s.not_after_s <= now_s)
        return fm_fail(FM_EAUTH,
                       "the statement of '%s' has expired; restart that program, and check the "
                       "clocks of both machines",
                       info->name);
    if (s.not_after_s - now_s > FM_STATEMENT_VALID_S + CLOCK_DIFFERENCE_S)
        return fm_fail(FM_EAUTH,
                       "the statement of '%s' would be valid for more than %d days; check the "
                       "clocks of both machines",
                       info->name, FM_STATEMENT_VALID_S / (24 * 3600));
    *out = s;
    return FM_OK;
}

fm_status fm_credential_check_lengths(const fm_credential *c)
{
    bool ok = c->cert_len <= sizeof c->cert && c->statement_len <= sizeof c->statement &&
              c->signature_len <= sizeof c->signature &&
              c->intermediate_count <= FM_INTERMEDIATES_MAX;

    for (size_t i = 0; ok && i < c->intermediate_count; i++)
        ok = c->intermediate_len[i] >= 1 && c->intermediate_len[i] <= FM_INTERMEDIATE_MAX_BYTES;
    return ok ? FM_OK : fm_fail(FM_EAUTH, "a credential with lengths past their limits");
}

fm_status fm_credential_peer(const fm_trust *t, const fm_credential *c, fm_role role, int64_t now_s,
                             fm_peer **out)
{
    fm_ca_path path;
    fm_status st;

    if (!t || !c || !out)
        return fm_fail(FM_EINVAL, "fm_credential_peer: NULL argument");
    if ((st = fm_credential_check_lengths(c)) != FM_OK)
        return st;
    path = fm_credential_path(c);
    return fm_peer_verify_path(t, c->cert, c->cert_len, &path, role, now_s, out);
}

fm_status fm_credential_verify(const fm_trust *t, const fm_credential *c, fm_role role,
                               int64_t now_s, fm_statement *statement, fm_peer **peer)
{
    fm_peer *p = NULL;
    fm_status st;

    if (!t || !c || !statement || now_s < 0)
        return fm_fail(FM_EINVAL, "fm_credential_verify: NULL argument, or a time before 1970");
    if ((st = fm_credential_peer(t, c, role, now_s, &p)) == FM_OK)
        st = check(p, c, now_s, statement);
    if (st == FM_OK && peer) {
        *peer = p;
        p = NULL;
    }
    fm_peer_free(&p);
    return st;
}
