/* Requests for certificates: made by a member, checked by the CA's side. RFC 2986. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "signer.h"
#include "token.h"

#define KEY_LABEL "fedmoe key"

fm_status fm_key_fingerprint(const EVP_PKEY *k, fm_hash *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(k, &der);

    if (len <= 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode a public key");
    *out = fm_hash_of(KEY_LABEL, der, (size_t)len);
    OPENSSL_free(der);
    return FM_OK;
}

/* ---- making ---- */

static bool push_extension(STACK_OF(X509_EXTENSION) * list, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    const bool ok = e && sk_X509_EXTENSION_push(list, e) > 0;

    if (!ok)
        X509_EXTENSION_free(e);
    return ok;
}

/** All that a certificate of ours needs: a CA that copies what is asked for makes one. */
static bool add_extensions(X509_REQ *r, const fm_cert_uri *uri)
{
    char san[FM_URI_MAX + 4], text[FM_URI_MAX];
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    bool ok;

    fm_cert_uri_format(uri, text);
    (void)snprintf(san, sizeof san, "URI:%s", text);
    ok = list && push_extension(list, NID_subject_alt_name, san) &&
         push_extension(list, NID_basic_constraints, "critical,CA:FALSE") &&
         push_extension(list, NID_key_usage, "critical,digitalSignature") &&
         X509_REQ_add_extensions(r, list) == 1;
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return ok;
}

static fm_status encode(X509_REQ *r, fm_buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509_REQ(r, &der);
    fm_status st;

    if (len <= 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode the request");
    st = fm_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return st;
}

static bool set_algorithm(X509_REQ *r, const EVP_PKEY *key)
{
    const int nid = EVP_PKEY_is_a(key, "ED25519") ? NID_ED25519 : NID_ecdsa_with_SHA256;
    X509_ALGOR *a = X509_ALGOR_new();
    const bool ok = a && X509_ALGOR_set0(a, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL) == 1 &&
                    X509_REQ_set1_signature_algo(r, a) == 1;

    X509_ALGOR_free(a);
    return ok;
}

/** By hand, not X509_REQ_sign: the key may be in a token, which OpenSSL does not know. */
static fm_status put_signature(X509_REQ *r, const fm_signer *key)
{
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t sig_len = 0;
    unsigned char *der = NULL;
    ASN1_BIT_STRING *bits = NULL;
    int len;
    fm_status st;

    if (!set_algorithm(r, fm_signer_public(key)) || (len = i2d_re_X509_REQ_tbs(r, &der)) <= 0)
        return fm_ssl_fail(FM_EINTERNAL, "cannot encode the request");
    st = fm_signer_sign(key, der, (size_t)len, sig, &sig_len);
    OPENSSL_free(der);
    if (st != FM_OK)
        return st;
    if (!(bits = ASN1_BIT_STRING_new()) || ASN1_STRING_set(bits, sig, (int)sig_len) != 1) {
        ASN1_BIT_STRING_free(bits);
        return fm_ssl_fail(FM_ENOMEM, "cannot sign the request");
    }
    bits->flags = (bits->flags & ~0x07L) | ASN1_STRING_FLAG_BITS_LEFT; /* whole bytes */
    X509_REQ_set0_signature(r, bits);
    return FM_OK;
}

fm_status fm_request_sign(const fm_signer *key, const fm_cert_uri *uri, fm_buf *out)
{
    X509_REQ *r = X509_REQ_new();
    X509_NAME *subject = r ? X509_REQ_get_subject_name(r) : NULL;
    fm_status st;

    if (!subject || X509_REQ_set_version(r, X509_REQ_VERSION_1) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)uri->name,
                                   -1, -1, 0) != 1 ||
        X509_REQ_set_pubkey(r, fm_signer_public(key)) != 1 || !add_extensions(r, uri))
        st = fm_ssl_fail(FM_EINTERNAL, "cannot make the request");
    else if ((st = put_signature(r, key)) == FM_OK)
        st = encode(r, out);
    X509_REQ_free(r);
    return st;
}

static fm_status make_key(const char *dir, fm_key_type type)
{
    fm_created made = { 0 };
    EVP_PKEY *key = NULL;
    fm_status st;

    if ((st = fm_dir_make(dir, 0700)) != FM_OK || (st = fm_key_new(type, &key)) != FM_OK)
        return st;
    st = fm_created_add_key(&made, dir, "identity.key", key);
    fm_created_end(&made, st == FM_OK);
    EVP_PKEY_free(key); /* wipes the private key */
    return st;
}

/** identity.uri, whose key is made in the token unless it is there. */
static fm_status name_token(const char *dir, const fm_request_plan *plan)
{
    char had[FM_TOKEN_URI_MAX + 1];
    fm_token *token = NULL;
    fm_created made = { 0 };
    fm_buf line = { 0 };
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "identity.uri", &there)) != FM_OK)
        return st;
    if (there) {
        if ((st = fm_signer_uri(dir, had)) == FM_OK && strcmp(had, plan->key_uri) != 0)
            st = fm_fail(FM_EEXIST, "%s/identity.uri names another key, and stays as it is", dir);
        return st;
    }
    if ((st = fm_dir_make(dir, 0700)) != FM_OK)
        return st;
    if ((st = fm_token_open(dir, plan->key_uri, &token)) == FM_ENOTFOUND)
        st = fm_token_generate(dir, plan->key_uri, plan->type);
    fm_token_close(&token);
    if (st == FM_OK && (st = fm_buf_printf(&line, "%s\n", plan->key_uri)) == FM_OK)
        st = fm_created_add(&made, dir, "identity.uri", line.data, line.len, 0644);
    fm_created_end(&made, st == FM_OK);
    fm_buf_fini(&line);
    return st;
}

