/* Declared cells by hash: one step a cell, however many values a column declares. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

struct fm_lookup_text {
    const char *text; /* of the schema's own cell; NULL: free */
    size_t len;
    uint32_t hash;
    int32_t code;
};

struct fm_lookup_number {
    double number;
    int32_t code;
    bool used;
};

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15) /* 2^64 over the golden ratio (Knuth 6.4) */

/* Declared by the schema, not by the records: nobody can choose what stands in the table. */
static uint32_t hash_text(const char *s, size_t n)
{
    uint64_t h = n;

    for (; n >= 8; s += 8, n -= 8) {
        uint64_t v;

        memcpy(&v, s, 8);
        h = (h ^ v) * MULTIPLIER;
        h ^= h >> 29;
    }
    if (n >= 4) {
        uint32_t a, b;

        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        h = (h ^ a ^ ((uint64_t)b << 32)) * MULTIPLIER;
    } else if (n) {
        const uint64_t first = (unsigned char)s[0], middle = (unsigned char)s[n / 2],
                       last = (unsigned char)s[n - 1];

        h = (h ^ first ^ (middle << 8) ^ (last << 16)) * MULTIPLIER;
    }
    return (uint32_t)(h >> 32);
}

static uint32_t hash_number(double v)
{
    uint64_t bits;

    v += 0.0; /* -0 is 0 */
    memcpy(&bits, &v, sizeof bits);
    return (uint32_t)((bits * MULTIPLIER) >> 32);
}

static void add(fm_lookup *l, const fm_cell *c, int32_t code)
{
    const size_t len = strlen(c->text), mask = l->cap - 1;
    const uint32_t hash = hash_text(c->text, len);
    size_t at = hash & mask;

    while (l->texts[at].text)
        at = (at + 1) & mask;
    l->texts[at] = (struct fm_lookup_text){ c->text, len, hash, code };
    if (!c->is_number)
        return;
    for (at = hash_number(c->number) & mask; l->numbers[at].used;)
        at = (at + 1) & mask;
    l->numbers[at] = (struct fm_lookup_number){ c->number, code, true };
}

static void add_all(fm_lookup *l, const fm_cells *cells, int32_t first, int32_t step)
{
    for (size_t i = 0; i < cells->count; i++)
        add(l, &cells->at[i], first + step * (int32_t)i);
}

static bool any_number(const fm_cells *cells)
{
    for (size_t i = 0; i < cells->count; i++)
        if (cells->at[i].is_number)
            return true;
    return false;
}

fm_status fm_lookup_build(const fm_schema *s, fm_column *c)
{
    static const fm_cells none = { 0 };
    const bool label = c->kind == FM_COLUMN_LABEL;
    const fm_cells *missing = label ? &none : &s->missing; /* a label is never missing */
    const size_t count = missing->count + c->missing.count + c->values.count + c->positive.count;
    fm_lookup l = { .cap = 8 };
    fm_status st;

    if (!count)
        return FM_OK;
    while (l.cap < 2 * count)
        l.cap *= 2;
    st = fm_alloc(l.cap, sizeof *l.texts, (void **)&l.texts);
    if (!st && (any_number(missing) || any_number(&c->missing) || any_number(&c->values) ||
                any_number(&c->positive)))
        st = fm_alloc(l.cap, sizeof *l.numbers, (void **)&l.numbers);
    if (st) {
        fm_lookup_fini(&l);
        return st;
    }
    add_all(&l, missing, FM_CODE_MISSING, 0);
    add_all(&l, &c->missing, FM_CODE_MISSING, 0);
    add_all(&l, &c->values, 0, label && c->target == FM_TARGET_BINARY ? 0 : 1);
    add_all(&l, &c->positive, 1, 0);
    c->lookup = l;
    return FM_OK;
}

int32_t fm_lookup_by_text(const fm_lookup *l, fm_slice cell)
{
    const uint32_t hash = l->texts ? hash_text(cell.at, cell.len) : 0;

    if (!l->texts)
        return FM_CODE_NONE;
    for (size_t at = hash & (l->cap - 1); l->texts[at].text; at = (at + 1) & (l->cap - 1)) {
        const struct fm_lookup_text *t = &l->texts[at];

        if (t->hash == hash && t->len == cell.len && memcmp(t->text, cell.at, cell.len) == 0)
            return t->code;
    }
    return FM_CODE_NONE;
}

int32_t fm_lookup_by_number(const fm_lookup *l, double v)
{
    if (!l->numbers)
        return FM_CODE_NONE;
    for (size_t at = hash_number(v) & (l->cap - 1); l->numbers[at].used;
         at = (at + 1) & (l->cap - 1))
        if (l->numbers[at].number == v)
            return l->numbers[at].code;
    return FM_CODE_NONE;
}

int32_t fm_lookup_find(const fm_lookup *l, fm_slice cell)
{
    int32_t code = fm_lookup_by_text(l, cell);
    double v;

    if (code == FM_CODE_NONE && l->numbers && fm_text_double(cell.at, &v))
        code = fm_lookup_by_number(l, v);
    return code;
}

void fm_lookup_fini(fm_lookup *l)
{
    free(l->texts);
    free(l->numbers);
    *l = (fm_lookup){ 0 };
}
