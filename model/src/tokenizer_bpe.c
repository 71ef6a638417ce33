/*
 * Byte-pair encoding of one word. Of all neighbours that merge, the pair of the least rank, the
 * leftmost of equal ones, goes first: a heap over a linked list, O(n log n). Words that come again,
 * as almost all do, are kept with their ids.
 */
#include <sodium.h>
#include <stdlib.h>

#include "tokenizer_internal.h"

/* Room for `more` ids behind those that are there. */
static fm_status reserve(fm_token_list *l, size_t more)
{
    const size_t cap = l->cap ? 2 * l->cap : 1024;
    uint32_t *ids;

    if (more <= l->cap - l->count)
        return FM_OK;
    if (!(ids = malloc(cap * sizeof *ids)))
        return fm_fail(FM_ENOMEM, "no memory for %zu token ids", cap);
    if (l->count)
        memcpy(ids, l->ids, l->count * sizeof *ids);
    if (l->ids)
        sodium_memzero(l->ids, l->cap * sizeof *ids);
    free(l->ids);
    l->ids = ids;
    l->cap = cap;
    return FM_OK;
}

fm_status fm_tk_push(fm_token_list *l, uint32_t id)
{
    const fm_status st = reserve(l, 1);

    if (!st)
        l->ids[l->count++] = id;
    return st;
}

static fm_status room_for(fm_tokenizer_worker *w, size_t n)
{
    size_t room = 256;
    fm_status st;

    if (n <= w->room)
        return FM_OK;
    if (n > FM_TOKENIZER_MAX_WORD)
        return fm_fail(FM_ENOMEM,
                       "a piece of %zu bytes that nothing splits; %zu are the most: split the text",
                       n, FM_TOKENIZER_MAX_WORD);
    while (room < n)
        room *= 2;
    fm_tk_worker_wipe(w);
    if ((st = fm_alloc(room, sizeof *w->symbols, (void **)&w->symbols)) != FM_OK ||
        (st = fm_alloc(2 * room, sizeof *w->heap, (void **)&w->heap)) != FM_OK)
        return st;
    w->room = room;
    return FM_OK;
}

void fm_tk_worker_wipe(fm_tokenizer_worker *w)
{
    if (w->symbols)
        sodium_memzero(w->symbols, w->room * sizeof *w->symbols);
    if (w->heap)
        sodium_memzero(w->heap, 2 * w->room * sizeof *w->heap);
    free(w->symbols);
    free(w->heap);
    w->symbols = NULL;
    w->heap = NULL;
    w->room = 0;
}

