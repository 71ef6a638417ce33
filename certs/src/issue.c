/* Issue a certificate with its key to a new member. */
#include <stdlib.h>
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "trust_internal.h"

static fm_status plan_times(const fm_ca *ca, const fm_ca_request *req, fm_cert_plan *plan)
{
    int64_t now_s = fm_clock_wall_s();
    char when[32];

    plan->not_before_s = req->not_before_s ? req->not_before_s : now_s - FM_CLOCK_SLACK_S;
    if (!req->not_before_s && plan->not_before_s < ca->info.not_before_s)
        plan->not_before_s = ca->info.not_before_s;
    plan->not_after_s = req->not_after_s;
    if (plan->not_after_s == 0) {
        if (req->days < 1 || req->days > FM_DAYS_MAX)
            return fm_fail(FM_EINVAL, "a certificate of %u days; 1 to %u are allowed", req->days,
                           FM_DAYS_MAX);
        plan->not_after_s =
            (req->not_before_s ? req->not_before_s : now_s) + (int64_t)req->days * 24 * 3600;
        if (plan->not_after_s > ca->info.not_after_s)
            plan->not_after_s = ca->info.not_after_s;
    }
    if (plan->not_after_s > ca->info.not_after_s) {
        fm_clock_format(ca->info.not_after_s, when, sizeof when);
        return fm_fail(FM_EINVAL, "the certificate would outlive its CA, which ends on %s", when);
    }
    if (plan->not_before_s < 0 || plan->not_before_s >= plan->not_after_s)
        return fm_fail(FM_EINVAL, "the certificate would end before it begins");
    return FM_OK;
}

fm_status fm_issue_check_unique(const fm_ca *ca, const fm_cert_plan *plan)
{
    STACK_OF(X509) *certs = NULL;
    char when[32];
    fm_status st;

    if ((st = fm_issued_find(ca, plan->uri.name, &certs)) != FM_OK)
        return st;
    for (int i = 0; st == FM_OK && i < sk_X509_num(certs); i++) {
        X509 *x = sk_X509_value(certs, i);
        int64_t from = 0, to = 0;

        if ((st = fm_ssl_time(X509_get0_notBefore(x), &from)) != FM_OK ||
            (st = fm_ssl_time(X509_get0_notAfter(x), &to)) != FM_OK)
            break;
        if (from <= plan->not_after_s && plan->not_before_s <= to && !fm_ca_voids(ca, x)) {
            fm_clock_format(to, when, sizeof when);
            st = fm_fail(FM_EEXIST,
                         "%s: '%s' has a certificate until %s; a second run under this CA needs no "
                         "other one: give init the identity that is there (--identity); to replace "
                         "it, revoke it first ('fedmoe-certs revoke'), or let the new one begin "
                         "after that",
                         ca->dir, plan->uri.name, when);
        }
    }
    sk_X509_pop_free(certs, X509_free);
    return st;
}

/** No identity there yet, and no other CA pinned there. @param has_ca  out. */
static fm_status check_output(const fm_ca *ca, const char *out_dir, bool *has_ca)
{
    static const char *const files[] = { "identity.key", "identity.crt" };
    fm_trust *pinned = NULL;
    fm_hash theirs, ours;
    char *path = NULL;
    fm_status st;
    bool there = false;

    for (size_t i = 0; i < 2; i++) {
        if ((st = fm_exists_in(out_dir, files[i], &there)) != FM_OK)
            return st;
        if (there)
            return fm_fail(FM_EEXIST,
                           "%s/%s: an identity is here already and stays as it is; name another "
                           "directory, or move it away first",
                           out_dir, files[i]);
    }
    if ((st = fm_exists_in(out_dir, "ca.crt", has_ca)) != FM_OK || !*has_ca)
        return st;
    if ((st = fm_path_join(out_dir, "ca.crt", &path)) != FM_OK)
        return st;
    st = fm_trust_load_file(path, "", &pinned);
    free(path);
    if (st != FM_OK)
        return st;
    theirs = fm_trust_fingerprint(pinned);
    ours = fm_trust_fingerprint(ca->trust);
    if (!fm_hash_equal(&theirs, &ours))
        st = fm_fail(FM_EEXIST,
                     "%s/ca.crt: another CA (federation '%s') is pinned here; name another "
                     "directory",
                     out_dir, fm_trust_federation(pinned));
    fm_trust_free(&pinned);
    return st;
}

