/* Revocation: the CA's list, rewritten whole, one number higher. */
#include <stdlib.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

static fm_status write_crl(const fm_ca *ca, STACK_OF(X509) * add)
{
    X509_CRL *crl = NULL;
    fm_buf pem = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_crl_sign(ca->cert, ca->key, ca->crl, add, &crl)) == FM_OK &&
        (st = fm_pem_crl(crl, &pem)) == FM_OK &&
        (st = fm_path_join(ca->dir, "crl.pem", &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    X509_CRL_free(crl);
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
        st = write_crl(ca, certs);
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
        st = write_crl(ca, NULL);
    fm_ca_close(&ca);
    return st;
}
