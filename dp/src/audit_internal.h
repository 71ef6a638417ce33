/* The inside of the audit: audit_bound.c, audit_canary.c, audit_judge.c, audit_run.c. */
#ifndef FEDMOE_DP_AUDIT_INTERNAL_H
#define FEDMOE_DP_AUDIT_INTERNAL_H

#include "fedmoe/dp/audit.h"

/** Room for m scores. */
FM_NODISCARD fm_status fm_dp_observations_new(uint32_t m, const fm_dp_mechanism *claimed,
                                              double delta, fm_dp_observations *out);

/** FM_EINVAL, the text naming the figure. */
FM_NODISCARD fm_status fm_dp_observations_check(const fm_dp_observations *o);

/** log of (1 - q) + q N(x; 1, z^2) / N(x; 0, z^2). */
double fm_dp_canary_ratio(double x, double z, double q);

/** Coins and scores so far. */
const uint8_t *fm_dp_canaries_included(const fm_dp_canaries *c);
const double *fm_dp_canaries_scores(const fm_dp_canaries *c);

#endif
