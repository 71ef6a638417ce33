/* The exact sampler of Canonne, Kamath and Steinke 2020, arXiv:2004.00010: the tests' yardstick. */
#include <stdbool.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/noise.h"

__extension__ typedef unsigned __int128 u128;

#define NUM_MAX ((uint64_t)1 << 53)
/* P(|Y| >= 256 t) < e^-255 for the discrete Laplace of scale t: treated as a defect. */
#define LAPLACE_CUT 256

static u128 uniform_below(fm_rng *rng, u128 n)
{
    u128 mask = n - 1, v;

    for (unsigned s = 1; s < 128; s *= 2)
        mask |= mask >> s;
    do {
        uint8_t b[16];

        rng->fill(rng->state, b, sizeof b);
        v = (((u128)fm_get_u64le(b + 8) << 64) | fm_get_u64le(b)) & mask;
    } while (v >= n);
    return v;
}

/* True with probability exp(-a/b), a <= b < 2^120 (Algorithm 1, first half). */
static bool bernoulli_exp_fraction(fm_rng *rng, u128 a, u128 b)
{
    unsigned k = 1;

    while (uniform_below(rng, b * k) < a)
        k++;
    return k % 2 == 1;
}

/* True with probability exp(-a/b) (Algorithm 1). */
static bool bernoulli_exp(fm_rng *rng, u128 a, u128 b)
{
    for (; a > b; a -= b)
        if (!bernoulli_exp_fraction(rng, 1, 1))
            return false;
    return bernoulli_exp_fraction(rng, a, b);
}

/* Discrete Laplace of scale t (Algorithm 2 with s = 1); false when out of range. */
static bool laplace(fm_rng *rng, uint64_t t, int64_t *out)
{
    for (;;) {
        uint64_t u = (uint64_t)uniform_below(rng, t), v = 0;
        bool negative;

        if (!bernoulli_exp_fraction(rng, u, t))
            continue;
        while (bernoulli_exp_fraction(rng, 1, 1))
            if (++v >= LAPLACE_CUT)
                return false;
        u += t * v;
        negative = uniform_below(rng, 2) == 1;
        if (negative && u == 0)
            continue;
        *out = negative ? -(int64_t)u : (int64_t)u;
        return true;
    }
}

/* floor(sqrt(num / den)) + 1. */
static uint64_t laplace_scale(uint64_t num, uint64_t den)
{
    uint64_t t = 0;

    for (uint64_t bit = (uint64_t)1 << 31; bit > 0; bit /= 2)
        if ((u128)(t + bit) * (t + bit) * den <= num)
            t += bit;
    return t + 1;
}

fm_status fm_dp_gaussian_reference(uint64_t num, uint64_t den, fm_rng *rng, int64_t *out)
{
    uint64_t t;

    if (!rng || !out || num < 1 || den < 1 || num > NUM_MAX || den > num)
        return fm_fail(FM_EINVAL, "noise: sigma^2 must be a fraction from 1 to 2^53");
    t = laplace_scale(num, den);
    for (;;) {
        u128 scaled, gap;
        int64_t y;

        if (!laplace(rng, t, &y))
            return fm_fail(FM_EINTERNAL, "noise: the random generator is broken");
        /* (|y| - num/(den t))^2 / (2 num/den) = (|y| t den - num)^2 / (2 num den t^2); both
         * sides stay below 2^127, because den t^2 <= 4 num and |y| < 256 t. */
        scaled = (u128)(uint64_t)(y < 0 ? -y : y) * t * den;
        gap = scaled > num ? scaled - num : num - scaled;
        if (bernoulli_exp(rng, gap * gap, (u128)2 * num * den * t * t)) {
            *out = y;
            return FM_OK;
        }
    }
}
