/* Checking a card, and saying which part of the file does not fit it. */
#include <stdlib.h>
#include <string.h>

#include "card_internal.h"
#include "fedmoe/certs/past.h"
#include "fedmoe/provenance/derivation.h"

#define CLOCKS_APART_S 3600

bool fm_card_is_there(const fm_safetensors *s)
{
    return fm_safetensors_meta_get(s, FM_META_CARD) != NULL;
}

fm_status fm_card_read(const char *name, const fm_safetensors *s, fm_card *out)
{
    const char *text = fm_safetensors_meta_get(s, FM_META_CARD);
    fm_status st;

    if (!text)
        return fm_fail(FM_ENOTFOUND,
                       "%s: has no card; 'fedmoe-aggregator export' writes one into a model", name);
    if ((st = fm_card_parse("card", text, strlen(text), out)) != FM_OK)
        return fm_fail_context(st, "%s: ", name);
    return FM_OK;
}

void fm_card_verdict_fini(fm_card_verdict *v)
{
    fm_card_fini(&v->card);
}

/* ---- who signed ---- */

typedef struct {
    uint8_t der[FM_CERT_MAX_BYTES];
    size_t len;
    uint8_t above[FM_INTERMEDIATES_MAX][FM_INTERMEDIATE_MAX_BYTES];
    fm_ca_path path;
} chain;

static fm_status read_chain(const char *text, chain *c)
{
    size_t n = strcspn(text, " ");
    fm_status st = fm_base64_get(text, n, c->der, sizeof c->der, &c->len);

    for (text += n; st == FM_OK && *text; text += n) {
        const size_t i = c->path.count;

        if (i == FM_INTERMEDIATES_MAX)
            return fm_fail(FM_EPROTO, "more than %d intermediate CAs", FM_INTERMEDIATES_MAX);
        text++;
        n = strcspn(text, " ");
        st = fm_base64_get(text, n, c->above[i], sizeof c->above[i], &c->path.len[i]);
        c->path.der[i] = c->above[i];
        c->path.count++;
    }
    return st;
}

static fm_status check_peer(const fm_trust *t, const char *certificates, const fm_card *c,
                            fm_peer **out, int64_t *revoked_s)
{
    void *room = NULL;
    fm_status st = fm_alloc(1, sizeof(chain), &room);

    if (st == FM_OK && (st = read_chain(certificates, room)) == FM_OK) {
        const chain *k = room;

        st = fm_peer_verify_past(t, k->der, k->len, &k->path, FM_ROLE_AGGREGATOR, c->signed_s, out,
                                 revoked_s);
    }
    free(room);
    return st == FM_OK ? st : fm_fail_context(st, FM_META_CARD_CERTIFICATES ": ");
}

static fm_status check_signature(const fm_safetensors *s, const fm_peer *p)
{
    const char *card = fm_safetensors_meta_get(s, FM_META_CARD);
    const char *certs = fm_safetensors_meta_get(s, FM_META_CARD_CERTIFICATES);
    const char *text = fm_safetensors_meta_get(s, FM_META_CARD_SIGNATURE);
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_buf message = { 0 };
    fm_status st;

    if ((st = fm_base64_get(text, strlen(text), sig, sizeof sig, &len)) != FM_OK)
        return fm_fail_context(st, FM_META_CARD_SIGNATURE ": ");
    if ((st = fm_card_message(card, strlen(card), certs, strlen(certs), &message)) == FM_OK &&
        (st = fm_peer_check_signature(p, FM_CARD_LABEL, message.data, message.len, sig, len)) ==
            FM_EAUTH)
        st =
            fm_fail(FM_EAUTH, "the signature does not fit: the card, the certificates beside it or "
                              "the signature were changed after it was signed");
    fm_buf_fini(&message);
    return st;
}

static fm_status check_signer(const fm_safetensors *s, const fm_trust *t, int64_t now_s,
                              fm_card_verdict *v)
{
    const char *certs = fm_safetensors_meta_get(s, FM_META_CARD_CERTIFICATES);
    const fm_cert_info *info;
    fm_peer *p = NULL;
    fm_status st;

    if (!certs || !fm_safetensors_meta_get(s, FM_META_CARD_SIGNATURE) ||
        !fm_safetensors_meta_get(s, FM_META_CARD_TENSORS))
        return fm_fail(FM_EAUTH, "a card without all of " FM_META_CARD_CERTIFICATES
                                 ", " FM_META_CARD_SIGNATURE " and " FM_META_CARD_TENSORS);
    if (v->card.signed_s > now_s + CLOCKS_APART_S)
        return fm_fail(FM_EAUTH, "the card says that it was signed in the future; set this "
                                 "machine's clock right, or ask the coordinator");
    if ((st = check_peer(t, certs, &v->card, &p, &v->revoked_s)) != FM_OK)
        return st;
    info = fm_peer_info(p);
    if (strcmp(info->name, v->card.signer) != 0 ||
        strcmp(info->federation, v->card.federation) != 0)
        st = fm_fail(FM_EAUTH, "the card names '%s' of '%s', its certificate '%s' of '%s'",
                     v->card.signer, v->card.federation, info->name, info->federation);
    else
        st = check_signature(s, p);
    v->fingerprint = info->fingerprint;
    v->not_before_s = info->not_before_s;
    v->not_after_s = info->not_after_s;
    v->expired = info->not_after_s < now_s;
    fm_peer_free(&p);
    return st;
}

