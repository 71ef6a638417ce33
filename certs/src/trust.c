/* The pinned CA and its revocation list, and the chain check against them (RFC 5280, 6.1). */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/past.h"
#include "trust_internal.h"

struct fm_trust {
    X509_STORE *store; /* the CA and, when there is one, the list; nothing else */
    X509 *ca;
    X509_CRL *crl; /* NULL: none */
    fm_buf crl_der;
    uint64_t crl_number;
    fm_cert_info info; /* of the CA */
    int64_t crl_ends_s;
};

/** A CA that did not sign itself is a damaged file, or an intermediate one: fedmoe has none. */
fm_status fm_ca_cert_check(const char *where, X509 *ca, const fm_cert_facts *facts)
{
    if (!facts->is_ca)
        return fm_fail(FM_EAUTH, "%s: a member's certificate, not a CA's; copy the CA's", where);
    if (X509_verify(ca, X509_get0_pubkey(ca)) != 1)
        return fm_ssl_fail(FM_EAUTH,
                           "%s: not signed by its own key: altered, or not the consortium's "
                           "CA; copy it again and compare the fingerprint",
                           where);
    return FM_OK;
}

/** @param where  of the list, for the text. Ownership of `crl` moves to the trust. */
static fm_status add_crl(fm_trust *t, const char *where, X509_CRL *crl)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    unsigned char *der = NULL;
    int len;
    fm_status st;

    t->crl = crl;
    t->crl_number = fm_crl_number(crl);
    if (!next)
        return fm_fail(FM_EPARSE, "%s does not say when the next list is due; fetch the CA's own",
                       where);
    if ((st = fm_ssl_time(next, &t->crl_ends_s)) != FM_OK)
        return st;
    if ((len = i2d_X509_CRL(crl, &der)) <= 0)
        return fm_ssl_fail(FM_ENOMEM, "%s cannot be kept", where);
    fm_buf_init(&t->crl_der, FM_CRL_FILE_LIMIT);
    st = fm_buf_append(&t->crl_der, der, (size_t)len);
    OPENSSL_free(der);
    if (st == FM_OK && (X509_STORE_add_crl(t->store, crl) != 1 ||
                        X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK) != 1))
        st = fm_ssl_fail(FM_ENOMEM, "%s cannot be kept", where);
    return st;
}

static fm_status load_crl(fm_trust *t, const char *dir)
{
    X509_CRL *crl = NULL;
    char *path = NULL;
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "crl.pem", &there)) != FM_OK || !there)
        return st;
    if ((st = fm_path_join(dir, "crl.pem", &path)) == FM_OK &&
        (st = fm_crl_load(dir, "crl.pem", t->ca, &crl)) == FM_OK)
        st = add_crl(t, path, crl);
    free(path);
    return st;
}

fm_status fm_trust_new(X509 *ca, const fm_cert_info *info, fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st = fm_alloc(1, sizeof *t, (void **)&t);

    if (st != FM_OK)
        return st;
    t->info = *info;
    if (X509_up_ref(ca) == 1)
        t->ca = ca;
    if (!t->ca || !(t->store = X509_STORE_new()) || X509_STORE_add_cert(t->store, ca) != 1 ||
        X509_STORE_set_flags(t->store, X509_V_FLAG_X509_STRICT) != 1) {
        fm_trust_free(&t);
        return fm_ssl_fail(FM_ENOMEM, "the CA's certificate cannot be kept");
    }
    *out = t;
    return FM_OK;
}

fm_status fm_trust_load(const char *dir, fm_trust **out)
{
    fm_trust *t = NULL;
    X509 *ca = NULL;
    fm_cert_facts facts;
    char *path = NULL;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_trust_load: NULL argument");
    if ((st = fm_path_join(dir, "ca.crt", &path)) != FM_OK ||
        (st = fm_cert_load(path, &ca, &facts)) != FM_OK ||
        (st = fm_ca_cert_check(path, ca, &facts)) != FM_OK ||
        (st = fm_trust_new(ca, &facts.info, &t)) != FM_OK || (st = load_crl(t, dir)) != FM_OK)
        goto done;
    *out = t;
    t = NULL;
done:
    free(path);
    X509_free(ca);
    fm_trust_free(&t);
    return st;
}

