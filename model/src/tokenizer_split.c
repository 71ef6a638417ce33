/*
 * Pre-tokenizers, one after the other, depth first: each piece that a stage makes goes through the
 * later ones before the next is looked for, so that nothing but the text is held.
 */
#include "fedmoe/base/clock.h"
#include "tokenizer_internal.h"

/* Starts that the library tries before the clock is looked at: a start may cost the rest of the
 * text, and 1024 of them are some microseconds otherwise. */
#define STARTS ((size_t)1024)
#define CALLS 64

/* What a stage has found and not yet handed on: merging behaviours look at two neighbours. */
typedef struct {
    fm_tokenizer_worker *w;
    const fm_tk_stage *stage;
    size_t next; /* stage */
    const uint8_t *text;
    size_t begin, end; /* the piece that waits */
    bool waits, match; /* of that piece */
    bool last_match;   /* of the range before */
    fm_status st;
} emitter;

static void hand_on(emitter *e)
{
    const uint8_t *p = e->text + e->begin;
    const size_t n = e->end - e->begin;

    if (e->st || !e->waits)
        return;
    e->waits = false;
    if (!n)
        return;
    if (e->stage->behaviour == FM_TK_REMOVED && e->match)
        fm_tk_skip(e->w, p, n);
    else
        e->st = fm_tk_split(e->w, e->next, p, n);
}

/* The next range, in order and without gaps; match: it is what the pattern looks for. */
static void found(emitter *e, size_t begin, size_t end, bool match)
{
    bool join = false;

    match = match != e->stage->invert;
    switch (e->stage->behaviour) {
    case FM_TK_CONTIGUOUS:
        join = match == e->last_match;
        break;
    case FM_TK_WITH_PREVIOUS:
        join = match && !e->last_match;
        break;
    case FM_TK_WITH_NEXT:
        join = !match && e->last_match;
        break;
    case FM_TK_ISOLATED:
    case FM_TK_REMOVED:
        break;
    }
    if (!(join && e->waits)) {
        hand_on(e);
        e->begin = begin;
    }
    e->end = end;
    e->waits = true;
    e->match = match;
    e->last_match = match;
}

static fm_status check_clock(fm_tokenizer_worker *w, const fm_tk_stage *s)
{
    if (fm_clock_now_ns() < w->deadline_ns)
        return FM_OK;
    return fm_fail(FM_ETIMEOUT,
                   "%s: this expression takes too long on this text; split the text before",
                   s->where);
}

