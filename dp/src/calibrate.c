/* The noise that a budget asks for: bisection that only ever returns the safe end. */
#include <math.h>

#include "fedmoe/dp/accountant.h"

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

fm_status fm_dp_calibrate(double epsilon, double delta, double sampling_rate, uint64_t rounds,
                          double *noise_multiplier)
{
    fm_dp_mechanism m = { .sampling_rate = sampling_rate, .count = rounds };
    fm_status st = check(epsilon, delta, sampling_rate, rounds);
    double lo, hi = 1.0, cost = 0.0;

    if (st != FM_OK)
        return st;
    if (!noise_multiplier)
        return fm_fail(FM_EINVAL, "calibration: no place for noise_multiplier");

    /* hi is always enough noise, lo too little (or the least that makes sense). */
    for (;; hi *= 2.0) {
        if (hi > Z_MAX)
            return fm_fail(FM_EINVAL,
                           "no noise multiplier up to %g keeps %llu rounds within "
                           "epsilon %g at delta %g: allow more or plan fewer rounds",
                           Z_MAX, (unsigned long long)rounds, epsilon, delta);
        m.noise_multiplier = hi;
        if ((st = fm_dp_epsilon(&m, 1, delta, &cost)) != FM_OK)
            return st;
        if (cost <= epsilon)
            break;
    }
    lo = hi > 1.0 ? hi / 2.0 : Z_MIN;
    while (hi > lo * (1.0 + PRECISION)) {
        double mid = sqrt(lo * hi);

        m.noise_multiplier = mid;
        if ((st = fm_dp_epsilon(&m, 1, delta, &cost)) != FM_OK)
            return st;
        if (cost <= epsilon)
            hi = mid;
        else
            lo = mid;
    }
    *noise_multiplier = hi;
    return FM_OK;
}
