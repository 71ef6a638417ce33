/* Units of our own making, their coins, and what the released sums say of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "audit_internal.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/dp/sample.h"
#include "sum_internal.h"

typedef struct {
    uint32_t coordinate;
    int32_t sign; /* +1 or -1 */
} canary;

struct fm_dp_canaries {
    uint32_t m, n, included_count;
    double norm, z, q;
    canary *canaries;  /* [m] */
    uint8_t *included; /* [m] */
    uint32_t *units;   /* [m] the included ones: canary of each unit */
    uint32_t *sampled; /* [m] */
    double *scores;    /* [m] */
    float *gradient;   /* [n] 0 but for the canary that is being added */
    int64_t *records;  /* [n] the sum before the canaries, on the units' lattice, secret */
};

void fm_dp_observations_fini(fm_dp_observations *o)
{
    free(o->included);
    free(o->scores);
    *o = (fm_dp_observations){ 0 };
}

fm_status fm_dp_observations_new(uint32_t m, const fm_dp_mechanism *claimed, double delta,
                                 fm_dp_observations *out)
{
    fm_dp_observations o = { .canaries = m, .mechanism = *claimed, .delta = delta };
    void *p = NULL;
    fm_status st;

    if ((st = fm_alloc(m, sizeof *o.included, &p)) == FM_OK) {
        o.included = p;
        if ((st = fm_alloc(m, sizeof *o.scores, &p)) == FM_OK)
            o.scores = p;
    }
    if (st == FM_OK)
        *out = o;
    else
        fm_dp_observations_fini(&o);
    return st;
}

