/* What calibration and the tests need of the accountant beyond its public face. */
#ifndef FEDMOE_DP_ACCOUNTANT_INTERNAL_H
#define FEDMOE_DP_ACCOUNTANT_INTERNAL_H

#include "fedmoe/dp/accountant.h"

/**
 * Upper bound of K(alpha) = (alpha - 1) * RDP(alpha) of one release at noise multiplier z and
 * sampling rate q: log E[r(x)^alpha] over x ~ N(0, z^2), r = (1-q) + q exp((2x-1)/(2 z^2)).
 *
 * @param z      > 0; infinity gives 0.
 * @param q      in (0, 1].
 * @param alpha  > 1; any real number.
 * @return the bound; +infinity where it is too large or too costly to say anything better.
 */
double fm_dp_log_moment(double z, double q, double alpha);

#endif
