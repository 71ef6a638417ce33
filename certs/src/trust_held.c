/*
 * The floor of a folder's revocation lists: crl.held, a copy of the newest ones that were in force
 * there. crl.pem is what people copy about; whatever they put there, no list goes back.
 * Order on disk: crl.pem first, crl.held second. Reading goes the other way round, so that a reader
 * beside a writer never finds a floor above the list.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "fedmoe/base/file.h"
#include "trust_internal.h"

#define LISTS "crl.pem"
#define HELD "crl.held"
#define LOCK "crl.lock"
#define LOCK_MS 2000u

/* ---- which is newer ---- */

static bool same_bytes(const fm_trust_held *a, const fm_trust_held *b)
{
    return a->der.len == b->der.len && memcmp(a->der.data, b->der.data, a->der.len) == 0;
}

/** By number; lists of other PKIs may have none, and then a date. */
static bool is_newer(const fm_trust_held *l, const fm_trust_held *than)
{
    int64_t a = 0, b = 0;

    if (l->number != 0 || than->number != 0)
        return l->number > than->number;
    return fm_ssl_time(X509_CRL_get0_lastUpdate(l->crl), &a) == FM_OK &&
           fm_ssl_time(X509_CRL_get0_lastUpdate(than->crl), &b) == FM_OK && a > b;
}

/** has in place of had. */
static fm_status check_one(const fm_trust_held *had, const fm_trust_held *has)
{
    if (same_bytes(had, has) || is_newer(has, had))
        return FM_OK;
    if (has->number == had->number)
        return fm_fail(FM_EREPLAY,
                       "another list %llu than the one that counts; only a higher number may "
                       "follow ('fedmoe-certs refresh' makes one)",
                       (unsigned long long)has->number);
    return fm_fail(FM_EREPLAY, "list %llu where list %llu counts", (unsigned long long)has->number,
                   (unsigned long long)had->number);
}

fm_status fm_trust_check_newer(const fm_trust *old, const fm_trust *fresh)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < old->list_count; i++) {
        const fm_trust_held *had = &old->lists[i];
        const fm_trust_held *has = fm_trust_list_of(fresh, had->issuer);
        STACK_OF(X509) *chain = NULL;

        if (has) {
            st = check_one(had, has);
        } else if (fm_trust_chain_of_ca(fresh, had->issuer, &chain) == FM_OK) {
            sk_X509_pop_free(chain, X509_free);
            st = fm_fail(FM_EREPLAY, "list %llu of a CA that is still pinned is gone",
                         (unsigned long long)had->number);
        } else {
            ERR_clear_error(); /* the list of a CA that is not pinned any more may go with it */
        }
    }
    return st;
}

/* ---- the floor ---- */

static fm_status read_if_there(fm_trust *t, const char *dir, const char *name)
{
    char *path = NULL;
    bool there = false;
    fm_status st = fm_exists_in(dir, name, &there);

    if (st == FM_OK && there && (st = fm_path_join(dir, name, &path)) == FM_OK)
        st = fm_trust_read_lists(t, path, true);
    free(path);
    return st;
}

fm_status fm_trust_floor(const fm_trust *cas, const char *dir, fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st = fm_trust_copy(cas, NULL, &t);

    if (st == FM_OK && (st = read_if_there(t, dir, HELD)) == FM_OK)
        *out = t;
    else
        fm_trust_free(&t);
    return st;
}

fm_status fm_trust_check_floor(const fm_trust *floor, const fm_trust *t, const char *dir)
{
    const fm_status st = fm_trust_check_newer(floor, t);

    if (st != FM_EREPLAY)
        return st;
    return fm_fail_context(st,
                           "%s/" LISTS " is not the newest (" HELD ", beside it, is a copy of "
                           "the last one in force): ",
                           dir);
}

/* ---- the newest of several ---- */

static fm_status know_path(fm_trust *t, const fm_trust_held *l)
{
    fm_status st = FM_OK;

    for (size_t i = l->path_count; st == FM_OK && i-- > 0;) {
        X509 *x = NULL;

        if ((st = fm_cert_parse(l->path[i].data, l->path[i].len, &x)) == FM_OK)
            st = fm_trust_know(t, x);
        X509_free(x);
    }
    return st;
}

