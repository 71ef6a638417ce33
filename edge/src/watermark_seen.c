#include <stdlib.h>
#include <string.h>

#include "watermark_internal.h"

#define LEAST ((size_t)1024)

/* Names are uniform already. */
static size_t place(const uint64_t *names, size_t cap, uint64_t name)
{
    size_t i = (size_t)name & (cap - 1);

    while (names[i] && names[i] != name)
        i = (i + 1) & (cap - 1);
    return i;
}

static fm_status grow(fm_watermark_seen *s)
{
    const size_t cap = s->cap ? 2 * s->cap : LEAST;
    void *block = NULL;
    fm_status st = fm_alloc(cap, sizeof *s->names, &block);
    uint64_t *names = block;

    if (st)
        return st;
    for (size_t i = 0; i < s->cap; i++)
        if (s->names[i])
            names[place(names, cap, s->names[i])] = s->names[i];
    if (s->names)
        sodium_memzero(s->names, s->cap * sizeof *s->names);
    free(s->names);
    s->names = names;
    s->cap = cap;
    return FM_OK;
}

fm_status fm_watermark_seen_add(fm_watermark_seen *s, uint64_t name, bool *fresh)
{
    fm_status st;
    size_t i;

    if (2 * s->count >= s->cap && (st = grow(s)))
        return st;
    i = place(s->names, s->cap, name);
    *fresh = s->names[i] == 0;
    if (*fresh) {
        s->names[i] = name;
        s->count++;
    }
    return FM_OK;
}

void fm_watermark_seen_clear(fm_watermark_seen *s)
{
    if (s->count)
        sodium_memzero(s->names, s->cap * sizeof *s->names);
    s->count = 0;
}

void fm_watermark_seen_fini(fm_watermark_seen *s)
{
    fm_watermark_seen_clear(s);
    free(s->names);
    *s = (fm_watermark_seen){ 0 };
}
