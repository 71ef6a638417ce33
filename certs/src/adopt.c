/* Certificates of another PKI: the request for one, and what came back. docs/pki.md. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "fedmoe/base/file.h"
#include "signer.h"
#include "trust_internal.h"

/* ---- asking ---- */

fm_status fm_request_write(const char *dir, const fm_request_plan *plan, char **path)
{
    fm_buf der = { 0 }, pem = { 0 };
    char *file = NULL;
    fm_status st;

    if (!path)
        return fm_fail(FM_EINVAL, "fm_request_write: NULL argument");
    if ((st = fm_request_begin(dir, plan, &der)) == FM_OK &&
        (st = fm_pem_add("CERTIFICATE REQUEST", der.data, der.len, &pem)) == FM_OK &&
        (st = fm_path_join(dir, "identity.csr", &file)) == FM_OK &&
        (st = fm_file_replace(file, pem.data, pem.len, 0644)) == FM_OK) {
        *path = file;
        file = NULL;
    }
    free(file);
    fm_buf_fini(&der);
    fm_buf_fini(&pem);
    return st;
}

/* ---- what came back ---- */

typedef struct {
    const char *dir;
    const fm_adoption *in;
    X509 *own;
    fm_cert_facts facts;
    fm_signer *key;
    fm_trust *trust;
    STACK_OF(X509) * chain; /* own first, pinned CA last */
    bool pinned;            /* ca.crt is in the folder already */
} adoption;

static void adoption_fini(adoption *a)
{
    X509_free(a->own);
    fm_signer_free(&a->key);
    fm_trust_free(&a->trust);
    sk_X509_pop_free(a->chain, X509_free);
}

/** What was asked for, when the request is still there; and whose identity is here already. */
static fm_status check_asked(const adoption *a)
{
    const fm_cert_info *got = &a->facts.info;
    fm_request_info asked;
    fm_identity *old = NULL;
    fm_buf der = { 0 };
    bool there = false;
    fm_status st;

    if ((st = fm_exists_in(a->dir, "identity.csr", &there)) != FM_OK)
        return st;
    if (there) {
        if ((st = fm_pem_read_in(a->dir, "identity.csr", "CERTIFICATE REQUEST", FM_CERT_FILE_LIMIT,
                                 &der)) == FM_OK)
            st = fm_request_check(der.data, der.len, &asked);
        fm_buf_fini(&der);
        if (st != FM_OK)
            return fm_fail_context(st, "%s/identity.csr: ", a->dir);
        if (asked.role != got->role || strcmp(asked.name, got->name) != 0 ||
            strcmp(asked.federation, got->federation) != 0)
            return fm_fail(FM_EAUTH, "%s: names %s '%s' of '%s', but asked for was %s '%s' of '%s'",
                           a->in->certificate, fm_role_name(got->role), got->name, got->federation,
                           fm_role_name(asked.role), asked.name, asked.federation);
    }
    if ((st = fm_exists_in(a->dir, "identity.crt", &there)) != FM_OK || !there)
        return st;
    if ((st = fm_identity_load(a->dir, &old)) != FM_OK)
        return st;
    if (fm_identity_info(old)->role != got->role ||
        strcmp(fm_identity_info(old)->name, got->name) != 0 ||
        strcmp(fm_identity_info(old)->federation, got->federation) != 0)
        st = fm_fail(FM_EEXIST, "%s holds the identity of %s '%s' already", a->dir,
                     fm_role_name(fm_identity_info(old)->role), fm_identity_info(old)->name);
    fm_identity_free(&old);
    return st;
}

static fm_status check_own(adoption *a)
{
    const char *file = a->in->certificate;
    fm_status st;

    if ((st = fm_cert_load_first(file, &a->own, &a->facts)) != FM_OK)
        return st;
    if (a->facts.is_ca)
        return fm_fail(FM_EAUTH, "%s: a CA's certificate comes first, not the member's", file);
    if ((st = fm_signer_load(a->dir, &a->key)) != FM_OK)
        return st;
    if (EVP_PKEY_eq(X509_get0_pubkey(a->own), fm_signer_public(a->key)) != 1)
        return fm_ssl_fail(FM_EAUTH,
                           "%s: the certificate is not for the key in %s; it belongs to another "
                           "request",
                           file, a->dir);
    return check_asked(a);
}

/** The folder's CAs; or those of the file, which are pinned with this. */
static fm_status open_trust(adoption *a)
{
    fm_trust *given = NULL;
    fm_hash x, y;
    fm_status st;

    if ((st = fm_exists_in(a->dir, "ca.crt", &a->pinned)) != FM_OK)
        return st;
    if (!a->pinned && !a->in->ca)
        return fm_fail(FM_EINVAL, "%s/ca.crt is not there yet: name the CA's file", a->dir);
    if (a->in->ca &&
        (st = fm_trust_load_file(a->in->ca, a->facts.info.federation, &given)) != FM_OK)
        return st;
    if (!a->pinned) {
        a->trust = given;
        return FM_OK;
    }
    if ((st = fm_trust_load(a->dir, &a->trust)) == FM_OK && given) {
        x = fm_trust_fingerprint(a->trust);
        y = fm_trust_fingerprint(given);
        if (!fm_hash_equal(&x, &y))
            st = fm_fail(FM_EEXIST, "%s/ca.crt: another CA than that of %s is pinned here", a->dir,
                         a->in->ca);
    }
    fm_trust_free(&given);
    return st;
}

enum { BLOCK_CERT, BLOCK_LIST };

