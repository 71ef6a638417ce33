/*
 * The tables of the base distribution, in integers only.
 *
 * Numbers are fixed point: Q127 (v / 2^127, v <= 2^127) for values up to 1, Q119 for sums. With
 * u = 2^-127: exp(-y) is off by at most 3u (twenty terms; the rest is below 2^-140, and each step
 * damps the error before it by y/k), its square by 7u, exp(-y(2i-1)) by 8iu, exp(-y i^2) by
 * 5 i^2 u. Over all i < 800 that adds up to 2^-97.3, in a sum that is at least 25 if the width is
 * 10 or more: the quotient P(|X| > j) is off by less than 2^-99, and cutting it to 93 bits moves
 * it down by less than 2^-93. Narrower widths have i < 140 only: 2^-99, too.
 */
#include <math.h>
#include <string.h>

#include "noise_internal.h"

__extension__ typedef unsigned __int128 u128;

#define ONE_Q127 ((u128)1 << 127)
#define TABLE_BITS 93
#define SERIES_TERMS 20
#define ALIAS_BITS 23
#define COLUMN ((uint32_t)1 << 15)

/* floor(a * b / 2^127) for a, b <= 2^127. */
static u128 multiply(u128 a, u128 b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a;
    uint64_t b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    u128 low = (u128)a0 * b0;
    u128 cross1 = (u128)a0 * b1, cross2 = (u128)a1 * b0;
    u128 mid = (low >> 64) + (uint64_t)cross1 + (uint64_t)cross2;
    u128 high = (u128)a1 * b1 + (cross1 >> 64) + (cross2 >> 64) + (mid >> 64);

    return (high << 1) | ((uint64_t)mid >> 63);
}

/* exp(-y) = 1 - y (1 - y/2 (1 - y/3 (...))). */
static u128 exp_minus(u128 y)
{
    u128 e = ONE_Q127;

    for (unsigned k = SERIES_TERMS; k >= 1; k--)
        e = ONE_Q127 - multiply(y, e) / k;
    return e;
}

/* weight[i] = exp(-y i^2) in Q119. @return the number of weights that are not zero. */
static size_t weights(u128 y, u128 weight[FM_GAUSS_ENTRIES])
{
    u128 step = exp_minus(y); /* exp(-y (2i - 1)) */
    u128 step_ratio = multiply(step, step);
    u128 w = ONE_Q127;
    size_t n = 0;

    while (n < FM_GAUSS_ENTRIES && w >> 8 != 0) {
        weight[n++] = w >> 8;
        w = multiply(w, step);
        step = multiply(step, step_ratio);
    }
    return n;
}

/* floor(2^93 * a / b) for a < b < 2^127, by long division. */
static u128 quotient(u128 a, u128 b)
{
    u128 q = 0;

    for (int i = 0; i < TABLE_BITS; i++) {
        a <<= 1;
        q <<= 1;
        if (a >= b) {
            a -= b;
            q |= 1;
        }
    }
    return q;
}

static void put_row(fm_gauss_table *t, u128 p)
{
    size_t j = t->entries++;

    t->limb[0][j] = (int32_t)(p >> 62);
    t->limb[1][j] = (int32_t)((p >> 31) & FM_GAUSS_LIMB_MASK);
    t->limb[2][j] = (int32_t)(p & FM_GAUSS_LIMB_MASK);
    if (t->limb[0][j] != 0)
        t->high_end = j + 1;
    if (p >> 31 != 0)
        t->mid_end = j + 1;
}

fm_status fm_gauss_table_make(double y, fm_gauss_table *out)
{
    u128 weight[FM_GAUSS_ENTRIES];
    u128 total = 0, tail, p;
    size_t n;

    if (!(y >= 0x1p-13 && y < 0.125))
        return fm_fail(FM_EINTERNAL, "noise: base width out of range");
    /* Exact: y has 53 bits, the lowest at 2^-65 or above. */
    n = weights((u128)ldexp(y, 65) << 62, weight);
    if (n == FM_GAUSS_ENTRIES)
        return fm_fail(FM_EINTERNAL, "noise: base table too small");
    for (size_t i = n; i-- > 1;)
        total += weight[i];
    tail = total; /* sum of weight[i], i > j, for j = 0 */
    total = 2 * total + weight[0];
    memset(out, 0, sizeof *out);
    for (size_t j = 0; j + 1 < n && (p = quotient(2 * tail, total)) != 0; j++) {
        put_row(out, p);
        tail -= weight[j + 1];
    }
    return FM_OK;
}

static u128 row(const fm_gauss_table *t, size_t j)
{
    return j >= t->entries ? 0
                           : ((u128)(uint32_t)t->limb[0][j] << 62) |
                                 ((u128)(uint32_t)t->limb[1][j] << 31) | (uint32_t)t->limb[2][j];
}

/*
 * Each symbol's weight adds up to 256 columns of 2^15. Robin Hood: the first open column that
 * lacks something is filled from the first open one that has too much. Whatever is left is full.
 */
static void fill_columns(uint32_t weight[256], fm_gauss_alias *a)
{
    bool open[256];

    for (size_t j = 0; j < 256; j++) {
        open[j] = true;
        a->high[j] = a->low[j] = 0;
        a->other[j] = (uint8_t)j;
    }
    for (;;) {
        size_t poor = 0, rich = 0;

        while (poor < 256 && !(open[poor] && weight[poor] < COLUMN))
            poor++;
        while (rich < 256 && !(open[rich] && weight[rich] > COLUMN))
            rich++;
        if (poor == 256 || rich == 256)
            return;
        a->high[poor] = (uint8_t)(weight[poor] >> 8);
        a->low[poor] = (uint8_t)weight[poor];
        a->other[poor] = (uint8_t)rich;
        open[poor] = false;
        weight[rich] -= COLUMN - weight[poor];
    }
}

fm_status fm_gauss_alias_make(const fm_gauss_table *t, unsigned bits, fm_gauss_alias *alias,
                              uint32_t *escape_weight, fm_gauss_table *residual)
{
    uint32_t weight[256], escape = (uint32_t)1 << ALIAS_BITS;
    u128 before = (u128)1 << TABLE_BITS, rest = 0, p;

    for (size_t j = 0; j < FM_GAUSS_ESCAPE; j++) {
        weight[j] = (uint32_t)((before - row(t, j)) >> (TABLE_BITS - bits)) << (ALIAS_BITS - bits);
        escape -= weight[j];
        before = row(t, j);
    }
    if (escape == 0 || t->entries >= FM_GAUSS_ENTRIES)
        return fm_fail(FM_EINTERNAL, "noise: no residual distribution");
    weight[FM_GAUSS_ESCAPE] = escape;
    *escape_weight = escape;
    /* What is left of symbol i is its probability less its weight; row j: of all i > j. */
    memset(residual, 0, sizeof *residual);
    rest = (u128)escape << (TABLE_BITS - ALIAS_BITS);
    before = (u128)1 << TABLE_BITS;
    for (size_t j = 0; j <= t->entries; j++) {
        rest -= before - row(t, j);
        rest += (j < FM_GAUSS_ESCAPE ? (u128)weight[j] : 0) << (TABLE_BITS - ALIAS_BITS);
        before = row(t, j);
        p = (rest << ALIAS_BITS) / escape; /* rest <= 2^70 escape: the product fits */
        if (p == 0)
            break;
        put_row(residual, p >> TABLE_BITS == 0 ? p : ((u128)1 << TABLE_BITS) - 1);
    }
    fill_columns(weight, alias);
    return FM_OK;
}
