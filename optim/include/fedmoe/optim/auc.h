/*
 * The area under the ROC curve out of two histograms of scores, one for each class, of which noised sums
 * are known. With the counts n_b of class 0 and p_b of class 1, b from low scores to high, N and P their
 * sums, and ties within a bin counting half: F_b = (n_0 + ... + n_(b-1) + n_b / 2) / N, G_b likewise of p,
 *
 *   A = sum p_b F_b / P.
 *
 * The histograms come as trees. For A it matters how many lie below, less how many in each bin: so the bins, a
 * power of two B, are split in halves again and again, and a class has B words, the first its total,
 * the k-th (k >= 1; its children are 2k and 2k + 1) what is in the lower half of its bins less what
 * is in the upper. A unit adds to the total and, with a sign, to the log2 B words on the way to its bin. Of a
 * bound h it gives the total h sqrt(1 / W) and the words of level l = floor(log2 k) each h sqrt(2^(-l/2) / W),
 * with W = 1 + sum 2^(-l/2): in squares they add up to h^2. These shares are the ones with the least
 * noise on A where F and G take all of [0, 1] evenly and A is 3/4: there a level adds 2^-l / 16 of the squared
 * noise on its words to that on A, and the total 1/16. With 16 bins the noise on A is then 0.63 of what
 * one word for each bin would have (dp/src/query_scores.c does alike for queries).
 *
 * Negative counts are left as they are. To put 0 in their place would add units where there are none,
 * which draws A towards a half (tests/optim/test_auc.c).
 *
 * The deviation is by the delta method: A is smooth in the counts, dA/dp_b = (F_b - A) / P and
 * dA/dn_b = (1 - G_b - A) / N; of a function sum w_b n_b the noise on word k, of which s bins are below, has
 * the weight (sum of w in the lower half less that in the upper) / s, and that on the total the mean of w. It is
 * the noise's alone: that the records are a sample of those to come is not in it.
 */
#ifndef FEDMOE_OPTIM_AUC_H
#define FEDMOE_OPTIM_AUC_H

#include "fedmoe/optim/optimizer.h"

/** Kinds of words: the total, and up to log2 of the most bins levels. */
#define FM_AUC_KINDS FM_OPTIM_HELD_KINDS
#define FM_AUC_BINS_MAX ((size_t)64)

typedef struct {
    double value;     /* [0, 1] */
    double deviation; /* of the noise on it */
} fm_auc;

/** Whether there can be so many: a power of two, 4 to FM_AUC_BINS_MAX. */
bool fm_auc_bins_ok(size_t bins);
/** Of which kind the k-th word of a class is: 0 the total, 1 + l a word of level l. */
size_t fm_auc_kind(size_t k);
/** What a unit adds to a word of each kind, in steps of which it may add `half` in all (L2): rounded
 *  down, the total less where their squares are more than half^2. @param half below 2^31. */
void fm_auc_parts(int64_t half, size_t bins, int64_t parts[FM_AUC_KINDS]);

/** A class counts as there when its total is more than so many deviations of the noise on it. Below,
 *  the ratio is not nearly linear in the noise, and its deviation says nothing. */
#define FM_AUC_LEAST 3.0

/**
 * @param words  float32[2 bins]: the tree of class 0, then that of class 1; finite, in units.
 * @param noise  deviation on a word of each kind, in units, >= 0.
 * @return false: a class is not there.
 */
bool fm_auc_of_trees(const float *words, size_t bins, const double noise[FM_AUC_KINDS],
                     fm_auc *out);

/**
 * The deviation to expect before anything is known, by the case above: noise W / 4 sqrt(1/N^2 + 1/P^2).
 * @param noise     of a word to which a unit would add all it may, in units.
 * @param of_class  units of class 0 and of class 1, > 0.
 */
double fm_auc_expected_deviation(size_t bins, double noise, const double of_class[2]);

/** Of the window under way. @return false: nothing is known. */
bool fm_optimizer_held_auc(const fm_optimizer *o, fm_auc *out);

#endif
