/* The file of decisions: a chain of signed texts, replaced whole and synced, added to only. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sodium.h>

#include "decision_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"

void fm_decisions_fini(fm_decisions *d)
{
    free(d->entries);
    *d = (fm_decisions){ 0 };
}

bool fm_decisions_know(const fm_decisions *d, const char *federation)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->entries[i].d.federation, federation) == 0)
            return true;
    return false;
}

/* ---- reading ---- */

/** In the one way of writing it: the decoder takes some characters for others. */
static bool take_base64(const char **at, const char *key, uint8_t *out, size_t cap, size_t *len)
{
    char text[FM_DECISION_BASE64], again[FM_DECISION_BASE64];

    if (!fm_decision_line(at, key, text, sizeof text) || !*text ||
        sodium_base642bin(out, cap, text, strlen(text), NULL, len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    sodium_bin2base64(again, sizeof again, out, *len, sodium_base64_VARIANT_ORIGINAL);
    return strcmp(text, again) == 0;
}

static fm_status check_signature(const fm_decision_entry *e, const char *text, size_t signed_len,
                                 const uint8_t *sig, size_t sig_len)
{
    fm_buf again = { 0 };
    fm_status st = fm_decision_encode(&e->d, &e->key, &again);

    if (st == FM_EINVAL ||
        (st == FM_OK && (again.len != signed_len || memcmp(again.data, text, signed_len) != 0)))
        st = fm_fail(FM_EAUTH, "it is not written as a decision is");
    if (st == FM_OK)
        st = fm_public_key_check(&e->key, FM_LABEL_DECISION, text, signed_len, sig, sig_len);
    fm_buf_fini(&again);
    return st;
}

/** One decision at *at, which moves behind it. */
static fm_status take_entry(const char **at, const fm_decision_entry *before,
                            fm_decision_entry *out)
{
    const char *begin = *at, *signed_end;
    const fm_hash none = { { 0 } };
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t sig_len = 0;

    if (!fm_decision_decode(at, &out->d) ||
        !take_base64(at, "key", out->key.der, sizeof out->key.der, &out->key.len))
        return fm_fail(FM_EAUTH, "it is not written as a decision is");
    signed_end = *at;
    if (!take_base64(at, "signature", sig, sizeof sig, &sig_len) || **at != '\n')
        return fm_fail(FM_EAUTH, "its signature is missing");
    ++*at;
    if (out->d.number != (before ? before->d.number + 1 : 1))
        return fm_fail(FM_EAUTH, "its number is %llu: one is missing, or stands twice",
                       (unsigned long long)out->d.number);
    if (!fm_hash_equal(&out->d.before, before ? &before->hash : &none))
        return fm_fail(FM_EAUTH, "the decision before it is not the one that it was made after");
    out->hash = fm_hash_of(FM_LABEL_DECISION, begin, (size_t)(*at - begin));
    return check_signature(out, begin, (size_t)(signed_end - begin), sig, sig_len);
}

static fm_status add(fm_decisions *d, size_t *room, fm_decision_entry **out)
{
    const size_t more = *room ? 2 * *room : 8;
    fm_decision_entry *grown;

    if (d->count == *room) {
        if (!(grown = realloc(d->entries, more * sizeof *grown)))
            return fm_fail(FM_ENOMEM, "no memory for %zu decisions", more);
        d->entries = grown;
        *room = more;
    }
    *out = &d->entries[d->count];
    memset(*out, 0, sizeof **out);
    return FM_OK;
}

/** @param text  ends in a zero byte, behind len. */
static fm_status read_text(const char *name, const char *text, size_t len, fm_decisions *out)
{
    const char *at = text, *end = at + len;
    fm_decisions d = { 0 };
    fm_decision_entry *e = NULL;
    size_t room = 0;
    fm_status st = FM_OK;

    if (memchr(text, '\0', len))
        st = fm_fail(FM_EAUTH, "%s: a zero byte: it was damaged or altered", name);
    while (st == FM_OK && at < end && (st = add(&d, &room, &e)) == FM_OK) {
        st = take_entry(&at, d.count > 0 ? e - 1 : NULL, e);
        if (st == FM_OK)
            d.count++;
        else if (st != FM_ENOMEM)
            st = fm_fail(FM_EAUTH,
                         "%s: decision %zu was altered or is damaged: %s; put the file back as it "
                         "was, from a backup (there is none: 'fedmoe-node plan reset')",
                         name, d.count + 1, fm_error_text());
    }
    if (st == FM_OK)
        *out = d;
    else
        fm_decisions_fini(&d);
    return st;
}

fm_status fm_decisions_read(const char *name, const void *text, size_t len, fm_decisions *out)
{
    fm_buf copy = { .limit = FM_DECISIONS_MAX_BYTES };
    fm_status st = len > 0 ? fm_buf_append(&copy, text, len) : FM_OK;

    if (st == FM_OK)
        st = read_text(name, len > 0 ? (const char *)copy.data : "", len, out);
    fm_buf_fini(&copy);
    return st;
}

fm_status fm_decisions_load(const char *path, fm_decisions *out)
{
    fm_decisions none = { 0 };
    fm_buf text = { 0 };
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_decisions_load: NULL argument");
    if ((st = fm_file_read_private(path, FM_DECISIONS_MAX_BYTES, &text)) == FM_ENOTFOUND) {
        *out = none;
        return FM_OK;
    }
    if (st == FM_OK)
        st = fm_decisions_read(path, text.data ? (const char *)text.data : "", text.len, out);
    fm_buf_fini(&text);
    return st;
}

/* ---- adding ---- */

static fm_status sign(const fm_decision_signer *s, const fm_buf *text, uint8_t *sig,
                      size_t *sig_len)
{
    if (s->key_file)
        return fm_key_file_sign(s->key_file, FM_LABEL_DECISION, text->data, text->len, sig,
                                sig_len);
    return fm_identity_sign(s->identity, FM_LABEL_DECISION, text->data, text->len, sig, sig_len);
}

/** The decision's lines, with its signature, behind `all`. */
static fm_status put(const fm_decision_signer *s, const fm_decision *d, fm_buf *all)
{
    char base64[FM_DECISION_BASE64];
    uint8_t sig[FM_SIGNATURE_MAX];
    fm_public_key key;
    size_t sig_len = 0;
    fm_buf text = { 0 };
    fm_status st = s->key_file ? fm_key_file_public(s->key_file, &key)
                               : fm_identity_public_key(s->identity, &key);

    if (st == FM_OK && (st = fm_decision_encode(d, &key, &text)) == FM_OK &&
        (st = sign(s, &text, sig, &sig_len)) == FM_OK &&
        (st = fm_buf_append(all, text.data, text.len)) == FM_OK) {
        sodium_bin2base64(base64, sizeof base64, sig, sig_len, sodium_base64_VARIANT_ORIGINAL);
        st = fm_buf_printf(all, "signature %s\n\n", base64);
    }
    fm_buf_fini(&text);
    return st;
}

/** One process at a time; the lock's file stays. */
static fm_status lock(const char *path, int *out)
{
    char *name = NULL;
    int fd;

    if (asprintf(&name, "%s.lock", path) < 0)
        return fm_fail(FM_ENOMEM, "no memory for the name of a lock");
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(name);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0) {
        *out = fd;
        return FM_OK;
    }
    if (fd >= 0)
        (void)close(fd);
    return fm_fail(FM_EIO, "%s.lock: cannot be locked: %s", path, strerror(errno));
}

/** What the file holds: its text, and its decisions. */
static fm_status read_both(const char *path, fm_buf *text, fm_decisions *d)
{
    fm_status st = fm_file_read_private(path, FM_DECISIONS_MAX_BYTES, text);

    if (st == FM_ENOTFOUND)
        return FM_OK;
    return st == FM_OK
               ? fm_decisions_read(path, text->data ? (const char *)text->data : "", text->len, d)
               : st;
}

static fm_status append(const char *path, const fm_decision_signer *signer, fm_decision *d,
                        fm_decision_entry *kept)
{
    fm_decisions had = { 0 }, has = { 0 };
    fm_buf old = { 0 }, all = { .limit = FM_DECISIONS_MAX_BYTES };
    fm_status st;

    if ((st = read_both(path, &old, &had)) != FM_OK ||
        (old.len > 0 && (st = fm_buf_append(&all, old.data, old.len)) != FM_OK))
        goto done;
    d->number = had.count + 1;
    d->before = had.count > 0 ? had.entries[had.count - 1].hash : (fm_hash){ { 0 } };
    /* Read before it is written: what would be refused later is never kept. */
    if ((st = put(signer, d, &all)) != FM_OK ||
        (st = fm_decisions_read(path, all.data, all.len, &has)) != FM_OK ||
        (st = fm_file_replace(path, all.data, all.len, 0600)) != FM_OK)
        goto done;
    *kept = has.entries[has.count - 1];
done:
    fm_decisions_fini(&had);
    fm_decisions_fini(&has);
    fm_buf_fini(&old);
    fm_buf_fini(&all);
    return st;
}

fm_status fm_decisions_append(const char *path, const fm_decision_signer *signer, fm_decision *d,
                              fm_decision_entry *kept)
{
    int fd = -1;
    fm_status st;

    if (!path || !signer || !d || !kept || (!signer->key_file && !signer->identity))
        return fm_fail(FM_EINVAL, "fm_decisions_append: NULL argument");
    if ((st = lock(path, &fd)) != FM_OK)
        return st;
    st = append(path, signer, d, kept);
    (void)close(fd);
    return st;
}

/* ---- whose decisions count ---- */

fm_status fm_decision_keys_of(const fm_node_config *c, fm_decision_keys *out)
{
    fm_decision_keys k = { .count = 0 };
    char *path = NULL;
    fm_status st = FM_OK;

    for (; st == FM_OK && k.count < c->policy.approver_count; k.count++)
        st = fm_public_key_load(c->policy.approvers[k.count], &k.keys[k.count]);
    if (st == FM_OK && k.count == 0 &&
        (st = fm_path_join(c->identity_dir, "identity.crt", &path)) == FM_OK) {
        st = fm_certificate_public_key(path, &k.keys[0]);
        k.count = 1;
    }
    free(path);
    if (st == FM_OK)
        *out = k;
    return st;
}

bool fm_decision_counts(const fm_decision_entry *e, const fm_decision_keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        if (fm_public_key_equal(&e->key, &k->keys[i]))
            return true;
    return false;
}

const fm_decision_entry *fm_decisions_on(const fm_decisions *d, const fm_hash *plan,
                                         const fm_decision_keys *k)
{
    for (size_t i = d->count; i-- > 0;)
        if (fm_hash_equal(&d->entries[i].d.plan, plan) && fm_decision_counts(&d->entries[i], k))
            return &d->entries[i];
    return NULL;
}

fm_status fm_decisions_check_known(const fm_decisions *d, const char *path, uint64_t count,
                                   const fm_hash *head)
{
    if (count == 0 || (count <= d->count && fm_hash_equal(&d->entries[count - 1].hash, head)))
        return FM_OK;
    return fm_fail(
        FM_EAUTH,
        "%s: holds %zu decision%s, but this node has seen %llu, and not these: the file "
        "was cut short or replaced; put the newest one back (it is lost: 'fedmoe-node plan "
        "reset')",
        path, d->count, d->count == 1 ? "" : "s", (unsigned long long)count);
}

fm_status fm_decisions_check_void(const fm_decisions *d, const char *path, int64_t voided_s)
{
    char when[32];

    if (d->count == 0 || d->entries[0].d.at_s >= voided_s)
        return FM_OK;
    fm_clock_format(voided_s, when, sizeof when);
    return fm_fail(
        FM_EAUTH,
        "%s: begins with a decision of before %s, when all that there were were declared "
        "void: put the file back that was begun then (it is lost: 'fedmoe-node plan "
        "reset')",
        path, when);
}

fm_status fm_decisions_of_node(const fm_node_config *c, fm_decisions *out)
{
    char *path = NULL, *journal = NULL;
    fm_decisions all = { 0 };
    fm_journal_voided voided;
    uint64_t known = 0;
    fm_hash head;
    fm_status st;

    if ((st = fm_path_join(c->dir, FM_DECISIONS_FILE, &path)) == FM_OK &&
        (st = fm_path_join(c->dir, "state.db", &journal)) == FM_OK &&
        (st = fm_decisions_load(path, &all)) == FM_OK && fm_file_exists(journal) &&
        (st = fm_journal_read_decisions(journal, &known, &head)) == FM_OK &&
        (st = fm_journal_read_voided(journal, 0, &voided)) == FM_OK &&
        (st = fm_decisions_check_known(&all, path, known, &head)) == FM_OK)
        st = fm_decisions_check_void(&all, path, voided.at_s);
    free(path);
    free(journal);
    if (st == FM_OK)
        *out = all;
    else
        fm_decisions_fini(&all);
    return st;
}
