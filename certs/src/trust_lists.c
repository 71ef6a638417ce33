/* The revocation lists of a trust: one for each CA that signs, newer ones in place of older ones. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "fedmoe/base/file.h"
#include "trust_internal.h"

/* ---- whose list it is ---- */

static bool same_ca(const X509 *a, const X509 *b)
{
    return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 &&
           EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

const fm_trust_held *fm_trust_list_of(const fm_trust *t, const X509 *ca)
{
    for (size_t i = 0; i < t->list_count; i++)
        if (same_ca(t->lists[i].issuer, ca))
            return &t->lists[i];
    return NULL;
}

static X509 *signer_of(const fm_trust *t, X509_CRL *crl)
{
    for (size_t i = 0; i < t->ca_count; i++)
        if (fm_crl_is_signed_by(crl, t->cas[i]))
            return t->cas[i];
    for (int i = 0; i < sk_X509_num(t->known); i++)
        if (fm_crl_is_signed_by(crl, sk_X509_value(t->known, i)))
            return sk_X509_value(t->known, i);
    return NULL;
}

fm_status fm_trust_know(fm_trust *t, X509 *x)
{
    STACK_OF(X509) *chain = NULL;
    fm_cert_facts facts;
    fm_status st;

    for (int i = 0; i < sk_X509_num(t->known); i++)
        if (X509_cmp(sk_X509_value(t->known, i), x) == 0)
            return FM_OK;
    if (sk_X509_num(t->known) >= FM_KNOWN_MAX)
        return fm_fail(FM_EAUTH, "more than %d intermediate CAs", FM_KNOWN_MAX);
    if ((st = fm_cert_facts_of(x, &facts)) != FM_OK)
        return fm_fail_context(st == FM_ENOMEM ? st : FM_EAUTH, "an intermediate CA: ");
    if (!facts.is_ca)
        return fm_fail(FM_EAUTH, "a member's certificate where an intermediate CA's is expected");
    if ((st = fm_trust_chain_of_ca(t, x, &chain)) != FM_OK)
        return fm_fail_context(st, "an intermediate CA: ");
    sk_X509_pop_free(chain, X509_free);
    if (X509_up_ref(x) != 1)
        return fm_ssl_fail(FM_ENOMEM, "an intermediate CA cannot be kept");
    if (sk_X509_push(t->known, x) <= 0) {
        X509_free(x);
        return fm_ssl_fail(FM_ENOMEM, "an intermediate CA cannot be kept");
    }
    return FM_OK;
}

/* ---- one list ---- */

void fm_trust_held_fini(fm_trust_held *l)
{
    X509_CRL_free(l->crl);
    X509_free(l->issuer);
    fm_buf_fini(&l->der);
    for (size_t i = 0; i < FM_INTERMEDIATES_MAX; i++)
        fm_buf_fini(&l->path[i]);
    memset(l, 0, sizeof *l);
}

/** What another trust needs to find the signer: the CAs from it up to the pinned one. */
static fm_status keep_path(const fm_trust *t, fm_trust_held *l)
{
    STACK_OF(X509) *chain = NULL;
    fm_status st = fm_trust_chain_of_ca(t, l->issuer, &chain);

    for (int i = 0; st == FM_OK && i + 1 < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        const int len = i2d_X509(sk_X509_value(chain, i), &der);

        if (l->path_count == FM_INTERMEDIATES_MAX)
            st = fm_fail(FM_EAUTH, "more intermediate CAs than are allowed");
        else if (len <= 0 || (size_t)len > FM_INTERMEDIATE_MAX_BYTES)
            st = fm_ssl_fail(FM_EAUTH,
                             "an intermediate CA's certificate of %d bytes; %u are "
                             "allowed",
                             len, FM_INTERMEDIATE_MAX_BYTES);
        else
            st = fm_buf_append(&l->path[l->path_count++], der, (size_t)len);
        OPENSSL_free(der);
    }
    sk_X509_pop_free(chain, X509_free);
    return st;
}

static fm_status fill(const fm_trust *t, const char *where, fm_trust_held *l)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(l->crl);
    X509 *issuer = signer_of(t, l->crl);
    unsigned char *der = NULL;
    int len;
    fm_status st;

    if (!issuer || X509_up_ref(issuer) != 1)
        return fm_ssl_fail(FM_EAUTH,
                           "%s: the revocation list is not signed by this CA; fetch the CA's own "
                           "crl.pem",
                           where);
    l->issuer = issuer;
    l->number = fm_crl_number(l->crl);
    if (!next)
        return fm_fail(FM_EPARSE, "%s does not say when the next list is due; fetch the CA's own",
                       where);
    if ((st = fm_ssl_time(next, &l->ends_s)) != FM_OK || (st = keep_path(t, l)) != FM_OK)
        return st;
    if ((len = i2d_X509_CRL(l->crl, &der)) <= 0)
        return fm_ssl_fail(FM_ENOMEM, "%s cannot be kept", where);
    fm_buf_init(&l->der, FM_CRL_FILE_LIMIT);
    st = fm_buf_append(&l->der, der, (size_t)len);
    OPENSSL_free(der);
    return st;
}

