/*
 * With d = delta(e), for every e >= 0 the power at alpha is at most d + e^e alpha, and at most
 * 1 - e^-e (1 - d - alpha): the two lines of slope e^e and e^-e that bound the region of error
 * rates. The least of all is the answer. In t = e^e the first is convex and the second quasiconvex,
 * so a search by sections finds it; where it stops short, what it found is still a bound.
 */
#include "fedmoe/dp/tradeoff.h"

#include <math.h>

#include "accountant_internal.h"

#define GOLDEN 0.6180339887498949
#define NEAR 1e-4 /* in e: moves the bound by its square */
#define FIRST_E 0x1p-10
#define LAST_E 64.0
#define NOTHING 1e-14 /* a delta that moves no bound: beyond it both lines only get worse */

typedef struct {
    fm_dp_account *account;
    double alpha;
    bool steep; /* which of the two lines */
} line;

static double on_line(const line *l, double e, double delta)
{
    return l->steep ? delta + exp(e) * l->alpha : 1.0 - exp(-e) * (1.0 - delta - l->alpha);
}

static fm_status bound(const line *l, double e, double *out)
{
    fm_dp_cost cost;
    fm_status st = fm_dp_account_delta(l->account, NULL, e, &cost);

    if (st != FM_OK)
        return st;
    *out = on_line(l, e, cost.delta);
    return FM_OK;
}

/** Where to stop looking. Deltas far below that are not asked for: there accountants differ. */
static fm_status last_e(fm_dp_account *account, double alpha, double *out)
{
    fm_dp_cost cost = { .delta = 1.0 };
    fm_status st = FM_OK;
    double e = FIRST_E;

    while (e < LAST_E && (st = fm_dp_account_delta(account, NULL, e, &cost)) == FM_OK &&
           cost.delta > NOTHING * fmin(alpha, 1.0 - alpha))
        e *= 2.0;
    *out = e;
    return st;
}

/** The least over e in [0, most]. */
static fm_status least(const line *l, double most, double *out)
{
    double low = 0.0, high = most, a = high - GOLDEN * (high - low),
           b = low + GOLDEN * (high - low);
    double at_a = 1.0, at_b = 1.0, at_0 = 1.0;
    fm_status st;

    if ((st = bound(l, 0.0, &at_0)) != FM_OK || (st = bound(l, a, &at_a)) != FM_OK ||
        (st = bound(l, b, &at_b)) != FM_OK)
        return st;
    *out = fmin(at_0, fmin(at_a, at_b));
    while (high - low > NEAR) {
        if (at_a <= at_b) {
            high = b;
            b = a;
            at_b = at_a;
            a = high - GOLDEN * (high - low);
            st = bound(l, a, &at_a);
        } else {
            low = a;
            a = b;
            at_a = at_b;
            b = low + GOLDEN * (high - low);
            st = bound(l, b, &at_b);
        }
        if (st != FM_OK)
            return st;
        *out = fmin(*out, fmin(at_a, at_b));
    }
    return FM_OK;
}

/* ---- of what is sampled, where each delta is a composition ---- */

#define OCTAVE 16 /* points to twice the e: the bound is within some 1e-4 of the least */
#define LOWEST 0x1p-5
#define OCTAVES 11
#define POINTS (OCTAVES * OCTAVE + 1)

/* delta(e) at e = LOWEST 2^(k / OCTAVE), each asked for once, for all lines and tests. */
typedef struct {
    fm_dp_account *account;
    double delta[POINTS], at_0;
    bool known[POINTS];
} curve;

static double e_of(int k)
{
    return LOWEST * exp2((double)k / OCTAVE);
}

static fm_status ask(curve *c, int k, double *out)
{
    fm_dp_cost cost = { .delta = 1.0 };
    fm_status st = FM_OK;

    if (!c->known[k] && (st = fm_dp_account_delta(c->account, NULL, e_of(k), &cost)) == FM_OK) {
        c->delta[k] = cost.delta;
        c->known[k] = true;
    }
    *out = c->delta[k];
    return st;
}

/* One more point of the line; *best is where it is least so far. */
static fm_status look(curve *c, const line *l, int k, int *best, double *out)
{
    double delta = 1.0, v;
    const fm_status st = ask(c, k, &delta);

    if (st != FM_OK)
        return st;
    v = on_line(l, e_of(k), delta);
    if (v < *out) {
        *out = v;
        *best = k;
    }
    return FM_OK;
}

/* By octaves first, then around the best of them by ever smaller steps: there is one valley. */
static fm_status least_of(curve *c, const line *l, double *out)
{
    int best = 0, k = 0;
    double delta = 1.0;
    fm_status st;

    *out = on_line(l, 0.0, c->at_0);
    for (; k < POINTS; k += OCTAVE) {
        if ((st = look(c, l, k, &best, out)) != FM_OK || (st = ask(c, k, &delta)) != FM_OK)
            return st;
        if (delta <= NOTHING * fmin(l->alpha, 1.0 - l->alpha))
            break;
    }
    for (int step = OCTAVE / 2; step > 0; step /= 2) {
        const int from = best;

        if ((from >= step && (st = look(c, l, from - step, &best, out)) != FM_OK) ||
            (from + step < POINTS && from + step < k + OCTAVE &&
             (st = look(c, l, from + step, &best, out)) != FM_OK))
            return st;
    }
    return FM_OK;
}