static fm_status take_newer(fm_trust **t, const fm_trust_held *l)
{
    const fm_trust_held *held = fm_trust_list_of(*t, l->issuer);
    fm_trust *fresh = NULL;
    fm_status st;

    if (held && !is_newer(l, held))
        return FM_OK;
    if ((st = fm_trust_copy(*t, l->issuer, &fresh)) != FM_OK ||
        (st = know_path(fresh, l)) != FM_OK) {
        fm_trust_free(&fresh);
        return st;
    }
    if (X509_CRL_up_ref(l->crl) != 1)
        st = fm_ssl_fail(FM_ENOMEM, "a revocation list cannot be kept");
    else
        st = fm_trust_add_list(fresh, "a revocation list", l->crl);
    if (st != FM_OK) {
        fm_trust_free(&fresh);
        return st;
    }
    fm_trust_free(t);
    *t = fresh;
    return FM_OK;
}

/** Whether it leads to a CA that t has pinned. */
static bool is_ours(const fm_trust *t, const fm_trust *from, const fm_trust_held *l)
{
    STACK_OF(X509) *chain = NULL;
    bool ours = false;

    if (fm_trust_chain_of_ca(from, l->issuer, &chain) == FM_OK) {
        const X509 *top = sk_X509_value(chain, sk_X509_num(chain) - 1);

        for (size_t i = 0; i < t->ca_count; i++)
            ours = ours || X509_cmp(t->cas[i], top) == 0;
        sk_X509_pop_free(chain, X509_free);
    }
    ERR_clear_error();
    return ours;
}

static fm_status take_all(fm_trust **t, const fm_trust *from)
{
    fm_status st = FM_OK;

    for (int i = 0; i < sk_X509_num(from->known); i++)
        if (fm_trust_know(*t, sk_X509_value(from->known, i)) == FM_ENOMEM)
            return FM_ENOMEM;
    ERR_clear_error();
    for (size_t i = 0; st == FM_OK && i < from->list_count; i++)
        if (is_ours(*t, from, &from->lists[i]))
            st = take_newer(t, &from->lists[i]);
    return st;
}

/** What a file of the folder adds; one that cannot be read is replaced. */
static fm_status take_file(fm_trust **t, const fm_trust *cas, const char *dir, const char *name)
{
    fm_trust *there = NULL;
    fm_status st = fm_trust_copy(cas, NULL, &there);

    if (st == FM_OK && (st = read_if_there(there, dir, name)) == FM_OK)
        st = take_all(t, there);
    fm_trust_free(&there);
    ERR_clear_error();
    return st == FM_ENOMEM ? st : FM_OK;
}

/* ---- writing, one at a time ---- */

static fm_status lock(const char *dir, int *fd)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, LOCK, &path);

    if (st == FM_OK && (*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        st = fm_fail(FM_EIO, "%s: cannot be made (the folder must be writable): %s%s", path,
                     strerror(errno), fm_file_advice(errno));
    if (st == FM_OK)
        st = fm_lock_within(*fd, path, LOCK_MS);
    free(path);
    return st;
}

static fm_status write_in(const char *dir, const char *name, const fm_buf *pem)
{
    char *path = NULL;
    fm_buf before = { 0 };
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK && fm_file_exists(path) &&
        fm_file_read(path, FM_CRL_FILE_LIMIT, &before) == FM_OK && before.len == pem->len &&
        memcmp(before.data, pem->data, pem->len) == 0)
        goto done;
    if (st == FM_OK)
        st = fm_file_replace(path, pem->data, pem->len, 0644);
done:
    fm_buf_fini(&before);
    free(path);
    return st;
}

fm_status fm_trust_newest(const fm_trust *cas, const char *dir, fm_trust **out)
{
    fm_trust *all = NULL;
    fm_status st;

    if ((st = fm_trust_copy(cas, NULL, &all)) == FM_OK &&
        (st = take_file(&all, cas, dir, HELD)) == FM_OK &&
        (st = take_file(&all, cas, dir, LISTS)) == FM_OK)
        *out = all;
    else
        fm_trust_free(&all);
    return st;
}

/** The same CAs, no lists. */
static fm_status without_lists(const fm_trust *t, fm_trust **out)
{
    fm_trust *c = NULL;
    fm_status st = fm_trust_begin(&c);

    for (size_t i = 0; st == FM_OK && i < t->ca_count; i++)
        st = fm_trust_pin(c, t->cas[i], &t->infos[i]);
    if (st == FM_OK)
        *out = c;
    else
        fm_trust_free(&c);
    return st;
}

