/* The CA's folder gets a second CA, and later loses the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/succession.h"
#include "signer.h"
#include "succession_internal.h"
#include "trust_internal.h"

/** The key of an interrupted attempt, or a new one. */
static fm_status next_key(const char *dir, fm_key_type type, EVP_PKEY **out)
{
    fm_created made = { 0 };
    EVP_PKEY *key = NULL;
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "next.key", &there)) != FM_OK)
        return st;
    if (there)
        return fm_key_load(dir, "next.key", out);
    if ((st = fm_key_new(type, &key)) != FM_OK)
        return st;
    st = fm_created_add_key(&made, dir, "next.key", key);
    fm_created_end(&made, st == FM_OK);
    if (st == FM_OK)
        *out = key;
    else
        EVP_PKEY_free(key);
    return st;
}

/** The old CA's signature over the new one. */
static fm_status name_successor(const fm_ca *ca, X509 *next, fm_buf *der,
                                uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    unsigned char *bytes = NULL;
    const int len = i2d_X509(next, &bytes);
    fm_buf input = { 0 };
    fm_signer *key = NULL;
    fm_status st;

    if (len <= 0 || (size_t)len > FM_SUCCESSOR_MAX_BYTES)
        return fm_ssl_fail(FM_EINTERNAL, "cannot encode the new CA");
    st = fm_buf_append(der, bytes, (size_t)len);
    OPENSSL_free(bytes);
    if (st == FM_OK && (st = fm_signer_of(ca->key, &key)) == FM_OK &&
        (st = fm_succession_bytes(&ca->info.fingerprint, der->data, der->len, &input)) == FM_OK)
        st = fm_signer_sign(key, input.data, input.len, sig, sig_len);
    fm_signer_free(&key);
    fm_buf_fini(&input);
    return st;
}

/** ca.crt with both: from here on the new one is there. */
static fm_status add_ca(const fm_ca *ca, fm_key_type type, unsigned days)
{
    uint8_t sig[FM_SIGNATURE_MAX];
    fm_succession s = { .signature = sig };
    EVP_PKEY *key = NULL;
    X509 *next = NULL;
    fm_trust *both = NULL;
    fm_buf der = { 0 };
    fm_status st;

    if ((st = next_key(ca->dir, type, &key)) == FM_OK &&
        (st = fm_ca_make(ca->info.federation, key, days, &next)) == FM_OK &&
        (st = name_successor(ca, next, &der, sig, &s.signature_len)) == FM_OK) {
        s.ca = der.data;
        s.ca_len = der.len;
        /* By the same check that every member will make. */
        if ((st = fm_trust_succeed(ca->trust, &s, fm_clock_wall_s(), &both)) == FM_OK)
            st = fm_trust_save_cas(both, ca->dir);
    }
    fm_trust_free(&both);
    X509_free(next);
    EVP_PKEY_free(key);
    fm_buf_fini(&der);
    return st;
}

fm_status fm_ca_rotate(const char *ca_dir, fm_key_type type, unsigned days)
{
    fm_ca *ca = NULL;
    fm_status st;

    if (!ca_dir)
        return fm_fail(FM_EINVAL, "fm_ca_rotate: NULL argument");
    if ((st = fm_ca_open_any(ca_dir, &ca)) != FM_OK)
        return st;
    if (ca->count == 2 && ca->all[1].crl) {
        st = fm_fail(FM_EEXIST,
                     "%s: the CA has a successor already; drop the older one first ('fedmoe-certs "
                     "ca drop')",
                     ca_dir);
    } else if (ca->count == 1 && (st = add_ca(ca, type, days)) == FM_OK) {
        fm_ca_close(&ca);
        st = fm_ca_open_any(ca_dir, &ca);
    }
    if (st == FM_OK)
        st = fm_ca_write_lists(ca, NULL);
    fm_ca_close(&ca);
    return st;
}

/* ---- the end of the older one ---- */

