/* The record of what the CA signed: issued/NAME-SERIAL.crt, SERIAL in 32 hex digits. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

#define SERIAL_HEX 32u

void fm_issued_name(const char *name, const uint8_t serial[16], char out[FM_ISSUED_MAX])
{
    size_t n = (size_t)snprintf(out, FM_ISSUED_MAX, "issued/%s-", name);

    for (size_t i = 0; i < 16; i++)
        (void)snprintf(out + n + 2 * i, 3, "%02x", serial[i]);
    (void)snprintf(out + n + SERIAL_HEX, FM_ISSUED_MAX - n - SERIAL_HEX, ".crt");
}

/** The part behind the name has a fixed length, so "a-b" is never taken for "a". */
static bool is_record_of(const char *file, const char *name)
{
    size_t n = strlen(name), len = strlen(file);

    return len == n + 1 + SERIAL_HEX + 4 && strncmp(file, name, n) == 0 && file[n] == '-' &&
           strcmp(file + len - 4, ".crt") == 0;
}

static fm_status add_record(const char *dir, const char *file, const char *name,
                            STACK_OF(X509) * list)
{
    fm_cert_facts facts;
    X509 *x = NULL;
    fm_status st;

    if ((st = fm_cert_load_in(dir, file, &x, &facts)) != FM_OK)
        return st;
    if (strcmp(facts.info.name, name) != 0)
        st = fm_fail(FM_EPARSE, "%s/%s: names '%s', not '%s'; the CA's record is damaged", dir,
                     file, facts.info.name, name);
    else if (sk_X509_push(list, x) <= 0)
        st = fm_ssl_fail(FM_ENOMEM, "no memory for the list of certificates");
    if (st != FM_OK)
        X509_free(x);
    return st;
}

static fm_status read_records(const char *dir, const char *name, STACK_OF(X509) * list)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    fm_status st = FM_OK;

    if (!d)
        return fm_fail(FM_EIO, "%s: cannot read the CA's record: %s", dir, strerror(errno));
    while (st == FM_OK && (errno = 0, e = readdir(d)))
        if (is_record_of(e->d_name, name))
            st = add_record(dir, e->d_name, name, list);
    if (st == FM_OK && errno != 0)
        st = fm_fail(FM_EIO, "%s: cannot read the CA's record: %s", dir, strerror(errno));
    (void)closedir(d);
    return st;
}

fm_status fm_issued_find(const fm_ca *ca, const char *name, STACK_OF(X509) * *out)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    char *dir = NULL;
    fm_status st;

    if (!list)
        return fm_ssl_fail(FM_ENOMEM, "no memory for the list of certificates");
    if ((st = fm_path_join(ca->dir, "issued", &dir)) == FM_OK)
        st = read_records(dir, name, list);
    free(dir);
    if (st != FM_OK) {
        sk_X509_pop_free(list, X509_free);
        return st;
    }
    *out = list;
    return FM_OK;
}
