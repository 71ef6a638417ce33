/* The CA signs a member's request. */
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/certs/enrol.h"

static fm_status encode(const X509 *x, fm_buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    fm_status st;

    if (len <= 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode the certificate");
    st = fm_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return st;
}

/** A certificate that still stands for this key and role. */
static bool answers(const fm_ca *ca, X509 *x, const EVP_PKEY *key, const fm_request_info *info)
{
    fm_cert_facts f;

    return fm_cert_facts_of(x, &f) == FM_OK && f.info.role == info->role &&
           f.info.not_after_s > fm_clock_wall_s() && !fm_ca_voids(ca, x) &&
           EVP_PKEY_eq(X509_get0_pubkey(x), key) == 1;
}

/** What this key was given before; *found false when it was not. */
static fm_status find_given(const fm_ca *ca, const EVP_PKEY *key, const fm_request_info *info,
                            bool *found, fm_buf *cert)
{
    STACK_OF(X509) *certs = NULL;
    fm_status st = fm_issued_find(ca, info->name, &certs);

    *found = false;
    for (int i = 0; st == FM_OK && !*found && i < sk_X509_num(certs); i++) {
        *found = answers(ca, sk_X509_value(certs, i), key, info);
        if (*found)
            st = encode(sk_X509_value(certs, i), cert);
    }
    sk_X509_pop_free(certs, X509_free);
    return st;
}

/** The record first: whatever is interrupted when, what left the CA can be revoked. */
static fm_status record(const fm_ca *ca, const fm_cert_plan *plan, const X509 *cert)
{
    fm_created made = { 0 };
    fm_buf pem = { 0 };
    char name[FM_ISSUED_MAX];
    fm_status st;

    fm_issued_name(plan->uri.name, plan->serial, name);
    if ((st = fm_pem_cert(cert, &pem)) == FM_OK)
        st = fm_created_add(&made, ca->dir, name, pem.data, pem.len, 0644);
    fm_created_end(&made, st == FM_OK);
    fm_buf_fini(&pem);
    return st;
}

static fm_status issue(const fm_ca *ca, EVP_PKEY *key, const fm_request_info *info, unsigned days,
                       fm_buf *out)
{
    const fm_ca_request req = { .role = info->role, .name = info->name, .days = days };
    fm_cert_plan plan;
    X509 *cert = NULL;
    fm_status st;

    if ((st = fm_issue_plan(ca, &req, &plan)) == FM_OK &&
        (st = fm_issue_check_unique(ca, &plan)) == FM_OK &&
        (st = fm_cert_sign(&plan, key, ca->cert, ca->key, &cert)) == FM_OK &&
        (st = record(ca, &plan, cert)) == FM_OK)
        st = encode(cert, out);
    X509_free(cert);
    return st;
}

fm_status fm_ca_sign_request(const char *ca_dir, const uint8_t *der, size_t len, unsigned days,
                             fm_buf *cert)
{
    fm_request_info info;
    EVP_PKEY *key = NULL;
    fm_ca *ca = NULL;
    bool found = false;
    fm_status st;

    if (!ca_dir || !cert)
        return fm_fail(FM_EINVAL, "fm_ca_sign_request: NULL argument");
    fm_buf_init(cert, FM_CERT_MAX_BYTES);
    if ((st = fm_request_open(der, len, &info, &key)) != FM_OK ||
        (st = fm_ca_open_within(ca_dir, FM_CA_SOON_MS, &ca)) != FM_OK)
        goto done;
    if (strcmp(info.federation, ca->info.federation) != 0) {
        st = fm_fail(FM_EAUTH, "a request for federation '%s'; this CA is that of '%s'",
                     info.federation, ca->info.federation);
        goto done;
    }
    st = find_given(ca, key, &info, &found, cert);
    if (st == FM_OK && !found)
        st = issue(ca, key, &info, days, cert);
done:
    fm_ca_close(&ca);
    EVP_PKEY_free(key);
    if (st != FM_OK)
        fm_buf_fini(cert);
    return st;
}

/* ---- the next one of a key ---- */

bool fm_cert_is_due(const fm_cert_info *info, int64_t now_s)
{
    return (info->not_after_s - now_s) < (info->not_after_s - info->not_before_s) / 3;
}

/** The certificate of this key that lasts longest, of several the one made last. @param found  borrowed from the list, or NULL. */
static fm_status find_last(const fm_ca *ca, const EVP_PKEY *key, const fm_request_info *info,
                           STACK_OF(X509) * certs, X509 **found, fm_cert_info *last)
{
    fm_cert_facts f;

    *found = NULL;
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *x = sk_X509_value(certs, i);
        fm_status st;

        if (!answers(ca, x, key, info))
            continue;
        if ((st = fm_cert_facts_of(x, &f)) != FM_OK)
            return st;
        if (*found &&
            (f.info.not_after_s < last->not_after_s || (f.info.not_after_s == last->not_after_s &&
                                                        f.info.not_before_s <= last->not_before_s)))
            continue;
        *found = x;
        *last = f.info;
    }
    if (!*found)
        return fm_fail(FM_EAUTH, "the key of '%s' holds no certificate that could be renewed",
                       info->name);
    return FM_OK;
}