/* ---- what was signed ---- */

static fm_status get_list(const char *text, size_t most, fm_hash **out, size_t *count)
{
    const size_t cap = (most + 1) * sizeof(fm_hash);
    void *room = NULL;
    size_t len = 0;
    fm_status st = fm_alloc(cap, 1, &room);

    if (st == FM_OK)
        st = fm_base64_get(text, strlen(text), room, cap, &len);
    if (st == FM_OK && len % sizeof(fm_hash) != 0)
        st = fm_fail(FM_EPROTO, "not a list of digests");
    if (st != FM_OK) {
        free(room);
        return st;
    }
    *out = room;
    *count = len / sizeof(fm_hash);
    return FM_OK;
}

/** The signed digest of each tensor. */
static fm_status signed_list(const fm_safetensors *s, const fm_card *c, fm_hash **out,
                             size_t *count)
{
    fm_hash weights;
    fm_status st =
        get_list(fm_safetensors_meta_get(s, FM_META_CARD_TENSORS), FM_CARD_TENSORS_MAX, out, count);

    if (st != FM_OK)
        return fm_fail_context(st, FM_META_CARD_TENSORS ": ");
    weights = fm_card_weights_digest(*out, *count);
    if (!fm_hash_equal(&weights, &c->weights))
        return fm_fail(FM_EAUTH,
                       FM_META_CARD_TENSORS ": not the list that the card was signed with");
    return FM_OK;
}

/** FM_EAUTH and the first tensor that is not as it was signed. */
static fm_status check_tensors(const fm_safetensors *s, const fm_hash *list, size_t count)
{
    const size_t n = fm_safetensors_count(s);
    fm_hash mine;
    fm_status st;

    for (size_t i = 0; i < n && i < count; i++) {
        const fm_tensor_view *v = fm_safetensors_at(s, i);

        if ((st = fm_card_tensor_digest(s, v, &mine)) != FM_OK)
            return st;
        if (!fm_hash_equal(&mine, &list[i]))
            return fm_fail(FM_EAUTH,
                           "the tensor '%s' is not the one that was signed in its place: its "
                           "name, shape or values were changed",
                           v->name);
    }
    if (n != count)
        return fm_fail(FM_EAUTH, "%zu tensors; with %zu it was signed", n, count);
    return FM_OK;
}

static fm_status check_metadata(const fm_safetensors *s, const fm_card *c)
{
    const size_t n = fm_safetensors_meta_count(s);
    fm_safetensors_meta *meta;
    void *room = NULL;
    fm_hash mine;
    fm_status st = fm_alloc(n + 1, sizeof *meta, &room);

    if (st != FM_OK)
        return st;
    meta = room;
    for (size_t i = 0; i < n; i++)
        meta[i] = fm_safetensors_meta_at(s, i);
    st = fm_card_metadata_digest(meta, n, &mine);
    free(room);
    if (st == FM_OK && !fm_hash_equal(&mine, &c->metadata))
        st = fm_fail(FM_EAUTH, "the metadata (schema, configuration, ...) is not that which was "
                               "signed");
    return st;
}

/** A derived file is another model by its own word; its card is about the file that it began with.
 */
static fm_status check_content(const fm_safetensors *s, fm_card_verdict *v)
{
    const char *record = fm_safetensors_meta_get(s, FM_META_DERIVATION);
    fm_hash *list = NULL, first;
    size_t count = 0, steps;
    fm_status st = signed_list(s, &v->card, &list, &count);

    if (st == FM_OK && record) {
        v->standing = FM_CARD_DERIVED;
        if ((st = fm_derivation_read(record, &first, &steps)) == FM_OK &&
            !fm_hash_equal(&first, &v->card.weights))
            st =
                fm_fail(FM_EAUTH, FM_META_DERIVATION ": begins with another model than the card's");
    } else if (st == FM_OK && (st = check_tensors(s, list, count)) == FM_OK) {
        st = check_metadata(s, &v->card);
    }
    free(list);
    return st;
}

fm_status fm_card_verify(const char *name, const fm_safetensors *s, const fm_trust *t,
                         int64_t now_s, fm_card_verdict *out)
{
    fm_card_verdict v = { .standing = FM_CARD_SIGNED };
    fm_status st;

    if (!name || !s || !t || !out)
        return fm_fail(FM_EINVAL, "fm_card_verify: NULL argument");
    if ((st = fm_card_read(name, s, &v.card)) != FM_OK)
        return st;
    if ((st = check_signer(s, t, now_s, &v)) == FM_OK && (st = check_content(s, &v)) == FM_OK) {
        *out = v;
        return FM_OK;
    }
    fm_card_verdict_fini(&v);
    return fm_fail_context(st, "%s: ", name);
}
