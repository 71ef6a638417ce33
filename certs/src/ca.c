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

fm_status fm_ca_new(const char *dir, const char *federation, fm_key_type type, unsigned days)
{
    fm_cert_plan plan = { .uri = { .is_ca = true } };
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    X509_CRL *crl = NULL;
    int64_t now_s = fm_clock_wall_s();
    fm_status st;

    if (!dir)
        return fm_fail(FM_EINVAL, "fm_ca_new: NULL argument");
    if ((st = fm_name_check(federation)) != FM_OK)
        return fm_fail_context(st, "federation: ");
    if (days < 1 || days > FM_DAYS_MAX)
        return fm_fail(FM_EINVAL, "a CA of %u days; 1 to %u are allowed", days, FM_DAYS_MAX);
    memcpy(plan.uri.federation, federation, strlen(federation) + 1);
    plan.not_before_s = now_s - FM_CLOCK_SLACK_S;
    plan.not_after_s = now_s + (int64_t)days * 24 * 3600;
    fm_random_bytes(plan.serial, sizeof plan.serial);

    if ((st = check_empty(dir)) == FM_OK && (st = fm_key_new(type, &key)) == FM_OK &&
        (st = fm_cert_sign(&plan, key, NULL, key, &cert)) == FM_OK &&
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
    free(issued);
}

static fm_status check_ca(const fm_ca *ca, const fm_cert_facts *facts)
{
    char when[32];

    if (!facts->is_ca)
        return fm_fail(FM_EPARSE, "%s/ca.crt: a member's certificate, not a CA's", ca->dir);
    if (X509_check_private_key(ca->cert, ca->key) != 1)
        return fm_ssl_fail(FM_EAUTH,
                           "%s: ca.key does not belong to ca.crt; restore both from the same "
                           "backup",
                           ca->dir);
    if (facts->info.not_after_s <= fm_clock_wall_s()) {
        fm_clock_format(facts->info.not_after_s, when, sizeof when);
        return fm_fail(FM_ESTATE,
                       "%s: the CA expired on %s; make a new one with 'fedmoe-certs ca new' and "
                       "invite the members again",
                       ca->dir, when);
    }
    return FM_OK;
}

fm_status fm_ca_open(const char *dir, fm_ca **out)
{
    return fm_ca_open_within(dir, PATIENCE_MS, out);
}

fm_status fm_ca_open_within(const char *dir, uint32_t ms, fm_ca **out)
{
    fm_ca *ca = NULL;
    fm_cert_facts facts;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *ca, (void **)&ca)) != FM_OK)
        return st;
    ca->lock = -1;
    if ((st = fm_strdup(dir, &ca->dir)) != FM_OK || (st = lock_dir(ca, ms)) != FM_OK ||
        (st = fm_cert_load_in(dir, "ca.crt", &ca->cert, &facts)) != FM_OK ||
        (st = fm_key_load(dir, "ca.key", &ca->key)) != FM_OK ||
        (st = check_ca(ca, &facts)) != FM_OK ||
        (st = fm_crl_load(dir, "crl.pem", ca->cert, &ca->crl)) != FM_OK)
        goto done;
    ca->info = facts.info;
    sweep(ca); /* under the lock */
    *out = ca;
    ca = NULL;
done:
    fm_ca_close(&ca);
    return st;
}

void fm_ca_close(fm_ca **ca)
{
    fm_ca *c = ca ? *ca : NULL;

    if (!c)
        return;
    X509_CRL_free(c->crl);
    EVP_PKEY_free(c->key); /* wipes the private key */
    X509_free(c->cert);
    if (c->lock >= 0)
        (void)close(c->lock);
    free(c->dir);
    free(c);
    *ca = NULL;
}
