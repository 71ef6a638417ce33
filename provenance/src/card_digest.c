/* What binds a card to one model: digests of its tensors and of its metadata. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "card_internal.h"
#include "fedmoe/provenance/derivation.h"

#define CHUNK ((size_t)1 << 20)

fm_status fm_base64_put(fm_buf *out, const void *data, size_t len)
{
    const size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    uint8_t *at;
    fm_status st = fm_buf_extend(out, room, &at);

    if (st != FM_OK)
        return st;
    sodium_bin2base64((char *)at, room, data, len, sodium_base64_VARIANT_ORIGINAL);
    out->len--; /* the end of the string */
    return FM_OK;
}

fm_status fm_base64_get(const char *text, size_t text_len, void *out, size_t cap, size_t *len)
{
    const char *end = NULL;

    if (sodium_base642bin(out, cap, text, text_len, NULL, len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + text_len)
        return fm_fail(FM_EPROTO, "not base64 of at most %zu bytes", cap);
    return FM_OK;
}

/* ---- tensors ---- */

static fm_status add_values(fm_hasher *h, const fm_safetensors *s, const fm_tensor_view *v)
{
    void *room = NULL;
    fm_status st = FM_OK;

    if (v->data || v->bytes == 0) {
        fm_hasher_add(h, v->data, v->bytes);
        return FM_OK;
    }
    if (!s)
        return fm_fail(FM_EINVAL, "%s: a tensor without values", v->name);
    if ((st = fm_alloc(CHUNK, 1, &room)) != FM_OK)
        return st;
    for (size_t at = 0; st == FM_OK && at < v->bytes; at += CHUNK) {
        const size_t n = v->bytes - at < CHUNK ? v->bytes - at : CHUNK;

        if ((st = fm_safetensors_read(s, v, at, n, room)) == FM_OK)
            fm_hasher_add(h, room, n);
    }
    free(room);
    return st;
}

fm_status fm_card_tensor_digest(const fm_safetensors *s, const fm_tensor_view *v, fm_hash *out)
{
    fm_hasher h;
    fm_status st;

    fm_hasher_begin(&h, "fedmoe card tensor v1");
    fm_hasher_add_part(&h, v->name, strlen(v->name));
    fm_hasher_add_part(&h, v->dtype, strlen(v->dtype));
    fm_hasher_add_u64(&h, v->dims);
    for (size_t i = 0; i < v->dims; i++)
        fm_hasher_add_u64(&h, v->shape[i]);
    st = add_values(&h, s, v);
    *out = fm_hasher_end(&h);
    return st;
}

fm_hash fm_card_weights_digest(const fm_hash *tensors, size_t count)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_CARD_WEIGHTS_LABEL);
    fm_hasher_add(&h, tensors, count * sizeof *tensors);
    return fm_hasher_end(&h);
}

fm_status fm_card_file_digests(const fm_safetensors *s, fm_hash **out)
{
    const size_t count = fm_safetensors_count(s);
    void *room = NULL;
    fm_status st;

    if (count > FM_CARD_TENSORS_MAX)
        return fm_fail(FM_EPROTO, "%zu tensors; a card is for at most %zu", count,
                       FM_CARD_TENSORS_MAX);
    if ((st = fm_alloc(count + 1, sizeof(fm_hash), &room)) != FM_OK)
        return st;
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = fm_card_tensor_digest(s, fm_safetensors_at(s, i), (fm_hash *)room + i);
    if (st == FM_OK)
        *out = room;
    else
        free(room);
    return st;
}

/* ---- metadata ---- */

static bool is_apart(const char *key)
{
    static const char *const apart[] = { FM_META_CARD, FM_META_CARD_TENSORS,
                                         FM_META_CARD_CERTIFICATES, FM_META_CARD_SIGNATURE,
                                         FM_META_DERIVATION };

    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (strcmp(key, apart[i]) == 0)
            return true;
    return false;
}

static int by_key(const void *a, const void *b)
{
    const fm_safetensors_meta *x = a, *y = b;

    return strcmp(x->key, y->key);
}

fm_status fm_card_metadata_digest(const fm_safetensors_meta *meta, size_t count, fm_hash *out)
{
    fm_safetensors_meta *sorted;
    void *room = NULL;
    fm_hasher h;
    fm_status st = fm_alloc(count + 1, sizeof *sorted, &room);

    if (st != FM_OK)
        return st;
    sorted = room;
    if (count > 0)
        memcpy(sorted, meta, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_key);
    fm_hasher_begin(&h, "fedmoe card metadata v1");
    for (size_t i = 0; i < count; i++) {
        if (is_apart(sorted[i].key))
            continue;
        fm_hasher_add_part(&h, sorted[i].key, strlen(sorted[i].key));
        fm_hasher_add_part(&h, sorted[i].value, strlen(sorted[i].value));
    }
    *out = fm_hasher_end(&h);
    free(room);
    return FM_OK;
}
