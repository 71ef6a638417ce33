/* Tokens by id and by text, and merges by pair. */
#include <sodium.h>
#include <stdlib.h>

#include "fedmoe/base/random.h"
#include "tokenizer_internal.h"

#define TEXTS_LIMIT ((size_t)256 * 1024 * 1024)

/* GPT-2's alphabet: bytes that print in Latin-1 stand for themselves; the others, 0 to 0x20, 0x7f to
 * 0xa0 and 0xad, for the characters from U+0100 on. */
enum { LOW = 0x100, MIDDLE = LOW + 0x21, SOFT_HYPHEN = MIDDLE + 0x22 };

uint32_t fm_tk_alphabet(uint8_t b)
{
    if (b <= 0x20)
        return LOW + b;
    if (b >= 0x7f && b <= 0xa0)
        return MIDDLE + (uint32_t)(b - 0x7f);
    return b == 0xad ? SOFT_HYPHEN : b;
}

/* The byte that a character of the alphabet stands for, -1. */
static int byte_of(uint32_t c)
{
    if (c >= LOW && c < MIDDLE)
        return (int)(c - LOW);
    if (c >= MIDDLE && c < SOFT_HYPHEN)
        return (int)(c - MIDDLE + 0x7f);
    if (c == SOFT_HYPHEN)
        return 0xad;
    return c < 0x100 && fm_tk_alphabet((uint8_t)c) == c ? (int)c : -1;
}

fm_status fm_tk_vocab_begin(fm_tokenizer *t, size_t ids, size_t tokens)
{
    size_t room = 16;
    fm_status st;

    while (room < 2 * tokens)
        room *= 2;
    t->token_count = ids;
    t->index_mask = room - 1;
    fm_random_bytes(t->index_key, sizeof t->index_key);
    fm_buf_init(&t->texts, TEXTS_LIMIT);
    fm_buf_init(&t->bytes, TEXTS_LIMIT);
    memset(t->of_byte, 0xff, sizeof t->of_byte);
    if ((st = fm_alloc(ids, sizeof *t->tokens, (void **)&t->tokens)) != FM_OK ||
        (st = fm_alloc(room, sizeof *t->index, (void **)&t->index)) != FM_OK)
        return st;
    memset(t->index, 0xff, room * sizeof *t->index);
    return FM_OK;
}

static size_t place(const fm_tokenizer *t, const char *text, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];

    _Static_assert(crypto_shorthash_KEYBYTES == sizeof t->index_key, "a key");
    (void)crypto_shorthash(hash, (const uint8_t *)text, len, t->index_key);
    return (size_t)fm_get_u64le(hash) & t->index_mask;
}

static bool is_text(const fm_tokenizer *t, uint32_t id, const char *text, size_t len)
{
    const fm_tk_token *k = &t->tokens[id];

    return k->text_len == len && (!len || memcmp(t->texts.data + k->text, text, len) == 0);
}

uint32_t fm_tk_find(const fm_tokenizer *t, const char *text, size_t len)
{
    for (size_t at = place(t, text, len);; at = (at + 1) & t->index_mask)
        if (t->index[at] == FM_TK_NONE || is_text(t, t->index[at], text, len))
            return t->index[at];
}

/* What a token of the model decodes to: its bytes where its text is all of the alphabet, else the
 * text. An added token of its own is its text. */
static fm_status spell(fm_tokenizer *t, fm_tk_token *k, const char *text, size_t len, bool added)
{
    size_t begin = t->bytes.len, n;
    fm_status st = FM_OK;

    for (size_t at = 0; at < len && !added && !st; at += n) {
        const int b = byte_of(fm_tk_decode((const uint8_t *)text + at, &n));
        const uint8_t byte = (uint8_t)b;

        if (b < 0)
            break;
        st = fm_buf_append(&t->bytes, &byte, 1);
        if (at + n == len) {
            k->bytes_len = (uint32_t)(t->bytes.len - begin);
            k->bytes = (uint32_t)begin;
            return st;
        }
    }
    t->bytes.len = begin;
    if (!st && len)
        st = fm_buf_append(&t->bytes, text, len);
    k->bytes = (uint32_t)begin;
    k->bytes_len = (uint32_t)len;
    return st;
}

fm_status fm_tk_vocab_add(fm_tokenizer *t, uint32_t id, const char *text, size_t len, bool added)
{
    fm_tk_token *k = &t->tokens[id];
    size_t at = place(t, text, len);
    fm_status st;

    while (t->index[at] != FM_TK_NONE)
        at = (at + 1) & t->index_mask;
    t->index[at] = id;
    k->present = true;
    k->added = added;
    k->model = !added;
    k->text = (uint32_t)t->texts.len;
    k->text_len = (uint32_t)len;
    t->longest = len > t->longest ? len : t->longest;
    if (len && (st = fm_buf_append(&t->texts, text, len)) != FM_OK)
        return st;
    if ((st = spell(t, k, text, len, added)) != FM_OK || added || k->bytes_len != 1)
        return st;
    if (byte_of(fm_tk_decode((const uint8_t *)text, &at)) >= 0 && at == len)
        t->of_byte[t->bytes.data[k->bytes]] = id;
    return FM_OK;
}

fm_status fm_tk_vocab_mark(fm_tokenizer *t, uint32_t id, const char *text, size_t len, bool special)
{
    fm_tk_token *k = &t->tokens[id];
    fm_status st = FM_OK;

    /* What the model's vocabulary has goes on to decode as before: it may be one of the bytes. */
    if (!k->present)
        st = fm_tk_vocab_add(t, id, text, len, true);
    k->added = true;
    k->special = special;
    return st;
}

fm_status fm_tk_merges_begin(fm_tokenizer *t, size_t count)
{
    unsigned bits = 4;
    fm_status st;

    while (((size_t)1 << bits) < 2 * count)
        bits++;
    fm_random_bytes(&t->merge_factor, sizeof t->merge_factor);
    t->merge_factor |= 1;
    t->merge_shift = 64 - bits;
    t->merge_mask = ((size_t)1 << bits) - 1;
    if ((st = fm_alloc(t->merge_mask + 1, sizeof *t->merges, (void **)&t->merges)) != FM_OK)
        return st;
    for (size_t i = 0; i <= t->merge_mask; i++)
        t->merges[i].pair = UINT64_MAX;
    return FM_OK;
}

void fm_tk_merges_add(fm_tokenizer *t, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    size_t at = (size_t)(pair * t->merge_factor >> t->merge_shift);

    while (t->merges[at].pair != UINT64_MAX && t->merges[at].pair != pair)
        at = (at + 1) & t->merge_mask;
    t->merges[at] = (fm_tk_merge){ .pair = pair, .rank = rank, .id = id };
}