void fm_trust_free(fm_trust **t)
{
    if (!t || !*t)
        return;
    X509_STORE_free((*t)->store);
    X509_free((*t)->ca);
    X509_CRL_free((*t)->crl);
    fm_buf_fini(&(*t)->crl_der);
    free(*t);
    *t = NULL;
}

void fm_trust_crl(const fm_trust *t, const uint8_t **der, size_t *len)
{
    *der = t->crl ? t->crl_der.data : NULL;
    *len = t->crl ? t->crl_der.len : 0;
}

uint64_t fm_trust_crl_number(const fm_trust *t)
{
    return t->crl_number;
}

/** Strictly one list, signed by the CA, with number and end. */
static fm_status read_crl(const fm_trust *t, const uint8_t *der, size_t len, X509_CRL **out)
{
    fm_status st;

    if (!der || len == 0 || len > FM_CRL_MAX_BYTES)
        return fm_fail(FM_EPROTO, "a revocation list of %zu bytes; 1 to %u are allowed", len,
                       FM_CRL_MAX_BYTES);
    if ((st = fm_crl_parse(der, len, out)) != FM_OK)
        return st;
    if (!fm_crl_is_signed_by(*out, t->ca))
        return fm_ssl_fail(FM_EAUTH, "a revocation list that is not signed by the pinned CA");
    if (fm_crl_number(*out) == 0 || !X509_CRL_get0_nextUpdate(*out))
        return fm_fail(FM_EPROTO, "a revocation list without a number or an end");
    return FM_OK;
}

fm_status fm_trust_revise(const fm_trust *t, const uint8_t *der, size_t len, fm_trust **out)
{
    fm_trust *fresh = NULL;
    X509_CRL *crl = NULL;
    uint64_t number;
    fm_status st;

    if (!t || !out)
        return fm_fail(FM_EINVAL, "fm_trust_revise: NULL argument");
    *out = NULL;
    if ((st = read_crl(t, der, len, &crl)) != FM_OK)
        goto done;
    number = fm_crl_number(crl);
    if (t->crl && number == t->crl_number && len == t->crl_der.len &&
        memcmp(der, t->crl_der.data, len) == 0)
        goto done;
    if (number <= t->crl_number) {
        st = fm_fail(FM_EREPLAY,
                     "revocation list %llu where list %llu is held: only a higher number counts",
                     (unsigned long long)number, (unsigned long long)t->crl_number);
        goto done;
    }
    if ((st = fm_trust_new(t->ca, &t->info, &fresh)) != FM_OK)
        goto done;
    st = add_crl(fresh, "the revocation list", crl);
    crl = NULL; /* the trust's */
    if (st != FM_OK)
        goto done;
    *out = fresh;
    fresh = NULL;
done:
    X509_CRL_free(crl);
    fm_trust_free(&fresh);
    return st;
}

