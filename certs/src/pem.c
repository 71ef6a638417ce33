/* PEM files: exactly one block of the expected type, or a list of blocks of known types. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

/** One block; FM_ENOTFOUND when there is no further one. @param types  NULL at their end. */
static fm_status read_block(BIO *bio, const char *path, const char *const *types, size_t *which,
                            fm_buf *out)
{
    size_t i = 0;
    fm_status st = FM_EPARSE;
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;

    if (!PEM_read_bio(bio, &name, &header, &data, &len)) {
        bool none = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

        if (!none)
            return fm_ssl_fail(FM_EPARSE, "%s: the PEM text is damaged; copy the file again", path);
        ERR_clear_error();
        return FM_ENOTFOUND;
    }
    while (types[i] && strcmp(name, types[i]) != 0)
        i++;
    if (!types[i] || header[0] != '\0') {
        (void)fm_fail(FM_EPARSE, "%s: holds a PEM block '%.40s' where '%s' is expected", path, name,
                      types[0]);
    } else {
        *which = i;
        st = fm_buf_append(out, data, (size_t)len);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, len > 0 ? (size_t)len : 0);
    return st;
}

/** Every block of the text, in order. */
static fm_status read_blocks(const fm_buf *text, const char *path, const char *const *types,
                             fm_pem_list *out)
{
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
    fm_status st = FM_OK;

    if (!bio)
        return fm_ssl_fail(FM_ENOMEM, "%s: no memory to read it", path);
    while (st == FM_OK) {
        fm_buf more;
        size_t which = 0;

        fm_buf_init(&more, text->len + 1);
        st = read_block(bio, path, types, &which, &more);
        if (st == FM_OK && out->count == FM_PEM_BLOCKS_MAX)
            st = fm_fail(FM_EPARSE, "%s: holds more than %u PEM blocks", path, FM_PEM_BLOCKS_MAX);
        if (st == FM_OK)
            out->blocks[out->count++] = (fm_pem_block){ which, more };
        else
            fm_buf_fini(&more);
    }
    BIO_free(bio);
    if (st != FM_ENOTFOUND)
        return st;
    return out->count > 0 ? FM_OK
                          : fm_fail(FM_EPARSE, "%s: no line '-----BEGIN %s-----': not a PEM file",
                                    path, types[0]);
}

void fm_pem_list_fini(fm_pem_list *l)
{
    while (l->count > 0)
        fm_buf_fini(&l->blocks[--l->count].der);
}

fm_status fm_pem_read_list(const char *path, const char *const *types, size_t limit,
                           fm_pem_list *out)
{
    fm_buf text = { 0 };
    fm_status st;

    out->count = 0;
    if ((st = fm_file_read(path, limit, &text)) != FM_OK)
        goto done;
    /* Looked for before anything is decoded, so that no part of a key reaches other memory. */
    if (text.len > 0 && strstr((const char *)text.data, "PRIVATE KEY-----")) {
        st = strcmp(types[0], "PUBLIC KEY") == 0
                 ? fm_fail(FM_EPARSE,
                           "%s: holds a private key, which stays with whom it belongs to; wanted "
                           "is its public half, as 'openssl pkey -in KEY -pubout' writes it",
                           path)
                 : fm_fail(FM_EPARSE,
                           "%s: holds a private key, which is never shown or sent; name the "
                           "certificate (.crt) instead",
                           path);
        goto done;
    }
    if (text.len == 0) {
        st = fm_fail(FM_EPARSE, "%s: the file is empty; copy it again", path);
        goto done;
    }
    st = read_blocks(&text, path, types, out);
done:
    fm_buf_fini(&text);
    if (st != FM_OK)
        fm_pem_list_fini(out);
    return st;
}

fm_status fm_pem_read(const char *path, const char *type, size_t limit, fm_buf *out)
{
    const char *const types[] = { type, NULL };
    fm_pem_list list;
    fm_status st;

    fm_buf_init(out, limit);
    if ((st = fm_pem_read_list(path, types, limit, &list)) != FM_OK)
        return st;
    if (list.count > 1) {
        st = fm_fail(FM_EPARSE, "%s: holds more than one '%s'; keep the first only", path, type);
    } else {
        *out = list.blocks[0].der; /* ownership moves */
        list.count = 0;
    }
    fm_pem_list_fini(&list);
    return st;
}

fm_status fm_pem_read_in(const char *dir, const char *name, const char *type, size_t limit,
                         fm_buf *out)
{
    char *path = NULL;
    fm_status st;

    fm_buf_init(out, limit);
    if ((st = fm_path_join(dir, name, &path)) == FM_OK)
        st = fm_pem_read(path, type, limit, out);
    free(path);
    return st;
}

/** Behind what `out` holds: what a memory BIO holds. */
static fm_status take(BIO *bio, bool written, fm_buf *out)
{
    const char *data = NULL;
    long len;

    if (!bio || !written)
        return fm_ssl_fail(FM_ENOMEM, "cannot write PEM");
    len = BIO_get_mem_data(bio, &data);
    return fm_buf_append(out, data, len > 0 ? (size_t)len : 0);
}

fm_status fm_pem_add(const char *type, const uint8_t *der, size_t len, fm_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    fm_status st = take(bio, bio && PEM_write_bio(bio, type, "", der, (long)len) > 0, out);

    BIO_free(bio);
    return st;
}

fm_status fm_pem_cert(const X509 *x, fm_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    fm_status st;

    fm_buf_init(out, FM_CERT_FILE_LIMIT);
    st = take(bio, bio && PEM_write_bio_X509(bio, x), out);
    BIO_free(bio);
    return st;
}

fm_status fm_pem_crl(const X509_CRL *crl, fm_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    fm_status st;

    fm_buf_init(out, FM_CRL_FILE_LIMIT);
    st = take(bio, bio && PEM_write_bio_X509_CRL(bio, crl), out);
    BIO_free(bio);
    return st;
}
