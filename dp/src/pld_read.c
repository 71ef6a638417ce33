/*
 * Epsilon and delta of a composed distribution. With p the tilted masses,
 *
 *   delta(x) = M e^(-lambda x) sum over x_i > x of p_i e^(-lambda (x_i - x)) (1 - e^(x - x_i)),
 *
 * summed from the top down by a recursion of positive terms. Between grid points delta is linear
 * in e^x. The transform's error has L2 norm `noise`, so by Cauchy and Schwarz it moves the sum by
 * at most noise * |g|, g the weights; it is added, as is everything else that is not exact.
 */
#include <math.h>

#include "pld_internal.h"

typedef struct {
    const fm_pld_composed *c;
    double decay, unit, per_e, noise, relative; /* constants of the recursion */
    size_t at;                                  /* grid point: the start-th plus at */
    double sum;                                 /* of p_i e^(-lambda (x_i - x)), i from at on */
    double d, above;                            /* the sum of the formula here, and at the next */
} scan;

static double place(const scan *s, size_t at)
{
    return (double)(s->c->start + (int64_t)at) * s->c->h;
}

static double mass(const scan *s, size_t at)
{
    double p = s->c->p[(uint64_t)(s->c->start + (int64_t)at) & (s->c->n - 1)];

    return p > 0.0 ? p : 0.0; /* true masses are never negative: this only comes nearer */
}

static scan scan_from_top(const fm_pld_composed *c)
{
    double l = c->lambda, weights = 1.0 / (2.0 * c->h * l * (l + 1.0) * (2.0 * l + 1.0)) +
                                    1.0 / ((l + 1.0) * (l + 1.0));
    scan s = { .c = c,
               .decay = exp(-l * c->h),
               .unit = -expm1(-c->h),
               .per_e = exp(-c->h),
               .noise = c->noise * sqrt(fmin(weights, (double)c->n)),
               .relative = exp(c->rounding + 8.0 * FM_PLD_UNIT * (double)c->n),
               .at = c->n - 1 };

    s.sum = mass(&s, s.at);
    return s;
}

static void step_down(scan *s)
{
    s->above = s->d;
    s->d = s->decay * (s->unit * s->sum + s->per_e * s->d);
    s->at--;
    s->sum = mass(s, s->at) + s->decay * s->sum;
}

/* log of M e^(-lambda x) at the current grid point. */
static double log_scale(const scan *s)
{
    return s->c->log_moment - s->c->lambda * place(s, s->at);
}

static void fill_reading(const scan *s, double log_delta, fm_pld_reading *r)
{
    double fixed = s->c->fixed > 0.0 ? s->c->fixed * exp(-log_delta) : 0.0;

    r->fixed = fixed;
    r->slope = s->d > 0.0 ? fmax(0.0, s->sum - s->d) / s->d : 0.0; /* e^x Q(loss > x) / delta */
    r->added = fixed + s->noise * exp(fmin(700.0, log_scale(s) - log_delta)) + s->relative - 1.0;
}

/* A bound that is not a number says nothing. */
static bool is_sound(const scan *s)
{
    double sum = 0.0;

    for (size_t i = 0; i < s->c->n; i++)
        sum += s->c->p[i];
    return isfinite(sum) && isfinite(s->c->log_moment) && isfinite(s->noise) &&
           isfinite(s->relative) && isfinite(s->c->fixed) && isfinite(s->c->slop);
}

fm_pld_reading fm_pld_read_epsilon(const fm_pld_composed *c, double delta)
{
    fm_pld_reading r = { .value = INFINITY, .added = INFINITY, .fixed = INFINITY };
    scan s = scan_from_top(c);
    double target = delta - c->fixed, threshold = 0.0, below, d, theta;
    bool crossed;

    if (!(target > 0.0) || !is_sound(&s))
        return r;
    for (;; step_down(&s)) {
        size_t down = c->n - 1 - s.at;

        threshold =
            down % 64 == 0 ? exp(fmin(700.0, log(target) - log_scale(&s))) : threshold * s.decay;
        crossed = s.relative * s.d + s.noise > threshold;
        if (crossed || s.at == 0)
            break;
    }
    fill_reading(&s, log(delta), &r);
    r.value = place(&s, s.at) + c->slop;
    r.inside = s.at > 0 && s.at < c->n - 1;
    if (s.at == c->n - 1) /* the window is too low to say anything */
        r.value = INFINITY;
    if (s.at == c->n - 1 || !crossed) /* all of the window is below delta: its bottom is a bound */
        return r;
    /* Also in the lowest cell: what lies below the window does not matter above its bottom.
     * e^x falls from 1 to e^-h times its value at the next point, as delta rises. */
    d = s.relative * s.d;
    below = s.relative * s.above * s.decay;
    theta = (threshold - s.noise - below) / (d - below);
    theta = fmin(1.0, fmax(0.0, theta));
    r.value = place(&s, s.at + 1) + log1p(-theta * s.unit) + c->slop;
    return r;
}

fm_pld_reading fm_pld_read_delta(const fm_pld_composed *c, double epsilon)
{
    fm_pld_reading r = { .value = 1.0, .added = INFINITY, .fixed = INFINITY };
    scan s = scan_from_top(c);
    double x = epsilon - c->slop, theta, d, log_delta;

    if (!(x >= place(&s, 0) && x < place(&s, c->n - 1)) || !is_sound(&s))
        return r;
    while (place(&s, s.at) > x)
        step_down(&s);
    theta = -expm1(x - place(&s, s.at + 1)) / s.unit;
    d = s.above * s.decay + theta * fmax(0.0, s.d - s.above * s.decay);
    log_delta = log_scale(&s) + log(s.relative * d + s.noise);
    r.value = fmin(1.0, exp(log_delta) * (1.0 + 1e-13) + c->fixed);
    r.inside = true;
    fill_reading(&s, fmax(log_delta, log(r.value)), &r);
    return r;
}