/** Whoever drops the CA that vouches for itself would lock itself out. */
static fm_status check_own(const char *dir, const fm_trust *t, const fm_trust *rest)
{
    fm_identity *id = NULL;
    fm_peer *self = NULL;
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "identity.crt", &there)) != FM_OK || !there)
        return st;
    if ((st = fm_identity_load(dir, &id)) != FM_OK)
        return st;
    if ((st = fm_peer_verify_self(rest, id, fm_identity_info(id)->role, fm_clock_wall_s(),
                                  &self)) != FM_OK)
        st = fm_fail(st == FM_ENOMEM ? st : FM_ESTATE,
                     "%s/identity.crt is not of the newer CA yet: it must be renewed first%s", dir,
                     fm_trust_succession(t).ca_len > 0
                         ? " ('fedmoe-certs renew', or by itself while "
                           "the node runs)"
                         : "");
    fm_peer_free(&self);
    fm_identity_free(&id);
    return st;
}

/** next.key becomes ca.key, and what that was is gone: only when it is the pinned CA's. */
static fm_status promote_key(const char *dir, X509 *ca, bool *done)
{
    EVP_PKEY *key = NULL;
    char *from = NULL, *to = NULL;
    bool there = false;
    fm_status st;

    *done = false;
    if ((st = fm_exists_in(dir, "next.key", &there)) != FM_OK || !there)
        return st;
    if ((st = fm_key_load(dir, "next.key", &key)) != FM_OK)
        return st;
    *done = EVP_PKEY_eq(X509_get0_pubkey(ca), key) == 1;
    EVP_PKEY_free(key);
    if (!*done)
        return FM_OK;
    if ((st = fm_path_join(dir, "next.key", &from)) == FM_OK &&
        (st = fm_path_join(dir, "ca.key", &to)) == FM_OK && rename(from, to) != 0)
        st = fm_fail(FM_EIO, "%s: cannot take the place of %s", from, to);
    free(from);
    free(to);
    return st;
}

fm_status fm_ca_drop(const char *dir)
{
    fm_trust *t = NULL, *rest = NULL;
    bool is_ca = false, promoted = false;
    int lock = -1;
    fm_status st;

    if (!dir)
        return fm_fail(FM_EINVAL, "fm_ca_drop: NULL argument");
    if ((st = fm_exists_in(dir, "ca.key", &is_ca)) != FM_OK ||
        (is_ca && (st = fm_dir_lock(dir, &lock)) != FM_OK) ||
        (st = fm_trust_load(dir, &t)) != FM_OK)
        goto done;
    if (t->ca_count < 2) {
        st = promote_key(dir, t->cas[0], &promoted); /* what an interrupted call has left */
        if (st == FM_OK && !promoted)
            st = fm_fail(FM_ENOTFOUND, "%s/ca.crt: only one CA is pinned, and it stays", dir);
    } else if ((st = fm_trust_copy_of(t, 1, NULL, &rest)) == FM_OK &&
               (st = check_own(dir, t, rest)) == FM_OK &&
               (st = fm_trust_narrow(rest, dir)) == FM_OK) {
        st = promote_key(dir, t->cas[1], &promoted);
    }
done:
    fm_trust_free(&rest);
    fm_trust_free(&t);
    if (lock >= 0)
        fm_dir_unlock(&lock);
    return st;
}

/* ---- an identity at the coordinator's desk ---- */

fm_status fm_ca_renew_identity(const char *ca_dir, const char *dir, int64_t now_s)
{
    fm_identity *id = NULL;
    fm_trust *t = NULL;
    fm_buf request = { 0 }, cert = { 0 };
    fm_status st;

    if (!ca_dir || !dir)
        return fm_fail(FM_EINVAL, "fm_ca_renew_identity: NULL argument");
    if ((st = fm_identity_load(dir, &id)) == FM_OK && (st = fm_trust_load(dir, &t)) == FM_OK &&
        (st = fm_identity_request(id, &request)) == FM_OK &&
        (st = fm_ca_renew_request(ca_dir, request.data, request.len, &cert)) == FM_OK)
        st = fm_identity_renew(dir, id, t, cert.data, cert.len, now_s);
    fm_buf_fini(&request);
    fm_buf_fini(&cert);
    fm_trust_free(&t);
    fm_identity_free(&id);
    return st;
}
