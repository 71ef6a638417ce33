/* Making a card. */
#include <stdlib.h>
#include <string.h>

#include "card_internal.h"

void fm_card_signed_fini(fm_card_signed *s)
{
    fm_buf_fini(&s->card);
    fm_buf_fini(&s->tensors);
    fm_buf_fini(&s->certificates);
    fm_buf_fini(&s->signature);
}

void fm_card_signed_meta(const fm_card_signed *s, fm_safetensors_meta out[FM_CARD_META])
{
    out[0] = (fm_safetensors_meta){ FM_META_CARD, (const char *)s->card.data };
    out[1] = (fm_safetensors_meta){ FM_META_CARD_TENSORS, (const char *)s->tensors.data };
    out[2] = (fm_safetensors_meta){ FM_META_CARD_CERTIFICATES, (const char *)s->certificates.data };
    out[3] = (fm_safetensors_meta){ FM_META_CARD_SIGNATURE, (const char *)s->signature.data };
}

fm_status fm_card_message(const void *card, size_t card_len, const void *certificates,
                          size_t certificates_len, fm_buf *out)
{
    uint8_t length[8];
    fm_status st;

    fm_put_u64le(length, card_len);
    if ((st = fm_buf_append(out, length, sizeof length)) != FM_OK ||
        (st = fm_buf_append(out, card, card_len)) != FM_OK)
        return st;
    fm_put_u64le(length, certificates_len);
    if ((st = fm_buf_append(out, length, sizeof length)) != FM_OK)
        return st;
    return fm_buf_append(out, certificates, certificates_len);
}

/** The two digests of the card, and the digests of the tensors as text. */
static fm_status bind(const fm_card_subject *s, fm_card *c, fm_buf *tensors)
{
    fm_hash *each;
    void *room = NULL;
    fm_status st;

    if (s->tensor_count > FM_CARD_TENSORS_MAX)
        return fm_fail(FM_EINVAL, "a card is for at most %zu tensors; the model has %zu",
                       FM_CARD_TENSORS_MAX, s->tensor_count);
    if ((st = fm_alloc(s->tensor_count + 1, sizeof *each, &room)) != FM_OK)
        return st;
    each = room;
    for (size_t i = 0; st == FM_OK && i < s->tensor_count; i++)
        st = fm_card_tensor_digest(NULL, &s->tensors[i], &each[i]);
    c->weights = fm_card_weights_digest(each, s->tensor_count);
    if (st == FM_OK && (st = fm_base64_put(tensors, each, s->tensor_count * sizeof *each)) == FM_OK)
        st = fm_card_metadata_digest(s->meta, s->meta_count, &c->metadata);
    free(room);
    return st;
}

static fm_status put_certificates(const fm_identity *id, fm_buf *out)
{
    const fm_ca_path path = fm_identity_path(id);
    const uint8_t *der;
    size_t len;
    fm_status st;

    fm_identity_der(id, &der, &len);
    st = fm_base64_put(out, der, len);
    for (size_t i = 0; st == FM_OK && i < path.count; i++)
        if ((st = fm_buf_append(out, " ", 1)) == FM_OK)
            st = fm_base64_put(out, path.der[i], path.len[i]);
    return st;
}

static fm_status sign_texts(const fm_identity *id, fm_card_signed *t)
{
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_buf message = { 0 };
    fm_status st = fm_card_message(t->card.data, t->card.len, t->certificates.data,
                                   t->certificates.len, &message);

    if (st == FM_OK &&
        (st = fm_identity_sign(id, FM_CARD_LABEL, message.data, message.len, sig, &len)) == FM_OK)
        st = fm_base64_put(&t->signature, sig, len);
    fm_buf_fini(&message);
    return st;
}

/** What cannot be read again must not be signed. */
static fm_status check_readable(const fm_buf *text)
{
    fm_card again = { 0 };
    fm_status st = fm_card_parse("the new card", text->data, text->len, &again);

    fm_card_fini(&again);
    return st == FM_EPARSE || st == FM_EPROTO ? FM_EINVAL : st;
}

fm_status fm_card_sign(const fm_identity *id, const fm_card_subject *s, fm_card *c,
                       fm_card_signed *out)
{
    const fm_cert_info *info;
    fm_card_signed t = { 0 };
    fm_status st;

    if (!id || !s || !c || !out)
        return fm_fail(FM_EINVAL, "fm_card_sign: NULL argument");
    info = fm_identity_info(id);
    if (info->role != FM_ROLE_AGGREGATOR)
        return fm_fail(FM_EINVAL, "'%s' is a %s: only an aggregator signs a model's card",
                       info->name, fm_role_name(info->role));
    memcpy(c->federation, info->federation, sizeof c->federation);
    memcpy(c->signer, info->name, sizeof c->signer);
    if ((st = bind(s, c, &t.tensors)) != FM_OK || (st = fm_card_write(c, &t.card)) != FM_OK ||
        (st = check_readable(&t.card)) != FM_OK ||
        (st = put_certificates(id, &t.certificates)) != FM_OK || (st = sign_texts(id, &t)) != FM_OK)
        fm_card_signed_fini(&t);
    else
        *out = t;
    return st;
}
