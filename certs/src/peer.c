/* What one holds of others: a certificate that was verified, and its signatures. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "certs_internal.h"
#include "fedmoe/certs/past.h"
#include "trust_internal.h"

struct fm_peer {
    EVP_PKEY *key; /* public */
    X509 *cert;
    STACK_OF(X509) * path; /* intermediate CAs that came with it */
    fm_cert_info info;
};

/** To a peer every failure looks the same; our own log has the text. */
static fm_status as_auth(fm_status st)
{
    return st == FM_OK || st == FM_ENOMEM ? st : FM_EAUTH;
}

/** When it must be good: now, or (with past) then. */
typedef struct {
    int64_t s; /* or FM_PAST_ANY */
    bool past;
    int64_t *revoked_s; /* out, with past; NULL: not wanted */
} moment;

static fm_status check_chain(const fm_trust *t, X509 *x, STACK_OF(X509) * path,
                             const fm_cert_info *info, const moment *when)
{
    if (!when->past)
        return fm_trust_check_chain(t, x, path, info, when->s);
    return fm_trust_check_past(t, x, path, info, when->s, when->revoked_s);
}

static fm_status parse_path(const fm_ca_path *path, STACK_OF(X509) * *out)
{
    fm_status st = FM_OK;

    if (!path || path->count == 0)
        return FM_OK;
    if (path->count > FM_INTERMEDIATES_MAX)
        return fm_fail(FM_EAUTH, "%zu intermediate CAs; %d are allowed", path->count,
                       FM_INTERMEDIATES_MAX);
    if (!(*out = sk_X509_new_null()))
        return fm_ssl_fail(FM_ENOMEM, "no memory for intermediate CAs");
    for (size_t i = 0; st == FM_OK && i < path->count; i++) {
        X509 *x = NULL;

        if (path->len[i] > FM_INTERMEDIATE_MAX_BYTES)
            return fm_fail(FM_EAUTH,
                           "an intermediate CA's certificate of %zu bytes; %u are allowed",
                           path->len[i], FM_INTERMEDIATE_MAX_BYTES);
        if ((st = fm_cert_parse(path->der[i], path->len[i], &x)) != FM_OK)
            return fm_fail_context(st, "an intermediate CA: ");
        if (sk_X509_push(*out, x) <= 0) {
            X509_free(x);
            st = fm_ssl_fail(FM_ENOMEM, "no memory for intermediate CAs");
        }
    }
    return st;
}

/** The checks in the order in which their texts help most: form, chain, place, role. */
static fm_status check(const fm_trust *t, X509 *x, STACK_OF(X509) * path, fm_role role,
                       const moment *when, fm_cert_info *info)
{
    fm_cert_facts f;
    fm_status st;

    if ((st = fm_cert_facts_of(x, &f)) != FM_OK)
        return fm_fail_context(st, "a peer's certificate: ");
    if (f.is_ca)
        return fm_fail(FM_EAUTH, "a peer shows a CA's certificate, which is nobody's identity");
    if ((st = check_chain(t, x, path, &f.info, when)) != FM_OK)
        return fm_fail_context(
            st, "the certificate that names %s '%s': ", fm_role_name(f.info.role), f.info.name);
    if (strcmp(f.info.federation, fm_trust_federation(t)) != 0)
        return fm_fail(FM_EAUTH, "the certificate of '%s' is for federation '%s', not '%s'",
                       f.info.name, f.info.federation, fm_trust_federation(t));
    if (f.info.role != role)
        return fm_fail(FM_EAUTH,
                       "the certificate of '%s' is for the role %s, not %s; the coordinator must "
                       "issue one for that role",
                       f.info.name, fm_role_name(f.info.role), fm_role_name(role));
    *info = f.info;
    return FM_OK;
}

