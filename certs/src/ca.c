/* The consortium's CA as a directory: make it, open it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "trust_internal.h"

#define PATIENCE_MS 30000u /* of a command; a disk may be slow */

static fm_status check_empty(const char *dir)
{
    static const char *const files[] = { "ca.key", "ca.crt", "crl.pem" };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        bool there = false;
        fm_status st = fm_exists_in(dir, files[i], &there);

        if (st != FM_OK)
            return st;
        if (there)
            return fm_fail(FM_EEXIST,
                           "%s/%s: a CA is here already and stays as it is; name another "
                           "directory (a file left behind by an interrupted 'ca new' may be "
                           "removed by hand)",
                           dir, files[i]);
    }
    return FM_OK;
}

static fm_status make_dirs(const char *dir)
{
    char *issued = NULL;
    fm_status st;

    if ((st = fm_dir_make(dir, 0700)) == FM_OK &&
        (st = fm_path_join(dir, "issued", &issued)) == FM_OK)
        st = fm_dir_make(issued, 0700);
    free(issued);
    return st;
}

static fm_status write_ca(const char *dir, EVP_PKEY *key, X509 *cert, X509_CRL *crl)
{
    fm_created made = { 0 };
    fm_buf cert_pem = { 0 }, crl_pem = { 0 };
    fm_status st;

    if ((st = fm_pem_cert(cert, &cert_pem)) == FM_OK && (st = fm_pem_crl(crl, &crl_pem)) == FM_OK &&
        /* The key first: of two processes at once, one stops here. */
        (st = fm_created_add_key(&made, dir, "ca.key", key)) == FM_OK &&
        (st = fm_created_add(&made, dir, "crl.pem", crl_pem.data, crl_pem.len, 0644)) == FM_OK)
        st = fm_created_add(&made, dir, "ca.crt", cert_pem.data, cert_pem.len, 0644);
    fm_created_end(&made, st == FM_OK);
    fm_buf_fini(&cert_pem);
    fm_buf_fini(&crl_pem);
    return st;
}

fm_status fm_ca_make(const char *federation, EVP_PKEY *key, unsigned days, X509 **out)
{
    fm_cert_plan plan = { .uri = { .is_ca = true } };
    const int64_t now_s = fm_clock_wall_s();

    if (days < 1 || days > FM_DAYS_MAX)
        return fm_fail(FM_EINVAL, "a CA of %u days; 1 to %u are allowed", days, FM_DAYS_MAX);
    memcpy(plan.uri.federation, federation, strlen(federation) + 1);
    plan.not_before_s = now_s - FM_CLOCK_SLACK_S;
    plan.not_after_s = now_s + (int64_t)days * 24 * 3600;
    fm_random_bytes(plan.serial, sizeof plan.serial);
    return fm_cert_sign(&plan, key, NULL, key, out);
}

fm_status fm_ca_new(const char *dir, const char *federation, fm_key_type type, unsigned days)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    X509_CRL *crl = NULL;
    fm_status st;

    if (!dir)
        return fm_fail(FM_EINVAL, "fm_ca_new: NULL argument");
    if ((st = fm_name_check(federation)) != FM_OK)
        return fm_fail_context(st, "federation: ");
    if ((st = check_empty(dir)) == FM_OK && (st = fm_key_new(type, &key)) == FM_OK &&
        (st = fm_ca_make(federation, key, days, &cert)) == FM_OK &&
        (st = fm_crl_sign(cert, key, NULL, NULL, &crl)) == FM_OK && (st = make_dirs(dir)) == FM_OK)
        st = write_ca(dir, key, cert, crl);
    X509_CRL_free(crl);
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}

