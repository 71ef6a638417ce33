/*
 * Which experts' pages are in memory. Each expert is a range of the mapping; those that were
 * used are in a list, the latest first, and when a further one would pass the limit the last
 * ones go. Ranges are rounded outwards to REACH bytes, which is how far around a page the system
 * maps others that it has: so what is counted is at least what is there.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model_internal.h"

#define REACH ((uintptr_t)1 << 16) /* fault_around_bytes of Linux */
#define NONE SIZE_MAX

typedef struct {
    uintptr_t begin, end; /* of its maps, rounded; 0, 0: there is none */
    size_t before, after; /* in the list, NONE at its ends */
    bool in;
} span;

struct fm_edge_resident {
    pthread_mutex_t lock;
    uint64_t limit;      /* 0: none */
    uint64_t fixed;      /* bytes of what is not an expert's */
    uint64_t used;       /* fixed, and of the experts in the list */
    uint64_t most;       /* of an expert */
    uintptr_t low, high; /* pages of the mapping that hold maps: nothing outside is touched */
    span *spans;         /* [count] */
    size_t count, first, last;
};

static uint64_t bytes_of(const span *s)
{
    return (uint64_t)(s->end - s->begin);
}

static void add_map(span *s, const fm_edge_map *m)
{
    const uintptr_t begin = (uintptr_t)m->i8.q, end = begin + m->rows * m->columns;

    if (!m->i8.q)
        return;
    s->begin = s->end == 0 || begin < s->begin ? begin : s->begin;
    s->end = end > s->end ? end : s->end;
}

/* A file of other makers may have an expert's maps far apart: what lies between them would be
 * counted, and let go of, with each; that is slow, but right. */
static span span_of(const fm_edge_resident *r, const fm_edge_expert *e)
{
    span s = { .before = NONE, .after = NONE };

    add_map(&s, &e->gate);
    add_map(&s, &e->up);
    add_map(&s, &e->down);
    s.begin &= ~(REACH - 1);
    s.end = (s.end + REACH - 1) & ~(REACH - 1);
    s.begin = s.begin > r->low ? s.begin : r->low;
    s.end = s.end < r->high ? s.end : r->high;
    return s;
}

static uint64_t fixed_bytes(const fm_edge_model *m)
{
    uint64_t fixed = 0;

    for (size_t i = 0; i < m->count; i++)
        if (m->slots[i].map.i8.q)
            fixed += (uint64_t)m->slots[i].rows * m->slots[i].columns;
    for (size_t i = 0; i < m->config.layers * m->config.experts; i++) {
        const fm_edge_expert *e = &m->experts[i];

        fixed -= (uint64_t)e->gate.rows * e->gate.columns + (uint64_t)e->up.rows * e->up.columns +
                 (uint64_t)e->down.rows * e->down.columns;
    }
    return fixed;
}

static void find_bounds(fm_edge_resident *r, const fm_edge_model *m)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    span all = { 0 };

    for (size_t i = 0; i < m->count; i++)
        add_map(&all, &m->slots[i].map);
    r->low = all.begin & ~(page - 1);
    r->high = (all.end + page - 1) & ~(page - 1);
}

fm_status fm_edge_resident_new(const fm_edge_model *m, fm_edge_resident **out)
{
    fm_edge_resident *r;
    void *fresh;
    fm_status st = fm_alloc(1, sizeof *r, &fresh);

    if (st != FM_OK)
        return st;
    r = fresh;
    if ((st = fm_alloc(m->config.layers * m->config.experts, sizeof *r->spans, &fresh)) != FM_OK) {
        free(r);
        return st;
    }
    r->spans = fresh;
    r->count = m->config.layers * m->config.experts;
    r->first = r->last = NONE;
    r->fixed = fixed_bytes(m);
    find_bounds(r, m);
    for (size_t i = 0; i < r->count; i++) {
        r->spans[i] = m->experts[i].gate.i8.q ? span_of(r, &m->experts[i]) : (span){ 0 };
        r->most = bytes_of(&r->spans[i]) > r->most ? bytes_of(&r->spans[i]) : r->most;
    }
    (void)pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return FM_OK;
}

void fm_edge_resident_free(fm_edge_resident **r)
{
    if (!r || !*r)
        return;
    (void)pthread_mutex_destroy(&(*r)->lock);
    free((*r)->spans);
    free(*r);
    *r = NULL;
}

static void advise(uintptr_t begin, uintptr_t end, int advice)
{
    if (end > begin)
        (void)madvise((void *)begin, end - begin,
                      advice); /* advice: without it all is right, too */
}

static void unlink_span(fm_edge_resident *r, size_t i)
{
    span *s = &r->spans[i];

    *(s->before == NONE ? &r->first : &r->spans[s->before].after) = s->after;
    *(s->after == NONE ? &r->last : &r->spans[s->after].before) = s->before;
    s->before = s->after = NONE;
}

static void put_first(fm_edge_resident *r, size_t i)
{
    span *s = &r->spans[i];

    s->before = NONE;
    s->after = r->first;
    *(r->first == NONE ? &r->last : &r->spans[r->first].before) = i;
    r->first = i;
}

static void let_go(fm_edge_resident *r, size_t i)
{
    span *s = &r->spans[i];

    unlink_span(r, i);
    s->in = false;
    r->used -= bytes_of(s);
    advise(s->begin, s->end, MADV_DONTNEED); /* of a file that nobody writes: it is read again */
}

/* Reads what is not in memory at once, not page by page. */
static void fetch(const span *s)
{
#ifdef MADV_POPULATE_READ
    if (madvise((void *)s->begin, s->end - s->begin, MADV_POPULATE_READ) == 0)
        return;
#endif
    advise(s->begin, s->end, MADV_WILLNEED);
}

fm_status fm_edge_resident_limit(fm_edge_resident *r, uint64_t bytes)
{
    const uint64_t least = r->fixed + r->most;

    if (bytes > 0 && bytes < least)
        return fm_fail(FM_EINVAL,
                       "a limit of %llu bytes: what every token uses and one expert take %llu",
                       (unsigned long long)bytes, (unsigned long long)least);
    (void)pthread_mutex_lock(&r->lock);
    while (r->last != NONE)
        let_go(r, r->last);
    r->limit = bytes;
    r->used = r->fixed;
    /* Without a limit the system reads ahead; with one an expert is read when it is touched. */
    advise(r->low, r->high, bytes > 0 ? MADV_RANDOM : MADV_NORMAL);
    for (size_t i = 0; i < r->count && bytes > 0; i++)
        advise(r->spans[i].begin, r->spans[i].end, MADV_DONTNEED);
    (void)pthread_mutex_unlock(&r->lock);
    return FM_OK;
}

void fm_edge_resident_touch(fm_edge_resident *r, size_t expert)
{
    span *s = &r->spans[expert];

    (void)pthread_mutex_lock(&r->lock);
    if (r->limit > 0 && s->in) {
        unlink_span(r, expert);
        put_first(r, expert);
    } else if (r->limit > 0) {
        while (r->last != NONE && r->used + bytes_of(s) > r->limit)
            let_go(r, r->last);
        put_first(r, expert);
        s->in = true;
        r->used += bytes_of(s);
        fetch(s);
    }
    (void)pthread_mutex_unlock(&r->lock);
}
