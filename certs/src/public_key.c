#include "fedmoe/certs/public_key.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "certs_internal.h"
#include "signer.h"

#define KEY_FILE_LIMIT ((size_t)16 * 1024)

static fm_status public_half(EVP_PKEY *key, fm_public_key *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    fm_status st = FM_OK;

    if (len <= 0 || (size_t)len > sizeof out->der)
        st = fm_ssl_fail(FM_EINTERNAL, "a public key cannot be encoded");
    else
        memcpy(out->der, der, out->len = (size_t)len);
    OPENSSL_free(der);
    return st;
}

fm_status fm_identity_public_key(const fm_identity *id, fm_public_key *out)
{
    if (!id || !out)
        return fm_fail(FM_EINVAL, "fm_identity_public_key: NULL argument");
    return public_half(fm_signer_public(fm_identity_signer(id)), out);
}

fm_status fm_certificate_public_key(const char *path, fm_public_key *out)
{
    fm_cert_facts facts;
    X509 *x = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_certificate_public_key: NULL argument");
    if ((st = fm_cert_load_first(path, &x, &facts)) == FM_OK)
        st = public_half(X509_get0_pubkey(x), out);
    X509_free(x);
    return st;
}

/** Exactly one key of a type that signs, nothing behind it, and in its one encoding. */
static fm_status parse(const uint8_t *der, size_t len, EVP_PKEY **out)
{
    const unsigned char *at = der;
    EVP_PKEY *key = len > 0 && len <= FM_PUBLIC_KEY_MAX ? d2i_PUBKEY(NULL, &at, (long)len) : NULL;
    fm_public_key again = { .len = 0 };
    fm_key_type type;
    fm_status st;

    if (!key)
        return fm_ssl_fail(FM_EPROTO, "it is not a public key");
    if ((st = fm_key_type_of(key, &type)) == FM_OK && (st = public_half(key, &again)) == FM_OK &&
        (again.len != len || memcmp(again.der, der, len) != 0))
        st = fm_fail(FM_EPROTO, "it is not a public key in its usual encoding");
    if (st == FM_OK)
        *out = key;
    else
        EVP_PKEY_free(key);
    return st;
}

fm_status fm_public_key_load(const char *path, fm_public_key *out)
{
    EVP_PKEY *key = NULL;
    fm_buf der = { 0 };
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_public_key_load: NULL argument");
    if ((st = fm_pem_read(path, "PUBLIC KEY", KEY_FILE_LIMIT, &der)) == FM_OK) {
        if ((st = parse(der.data, der.len, &key)) == FM_OK)
            st = public_half(key, out);
        else if (st == FM_EPROTO)
            st = fm_fail_context(FM_EPARSE, "%s: ", path);
    }
    EVP_PKEY_free(key);
    fm_buf_fini(&der);
    return st;
}

bool fm_public_key_equal(const fm_public_key *a, const fm_public_key *b)
{
    return a->len == b->len && memcmp(a->der, b->der, a->len) == 0; /* public */
}

void fm_public_key_name(const fm_public_key *k, char out[17])
{
    uint8_t digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, k->der, k->len);
    (void)sodium_bin2hex(out, 17, digest, 8);
}

fm_status fm_key_file_public(const char *path, fm_public_key *out)
{
    EVP_PKEY *key = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_key_file_public: NULL argument");
    if ((st = fm_key_load(".", path, &key)) == FM_OK)
        st = public_half(key, out);
    EVP_PKEY_free(key);
    return st;
}

fm_status fm_key_file_sign(const char *path, const char *label, const void *message, size_t len,
                           uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    EVP_PKEY *key = NULL;
    fm_signer *signer = NULL;
    fm_buf input = { 0 };
    fm_status st;

    if (!path || !label || (!message && len > 0) || !sig || !sig_len)
        return fm_fail(FM_EINVAL, "fm_key_file_sign: NULL argument");
    if ((st = fm_key_load(".", path, &key)) == FM_OK &&
        (st = fm_signer_of(key, &signer)) == FM_OK &&
        (st = fm_signed_bytes(label, message, len, &input)) == FM_OK)
        st = fm_signer_sign(signer, input.data, input.len, sig, sig_len);
    fm_signer_free(&signer);
    EVP_PKEY_free(key);
    fm_buf_fini(&input);
    return st;
}

fm_status fm_public_key_check(const fm_public_key *k, const char *label, const void *message,
                              size_t len, const uint8_t *sig, size_t sig_len)
{
    EVP_MD_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    fm_buf input = { 0 };
    fm_status st;

    if (!k || !label || (!message && len > 0))
        return fm_fail(FM_EINVAL, "fm_public_key_check: NULL argument");
    if (!sig || sig_len == 0 || sig_len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EAUTH, "a signature of %zu bytes; 1 to %u are allowed", sig_len,
                       FM_SIGNATURE_MAX);
    if ((st = parse(k->der, k->len, &key)) != FM_OK ||
        (st = fm_signed_bytes(label, message, len, &input)) != FM_OK)
        goto done;
    if (!(ctx = EVP_MD_CTX_new()) ||
        EVP_DigestVerifyInit(ctx, NULL, fm_key_digest(key), NULL, key) != 1)
        st = fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a signature");
    else if (EVP_DigestVerify(ctx, sig, sig_len, input.data, input.len) != 1)
        st = fm_ssl_fail(FM_EAUTH, "the signature is not valid");
done:
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    fm_buf_fini(&input);
    return st == FM_OK || st == FM_ENOMEM ? st : FM_EAUTH;
}
