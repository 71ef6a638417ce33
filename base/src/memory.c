#include "fedmoe/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sodium.h>

#define ARENA_ALIGN ((size_t)64)
#define BUF_FIRST_CAP ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20) /* where they are larger, the advice is only not followed */

struct fm_arena {
    uint8_t *base;
    size_t size; /* bytes, a multiple of ARENA_ALIGN */
    size_t used; /* bytes, likewise */
};

fm_status fm_mul_size(size_t a, size_t b, size_t *out)
{
    size_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return fm_fail(FM_ENOMEM, "%zu times %zu does not fit a size", a, b);
    *out = r;
    return FM_OK;
}

fm_status fm_add_size(size_t a, size_t b, size_t *out)
{
    size_t r;

    if (__builtin_add_overflow(a, b, &r))
        return fm_fail(FM_ENOMEM, "%zu plus %zu does not fit a size", a, b);
    *out = r;
    return FM_OK;
}

fm_status fm_alloc(size_t count, size_t size, void **out)
{
    size_t bytes;
    void *p = NULL;

    /* No object is larger than PTRDIFF_MAX; the sanitizers end a program that asks for one. */
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX)
        p = calloc(1, bytes ? bytes : 1);
    if (!p)
        return fm_fail(FM_ENOMEM, "no memory for %zu items of %zu bytes", count, size);
    *out = p;
    return FM_OK;
}

fm_status fm_alloc_whole(size_t count, size_t size, void **out)
{
    fm_status st = fm_alloc(count, size, out);

#if defined(MADV_HUGEPAGE)
    if (st == FM_OK && count * size >= 2 * HUGE_PAGE) {
        /* Only pages that are the vector's alone; a system that does not know them says no. */
        uintptr_t from = ((uintptr_t)*out + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        uintptr_t to = ((uintptr_t)*out + count * size) / HUGE_PAGE * HUGE_PAGE;

        if (to > from)
            (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
    }
#endif
    return st;
}

fm_status fm_strdup(const char *s, char **out)
{
    char *p;

    if (!s || !out)
        return fm_fail(FM_EINVAL, "fm_strdup: no text");
    if (!(p = strdup(s)))
        return fm_fail(FM_ENOMEM, "no memory for a text of %zu bytes", strlen(s));
    *out = p;
    return FM_OK;
}

static fm_status round_up(size_t bytes, size_t *out)
{
    size_t padded;
    fm_status st = fm_add_size(bytes, ARENA_ALIGN - 1, &padded);

    if (st == FM_OK)
        *out = padded & ~(ARENA_ALIGN - 1);
    return st;
}

fm_status fm_arena_new(size_t bytes, fm_arena **out)
{
    fm_arena *a;
    size_t size;
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "fm_arena_new: no place for the arena");
    if ((st = round_up(bytes, &size)) != FM_OK)
        return st;
    if (size > PTRDIFF_MAX)
        return fm_fail(FM_ENOMEM, "no memory for an arena of %zu bytes", bytes);
    if (!(a = calloc(1, sizeof *a)) ||
        !(a->base = aligned_alloc(ARENA_ALIGN, size ? size : ARENA_ALIGN))) {
        free(a);
        return fm_fail(FM_ENOMEM, "no memory for an arena of %zu bytes", bytes);
    }
    a->size = size;
    *out = a;
    return FM_OK;
}

void fm_arena_free(fm_arena **a)
{
    if (!a || !*a)
        return;
    /* Activations of records were here. */
    sodium_memzero((*a)->base, (*a)->size);
    free((*a)->base);
    free(*a);
    *a = NULL;
}

fm_status fm_arena_plan(size_t *total, size_t count, size_t size)
{
    size_t bytes, sum;
    fm_status st;

    if ((st = fm_mul_size(count, size, &bytes)) != FM_OK ||
        (st = round_up(bytes, &bytes)) != FM_OK || (st = fm_add_size(*total, bytes, &sum)) != FM_OK)
        return st;
    *total = sum;
    return FM_OK;
}

fm_status fm_arena_take(fm_arena *a, size_t count, size_t size, void **out)
{
    size_t bytes = 0;
    fm_status st = fm_arena_plan(&bytes, count, size);

    if (st != FM_OK)
        return st;
    if (bytes > a->size - a->used)
        return fm_fail(FM_ENOMEM, "the arena has %zu bytes left, not the %zu that are asked for",
                       a->size - a->used, bytes);
    memset(a->base + a->used, 0, bytes);
    *out = a->base + a->used;
    a->used += bytes;
    return FM_OK;
}

void fm_arena_reset(fm_arena *a)
{
    a->used = 0;
}

void fm_arena_wipe(fm_arena *a)
{
    sodium_memzero(a->base, a->used);
}

size_t fm_arena_used(const fm_arena *a)
{
    return a->used;
}

void fm_buf_init(fm_buf *b, size_t limit)
{
    *b = (fm_buf){ .limit = limit };
}

void fm_buf_fini(fm_buf *b)
{
    if (b->data) {
        sodium_memzero(b->data, b->cap);
        free(b->data);
    }
    b->data = NULL;
    b->len = 0;
    b->cap = 0;
}

void fm_buf_clear(fm_buf *b)
{
    if (b->data) {
        sodium_memzero(b->data, b->len);
        b->data[0] = 0;
    }
    b->len = 0;
}

/* Room for `want` bytes and the NUL. Never realloc: it would leave a copy that is not wiped. */
static fm_status buf_reserve(fm_buf *b, size_t want, size_t limit)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    uint8_t *fresh;

    if (want < b->cap)
        return FM_OK;
    /* Twice as much, or all that there may be: never a piece at a time, each with a copy of all. */
    cap = cap <= limit / 2 ? 2 * cap : limit;
    if (cap <= want && __builtin_add_overflow(want, (size_t)1, &cap))
        return fm_fail(FM_ENOMEM, "a buffer cannot hold %zu bytes", want);
    if (cap > PTRDIFF_MAX || !(fresh = malloc(cap)))
        return fm_fail(FM_ENOMEM, "no memory for a buffer of %zu bytes", cap);
    if (b->data) {
        memcpy(fresh, b->data, b->len);
        sodium_memzero(b->data, b->cap);
        free(b->data);
    }
    b->data = fresh;
    b->cap = cap;
    return FM_OK;
}