static fm_status need_key(const char *dir, const fm_request_plan *plan)
{
    bool file = false, uri = false;
    fm_status st;

    if (plan->key_uri)
        return name_token(dir, plan);
    if ((st = fm_exists_in(dir, "identity.key", &file)) != FM_OK ||
        (st = fm_exists_in(dir, "identity.uri", &uri)) != FM_OK)
        return st;
    return file || uri ? FM_OK : make_key(dir, plan->type);
}

/** The key of an earlier attempt, or a new one. */
static fm_status own_key(const char *dir, const fm_request_plan *plan, fm_signer **out)
{
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "identity.crt", &there)) != FM_OK)
        return st;
    if (there)
        return fm_fail(FM_EEXIST,
                       "%s/identity.crt: an identity is here already and stays as it is; name "
                       "another directory, or move it away first",
                       dir);
    if ((st = need_key(dir, plan)) != FM_OK)
        return st;
    return fm_signer_load(dir, out);
}

fm_status fm_request_begin(const char *dir, const fm_request_plan *plan, fm_buf *out)
{
    fm_cert_uri uri = { 0 };
    fm_signer *key = NULL;
    fm_status st;

    if (!dir || !plan || !out)
        return fm_fail(FM_EINVAL, "fm_request_begin: NULL argument");
    if ((st = fm_name_check(plan->federation)) != FM_OK ||
        (st = fm_name_check(plan->name)) != FM_OK)
        return st;
    if (plan->role != FM_ROLE_NODE && plan->role != FM_ROLE_AGGREGATOR)
        return fm_fail(FM_EINVAL, "role %d is not known; use node or aggregator", (int)plan->role);
    uri.role = plan->role;
    memcpy(uri.federation, plan->federation, strlen(plan->federation) + 1);
    memcpy(uri.name, plan->name, strlen(plan->name) + 1);
    fm_buf_init(out, FM_REQUEST_MAX_BYTES);
    if ((st = own_key(dir, plan, &key)) == FM_OK)
        st = fm_request_sign(key, &uri, out);
    fm_signer_free(&key);
    if (st != FM_OK)
        fm_buf_fini(out);
    return st;
}

fm_status fm_request_make(const char *dir, fm_key_type type, const char *federation,
                          const char *name, fm_buf *out)
{
    const fm_request_plan plan = { FM_ROLE_NODE, federation, name, type, NULL };

    return fm_request_begin(dir, &plan, out);
}

/* ---- checking ---- */

static fm_status parse(const uint8_t *der, size_t len, X509_REQ **out)
{
    const unsigned char *p = der;
    unsigned char *again = NULL;
    X509_REQ *r;
    int again_len;
    bool exact;

    if (!der || len == 0 || len > FM_REQUEST_MAX_BYTES)
        return fm_fail(FM_EPROTO, "a request of %zu bytes; 1 to %u are allowed", len,
                       FM_REQUEST_MAX_BYTES);
    r = d2i_X509_REQ(NULL, &p, (long)len);
    again_len = r ? i2d_X509_REQ(r, &again) : -1;
    exact = r && p == der + len && again_len > 0 && (size_t)again_len == len &&
            memcmp(again, der, len) == 0;
    OPENSSL_free(again);
    if (!exact) {
        X509_REQ_free(r);
        return fm_ssl_fail(FM_EPROTO, "not a DER request for a certificate");
    }
    *out = r;
    return FM_OK;
}

static fm_status read_uri(X509_REQ *r, fm_cert_uri *out)
{
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(r);
    int critical = 0;
    GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, &critical, NULL);
    fm_status st = fm_cert_uri_among(names, "request", out);

    if (st == FM_OK && out->is_ca)
        st = fm_fail(FM_EPROTO, "a request for a CA, which nobody may ask for");
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return st;
}

fm_status fm_request_open(const uint8_t *der, size_t len, fm_request_info *info, EVP_PKEY **key)
{
    fm_request_info found = { 0 };
    EVP_PKEY *k = NULL;
    X509_REQ *r = NULL;
    fm_cert_uri uri;
    fm_status st;

    if ((st = parse(der, len, &r)) != FM_OK)
        goto done;
    if (!(k = X509_REQ_get_pubkey(r))) {
        st = fm_ssl_fail(FM_EPROTO, "a request without a usable key");
        goto done;
    }
    if ((st = fm_key_type_of(k, &found.type)) != FM_OK)
        goto done;
    if (X509_REQ_verify(r, k) != 1) {
        st = fm_ssl_fail(FM_EAUTH, "a request that its own key has not signed");
        goto done;
    }
    if ((st = read_uri(r, &uri)) != FM_OK || (st = fm_key_fingerprint(k, &found.key)) != FM_OK)
        goto done;
    found.role = uri.role;
    memcpy(found.name, uri.name, sizeof uri.name);
    memcpy(found.federation, uri.federation, sizeof uri.federation);
    *info = found;
    *key = k;
    k = NULL;
done:
    EVP_PKEY_free(k);
    X509_REQ_free(r);
    ERR_clear_error();
    return st;
}

fm_status fm_request_check(const uint8_t *der, size_t len, fm_request_info *out)
{
    EVP_PKEY *key = NULL;
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "fm_request_check: NULL argument");
    st = fm_request_open(der, len, out, &key);
    EVP_PKEY_free(key);
    return st;
}
