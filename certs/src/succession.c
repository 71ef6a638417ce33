/* A CA's successor, as those see it who have pinned the CA. */
#include "fedmoe/certs/succession.h"

#include <string.h>

#include "succession_internal.h"
#include "trust_internal.h"

fm_status fm_succession_bytes(const fm_hash *old, const uint8_t *der, size_t len, fm_buf *out)
{
    fm_buf message;
    fm_status st;

    fm_buf_init(&message, FM_HASH_BYTES + len);
    if ((st = fm_buf_append(&message, old->bytes, FM_HASH_BYTES)) == FM_OK &&
        (st = fm_buf_append(&message, der, len)) == FM_OK)
        st = fm_signed_bytes(FM_SUCCESSION_LABEL, message.data, message.len, out);
    fm_buf_fini(&message);
    return st;
}

fm_succession fm_trust_succession(const fm_trust *t)
{
    if (t->ca_count < 2 || t->succession_len == 0)
        return (fm_succession){ 0 };
    return (fm_succession){ t->ders[1].data, t->ders[1].len, t->succession, t->succession_len };
}

/** Whether the pinned CA i has named it. */
static fm_status check_signature(const fm_trust *t, size_t i, const fm_succession *s, bool *ok)
{
    EVP_PKEY *key = X509_get0_pubkey(t->cas[i]);
    EVP_MD_CTX *ctx = NULL;
    fm_key_type type;
    fm_buf signed_bytes = { 0 };
    fm_status st;

    *ok = false;
    if (fm_key_type_of(key, &type) != FM_OK)
        return FM_OK; /* another PKI's, which names no successors */
    if ((st = fm_succession_bytes(&t->infos[i].fingerprint, s->ca, s->ca_len, &signed_bytes)) !=
        FM_OK)
        return st;
    if (!(ctx = EVP_MD_CTX_new()))
        st = fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a signature");
    else
        *ok = EVP_DigestVerifyInit(ctx, NULL, fm_key_digest(key), NULL, key) == 1 &&
              EVP_DigestVerify(ctx, s->signature, s->signature_len, signed_bytes.data,
                               signed_bytes.len) == 1;
    EVP_MD_CTX_free(ctx);
    fm_buf_fini(&signed_bytes);
    return st;
}

static bool is_valid(const fm_cert_info *i, int64_t now_s)
{
    return i->not_before_s <= now_s && now_s < i->not_after_s;
}

/** @param by  out: the pinned CA that has named it. */
static fm_status check(const fm_trust *t, X509 *ca, const fm_cert_facts *f, const fm_succession *s,
                       int64_t now_s, size_t *by)
{
    bool ok = false;
    fm_status st;

    if ((st = fm_ca_cert_check("the successor of the CA", ca, f)) != FM_OK)
        return st;
    if (strcmp(f->info.federation, t->federation) != 0)
        return fm_fail(FM_EAUTH, "a successor of the CA that is for federation '%s'",
                       f->info.federation);
    if (!is_valid(&f->info, now_s))
        return fm_fail(FM_EAUTH, "a successor of the CA that is not valid now; check the clocks of "
                                 "both machines");
    for (size_t i = 0; i < t->ca_count; i++) {
        if (!is_valid(&t->infos[i], now_s))
            continue;
        if ((st = check_signature(t, i, s, &ok)) != FM_OK)
            return st;
        if (!ok)
            continue;
        *by = i;
        return f->info.not_after_s > t->infos[i].not_after_s
                   ? FM_OK
                   : fm_fail(FM_EAUTH, "a successor of the CA that does not outlive it");
    }
    return fm_fail(FM_EAUTH, "a new CA that no pinned CA has named its successor: somebody else "
                             "made it");
}

/** The CA that named it, the new one, and the lists that still count. */
static fm_status pin_both(const fm_trust *t, size_t by, X509 *ca, const fm_cert_facts *f,
                          const fm_succession *s, fm_trust **out)
{
    fm_trust *fresh = NULL;
    fm_status st;

    if ((st = fm_trust_copy_of(t, by, NULL, &fresh)) == FM_OK &&
        (st = fm_trust_pin(fresh, ca, &f->info)) == FM_OK) {
        memcpy(fresh->succession, s->signature, s->signature_len);
        fresh->succession_len = s->signature_len;
        *out = fresh;
        fresh = NULL;
    }
    fm_trust_free(&fresh);
    return st;
}

fm_status fm_trust_succeed(const fm_trust *t, const fm_succession *s, int64_t now_s, fm_trust **out)
{
    fm_cert_facts f;
    X509 *ca = NULL;
    size_t by = 0;
    fm_status st;

    if (!t || !s || !out || !s->ca || !s->signature)
        return fm_fail(FM_EINVAL, "fm_trust_succeed: NULL argument");
    *out = NULL;
    if (s->ca_len > FM_SUCCESSOR_MAX_BYTES || s->signature_len < 1 ||
        s->signature_len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EAUTH, "a successor of the CA with lengths past their limits");
    if ((st = fm_cert_parse(s->ca, s->ca_len, &ca)) != FM_OK ||
        (st = fm_cert_facts_of(ca, &f)) != FM_OK) {
        st = fm_fail_context(st == FM_ENOMEM ? st : FM_EAUTH, "a successor of the CA: ");
        goto done;
    }
    for (size_t i = 0; i < t->ca_count; i++)
        if (fm_hash_equal(&t->infos[i].fingerprint, &f.info.fingerprint))
            goto done;
    if ((st = check(t, ca, &f, s, now_s, &by)) != FM_OK)
        goto done;
    if (t->ca_count == FM_CAS_MAX && (by == 0 || is_valid(&t->infos[0], now_s)))
        st = fm_fail(FM_EAUTH, "a third CA while two are pinned; the older one must be dropped "
                               "first ('fedmoe-certs ca drop')");
    else
        st = pin_both(t, by, ca, &f, s, out);
done:
    X509_free(ca);
    return st;
}

bool fm_trust_is_superseded(const fm_trust *t, const fm_identity *id)
{
    const uint8_t *der;
    size_t len;
    X509 *x = NULL;
    bool old;

    if (t->ca_count < 2 || t->succession_len == 0)
        return false;
    fm_identity_der(id, &der, &len);
    if (fm_cert_parse(der, len, &x) != FM_OK)
        return false;
    old = !fm_cert_is_by(x, t->cas[1]);
    X509_free(x);
    return old;
}
