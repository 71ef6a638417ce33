/* Records that are there several times: a file that was appended to itself, an export that was joined
 * to itself. The first ones are remembered by a digest each, and looked for among all that follow. */
#include <stdlib.h>
#include <string.h>

#include "survey_internal.h"

#define REMEMBERED 1024u
#define SLOTS (4u * REMEMBERED) /* a power of two */
#define FEW 8u                  /* fewer may be alike by chance */

struct fm_survey_twice {
    struct {
        uint64_t digest; /* 0: free */
        uint32_t seen;
        size_t line, again; /* of the first, and of the second */
    } at[SLOTS];
    size_t count;
};

/* For telling records apart, not for keeping them apart from anybody. */
static uint64_t mix(uint64_t h, const char *p, size_t n)
{
    uint64_t word;

    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    word = n;
    memcpy(&word, p, n < sizeof word - 1 ? n : sizeof word - 1);
    h = (h ^ word ^ (uint64_t)n << 56) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

void fm_survey_twice_free(struct fm_survey_twice **t)
{
    fm_wipe_free(*t, 1, sizeof **t);
    *t = NULL;
}

fm_status fm_survey_twice_take(fm_survey *s, const fm_csv_record *r)
{
    uint64_t h = 1;
    size_t slot;
    fm_status st;

    if (!s->twice && (st = fm_alloc(1, sizeof *s->twice, (void **)&s->twice)))
        return st;
    for (size_t f = 0; f < r->count; f++)
        h = mix(h, r->cells[f].at, r->cells[f].len);
    h += h == 0;
    for (slot = h % SLOTS; s->twice->at[slot].digest && s->twice->at[slot].digest != h;)
        slot = (slot + 1) % SLOTS;
    if (!s->twice->at[slot].digest) {
        if (s->twice->count == REMEMBERED)
            return FM_OK;
        s->twice->count++;
        s->twice->at[slot].digest = h;
        s->twice->at[slot].line = r->line;
    }
    if (++s->twice->at[slot].seen == 2)
        s->twice->at[slot].again = r->line;
    return FM_OK;
}

/* Nearly all equally often: what is alike by chance is not. */
fm_status fm_survey_twice_judge(fm_survey *s)
{
    size_t alike = 0, first = SIZE_MAX;

    if (!s->twice || s->twice->count < FEW)
        return FM_OK;
    for (size_t i = 0; i < SLOTS; i++)
        if (s->twice->at[i].digest &&
            (first == SIZE_MAX || s->twice->at[i].line < s->twice->at[first].line))
            first = i;
    for (size_t i = 0; i < SLOTS; i++)
        alike += s->twice->at[i].digest && s->twice->at[i].seen == s->twice->at[first].seen;
    if (s->twice->at[first].seen < 2 || (double)alike < 0.95 * (double)s->twice->count)
        return FM_OK;
    (void)fm_fail(
        FM_EPARSE,
        "%s:%zu: this is line %zu once more, and of the first %zu records %zu are there %u "
        "times, letter for letter",
        s->name, s->twice->at[first].again, s->twice->at[first].line, s->twice->count, alike,
        s->twice->at[first].seen);
    return fm_survey_found(s, FM_FINDING_TWICE, s->twice->at[first].again, SIZE_MAX, NULL);
}
