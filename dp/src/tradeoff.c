/*
 * With d = delta(e), for every e >= 0 the power at alpha is at most d + e^e alpha, and at most
 * 1 - e^-e (1 - d - alpha): the two lines of slope e^e and e^-e that bound the region of error
 * rates. The least of all is the answer. In t = e^e the first is convex and the second quasiconvex,
 * so a search by sections finds it; where it stops short, what it found is still a bound.
 */
#include "fedmoe/dp/tradeoff.h"

#include <math.h>

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

static fm_status bound(const line *l, double e, double *out)
{
    fm_dp_cost cost;
    fm_status st = fm_dp_account_delta(l->account, NULL, e, &cost);

    if (st != FM_OK)
        return st;
    *out =
        l->steep ? cost.delta + exp(e) * l->alpha : 1.0 - exp(-e) * (1.0 - cost.delta - l->alpha);
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

static fm_status power(fm_dp_account *account, fm_dp_test *t)
{
    const line steep = { account, t->alpha, true }, flat = { account, t->alpha, false };
    double one = 1.0, other = 1.0, most = 0.0;
    fm_status st;

    if (!(t->alpha > 0.0 && t->alpha < 1.0))
        return fm_fail(FM_EINVAL, "alpha is %g, must be above 0 and below 1", t->alpha);
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
    fm_status st;

    if ((!m && count > 0) || (!tests && test_count > 0) || !guess)
        return fm_fail(FM_EINVAL, "fm_dp_tradeoff: NULL argument");
    if ((st = fm_dp_account_new(&account)) != FM_OK)
        return st;
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = fm_dp_account_add(account, &m[i]);
    for (size_t i = 0; st == FM_OK && i < test_count; i++)
        st = power(account, &tests[i]);
    if (st == FM_OK && (st = fm_dp_account_delta(account, NULL, 0.0, &cost)) == FM_OK)
        *guess = fmin(1.0, (1.0 + cost.delta) / 2.0);
    fm_dp_account_free(&account);
    return st;
}
