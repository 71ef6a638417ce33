/*
 * RDP of the sampled Gaussian, for any real order, as an upper bound.
 *
 * Adding or removing one unit compares mu = (1-q) N(0, z^2) + q N(1, z^2) with mu0 = N(0, z^2).
 * D_alpha(mu || mu0) >= D_alpha(mu0 || mu) (Mironov, Talwar, Zhang 2019, section 3), so the one
 * moment A = E_{mu0}[(mu/mu0)^alpha] covers both directions.
 *
 * With u = x/z standard normal, t = q (e^w - 1), w = u/z - 1/(2 z^2): A - 1 = E[g(t)], where
 * g(t) = (1+t)^alpha - 1 - alpha t, because E[t] = 0. g >= 0, so a sum over nodes loses no digits,
 * however small A - 1 is. The sum is the trapezoid rule on the whole line, whose error has a
 * bound (Trefethen, Weideman 2014, theorem 5.1): the integrand F is analytic in |Im u| < a for
 * a <= pi z (nearer, 1+t has no zero), and there |1+t| <= its value at Re u, so that
 * integral |F(u+ib)| du <= M = e^(a^2/2) (A + 1 + 2 alpha q); then
 * |sum - integral| <= 2 M / (e^(2 pi a/h) - 1).
 */
#include "fedmoe/dp/accountant.h"

#include <math.h>
#include <stdbool.h>

#include "accountant_internal.h"

#define TAIL 14.0          /* nodes reach this far beyond the outermost possible peaks */
#define EXACT_LOG_ERR 80.0 /* the trapezoid error is below 2 e^-80 times its M e^(-a^2/2) */
#define BEST_STRIP 12.6    /* a that makes h largest: sqrt(2 * EXACT_LOG_ERR) */
#define Z_QUADRATURE 0.02  /* below, nodes are too many and the convexity bound is near exact */
#define MAX_PEAK 1e4       /* alpha / z above which no optimum of practical use lies */
#define ULP 2.3e-16

static const double PI = 3.14159265358979323846;
static const double LOG_SQRT_2PI = 0.91893853320467274178;

/* A running log(sum(exp(.))). */
typedef struct {
    double top, sum;
} log_sum;

static void log_sum_add(log_sum *s, double v)
{
    if (v <= s->top) {
        if (v > s->top - 745.0)
            s->sum += exp(v - s->top);
    } else {
        s->sum = s->sum * exp(s->top - v) + 1.0;
        s->top = v;
    }
}

/* log(1 + q (e^w - 1)) without overflow. */
static double log_ratio(double q, double w)
{
    return w > 30.0 ? w + log(q + (1.0 - q) * exp(-w)) : log1p(q * expm1(w));
}

/* log((1+t)^alpha - 1 - alpha t), given t and L = log(1+t); never below, but for rounding. */
static double log_excess(double alpha, double t, double L)
{
    double beta = alpha - 1.0, scale = fabs(t) * (alpha > 2.0 ? alpha : 2.0);

    if (t == 0.0)
        return -INFINITY;
    if (scale <= 0.25) { /* binomial series from t^2 on; terms shrink by 4 or more */
        double term = 1.0, sum = 1.0;

        for (double k = 2.0; fabs(term) > 1e-17; k += 1.0) {
            term *= (alpha - k) / (k + 1.0) * t;
            sum += term;
        }
        return log(alpha * beta / 2.0 * sum) + 2.0 * log(fabs(t));
    }
    if (beta * L > 700.0)
        return alpha * L;
    /* (1+t) (e^(beta L) - 1) - beta t, and t/(1+t) = 1 - e^-L */
    return L + log(expm1(beta * L) + beta * expm1(-L));
}

/* A_alpha is convex in mu, so A <= (1-q) 1 + q exp(alpha (alpha-1) / (2 z^2)). */
static double moment_by_convexity(double z, double q, double alpha)
{
    double full = alpha * (alpha - 1.0) / (2.0 * z * z);

    return log_ratio(q, full) * (1.0 + 16.0 * ULP);
}

static double moment_by_quadrature(double z, double q, double alpha)
{
    double a = fmin(0.999 * PI * z, BEST_STRIP), h = 2.0 * PI * a / (EXACT_LOG_ERR + a * a / 2.0);
    double shift = 1.0 / (2.0 * z * z), log_kappa = log(2.0) - EXACT_LOG_ERR;
    double nodes = ceil((alpha / z + 2.0 * TAIL) / h) + 1.0, right = -TAIL + (nodes - 1.0) * h;
    double rounding, log_excess_mean;
    log_sum s = { .top = -INFINITY };

    for (double k = 0.0; k < nodes; k += 1.0) {
        double u = -TAIL + k * h, w = u / z - shift;
        double t = w > 700.0 ? INFINITY : q * expm1(w);

        log_sum_add(&s,
                    log(h) - LOG_SQRT_2PI - u * u / 2.0 + log_excess(alpha, t, log_ratio(q, w)));
    }
    /* Nodes that were left out. Left: g(t) <= g(-q). Right: F falls faster than e^(-TAIL u). */
    log_sum_add(&s,
                log_excess(alpha, -q, log1p(-q)) - LOG_SQRT_2PI - TAIL * TAIL / 2.0 - log(TAIL));
    log_sum_add(&s, alpha * log_ratio(q, right / z - shift) - LOG_SQRT_2PI - right * right / 2.0 -
                        log(TAIL));
    /* I <= sum + kappa (2 + 2 alpha q + I) */
    log_sum_add(&s, log_kappa + log(2.0 + 2.0 * alpha * q));
    rounding = ULP * (64.0 + nodes + 4.0 * (right * right + alpha * (right / z + shift)));
    log_excess_mean = s.top + log(s.sum) + log1p(rounding) - log1p(-exp(log_kappa));
    return log_excess_mean > 30.0 ? log_excess_mean + log1p(exp(-log_excess_mean))
                                  : log1p(exp(log_excess_mean));
}