static fm_status renew(const fm_ca *ca, EVP_PKEY *key, const fm_request_info *info, fm_buf *out)
{
    STACK_OF(X509) *certs = NULL;
    fm_cert_info last = { 0 };
    fm_cert_plan plan;
    X509 *found = NULL, *made = NULL;
    const int64_t now_s = fm_clock_wall_s();
    fm_ca_request req = { .role = info->role, .name = info->name };
    char when[32];
    fm_status st;

    if ((st = fm_issued_find(ca, info->name, &certs)) != FM_OK ||
        (st = find_last(ca, key, info, certs, &found, &last)) != FM_OK)
        goto done;
    /* One of a CA that has a successor is due whenever it is asked for. */
    if (!fm_cert_is_due(&last, now_s) && fm_cert_is_by(found, ca->cert)) {
        st = encode(found, out);
        goto done;
    }
    if (last.not_after_s >= ca->info.not_after_s) {
        fm_clock_format(ca->info.not_after_s, when, sizeof when);
        st = fm_fail(FM_ESTATE,
                     "%s: the CA itself ends on %s, and with it the certificate of '%s': there is "
                     "none that lasts longer; a new CA is needed",
                     ca->dir, when, info->name);
        goto done;
    }
    req.not_before_s = now_s - FM_CLOCK_SLACK_S;
    req.not_after_s = now_s + (last.not_after_s - last.not_before_s);
    if (req.not_after_s > ca->info.not_after_s)
        req.not_after_s = ca->info.not_after_s;
    if ((st = fm_issue_plan(ca, &req, &plan)) == FM_OK &&
        (st = fm_cert_sign(&plan, key, ca->cert, ca->key, &made)) == FM_OK &&
        (st = record(ca, &plan, made)) == FM_OK)
        st = encode(made, out);
done:
    X509_free(made);
    sk_X509_pop_free(certs, X509_free);
    return st;
}

fm_status fm_ca_renew_request(const char *ca_dir, const uint8_t *der, size_t len, fm_buf *cert)
{
    fm_request_info info;
    EVP_PKEY *key = NULL;
    fm_ca *ca = NULL;
    fm_status st;

    if (!ca_dir || !cert)
        return fm_fail(FM_EINVAL, "fm_ca_renew_request: NULL argument");
    fm_buf_init(cert, FM_CERT_MAX_BYTES);
    if ((st = fm_request_open(der, len, &info, &key)) == FM_OK &&
        (st = fm_ca_open_within(ca_dir, FM_CA_SOON_MS, &ca)) == FM_OK)
        st = strcmp(info.federation, ca->info.federation) == 0
                 ? renew(ca, key, &info, cert)
                 : fm_fail(FM_EAUTH, "a request for federation '%s'; this CA is that of '%s'",
                           info.federation, ca->info.federation);
    fm_ca_close(&ca);
    EVP_PKEY_free(key);
    if (st != FM_OK)
        fm_buf_fini(cert);
    return st;
}