static fm_status lock_dir(fm_ca *ca, uint32_t ms)
{
    if ((ca->lock = open(ca->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO,
                       "%s: no CA directory (%s); make one with 'fedmoe-certs ca new'", ca->dir,
                       strerror(errno));
    return fm_lock_within(ca->lock, ca->dir, ms);
}

static void sweep(const fm_ca *ca)
{
    char *issued = NULL;

    if (fm_path_join(ca->dir, "issued", &issued) == FM_OK)
        fm_created_sweep(issued, "");
    fm_created_sweep(ca->dir, "crl.pem");
    fm_created_sweep(ca->dir, "ca.crt");
    fm_created_sweep(ca->dir, "next.key"); /* a whole key may be among what was left */
    free(issued);
}

static fm_status check_newest(const fm_ca *ca)
{
    char when[32];

    if (ca->info.not_after_s > fm_clock_wall_s())
        return FM_OK;
    fm_clock_format(ca->info.not_after_s, when, sizeof when);
    return fm_fail(FM_ESTATE,
                   "%s: the CA expired on %s; make a new one with 'fedmoe-certs ca new' and "
                   "invite the members again",
                   ca->dir, when);
}

/** A key is recognised by its public half: that of a successor is next.key until ca.key ends. */
static fm_status load_keys(fm_ca *ca)
{
    static const char *const files[] = { "ca.key", "next.key" };
    fm_status st;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        EVP_PKEY *key = NULL;
        bool there = false;

        if ((st = fm_exists_in(ca->dir, files[i], &there)) != FM_OK)
            return st;
        if (!there && i > 0)
            break;
        if ((st = fm_key_load(ca->dir, files[i], &key)) != FM_OK)
            return st;
        for (size_t k = 0; k < ca->count; k++)
            if (!ca->all[k].key && EVP_PKEY_eq(X509_get0_pubkey(ca->all[k].cert), key) == 1 &&
                EVP_PKEY_up_ref(key) == 1)
                ca->all[k].key = key;
        EVP_PKEY_free(key);
    }
    for (size_t k = 0; k < ca->count; k++)
        if (!ca->all[k].key)
            return fm_ssl_fail(FM_EAUTH,
                               "%s: ca.key does not belong to ca.crt; restore both from the same "
                               "backup",
                               ca->dir);
    return FM_OK;
}

static fm_status take_parts(fm_ca *ca, bool newest_without_list)
{
    ca->count = ca->trust->ca_count;
    for (size_t i = 0; i < ca->count; i++) {
        const fm_trust_held *l = fm_trust_list_of(ca->trust, ca->trust->cas[i]);

        ca->all[i].cert = ca->trust->cas[i];
        ca->all[i].crl = l ? l->crl : NULL;
        if (!l && !(newest_without_list && i == 1))
            return i == 0 ? fm_fail(FM_ENOTFOUND,
                                    "%s/crl.pem: the CA's own list is not there; "
                                    "restore it from a backup: it alone says who was "
                                    "revoked",
                                    ca->dir)
                          : fm_fail(FM_ESTATE,
                                    "%s: the new CA has no list yet: its making was "
                                    "interrupted; give 'fedmoe-certs ca rotate' again",
                                    ca->dir);
    }
    ca->cert = ca->all[ca->count - 1].cert;
    ca->info = ca->trust->infos[ca->count - 1];
    return FM_OK;
}

static fm_status open_ca(const char *dir, uint32_t ms, bool newest_without_list, fm_ca **out)
{
    fm_ca *ca = NULL;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *ca, (void **)&ca)) != FM_OK)
        return st;
    ca->lock = -1;
    if ((st = fm_strdup(dir, &ca->dir)) != FM_OK || (st = lock_dir(ca, ms)) != FM_OK ||
        (st = fm_trust_load(dir, &ca->trust)) != FM_OK ||
        (st = take_parts(ca, newest_without_list)) != FM_OK || (st = load_keys(ca)) != FM_OK ||
        (st = check_newest(ca)) != FM_OK)
        goto done;
    ca->key = ca->all[ca->count - 1].key;
    sweep(ca); /* under the lock */
    *out = ca;
    ca = NULL;
done:
    fm_ca_close(&ca);
    return st;
}

fm_status fm_ca_open(const char *dir, fm_ca **out)
{
    return open_ca(dir, PATIENCE_MS, false, out);
}

fm_status fm_ca_open_within(const char *dir, uint32_t ms, fm_ca **out)
{
    return open_ca(dir, ms, false, out);
}

fm_status fm_ca_open_any(const char *dir, fm_ca **out)
{
    return open_ca(dir, PATIENCE_MS, true, out);
}

void fm_ca_close(fm_ca **ca)
{
    fm_ca *c = ca ? *ca : NULL;

    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        EVP_PKEY_free(c->all[i].key); /* wipes the private key */
    fm_trust_free(&c->trust);
    if (c->lock >= 0)
        (void)close(c->lock);
    free(c->dir);
    free(c);
    *ca = NULL;
}

bool fm_ca_voids(const fm_ca *ca, X509 *x)
{
    for (size_t i = 0; i < ca->count; i++)
        if (fm_cert_is_by(x, ca->all[i].cert))
            return fm_crl_has(ca->all[i].crl, x);
    return true;
}