/** Every intermediate CA of a file; what is none of ours (the member, a root) is passed over. */
static fm_status know_file(adoption *a, const char *file, fm_pem_list *blocks)
{
    static const char *const types[] = { "CERTIFICATE", "X509 CRL", NULL };
    fm_status st = fm_pem_read_list(file, types, FM_CRL_FILE_LIMIT, blocks);

    /* Twice: the one above may stand behind the one below. */
    for (size_t k = 0; st == FM_OK && k < 2 * blocks->count; k++) {
        const fm_pem_block *b = &blocks->blocks[k % blocks->count];
        X509 *x = NULL;

        if (b->type != BLOCK_CERT)
            continue;
        if ((st = fm_cert_parse(b->der.data, b->der.len, &x)) != FM_OK)
            return fm_fail_context(st, "%s: ", file);
        if (X509_cmp(x, a->own) != 0 && fm_trust_know(a->trust, x) == FM_ENOMEM)
            st = FM_ENOMEM;
        X509_free(x);
    }
    ERR_clear_error();
    return st;
}

static fm_status know_in(adoption *a, const char *file)
{
    fm_pem_list blocks = { 0 };
    fm_status st = know_file(a, file, &blocks);

    fm_pem_list_fini(&blocks);
    return st;
}

static fm_status take_lists(adoption *a, const char *file)
{
    fm_pem_list blocks = { 0 };
    fm_status st = know_file(a, file, &blocks);

    for (size_t i = 0; st == FM_OK && i < blocks.count; i++) {
        const fm_buf *der = &blocks.blocks[i].der;
        fm_trust *fresh = NULL;

        if (blocks.blocks[i].type != BLOCK_LIST)
            continue;
        if ((st = fm_trust_revise(a->trust, der->data, der->len, &fresh)) != FM_OK)
            st = fm_fail_context(st, "%s: ", file);
        if (!fresh)
            continue; /* the one that is here already, or a failure */
        fm_trust_free(&a->trust);
        a->trust = fresh;
    }
    fm_pem_list_fini(&blocks);
    return st;
}

static fm_status check_chain(adoption *a, int64_t now_s)
{
    unsigned char *der = NULL;
    const int len = i2d_X509(a->own, &der);
    fm_peer *self = NULL;
    fm_status st;

    if (len <= 0)
        return fm_ssl_fail(FM_ENOMEM, "cannot encode the certificate");
    if ((st = fm_peer_verify(a->trust, der, (size_t)len, a->facts.info.role, now_s, &self)) ==
        FM_OK)
        st = fm_trust_chain_of_ca(a->trust, a->own, &a->chain);
    OPENSSL_free(der);
    fm_peer_free(&self);
    if (st != FM_OK)
        return fm_fail_context(st, "%s: ", a->in->certificate);
    for (int i = 1; i + 1 < sk_X509_num(a->chain); i++)
        if (i2d_X509(sk_X509_value(a->chain, i), NULL) > (int)FM_INTERMEDIATE_MAX_BYTES)
            return fm_fail(FM_EAUTH, "%s: an intermediate CA's certificate is longer than %u bytes",
                           a->in->certificate, FM_INTERMEDIATE_MAX_BYTES);
    return FM_OK;
}

static fm_status write_in(const char *dir, const char *name, const fm_buf *text)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK)
        st = fm_file_replace(path, text->data, text->len, 0644);
    free(path);
    return st;
}

/** The member's certificate, and the CAs between it and the pinned one. */
static fm_status write_own(const adoption *a)
{
    fm_buf pem = { 0 };
    fm_status st = FM_OK;

    for (int i = 0; st == FM_OK && i + 1 < sk_X509_num(a->chain); i++) {
        fm_buf one = { 0 };

        if ((st = fm_pem_cert(sk_X509_value(a->chain, i), &one)) == FM_OK)
            st = fm_buf_append(&pem, one.data, one.len);
        fm_buf_fini(&one);
    }
    if (st == FM_OK)
        st = write_in(a->dir, "identity.crt", &pem);
    fm_buf_fini(&pem);
    return st;
}

/** identity.crt last: where it is, all is. */
static fm_status write_all(const adoption *a)
{
    fm_buf line = { 0 };
    fm_status st = FM_OK;

    if (!a->pinned) {
        if ((st = fm_buf_printf(&line, "%s\n", fm_trust_federation(a->trust))) == FM_OK &&
            !a->trust->infos[0].federation[0])
            st = write_in(a->dir, "federation", &line);
        fm_buf_fini(&line);
        if (st == FM_OK)
            st = fm_trust_save_cas(a->trust, a->dir);
    }
    if (st == FM_OK && fm_trust_list_count(a->trust) > 0)
        st = fm_trust_save_crl(a->trust, a->dir);
    return st == FM_OK ? write_own(a) : st;
}

fm_status fm_identity_adopt(const char *dir, const fm_adoption *in, int64_t now_s)
{
    adoption a = { .dir = dir, .in = in };
    fm_status st;

    if (!dir || !in || !in->certificate || in->crl_count > FM_ADOPT_FILES_MAX)
        return fm_fail(FM_EINVAL, "fm_identity_adopt: NULL argument, or too many files");
    if ((st = check_own(&a)) == FM_OK && (st = open_trust(&a)) == FM_OK &&
        (st = know_in(&a, in->certificate)) == FM_OK && in->chain)
        st = know_in(&a, in->chain);
    for (size_t i = 0; st == FM_OK && i < in->crl_count; i++)
        st = take_lists(&a, in->crls[i]);
    if (st == FM_OK && (st = check_chain(&a, now_s)) == FM_OK)
        st = write_all(&a);
    adoption_fini(&a);
    return st;
}
