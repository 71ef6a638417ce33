/* PEM files: exactly one block, of the expected type. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

/** One block; FM_ENOTFOUND when there is no further one. */
static fm_status read_block(BIO *bio, const char *path, const char *type, fm_buf *out)
{
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
    if (strcmp(name, type) != 0 || header[0] != '\0')
        (void)fm_fail(FM_EPARSE, "%s: holds a PEM block '%.40s' where '%s' is expected", path, name,
                      type);
    else
        st = fm_buf_append(out, data, (size_t)len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, len > 0 ? (size_t)len : 0);
    return st;
}

static fm_status read_only_block(const fm_buf *text, const char *path, const char *type,
                                 fm_buf *out)
{
    fm_status st;
    fm_buf more;
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);

    fm_buf_init(&more, text->len + 1);
    if (!bio) {
        st = fm_ssl_fail(FM_ENOMEM, "%s: no memory to read it", path);
        goto done;
    }
    st = read_block(bio, path, type, out);
    if (st == FM_ENOTFOUND)
        st = fm_fail(FM_EPARSE, "%s: no line '-----BEGIN %s-----': not a PEM file", path, type);
    if (st != FM_OK)
        goto done;
    st = read_block(bio, path, type, &more);
    if (st == FM_OK)
        st = fm_fail(FM_EPARSE, "%s: holds more than one '%s'; keep the first only", path, type);
    else if (st == FM_ENOTFOUND)
        st = FM_OK;
done:
    fm_buf_fini(&more);
    BIO_free(bio);
    return st;
}

fm_status fm_pem_read(const char *path, const char *type, size_t limit, fm_buf *out)
{
    fm_buf text = { 0 };
    fm_status st;

    fm_buf_init(out, limit);
    if ((st = fm_file_read(path, limit, &text)) != FM_OK)
        goto done;
    /* Looked for before anything is decoded, so that no part of a key reaches other memory. */
    if (text.len > 0 && strstr((const char *)text.data, "PRIVATE KEY-----")) {
        st = fm_fail(FM_EPARSE,
                     "%s: holds a private key, which is never shown or sent; name the "
                     "certificate (.crt) instead",
                     path);
        goto done;
    }
    if (text.len == 0) {
        st = fm_fail(FM_EPARSE, "%s: the file is empty; copy it again", path);
        goto done;
    }
    st = read_only_block(&text, path, type, out);
done:
    fm_buf_fini(&text);
    if (st != FM_OK)
        fm_buf_fini(out);
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

/** Move what a memory BIO holds into `out`. */
static fm_status take(BIO *bio, bool written, fm_buf *out)
{
    const char *data = NULL;
    long len;

    if (!bio || !written)
        return fm_ssl_fail(FM_ENOMEM, "cannot write PEM");
    len = BIO_get_mem_data(bio, &data);
    return fm_buf_append(out, data, len > 0 ? (size_t)len : 0);
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
