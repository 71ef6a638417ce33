/* Ids back to bytes. */
#include "tokenizer_internal.h"

fm_status fm_tokenizer_decode(const fm_tokenizer *t, const uint32_t *ids, size_t count,
                              bool skip_special, fm_buf *out)
{
    size_t need = 0;
    uint8_t *to;
    fm_status st;

    if (!t || !out || (!ids && count))
        return fm_fail(FM_EINVAL, "fm_tokenizer_decode: no tokenizer, ids or buffer");
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= t->token_count || !t->tokens[ids[i]].present)
            return fm_fail(FM_EINVAL,
                           "id %zu of the list is %u, which no token has; ids are below %zu", i + 1,
                           (unsigned)ids[i], t->token_count);
        if (!(skip_special && t->tokens[ids[i]].special) &&
            (st = fm_add_size(need, t->tokens[ids[i]].bytes_len, &need)) != FM_OK)
            return st;
    }
    if (!need)
        return FM_OK;
    if ((st = fm_buf_extend(out, need, &to)) != FM_OK)
        return st;
    for (size_t i = 0; i < count; i++) {
        const fm_tk_token *k = &t->tokens[ids[i]];

        if ((skip_special && k->special) || !k->bytes_len)
            continue;
        memcpy(to, t->bytes.data + k->bytes, k->bytes_len);
        to += k->bytes_len;
    }
    return FM_OK;
}
