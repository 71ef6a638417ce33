/*
 * Composition by transforms. The base is the product of every kind's transform to its count, and
 * grows with the counts; an answer is one product more, one transform back, and a reading of
 * both ways. Gaussians without sampling are composed beforehand into one, which is exact:
 * 1/z^2 adds up.
 */
#include "pld.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "pld_internal.h"

#define KEPT_BYTES ((size_t)96 * 1024 * 1024) /* of transforms; beyond, they are made again */
#define ROOM 1.25                             /* counts that a kept plan is made for */
#define ATTEMPTS 4
#define MAX_COUNT 1e12
#define READING 1e-5 /* of epsilon, what the added terms may cost */
#define GRID 9e-5    /* and the grid, as measured */
#define ADDED 1e-3   /* of delta, where that is less */
#define WIDEST 4.0   /* a cell of losses, at most */
#define MOST 0.1     /* of delta in any case: beyond, epsilon is no longer in proportion */

struct fm_pld {
    bool keep, planned;
    fm_pld_kind **kinds;
    size_t count, cap;
    double precision;   /* sum of count / z^2 of the Gaussians without sampling */
    double merges;      /* how many terms it has: each addition rounds once */
    fm_pld_kind merged; /* all of them as one */
    double total;
    fm_pld_plan plan;
    fm_fft *fft;
    double *base[FM_PLD_WAYS], *work[FM_PLD_WAYS], *re, *im, *block;
};

static void drop_buffers(fm_pld *e)
{
    free(e->block);
    e->block = e->re = e->im = NULL;
    fm_fft_free(&e->fft);
}

fm_status fm_pld_new(bool keep, fm_pld **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof **out, &p);

    if (st == FM_OK) {
        *out = p;
        (*out)->keep = keep;
    }
    return st;
}

void fm_pld_free(fm_pld **e)
{
    if (!e || !*e)
        return;
    for (size_t i = 0; i < (*e)->count; i++) {
        fm_pld_kind_fini((*e)->kinds[i]);
        free((*e)->kinds[i]);
    }
    free((*e)->kinds);
    fm_pld_kind_fini(&(*e)->merged);
    drop_buffers(*e);
    free(*e);
    *e = NULL;
}

static bool merges(const fm_dp_mechanism *m)
{
    return m->kind == FM_DP_GAUSSIAN && m->sampling_rate >= 1.0;
}

/* The kind of m, made with count 0 if it is new. */
static fm_status find(fm_pld *e, const fm_dp_mechanism *m, fm_pld_kind **out)
{
    void *p = NULL;
    fm_status st;

    for (size_t i = 0; i < e->count; i++)
        if (fm_dp_same_kind(&e->kinds[i]->m, m)) {
            *out = e->kinds[i];
            return FM_OK;
        }
    if (e->count == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 8, bytes;

        if ((st = fm_mul_size(cap, sizeof(fm_pld_kind *), &bytes)) != FM_OK)
            return st;
        if (!(p = realloc(e->kinds, bytes)))
            return fm_fail(FM_ENOMEM, "accountant: no memory for %zu kinds of release", cap);
        e->kinds = p;
        e->cap = cap;
    }
    if ((st = fm_alloc(1, sizeof **out, &p)) != FM_OK)
        return st;
    *out = e->kinds[e->count++] = p;
    (*out)->m = *m;
    (*out)->m.count = 0;
    return FM_OK;
}

fm_status fm_pld_add(fm_pld *e, const fm_dp_mechanism *m)
{
    fm_pld_kind *k = NULL;
    fm_status st;

    if (m->count == 0 || isinf(m->noise_multiplier))
        return FM_OK;
    if (merges(m)) {
        e->precision += (double)m->count / (m->noise_multiplier * m->noise_multiplier);
        e->merges += 1.0;
    } else {
        if ((st = find(e, m, &k)) != FM_OK)
            return st;
        k->m.count += m->count;
    }
    e->total += (double)m->count;
    return FM_OK;
}