double fm_dp_log_moment(double z, double q, double alpha)
{
    if (isinf(z))
        return 0.0;
    if (q >= 1.0) /* the Gaussian itself: closed form */
        return alpha * (alpha - 1.0) / (2.0 * z * z) * (1.0 + 8.0 * ULP);
    if (z < Z_QUADRATURE)
        return moment_by_convexity(z, q, alpha);
    if (alpha / z > MAX_PEAK)
        return INFINITY;
    return moment_by_quadrature(z, q, alpha) * (1.0 + 8.0 * ULP);
}

/* What is minimised over alpha, and its target: delta for an epsilon or epsilon for a delta. */
typedef struct {
    const fm_dp_mechanism *m;
    size_t count;
    double log_delta; /* used when epsilon is NaN */
    double epsilon;
} search;

/*
 * Canonne, Kamath, Steinke 2020, proposition 12: log delta = N(alpha) - (alpha-1) epsilon with
 * N = K + (alpha-1) log(1 - 1/alpha) - log(alpha). K is convex (a cumulant generating function)
 * and so is the rest, so N is: log delta is convex in alpha, and epsilon, a convex function over
 * alpha - 1, is quasi-convex. Either has one valley.
 */
static double objective(const search *s, double log_beta)
{
    double alpha = 1.0 + exp(log_beta), beta = alpha - 1.0, k = 0.0, rest, value;

    for (size_t i = 0; i < s->count; i++) {
        if (s->m[i].count == 0)
            continue;
        k += (double)s->m[i].count *
             fm_dp_log_moment(s->m[i].noise_multiplier, s->m[i].sampling_rate, alpha);
    }
    k *= 1.0 + ((double)s->count + 4.0) * ULP;
    rest = beta * (log(beta) - log(alpha)) - log(alpha);
    value = isnan(s->epsilon) ? (k + rest - s->log_delta) / beta : k + rest - beta * s->epsilon;
    return value + 16.0 * ULP * fabs(value);
}

/* Least value over log(alpha - 1): steps until it rises, then golden section. */
static double minimise(const search *s)
{
    const double golden = 0.61803398874989485, step = 1.5, first = -13.8, last = 34.5;
    double lo = first, mid = first, best = objective(s, first), hi, x1, x2, f1, f2;

    for (hi = mid + step; hi < last; hi += step) {
        double f = objective(s, hi);

        if (f >= best)
            break;
        best = f;
        lo = mid;
        mid = hi;
    }
    x1 = hi - golden * (hi - lo);
    x2 = lo + golden * (hi - lo);
    f1 = objective(s, x1);
    f2 = objective(s, x2);
    while (hi - lo > 1e-5) {
        best = fmin(best, fmin(f1, f2));
        if (f1 <= f2) {
            hi = x2;
            x2 = x1;
            f2 = f1;
            f1 = objective(s, x1 = hi - golden * (hi - lo));
        } else {
            lo = x1;
            x1 = x2;
            f1 = f2;
            f2 = objective(s, x2 = lo + golden * (hi - lo));
        }
    }
    return fmin(best, fmin(f1, f2));
}

static fm_status check(const fm_dp_mechanism *m, size_t count)
{
    if (!m && count > 0)
        return fm_fail(FM_EINVAL, "accountant: %zu mechanisms announced, none given", count);
    for (size_t i = 0; i < count; i++) {
        if (!(m[i].noise_multiplier > 0.0))
            return fm_fail(FM_EINVAL, "mechanism %zu: noise_multiplier is %g, must be above 0",
                           i + 1, m[i].noise_multiplier);
        if (!(m[i].sampling_rate > 0.0 && m[i].sampling_rate <= 1.0))
            return fm_fail(FM_EINVAL,
                           "mechanism %zu: sampling_rate is %g, must be above 0 and at most 1",
                           i + 1, m[i].sampling_rate);
    }
    return FM_OK;
}

static bool is_empty(const fm_dp_mechanism *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (m[i].count > 0 && !isinf(m[i].noise_multiplier))
            return false;
    return true;
}

fm_status fm_dp_epsilon(const fm_dp_mechanism *m, size_t count, double delta, double *epsilon)
{
    search s = { .m = m, .count = count, .epsilon = NAN };
    fm_status st = check(m, count);

    if (st != FM_OK)
        return st;
    if (!epsilon)
        return fm_fail(FM_EINVAL, "accountant: no place for epsilon");
    if (!(delta > 0.0 && delta < 1.0))
        return fm_fail(FM_EINVAL, "delta is %g, must be above 0 and below 1", delta);
    s.log_delta = log(delta);
    *epsilon = is_empty(m, count) ? 0.0 : fmax(0.0, minimise(&s));
    return FM_OK;
}

fm_status fm_dp_delta(const fm_dp_mechanism *m, size_t count, double epsilon, double *delta)
{
    search s = { .m = m, .count = count, .epsilon = epsilon };
    fm_status st = check(m, count);

    if (st != FM_OK)
        return st;
    if (!delta)
        return fm_fail(FM_EINVAL, "accountant: no place for delta");
    if (!(epsilon >= 0.0 && isfinite(epsilon)))
        return fm_fail(FM_EINVAL, "epsilon is %g, must be a finite number of at least 0", epsilon);
    *delta = is_empty(m, count) ? 0.0 : fmin(1.0, exp(minimise(&s)) * (1.0 + 1e-12));
    return FM_OK;
}
