#include "fedmoe/dp/encode.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "sum_internal.h"

#define NORM_LANES 8
#define SHRINK_TRIES 64
#define TAIL_MAX ((int64_t)1 << 24)
#define FLOAT_SCALE_LOG2 64 /* 2^64 to 2^-64 times 32 bits are normal floats */

/*
 * Squared L2 norm. The squares of floats are exact in double and cannot overflow it, so the
 * result is finite exactly when every coordinate is. The order of additions is fixed.
 */
static double squared_norm(const float *g, size_t n)
{
    double lane[NORM_LANES] = { 0 };
    double sum = 0.0;
    size_t whole = n - n % NORM_LANES;

    for (size_t i = 0; i < whole; i += NORM_LANES)
        for (size_t j = 0; j < NORM_LANES; j++)
            lane[j] += (double)g[i + j] * (double)g[i + j];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += (double)g[i] * (double)g[i];
    for (size_t j = 0; j < NORM_LANES; j++)
        sum += lane[j];
    return sum;
}

/* Clamped to +-limit < 2^31, so that the conversion is defined whatever came before. */
static inline double scaled(float g, double factor, double limit)
{
    double x = (double)g * factor;

    x = x > limit ? limit : x;
    return x < -limit ? -limit : x;
}

static void round_nearest(const float *g, size_t n, double factor, double limit, int32_t *out)
{
    const double magic = 0x1.8p52; /* its unit in the last place is 1: adding it rounds */

    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)(scaled(g[i], factor, limit) + magic - magic);
}

static void round_to_zero(const float *g, size_t n, double factor, double limit, int32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)scaled(g[i], factor, limit);
}

/*
 * Whether the integers' L2 norm is at most `sensitivity`, in integers only. A square is at most
 * 2^62 and n at most 2^30, so neither half of the sum can wrap.
 */
static bool within_sensitivity(const int32_t *q, size_t n, int64_t sensitivity)
{
    uint64_t bound = (uint64_t)sensitivity * (uint64_t)sensitivity; /* < 2^62 */
    uint64_t low = 0, high = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t square = (uint64_t)((int64_t)q[i] * q[i]);

        low += square & UINT32_MAX;
        high += square >> 32;
    }
    high += low >> 32;
    low &= UINT32_MAX;
    return high < bound >> 32 || (high == bound >> 32 && low <= (bound & UINT32_MAX));
}

fm_status fm_dp_encode_into(const fm_dp_lattice *l, const float *g, size_t n, int32_t *out)
{
    double limit = (double)l->unit_sensitivity;
    double norm = sqrt(squared_norm(g, n));
    double factor = l->unit_scale;

    if (!isfinite(norm))
        return FM_ENONFINITE;
    if (norm * factor > limit)
        factor = limit / norm;
    round_nearest(g, n, factor, limit, out);
    /* Truncation only shortens; a second shrink is for the last bit of floating point. */
    for (int i = 0; !within_sensitivity(out, n, l->unit_sensitivity); i++) {
        if (i == SHRINK_TRIES) {
            memset(out, 0, n * sizeof *out);
            break;
        }
        round_to_zero(g, n, factor, limit, out);
        factor *= 1.0 - 0x1p-24;
    }
    return FM_OK;
}

static bool word_bits_ok(unsigned bits)
{
    return bits == 16 || bits == 24 || bits == 32;
}

bool fm_dp_lattice_ok(const fm_dp_lattice *l)
{
    if (l->unit_sensitivity < 1 || l->unit_sensitivity > INT32_MAX || !(l->unit_scale > 0.0) ||
        !isfinite(l->unit_scale) || l->max_units < 1 || l->shift > FM_DP_SHIFT_MAX ||
        l->sensitivity != ldexp((double)l->unit_sensitivity, -(int)l->shift) ||
        !word_bits_ok(l->word_bits) ||
        !((double)l->max_units * l->sensitivity < ldexp(1.0, (int)l->word_bits - 1)))
        return false;
    return l->encoding == FM_DP_EXACT || l->unit_sensitivity <= FM_DP_FAST_STEPS;
}

fm_status fm_dp_encode_unit(const fm_dp_lattice *lattice, const float *gradient, size_t n,
                            int32_t *out)
{
    int32_t *q = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !gradient || !out || n < 1 || n > FM_DP_COORDINATES_MAX ||
        !fm_dp_lattice_ok(lattice))
        return fm_fail(FM_EINVAL, "encode: missing argument or bad size");
    if ((st = fm_alloc(n, sizeof *q, &mem)) != FM_OK)
        return st;
    q = mem;
    if ((st = fm_dp_encode_into(lattice, gradient, n, q)) == FM_OK)
        memcpy(out, q, n * sizeof *q);
    else
        st = fm_fail(st, "encode: the gradient has NaN or infinity in it");
    sodium_memzero(q, n * sizeof *q);
    free(q);
    return st;
}

