/*
 * Unicode normal forms (UAX 15). Decompositions, combining classes and compositions are utf8proc's;
 * marks are put in order here, by counting, because its own order is an insertion sort: quadratic
 * on a long run of marks.
 */
#include <stdlib.h>

#include <sodium.h>
#include <utf8proc.h>

#include "tokenizer_internal.h"

typedef struct {
    int32_t *points; /* [cap] */
    size_t count, cap;
} points;

static fm_status reserve(points *v, size_t want)
{
    points more = { .cap = v->cap ? v->cap : 256 };
    fm_status st;

    if (want <= v->cap)
        return FM_OK;
    while (more.cap < want)
        more.cap *= 2;
    if ((st = fm_alloc(more.cap, sizeof *more.points, (void **)&more.points)) != FM_OK)
        return st;
    if (v->count)
        memcpy(more.points, v->points, v->count * sizeof *v->points);
    if (v->points)
        sodium_memzero(v->points, v->cap * sizeof *v->points);
    free(v->points);
    v->points = more.points;
    v->cap = more.cap;
    return FM_OK;
}

static void points_fini(points *v)
{
    if (v->points)
        sodium_memzero(v->points, v->cap * sizeof *v->points);
    free(v->points);
}

static unsigned combining(int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Characters that no canonical form changes and that begin anew: no decomposition, combining class
 * 0, and nothing before them composes with them. Ranges of common text; a test holds each of them
 * against utf8proc. */
static bool is_inert(uint32_t c)
{
    return c < 0xc0 ||
           (c >= 0x400 && c <= 0x482 && c != 0x400 && c != 0x401 && c != 0x403 && c != 0x407 &&
            !(c >= 0x40c && c <= 0x40e) && c != 0x419 && c != 0x439 &&
            !(c >= 0x450 && c <= 0x457) && !(c >= 0x45c && c <= 0x45e) && c != 0x476 &&
            c != 0x477) ||
           (c >= 0x2002 && c <= 0x2027) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x4e00 && c <= 0x9fff);
}

/* The same for NFC alone, which keeps letters with an accent and syllables as they are. */
static bool is_composed(uint32_t c)
{
    return c < 0x300 || (c >= 0x400 && c <= 0x482) || (c >= 0x3041 && c <= 0x3096) ||
           (c >= 0x30a1 && c <= 0x30fa) || (c >= 0xac00 && c <= 0xd7a3);
}

/* Bytes from `at` that a form leaves as they are, whatever stands before. The last character of it
 * may still compose with what comes after; the caller leaves it out. */
static size_t inert_run(fm_tk_form form, const uint8_t *p, size_t n, size_t at, size_t *last)
{
    size_t len;

    for (; at < n; at += len) {
        uint32_t c = p[at];

        len = 1;
        if (c >= 0x80) {
            c = fm_tk_decode(p + at, &len);
            if (form == FM_TK_NFKC || form == FM_TK_NFKD)
                break; /* compatibility decompositions are everywhere */
            if (!is_inert(c) && !(form == FM_TK_NFC && is_composed(c)))
                break;
        }
        *last = at;
    }
    return at;
}

static fm_status decompose(fm_tk_form form, const uint8_t *p, size_t n, points *v)
{
    const utf8proc_option_t options =
        UTF8PROC_DECOMPOSE | (form >= FM_TK_NFKC ? UTF8PROC_COMPAT : 0);
    size_t len;

    v->count = 0;
    for (size_t at = 0; at < n; at += len) {
        const int32_t c = (int32_t)fm_tk_decode(p + at, &len);
        int bound = UTF8PROC_BOUNDCLASS_START;
        utf8proc_ssize_t got;
        /* No character becomes more than 18 (UAX 15, Unicode 15.0). */
        fm_status st = reserve(v, v->count + 32);

        if (st)
            return st;
        got = utf8proc_decompose_char(c, v->points + v->count, 32, options, &bound);
        if (got < 0 || got > 32)
            return fm_fail(FM_EINTERNAL, "the character U+%04X cannot be decomposed", (unsigned)c);
        v->count += (size_t)got;
    }
    return FM_OK;
}

/* Stable, by combining class: a run of marks in O(marks + 256). */
static void sort_marks(int32_t *marks, size_t n, int32_t *room)
{
    size_t begin[257] = { 0 };

    for (size_t i = 0; i < n; i++)
        begin[combining(marks[i]) + 1]++;
    for (size_t c = 1; c < 257; c++)
        begin[c] += begin[c - 1];
    for (size_t i = 0; i < n; i++)
        room[begin[combining(marks[i])]++] = marks[i];
    memcpy(marks, room, n * sizeof *marks);
}

static void sort_few(int32_t *marks, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const int32_t m = marks[i];
        size_t j = i;

        for (; j > 0 && combining(marks[j - 1]) > combining(m); j--)
            marks[j] = marks[j - 1];
        marks[j] = m;
    }
}

#define FEW ((size_t)24)

static void order(points *v, int32_t *room)
{
    for (size_t i = 0, end; i < v->count; i = end + 1) {
        for (end = i; end < v->count && combining(v->points[end]);)
            end++;
        if (end - i > FEW)
            sort_marks(v->points + i, end - i, room);
        else if (end - i > 1)
            sort_few(v->points + i, end - i);
    }
}

static fm_status normalise_part(fm_tk_form form, const uint8_t *p, size_t n, points *v,
                                points *room, fm_buf *out)
{
    fm_status st = decompose(form, p, n, v);

    if (!st)
        st = reserve(room, v->count);
    if (st)
        return st;
    order(v, room->points);
    if (form == FM_TK_NFC || form == FM_TK_NFKC) {
        const utf8proc_ssize_t got = utf8proc_normalize_utf32(v->points, (utf8proc_ssize_t)v->count,
                                                              UTF8PROC_COMPOSE | UTF8PROC_STABLE);

        if (got < 0)
            return fm_fail(FM_EINTERNAL, "text cannot be composed");
        v->count = (size_t)got;
    }
    for (size_t i = 0; i < v->count && !st; i++) {
        uint8_t bytes[4];

        st = fm_buf_append(out, bytes, fm_tk_encode((uint32_t)v->points[i], bytes));
    }
    return st;
}

/* From `at` to before the next two ASCII characters in a row: the second begins anew, and the first
 * stays as it is. */
static size_t part_end(const uint8_t *p, size_t n, size_t at)
{
    while (at < n && !(p[at] < 0x80 && (at + 1 == n || p[at + 1] < 0x80)))
        at++;
    return at;
}

fm_status fm_tk_normalise(fm_tk_form form, const uint8_t *p, size_t n, fm_buf *out)
{
    points v = { 0 }, room = { 0 };
    fm_status st = FM_OK;

    for (size_t at = 0; at < n && !st;) {
        size_t last = at, end = inert_run(form, p, n, at, &last);

        if (end < n)
            end = last;
        st = fm_buf_append(out, p + at, end - at);
        at = end;
        if (at < n && !st) {
            /* At least one character: the one that is not inert stands behind the first. */
            size_t first;

            (void)fm_tk_decode(p + at, &first);
            end = part_end(p, n, at + first < n ? at + first : n);
            st = normalise_part(form, p + at, end - at, &v, &room, out);
            at = end;
        }
    }
    points_fini(&v);
    points_fini(&room);
    return st;
}
