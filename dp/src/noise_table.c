/*
 * The cumulative table of the base distribution, in integers only.
 *
 * Numbers are fixed point: Q127 (v / 2^127, v <= 2^127) for values up to 1, Q119 for sums. With
 * u = 2^-127: exp(-y) is off by at most 3u (twenty terms; the rest is below 2^-140, and each step
 * damps the error before it by y/k), its square by 7u, exp(-y(2i-1)) by 8iu, exp(-y i^2) by
 * 5 i^2 u. For i <= 256 that is 2^-108, the sum of all is off by less than 2^-100, the quotient
 * P(|X| > j) by less than 2^-99, and cutting it to 93 bits moves it down by less than 2^-93.
 */
#include <math.h>
#include <string.h>

#include "noise_internal.h"

__extension__ typedef unsigned __int128 u128;

#define ONE_Q127 ((u128)1 << 127)
#define TABLE_BITS 93
#define SERIES_TERMS 20

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

    if (!(y >= 0x1p-10 && y < 0.125))
        return fm_fail(FM_EINTERNAL, "noise: base width out of range");
    /* Exact: y has 53 bits, the lowest at 2^-63 or above. */
    n = weights((u128)ldexp(y, 63) << 64, weight);
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