/* The largest integer whose square is at most x < 2^62. */
static int64_t root(int64_t x)
{
    int64_t r = (int64_t)sqrt((double)x); /* off by one at most */

    while (r * r > x)
        r--;
    while ((r + 1) * (r + 1) <= x)
        r++;
    return r;
}

fm_status fm_dp_parts_make(const fm_dp_lattice *lattice, double load_share, double clip_share,
                           fm_dp_parts *out)
{
    fm_dp_parts p;
    double all;

    if (!lattice || !out || !fm_dp_lattice_ok(lattice))
        return fm_fail(FM_EINVAL, "parts of the sensitivity: missing argument or bad lattice");
    if (!(load_share >= 0.0 && load_share <= 0.5) || !(clip_share >= 0.0 && clip_share <= 0.5))
        return fm_fail(FM_EINVAL, "load_share and clip_share must be 0 to 0.5, and are %g and %g",
                       load_share, clip_share);
    all = (double)lattice->unit_sensitivity;
    p.loads = (int64_t)(load_share * all);
    p.vote = (int64_t)(clip_share * all);
    p.gradient = root(lattice->unit_sensitivity * lattice->unit_sensitivity - p.loads * p.loads -
                      p.vote * p.vote);
    *out = p;
    return FM_OK;
}

int64_t fm_dp_half_bound(const fm_dp_lattice *lattice)
{
    return root(lattice->unit_sensitivity * lattice->unit_sensitivity / 2);
}

double fm_dp_unit_factor(const fm_dp_lattice *lattice, int64_t limit, double squared_norm,
                         double relative_clip)
{
    double norm = sqrt(squared_norm), free = lattice->unit_scale / relative_clip;

    if (!isfinite(norm) || !isfinite(free) || !(free > 0.0))
        return 0.0;
    return norm * free > (double)limit ? (double)limit / norm : free;
}

bool fm_dp_unit_clipped(const fm_dp_lattice *lattice, int64_t limit, double squared_norm,
                        double relative_clip)
{
    double norm = sqrt(squared_norm), free = lattice->unit_scale / relative_clip;

    /* Written so that a NaN is true. */
    return !(free > 0.0 && isfinite(free) && norm * free <= (double)limit);
}

uint64_t fm_dp_encode_tail(const float *v, size_t n, double bound, int64_t limit, int32_t *sum)
{
    double norm = sqrt(squared_norm(v, n)), most = (double)limit;
    double factor = most / (norm > bound ? norm : bound);
    uint64_t left, squares = 0;

    if (!isfinite(norm) || !isfinite(factor) || limit < 0 || limit > TAIL_MAX)
        return 0;
    left = (uint64_t)(limit * limit);
    for (size_t i = 0; i < n; i++) {
        int64_t q = (int64_t)scaled(v[i], factor, most);

        /* Can go over by the last bit of floating point only. */
        if ((uint64_t)(q * q) > left - squares)
            q = 0;
        squares += (uint64_t)(q * q);
        sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)q);
    }
    return squares;
}

/*
 * In forms that compilers make vectors of. A power of two shifts a float's exponent and rounds
 * nothing, as long as results are far from both ends of their range: then the one rounding is that of
 * the integer, as in double.
 */
static void decode_floats(float step, unsigned bits, const void *sum, size_t n, float *out)
{
    const uint32_t *wide = sum;
    const uint16_t *narrow = sum;

    if (bits == 16)
        for (size_t i = 0; i < n; i++)
            out[i] = (float)(int16_t)narrow[i] * step;
    else if (bits == 24)
        for (size_t i = 0; i < n; i++)
            out[i] = (float)fm_dp_sum_word(24, wide, i) * step;
    else
        for (size_t i = 0; i < n; i++)
            out[i] = (float)(int32_t)wide[i] * step;
}

void fm_dp_decode_sum(const fm_dp_lattice *lattice, const void *sum, size_t n, float *out)
{
    const double step = ldexp(1.0, -lattice->scale_log2); /* exact, so that there is one rounding */

    if (abs(lattice->scale_log2) <= FLOAT_SCALE_LOG2) {
        decode_floats((float)step, lattice->word_bits, sum, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(fm_dp_sum_word(lattice->word_bits, sum, i) * step);
}
