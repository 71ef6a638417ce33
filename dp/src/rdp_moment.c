/*
 * RDP of the sampled mechanisms, for any real order, as an upper bound. First the Gaussian.
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
#include <math.h>

#include "accountant_internal.h"

#define TAIL 14.0          /* nodes reach this far beyond the outermost possible peaks */
#define EXACT_LOG_ERR 80.0 /* the trapezoid error is below 2 e^-80 times its M e^(-a^2/2) */
#define BEST_STRIP 12.6    /* a that makes h largest: sqrt(2 * EXACT_LOG_ERR) */
#define Z_QUADRATURE 0.02  /* below, nodes are too many and the convexity bound is near exact */
#define MAX_PEAK 1e4       /* alpha / z above which no optimum of practical use lies */
#define MAX_PIECES 4000.0
#define MAX_ATOMS 16384.0
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

/* A_alpha is convex in mu, so A <= (1-q) 1 + q A_full; `full` is log A_full. */
static double moment_by_convexity(double q, double full)
{
    return log_ratio(q, full) * (1.0 + 16.0 * ULP);
}

/* log(1 + e^x) */
static double moment_of_excess(double x)
{
    return x > 30.0 ? x + log1p(exp(-x)) : log1p(exp(x));
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
    return moment_of_excess(log_excess_mean);
}

double fm_dp_log_moment(double z, double q, double alpha)
{
    if (isinf(z))
        return 0.0;
    if (q >= 1.0) /* the Gaussian itself: closed form */
        return alpha * (alpha - 1.0) / (2.0 * z * z) * (1.0 + 8.0 * ULP);
    if (z < Z_QUADRATURE)
        return moment_by_convexity(q, alpha * (alpha - 1.0) / (2.0 * z * z));
    if (alpha / z > MAX_PEAK)
        return INFINITY;
    return moment_by_quadrature(z, q, alpha) * (1.0 + 8.0 * ULP);
}

/*
 * Laplace: closed form without sampling. With it, A - 1 = E[g(t)] as above: two atoms, and between
 * them v = log(Q1/Q0) in (-1/b, 1/b) of density e^(-(v + 1/b)/2) / 4 under Q0, by Gauss-Legendre on
 * pieces so short that five nodes are exact to 1e-15. Mironov's proof of which direction counts needs
 * only the involution x -> 1 - x that swaps Q0 and Q1, which the Laplace pair has too.
 */
static double laplace_full(double b, double alpha)
{
    double up = log(alpha) - log(2.0 * alpha - 1.0) + (alpha - 1.0) / b;
    double down = log(alpha - 1.0) - log(2.0 * alpha - 1.0) - alpha / b;

    return up + log1p(exp(down - up));
}

static double laplace_moment(double b, double q, double alpha)
{
    static const double x[] = { 0.046910077030668004, 0.23076534494715845, 0.5, 0.76923465505284155,
                                0.953089922969332 };
    static const double w[] = { 0.11846344252809454, 0.23931433524968324, 0.28444444444444444,
                                0.23931433524968324, 0.11846344252809454 };
    double pieces = ceil(2.0 / b * (alpha + 2.0) / 0.25), width = 2.0 / b / pieces;
    log_sum s = { .top = -INFINITY };

    if (pieces > MAX_PIECES)
        return moment_by_convexity(q, laplace_full(b, alpha));
    for (double k = 0.0; k < pieces; k += 1.0)
        for (int i = 0; i < 5; i++) {
            double v = -1.0 / b + (k + x[i]) * width;

            log_sum_add(&s, log(width * w[i] / 4.0) - (v + 1.0 / b) / 2.0 +
                                log_excess(alpha, q * expm1(v), log_ratio(q, v)));
        }
    log_sum_add(&s, -log(2.0) + log_excess(alpha, q * expm1(-1.0 / b), log_ratio(q, -1.0 / b)));
    if (1.0 / b < 700.0)
        log_sum_add(&s, -log(2.0) - 1.0 / b +
                            log_excess(alpha, q * expm1(1.0 / b), log_ratio(q, 1.0 / b)));
    else
        log_sum_add(&s, -log(2.0) - 1.0 / b + alpha * log_ratio(q, 1.0 / b));
    return moment_of_excess(s.top + log(s.sum) + ULP * (64.0 + 8.0 * (pieces + alpha / b))) *
           (1.0 + 8.0 * ULP);
}

