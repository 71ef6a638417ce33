/* What an audit has shown, what it could have shown, and what was to be expected. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit_internal.h"
#include "fedmoe/base/memory.h"

#define RUNS 3                /* simulated; the middle one counts */
#define DRAWS ((uint64_t)1e6) /* a run of more of them goes by the central limit theorem */
#define LIMIT_SAMPLE 100000   /* draws to learn mean and variance from */

/* Random bytes in pieces: a system call for each number would cost more than all else. */
typedef struct {
    fm_rng *source;
    uint8_t bytes[4096];
    size_t left;
} buffered;

static void fill(void *state, void *out, size_t len)
{
    buffered *b = state;

    if (len > sizeof b->bytes) {
        b->source->fill(b->source->state, out, len);
        return;
    }
    if (b->left < len) {
        b->source->fill(b->source->state, b->bytes, sizeof b->bytes);
        b->left = sizeof b->bytes;
    }
    memcpy(out, b->bytes + sizeof b->bytes - b->left, len);
    b->left -= len;
}

double fm_dp_canary_ratio(double x, double z, double q)
{
    double t = (2.0 * x - 1.0) / (2.0 * z * z);

    if (q >= 1.0)
        return t;
    return t > 0.0 ? t + log(q + (1.0 - q) * exp(-t)) : log1p(q * expm1(t));
}

/* The score that one round gives to a canary of an honest build. */
static double draw_round(const fm_dp_mechanism *m, bool included, fm_rng *rng)
{
    double z = m->noise_multiplier, q = m->sampling_rate;
    double x = z * fm_rng_normal(rng);

    if (included && fm_rng_unit(rng) < q)
        x += 1.0;
    return fm_dp_canary_ratio(x, z, q);
}

static double draw_all(const fm_dp_mechanism *m, bool included, fm_rng *rng)
{
    double score = 0.0;

    for (uint64_t i = 0; i < m->count; i++)
        score += draw_round(m, included, rng);
    return score;
}

/* Mean and deviation of the score over all rounds. */
static void learn(const fm_dp_mechanism *m, bool included, fm_rng *rng, double *mean, double *sd)
{
    double sum = 0.0, squares = 0.0;

    for (int i = 0; i < LIMIT_SAMPLE; i++) {
        double s = draw_round(m, included, rng);

        sum += s;
        squares += s * s;
    }
    sum /= LIMIT_SAMPLE;
    *mean = sum * (double)m->count;
    *sd = sqrt(fmax(squares / LIMIT_SAMPLE - sum * sum, 0.0) * (double)m->count);
}

static void simulate(fm_dp_observations *o, fm_rng *rng)
{
    bool limit = o->mechanism.count > DRAWS / o->canaries;
    double mean[2] = { 0 }, sd[2] = { 0 };

    for (int side = 0; limit && side < 2; side++)
        learn(&o->mechanism, side == 1, rng, &mean[side], &sd[side]);
    for (uint32_t i = 0; i < o->canaries; i++) {
        uint8_t in = (uint8_t)fm_rng_below(rng, 2);

        o->included[i] = in;
        o->scores[i] =
            limit ? mean[in] + sd[in] * fm_rng_normal(rng) : draw_all(&o->mechanism, in == 1, rng);
    }
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static fm_status simulate_honest(fm_dp_observations *o, double delta, double confidence,
                                 fm_rng *source, double *out)
{
    buffered b = { .source = source };
    fm_rng rng = { .fill = fill, .state = &b };
    double shown[RUNS];

    for (int i = 0; i < RUNS; i++) {
        fm_dp_audit_bound bound;
        fm_status st;

        simulate(o, &rng);
        if ((st = fm_dp_audit_bound_of(o, delta, confidence, &bound)) != FM_OK)
            return st;
        shown[i] = bound.epsilon;
    }
    qsort(shown, RUNS, sizeof shown[0], by_size);
    *out = shown[RUNS / 2];
    return FM_OK;
}

/* Every guess right: the same coins, told by the scores. */
static fm_status reckon_ceiling(fm_dp_observations *o, double delta, double confidence, double *out)
{
    fm_dp_audit_bound bound;
    fm_status st;

    for (uint32_t i = 0; i < o->canaries; i++) {
        o->included[i] = i % 2 == 0;
        o->scores[i] = o->included[i];
    }
    if ((st = fm_dp_audit_bound_of(o, delta, confidence, &bound)) == FM_OK)
        *out = bound.epsilon;
    return st;
}

fm_status fm_dp_audit_judge(const fm_dp_observations *o, double delta, double confidence,
                            fm_rng *rng, fm_dp_audit_verdict *out)
{
    fm_dp_observations other = { 0 };
    fm_dp_audit_verdict v;
    fm_status st;

    if (!o || !rng || !out)
        return fm_fail(FM_EINVAL, "audit: missing argument");
    if ((st = fm_dp_observations_check(o)) != FM_OK ||
        (st = fm_dp_epsilon(&o->mechanism, 1, delta, &v.claimed)) != FM_OK ||
        (st = fm_dp_audit_bound_of(o, delta, confidence, &v.bound)) != FM_OK ||
        (st = fm_dp_observations_new(o->canaries, &o->mechanism, o->delta, &other)) != FM_OK)
        return st;
    if ((st = simulate_honest(&other, delta, confidence, rng, &v.honest)) == FM_OK &&
        (st = reckon_ceiling(&other, delta, confidence, &v.ceiling)) == FM_OK) {
        v.violated = v.bound.epsilon > v.claimed;
        *out = v;
    }
    fm_dp_observations_fini(&other);
    return st;
}
