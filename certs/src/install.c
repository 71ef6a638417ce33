/* What came back for a request: checked whole, then made the identity of a folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "fedmoe/certs/succession.h"
#include "signer.h"
#include "trust_internal.h"

typedef struct {
    X509 *ca, *cert;
    fm_trust *trust;
    fm_peer *self;
} answer;

static void answer_fini(answer *a)
{
    fm_peer_free(&a->self);
    fm_trust_free(&a->trust);
    X509_free(a->cert);
    X509_free(a->ca);
}

/** What was pinned in the folder before stays, and may be more than this CA. @param out  NULL: none. */
static fm_status load_pinned(const char *dir, const fm_hash *fingerprint, fm_trust **out)
{
    bool there = false;
    fm_hash has;
    fm_status st;

    if ((st = fm_exists_in(dir, "ca.crt", &there)) != FM_OK || !there ||
        (st = fm_trust_load_cas(dir, out)) != FM_OK)
        return st;
    has = fm_trust_fingerprint(*out);
    if (fm_hash_equal(&has, fingerprint))
        return FM_OK;
    fm_trust_free(out);
    return fm_fail(FM_EEXIST,
                   "%s/ca.crt: another CA than the join code's is pinned here; name another "
                   "folder, or move ca.crt, crl.pem and identity.* away first",
                   dir);
}

/** The CA that the code names, and no other; with the newest list that the folder has of it. */
static fm_status check_ca(const char *dir, const fm_enrolment *e, const fm_hash *fingerprint,
                          answer *a)
{
    fm_cert_facts facts;
    fm_trust *bare = NULL;
    fm_status st;

    if (fm_cert_parse(e->ca, e->ca_len, &a->ca) != FM_OK ||
        fm_cert_facts_of(a->ca, &facts) != FM_OK)
        return fm_fail_context(FM_EAUTH, "the CA that was sent: ");
    if (!fm_hash_equal(&facts.info.fingerprint, fingerprint))
        return fm_fail(FM_EAUTH, "the CA that was sent is not the one that the join code names: "
                                 "somebody stands between, or the federation has a new CA; ask the "
                                 "coordinator");
    if ((st = fm_ca_cert_check("the CA that was sent", a->ca, &facts)) != FM_OK ||
        (st = load_pinned(dir, fingerprint, &bare)) != FM_OK ||
        (!bare && (st = fm_trust_new(a->ca, &facts.info, &bare)) != FM_OK))
        return st;
    st = fm_trust_newest(bare, dir, &a->trust);
    fm_trust_free(&bare);
    return st;
}

static void use(answer *a, fm_trust *t)
{
    if (!t)
        return;
    fm_trust_free(&a->trust);
    a->trust = t;
}

/** One that is older than what the folder has is no newer by being sent: what it has counts. */
static fm_status take_crl(const uint8_t *crl, size_t len, answer *a)
{
    fm_trust *revised = NULL;
    fm_status st;

    if (len == 0)
        return FM_OK;
    st = fm_trust_revise(a->trust, crl, len, &revised);
    if (st == FM_EREPLAY)
        return FM_OK;
    if (st != FM_OK)
        return fm_fail_context(st, "the revocation list that was sent: ");
    use(a, revised);
    return FM_OK;
}

/** Only the CA that the code names can have named it. */
static fm_status take_successor(const fm_enrolment *e, int64_t now_s, answer *a)
{
    const fm_succession s = { e->next, e->next_len, e->next_signature, e->next_signature_len };
    fm_trust *both = NULL;
    fm_status st;

    if (e->next_len == 0)
        return FM_OK;
    if ((st = fm_trust_succeed(a->trust, &s, now_s, &both)) != FM_OK)
        return st;
    use(a, both);
    return take_crl(e->next_crl, e->next_crl_len, a);
}

static fm_status check_own(const char *dir, const char *federation, const char *name,
                           const fm_enrolment *e, int64_t now_s, answer *a)
{
    fm_signer *key = NULL;
    fm_status st;

    if (strcmp(fm_trust_federation(a->trust), federation) != 0)
        return fm_fail(FM_EAUTH, "the CA that was sent is that of federation '%s', not '%s'",
                       fm_trust_federation(a->trust), federation);
    if ((st = fm_peer_verify(a->trust, e->cert, e->cert_len, FM_ROLE_NODE, now_s, &a->self)) !=
            FM_OK ||
        (st = fm_cert_parse(e->cert, e->cert_len, &a->cert)) != FM_OK)
        return fm_fail_context(st, "the certificate that was sent: ");
    if (strcmp(fm_peer_info(a->self)->name, name) != 0)
        return fm_fail(FM_EAUTH, "the certificate that was sent names '%s', not '%s'",
                       fm_peer_info(a->self)->name, name);
    if ((st = fm_signer_load(dir, &key)) != FM_OK)
        return st;
    if (EVP_PKEY_eq(X509_get0_pubkey(a->cert), fm_signer_public(key)) != 1)
        st = fm_ssl_fail(FM_EAUTH, "the certificate that was sent is not for the key in %s", dir);
    fm_signer_free(&key);
    return st;
}

static fm_status replace_pem(const char *dir, const char *name, const X509 *x)
{
    fm_buf pem = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_pem_cert(x, &pem)) == FM_OK && (st = fm_path_join(dir, name, &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    return st;
}

/** A list of a CA that was here before would make the new one unusable. */
static fm_status remove_lists(const char *dir)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, "crl.pem", &path);

    if (st == FM_OK && remove(path) != 0 && errno != ENOENT)
        st = fm_fail(FM_EIO, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return st;
}

/** identity.crt last: where it is, all is. */
static fm_status write_files(const char *dir, const answer *a)
{
    fm_status st = fm_trust_save_cas(a->trust, dir);

    if (st == FM_OK)
        st = fm_trust_list_count(a->trust) > 0 ? fm_trust_save_crl(a->trust, dir)
                                               : remove_lists(dir);
    if (st == FM_OK && (st = replace_pem(dir, "identity.crt", a->cert)) == FM_OK) {
        fm_created_sweep(dir, "identity."); /* a whole key may be among what was left */
        fm_created_sweep(dir, "ca.crt");
    }
    return st;
}

fm_status fm_identity_install(const char *dir, const fm_hash *ca_fingerprint,
                              const char *federation, const char *name, const fm_enrolment *e,
                              int64_t now_s)
{
    answer a = { 0 };
    fm_status st;

    if (!dir || !ca_fingerprint || !federation || !name || !e)
        return fm_fail(FM_EINVAL, "fm_identity_install: NULL argument");
    if ((st = check_ca(dir, e, ca_fingerprint, &a)) == FM_OK &&
        (st = take_crl(e->crl, e->crl_len, &a)) == FM_OK &&
        (st = take_successor(e, now_s, &a)) == FM_OK &&
        (st = check_own(dir, federation, name, e, now_s, &a)) == FM_OK)
        st = write_files(dir, &a);
    answer_fini(&a);
    return st;
}
