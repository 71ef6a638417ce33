/* Sums of units' integers: one after the other, or batches of products that others computed. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"
#include "sum_internal.h"

static bool is_wide(const fm_dp_lattice *l)
{
    return !((double)l->max_units * (double)l->unit_sensitivity < 0x1p31);
}

fm_status fm_dp_sum_new(const fm_dp_lattice *lattice, size_t n, fm_dp_sum **out)
{
    fm_dp_sum *s = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !out || n < 1 || n > FM_DP_COORDINATES_MAX || !fm_dp_lattice_ok(lattice))
        return fm_fail(FM_EINVAL, "sum: missing argument, bad lattice or bad size %zu", n);
    if ((st = fm_alloc(1, sizeof *s, &mem)) != FM_OK)
        return st;
    s = mem;
    s->lattice = *lattice;
    s->n = n;
    if ((st = fm_alloc(n, sizeof *s->total, (void **)&s->total)) != FM_OK)
        goto done;
    if (is_wide(lattice) && (st = fm_alloc(n, sizeof *s->wide, (void **)&s->wide)) != FM_OK)
        goto done;
    if (lattice->encoding == FM_DP_EXACT &&
        (st = fm_alloc(n, sizeof *s->unit, (void **)&s->unit)) != FM_OK)
        goto done;
    *out = s;
    s = NULL;
done:
    fm_dp_sum_free(&s);
    return st;
}

static void wipe(void *p, size_t bytes)
{
    if (p)
        sodium_memzero(p, bytes);
}

void fm_dp_sum_wiped(fm_dp_sum *s)
{
    s->units = s->dropped = s->pending = s->asked = 0;
    s->touched = s->open = false;
}

void fm_dp_sum_reset(fm_dp_sum *s)
{
    if (!s)
        return;
    if (s->touched || s->units > 0) {
        wipe(s->total, s->n * sizeof *s->total);
        wipe(s->wide, s->n * sizeof *s->wide);
        wipe(s->unit, s->n * sizeof *s->unit);
    }
    fm_dp_sum_wiped(s);
}

void fm_dp_sum_free(fm_dp_sum **s)
{
    if (!s || !*s)
        return;
    fm_dp_sum_reset(*s);
    free((*s)->total);
    free((*s)->wide);
    free((*s)->unit);
    free(*s);
    *s = NULL;
}

/* into += from, mod 2^32: of two parts of a sum that is known to fit. */
static void add_words(int32_t *into, const int32_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        into[i] = (int32_t)((uint32_t)into[i] + (uint32_t)from[i]);
}

/* The batch's words are exact in two's complement: what was added stays below 2^31. */
static void flush(fm_dp_sum *s)
{
    if (!s->wide || s->pending == 0)
        return;
    for (size_t i = 0; i < s->n; i++) {
        s->wide[i] += s->total[i];
        s->total[i] = 0;
    }
    s->pending = 0;
}

static fm_status no_room(const fm_dp_sum *s)
{
    return fm_fail(FM_ENOMEM, "the plan's max_units (%u) are in this round already",
                   (unsigned)s->lattice.max_units);
}

/* Room in `total` for so many units more. */
static void make_room(fm_dp_sum *s, size_t units)
{
    if (s->pending + units > fm_dp_sum_batch_units(&s->lattice))
        flush(s);
}

fm_status fm_dp_sum_add_unit(fm_dp_sum *s, const float *gradient)
{
    fm_status st;

    if (!s || !gradient || s->open)
        return fm_fail(FM_EINVAL, "sum: missing argument, or a batch is open");
    if (s->units >= s->lattice.max_units)
        return no_room(s);
    if (!s->unit && (st = fm_alloc(s->n, sizeof *s->unit, (void **)&s->unit)) != FM_OK)
        return st;
    s->touched = true;
    if (fm_dp_encode_into(&s->lattice, gradient, s->n, s->unit) != FM_OK) {
        s->dropped++;
        return FM_OK;
    }
    make_room(s, 1);
    add_words(s->total, s->unit, s->n);
    s->units++;
    s->pending++;
    return FM_OK;
}

size_t fm_dp_sum_batch_units(const fm_dp_lattice *lattice)
{
    return (size_t)(INT32_MAX / lattice->unit_sensitivity);
}

fm_status fm_dp_sum_batch(fm_dp_sum *s, size_t units, int32_t **out)
{
    if (!s || !out || s->open || s->lattice.encoding != FM_DP_FAST)
        return fm_fail(FM_EINVAL, "sum: missing argument, a batch is open, or the encoding is not "
                                  "fast");
    if (units > fm_dp_sum_batch_units(&s->lattice))
        return fm_fail(FM_EINVAL, "sum: a batch of %zu units does not fit 32 bits, %zu would",
                       units, fm_dp_sum_batch_units(&s->lattice));
    if (units > s->lattice.max_units - s->units)
        return no_room(s);
    make_room(s, units);
    s->asked = units;
    s->touched = s->open = true;
    *out = s->total;
    return FM_OK;
}

fm_status fm_dp_sum_batch_done(fm_dp_sum *s, const uint64_t *squares, size_t units, size_t dropped)
{
    uint64_t bound, most = 0;

    if (!s || !s->open || units > s->asked || dropped > units || (!squares && units > 0)) {
        fm_dp_sum_reset(s); /* nobody knows what is in it */
        return fm_fail(FM_EINVAL, "sum: no batch is open, or not for so many units");
    }
    for (size_t i = 0; i < units; i++)
        most = squares[i] > most ? squares[i] : most;
    bound = (uint64_t)s->lattice.unit_sensitivity * (uint64_t)s->lattice.unit_sensitivity;
    if (most > bound) {
        fm_dp_sum_reset(s);
        return fm_fail(FM_EINTERNAL, "sum: a unit's integers are longer than the sensitivity");
    }
    s->open = false;
    s->units += units - dropped;
    s->pending += units;
    s->dropped += dropped;
    return FM_OK;
}

static bool same_lattice(const fm_dp_lattice *a, const fm_dp_lattice *b)
{
    return a->unit_sensitivity == b->unit_sensitivity && a->shift == b->shift &&
           a->max_units == b->max_units && a->scale_log2 == b->scale_log2 &&
           a->encoding == b->encoding && a->sigma_counted == b->sigma_counted;
}

fm_status fm_dp_sum_merge(fm_dp_sum *into, fm_dp_sum *from)
{
    if (!into || !from || into == from || into->open || from->open || into->n != from->n ||
        !same_lattice(&into->lattice, &from->lattice))
        return fm_fail(FM_EINVAL, "sum: only two sums of one lattice and size, without an open "
                                  "batch, can be merged");
    if (from->units > into->lattice.max_units - into->units)
        return no_room(into);
    into->touched = true;
    make_room(into, from->pending);
    add_words(into->total, from->total, into->n);
    for (size_t i = 0; into->wide && i < into->n; i++)
        into->wide[i] += from->wide[i];
    into->units += from->units;
    into->pending += from->pending;
    into->dropped += from->dropped;
    fm_dp_sum_reset(from);
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
    for (size_t i = 0; i < s->n; i++)
        out[i] = (int32_t)(uint32_t)(uint64_t)fm_dp_sum_at(s, i);
}

void fm_dp_sum_peek64_for_tests(const fm_dp_sum *s, int64_t *out)
{
    for (size_t i = 0; i < s->n; i++)
        out[i] = fm_dp_sum_at(s, i);
}