fm_status fm_trust_add_list(fm_trust *t, const char *where, X509_CRL *crl)
{
    fm_trust_held l = { .crl = crl };
    fm_status st;

    if (t->list_count == FM_LISTS_MAX)
        st = fm_fail(FM_EPARSE, "%s: more than %u revocation lists", where, FM_LISTS_MAX);
    else if ((st = fill(t, where, &l)) == FM_OK && fm_trust_list_of(t, l.issuer))
        st = fm_fail(FM_EPARSE, "%s: two revocation lists of one CA; keep the newer one", where);
    /* Once there are lists, there must be one of every CA on the way. */
    else if (st == FM_OK && (X509_STORE_add_crl(t->store, crl) != 1 ||
                             X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK |
                                                                X509_V_FLAG_CRL_CHECK_ALL) != 1))
        st = fm_ssl_fail(FM_ENOMEM, "%s cannot be kept", where);
    if (st == FM_OK)
        t->lists[t->list_count++] = l;
    else
        fm_trust_held_fini(&l);
    return st;
}

/* ---- crl.pem: lists, and the intermediate CAs that signed some of them ---- */

enum { BLOCK_LIST, BLOCK_CA };

/** Until nothing is added any more: the file may name them in any order. */
static fm_status know_all(fm_trust *t, const char *path, const fm_pem_list *blocks)
{
    fm_status st = FM_OK;
    int before = -1;

    while (sk_X509_num(t->known) != before) {
        before = sk_X509_num(t->known);
        for (size_t i = 0; i < blocks->count; i++) {
            const fm_buf *der = &blocks->blocks[i].der;
            X509 *x = NULL;
            fm_status one;

            if (blocks->blocks[i].type != BLOCK_CA)
                continue;
            if ((st = fm_cert_parse(der->data, der->len, &x)) != FM_OK)
                return fm_fail_context(st == FM_EPROTO ? FM_EPARSE : st, "%s: ", path);
            one = fm_trust_know(t, x);
            X509_free(x);
            if (one == FM_ENOMEM)
                return one;
        }
    }
    return FM_OK;
}

static fm_status add_all(fm_trust *t, const char *path, const fm_pem_list *blocks, bool only_ours)
{
    for (size_t i = 0; i < blocks->count; i++) {
        const fm_buf *der = &blocks->blocks[i].der;
        X509_CRL *crl = NULL;
        fm_status st;

        if (blocks->blocks[i].type != BLOCK_LIST)
            continue;
        if (fm_crl_parse(der->data, der->len, &crl) != FM_OK)
            return fm_ssl_fail(FM_EPARSE, "%s: not a revocation list; copy it again", path);
        if (only_ours && !signer_of(t, crl)) {
            X509_CRL_free(crl);
            ERR_clear_error();
            continue;
        }
        if ((st = fm_trust_add_list(t, path, crl)) != FM_OK)
            return st;
    }
    return FM_OK;
}

fm_status fm_trust_read_lists(fm_trust *t, const char *path, bool only_ours)
{
    static const char *const types[] = { "X509 CRL", "CERTIFICATE", NULL };
    fm_pem_list blocks = { 0 };
    fm_status st;

    if ((st = fm_pem_read_list(path, types, FM_CRL_FILE_LIMIT, &blocks)) == FM_OK &&
        (st = know_all(t, path, &blocks)) == FM_OK)
        st = add_all(t, path, &blocks, only_ours);
    fm_pem_list_fini(&blocks);
    return st;
}

fm_status fm_trust_load_lists(fm_trust *t, const char *dir)
{
    fm_trust *floor = NULL;
    char *path = NULL;
    bool there = false;
    fm_status st;

    if ((st = fm_trust_floor(t, dir, &floor)) == FM_OK &&
        (st = fm_exists_in(dir, "crl.pem", &there)) == FM_OK && there &&
        (st = fm_path_join(dir, "crl.pem", &path)) == FM_OK)
        st = fm_trust_read_lists(t, path, false);
    if (st == FM_OK)
        st = fm_trust_check_floor(floor, t, dir);
    fm_trust_free(&floor);
    free(path);
    return st;
}

fm_status fm_trust_lists_pem(const fm_trust *t, fm_buf *pem)
{
    fm_status st = FM_OK;

    fm_buf_init(pem, FM_CRL_FILE_LIMIT);
    for (int i = 0; st == FM_OK && i < sk_X509_num(t->known); i++) {
        fm_buf one = { 0 };

        if ((st = fm_pem_cert(sk_X509_value(t->known, i), &one)) == FM_OK)
            st = fm_buf_append(pem, one.data, one.len);
        fm_buf_fini(&one);
    }
    for (size_t i = 0; st == FM_OK && i < t->list_count; i++)
        st = fm_pem_add("X509 CRL", t->lists[i].der.data, t->lists[i].der.len, pem);
    return st;
}

