/* The noise that a budget asks for: bisection that only ever returns the safe end. */
#include <math.h>

#include "accountant_internal.h"

#define Z_MIN 1e-3
#define Z_MAX 1e9
#define PRECISION 2e-5 /* relative; the contract asks for 1e-4 */

static fm_status check(double epsilon, double delta, double sampling_rate, uint64_t rounds)
{
    if (!(epsilon > 0.0 && isfinite(epsilon)))
        return fm_fail(FM_EINVAL, "epsilon is %g, must be a finite number above 0", epsilon);
    if (!(delta > 0.0 && delta < 1.0))
        return fm_fail(FM_EINVAL, "delta is %g, must be above 0 and below 1", delta);
    if (!(sampling_rate > 0.0 && sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL, "sampling_rate is %g, must be above 0 and at most 1",
                       sampling_rate);
    if (rounds == 0)
        return fm_fail(FM_EINVAL, "rounds is 0, must be at least 1");
    return FM_OK;
}

/* The cost at one noise multiplier. */
static fm_status cost_at(fm_dp_accountant_kind by, fm_dp_mechanism *m, double z, double delta,
                         double *epsilon)
{
    fm_dp_cost cost = { 0 };
    fm_status st;

    m->noise_multiplier = z;
    if ((st = fm_dp_epsilon_by(by, m, 1, delta, &cost)) == FM_OK)
        *epsilon = cost.epsilon;
    return st;
}

/* Enough noise, by doubling from 1. */
static fm_status find_enough(fm_dp_accountant_kind by, double epsilon, double delta,
                             fm_dp_mechanism *m, double *enough, double *cost)
{
    fm_status st;

    for (*enough = 1.0; *enough <= Z_MAX; *enough *= 2.0) {
        if ((st = cost_at(by, m, *enough, delta, cost)) != FM_OK || *cost <= epsilon)
            return st;
    }
    return fm_fail(FM_EINVAL,
                   "no noise multiplier up to %g keeps %llu rounds within "
                   "epsilon %g at delta %g: allow more or plan fewer rounds",
                   Z_MAX, (unsigned long long)m->count, epsilon, delta);
}

/* Between lo, too little (or unknown), and hi, enough: the costs at both, in logs. */
typedef struct {
    double lo, hi, above, below; /* above: log(cost(lo) / epsilon) > 0; below: the same at hi */
} bracket;

/* Where a straight line between the ends meets the budget, a little to the side still unknown. */
static double guess(const bracket *b, int turn)
{
    double width = log(b->hi / b->lo), t = b->above / (b->above - b->below);

    if (turn % 4 == 3 || !isfinite(b->above) || !(t > 0.0 && t < 1.0))
        t = 0.5;
    t += (t > 0.5 ? -0.4 : 0.4) * PRECISION / width; /* so that the ends close in from both sides */
    return b->lo * exp(width * fmin(0.98, fmax(0.02, t)));
}

static fm_status narrow(fm_dp_accountant_kind by, double epsilon, double delta, fm_dp_mechanism *m,
                        bracket *b)
{
    double cost = 0.0;
    fm_status st;

    for (int turn = 0; b->hi > b->lo * (1.0 + PRECISION); turn++) {
        double z = guess(b, turn);

        if ((st = cost_at(by, m, z, delta, &cost)) != FM_OK)
            return st;
        if (cost <= epsilon) {
            b->hi = z;
            b->below = log(cost / epsilon);
        } else {
            b->lo = z;
            b->above = log(cost / epsilon);
        }
    }
    return FM_OK;
}

/* RDP is quick and asks for more: from its answer downwards there is little left to search. */
static fm_status calibrate(fm_dp_accountant_kind by, double epsilon, double delta,
                           fm_dp_mechanism *m, double *z)
{
    bracket b = { .lo = Z_MIN };
    double cost = 0.0;
    fm_status st = find_enough(FM_DP_RDP, epsilon, delta, m, &b.hi, &cost);

    if (st != FM_OK)
        return st;
    b.below = log(cost / epsilon);
    b.above = INFINITY;
    b.lo = b.hi > 1.0 ? b.hi / 2.0 : Z_MIN;
    if ((st = narrow(FM_DP_RDP, epsilon, delta, m, &b)) != FM_OK)
        return st;
    for (double z_try = b.hi; by == FM_DP_PLD && z_try >= Z_MIN; z_try *= 0.8) {
        if ((st = cost_at(by, m, z_try, delta, &cost)) != FM_OK)
            return st;
        if (cost > epsilon) {
            b.lo = z_try;
            b.above = log(cost / epsilon);
            break;
        }
        b.hi = z_try;
        b.lo = Z_MIN;
        b.above = INFINITY;
        b.below = log(cost / epsilon);
    }
    st = by == FM_DP_PLD ? narrow(by, epsilon, delta, m, &b) : FM_OK;
    if (st == FM_OK)
        *z = b.hi;
    return st;
}

fm_status fm_dp_calibrate_mechanism(fm_dp_accountant_kind by, double epsilon, double delta,
                                    fm_dp_mechanism *m)
{
    fm_dp_mechanism probe;
    fm_status st;

    if (!m)
        return fm_fail(FM_EINVAL, "calibration: no place for noise_multiplier");
    if ((st = check(epsilon, delta, m->sampling_rate, m->count)) != FM_OK)
        return st;
    probe = *m;
    return calibrate(by, epsilon, delta, &probe, &m->noise_multiplier);
}

fm_status fm_dp_calibrate(double epsilon, double delta, double sampling_rate, uint64_t rounds,
                          double *noise_multiplier)
{
    fm_dp_mechanism m = { .sampling_rate = sampling_rate, .count = rounds };
    fm_status st;

    if (!noise_multiplier)
        return fm_fail(FM_EINVAL, "calibration: no place for noise_multiplier");
    if ((st = fm_dp_calibrate_mechanism(FM_DP_PLD, epsilon, delta, &m)) == FM_OK)
        *noise_multiplier = m.noise_multiplier;
    return st;
}
