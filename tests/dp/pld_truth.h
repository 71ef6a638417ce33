/*
 * delta(epsilon) by a contour integral, which shares nothing with the accountant: no grid, no
 * discretisation, no transform.
 *
 *   delta(e) = 1/(2 pi i) integral over c - i oo .. c + i oo of exp(K(s) - s e) / (s (s + 1)) ds
 *
 * with c > 0 and K(s) = sum of count * log E_P[exp(s L)], by quadrature over the mechanism's
 * outcomes. Good to about 1e-10, relative, for compositions whose K falls off within reach.
 */
#ifndef FEDMOE_TESTS_DP_PLD_TRUTH_H
#define FEDMOE_TESTS_DP_PLD_TRUTH_H

#include "fedmoe/dp/accountant.h"

/** The larger of both directions; NaN when the integral does not settle. */
double pld_truth_delta(const fm_dp_mechanism *m, size_t count, double epsilon);

/** Exact delta of the Gaussian mechanism of shift mu: Balle, Wang 2018, theorem 8. */
double pld_gaussian_delta(double mu, double epsilon);
double pld_gaussian_epsilon(double mu, double delta);

#endif
