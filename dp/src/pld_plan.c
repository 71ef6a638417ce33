/*
 * Tilt, window and grid of a composition, chosen by the sketches. What is chosen here decides how
 * tight an answer is, never whether it is a bound.
 */
#include <math.h>

#include "pld_internal.h"
#include "valley.h"

#define PRECISION 1e-5  /* of epsilon, what the grid may cost */
#define LARGE_LOG2N 18u /* from here on a little more */
#define LARGE_COST 3.0
#define ACCEPTED 7.0 /* and this at the finest grid */
#define OUTSIDE 25.0 /* a window leaves out e^-25, relative */
#define WRAPPED 32.0 /* and what wraps round from above is e^-32 */
#define TAIL_MARGIN 30.0
#define MIN_LOG2N 6u
#define MAX_TILT 2e5 /* lambda * epsilon: a steeper tilt says nothing more */
#define LOG_TILT_LO (-13.8)
#define LOG_TILT_HI 34.5

static const double PI = 3.14159265358979323846;

typedef struct {
    fm_pld_kind *const *kinds;
    size_t count;
    double margin;
    int way;
    double epsilon, log_delta; /* the one that is NaN is sought */
    double lambda, at_lambda;
} search;

/* K(lambda) = log E[e^(lambda loss)] of the composition, its mean and variance under the tilt. */
static double cumulant(const search *s, double lambda, double *mean, double *variance)
{
    double k = 0.0, m, v, e = fm_pld_exponent(s->way, lambda);

    if (mean)
        *mean = *variance = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        double n = (double)s->kinds[i]->m.count * s->margin;

        if (s->kinds[i]->m.count == 0)
            continue;
        k += n * fm_pld_sketch_moment(&s->kinds[i]->sketch, e, mean ? &m : NULL, mean ? &v : NULL);
        if (mean) {
            *mean += (s->way == FM_PLD_REMOVE ? n : -n) * m;
            *variance += n * v;
        }
    }
    return k;
}

/*
 * delta(epsilon) is an integral of exp(K(s) - s epsilon) / (s (s + 1)) along a line in the complex
 * plane; lambda is best where that line crosses its saddle point. There, and with what delta?
 */
static double saddle(const search *s, double log_lambda, double *epsilon)
{
    double l = exp(log_lambda), mean, variance, k = cumulant(s, l, &mean, &variance);

    *epsilon = mean - 1.0 / l - 1.0 / (l + 1.0);
    variance += 1.0 / (l * l) + 1.0 / ((l + 1.0) * (l + 1.0));
    return k - l * *epsilon - log_lambda - log1p(l) - 0.5 * log(2.0 * PI * variance);
}

/* Above which loss there is less than e^-OUTSIDE of delta. */
static double top(const void *ctx, double log_s)
{
    const search *s = ctx;
    double t = exp(log_s);

    return (cumulant(s, t, NULL, NULL) + OUTSIDE - s->log_delta) / t;
}

/* Minus the loss below which there is less than e^-OUTSIDE of the tilted mass. */
static double minus_bottom(const void *ctx, double log_t)
{
    const search *s = ctx;
    double t = exp(log_t);

    return (cumulant(s, s->lambda - t, NULL, NULL) - s->at_lambda + OUTSIDE) / t;
}

/* The loss above which there is less than e^-WRAPPED of the tilted mass. */
static double tilted_top(const void *ctx, double log_t)
{
    const search *s = ctx;
    double t = exp(log_t);

    return (cumulant(s, s->lambda + t, NULL, NULL) - s->at_lambda + WRAPPED) / t;
}

/* The saddle point's epsilon rises with lambda and its delta falls: bisection. */
static void choose_tilt(fm_pld_plan *p, search *s)
{
    double lo = LOG_TILT_LO, hi = LOG_TILT_HI, epsilon = 0.0, log_delta = 0.0;

    while (hi - lo > 0.02) {
        double mid = 0.5 * (lo + hi);

        log_delta = saddle(s, mid, &epsilon);
        if (isnan(s->epsilon) ? log_delta > s->log_delta : epsilon < s->epsilon)
            lo = mid;
        else
            hi = mid;
    }
    p->lambda[s->way] = exp(hi);
    p->epsilon[s->way] = isnan(s->epsilon) ? epsilon : s->epsilon;
    if (isnan(s->log_delta))
        s->log_delta = fmin(0.0, fmax(log_delta, log(1e-300)));
    p->log_delta[s->way] = s->log_delta;
}

/* A steeper tilt than the answer needs asks for a finer grid, in the way that matters less too. */
static void limit_tilts(fm_pld_plan *p)
{
    int most = p->epsilon[FM_PLD_ADD] > p->epsilon[FM_PLD_REMOVE] ? FM_PLD_ADD : FM_PLD_REMOVE;
    double epsilon = p->epsilon[most], other;

    if (!(epsilon > 0.0))
        return;
    p->lambda[most] = fmin(p->lambda[most], MAX_TILT / epsilon);
    other = fmax(4.0 * p->lambda[most], 4.0 * (OUTSIDE - p->log_delta[most]) / epsilon);
    p->lambda[!most] = fmin(p->lambda[!most], other);
}