static fm_status write_crl_copy(const char *out_dir, const fm_buf *pem)
{
    char *path = NULL;
    fm_status st = fm_path_join(out_dir, "crl.pem", &path);

    if (st == FM_OK)
        st = fm_file_replace(path, pem->data, pem->len, 0644);
    free(path);
    return st;
}

/**
 * The CA's record first: whatever is interrupted when, what left the CA can be revoked.
 * identity.crt last: where it is, all is.
 */
static fm_status write_identity(const fm_ca *ca, const fm_cert_plan *plan, EVP_PKEY *key,
                                const X509 *cert, const char *out_dir, bool has_ca)
{
    fm_created made = { 0 };
    fm_buf cert_pem = { 0 }, ca_pem = { 0 }, crl_pem = { 0 };
    char record[FM_ISSUED_MAX];
    fm_status st;

    fm_issued_name(plan->uri.name, plan->serial, record);
    if ((st = fm_pem_cert(cert, &cert_pem)) != FM_OK ||
        (st = fm_trust_cas_pem(ca->trust, &ca_pem)) != FM_OK ||
        (st = fm_trust_lists_pem(ca->trust, &crl_pem)) != FM_OK ||
        (st = fm_dir_make(out_dir, 0700)) != FM_OK ||
        (st = fm_created_add(&made, ca->dir, record, cert_pem.data, cert_pem.len, 0644)) != FM_OK)
        goto done;
    if (!has_ca &&
        (st = fm_created_add(&made, out_dir, "ca.crt", ca_pem.data, ca_pem.len, 0644)) != FM_OK)
        goto done;
    if ((st = write_crl_copy(out_dir, &crl_pem)) == FM_OK &&
        (st = fm_created_add_key(&made, out_dir, "identity.key", key)) == FM_OK)
        st = fm_created_add(&made, out_dir, "identity.crt", cert_pem.data, cert_pem.len, 0644);
done:
    fm_created_end(&made, st == FM_OK);
    fm_buf_fini(&cert_pem);
    fm_buf_fini(&ca_pem);
    fm_buf_fini(&crl_pem);
    return st;
}

fm_status fm_issue_plan(const fm_ca *ca, const fm_ca_request *req, fm_cert_plan *plan)
{
    fm_status st;

    *plan = (fm_cert_plan){ .uri = { .role = req->role } };
    if ((st = plan_times(ca, req, plan)) != FM_OK)
        return st;
    memcpy(plan->uri.federation, ca->info.federation, sizeof ca->info.federation);
    memcpy(plan->uri.name, req->name, strlen(req->name) + 1);
    fm_random_bytes(plan->serial, sizeof plan->serial);
    return FM_OK;
}

fm_status fm_ca_issue(const char *ca_dir, const fm_ca_request *req, const char *out_dir)
{
    fm_ca *ca = NULL;
    fm_cert_plan plan;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    bool has_ca = false;
    fm_status st;

    if (!ca_dir || !req || !out_dir)
        return fm_fail(FM_EINVAL, "fm_ca_issue: NULL argument");
    if ((st = fm_name_check(req->name)) != FM_OK)
        return st;
    if (req->role != FM_ROLE_NODE && req->role != FM_ROLE_AGGREGATOR)
        return fm_fail(FM_EINVAL, "role %d is not known; use node or aggregator", (int)req->role);

    if ((st = fm_ca_open(ca_dir, &ca)) == FM_OK && (st = fm_issue_plan(ca, req, &plan)) == FM_OK &&
        (st = check_output(ca, out_dir, &has_ca)) == FM_OK &&
        (st = fm_issue_check_unique(ca, &plan)) == FM_OK &&
        (st = fm_key_new(req->type, &key)) == FM_OK &&
        (st = fm_cert_sign(&plan, key, ca->cert, ca->key, &cert)) == FM_OK)
        st = write_identity(ca, &plan, key, cert, out_dir, has_ca);
    X509_free(cert);
    EVP_PKEY_free(key);
    fm_ca_close(&ca);
    return st;
}
