/* From a text to pieces: what is ill-formed, added tokens, the normaliser, then the splits. */
#include <sodium.h>
#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "tokenizer_internal.h"

#define BUDGET_NS ((uint64_t)10 * 1000 * 1000 * 1000)
#define BUDGET_NS_BYTE ((uint64_t)1000)
#define STACK_FIRST ((size_t)32 * 1024)
#define STACK_MOST ((size_t)1024 * 1024)
#define HEAP_KIB ((uint32_t)256 * 1024)
#define MATCH_STEPS ((uint32_t)10 * 1000 * 1000)
#define ROOM (4 * FM_TOKENIZER_MAX_TEXT) /* normal forms and stand-ins are longer than the text */

static fm_status library_begin(fm_tokenizer_worker *w)
{
    if (!(w->match = pcre2_match_data_create(1, NULL)) ||
        !(w->context = pcre2_match_context_create(NULL)) ||
        !(w->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, NULL)))
        return fm_fail(FM_ENOMEM, "no memory for expressions");
    pcre2_jit_stack_assign(w->context, NULL, w->stack);
    (void)pcre2_set_match_limit(w->context, MATCH_STEPS);
    (void)pcre2_set_heap_limit(w->context, HEAP_KIB);
    return FM_OK;
}

fm_status fm_tokenizer_worker_new(const fm_tokenizer *t, fm_tokenizer_worker **out)
{
    fm_tokenizer_worker *w = NULL;
    fm_status st;

    if (!t || !out)
        return fm_fail(FM_EINVAL, "fm_tokenizer_worker_new: no tokenizer");
    if ((st = fm_alloc(1, sizeof *w, (void **)&w)) != FM_OK)
        return st;
    w->t = t;
    w->budget_ns = BUDGET_NS;
    fm_buf_init(&w->whole, ROOM);
    fm_buf_init(&w->originals, ROOM);
    fm_buf_init(&w->normal[0], ROOM);
    fm_buf_init(&w->normal[1], ROOM);
    fm_buf_init(&w->prefixed, ROOM);
    fm_buf_init(&w->word, ROOM);
    fm_buf_init(&w->mapped, ROOM);
    st = fm_alloc((size_t)1 << FM_TK_CACHE_BITS, sizeof *w->cache, (void **)&w->cache);
    if (!st)
        st = library_begin(w);
    if (st)
        fm_tokenizer_worker_free(&w);
    else
        *out = w;
    return st;
}

void fm_tokenizer_worker_free(fm_tokenizer_worker **pw)
{
    fm_tokenizer_worker *w = pw ? *pw : NULL;

    if (!w)
        return;
    fm_tk_worker_wipe(w);
    if (w->cache)
        sodium_memzero(w->cache, sizeof *w->cache << FM_TK_CACHE_BITS);
    free(w->cache);
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    fm_buf_fini(&w->whole);
    fm_buf_fini(&w->originals);
    fm_buf_fini(&w->normal[0]);
    fm_buf_fini(&w->normal[1]);
    fm_buf_fini(&w->prefixed);
    fm_buf_fini(&w->word);
    fm_buf_fini(&w->mapped);
    free(w);
    *pw = NULL;
}

void fm_token_list_fini(fm_token_list *l)
{
    if (l->ids)
        sodium_memzero(l->ids, l->cap * sizeof *l->ids);
    free(l->ids);
    *l = (fm_token_list){ 0 };
}

static fm_status stand_in(fm_tokenizer_worker *w, const uint8_t *original, size_t len)
{
    const uint8_t n = (uint8_t)len;
    fm_status st = fm_buf_append(&w->whole, FM_TK_STAND_IN, FM_TK_STAND_IN_LEN);

    if (!st)
        st = fm_buf_append(&w->originals, &n, 1);
    return st ? st : fm_buf_append(&w->originals, original, len);
}