/* log E[g(t)] over atoms lo..hi of the discrete Gaussian; `log_norm` may be a lower bound. */
static double discrete_sum(const fm_dp_mechanism *m, double alpha, double lo, double hi)
{
    double s = m->sensitivity, var = m->noise_multiplier * s * m->noise_multiplier * s;
    double q = m->sampling_rate, norm = 0.0;
    log_sum sum = { .top = -INFINITY };

    for (double x = hi; x >= lo; x -= 1.0) {
        double v = s * (2.0 * x - s) / (2.0 * var), t = v > 700.0 ? INFINITY : q * expm1(v);

        log_sum_add(&sum, -x * x / (2.0 * var) + log_excess(alpha, t, log_ratio(q, v)));
    }
    for (double x = ceil(12.0 * sqrt(var)); x >= 1.0; x -= 1.0)
        norm += 2.0 * exp(-x * x / (2.0 * var));
    return sum.top + log(sum.sum) - log1p(norm);
}

/*
 * Discrete Gaussian of standard deviation sigma = z * sensitivity lattice steps: the sum over the
 * lattice. Without sampling the Gaussian's moment bounds it (Canonne, Kamath, Steinke 2020, theorem 4
 * and proposition 5), and with many atoms convexity then bounds the sampled one.
 */
static double discrete_moment(const fm_dp_mechanism *m, double alpha)
{
    double z = m->noise_multiplier, q = m->sampling_rate, s = m->sensitivity, sigma = z * s;
    double full = alpha * (alpha - 1.0) / (2.0 * z * z), below, above, lo, hi, tail;

    if (q >= 1.0)
        return full * (1.0 + 8.0 * ULP);
    lo = -ceil(TAIL * sigma) - 1.0;
    hi = ceil(alpha * s + TAIL * sigma) + 1.0;
    if (hi - lo > MAX_ATOMS)
        return moment_by_convexity(q, full);
    /* Beyond: g(t) <= g(-q) on the left; on the right the terms fall by e^(-TAIL / sigma) or more. */
    below = log_excess(alpha, -q, log1p(-q)) - TAIL * TAIL / 2.0 - log(-expm1(-TAIL / sigma));
    above = alpha * log_ratio(q, s * (2.0 * hi - s) / (2.0 * sigma * sigma)) -
            hi * hi / (2.0 * sigma * sigma) - log(-expm1(-TAIL / sigma));
    tail = fmax(below, above) + log(2.0);
    full = discrete_sum(m, alpha, lo, hi);
    full = fmax(full, tail) + log1p(exp(-fabs(full - tail)));
    return moment_of_excess(full +
                            ULP * (64.0 + 8.0 * (hi - lo) + 4.0 * hi * hi / (sigma * sigma))) *
           (1.0 + 8.0 * ULP);
}

double fm_dp_log_moment_of(const fm_dp_mechanism *m, double alpha)
{
    if (isinf(m->noise_multiplier))
        return 0.0;
    if (m->kind == FM_DP_LAPLACE)
        return m->sampling_rate >= 1.0
                   ? laplace_full(m->noise_multiplier, alpha) * (1.0 + 8.0 * ULP) + 4.0 * ULP
                   : laplace_moment(m->noise_multiplier, m->sampling_rate, alpha);
    if (m->kind == FM_DP_DISCRETE_GAUSSIAN)
        return discrete_moment(m, alpha);
    return fm_dp_log_moment(m->noise_multiplier, m->sampling_rate, alpha);
}