/* The merged Gaussian for this question; a little less noise than exact, for rounding. */
static void set_merged(fm_pld *e, const fm_dp_mechanism *more)
{
    double precision = e->precision, z;

    if (more && merges(more))
        precision += (double)more->count / (more->noise_multiplier * more->noise_multiplier);
    z = precision > 0.0 ? (1.0 - (e->merges + 64.0) * FM_PLD_UNIT) / sqrt(precision) : INFINITY;
    if (e->merged.m.noise_multiplier != z)
        e->merged.built = false;
    e->merged.m = (fm_dp_mechanism){ z, 1.0, precision > 0.0, FM_DP_GAUSSIAN, 0 };
}

static fm_status allocate(fm_pld *e)
{
    size_t n = (size_t)1 << e->plan.log2n, half = fm_pld_half(n);
    void *p = NULL;
    fm_status st;

    if (e->fft && e->block && fm_fft_length(e->fft) == n)
        return FM_OK;
    drop_buffers(e);
    if ((st = fm_fft_new(e->plan.log2n, &e->fft)) != FM_OK ||
        (st = fm_alloc(8 * half + 2 * n, sizeof(double), &p)) != FM_OK) {
        drop_buffers(e);
        return st;
    }
    e->block = e->re = p;
    e->im = e->re + n;
    for (int way = 0; way < FM_PLD_WAYS; way++) {
        e->base[way] = e->im + n + (size_t)(2 * way) * 2 * half;
        e->work[way] = e->base[way] + 2 * half;
    }
    return FM_OK;
}

static void forget(fm_pld_kind *k)
{
    for (int way = 0; way < FM_PLD_WAYS; way++) {
        free(k->spectrum[way]);
        k->spectrum[way] = NULL;
    }
    k->built = false;
    k->in_base = 0;
}

static fm_status replan(fm_pld *e, fm_pld_kind *extra, uint64_t count, const fm_pld_question *ask,
                        double margin, double stretch)
{
    fm_pld_kind **all = NULL;
    void *p = NULL;
    size_t half;
    fm_status st = fm_alloc(e->count + 1, sizeof(fm_pld_kind *), &p);

    if (st != FM_OK)
        return st;
    all = p;
    if (e->count > 0)
        memcpy(all, e->kinds, e->count * sizeof *all);
    for (size_t i = 0; i < e->count; i++)
        forget(all[i]);
    forget(&e->merged);
    all[e->count] = &e->merged;
    if (extra)
        extra->m.count += count;
    st = fm_pld_plan_make(&e->plan, all, e->count + (e->merged.m.count > 0), ask, margin, stretch);
    if (extra)
        extra->m.count -= count;
    free(all);
    if (st != FM_OK || (st = allocate(e)) != FM_OK)
        return st;
    half = fm_pld_half((size_t)1 << e->plan.log2n);
    for (int way = 0; way < FM_PLD_WAYS; way++)
        for (size_t i = 0; i < half; i++) {
            e->base[way][i] = 1.0;
            e->base[way][half + i] = 0.0;
        }
    e->planned = true;
    return FM_OK;
}

/* The kind's transform, made now unless it is there. */
static fm_status ensure(fm_pld *e, fm_pld_kind *k)
{
    fm_status st;

    if (k->built && k->spectrum[0])
        return FM_OK;
    if (!k->sketched || k == &e->merged) {
        fm_pld_sketch_fini(&k->sketch);
        if ((st = fm_pld_pair_init(&k->pair, &k->m, e->plan.tail)) != FM_OK ||
            (st = fm_pld_sketch_init(&k->sketch, &k->pair)) != FM_OK)
            return st;
        k->sketched = true;
    }
    return fm_pld_kind_build(k, &e->plan, e->fft, e->re, e->im);
}

static fm_status multiply(fm_pld *e, fm_pld_kind *k, uint64_t count, double *const *into)
{
    size_t half = fm_pld_half(fm_fft_length(e->fft));
    fm_status st = ensure(e, k);

    if (st != FM_OK)
        return st;
    for (int way = 0; way < FM_PLD_WAYS; way++)
        fm_pld_multiply(into[way], k->spectrum[way], half, count);
    return FM_OK;
}

