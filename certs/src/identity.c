/* What one holds of oneself: certificate and private key. */
#include <stdlib.h>
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

struct fm_identity {
    EVP_PKEY *key;
    uint8_t *der;
    size_t der_len;
    fm_cert_info info;
};

static fm_status copy_der(const X509 *x, fm_identity *id)
{
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    fm_status st;

    if (len <= 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode the certificate");
    if ((st = fm_alloc((size_t)len, 1, (void **)&id->der)) == FM_OK) {
        memcpy(id->der, der, (size_t)len);
        id->der_len = (size_t)len;
    }
    OPENSSL_free(der);
    return st;
}

fm_status fm_identity_load(const char *dir, fm_identity **out)
{
    fm_identity *id = NULL;
    X509 *x = NULL;
    fm_cert_facts facts;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_identity_load: NULL argument");
    if ((st = fm_alloc(1, sizeof *id, (void **)&id)) != FM_OK ||
        (st = fm_cert_load_in(dir, "identity.crt", &x, &facts)) != FM_OK ||
        (st = fm_key_load(dir, "identity.key", &id->key)) != FM_OK)
        goto done;
    if (facts.is_ca) {
        st = fm_fail(FM_EAUTH, "%s/identity.crt: a CA's certificate, not a member's", dir);
        goto done;
    }
    if (X509_check_private_key(x, id->key) != 1) {
        st = fm_ssl_fail(FM_EAUTH,
                         "%s: identity.key does not belong to identity.crt; copy both files from "
                         "the same place, or have a new certificate issued",
                         dir);
        goto done;
    }
    id->info = facts.info;
    if ((st = copy_der(x, id)) != FM_OK)
        goto done;
    *out = id;
    id = NULL;
done:
    X509_free(x);
    fm_identity_free(&id);
    return st;
}

void fm_identity_free(fm_identity **id)
{
    if (!id || !*id)
        return;
    EVP_PKEY_free((*id)->key); /* wipes the private key */
    free((*id)->der);
    free(*id);
    *id = NULL;
}

const fm_cert_info *fm_identity_info(const fm_identity *id)
{
    return &id->info;
}

void fm_identity_der(const fm_identity *id, const uint8_t **der, size_t *len)
{
    *der = id->der;
    *len = id->der_len;
}

fm_status fm_identity_sign(const fm_identity *id, const char *label, const void *message,
                           size_t len, uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    EVP_MD_CTX *ctx = NULL;
    uint8_t made[FM_SIGNATURE_MAX];
    size_t made_len = sizeof made;
    fm_buf input = { 0 };
    fm_status st;

    if (!id || !label || (!message && len > 0) || !sig || !sig_len)
        return fm_fail(FM_EINVAL, "fm_identity_sign: NULL argument");
    if ((st = fm_signed_bytes(label, message, len, &input)) != FM_OK)
        goto done;
    ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, fm_key_digest(id->key), NULL, id->key) != 1 ||
        EVP_DigestSign(ctx, made, &made_len, input.data, input.len) != 1) {
        st = fm_ssl_fail(FM_EINTERNAL, "cannot sign");
        goto done;
    }
    memcpy(sig, made, made_len);
    *sig_len = made_len;
done:
    EVP_MD_CTX_free(ctx);
    fm_buf_fini(&input);
    return st;
}

fm_status fm_signed_bytes(const char *label, const void *message, size_t len, fm_buf *out)
{
    size_t label_bytes = strlen(label) + 1; /* with its zero byte */
    size_t total;
    fm_status st;

    if ((st = fm_add_size(label_bytes, len, &total)) != FM_OK)
        return st;
    fm_buf_init(out, total);
    if ((st = fm_buf_append(out, label, label_bytes)) == FM_OK && len > 0)
        st = fm_buf_append(out, message, len);
    return st;
}

/* ---- the next certificate ---- */

fm_status fm_identity_request(const fm_identity *id, fm_buf *out)
{
    fm_cert_uri uri = { 0 };
    fm_status st;

    if (!id || !out)
        return fm_fail(FM_EINVAL, "fm_identity_request: NULL argument");
    uri.role = id->info.role;
    memcpy(uri.federation, id->info.federation, sizeof uri.federation);
    memcpy(uri.name, id->info.name, sizeof uri.name);
    fm_buf_init(out, FM_REQUEST_MAX_BYTES);
    if ((st = fm_request_sign(id->key, &uri, out)) != FM_OK)
        fm_buf_fini(out);
    return st;
}

static fm_status check_next(const fm_identity *id, const fm_cert_info *next, const X509 *x)
{
    if (strcmp(next->name, id->info.name) != 0 || next->not_after_s <= id->info.not_after_s)
        return fm_fail(FM_EAUTH, "a certificate that is not the next one of '%s'", id->info.name);
    if (EVP_PKEY_eq(X509_get0_pubkey(x), id->key) != 1)
        return fm_ssl_fail(FM_EAUTH, "a certificate for another key than that of '%s'",
                           id->info.name);
    return FM_OK;
}

fm_status fm_identity_renew(const char *dir, const fm_identity *id, const fm_trust *t,
                            const uint8_t *der, size_t len, int64_t now_s)
{
    fm_peer *next = NULL;
    X509 *x = NULL;
    fm_buf pem = { 0 };
    char *path = NULL;
    fm_status st;

    if (!dir || !id || !t)
        return fm_fail(FM_EINVAL, "fm_identity_renew: NULL argument");
    if ((st = fm_peer_verify(t, der, len, id->info.role, now_s, &next)) == FM_OK &&
        (st = fm_cert_parse(der, len, &x)) == FM_OK &&
        (st = check_next(id, fm_peer_info(next), x)) == FM_OK &&
        (st = fm_pem_cert(x, &pem)) == FM_OK &&
        (st = fm_path_join(dir, "identity.crt", &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    X509_free(x);
    fm_peer_free(&next);
    return st;
}
