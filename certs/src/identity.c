/* What one holds of oneself: certificate and private key. */
#include <stdlib.h>
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"
#include "signer.h"

struct fm_identity {
    fm_signer *key;
    fm_buf certs[1 + FM_INTERMEDIATES_MAX]; /* DER: one's own, the intermediate CAs behind it */
    size_t cert_count;
    fm_cert_info info;
};

/** Behind one's own there are CAs only. */
static fm_status check_intermediate(const char *path, const fm_buf *der)
{
    fm_cert_facts facts = { 0 };
    X509 *x = NULL;
    fm_status st;

    if (der->len > FM_INTERMEDIATE_MAX_BYTES)
        return fm_fail(FM_EPARSE,
                       "%s: an intermediate CA's certificate of %zu bytes; %u are allowed", path,
                       der->len, FM_INTERMEDIATE_MAX_BYTES);
    if ((st = fm_cert_parse(der->data, der->len, &x)) != FM_OK ||
        (st = fm_cert_facts_of(x, &facts)) != FM_OK)
        st = fm_fail_context(st == FM_EPROTO ? FM_EPARSE : st,
                             "%s: behind the first certificate: ", path);
    else if (!facts.is_ca)
        st = fm_fail(FM_EPARSE, "%s: holds more than one member's certificate; keep the first only",
                     path);
    X509_free(x);
    return st;
}

/** @param own  out: the first certificate of the file, whose facts they are. */
static fm_status load_certs(const char *dir, fm_identity *id, X509 **own, fm_cert_facts *facts)
{
    static const char *const types[] = { "CERTIFICATE", NULL };
    fm_pem_list list = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(dir, "identity.crt", &path)) != FM_OK ||
        (st = fm_cert_load_first(path, own, facts)) != FM_OK ||
        (st = fm_pem_read_list(path, types, FM_CERT_FILE_LIMIT, &list)) != FM_OK)
        goto done;
    if (list.count > 1 + FM_INTERMEDIATES_MAX) {
        st = fm_fail(FM_EPARSE, "%s: holds more than one certificate and %d intermediate CAs", path,
                     FM_INTERMEDIATES_MAX);
        goto done;
    }
    for (size_t i = 1; i < list.count; i++)
        if ((st = check_intermediate(path, &list.blocks[i].der)) != FM_OK)
            goto done;
    for (; id->cert_count < list.count; id->cert_count++) {
        id->certs[id->cert_count] = list.blocks[id->cert_count].der; /* ownership moves */
        list.blocks[id->cert_count].der = (fm_buf){ 0 };
    }
done:
    fm_pem_list_fini(&list);
    free(path);
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
        (st = load_certs(dir, id, &x, &facts)) != FM_OK ||
        (st = fm_signer_load(dir, &id->key)) != FM_OK)
        goto done;
    if (facts.is_ca) {
        st = fm_fail(FM_EAUTH, "%s/identity.crt: a CA's certificate, not a member's", dir);
        goto done;
    }
    if (EVP_PKEY_eq(X509_get0_pubkey(x), fm_signer_public(id->key)) != 1) {
        st = fm_ssl_fail(FM_EAUTH,
                         "%s: identity.key does not belong to identity.crt; copy both files from "
                         "the same place, or have a new certificate issued",
                         dir);
        goto done;
    }
    id->info = facts.info;
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
    fm_signer_free(&(*id)->key);
    for (size_t i = 0; i < (*id)->cert_count; i++)
        fm_buf_fini(&(*id)->certs[i]);
    free(*id);
    *id = NULL;
}

const fm_signer *fm_identity_signer(const fm_identity *id)
{
    return id->key;
}

const fm_cert_info *fm_identity_info(const fm_identity *id)
{
    return &id->info;
}

void fm_identity_der(const fm_identity *id, const uint8_t **der, size_t *len)
{
    *der = id->certs[0].data;
    *len = id->certs[0].len;
}

fm_ca_path fm_identity_path(const fm_identity *id)
{
    fm_ca_path path = { .count = id->cert_count - 1 };

    for (size_t i = 0; i < path.count; i++) {
        path.der[i] = id->certs[1 + i].data;
        path.len[i] = id->certs[1 + i].len;
    }
    return path;
}

fm_status fm_identity_sign(const fm_identity *id, const char *label, const void *message,
                           size_t len, uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    uint8_t made[FM_SIGNATURE_MAX];
    size_t made_len = 0;
    fm_buf input = { 0 };
    fm_status st;

    if (!id || !label || (!message && len > 0) || !sig || !sig_len)
        return fm_fail(FM_EINVAL, "fm_identity_sign: NULL argument");
    if ((st = fm_signed_bytes(label, message, len, &input)) == FM_OK &&
        (st = fm_signer_sign(id->key, input.data, input.len, made, &made_len)) == FM_OK) {
        memcpy(sig, made, made_len);
        *sig_len = made_len;
    }
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
    if (EVP_PKEY_eq(X509_get0_pubkey(x), fm_signer_public(id->key)) != 1)
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