fm_status fm_dp_observations_check(const fm_dp_observations *o)
{
    const fm_dp_mechanism *m = &o->mechanism;

    if (o->canaries < FM_DP_AUDIT_MIN_CANARIES || o->canaries > FM_DP_AUDIT_MAX_CANARIES)
        return fm_fail(FM_EINVAL, "audit: canaries must be %u to %u, not %u",
                       FM_DP_AUDIT_MIN_CANARIES, FM_DP_AUDIT_MAX_CANARIES, o->canaries);
    if (!(m->noise_multiplier >= 1e-6 && m->noise_multiplier <= 1e6) ||
        !(m->sampling_rate > 0.0 && m->sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL, "audit: the noise multiplier must be 1e-6 to 1e6, the sampling "
                                  "rate above 0 and at most 1");
    if (m->kind != FM_DP_GAUSSIAN || m->count < 1 || m->count > FM_DP_AUDIT_MAX_ROUNDS)
        return fm_fail(FM_EINVAL, "audit: there must be 1 to %u rounds, of Gaussian noise",
                       FM_DP_AUDIT_MAX_ROUNDS);
    return FM_OK;
}

static fm_status make_room(fm_dp_canaries *c)
{
    fm_status st;

    if ((st = fm_alloc(c->m, sizeof *c->canaries, (void **)&c->canaries)) != FM_OK ||
        (st = fm_alloc(c->m, sizeof *c->included, (void **)&c->included)) != FM_OK ||
        (st = fm_alloc(c->m, sizeof *c->units, (void **)&c->units)) != FM_OK ||
        (st = fm_alloc(c->m, sizeof *c->sampled, (void **)&c->sampled)) != FM_OK ||
        (st = fm_alloc(c->m, sizeof *c->scores, (void **)&c->scores)) != FM_OK ||
        (st = fm_alloc(c->n, sizeof *c->gradient, (void **)&c->gradient)) != FM_OK)
        return st;
    return fm_alloc(c->n, sizeof *c->records, (void **)&c->records);
}

/* The first m of a random order of the n coordinates (Fisher and Yates), in the records' place. */
static void draw(fm_dp_canaries *c, fm_rng *rng)
{
    int64_t *order = c->records;

    for (uint32_t i = 0; i < c->n; i++)
        order[i] = i;
    for (uint32_t i = 0; i < c->m; i++) {
        uint32_t other = i + (uint32_t)fm_rng_below(rng, c->n - i);
        int64_t taken = order[other];

        order[other] = order[i];
        order[i] = taken;
        c->canaries[i] = (canary){ (uint32_t)taken, fm_rng_below(rng, 2) ? 1 : -1 };
        c->included[i] = (uint8_t)fm_rng_below(rng, 2);
        if (c->included[i])
            c->units[c->included_count++] = i;
    }
}

fm_status fm_dp_canaries_new(uint32_t m, uint32_t n, double clip_norm,
                             const fm_dp_mechanism *claimed, fm_rng *rng, fm_dp_canaries **out)
{
    fm_dp_canaries *c = NULL;
    void *p = NULL;
    fm_status st;

    if (!claimed || !rng || !out || !(clip_norm > 0.0) || !isfinite(clip_norm) || n > INT32_MAX)
        return fm_fail(FM_EINVAL, "audit: missing argument or bad clip norm");
    if ((st = fm_dp_observations_check(
             &(fm_dp_observations){ .canaries = m, .mechanism = *claimed })) != FM_OK)
        return st;
    if (m > n)
        return fm_fail(FM_EINVAL,
                       "audit: %u canaries need as many parameters, and there are %u; ask for "
                       "fewer canaries or give a wider model",
                       m, n);
    if ((st = fm_alloc(1, sizeof *c, &p)) != FM_OK)
        return st;
    c = p;
    c->m = m;
    c->n = n;
    c->norm = FM_DP_CANARY_NORM * clip_norm;
    c->z = claimed->noise_multiplier;
    c->q = claimed->sampling_rate;
    if ((st = make_room(c)) != FM_OK) {
        fm_dp_canaries_free(&c);
        return st;
    }
    draw(c, rng);
    *out = c;
    return FM_OK;
}

void fm_dp_canaries_free(fm_dp_canaries **c)
{
    if (!c || !*c)
        return;
    if ((*c)->records)
        sodium_memzero((*c)->records, (*c)->n * sizeof *(*c)->records);
    free((*c)->canaries);
    free((*c)->included);
    free((*c)->units);
    free((*c)->sampled);
    free((*c)->scores);
    free((*c)->gradient);
    free((*c)->records);
    free(*c);
    *c = NULL;
}

fm_status fm_dp_canaries_add(fm_dp_canaries *c, double sampling_rate, fm_dp_sum *sum, fm_rng *rng)
{
    size_t count;
    fm_status st = FM_OK;

    if (sum->n != c->n)
        return fm_fail(FM_EINVAL, "audit: the canaries are for updates of %u coordinates", c->n);
    for (size_t i = 0; i < c->n; i++)
        c->records[i] = fm_dp_sum_at(sum, i);
    count = fm_dp_sample_units(sampling_rate, c->included_count, rng, c->sampled);
    for (size_t i = 0; st == FM_OK && i < count; i++) {
        const canary *k = &c->canaries[c->units[c->sampled[i]]];

        c->gradient[k->coordinate] = (float)(k->sign * c->norm);
        st = fm_dp_sum_add_unit(sum, c->gradient);
        c->gradient[k->coordinate] = 0.0f;
    }
    return st;
}

/* What the released sum has more than the records: in units' steps, of a sum mod 2^32 wire steps. */
static double without_records(const fm_dp_lattice *l, uint32_t sum, int64_t records)
{
    const int64_t step = (int64_t)1 << l->shift, rest = (records % step + step) % step;
    uint32_t word = sum - (uint32_t)(uint64_t)((records - rest) / step);

    return (double)(((int64_t)word - ((int64_t)(word >> 31) << 32)) * step - rest);
}

void fm_dp_canaries_observe(fm_dp_canaries *c, const fm_dp_lattice *lattice, const uint32_t *sum)
{
    for (uint32_t i = 0; i < c->m; i++) {
        const canary *k = &c->canaries[i];
        double value = without_records(lattice, sum[k->coordinate], c->records[k->coordinate]);

        c->scores[i] +=
            fm_dp_canary_ratio(k->sign * value / (double)lattice->unit_sensitivity, c->z, c->q);
    }
}

const uint8_t *fm_dp_canaries_included(const fm_dp_canaries *c)
{
    return c->included;
}

const double *fm_dp_canaries_scores(const fm_dp_canaries *c)
{
    return c->scores;
}