static void heap_put(fm_tk_pending *heap, size_t *n, fm_tk_pending item)
{
    size_t at = (*n)++;

    for (; at && heap[(at - 1) / 2].order > item.order; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static fm_tk_pending heap_take(fm_tk_pending *heap, size_t *n)
{
    const fm_tk_pending first = heap[0], last = heap[--*n];
    size_t at = 0;

    for (size_t child; (child = 2 * at + 1) < *n; at = child) {
        child += child + 1 < *n && heap[child + 1].order < heap[child].order;
        if (heap[child].order >= last.order)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* Each byte's token. Bytes without one: unk_token (one for several in a row with fuse_unk), or
 * nothing, and then their neighbours are neighbours. Returns how many symbols. */
static size_t spell(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    const fm_tokenizer *t = w->t;
    size_t count = 0;
    bool unknown = false;

    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->of_byte[p[i]];
        const bool known = id != FM_TK_NONE;

        if (!known && t->unk == FM_TK_NONE) {
            w->lost++;
            continue;
        }
        if (!known && unknown && t->fuse_unk)
            continue;
        unknown = !known;
        w->symbols[count] = (fm_tk_symbol){ .id = known ? id : t->unk,
                                            .prev = (uint32_t)count - 1,
                                            .next = (uint32_t)count + 1 };
        count++;
    }
    return count;
}

/* A pair that the symbols at `left` and after it make, if they do. */
static void consider(fm_tokenizer_worker *w, size_t *heaped, uint32_t left, uint32_t right)
{
    const fm_tk_merge *m = fm_tk_merge_of(w->t, w->symbols[left].id, w->symbols[right].id);

    if (m)
        heap_put(w->heap, heaped,
                 (fm_tk_pending){ .order = (uint64_t)m->rank << 32 | left, .id = m->id });
}

/* The symbols that are left are a list from 0 on; a symbol that was merged away has id NONE. */
static void merge_all(fm_tokenizer_worker *w, size_t count)
{
    fm_tk_symbol *s = w->symbols;
    size_t heaped = 0;

    for (uint32_t i = 0; i + 1 < count; i++)
        consider(w, &heaped, i, i + 1);
    while (heaped) {
        const fm_tk_pending top = heap_take(w->heap, &heaped);
        const uint32_t left = (uint32_t)top.order, right = s[left].next;
        const fm_tk_merge *m;

        if (s[left].id == FM_TK_NONE || right >= count)
            continue;
        /* The pair may have changed meanwhile; as in the library, only what it becomes counts. */
        m = fm_tk_merge_of(w->t, s[left].id, s[right].id);
        if (!m || m->id != top.id)
            continue;
        s[left].id = top.id;
        s[left].next = s[right].next;
        s[right].id = FM_TK_NONE;
        if (s[left].next < count) {
            s[s[left].next].prev = left;
            consider(w, &heaped, left, s[left].next);
        }
        if (left > 0)
            consider(w, &heaped, s[left].prev, left);
    }
}

/* ignore_merges: a word that is a token is that token. */
static fm_status whole_word(fm_tokenizer_worker *w, const uint8_t *p, size_t n, uint32_t *id)
{
    fm_status st = FM_OK;

    *id = FM_TK_NONE;
    if (!w->t->ignore_merges || n > w->t->longest)
        return FM_OK;
    fm_buf_clear(&w->mapped);
    for (size_t i = 0; i < n && !st; i++) {
        uint8_t text[4];

        st = fm_buf_append(&w->mapped, text, fm_tk_encode(fm_tk_alphabet(p[i]), text));
    }
    if (!st)
        *id = fm_tk_find(w->t, (const char *)w->mapped.data, w->mapped.len);
    if (*id != FM_TK_NONE && !w->t->tokens[*id].model)
        *id = FM_TK_NONE;
    return st;
}

static fm_status encode_word(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    uint32_t id;
    size_t count;
    fm_status st = whole_word(w, p, n, &id);

    if (st || id != FM_TK_NONE)
        return st ? st : fm_tk_push(w->out, id);
    if ((st = room_for(w, n)) != FM_OK)
        return st;
    count = spell(w, p, n);
    merge_all(w, count);
    for (size_t i = 0; i < count && !st; i = w->symbols[i].next)
        st = fm_tk_push(w->out, w->symbols[i].id);
    return st;
}

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

/* A word of n bytes, 1 to 24, in loads that overlap: with n it says which word it is. */
static inline void key_of(const uint8_t *p, size_t n, uint64_t key[FM_TK_CACHE_KEY / 8])
{
    key[1] = n >= 8 ? load(p + n - 8, 8) : 0;
    key[2] = n > 16 ? load(p + 8, 8) : 0;
    if (n >= 8)
        key[0] = load(p, 8);
    else if (n >= 4)
        key[0] = load(p, 4) | load(p + n - 4, 4) << 32;
    else
        key[0] = (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
}

static inline bool is_word(const fm_tk_cached *c, const uint64_t *key, size_t n)
{
    return c->len == n && c->key[0] == key[0] && c->key[1] == key[1] && c->key[2] == key[2];
}

/* Two places for each word; the one that was looked for last is first. */
static fm_status cached_word(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    uint64_t key[FM_TK_CACHE_KEY / 8], hash;
    const size_t lost = w->lost;
    fm_tk_cached *c, fresh;
    fm_status st = reserve(w->out, FM_TK_CACHE_IDS);
    size_t before;

    if (st)
        return st;
    key_of(p, n, key);
    hash = (key[0] ^ n) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 29 ^ key[1]) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 32 ^ key[2]) * 0x94d049bb133111ebu;
    c = &w->cache[hash >> (64 - FM_TK_CACHE_BITS) & ~(uint64_t)1];
    if (!is_word(c, key, n) && is_word(c + 1, key, n)) {
        fresh = c[0];
        c[0] = c[1];
        c[1] = fresh;
    }
    before = w->out->count;
    if (is_word(c, key, n)) {
        memcpy(w->out->ids + before, c->ids, sizeof c->ids); /* room for all is there */
        w->out->count += c->count;
        return FM_OK;
    }
    if ((st = encode_word(w, p, n)) != FM_OK || w->lost != lost ||
        w->out->count - before > FM_TK_CACHE_IDS)
        return st;
    fresh = (fm_tk_cached){ .key = { key[0], key[1], key[2] },
                            .len = (uint8_t)n,
                            .count = (uint8_t)(w->out->count - before) };
    memcpy(fresh.ids, w->out->ids + before, fresh.count * sizeof fresh.ids[0]);
    c[1] = c[0];
    c[0] = fresh;
    return FM_OK;
}

/* What a stand-in stands for. Where a byte of it has no token (GPT-NeoX's tokenizers know only those
 * of well-formed text), U+FFFD says that something was there. */
static fm_status put_back(fm_tokenizer_worker *w, const uint8_t *original, size_t len)
{
    static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
    const uint32_t *id = w->t->of_byte;
    bool known = w->t->unk != FM_TK_NONE || id[0xef] == FM_TK_NONE || id[0xbf] == FM_TK_NONE ||
                 id[0xbd] == FM_TK_NONE;

    for (size_t i = 0; i < len && !known; i++)
        if (id[original[i]] == FM_TK_NONE) {
            w->lost += len;
            return fm_buf_append(&w->word, replacement, sizeof replacement);
        }
    return fm_buf_append(&w->word, original, len);
}

/* Copy a piece with each stand-in replaced by what it stands for. */
static fm_status restore(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    fm_status st = FM_OK;

    fm_buf_clear(&w->word);
    while (n && !st) {
        const uint8_t *at = fm_tk_stand_in(p, n);
        const size_t plain = at ? (size_t)(at - p) : n;

        if (plain)
            st = fm_buf_append(&w->word, p, plain);
        p += plain;
        n -= plain;
        if (at && !st) {
            const uint8_t *original = w->originals.data + w->original;

            st = put_back(w, original + 1, original[0]);
            w->original += 1 + (size_t)original[0];
            p += FM_TK_STAND_IN_LEN;
            n -= FM_TK_STAND_IN_LEN;
        }
    }
    return st;
}

void fm_tk_skip(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;

    while (w->repaired && (p = fm_tk_stand_in(p, (size_t)(end - p))) != NULL) {
        w->original += 1 + (size_t)w->originals.data[w->original];
        p += FM_TK_STAND_IN_LEN;
    }
}

fm_status fm_tk_bpe(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    if (w->repaired && fm_tk_stand_in(p, n)) {
        const fm_status st = restore(w, p, n);

        if (st)
            return st;
        p = w->word.data;
        n = w->word.len;
    }
    return n <= FM_TK_CACHE_KEY ? cached_word(w, p, n) : encode_word(w, p, n);
}