/* The next match from `from` on: 1, 0 when there is none, or an error. */
static int search(fm_tokenizer_worker *w, const fm_tk_stage *s, const uint8_t *p, size_t n,
                  size_t from, size_t range[2], fm_status *st)
{
    int code = PCRE2_ERROR_NOMATCH;

    while (code == PCRE2_ERROR_NOMATCH && from <= n) {
        const size_t last = n - from <= STARTS ? n : from + STARTS;

        (void)pcre2_set_offset_limit(w->context, last);
        code = pcre2_match(s->code, p, n, from, PCRE2_NO_UTF_CHECK, w->match, w->context);
        if (code == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter's stack is on the heap */
            code = pcre2_match(s->code, p, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match,
                               w->context);
        for (from = last + 1; from < n && (p[from] & 0xc0) == 0x80;)
            from++;
        if (code == PCRE2_ERROR_NOMATCH && from <= n && (*st = check_clock(w, s)) != FM_OK)
            return -1;
    }
    if (code >= 0) {
        range[0] = pcre2_get_ovector_pointer(w->match)[0];
        range[1] = pcre2_get_ovector_pointer(w->match)[1];
        return 1;
    }
    if (code == PCRE2_ERROR_NOMATCH)
        return 0;
    *st = code == PCRE2_ERROR_NOMEMORY
              ? fm_fail(FM_ENOMEM, "%s: no memory for the expression", s->where)
              : fm_fail(FM_ETIMEOUT, "%s: this expression takes too many steps on this text",
                        s->where);
    return -1;
}

/* As Oniguruma's iterator does: an empty match right behind the last one is none. */
static void split_pattern(emitter *e, size_t n)
{
    size_t from = 0, done = 0, last = SIZE_MAX, range[2], calls = 0;

    while (!e->st && from <= n && search(e->w, e->stage, e->text, n, from, range, &e->st) > 0) {
        if (range[0] == range[1] && range[1] == last) {
            for (from++; from < n && (e->text[from] & 0xc0) == 0x80;)
                from++;
            continue;
        }
        if (range[0] > done)
            found(e, done, range[0], false);
        found(e, range[0], range[1], true);
        from = done = last = range[1];
        if (++calls % CALLS == 0 && !e->st)
            e->st = check_clock(e->w, e->stage);
    }
    if (done < n)
        found(e, done, n, false);
}

static void split_runs(emitter *e, size_t n)
{
    const fm_tk_classes *c = e->w->t->classes;
    size_t done = 0, range[2];

    while (!e->st && fm_tk_runs_next(&e->stage->runs, c, e->text, n, done, range)) {
        if (range[0] > done)
            found(e, done, range[0], false);
        found(e, range[0], range[1], true);
        done = range[1];
    }
    if (done < n)
        found(e, done, n, false);
}

static void split_class(emitter *e, size_t n, uint8_t bit)
{
    const fm_tk_classes *c = e->w->t->classes;
    size_t done = 0, len;

    for (size_t at = 0; at < n && !e->st; at += len) {
        if (!(fm_tk_class_at(c, e->text + at, &len) & bit))
            continue;
        if (done < at)
            found(e, done, at, false);
        found(e, at, at + len, true);
        done = at + len;
    }
    if (done < n)
        found(e, done, n, false);
}

static fm_status scan(fm_tokenizer_worker *w, size_t next, const uint8_t *p, size_t n)
{
    const fm_tk_classes *c = w->t->classes;
    const bool last = next == w->t->stage_count;
    fm_status st = FM_OK;

    for (size_t len; n && !st; p += len, n -= len) {
        len = fm_tk_scan(c, p, n);
        st = last ? fm_tk_bpe(w, p, len) : fm_tk_split(w, next, p, len);
    }
    return st;
}

static fm_status byte_level(fm_tokenizer_worker *w, const fm_tk_stage *s, size_t next,
                            const uint8_t *p, size_t n)
{
    if (s->prefix && p[0] != ' ') {
        fm_status st;

        fm_buf_clear(&w->prefixed); /* ByteLevel is the last stage: nobody is reading it */
        if ((st = fm_buf_append(&w->prefixed, " ", 1)) != FM_OK ||
            (st = fm_buf_append(&w->prefixed, p, n)) != FM_OK)
            return st;
        p = w->prefixed.data;
        n++;
    }
    return s->scan ? scan(w, next, p, n) : fm_tk_bpe(w, p, n);
}

fm_status fm_tk_split(fm_tokenizer_worker *w, size_t stage, const uint8_t *p, size_t n)
{
    const fm_tk_stage *s = &w->t->stages[stage];
    emitter e = { .w = w, .stage = s, .next = stage + 1, .text = p };

    if (stage == w->t->stage_count)
        return fm_tk_bpe(w, p, n);
    switch (s->kind) {
    case FM_TK_BYTELEVEL:
        return byte_level(w, s, stage + 1, p, n);
    case FM_TK_SPLIT:
        if (s->scan)
            return scan(w, stage + 1, p, n);
        if (s->runs.known)
            split_runs(&e, n);
        else
            split_pattern(&e, n);
        break;
    case FM_TK_DIGITS:
        split_class(&e, n, FM_TK_NUMBER);
        break;
    case FM_TK_PUNCTUATION:
        split_class(&e, n, FM_TK_PUNCT);
        break;
    }
    hand_on(&e);
    return e.st;
}
