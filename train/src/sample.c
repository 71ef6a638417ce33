#include "fedmoe/train/sample.h"

#include <math.h>
#include <stdlib.h>

#include <sodium.h>

#include "fedmoe/dp/sample.h"

fm_status fm_train_sample_init(fm_train_sample *s, const fm_train_units *all, double rate,
                               size_t unit_rows)
{
    fm_train_sample made = { .all = *all, .rate = rate, .unit_rows = unit_rows };
    void *p = NULL;
    fm_status st;

    if ((st = fm_alloc(all->rows, sizeof *made.rows, &p)) != FM_OK)
        return st;
    made.rows = p;
    if (all->unit_start) {
        if ((st = fm_alloc(all->units, sizeof *made.ends, &p)) != FM_OK) {
            free(made.rows);
            return st;
        }
        made.ends = p;
    }
    *s = made;
    return FM_OK;
}

void fm_train_sample_forget(fm_train_sample *s)
{
    /* What the draw wrote and no more: the rest is not in memory, and of many rows need not be. */
    if (s->rows)
        sodium_memzero(s->rows, s->count * sizeof *s->rows);
    if (s->ends)
        sodium_memzero(s->ends, s->units * sizeof *s->ends);
    s->units = s->trained = s->count = 0;
}

void fm_train_sample_fini(fm_train_sample *s)
{
    if (!s)
        return;
    fm_train_sample_forget(s);
    free(s->rows);
    free(s->ends);
    *s = (fm_train_sample){ 0 };
}

/**
 * `most` of a unit's n rows, in their order (Knuth, The Art of Computer Programming 2, 3.4.2,
 * algorithm S): every subset of that size is equally likely.
 */
static void choose(const fm_train_sample *s, size_t unit, size_t n, size_t most, fm_rng *rng,
                   uint32_t *out)
{
    size_t taken = 0;

    for (size_t i = 0; i < n && taken < most; i++)
        if (fm_rng_below(rng, n - i) < most - taken)
            out[taken++] = fm_train_unit_row(&s->all, unit, i);
}

/* The sampled units' numbers stand in ends[]; each place is overwritten once it has been read. */
static void take_rows(fm_train_sample *s, fm_rng *rng)
{
    const fm_train_units *all = &s->all;

    s->count = 0;
    for (size_t i = 0; i < s->units; i++) {
        const size_t unit = s->ends[i];
        const size_t n = all->unit_start[unit + 1] - all->unit_start[unit];
        const size_t most = n < s->unit_rows ? n : s->unit_rows;

        if (n <= most)
            for (size_t k = 0; k < n; k++)
                s->rows[s->count + k] = fm_train_unit_row(all, unit, k);
        else
            choose(s, unit, n, most, rng, s->rows + s->count);
        s->count += most;
        s->ends[i] = (uint32_t)s->count;
    }
}

static bool is_held(const fm_train_held *held, uint32_t unit)
{
    uint64_t coin = 0;

    _Static_assert(sizeof held->seed == crypto_shorthash_KEYBYTES &&
                       sizeof coin == crypto_shorthash_BYTES,
                   "a coin is a short hash");
    (void)crypto_shorthash((unsigned char *)&coin, (const unsigned char *)&unit, sizeof unit,
                           held->seed);
    return ldexp((double)(coin >> 11), -53) < held->share;
}

/* Those that are held out go behind the others. @return how many others. */
static size_t put_apart(const fm_train_held *held, uint32_t *drawn, size_t n)
{
    size_t trained = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t unit = drawn[i];

        if (is_held(held, unit))
            continue;
        drawn[i] = drawn[trained];
        drawn[trained++] = unit;
    }
    return trained;
}

void fm_train_sample_draw(fm_train_sample *s, const fm_train_held *held, fm_rng *rng)
{
    uint32_t *drawn = s->ends ? s->ends : s->rows;

    s->units = s->count = fm_dp_sample_units(s->rate, s->all.units, rng, drawn);
    s->trained = held && held->share > 0.0 ? put_apart(held, drawn, s->units) : s->units;
    if (s->ends)
        take_rows(s, rng);
}