/** The folder's CAs; those of t where it pins none yet. */
static fm_status cas_of(const fm_trust *t, const char *dir, fm_trust **out)
{
    bool there = false;
    fm_status st = fm_exists_in(dir, "ca.crt", &there);

    if (st != FM_OK)
        return st;
    return there ? fm_trust_load_cas(dir, out) : without_lists(t, out);
}

/** The newest of the folder's and t's of these CAs; FM_EREPLAY unless t's are the newest. Of other
 *  CAs nothing stays: one that was dropped takes its list with it. */
static fm_status merge(const fm_trust *cas, const fm_trust *t, const char *dir, fm_trust **out)
{
    fm_trust *all = NULL;
    bool any = t->list_count == 0;
    fm_status st = fm_trust_newest(cas, dir, &all);

    if (st == FM_OK)
        st = take_all(&all, t);
    for (size_t i = 0; st == FM_OK && i < t->list_count; i++) {
        if (!is_ours(cas, t, &t->lists[i]))
            continue;
        any = true;
        st = check_one(fm_trust_list_of(all, t->lists[i].issuer), &t->lists[i]);
    }
    if (st == FM_OK && !any)
        st = fm_fail(FM_EAUTH, "%s/ca.crt: pins none of the CAs whose lists are to be kept", dir);
    if (st == FM_OK)
        *out = all;
    else
        fm_trust_free(&all);
    return st == FM_EREPLAY ? fm_fail_context(st, "%s/" LISTS ": ", dir) : st;
}

static fm_status keep(const fm_trust *t, const char *dir, bool lists_too)
{
    fm_trust *cas = NULL, *all = NULL;
    fm_buf pem;
    int fd = -1;
    fm_status st;

    fm_buf_init(&pem, FM_CRL_FILE_LIMIT);
    if ((st = lock(dir, &fd)) == FM_OK && (st = cas_of(t, dir, &cas)) == FM_OK &&
        (st = merge(cas, t, dir, &all)) == FM_OK && (st = fm_trust_lists_pem(all, &pem)) == FM_OK) {
        fm_created_sweep(dir, "crl."); /* of who was killed here */
        if (lists_too)
            st = write_in(dir, LISTS, &pem);
        if (st == FM_OK)
            st = write_in(dir, HELD, &pem);
    }
    if (fd >= 0)
        (void)close(fd);
    fm_buf_fini(&pem);
    fm_trust_free(&cas);
    fm_trust_free(&all);
    return st;
}

/** The floor goes first here: it never gets above crl.pem, from which `all` has been read, and a
 *  list that is gone from there before would be missed. Then the lists: without its own the older
 *  CA counts for nothing, and the list of a CA that is not pinned could not be read. */
static fm_status write_fewer(const fm_trust *rest, const char *dir, const fm_buf *pem)
{
    fm_status st = FM_OK;

    if (pem->len > 0 && (st = write_in(dir, HELD, pem)) == FM_OK)
        st = write_in(dir, LISTS, pem);
    return st == FM_OK ? fm_trust_save_cas(rest, dir) : st;
}

fm_status fm_trust_narrow(const fm_trust *rest, const char *dir)
{
    fm_trust *cas = NULL, *all = NULL;
    fm_buf pem;
    int fd = -1;
    fm_status st;

    fm_buf_init(&pem, FM_CRL_FILE_LIMIT);
    if ((st = lock(dir, &fd)) == FM_OK && (st = without_lists(rest, &cas)) == FM_OK &&
        (st = merge(cas, rest, dir, &all)) == FM_OK &&
        (st = fm_trust_lists_pem(all, &pem)) == FM_OK) {
        fm_created_sweep(dir, "crl.");
        fm_created_sweep(dir, "ca.crt");
        st = write_fewer(rest, dir, &pem);
    }
    if (fd >= 0)
        (void)close(fd);
    fm_buf_fini(&pem);
    fm_trust_free(&cas);
    fm_trust_free(&all);
    return st;
}

fm_status fm_trust_save_crl(const fm_trust *t, const char *dir)
{
    if (!t || !dir)
        return fm_fail(FM_EINVAL, "fm_trust_save_crl: NULL argument");
    if (t->list_count == 0)
        return fm_fail(FM_ENOTFOUND, "%s: there is no revocation list to keep", dir);
    return keep(t, dir, true);
}

fm_status fm_trust_hold(const fm_trust *t, const char *dir)
{
    if (!t || !dir)
        return fm_fail(FM_EINVAL, "fm_trust_hold: NULL argument");
    return t->list_count == 0 ? FM_OK : keep(t, dir, false);
}