fm_status fm_trust_save_crl(const fm_trust *t, const char *dir)
{
    fm_buf pem = { 0 };
    char *path = NULL;
    fm_status st;

    if (!t || !dir)
        return fm_fail(FM_EINVAL, "fm_trust_save_crl: NULL argument");
    if (!t->crl)
        return fm_fail(FM_ENOTFOUND, "%s: there is no revocation list to keep", dir);
    if ((st = fm_pem_crl(t->crl, &pem)) == FM_OK &&
        (st = fm_path_join(dir, "crl.pem", &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    return st;
}

fm_hash fm_trust_fingerprint(const fm_trust *t)
{
    return t->info.fingerprint;
}

const char *fm_trust_federation(const fm_trust *t)
{
    return t->info.federation;
}

/** The two dates that an answer may need: of the certificate and of the list. */
static fm_status chain_failed(const fm_trust *t, const fm_cert_info *info, int error, int depth)
{
    char from[32], to[32], list[32];

    ERR_clear_error();
    fm_clock_format(info->not_before_s, from, sizeof from);
    fm_clock_format(info->not_after_s, to, sizeof to);
    fm_clock_format(t->crl_ends_s, list, sizeof list);
    switch (error) {
    case X509_V_ERR_OUT_OF_MEM:
        return fm_fail(FM_ENOMEM, "no memory to check a certificate");
    case X509_V_ERR_CERT_HAS_EXPIRED:
        if (depth > 0)
            return fm_fail(FM_EAUTH, "the CA itself has expired; the consortium needs a new one");
        return fm_fail(FM_EAUTH, "expired on %s; the coordinator must issue a new one", to);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return fm_fail(FM_EAUTH, "not valid before %s; check the clocks of both machines", from);
    case X509_V_ERR_CERT_REVOKED:
        return fm_fail(FM_EAUTH, "revoked by the CA; the coordinator must issue a new one");
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return fm_fail(FM_EAUTH,
                       "cannot be checked: the revocation list crl.pem expired on %s; fetch the "
                       "CA's current one ('fedmoe-certs refresh' makes it)",
                       list);
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return fm_fail(FM_EAUTH, "cannot be checked: the revocation list crl.pem is from the "
                                 "future; check this machine's clock");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return fm_fail(FM_EAUTH,
                       "not issued by the pinned CA of federation '%s'; compare the CA "
                       "fingerprints of both sides ('fedmoe-certs show')",
                       t->info.federation);
    default:
        return fm_fail(FM_EAUTH, "refused: %s", X509_verify_cert_error_string(error));
    }
}

static bool set_up(X509_STORE_CTX *ctx, const fm_trust *t, X509 *x, int64_t now_s)
{
    X509_VERIFY_PARAM *param;

    if (!ctx || X509_STORE_CTX_init(ctx, t->store, x, NULL) != 1)
        return false;
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, 0);      /* no intermediate CAs */
    X509_VERIFY_PARAM_set_auth_level(param, 3); /* 128 bits, keys and digests */
    return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) == 1;
}

fm_status fm_trust_check_chain(const fm_trust *t, X509 *x, const fm_cert_info *info, int64_t now_s)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    fm_status st = FM_OK;

    if (!set_up(ctx, t, x, now_s))
        st = fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a certificate");
    else if (X509_verify_cert(ctx) != 1)
        st = chain_failed(t, info, X509_STORE_CTX_get_error(ctx),
                          X509_STORE_CTX_get_error_depth(ctx));
    X509_STORE_CTX_free(ctx);
    return st;
}

/** When one of the lists that this trust holds says that the CA revoked it; 0: none does. */
static fm_status revocation_of(const fm_trust *t, X509 *x, int64_t *out)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(t->store);

    *out = 0;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        X509_REVOKED *entry = NULL;

        if (crl && X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(x)) == 0 &&
            X509_CRL_get0_by_cert(crl, &entry, x) == 1)
            return fm_ssl_time(X509_REVOKED_get0_revocationDate(entry), out);
    }
    return FM_OK;
}

fm_status fm_trust_check_past(const fm_trust *t, X509 *x, const fm_cert_info *info, int64_t at_s,
                              int64_t *revoked_s)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int64_t revoked = 0;
    char when[32];
    fm_status st = FM_OK;

    if (!set_up(ctx, t, x, at_s == FM_PAST_ANY ? info->not_before_s : at_s) ||
        X509_VERIFY_PARAM_clear_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_CRL_CHECK) != 1)
        st = fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a certificate");
    else if (X509_verify_cert(ctx) != 1)
        st = chain_failed(t, info, X509_STORE_CTX_get_error(ctx),
                          X509_STORE_CTX_get_error_depth(ctx));
    X509_STORE_CTX_free(ctx);
    if (st != FM_OK || (st = revocation_of(t, x, &revoked)) != FM_OK)
        return st;
    if (revoked != 0 && at_s != FM_PAST_ANY && revoked <= at_s) {
        fm_clock_format(revoked, when, sizeof when);
        return fm_fail(FM_EAUTH, "revoked by the CA on %s, before this was signed", when);
    }
    if (revoked_s)
        *revoked_s = revoked;
    return FM_OK;
}
