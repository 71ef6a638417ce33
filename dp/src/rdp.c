/* From Renyi divergences to (epsilon, delta): the best order of a curve with one valley. */
#include <math.h>

#include "accountant_internal.h"
#include "valley.h"

#define ULP 2.3e-16
#define LOG_BETA_LO (-13.8) /* beta is alpha - 1 */
#define LOG_BETA_HI 34.5

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
static double objective(const void *ctx, double log_beta)
{
    const search *s = ctx;
    double alpha = 1.0 + exp(log_beta), beta = alpha - 1.0, k = 0.0, rest, value;

    for (size_t i = 0; i < s->count; i++) {
        if (s->m[i].count == 0)
            continue;
        k += (double)s->m[i].count * fm_dp_log_moment_of(&s->m[i], alpha);
    }
    k *= 1.0 + ((double)s->count + 4.0) * ULP;
    rest = beta * (log(beta) - log(alpha)) - log(alpha);
    value = isnan(s->epsilon) ? (k + rest - s->log_delta) / beta : k + rest - beta * s->epsilon;
    return value + 16.0 * ULP * fabs(value);
}

double fm_dp_rdp_epsilon(const fm_dp_mechanism *m, size_t count, double delta)
{
    search s = { .m = m, .count = count, .log_delta = log(delta), .epsilon = NAN };

    return fmax(0.0, fm_valley(objective, &s, LOG_BETA_LO, LOG_BETA_HI, 1.5, 1e-5, NULL));
}

double fm_dp_rdp_delta(const fm_dp_mechanism *m, size_t count, double epsilon)
{
    search s = { .m = m, .count = count, .epsilon = epsilon };

    return fmin(1.0, exp(fm_valley(objective, &s, LOG_BETA_LO, LOG_BETA_HI, 1.5, 1e-5, NULL)) *
                         (1.0 + 1e-12));
}