static fm_status verify(const fm_trust *t, const uint8_t *der, size_t len, const fm_ca_path *path,
                        fm_role role, const moment *when, fm_peer **out)
{
    fm_peer *p = NULL;
    X509 *x = NULL;
    fm_status st;

    if (!t || !out)
        return fm_fail(FM_EINVAL, "fm_peer_verify: NULL argument");
    if ((st = fm_cert_parse(der, len, &x)) != FM_OK) {
        st = fm_fail_context(st, "a peer's certificate: ");
        goto done;
    }
    if ((st = fm_alloc(1, sizeof *p, (void **)&p)) != FM_OK ||
        (st = parse_path(path, &p->path)) != FM_OK ||
        (st = check(t, x, p->path, role, when, &p->info)) != FM_OK)
        goto done;
    if (!(p->key = X509_get_pubkey(x))) {
        st = fm_ssl_fail(FM_EAUTH, "the certificate of '%s': no usable key", p->info.name);
        goto done;
    }
    p->cert = x;
    x = NULL;
    *out = p;
    p = NULL;
done:
    X509_free(x);
    fm_peer_free(&p);
    ERR_clear_error();
    return as_auth(st);
}

fm_status fm_peer_verify_path(const fm_trust *t, const uint8_t *der, size_t len,
                              const fm_ca_path *path, fm_role role, int64_t now_s, fm_peer **out)
{
    const moment now = { .s = now_s };

    return verify(t, der, len, path, role, &now, out);
}

fm_status fm_peer_verify(const fm_trust *t, const uint8_t *der, size_t len, fm_role role,
                         int64_t now_s, fm_peer **out)
{
    return fm_peer_verify_path(t, der, len, NULL, role, now_s, out);
}

fm_status fm_peer_verify_self(const fm_trust *t, const fm_identity *id, fm_role role, int64_t now_s,
                              fm_peer **out)
{
    const fm_ca_path path = fm_identity_path(id);
    const uint8_t *der;
    size_t len;

    fm_identity_der(id, &der, &len);
    return fm_peer_verify_path(t, der, len, &path, role, now_s, out);
}

fm_status fm_peer_verify_past(const fm_trust *t, const uint8_t *der, size_t len,
                              const fm_ca_path *path, fm_role role, int64_t at_s, fm_peer **out,
                              int64_t *revoked_s)
{
    const moment then = { .s = at_s, .past = true, .revoked_s = revoked_s };

    return verify(t, der, len, path, role, &then, out);
}

void fm_peer_free(fm_peer **p)
{
    if (!p || !*p)
        return;
    EVP_PKEY_free((*p)->key);
    X509_free((*p)->cert);
    sk_X509_pop_free((*p)->path, X509_free);
    free(*p);
    *p = NULL;
}

fm_status fm_peer_recheck(const fm_trust *t, const fm_peer *p, int64_t now_s)
{
    fm_status st;

    if (!t || !p)
        return fm_fail(FM_EINVAL, "fm_peer_recheck: NULL argument");
    if ((st = fm_trust_check_chain(t, p->cert, p->path, &p->info, now_s)) != FM_OK)
        st = fm_fail_context(st, "the certificate of '%s': ", p->info.name);
    return as_auth(st);
}

fm_status fm_peer_since(const fm_trust *t, const fm_peer *p, int64_t *out)
{
    return as_auth(fm_trust_valid_since(t, p->cert, p->path, &p->info, out));
}

const fm_cert_info *fm_peer_info(const fm_peer *p)
{
    return &p->info;
}

fm_status fm_peer_check_signature(const fm_peer *p, const char *label, const void *message,
                                  size_t len, const uint8_t *sig, size_t sig_len)
{
    EVP_MD_CTX *ctx = NULL;
    fm_buf input = { 0 };
    fm_status st;

    if (!p || !label || (!message && len > 0))
        return fm_fail(FM_EINVAL, "fm_peer_check_signature: NULL argument");
    if (!sig || sig_len == 0 || sig_len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EAUTH, "a signature of %zu bytes by '%s'; 1 to %u are allowed", sig_len,
                       p->info.name, FM_SIGNATURE_MAX);
    if ((st = fm_signed_bytes(label, message, len, &input)) != FM_OK)
        goto done;
    if (!(ctx = EVP_MD_CTX_new()) ||
        EVP_DigestVerifyInit(ctx, NULL, fm_key_digest(p->key), NULL, p->key) != 1)
        st = fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a signature");
    else if (EVP_DigestVerify(ctx, sig, sig_len, input.data, input.len) != 1)
        st = fm_ssl_fail(FM_EAUTH, "the signature by '%s' under '%s' is not valid", p->info.name,
                         label);
done:
    EVP_MD_CTX_free(ctx);
    fm_buf_fini(&input);
    return as_auth(st);
}
