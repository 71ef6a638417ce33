/* What calibration and the tests need of the accountant beyond its public face. */
#ifndef FEDMOE_DP_ACCOUNTANT_INTERNAL_H
#define FEDMOE_DP_ACCOUNTANT_INTERNAL_H

#include "fedmoe/dp/accountant.h"
#include "pld.h"

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
/** The same for one release of any mechanism. */
double fm_dp_log_moment_of(const fm_dp_mechanism *m, double alpha);

/** The bounds by RDP; arguments were checked, and something is released. */
double fm_dp_rdp_epsilon(const fm_dp_mechanism *m, size_t count, double delta);
double fm_dp_rdp_delta(const fm_dp_mechanism *m, size_t count, double epsilon);

/** Epsilon at delta 0: infinite unless every mechanism's loss is bounded. */
double fm_dp_pure_epsilon(const fm_dp_mechanism *m, size_t count);

/** FM_EINVAL naming what is out of range. */
FM_NODISCARD fm_status fm_dp_check_mechanisms(const fm_dp_mechanism *m, size_t count);

/**
 * The PLD answer beside the RDP bound of the same epsilon (the same for delta): the smaller, and who
 * gave it. Both are upper bounds and PLD is the tighter, so a tight PLD answer above RDP's means that
 * one of the two is wrong.
 *
 * @return FM_OK; FM_EINTERNAL with both figures when they disagree in the wrong direction.
 */
FM_NODISCARD fm_status fm_dp_reconcile_epsilon(const fm_pld_answer *pld, double rdp, double delta,
                                               fm_dp_cost *out);
FM_NODISCARD fm_status fm_dp_reconcile_delta(const fm_pld_answer *pld, double rdp,
                                             double rdp_nearby, double epsilon, fm_dp_cost *out);

#endif