static fm_status compose(fm_pld *e, fm_pld_kind *extra, uint64_t count)
{
    size_t n = fm_fft_length(e->fft), half = fm_pld_half(n);
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < e->count; i++) {
        fm_pld_kind *k = e->kinds[i];

        if (k->in_base == k->m.count)
            continue;
        if ((st = multiply(e, k, k->m.count - k->in_base, e->base)) == FM_OK)
            k->in_base = k->m.count;
        if (k != extra && (!e->keep || (e->count + 1) * 4 * half * sizeof(double) > KEPT_BYTES))
            for (int way = 0; way < FM_PLD_WAYS; way++) {
                free(k->spectrum[way]);
                k->spectrum[way] = NULL;
            }
    }
    for (int way = 0; way < FM_PLD_WAYS; way++)
        memcpy(e->work[way], e->base[way], 2 * half * sizeof(double));
    if (st == FM_OK && e->merged.m.count > 0)
        st = multiply(e, &e->merged, 1, e->work);
    if (st == FM_OK && extra && count > 0)
        st = multiply(e, extra, count, e->work);
    if (st != FM_OK)
        return st;
    fm_pld_pack(e->work[FM_PLD_REMOVE], e->work[FM_PLD_ADD], n, e->re, e->im);
    fm_fft_inverse(e->fft, e->re, e->im);
    for (size_t i = 0; i < n; i++) {
        e->re[i] /= (double)n;
        e->im[i] /= (double)n;
    }
    return FM_OK;
}

/* What the bounds of a composed distribution add up from. */
typedef struct {
    double log_moment, log_top, rise, lost, highest, slop, rounding, norms, least, count;
} sums;

static void add_sums(sums *s, const fm_pld_kind *k, int way, uint64_t count)
{
    double n = (double)count;

    if (count == 0)
        return;
    s->log_moment += n * k->log_moment[way];
    s->log_top += n * k->log_top[way];
    s->rise += n * k->rise[way];
    s->lost += n * k->lost[way];
    s->highest += n * k->highest[way];
    s->slop += n * k->slop;
    s->rounding += n * k->rounding;
    s->norms += n * hypot(k->norm[0], k->norm[1]);
    s->least = fmin(s->least, hypot(k->norm[0], k->norm[1]));
    s->count += n;
}

static sums add_up(const fm_pld *e, const fm_pld_kind *extra, uint64_t count, int way)
{
    sums s = { .least = 2.0 };

    for (size_t i = 0; i < e->count; i++)
        add_sums(&s, e->kinds[i], way, e->kinds[i]->m.count + (e->kinds[i] == extra ? count : 0));
    if (e->merged.m.count > 0)
        add_sums(&s, &e->merged, way, 1);
    return s;
}

static fm_pld_composed composed(const fm_pld *e, const sums *s, int way)
{
    size_t n = fm_fft_length(e->fft);
    double eta = fm_fft_error(e->fft);
    double top = (double)(e->plan.start[way] + (int64_t)n - 1) * e->plan.h;
    double above = s->highest <= top ? 0.0 : exp(fmin(0.0, s->log_top - e->plan.s_top[way] * top));

    return (fm_pld_composed){
        .p = way == FM_PLD_REMOVE ? e->re : e->im,
        .n = n,
        .start = e->plan.start[way],
        .h = e->plan.h,
        .lambda = e->plan.lambda[way],
        .log_moment = s->log_moment,
        .rounding = s->rounding,
        .noise = eta * s->norms + (8.0 * FM_PLD_UNIT * s->count + eta) * s->least,
        .fixed = (s->lost + above) * (1.0 + 1e-12),
        .slop = s->slop,
    };
}

/* What stands between an answer and a good one. */
typedef struct {
    bool good, window, grid;
} verdict;

static verdict judge(const fm_pld *e, const fm_pld_reading *r, const sums *s, int way,
                     double epsilon, bool of_delta)
{
    double lambda = fmin(e->plan.lambda[way], r->slope);
    double scale = fm_pld_scale(&e->plan, way, epsilon);
    /* What is added, relative to delta: worth so much of epsilon; of a delta little by itself. */
    double added = fmin(lambda * READING * scale, of_delta ? ADDED : MOST);
    verdict v = { .window = !r->inside || !(r->fixed <= added),
                  .grid = !(s->rise / lambda <= GRID * scale) };

    if (r->value <= 0.0) /* nothing is below zero */
        v.window = false;
    v.good = !v.window && !v.grid && r->added <= 2.0 * added;
    return v;
}