static fm_status powers(fm_dp_account *account, fm_dp_test *tests, size_t count)
{
    curve c = { .account = account };
    fm_dp_cost cost = { .delta = 1.0 };
    fm_status st = fm_dp_account_delta(account, NULL, 0.0, &cost);

    c.at_0 = cost.delta;
    for (size_t i = 0; st == FM_OK && i < count; i++) {
        const line steep = { account, tests[i].alpha, true },
                   flat = { account, tests[i].alpha, false };
        double one = 1.0, other = 1.0;

        if ((st = least_of(&c, &steep, &one)) == FM_OK &&
            (st = least_of(&c, &flat, &other)) == FM_OK)
            tests[i].power = fmax(tests[i].alpha, fmin(1.0, fmin(one, other)));
    }
    return st;
}

/* ---- of Gaussians that are not sampled: together one Gaussian, and nothing to search ---- */

static double normal(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/* By halving; never below the quantile. */
static double quantile(double p)
{
    double low = -40.0, high = 40.0;

    for (int i = 0; i < 100; i++) {
        const double mid = (low + high) / 2.0;

        if (normal(mid) < p)
            low = mid;
        else
            high = mid;
    }
    return high;
}

/* @param mu  out: of the one Gaussian. @return false: they are not that. */
static bool is_gaussian(const fm_dp_mechanism *m, size_t count, double *mu)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        if (m[i].kind != FM_DP_GAUSSIAN || m[i].sampling_rate < 1.0 ||
            !(m[i].noise_multiplier > 0.0))
            return false;
        sum += (double)m[i].count / (m[i].noise_multiplier * m[i].noise_multiplier);
    }
    *mu = sqrt(sum) * (1.0 + 1e-12);
    return true;
}

static void gaussian_powers(double mu, fm_dp_test *tests, size_t count, double *guess)
{
    const double up = mu > 0.0 ? 1.0 + 1e-9 : 1.0; /* what erfc and the halving may be short of */

    for (size_t i = 0; i < count; i++)
        tests[i].power =
            mu > 0.0 ? fmin(1.0, normal(quantile(tests[i].alpha) + mu) * up) : tests[i].alpha;
    *guess = fmin(1.0, normal(mu / 2.0) * up);
}

/* ---- */

static fm_status check_alpha(const fm_dp_test *t)
{
    return t->alpha > 0.0 && t->alpha < 1.0
               ? FM_OK
               : fm_fail(FM_EINVAL, "alpha is %g, must be above 0 and below 1", t->alpha);
}

static fm_status power(fm_dp_account *account, fm_dp_test *t)
{
    const line steep = { account, t->alpha, true }, flat = { account, t->alpha, false };
    double one = 1.0, other = 1.0, most = 0.0;
    fm_status st;

    if ((st = last_e(account, t->alpha, &most)) != FM_OK ||
        (st = least(&steep, most, &one)) != FM_OK || (st = least(&flat, most, &other)) != FM_OK)
        return st;
    t->power = fmax(t->alpha, fmin(1.0, fmin(one, other)));
    return FM_OK;
}

fm_status fm_dp_tradeoff(const fm_dp_mechanism *m, size_t count, fm_dp_test *tests,
                         size_t test_count, double *guess)
{
    fm_dp_account *account = NULL;
    fm_dp_cost cost = { .delta = 1.0 };
    bool sampled = false;
    double mu = 0.0;
    fm_status st;

    if ((!m && count > 0) || (!tests && test_count > 0) || !guess)
        return fm_fail(FM_EINVAL, "fm_dp_tradeoff: NULL argument");
    for (size_t i = 0; i < test_count; i++)
        if ((st = check_alpha(&tests[i])) != FM_OK)
            return st;
    if ((st = fm_dp_check_mechanisms(m, count)) != FM_OK)
        return st;
    if (is_gaussian(m, count, &mu)) {
        gaussian_powers(mu, tests, test_count, guess);
        return FM_OK;
    }
    if ((st = fm_dp_account_new(&account)) != FM_OK)
        return st;
    for (size_t i = 0; st == FM_OK && i < count; i++) {
        sampled |= m[i].sampling_rate < 1.0;
        st = fm_dp_account_add(account, &m[i]);
    }
    if (st == FM_OK && sampled)
        st = powers(account, tests, test_count);
    for (size_t i = 0; st == FM_OK && !sampled && i < test_count; i++)
        st = power(account, &tests[i]);
    if (st == FM_OK && (st = fm_dp_account_delta(account, NULL, 0.0, &cost)) == FM_OK)
        *guess = fmin(1.0, (1.0 + cost.delta) / 2.0);
    fm_dp_account_free(&account);
    return st;
}
