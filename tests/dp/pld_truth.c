#include "pld_truth.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

#define MAX_POINTS 6000
#define SETTLED 1e-13

static const double PI_ = 3.14159265358979323846;

/* Outcomes of one mechanism: probability under P (the first of the pair) and loss. */
typedef struct {
    double *p, *loss;
    size_t n, cap;
    double count;
} outcomes;

static void put(outcomes *o, double p, double loss)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 4096;
        o->p = realloc(o->p, o->cap * sizeof *o->p);
        o->loss = realloc(o->loss, o->cap * sizeof *o->loss);
    }
    if (!o->p || !o->loss)
        abort();
    o->p[o->n] = p;
    o->loss[o->n++] = loss;
}

/* An outcome that Q0 and Q1 give with probability (or density times step) a and b. */
static void put_pair(outcomes *o, double q, int add, double a, double b)
{
    double mix = (1.0 - q) * a + q * b;

    if (a > 0.0 && mix > 0.0)
        put(o, add ? a : mix, add ? log(a / mix) : log(mix / a));
}

static void gaussian(outcomes *o, double z, double q, int add)
{
    double step = 0.1 * fmin(1.0, 2.0 * z);

    for (double u = -13.0; u < 13.0 + 1.0 / z; u += step)
        put_pair(o, q, add, step * exp(-u * u / 2.0) / sqrt(2.0 * PI_),
                 step * exp(-(u - 1.0 / z) * (u - 1.0 / z) / 2.0) / sqrt(2.0 * PI_));
}

static void laplace(outcomes *o, double b, double q, int add)
{
    int panels = 400; /* Simpson */

    put_pair(o, q, add, 0.5, 0.5 * exp(-1.0 / b));
    put_pair(o, q, add, 0.5 * exp(-1.0 / b), 0.5);
    for (int i = 0; i <= 2 * panels; i++) {
        double x = i / (2.0 * panels), w = i == 0 || i == 2 * panels ? 1.0 : i % 2 ? 4.0 : 2.0;

        w /= 6.0 * panels;
        put_pair(o, q, add, w * exp(-x / b) / (2.0 * b), w * exp(-(1.0 - x) / b) / (2.0 * b));
    }
}

static void discrete(outcomes *o, double z, double s, double q, int add)
{
    double sigma = z * s, norm = 0.0;

    for (double x = -ceil(14.0 * sigma); x <= 14.0 * sigma; x += 1.0)
        norm += exp(-x * x / (2.0 * sigma * sigma));
    for (double x = -ceil(14.0 * sigma); x <= 14.0 * sigma + s; x += 1.0)
        put_pair(o, q, add, exp(-x * x / (2.0 * sigma * sigma)) / norm,
                 exp(-(x - s) * (x - s) / (2.0 * sigma * sigma)) / norm);
}

/* What does not matter at a tilt of c: dropped, as each point of the line visits all the rest. */
static void thin(outcomes *o, size_t n, double c)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        size_t kept = 0;

        for (size_t j = 0; j < o[i].n; j++)
            sum += o[i].p[j] * exp(c * o[i].loss[j]);
        for (size_t j = 0; j < o[i].n; j++)
            if (o[i].p[j] * exp(c * o[i].loss[j]) > 1e-19 * sum) {
                o[i].p[kept] = o[i].p[j];
                o[i].loss[kept++] = o[i].loss[j];
            }
        o[i].n = kept;
    }
}

static double complex cumulant(const outcomes *o, size_t n, double complex s)
{
    double complex k = 0.0;

    for (size_t i = 0; i < n; i++) {
        double complex sum = 0.0;

        for (size_t j = 0; j < o[i].n; j++) {
            double size = o[i].p[j] * exp(creal(s) * o[i].loss[j]), turn = cimag(s) * o[i].loss[j];

            sum += size * cos(turn) + I * (size * sin(turn));
        }
        k += o[i].count * clog(sum);
    }
    return k;
}

static double exponent(const outcomes *o, size_t n, double c, double epsilon)
{
    return creal(cumulant(o, n, c)) - c * epsilon - log(c) - log1p(c);
}

