/* What one trusts: the pinned CAs, read from a folder. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "trust_internal.h"

/** A CA that did not sign itself is a damaged file, or an intermediate one, which is not pinned. */
fm_status fm_ca_cert_check(const char *where, X509 *ca, const fm_cert_facts *facts)
{
    if (!facts->is_ca)
        return fm_fail(FM_EAUTH, "%s: a member's certificate, not a CA's; copy the CA's", where);
    if (X509_verify(ca, X509_get0_pubkey(ca)) != 1)
        return fm_ssl_fail(FM_EAUTH,
                           "%s: not signed by its own key: altered, or not the consortium's "
                           "CA; copy it again and compare the fingerprint",
                           where);
    return FM_OK;
}

fm_status fm_trust_begin(fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st = fm_alloc(1, sizeof *t, (void **)&t);

    if (st != FM_OK)
        return st;
    if (!(t->store = X509_STORE_new()) || !(t->known = sk_X509_new_null()) ||
        X509_STORE_set_flags(t->store, X509_V_FLAG_X509_STRICT) != 1) {
        fm_trust_free(&t);
        return fm_ssl_fail(FM_ENOMEM, "no memory for what is trusted");
    }
    *out = t;
    return FM_OK;
}

fm_status fm_trust_pin(fm_trust *t, X509 *ca, const fm_cert_info *info)
{
    unsigned char *der = NULL;
    int len;
    fm_status st;

    if (t->ca_count == FM_CAS_MAX)
        return fm_fail(FM_EAUTH, "more than %d CAs are pinned", FM_CAS_MAX);
    if (t->federation[0] && info->federation[0] && strcmp(t->federation, info->federation) != 0)
        return fm_fail(FM_EAUTH, "a CA of federation '%s' beside one of '%s'", info->federation,
                       t->federation);
    if ((len = i2d_X509(ca, &der)) <= 0)
        return fm_ssl_fail(FM_ENOMEM, "the CA's certificate cannot be kept");
    st = fm_buf_append(&t->ders[t->ca_count], der, (size_t)len);
    OPENSSL_free(der);
    if (st != FM_OK)
        return st;
    if (X509_STORE_add_cert(t->store, ca) != 1 || X509_up_ref(ca) != 1)
        return fm_ssl_fail(FM_ENOMEM, "the CA's certificate cannot be kept");
    t->cas[t->ca_count] = ca;
    t->infos[t->ca_count++] = *info;
    if (info->federation[0])
        memcpy(t->federation, info->federation, sizeof t->federation);
    return FM_OK;
}

fm_status fm_trust_new(X509 *ca, const fm_cert_info *info, fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st;

    if ((st = fm_trust_begin(&t)) != FM_OK || (st = fm_trust_pin(t, ca, info)) != FM_OK) {
        fm_trust_free(&t);
        return st;
    }
    *out = t;
    return FM_OK;
}

/* ---- from a folder ---- */

enum { BLOCK_CA, BLOCK_SUCCESSION };

static fm_status pin_block(fm_trust *t, const char *path, const fm_buf *der)
{
    X509 *ca = NULL;
    fm_cert_facts facts;
    fm_status st;

    if ((st = fm_cert_parse(der->data, der->len, &ca)) == FM_OK)
        st = fm_cert_facts_of(ca, &facts);
    if (st != FM_OK)
        st = fm_fail_context(st == FM_EPROTO ? FM_EPARSE : st, "%s: ", path);
    else if ((st = fm_ca_cert_check(path, ca, &facts)) == FM_OK &&
             (st = fm_trust_pin(t, ca, &facts.info)) != FM_OK)
        st = fm_fail_context(st, "%s: ", path);
    X509_free(ca);
    return st;
}

static fm_status load_cas(fm_trust *t, const char *path)
{
    static const char *const types[] = { "CERTIFICATE", FM_SUCCESSION_PEM, NULL };
    fm_pem_list blocks = { 0 };
    fm_status st = fm_pem_read_list(path, types, FM_CERT_FILE_LIMIT, &blocks);

    for (size_t i = 0; st == FM_OK && i < blocks.count; i++) {
        const fm_buf *der = &blocks.blocks[i].der;

        if (blocks.blocks[i].type == BLOCK_CA)
            st = pin_block(t, path, der);
        else if (der->len < 1 || der->len > sizeof t->succession)
            st = fm_fail(FM_EPARSE, "%s: a succession of %zu bytes", path, der->len);
        else
            memcpy(t->succession, der->data, t->succession_len = der->len);
    }
    if (st == FM_OK && t->ca_count == 0)
        st = fm_fail(FM_EPARSE, "%s: holds no certificate", path);
    fm_pem_list_fini(&blocks);
    return st;
}