/* ---- newer ones ---- */

/** Strictly one list, signed by a CA of this trust, with number and end. */
static fm_status read_crl(const fm_trust *t, const uint8_t *der, size_t len, X509_CRL **out)
{
    fm_status st;

    if (!der || len == 0 || len > FM_CRL_MAX_BYTES)
        return fm_fail(FM_EPROTO, "a revocation list of %zu bytes; 1 to %u are allowed", len,
                       FM_CRL_MAX_BYTES);
    if ((st = fm_crl_parse(der, len, out)) != FM_OK)
        return st;
    if (!signer_of(t, *out))
        return fm_ssl_fail(FM_EAUTH, "a revocation list that is not signed by the pinned CA");
    if (fm_crl_number(*out) == 0 || !X509_CRL_get0_nextUpdate(*out))
        return fm_fail(FM_EPROTO, "a revocation list without a number or an end");
    return FM_OK;
}

/** @param same  out: it is the list in use, byte for byte. */
static fm_status check_number(const fm_trust_held *held, uint64_t number, const uint8_t *der,
                              size_t len, bool *same)
{
    *same = held && number == held->number && len == held->der.len &&
            memcmp(der, held->der.data, len) == 0;
    if (held && !*same && number <= held->number)
        return fm_fail(FM_EREPLAY,
                       "revocation list %llu where list %llu is held: only a higher number counts",
                       (unsigned long long)number, (unsigned long long)held->number);
    return FM_OK;
}

/** The CAs that came with a list, those nearest to the pinned one first known. */
static fm_status know_path(fm_trust *t, const fm_ca_path *path)
{
    fm_status st = FM_OK;

    for (size_t i = path ? path->count : 0; st == FM_OK && i-- > 0;) {
        X509 *x = NULL;

        if (path->len[i] > FM_INTERMEDIATE_MAX_BYTES)
            st = fm_fail(FM_EPROTO, "an intermediate CA's certificate of %zu bytes", path->len[i]);
        else if ((st = fm_cert_parse(path->der[i], path->len[i], &x)) == FM_OK)
            st = fm_trust_know(t, x);
        X509_free(x);
    }
    return st;
}

fm_status fm_trust_revise_path(const fm_trust *t, const uint8_t *der, size_t len,
                               const fm_ca_path *path, fm_trust **out)
{
    fm_trust *all = NULL, *fresh = NULL;
    X509_CRL *crl = NULL;
    X509 *signer;
    bool same = false;
    fm_status st;

    if (!t || !out || (path && path->count > FM_INTERMEDIATES_MAX))
        return fm_fail(FM_EINVAL, "fm_trust_revise: NULL argument");
    *out = NULL;
    if ((st = fm_trust_copy(t, NULL, &all)) != FM_OK || (st = know_path(all, path)) != FM_OK ||
        (st = read_crl(all, der, len, &crl)) != FM_OK)
        goto done;
    signer = signer_of(all, crl);
    if ((st = check_number(fm_trust_list_of(all, signer), fm_crl_number(crl), der, len, &same)) !=
            FM_OK ||
        same || (st = fm_trust_copy(all, signer, &fresh)) != FM_OK)
        goto done;
    st = fm_trust_add_list(fresh, "the revocation list", crl);
    crl = NULL; /* the trust's */
    if (st != FM_OK)
        goto done;
    *out = fresh;
    fresh = NULL;
done:
    X509_CRL_free(crl);
    fm_trust_free(&all);
    fm_trust_free(&fresh);
    ERR_clear_error();
    return st;
}

fm_status fm_trust_revise(const fm_trust *t, const uint8_t *der, size_t len, fm_trust **out)
{
    return fm_trust_revise_path(t, der, len, NULL, out);
}

/* ---- looking at them ---- */

size_t fm_trust_list_count(const fm_trust *t)
{
    return t->list_count;
}

void fm_trust_list(const fm_trust *t, size_t i, fm_crl_view *out)
{
    const fm_trust_held *l = &t->lists[i];

    *out = (fm_crl_view){ .der = l->der.data, .len = l->der.len, .number = l->number };
    out->of_successor = t->succession_len > 0 && l->issuer == t->cas[1];
    for (size_t k = 0; k < l->path_count; k++) {
        out->path.der[k] = l->path[k].data;
        out->path.len[k] = l->path[k].len;
    }
    out->path.count = l->path_count;
}

void fm_trust_crl(const fm_trust *t, const uint8_t **der, size_t *len)
{
    const fm_trust_held *l = fm_trust_list_of(t, t->cas[0]);

    *der = l ? l->der.data : NULL;
    *len = l ? l->der.len : 0;
}

uint64_t fm_trust_crl_number(const fm_trust *t)
{
    const fm_trust_held *l = fm_trust_list_of(t, t->cas[0]);

    return l ? l->number : 0;
}
