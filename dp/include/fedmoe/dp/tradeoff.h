/*
 * What an attacker gains, from the whole curve delta(epsilon) of a composition instead of one point
 * of it: the power of the best test of "is this unit among the records?" by who knows everything
 * else. Upper bounds, as near as the accountant's; exact for what is not subsampled, else within some
 * 1e-4 of that. Pure.
 *
 * @source Kairouz, Oh, Viswanath 2015, arXiv:1311.0776, theorem 2.1: (epsilon, delta) as a region
 *         of error rates; Dong, Roth, Su 2019, arXiv:1905.02383, proposition 2.12: the trade-off
 *         function from all of delta(epsilon), and equation (5): the Gaussian's.
 */
#ifndef FEDMOE_DP_TRADEOFF_H
#define FEDMOE_DP_TRADEOFF_H

#include "fedmoe/dp/accountant.h"

typedef struct {
    double alpha; /* in (0, 1): how often it says "in" of a unit that is not */
    double power; /* out: how often, at most, it then says "in" of one that is */
} fm_dp_test;

/**
 * @param tests  [test_count] alpha is read, power is set.
 * @param guess  out: largest share of right answers when both cases are equally likely,
 *               (1 + delta(0)) / 2.
 * @return FM_OK; as fm_dp_delta.
 */
FM_NODISCARD fm_status fm_dp_tradeoff(const fm_dp_mechanism *m, size_t count, fm_dp_test *tests,
                                      size_t test_count, double *guess);

#endif