static void choose_window(fm_pld_plan *p, search *s, double stretch)
{
    int way = s->way;
    double mean, variance, deviation, log_dev, at, lo, hi, wrap, l = p->lambda[way];

    s->lambda = l;
    s->log_delta = p->log_delta[way];
    s->at_lambda = cumulant(s, l, &mean, &variance);
    deviation = sqrt(variance) + 1e-12 * fabs(mean) + 1e-300;
    log_dev = log(deviation);
    hi = fm_valley(top, s, fmin(log(l), -log_dev), fmax(log(16.0 * l), log(12.0) - log_dev), 0.7,
                   0.05, &at);
    lo = -fm_valley(minus_bottom, s, -2.3 - log_dev, 2.5 - log_dev, 0.7, 0.05, NULL);
    p->s_top[way] = exp(at);
    lo = fmin(lo, fmin(mean, p->epsilon[way]) - deviation);
    hi = fmax(hi, fmax(mean, p->epsilon[way]) + deviation);
    /* Tilted mass above wraps round to the bottom: it must not reach epsilon. */
    wrap = fm_valley(tilted_top, s, -5.0 - log_dev, 2.5 - log_dev, 0.7, 0.05, NULL);
    hi = fmax(hi, wrap - (p->epsilon[way] - lo));
    p->top[way] = hi + (stretch - 1.0) * (hi - lo);
    p->bottom[way] = lo - (stretch - 1.0) * (hi - lo);
}

/* What a grid of width h adds to one way's epsilon, about. */
static double grid_cost(search *s, const fm_pld_plan *p, int way, double h)
{
    double rise = 0.0, e = fm_pld_exponent(way, p->lambda[way]);

    for (size_t i = 0; i < s->count; i++)
        if (s->kinds[i]->m.count > 0)
            rise += (double)s->kinds[i]->m.count * s->margin *
                    fm_pld_sketch_error(&s->kinds[i]->sketch, e, h);
    return isnan(rise) ? INFINITY : rise / p->lambda[way];
}

/* The cost over what is allowed, the worse way's: the way that matters less has room to spare. */
static double grid_excess(search *s, const fm_pld_plan *p, double scale)
{
    double most = fmax(p->epsilon[0], p->epsilon[1]), worst = 0.0;

    for (int way = 0; way < FM_PLD_WAYS; way++) {
        double allowed = fmax(PRECISION * scale, 0.3 * (most - fmax(0.0, p->epsilon[way])));

        worst = fmax(worst, grid_cost(s, p, way, p->h) / allowed);
    }
    return worst;
}

static void choose_grid(fm_pld_plan *p, search *s)
{
    double width = 0.0, scale = 0.0, excess;

    for (int way = 0; way < FM_PLD_WAYS; way++) {
        width = fmax(width, p->top[way] - p->bottom[way]);
        scale = fmax(scale, fm_pld_scale(p, way, p->epsilon[way]));
    }
    for (p->log2n = MIN_LOG2N;; p->log2n++) {
        p->h = width / (double)((1u << p->log2n) - 8u);
        excess = grid_excess(s, p, scale);
        if (excess <= (p->log2n < LARGE_LOG2N ? 1.0 : LARGE_COST) || p->log2n == FM_PLD_MAX_LOG2N)
            break;
    }
    p->fine = excess <= ACCEPTED;
    for (int way = 0; way < FM_PLD_WAYS; way++)
        p->start[way] = (int64_t)floor(p->bottom[way] / p->h) - 2;
}

static fm_status sketch_all(fm_pld_plan *p, const search *s, double log_delta)
{
    double total = 1.0;

    for (size_t i = 0; i < s->count; i++)
        total += (double)s->kinds[i]->m.count;
    p->tail = sqrt(2.0 * (TAIL_MARGIN - log_delta + log(total)));
    for (size_t i = 0; i < s->count; i++) {
        fm_pld_kind *k = s->kinds[i];
        fm_status st;

        fm_pld_sketch_fini(&k->sketch);
        k->sketched = false;
        if ((st = fm_pld_pair_init(&k->pair, &k->m, p->tail)) != FM_OK ||
            (st = fm_pld_sketch_init(&k->sketch, &k->pair)) != FM_OK)
            return st;
        k->sketched = true;
    }
    return FM_OK;
}

fm_status fm_pld_plan_make(fm_pld_plan *p, fm_pld_kind *const *kinds, size_t count,
                           const fm_pld_question *ask, double margin, double stretch)
{
    search s = { .kinds = kinds, .count = count, .margin = margin };
    fm_status st;

    *p = (fm_pld_plan){ 0 };
    if ((st = sketch_all(p, &s, fmax(log(1e-300), log(ask->delta)))) != FM_OK)
        return st;
    for (s.way = 0; s.way < FM_PLD_WAYS; s.way++) {
        s.epsilon = ask->epsilon;
        s.log_delta = isnan(ask->epsilon) ? log(ask->delta) : NAN;
        choose_tilt(p, &s);
    }
    limit_tilts(p);
    for (s.way = 0; s.way < FM_PLD_WAYS; s.way++)
        choose_window(p, &s, stretch);
    choose_grid(p, &s);
    if (!isfinite(p->h) || !(p->h > 0.0))
        return fm_fail(FM_EINVAL, "accountant: no grid fits losses of this size");
    return FM_OK;
}
