#include "fedmoe/dp/encode.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"
#include "sum_internal.h"

#define MAX_COORDINATES ((size_t)1 << 28)
#define NORM_LANES 8
#define SHRINK_TRIES 64

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
 * 2^62 and n at most 2^28, so neither half of the sum can wrap.
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

static fm_status encode(const fm_dp_lattice *l, const float *g, size_t n, int32_t *out)
{
    double limit = (double)l->sensitivity;
    double norm = sqrt(squared_norm(g, n));
    double factor = l->scale;

    if (!isfinite(norm))
        return FM_ENONFINITE;
    if (norm * factor > limit)
        factor = limit / norm;
    round_nearest(g, n, factor, limit, out);
    /* Truncation only shortens; a second shrink is for the last bit of floating point. */
    for (int i = 0; !within_sensitivity(out, n, l->sensitivity); i++) {
        if (i == SHRINK_TRIES) {
            memset(out, 0, n * sizeof *out);
            break;
        }
        round_to_zero(g, n, factor, limit, out);
        factor *= 1.0 - 0x1p-24;
    }
    return FM_OK;
}

static bool lattice_ok(const fm_dp_lattice *l)
{
    return l->sensitivity >= 1 && l->sensitivity <= INT32_MAX && l->scale > 0.0 &&
           isfinite(l->scale) && l->max_units >= 1 &&
           (double)l->max_units * (double)l->sensitivity < 0x1p31;
}

fm_status fm_dp_encode_unit(const fm_dp_lattice *lattice, const float *gradient, size_t n,
                            int32_t *out)
{
    int32_t *q = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !gradient || !out || n < 1 || n > MAX_COORDINATES || !lattice_ok(lattice))
        return fm_fail(FM_EINVAL, "encode: missing argument or bad size");
    if ((st = fm_alloc(n, sizeof *q, &mem)) != FM_OK)
        return st;
    q = mem;
    if ((st = encode(lattice, gradient, n, q)) == FM_OK)
        memcpy(out, q, n * sizeof *q);
    else
        st = fm_fail(st, "encode: the gradient has NaN or infinity in it");
    sodium_memzero(q, n * sizeof *q);
    free(q);
    return st;
}

fm_status fm_dp_sum_new(const fm_dp_lattice *lattice, size_t n, fm_dp_sum **out)
{
    fm_dp_sum *s = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !out || n < 1 || n > MAX_COORDINATES || !lattice_ok(lattice))
        return fm_fail(FM_EINVAL, "sum: missing argument, bad lattice or bad size %zu", n);
    if ((st = fm_alloc(1, sizeof *s, &mem)) != FM_OK)
        return st;
    s = mem;
    s->lattice = *lattice;
    s->n = n;
    if ((st = fm_alloc(n, sizeof *s->total, &mem)) != FM_OK)
        goto done;
    s->total = mem;
    if ((st = fm_alloc(n, sizeof *s->unit, &mem)) != FM_OK)
        goto done;
    s->unit = mem;
    *out = s;
    s = NULL;
done:
    fm_dp_sum_free(&s);
    return st;
}

void fm_dp_sum_free(fm_dp_sum **s)
{
    if (!s || !*s)
        return;
    if ((*s)->total)
        sodium_memzero((*s)->total, (*s)->n * sizeof *(*s)->total);
    if ((*s)->unit)
        sodium_memzero((*s)->unit, (*s)->n * sizeof *(*s)->unit);
    free((*s)->total);
    free((*s)->unit);
    free(*s);
    *s = NULL;
}

void fm_dp_sum_reset(fm_dp_sum *s)
{
    if (!s)
        return;
    sodium_memzero(s->total, s->n * sizeof *s->total);
    sodium_memzero(s->unit, s->n * sizeof *s->unit);
    s->units = 0;
    s->dropped = 0;
}

fm_status fm_dp_sum_add_unit(fm_dp_sum *s, const float *gradient)
{
    if (!s || !gradient)
        return fm_fail(FM_EINVAL, "sum: missing argument");
    if (s->units >= s->lattice.max_units)
        return fm_fail(FM_ENOMEM, "the plan's max_units (%u) are in this round already",
                       (unsigned)s->lattice.max_units);
    if (encode(&s->lattice, gradient, s->n, s->unit) != FM_OK) {
        s->dropped++;
        return FM_OK;
    }
    for (size_t i = 0; i < s->n; i++)
        s->total[i] += s->unit[i];
    s->units++;
    return FM_OK;
}

size_t fm_dp_sum_units(const fm_dp_sum *s)
{
    return s ? s->units : 0;
}

size_t fm_dp_sum_units_dropped(const fm_dp_sum *s)
{
    return s ? s->dropped : 0;
}

void fm_dp_sum_peek_for_tests(const fm_dp_sum *s, int32_t *out)
{
    memcpy(out, s->total, s->n * sizeof *out);
}

void fm_dp_decode_sum(const fm_dp_lattice *lattice, const uint32_t *sum, size_t n, float *out)
{
    double step = ldexp(1.0, -lattice->scale_log2); /* exact, so that there is one rounding */

    for (size_t i = 0; i < n; i++) {
        int64_t v = (int64_t)sum[i] - ((int64_t)(sum[i] >> 31) << 32);

        out[i] = (float)((double)v * step);
    }
}
