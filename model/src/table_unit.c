#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/hash.h"
#include "table_internal.h"

#define KEY_BYTES 16
#define FIRST_CAP 1024u

struct fm_unit_slot {
    uint8_t key[KEY_BYTES];
    uint32_t number; /* the unit's, plus one; 0: nobody's */
};

/* Where the key is, or would go. Digests spread evenly, whoever chose the keys. */
static struct fm_unit_slot *place(const fm_unit_index *x, const uint8_t key[KEY_BYTES])
{
    size_t at = (size_t)fm_get_u64le(key) & (x->cap - 1);

    while (x->slots[at].number && memcmp(x->slots[at].key, key, KEY_BYTES) != 0)
        at = (at + 1) & (x->cap - 1);
    return &x->slots[at];
}

static fm_status grow(fm_unit_index *x)
{
    fm_unit_index wider = { .cap = x->cap ? 2 * x->cap : FIRST_CAP, .count = x->count };
    size_t bytes = 0;
    void *p = NULL;
    fm_status st;

    if ((st = fm_arena_plan(&bytes, wider.cap, sizeof *wider.slots)) ||
        (st = fm_arena_new(bytes, &wider.memory)) ||
        (st = fm_arena_take(wider.memory, wider.cap, sizeof *wider.slots, &p))) {
        fm_unit_index_fini(&wider);
        return st;
    }
    wider.slots = p;
    for (size_t i = 0; i < x->cap; i++)
        if (x->slots[i].number)
            *place(&wider, x->slots[i].key) = x->slots[i];
    fm_unit_index_fini(x);
    *x = wider;
    return FM_OK;
}

fm_status fm_unit_index_number(fm_unit_index *x, const char *key, size_t len, uint32_t *out)
{
    const fm_hash digest = fm_hash_of("fedmoe unit v1", key, len);
    struct fm_unit_slot *slot;
    fm_status st;

    if (x->count >= x->cap / 2 && (st = grow(x)))
        return st;
    slot = place(x, digest.bytes);
    if (!slot->number) {
        memcpy(slot->key, digest.bytes, KEY_BYTES);
        slot->number = (uint32_t)++x->count;
    }
    *out = slot->number - 1;
    return FM_OK;
}

void fm_unit_index_fini(fm_unit_index *x)
{
    fm_arena_free(&x->memory);
    *x = (fm_unit_index){ 0 };
}

/* Counting sort: stable, so that a unit's rows stay in the file's order. */
fm_status fm_table_group(fm_table *t, const uint32_t *unit_of, size_t units)
{
    void *start = NULL, *rows = NULL;
    fm_status st;

    if ((st = fm_alloc(units + 1, sizeof *t->unit_start, &start)) ||
        (st = fm_alloc(t->rows, sizeof *t->unit_rows, &rows))) {
        free(start);
        return st;
    }
    t->unit_start = start; /* owned by the table from here on */
    t->unit_rows = rows;
    t->units = units;
    for (size_t i = 0; i < t->rows; i++)
        t->unit_start[unit_of[i] + 1]++;
    for (size_t u = 0; u < units; u++)
        t->unit_start[u + 1] += t->unit_start[u];
    for (size_t i = t->rows; i-- > 0;) /* from the end: start[u + 1] walks down to u's start */
        t->unit_rows[--t->unit_start[unit_of[i] + 1]] = (uint32_t)i;
    memmove(t->unit_start, t->unit_start + 1, units * sizeof *t->unit_start);
    t->unit_start[units] = t->rows;
    return FM_OK;
}