fm_status fm_trust_load_file(const char *path, const char *federation, fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st;

    if ((st = fm_trust_begin(&t)) == FM_OK && (st = load_cas(t, path)) == FM_OK) {
        if (!t->federation[0])
            memcpy(t->federation, federation, strlen(federation) + 1);
        *out = t;
        return FM_OK;
    }
    fm_trust_free(&t);
    return st;
}

fm_status fm_trust_load_cas(const char *dir, fm_trust **out)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, "ca.crt", &path);

    if (st == FM_OK)
        st = fm_trust_load_file(path, "", out);
    free(path);
    return st;
}

fm_status fm_trust_cas_pem(const fm_trust *t, fm_buf *pem)
{
    fm_status st = FM_OK;

    fm_buf_init(pem, FM_CERT_FILE_LIMIT);
    for (size_t i = 0; st == FM_OK && i < t->ca_count; i++)
        st = fm_pem_add("CERTIFICATE", t->ders[i].data, t->ders[i].len, pem);
    if (st == FM_OK && t->succession_len > 0)
        st = fm_pem_add(FM_SUCCESSION_PEM, t->succession, t->succession_len, pem);
    return st;
}

fm_status fm_trust_save_cas(const fm_trust *t, const char *dir)
{
    fm_buf pem = { 0 };
    char *path = NULL;
    fm_status st;

    if (!t || !dir)
        return fm_fail(FM_EINVAL, "fm_trust_save_cas: NULL argument");
    if ((st = fm_trust_cas_pem(t, &pem)) == FM_OK &&
        (st = fm_path_join(dir, "ca.crt", &path)) == FM_OK)
        st = fm_file_replace(path, pem.data, pem.len, 0644);
    free(path);
    fm_buf_fini(&pem);
    return st;
}

/** A CA of another PKI names no federation: then a file beside it does, in one line. */
static fm_status load_federation(fm_trust *t, const char *dir)
{
    char *path = NULL;
    fm_buf text = { 0 };
    fm_status st;

    if (t->federation[0])
        return FM_OK;
    if ((st = fm_path_join(dir, "federation", &path)) != FM_OK)
        return st;
    st = fm_file_read(path, FM_NAME_MAX + 2, &text);
    if (st == FM_ENOTFOUND) {
        st = fm_fail(FM_EPARSE,
                     "%s/ca.crt: the CA names no federation: it was not made by fedmoe; write the "
                     "federation's name into %s ('fedmoe-certs install' does)",
                     dir, path);
    } else if (st == FM_OK) {
        while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
            text.data[--text.len] = '\0';
        if (text.len > 0 && strlen((const char *)text.data) == text.len &&
            (st = fm_name_check((const char *)text.data)) == FM_OK)
            memcpy(t->federation, text.data, text.len + 1);
        else
            st = fm_fail(FM_EPARSE, "%s: not the name of a federation", path);
    }
    fm_buf_fini(&text);
    free(path);
    return st;
}

fm_status fm_trust_load(const char *dir, fm_trust **out)
{
    fm_trust *t = NULL;
    char *path = NULL;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_trust_load: NULL argument");
    if ((st = fm_path_join(dir, "ca.crt", &path)) == FM_OK && (st = fm_trust_begin(&t)) == FM_OK &&
        (st = load_cas(t, path)) == FM_OK && (st = load_federation(t, dir)) == FM_OK &&
        (st = fm_trust_load_lists(t, dir)) == FM_OK) {
        *out = t;
        t = NULL;
    }
    free(path);
    fm_trust_free(&t);
    return st;
}

