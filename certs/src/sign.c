/* What the CA signs: certificates and revocation lists. RFC 5280, sections 4.2 and 5. */
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs_internal.h"
#include "fedmoe/base/clock.h"

static bool add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;

    X509_EXTENSION_free(e);
    return ok;
}

/** The URI's characters are [a-z0-9:-], so nothing in it has a meaning to OpenSSL's syntax. */
static bool add_extensions(X509 *x, X509 *issuer, const fm_cert_uri *uri)
{
    char san[FM_URI_MAX + 4], text[FM_URI_MAX];
    X509V3_CTX ctx;

    fm_cert_uri_format(uri, text);
    (void)snprintf(san, sizeof san, "URI:%s", text);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
    return add_extension(x, &ctx, NID_basic_constraints,
                         uri->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
           add_extension(x, &ctx, NID_key_usage,
                         uri->is_ca ? "critical,keyCertSign,cRLSign"
                                    : "critical,digitalSignature") &&
           add_extension(x, &ctx, NID_subject_key_identifier, "hash") &&
           add_extension(x, &ctx, NID_authority_key_identifier, "keyid:always") &&
           add_extension(x, &ctx, NID_subject_alt_name, san);
}

static bool add_name(X509_NAME *n, const char *field, const char *value)
{
    return X509_NAME_add_entry_by_txt(n, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1,
                                      0) == 1;
}

/** For people only; what counts is the URI. */
static bool set_subject(X509 *x, const fm_cert_uri *uri)
{
    X509_NAME *n = X509_get_subject_name(x);

    return n && add_name(n, "O", uri->federation) &&
           add_name(n, "OU", uri->is_ca ? "fedmoe CA" : fm_role_name(uri->role)) &&
           add_name(n, "CN", uri->is_ca ? uri->federation : uri->name);
}

static bool set_serial(X509 *x, const uint8_t serial[16])
{
    BIGNUM *n = BN_bin2bn(serial, 16, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));

    BN_free(n);
    return ok;
}

fm_status fm_cert_sign(const fm_cert_plan *plan, EVP_PKEY *subject_key, X509 *issuer,
                       EVP_PKEY *issuer_key, X509 **out)
{
    X509 *x = X509_new();
    fm_status st;

    if (!x)
        return fm_ssl_fail(FM_ENOMEM, "no memory for a certificate");
    if ((st = fm_ssl_set_time(X509_getm_notBefore(x), plan->not_before_s)) != FM_OK ||
        (st = fm_ssl_set_time(X509_getm_notAfter(x), plan->not_after_s)) != FM_OK)
        goto done;
    if (!X509_set_version(x, X509_VERSION_3) || !set_serial(x, plan->serial) ||
        !set_subject(x, &plan->uri) || !X509_set_pubkey(x, subject_key) ||
        !X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x)) ||
        !add_extensions(x, issuer, &plan->uri) ||
        !X509_sign(x, issuer_key, fm_key_digest(issuer_key))) {
        st = fm_ssl_fail(FM_EINTERNAL, "cannot sign the certificate");
        goto done;
    }
    *out = x;
    x = NULL;
done:
    X509_free(x);
    return st;
}

bool fm_crl_has(const X509_CRL *crl, X509 *x)
{
    X509_REVOKED *entry = NULL;

    /* OpenSSL sorts the list on the first search, but says const nowhere. */
    return X509_CRL_get0_by_cert((X509_CRL *)(uintptr_t)crl, &entry, x) == 1;
}

static bool add_revoked(X509_CRL *crl, X509 *x, int64_t now_s)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *t = ASN1_TIME_new();
    bool ok = r && t && ASN1_TIME_set(t, (time_t)now_s) &&
              X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(x)) == 1 &&
              X509_REVOKED_set_revocationDate(r, t) == 1 && X509_CRL_add0_revoked(crl, r) == 1;

    if (!ok)
        X509_REVOKED_free(r);
    ASN1_TIME_free(t);
    return ok;
}

uint64_t fm_crl_number(const X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t n = 0;

    if (!number || ASN1_INTEGER_get_uint64(&n, number) != 1)
        n = 0;
    ASN1_INTEGER_free(number);
    ERR_clear_error();
    return n;
}

/** One higher than before; 1 for the first. */
static bool set_crl_number(X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t n = 0;
    bool ok = number ? ASN1_INTEGER_get_uint64(&n, number) == 1 && n < UINT64_MAX
                     : (number = ASN1_INTEGER_new()) != NULL;

    ok = ok && ASN1_INTEGER_set_uint64(number, n + 1) == 1 &&
         X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_REPLACE) == 1;
    ASN1_INTEGER_free(number);
    return ok;
}

static bool set_crl_authority(X509_CRL *crl, X509 *ca)
{
    AUTHORITY_KEYID *id = X509_get_ext_d2i(ca, NID_authority_key_identifier, NULL, NULL);
    bool ok = id && X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, id, 0,
                                          X509V3_ADD_REPLACE) == 1;

    AUTHORITY_KEYID_free(id);
    return ok;
}

static bool set_crl_times(X509_CRL *crl, int64_t now_s)
{
    ASN1_TIME *t = ASN1_TIME_new();
    bool ok = t && ASN1_TIME_set(t, (time_t)(now_s - FM_CLOCK_SLACK_S)) &&
              X509_CRL_set1_lastUpdate(crl, t) == 1 &&
              ASN1_TIME_set(t, (time_t)(now_s + FM_CRL_VALID_S)) &&
              X509_CRL_set1_nextUpdate(crl, t) == 1;

    ASN1_TIME_free(t);
    return ok;
}

fm_status fm_crl_sign(X509 *ca, EVP_PKEY *key, const X509_CRL *old, STACK_OF(X509) * add,
                      X509_CRL **out)
{
    X509_CRL *crl = old ? X509_CRL_dup(old) : X509_CRL_new();
    int64_t now_s = fm_clock_wall_s();
    bool ok = crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
              set_crl_times(crl, now_s) && set_crl_number(crl) && set_crl_authority(crl, ca);

    for (int i = 0; ok && i < sk_X509_num(add); i++) {
        X509 *x = sk_X509_value(add, i);

        if (!fm_crl_has(crl, x))
            ok = add_revoked(crl, x, now_s);
    }
    ok = ok && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, key, fm_key_digest(key)) > 0;
    if (!ok) {
        X509_CRL_free(crl);
        return fm_ssl_fail(FM_EINTERNAL, "cannot sign the revocation list");
    }
    *out = crl;
    return FM_OK;
}