/* Copy a text with a stand-in for each ill-formed sequence, and for each real U+10FFFF. */
static fm_status repair(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    fm_status st = FM_OK;

    w->repaired = true;
    while (n && !st) {
        size_t good = fm_tk_utf8_valid(p, n), bad = 0;
        const uint8_t *real = fm_tk_stand_in(p, good);

        if (real)
            good = (size_t)(real - p);
        if (good)
            st = fm_buf_append(&w->whole, p, good);
        p += good;
        n -= good;
        if (!n || st)
            break;
        if (real)
            bad = FM_TK_STAND_IN_LEN;
        else
            (void)fm_tk_utf8_length(p, n, &bad);
        st = stand_in(w, p, bad);
        p += bad;
        n -= bad;
    }
    return st;
}

static fm_status normalise(fm_tokenizer_worker *w, const uint8_t **p, size_t *n)
{
    fm_status st = FM_OK;

    for (size_t i = 0; i < w->t->form_count && !st; i++) {
        fm_buf *out = &w->normal[i & 1];

        fm_buf_clear(out);
        st = fm_tk_normalise(w->t->forms[i], *p, *n, out);
        *p = out->data;
        *n = out->len;
    }
    return st;
}

static fm_status encode_gap(fm_tokenizer_worker *w, const fm_tk_tree *tree, const uint8_t *p,
                            size_t n);

/* Added tokens of a tree, and what is between them. */
static fm_status encode_around(fm_tokenizer_worker *w, const fm_tk_tree *tree, const uint8_t *p,
                               size_t n)
{
    size_t taken = 0;
    fm_tk_found f = { 0 };
    fm_status st = FM_OK;

    while (taken < n || f.search < n) {
        f = fm_tk_added_next(w->t, tree, p, n, f.search, taken, w->flags & FM_TOKENIZER_PLAIN);
        if (taken < f.begin)
            st = encode_gap(w, tree, p + taken, f.begin - taken);
        if (st || !f.a)
            break;
        if ((st = fm_tk_push(w->out, f.a->id)) != FM_OK)
            break;
        taken = f.end;
    }
    return st;
}

static fm_status encode_gap(fm_tokenizer_worker *w, const fm_tk_tree *tree, const uint8_t *p,
                            size_t n)
{
    fm_status st;

    if (tree == &w->t->normal)
        return fm_tk_split(w, 0, p, n);
    if ((st = normalise(w, &p, &n)) != FM_OK || !n)
        return st;
    return encode_around(w, &w->t->normal, p, n);
}

static fm_status encode_text(fm_tokenizer_worker *w, const uint8_t *p, size_t n)
{
    fm_status st = FM_OK;

    w->repaired = false;
    w->original = 0;
    fm_buf_clear(&w->whole);
    fm_buf_clear(&w->originals);
    if (fm_tk_utf8_valid(p, n) < n) {
        st = repair(w, p, n);
        p = w->whole.data;
        n = w->whole.len;
    }
    return st ? st : encode_around(w, &w->t->raw, p, n);
}

static fm_status push_all(fm_token_list *out, const uint32_t *ids, size_t count)
{
    fm_status st = FM_OK;

    for (size_t i = 0; i < count && !st; i++)
        st = fm_tk_push(out, ids[i]);
    return st;
}

fm_status fm_tokenizer_encode(fm_tokenizer_worker *w, const void *text, size_t len, unsigned flags,
                              fm_token_list *out, size_t *lost)
{
    const size_t before = out ? out->count : 0;
    fm_status st = FM_OK;

    if (!w || !out || (!text && len))
        return fm_fail(FM_EINVAL, "fm_tokenizer_encode: no worker, text or list");
    if (len > FM_TOKENIZER_MAX_TEXT)
        return fm_fail(FM_EINVAL, "a text of %zu bytes; %zu are the most at once", len,
                       FM_TOKENIZER_MAX_TEXT);
    w->out = out;
    w->lost = 0;
    w->flags = flags;
    w->deadline_ns = fm_clock_now_ns() + w->budget_ns + BUDGET_NS_BYTE * len;
    if (flags & FM_TOKENIZER_SPECIAL)
        st = push_all(out, w->t->before, w->t->before_count);
    if (!st && len)
        st = encode_text(w, text, len);
    if (!st && flags & FM_TOKENIZER_SPECIAL)
        st = push_all(out, w->t->after, w->t->after_count);
    if (st)
        out->count = before;
    if (!st && lost)
        *lost = w->lost;
    return st;
}
