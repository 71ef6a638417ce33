/* Reading certificates and revocation lists: strict form, no trust yet. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

#define URN "urn:fedmoe:"

fm_status fm_cert_parse(const uint8_t *der, size_t len, X509 **out)
{
    const unsigned char *p = der;
    unsigned char *again = NULL;
    X509 *x = NULL;
    int again_len;
    fm_status st = FM_EPROTO;

    if (!der || len == 0 || len > FM_CERT_MAX_BYTES)
        return fm_fail(FM_EPROTO, "a certificate of %zu bytes; 1 to %u are allowed", len,
                       FM_CERT_MAX_BYTES);
    if (!(x = d2i_X509(NULL, &p, (long)len))) {
        st = fm_ssl_fail(FM_EPROTO, "not a DER certificate");
        goto done;
    }
    /* Encoded again it must be the same bytes: nothing behind it, no second form of one thing. */
    again_len = i2d_X509(x, &again);
    if (p != der + len || again_len < 0 || (size_t)again_len != len ||
        memcmp(again, der, len) != 0) {
        st = fm_ssl_fail(FM_EPROTO, "bytes behind the certificate, or not DER");
        goto done;
    }
    *out = x;
    x = NULL;
    st = FM_OK;
done:
    OPENSSL_free(again);
    X509_free(x);
    return st;
}

static bool is_fedmoe_uri(const GENERAL_NAME *g)
{
    return g->type == GEN_URI &&
           ASN1_STRING_length(g->d.uniformResourceIdentifier) >= (int)strlen(URN) &&
           strncasecmp((const char *)ASN1_STRING_get0_data(g->d.uniformResourceIdentifier), URN,
                       strlen(URN)) == 0;
}

/** How many there are, and the last of them. */
static int find_uris(const GENERAL_NAMES *names, const ASN1_IA5STRING **uri)
{
    int found = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

        if (is_fedmoe_uri(g)) {
            found++;
            *uri = g->d.uniformResourceIdentifier;
        }
    }
    return found;
}

fm_status fm_cert_uri_among(const GENERAL_NAMES *names, const char *what, fm_cert_uri *out)
{
    const ASN1_IA5STRING *uri = NULL;
    const int found = find_uris(names, &uri);

    if (found != 1)
        return fm_ssl_fail(FM_EPROTO,
                           "the %s has %d URIs " URN "..., not exactly one: it was not made for "
                           "fedmoe",
                           what, found);
    return fm_cert_uri_parse(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri), out);
}

/** A CA of another PKI has no name in ours; a member without one is nobody. */
static fm_status read_uri(const X509 *x, bool is_ca, fm_cert_uri *out)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    const ASN1_IA5STRING *uri = NULL;
    fm_status st = FM_OK;

    if (is_ca && find_uris(names, &uri) == 0)
        *out = (fm_cert_uri){ .is_ca = true };
    else
        st = fm_cert_uri_among(names, "certificate", out);
    GENERAL_NAMES_free(names);
    return st;
}

/** Basic constraints and key usage as fedmoe issues them, for a CA and for a leaf. */
static fm_status check_usage(X509 *x, bool is_ca)
{
    uint32_t flags = X509_get_extension_flags(x), usage = X509_get_key_usage(x);
    uint32_t wanted = is_ca ? KU_KEY_CERT_SIGN | KU_CRL_SIGN : KU_DIGITAL_SIGNATURE;
    uint32_t forbidden = is_ca ? 0 : KU_KEY_CERT_SIGN | KU_CRL_SIGN;

    if (X509_get_version(x) != X509_VERSION_3 || (flags & EXFLAG_INVALID) != 0)
        return fm_ssl_fail(FM_EPROTO, "the certificate's extensions are not valid X.509 v3");
    if ((flags & EXFLAG_CRITICAL) != 0)
        return fm_fail(FM_EPROTO, "the certificate has a critical extension that is not known");
    if ((flags & EXFLAG_BCONS) == 0 || ((flags & EXFLAG_CA) != 0) != is_ca)
        return fm_fail(FM_EPROTO, is_ca ? "the certificate is named as a CA but is not one"
                                        : "a CA's certificate where a member's is expected");
    if ((flags & EXFLAG_KUSAGE) == 0 || (usage & wanted) != wanted || (usage & forbidden) != 0)
        return fm_fail(FM_EPROTO, "the certificate's key usage does not fit a %s",
                       is_ca ? "CA" : "member");
    return FM_OK;
}

static fm_status fingerprint(const X509 *x, fm_hash *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);

    if (len < 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode the certificate");
    *out = fm_hash_of(FM_CERT_LABEL, der, (size_t)len);
    OPENSSL_free(der);
    return FM_OK;
}

/** Members have one of two kinds of keys; what a CA may have is the chain check's affair. */
static fm_status read_key_type(const X509 *x, bool is_ca, fm_key_type *out)
{
    fm_status st = fm_key_type_of(X509_get0_pubkey(x), out);

    if (st == FM_OK || !is_ca || !X509_get0_pubkey(x))
        return st;
    *out = FM_KEY_OTHER;
    return FM_OK;
}