/* The saddle point on the real axis: ternary search over log c. */
static double saddle(const outcomes *o, size_t n, double epsilon)
{
    double lo = -7.0, hi = 9.0;

    for (int i = 0; i < 24; i++) {
        double a = lo + (hi - lo) / 3.0, b = hi - (hi - lo) / 3.0;

        if (exponent(o, n, exp(b), epsilon) < exponent(o, n, exp(a), epsilon))
            lo = a;
        else
            hi = b; /* also when the larger one overflows */
    }
    return exp(lo);
}

/* Trapezoid rule along the line; halves the step until two results agree. `least` if below that. */
static double integral(outcomes *o, size_t n, double epsilon, double least)
{
    double c = saddle(o, n, epsilon), at = exponent(o, n, c, epsilon), e = 1e-3 * c;
    double curve =
        (exponent(o, n, c + e, epsilon) - 2.0 * at + exponent(o, n, c - e, epsilon)) / (e * e);
    double step = 0.5 / sqrt(fmax(curve, 1e-12)), before = NAN;

    if (at + log(c) + log1p(c) <= log(least)) /* Chernoff */
        return least;
    thin(o, n, c);
    for (int halving = 0; halving < 5; halving++, step *= 0.5) {
        double sum = 0.5;
        int quiet = 0, i;

        for (i = 1; i < MAX_POINTS && quiet < 40; i++) {
            double complex s = c + I * (i * step);
            double complex f = cexp(cumulant(o, n, s) - s * epsilon - clog(s) - clog(s + 1.0) - at);

            sum += creal(f);
            quiet = cabs(f) < SETTLED * fabs(sum) ? quiet + 1 : 0;
        }
        if (i == MAX_POINTS)
            return NAN;
        sum *= exp(at) * step / PI_;
        if (fabs(sum - before) < 1e-8 * sum)
            return sum;
        before = sum;
    }
    return NAN;
}

double pld_truth_delta(const fm_dp_mechanism *m, size_t count, double epsilon)
{
    double worst = 0.0;

    for (int add = 0; add < 2; add++) {
        outcomes *o = calloc(count, sizeof *o);
        double d;

        if (!o)
            abort();
        for (size_t i = 0; i < count; i++) {
            o[i].count = (double)m[i].count;
            if (m[i].kind == FM_DP_LAPLACE)
                laplace(&o[i], m[i].noise_multiplier, m[i].sampling_rate, add);
            else if (m[i].kind == FM_DP_DISCRETE_GAUSSIAN)
                discrete(&o[i], m[i].noise_multiplier, m[i].sensitivity, m[i].sampling_rate, add);
            else
                gaussian(&o[i], m[i].noise_multiplier, m[i].sampling_rate, add);
        }
        d = integral(o, count, epsilon, worst);
        worst = isnan(d) ? NAN : fmax(worst, d);
        for (size_t i = 0; i < count; i++) {
            free(o[i].p);
            free(o[i].loss);
        }
        free(o);
    }
    return worst;
}

/* log of the standard normal distribution's upper tail, to all digits. */
static double log_tail(double x)
{
    double sum = 0.0;

    if (x < 20.0)
        return log(0.5 * erfc(x / sqrt(2.0)));
    for (int k = 60; k >= 1; k--) /* continued fraction */
        sum = k / (x + sum);
    return -x * x / 2.0 - 0.5 * log(2.0 * PI_) - log(x + sum);
}

double pld_gaussian_delta(double mu, double epsilon)
{
    double a = log_tail(epsilon / mu - mu / 2.0), b = epsilon + log_tail(epsilon / mu + mu / 2.0);

    return -exp(a) * expm1(b - a);
}

double pld_gaussian_epsilon(double mu, double delta)
{
    double lo = 0.0, hi = mu * (mu + 80.0);

    for (int i = 0; i < 200; i++) {
        double mid = (lo + hi) / 2.0;

        if (pld_gaussian_delta(mu, mid) > delta)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}