static verdict read_both(const fm_pld *e, const fm_pld_kind *extra, uint64_t count,
                         const fm_pld_question *ask, fm_pld_answer *out)
{
    bool wants_epsilon = isnan(ask->epsilon);
    verdict worst = { .good = true };

    out->value = 0.0;
    for (int way = 0; way < FM_PLD_WAYS; way++) {
        sums s = add_up(e, extra, count, way);
        fm_pld_composed c = composed(e, &s, way);
        fm_pld_reading r = wants_epsilon ? fm_pld_read_epsilon(&c, ask->delta)
                                         : fm_pld_read_delta(&c, ask->epsilon);

        /* Cells that wide leave nothing of the shape, and no grid lessens a moment: no answer. */
        if (e->plan.h > WIDEST || !(s.rise >= -1e-6)) {
            r.value = wants_epsilon ? INFINITY : 1.0;
            r.inside = false;
        }
        if (way > 0 && r.value <= out->value)
            continue; /* never so for NaN */
        worst = judge(e, &r, &s, way, wants_epsilon ? r.value : ask->epsilon, !wants_epsilon);
        out->value = fmax(0.0, r.value);
    }
    return worst;
}

static bool can_say(const fm_pld *e, const fm_dp_mechanism *more)
{
    if (e->total + (more ? (double)more->count : 0.0) > MAX_COUNT)
        return false;
    if ((more && !merges(more) && more->noise_multiplier < FM_PLD_MIN_Z) ||
        (e->merged.m.count > 0 && e->merged.m.noise_multiplier < FM_PLD_MIN_Z))
        return false;
    for (size_t i = 0; i < e->count; i++)
        if (e->kinds[i]->m.count > 0 && e->kinds[i]->m.noise_multiplier < FM_PLD_MIN_Z)
            return false;
    return true;
}

static fm_status attempt_all(fm_pld *e, fm_pld_kind *extra, uint64_t count,
                             const fm_pld_question *ask, fm_pld_answer *out)
{
    double margin = e->keep ? ROOM : 1.0, stretch = 1.0, best;
    verdict v;
    fm_status st;

    for (int i = 0; i < ATTEMPTS; i++) {
        bool fresh = !e->planned;

        if (fresh && (st = replan(e, extra, count, ask, margin, stretch)) != FM_OK)
            return st;
        if ((st = compose(e, extra, count)) != FM_OK)
            return st;
        best = out->value;
        v = read_both(e, extra, count, ask, out);
        out->value = fmin(best, out->value);
        out->tight = v.good;
        if (v.good || (fresh && !v.window && (!v.grid || !e->plan.fine)))
            return FM_OK;
        e->planned = false;
        if (fresh && v.window)
            stretch *= 1.5;
        if (fresh && v.grid)
            margin *= 2.0;
    }
    return FM_OK;
}

fm_status fm_pld_ask(fm_pld *e, const fm_dp_mechanism *more, double epsilon, double delta,
                     double hint, fm_pld_answer *out)
{
    fm_pld_question ask = { .epsilon = epsilon, .delta = isnan(delta) ? hint : delta };
    fm_pld_kind *extra = NULL;
    fm_status st = FM_OK;

    *out = (fm_pld_answer){ .value = isnan(epsilon) ? INFINITY : 1.0 };
    if (more && (more->count == 0 || isinf(more->noise_multiplier)))
        more = NULL;
    set_merged(e, more);
    if (!can_say(e, more))
        return FM_OK;
    if (more && !merges(more) && (st = find(e, more, &extra)) != FM_OK)
        return st;
    st = attempt_all(e, extra, extra ? more->count : 0, &ask, out);
    if (st != FM_OK)
        e->planned = false;
    return st == FM_EINVAL ? FM_OK : st; /* no grid fits: what there is to say is not much */
}