static bool is_ca_cert(X509 *x)
{
    return (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
}

fm_status fm_cert_facts_of(X509 *x, fm_cert_facts *out)
{
    fm_cert_facts f = { 0 };
    fm_cert_uri uri;
    fm_status st;

    if ((st = read_uri(x, is_ca_cert(x), &uri)) != FM_OK ||
        (st = check_usage(x, uri.is_ca)) != FM_OK ||
        (st = read_key_type(x, uri.is_ca, &f.type)) != FM_OK ||
        (st = fm_ssl_time(X509_get0_notBefore(x), &f.info.not_before_s)) != FM_OK ||
        (st = fm_ssl_time(X509_get0_notAfter(x), &f.info.not_after_s)) != FM_OK ||
        (st = fingerprint(x, &f.info.fingerprint)) != FM_OK)
        return st;
    f.is_ca = uri.is_ca;
    f.info.role = uri.role;
    memcpy(f.info.federation, uri.federation, sizeof uri.federation);
    memcpy(f.info.name, uri.name, sizeof uri.name);
    *out = f;
    return FM_OK;
}

fm_status fm_cert_load(const char *path, X509 **out, fm_cert_facts *facts)
{
    fm_buf der;
    X509 *x = NULL;
    fm_status st;

    if ((st = fm_pem_read(path, "CERTIFICATE", FM_CERT_FILE_LIMIT, &der)) != FM_OK)
        return st;
    if ((st = fm_cert_parse(der.data, der.len, &x)) != FM_OK ||
        (st = fm_cert_facts_of(x, facts)) != FM_OK) {
        X509_free(x);
        st = fm_fail_context(st == FM_EPROTO ? FM_EPARSE : st, "%s: ", path);
    } else {
        *out = x;
    }
    fm_buf_fini(&der);
    return st;
}

/** The n-th certificate of the file, from 0. @param count  out: how many there are. */
static fm_status load_nth(const char *path, size_t n, X509 **out, fm_cert_facts *facts,
                          size_t *count)
{
    static const char *const types[] = { "CERTIFICATE", FM_SUCCESSION_PEM, NULL };
    const fm_buf *der = NULL;
    fm_pem_list list;
    X509 *x = NULL;
    fm_status st;

    *count = 0;
    if ((st = fm_pem_read_list(path, types, FM_CERT_FILE_LIMIT, &list)) != FM_OK)
        return st;
    for (size_t i = 0; i < list.count; i++)
        if (list.blocks[i].type == 0 && (*count)++ == n)
            der = &list.blocks[i].der;
    if (!der) {
        st = fm_fail(FM_EPARSE, "%s: holds %zu certificates, not %zu", path, *count, n + 1);
    } else if ((st = fm_cert_parse(der->data, der->len, &x)) != FM_OK ||
               (st = fm_cert_facts_of(x, facts)) != FM_OK) {
        X509_free(x);
        st = fm_fail_context(st == FM_EPROTO ? FM_EPARSE : st, "%s: ", path);
    } else {
        *out = x;
    }
    fm_pem_list_fini(&list);
    return st;
}

fm_status fm_cert_load_first(const char *path, X509 **out, fm_cert_facts *facts)
{
    size_t count;

    return load_nth(path, 0, out, facts, &count);
}

fm_status fm_cert_load_in(const char *dir, const char *name, X509 **out, fm_cert_facts *facts)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK)
        st = fm_cert_load(path, out, facts);
    free(path);
    return st;
}

fm_status fm_crl_parse(const uint8_t *der, size_t len, X509_CRL **out)
{
    const unsigned char *p = der;
    unsigned char *again = NULL;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)len);
    int again_len = crl ? i2d_X509_CRL(crl, &again) : -1;
    bool exact = crl && p == der + len && again_len > 0 && (size_t)again_len == len &&
                 memcmp(again, der, len) == 0;

    OPENSSL_free(again);
    if (!exact) {
        X509_CRL_free(crl);
        return fm_ssl_fail(FM_EPROTO, "not a revocation list");
    }
    *out = crl;
    return FM_OK;
}

/** Older digests can be made to fit two lists. */
static bool is_strong(const X509_CRL *crl)
{
    const int nid = X509_CRL_get_signature_nid(crl);
    int digest = NID_undef, key = NID_undef;

    if (nid == NID_ED25519 || nid == NID_ED448)
        return true;
    return OBJ_find_sigid_algs(nid, &digest, &key) == 1 &&
           (digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512);
}

bool fm_crl_is_signed_by(X509_CRL *crl, X509 *ca)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
           is_strong(crl) && X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;
}

bool fm_cert_is_by(X509 *x, X509 *ca)
{
    const bool by = X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(ca)) == 0 &&
                    X509_verify(x, X509_get0_pubkey(ca)) == 1;

    ERR_clear_error();
    return by;
}

fm_status fm_cert_describe_nth(const char *path, size_t n, fm_cert_info *info, fm_key_type *type,
                               bool *is_ca, size_t *count)
{
    fm_cert_facts facts;
    X509 *x = NULL;
    fm_status st;

    if (!path || !info || !type || !is_ca || !count)
        return fm_fail(FM_EINVAL, "fm_cert_describe: NULL argument");
    if ((st = load_nth(path, n, &x, &facts, count)) != FM_OK)
        return st;
    X509_free(x);
    *info = facts.info;
    *type = facts.type;
    *is_ca = facts.is_ca;
    return FM_OK;
}

fm_status fm_cert_describe(const char *path, fm_cert_info *info, fm_key_type *type, bool *is_ca)
{
    size_t count;

    return fm_cert_describe_nth(path, 0, info, type, is_ca, &count);
}
