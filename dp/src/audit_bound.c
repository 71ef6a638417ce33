/* From scores and coins to a lower bound on epsilon. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit_internal.h"
#include "fedmoe/base/memory.h"

#define MIN_GUESSES 16u /* fewer cannot show anything, however right they are */
#define EPSILON_MAX 64.0
#define BISECTIONS 50
/* What rounding may take off a p-value, relative: the exponents are below 1e5, and lgamma leaves
 * 1e-14 of them. */
#define ROUNDING 1e-8

/* log of n choose k, for all k. */
static void log_choose(uint32_t n, double *out)
{
    int sign;
    double whole = lgamma_r(n + 1.0, &sign);

    for (uint32_t k = 0; k <= n; k++)
        out[k] = whole - lgamma_r(k + 1.0, &sign) - lgamma_r(n - k + 1.0, &sign);
}

/* P[Binomial(r, 1 / (1 + e^-epsilon)) = k]. */
static double mass(const double *choose, uint32_t r, uint32_t k, double log_right, double log_wrong)
{
    return exp(choose[k] + k * log_right + (r - k) * log_wrong);
}

static double p_value(const double *choose, uint32_t m, uint32_t r, uint32_t v, double epsilon,
                      double delta)
{
    double log_right = -log1p(exp(-epsilon)), log_wrong = log_right - epsilon;
    double tail = 0.0, below = 0.0, alpha = 0.0;

    for (uint32_t k = r + 1; k-- > v;) /* the smallest first */
        tail += mass(choose, r, k, log_right, log_wrong);
    for (uint32_t i = 1; delta > 0.0 && i <= v; i++) {
        below += mass(choose, r, v - i, log_right, log_wrong);
        alpha = fmax(alpha, below / i);
        if (1.0 / (i + 1) <= alpha) /* no later one can be larger: below is at most 1 */
            break;
    }
    return fmin((tail + 2.0 * m * delta * alpha) * (1.0 + ROUNDING), 1.0);
}

fm_status fm_dp_audit_p_value(uint32_t m, uint32_t r, uint32_t v, double epsilon, double delta,
                              double *p)
{
    void *choose = NULL;
    fm_status st;

    if (!p || m < 1 || m > FM_DP_AUDIT_MAX_CANARIES || r < 1 || r > m || v > r)
        return fm_fail(FM_EINVAL,
                       "audit: there must be 1 to %u canaries, at most as many guesses, "
                       "and at most as many of them right",
                       FM_DP_AUDIT_MAX_CANARIES);
    if (!(epsilon >= 0.0) || !isfinite(epsilon) || !(delta >= 0.0 && delta <= 1.0))
        return fm_fail(FM_EINVAL, "audit: epsilon must be 0 or more, delta 0 to 1");
    if ((st = fm_alloc((size_t)r + 1, sizeof(double), &choose)) != FM_OK)
        return st;
    log_choose(r, choose);
    *p = p_value(choose, m, r, v, epsilon, delta);
    free(choose);
    return FM_OK;
}

/* The largest epsilon that is rejected at `level`; 0 when none is. Any that is rejected is a valid
 * bound: a mechanism that is DP at a smaller epsilon is so at every larger one too. */
static double rejected(const double *choose, uint32_t m, uint32_t r, uint32_t v, double delta,
                       double level)
{
    double lo = 0.0, hi = EPSILON_MAX;

    if (!(p_value(choose, m, r, v, 0.0, delta) <= level))
        return 0.0;
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = 0.5 * (lo + hi);

        if (p_value(choose, m, r, v, mid, delta) <= level)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

typedef struct {
    double score;
    uint32_t canary;
} ranked;

/* Highest first; equal scores by number, which knows nothing of the coins. */
static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->canary < y->canary ? -1 : x->canary > y->canary;
}

/* Whether the coins of the ranked canaries are heads, as sums: heads[k] of the k highest. */
static fm_status count_heads(const fm_dp_observations *o, uint32_t **out)
{
    ranked *order = NULL;
    uint32_t *heads = NULL;
    void *p = NULL;
    fm_status st;

    if ((st = fm_alloc(o->canaries, sizeof *order, &p)) != FM_OK)
        return st;
    order = p;
    if ((st = fm_alloc((size_t)o->canaries + 1, sizeof *heads, &p)) == FM_OK) {
        heads = p;
        for (uint32_t i = 0; i < o->canaries; i++)
            order[i] = (ranked){ o->scores[i], i };
        qsort(order, o->canaries, sizeof *order, by_score);
        for (uint32_t i = 0; i < o->canaries; i++)
            heads[i + 1] = heads[i] + o->included[order[i].canary];
        *out = heads;
    }
    free(order);
    return st;
}

static uint32_t count_sets(uint32_t m)
{
    uint32_t sets = 0;

    for (uint32_t r = m; r >= MIN_GUESSES; r /= 2)
        sets += r <= m / 2 ? 2 : 1;
    return sets;
}

static void try_set(const double *choose, const fm_dp_observations *o, double delta, double level,
                    uint32_t r, uint32_t v, fm_dp_audit_bound *best)
{
    double epsilon = rejected(choose, o->canaries, r, v, delta, level);

    if (epsilon > best->epsilon || best->guesses == 0)
        *best = (fm_dp_audit_bound){ epsilon, r, v };
}

static void try_sets(const fm_dp_observations *o, const uint32_t *heads, double *choose,
                     double delta, double confidence, fm_dp_audit_bound *best)
{
    uint32_t m = o->canaries;
    double level = (1.0 - confidence) / count_sets(m);

    for (uint32_t r = m; r >= MIN_GUESSES; r /= 2) {
        uint32_t high = r / 2, low = r - high;
        uint32_t tails = low - (heads[m] - heads[m - low]);

        log_choose(r, choose);
        try_set(choose, o, delta, level, r, heads[high] + tails, best);
        if (r <= m / 2)
            try_set(choose, o, delta, level, r, heads[r], best);
    }
}

fm_status fm_dp_audit_bound_of(const fm_dp_observations *o, double delta, double confidence,
                               fm_dp_audit_bound *out)
{
    fm_dp_audit_bound best = { 0 };
    uint32_t *heads = NULL;
    void *choose = NULL;
    fm_status st;

    if (!o || !out || !(delta >= 0.0 && delta <= 1.0) || !(confidence > 0.0 && confidence < 1.0))
        return fm_fail(FM_EINVAL, "audit: delta must be 0 to 1, confidence above 0 and below 1");
    if ((st = fm_dp_observations_check(o)) != FM_OK ||
        (st = fm_alloc((size_t)o->canaries + 1, sizeof(double), &choose)) != FM_OK)
        return st;
    if ((st = count_heads(o, &heads)) == FM_OK) {
        try_sets(o, heads, choose, delta, confidence, &best);
        *out = best;
    }
    free(heads);
    free(choose);
    return st;
}
