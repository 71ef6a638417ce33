/*
 * The area under the ROC curve out of two histograms of scores, one for each class, with noise on every bin.
 *
 * Counts n_b of class 0 and p_b of class 1, b from low scores to high, N and P their sums: ties within
 * a bin count half, so with F_b = (n_0 + ... + n_(b-1) + n_b / 2) / N and G_b likewise of p
 *
 *   A = sum p_b F_b / P.
 *
 * Negative counts are left as they are. To put 0 in their place would add units where there are none: on
 * average 0.4 deviations in each bin that is empty, which draws A towards a half (tests/optim/test_auc.c).
 *
 * With independent noise of deviation s on each bin (the delta method: A is smooth in the counts,
 * dA/dp_b = (F_b - A) / P and dA/dn_b = (1 - G_b - A) / N)
 *
 *   Var A = s^2 (sum (F_b - A)^2 / P^2 + sum (1 - G_b - A)^2 / N^2).
 *
 * It is the noise's alone: that the records are a sample of those to come is not in it.
 */
#ifndef FEDMOE_OPTIM_AUC_H
#define FEDMOE_OPTIM_AUC_H

#include "fedmoe/optim/optimizer.h"

typedef struct {
    double value;     /* [0, 1] */
    double deviation; /* of the noise on it */
} fm_auc;

/** A class counts as there when its sum is more than so many deviations of the noise on it. Below,
 *  the ratio is not nearly linear in the noise, and its deviation says nothing. */
#define FM_AUC_LEAST 3.0

/**
 * @param counts  float32[2 bins]: class 0, then class 1; finite.
 * @param noise   deviation on each count, in its unit, >= 0.
 * @return false: a class is not there.
 */
bool fm_auc_of_bins(const float *counts, size_t bins, double noise, fm_auc *out);

/**
 * The deviation to expect before there are counts: of an A of about 3/4, where F and G take all of [0, 1] evenly
 * over the bins, sum (F_b - A)^2 is bins (1/12 + 1/16).
 * @param of_class  units of class 0 and of class 1, > 0.
 */
double fm_auc_expected_deviation(size_t bins, double noise, const double of_class[2]);

/** Of the window under way. @return false: nothing is known. */
bool fm_optimizer_held_auc(const fm_optimizer *o, fm_auc *out);

#endif
