/* Revocation: the lists of the folder's CAs, rewritten whole, each one number higher. */
#include <stdlib.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

/** Those of the certificates that the CA signed; freed by the caller, not its elements. */
static STACK_OF(X509) * signed_by(const fm_ca_one *ca, STACK_OF(X509) * all)
{
    STACK_OF(X509) *own = sk_X509_new_null();

    for (int i = 0; own && i < sk_X509_num(all); i++) {
        if (!fm_cert_is_by(sk_X509_value(all, i), ca->cert))
            continue;
        if (sk_X509_push(own, sk_X509_value(all, i)) <= 0) {
            sk_X509_free(own);
            return NULL;
        }
    }
    return own;
}

static fm_status add_list(const fm_ca_one *ca, STACK_OF(X509) * all, fm_buf *pem)
{
    STACK_OF(X509) *own = signed_by(ca, all);
    X509_CRL *crl = NULL;
    fm_buf one = { 0 };
    fm_status st;

    if (!own)
        return fm_ssl_fail(FM_ENOMEM, "no memory for a revocation list");
    if ((st = fm_crl_sign(ca->cert, ca->key, ca->crl, own, &crl)) == FM_OK &&
        (st = fm_pem_crl(crl, &one)) == FM_OK)
        st = fm_buf_append(pem, one.data, one.len);
    fm_buf_fini(&one);
    X509_CRL_free(crl);
    sk_X509_free(own);
    return st;
}

fm_status fm_ca_write_lists(const fm_ca *ca, STACK_OF(X509) * add)
{
    fm_buf pem;
    char *path = NULL;
    fm_status st = FM_OK;

    fm_buf_init(&pem, FM_CRL_FILE_LIMIT);
    for (size_t i = 0; st == FM_OK && i < ca->count; i++)
        st = add_list(&ca->all[i], add, &pem);
    if (st == FM_OK && (st = fm_path_join(ca->dir, "crl.pem", &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    return st;
}

fm_status fm_ca_revoke(const char *ca_dir, const char *name)
{
    fm_ca *ca = NULL;
    STACK_OF(X509) *certs = NULL;
    fm_status st;

    if (!ca_dir)
        return fm_fail(FM_EINVAL, "fm_ca_revoke: NULL argument");
    if ((st = fm_name_check(name)) != FM_OK)
        return st;
    if ((st = fm_ca_open(ca_dir, &ca)) != FM_OK || (st = fm_issued_find(ca, name, &certs)) != FM_OK)
        goto done;
    if (sk_X509_num(certs) == 0)
        st = fm_fail(FM_ENOTFOUND,
                     "%s: no certificate was issued to '%s'; the names are those of the files in "
                     "%s/issued",
                     ca_dir, name, ca_dir);
    else
        st = fm_ca_write_lists(ca, certs);
done:
    sk_X509_pop_free(certs, X509_free);
    fm_ca_close(&ca);
    return st;
}

fm_status fm_ca_refresh(const char *ca_dir)
{
    fm_ca *ca = NULL;
    fm_status st;

    if (!ca_dir)
        return fm_fail(FM_EINVAL, "fm_ca_refresh: NULL argument");
    if ((st = fm_ca_open(ca_dir, &ca)) == FM_OK)
        st = fm_ca_write_lists(ca, NULL);
    fm_ca_close(&ca);
    return st;
}
