/*
 * The simplest expressions, as DeepSeek's tokenizers have six of in a row, without the library:
 * runs of a set of characters. tests/model/test_tokenizer_split.c holds them against its matches.
 */
#include <stdlib.h>

#include "tokenizer_internal.h"

fm_status fm_tk_set_add(fm_tk_set *s, uint32_t lo, uint32_t hi)
{
    if (s->count == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 8;
        fm_tk_range *more = realloc(s->ranges, cap * sizeof *more);

        if (!more)
            return fm_fail(FM_ENOMEM, "no memory for a set of characters");
        s->ranges = more;
        s->cap = cap;
    }
    s->ranges[s->count++] = (fm_tk_range){ lo, hi };
    return FM_OK;
}

static int by_lo(const void *a, const void *b)
{
    const fm_tk_range *x = a, *y = b;

    return (x->lo > y->lo) - (x->lo < y->lo);
}

static bool has(const fm_tk_set *s, const fm_tk_classes *c, uint32_t ch)
{
    bool in = s->categories >> fm_tk_properties_of(c, ch).category & 1;

    for (size_t lo = 0, hi = s->count; !in && lo < hi;) {
        const size_t mid = lo + (hi - lo) / 2;

        if (ch < s->ranges[mid].lo)
            hi = mid;
        else if (ch > s->ranges[mid].hi)
            lo = mid + 1;
        else
            in = true;
    }
    return in != s->negated;
}

void fm_tk_set_close(fm_tk_set *s, const fm_tk_classes *c)
{
    size_t kept = 0;

    if (s->count)
        qsort(s->ranges, s->count, sizeof *s->ranges, by_lo);
    for (size_t i = 1; i < s->count; i++) {
        if (s->ranges[i].lo > s->ranges[kept].hi)
            s->ranges[++kept] = s->ranges[i];
        else if (s->ranges[i].hi > s->ranges[kept].hi)
            s->ranges[kept].hi = s->ranges[i].hi;
    }
    s->count = s->count ? kept + 1 : 0;
    for (uint32_t ch = 0; ch < 0x80; ch++)
        s->ascii[ch >> 6] |= (uint64_t)has(s, c, ch) << (ch & 63);
}

void fm_tk_set_fini(fm_tk_set *s)
{
    free(s->ranges);
    *s = (fm_tk_set){ 0 };
}

void fm_tk_runs_fini(fm_tk_runs *r)
{
    fm_tk_set_fini(&r->lead);
    fm_tk_set_fini(&r->body);
}

static inline bool has_at(const fm_tk_set *s, const fm_tk_classes *c, const uint8_t *p, size_t *len)
{
    if (p[0] < 0x80) {
        *len = 1;
        return s->ascii[p[0] >> 6] >> (p[0] & 63) & 1;
    }
    return has(s, c, fm_tk_decode(p, len));
}

/* The end of the run that begins at `at`, and the last line feed after its first character, or 0:
 * both are where X+$ may end. */
static size_t run_end(const fm_tk_runs *r, const fm_tk_classes *c, const uint8_t *p, size_t n,
                      size_t at, size_t *line)
{
    const size_t begin = at;
    size_t len;

    *line = 0;
    for (size_t count = 0; at < n && count < r->most && has_at(&r->body, c, p + at, &len);
         count++) {
        if (p[at] == '\n' && at > begin)
            *line = at;
        at += len;
    }
    return at;
}

bool fm_tk_runs_next(const fm_tk_runs *r, const fm_tk_classes *c, const uint8_t *p, size_t n,
                     size_t from, size_t range[2])
{
    size_t len, second, line;

    for (size_t at = from; at < n; at += len) {
        const bool lead = r->leads && has_at(&r->lead, c, p + at, &len) && at + len < n &&
                          has_at(&r->body, c, p + at + len, &second);

        if (!lead && !has_at(&r->body, c, p + at, &len))
            continue;
        range[0] = at;
        range[1] = run_end(r, c, p, n, lead ? at + len : at, &line);
        if (!r->at_end || range[1] == n || p[range[1]] == '\n')
            return true;
        if (line) {
            range[1] = line;
            return true;
        }
        len = range[1] - at; /* where the run's first character fails, all do */
    }
    return false;
}