/* Certificates alone, as ca.crt has them, would look for nobody and seem to. */
static fm_status read_given_lists(fm_trust *t, const char *crl)
{
    const fm_status st = fm_trust_read_lists(t, crl, false);

    if (st != FM_OK || t->list_count > 0)
        return st;
    return fm_fail(FM_EPROTO,
                   "%s: holds certificates and no revocation list; give the CA's crl.pem", crl);
}

fm_status fm_trust_load_files(const char *ca, const char *crl, fm_trust **out)
{
    fm_trust *t = NULL;
    char *dir = NULL;
    fm_status st;

    if (!ca || !out)
        return fm_fail(FM_EINVAL, "fm_trust_load_files: NULL argument");
    if ((st = fm_path_dir(ca, &dir)) == FM_OK && (st = fm_trust_load_file(ca, "", &t)) == FM_OK &&
        (st = load_federation(t, dir)) == FM_OK &&
        (!crl || (st = read_given_lists(t, crl)) == FM_OK)) {
        *out = t;
        t = NULL;
    }
    free(dir);
    fm_trust_free(&t);
    return st;
}

void fm_trust_free(fm_trust **t)
{
    if (!t || !*t)
        return;
    X509_STORE_free((*t)->store);
    for (size_t i = 0; i < FM_CAS_MAX; i++) {
        X509_free((*t)->cas[i]);
        fm_buf_fini(&(*t)->ders[i]);
    }
    sk_X509_pop_free((*t)->known, X509_free);
    for (size_t i = 0; i < (*t)->list_count; i++)
        fm_trust_held_fini(&(*t)->lists[i]);
    free(*t);
    *t = NULL;
}

static fm_status copy_list(fm_trust *t, const fm_trust_held *l)
{
    if (X509_CRL_up_ref(l->crl) != 1)
        return fm_ssl_fail(FM_ENOMEM, "a revocation list cannot be kept");
    return fm_trust_add_list(t, "a revocation list", l->crl);
}

/** Of the lists and intermediate CAs those that lead to a CA that the copy has pinned. */
static fm_status copy_lists(fm_trust *c, const fm_trust *t, const fm_trust_held *without)
{
    fm_status st = FM_OK;

    for (int i = 0; st == FM_OK && i < sk_X509_num(t->known); i++) {
        st = fm_trust_know(c, sk_X509_value(t->known, i));
        if (st == FM_EAUTH && c->ca_count < t->ca_count)
            st = FM_OK;
    }
    for (size_t i = 0; st == FM_OK && i < t->list_count; i++) {
        if (&t->lists[i] == without)
            continue;
        st = copy_list(c, &t->lists[i]);
        if (st == FM_EAUTH && c->ca_count < t->ca_count)
            st = FM_OK;
    }
    return st;
}

fm_status fm_trust_copy_of(const fm_trust *t, size_t only, const X509 *but, fm_trust **out)
{
    fm_trust *c = NULL;
    fm_status st = fm_trust_begin(&c);

    for (size_t i = 0; st == FM_OK && i < t->ca_count; i++)
        if (only == FM_TRUST_ALL || only == i)
            st = fm_trust_pin(c, t->cas[i], &t->infos[i]);
    if (st != FM_OK || (st = copy_lists(c, t, but ? fm_trust_list_of(t, but) : NULL)) != FM_OK) {
        fm_trust_free(&c);
        return st;
    }
    memcpy(c->federation, t->federation, sizeof c->federation);
    if (c->ca_count == t->ca_count)
        memcpy(c->succession, t->succession, c->succession_len = t->succession_len);
    *out = c;
    return FM_OK;
}

fm_status fm_trust_copy(const fm_trust *t, const X509 *but, fm_trust **out)
{
    return fm_trust_copy_of(t, FM_TRUST_ALL, but, out);
}

size_t fm_trust_ca_count(const fm_trust *t)
{
    return t->ca_count;
}

void fm_trust_ca(const fm_trust *t, size_t i, const uint8_t **der, size_t *len)
{
    *der = t->ders[i].data;
    *len = t->ders[i].len;
}

const fm_cert_info *fm_trust_ca_info(const fm_trust *t, size_t i)
{
    return &t->infos[i];
}

fm_hash fm_trust_fingerprint(const fm_trust *t)
{
    return t->infos[0].fingerprint;
}

const char *fm_trust_federation(const fm_trust *t)
{
    return t->federation;
}