fm_status fm_buf_extend(fm_buf *b, size_t len, uint8_t **out)
{
    size_t limit = b->limit ? b->limit : FM_BUF_DEFAULT_LIMIT;
    fm_status st;

    if (b->len > limit || len > limit - b->len)
        return fm_fail(FM_ENOMEM, "%zu more bytes would pass the limit of %zu bytes", len, limit);
    if ((st = buf_reserve(b, b->len + len, limit)) != FM_OK)
        return st;
    *out = b->data + b->len;
    b->len += len;
    b->data[b->len] = 0;
    return FM_OK;
}

fm_status fm_buf_append(fm_buf *b, const void *data, size_t len)
{
    uint8_t *place;
    fm_status st;

    if (!data && len > 0)
        return fm_fail(FM_EINVAL, "fm_buf_append: no data");
    if ((st = fm_buf_extend(b, len, &place)) != FM_OK)
        return st;
    if (len > 0)
        memcpy(place, data, len);
    return FM_OK;
}

fm_status fm_buf_printf(fm_buf *b, const char *fmt, ...)
{
    uint8_t *place;
    va_list ap;
    fm_status st;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return fm_fail(FM_EINVAL, "fm_buf_printf: cannot format");
    if ((st = fm_buf_extend(b, (size_t)n, &place)) != FM_OK)
        return st;
    va_start(ap, fmt);
    (void)vsnprintf((char *)place, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return FM_OK;
}
