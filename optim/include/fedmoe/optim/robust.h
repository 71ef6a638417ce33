/*
 * A mean of several sums that a few of them cannot move at will. Each sum is of about as many units as
 * the others, so what is read is sums * center: the estimate of the sum of all. Float32 in, float64
 * arithmetic in a fixed order: the same sums give the same bits.
 *
 *   MEDIAN     in each coordinate, the one in the middle; of an even number the mean of the two
 *   TRIMMED    in each coordinate, the mean without the `trim` lowest and the `trim` highest
 *   GEOMETRIC  the point with the least sum of distances to all, as a weighted mean of them
 *
 * As long as fewer than half of the sums (TRIMMED: at most `trim`) hold anything at all, each coordinate
 * of MEDIAN and TRIMMED lies between two of the others, and GEOMETRIC as near to the others as their
 * distances from one another, times a constant, say.
 *
 * @source Yin, Chen, Ramchandran, Bartlett 2018, arXiv:1803.01498 (median, trimmed mean); Pillutla, Kakade,
 *         Harchaoui 2022, arXiv:1912.13445 (geometric median of secure sums, smoothed Weiszfeld steps).
 */
#ifndef FEDMOE_OPTIM_ROBUST_H
#define FEDMOE_OPTIM_ROBUST_H

#include "fedmoe/optim/optimizer.h"

#define FM_ROBUST_SUMS_MAX 64u
/** Steps of Weiszfeld's iteration: far more than it needs, and always as many. */
#define FM_ROBUST_STEPS 64u

typedef enum {
    FM_ROBUST_RULE_MEDIAN = 1,
    FM_ROBUST_RULE_TRIMMED = 2,
    FM_ROBUST_RULE_GEOMETRIC = 3
} fm_robust_rule;

typedef struct {
    fm_robust_rule rule;
    uint32_t sums;             /* 1..FM_ROBUST_SUMS_MAX */
    uint32_t trim;             /* TRIMMED: 2 trim < sums */
    const fm_optim_source *of; /* [sums], borrowed, finite; must stay until the last read */
    size_t n;                  /* coordinates of each */
    double weights[FM_ROBUST_SUMS_MAX];   /* GEOMETRIC: of each sum, together 1 */
    double distances[FM_ROBUST_SUMS_MAX]; /* of each sum from the center, L2 */
} fm_robust;

/**
 * Weights and distances of `r`, whose other fields are set. For GEOMETRIC the center depends on the
 * distances between sums alone, z_{k+1} = sum w_i v_i, w_i ~ 1 / max(|z_k - v_i|, floor), floor a millionth
 * of the middle one of them (or 1e-12 of the longest between two sums), z_0 the sum that is nearest to all others, as if it were as far from itself as
 * the next one. (Distances of words: none is 2^32 times another that counts, so doubles will do.)
 * @return FM_OK; FM_EINVAL rule, sums or trim out of range.
 */
FM_NODISCARD fm_status fm_robust_prepare(fm_robust *r);
/** sums * center, as fm_optim_source.read; ctx: a prepared fm_robust. */
void fm_robust_read(const void *ctx, size_t at, size_t n, float *out);
/** By how much noise of one deviation in each sum is larger in what is read than in one sum of all that
 *  carries it once: sqrt(sums), and for the median at most sqrt(pi / 2) of that again. */
double fm_robust_noise(fm_robust_rule rule, uint32_t sums);

#endif
