/*
 * Optimizers on flat vectors: float32 state, float64 arithmetic, fixed order. The same sums give
 * the same bits, also with a stop and a start from a checkpoint between them.
 *
 * The vector is the model's weights and then its tail: load biases of experts, and the logarithm of
 * the clip norm in use over the one that the lattice is made for, and the loss and the scores of the units
 * that are held out, and the phase. What a step knows is the decoded
 * noised sum and public constants: all of it is post-processing.
 */
#ifndef FEDMOE_OPTIM_OPTIMIZER_H
#define FEDMOE_OPTIM_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** SUM adds the sum of each step as it is: the answer of a query. */
typedef enum {
    FM_OPTIM_SGD = 1,
    FM_OPTIM_ADAM = 2,
    FM_OPTIM_SUM = 3,
    FM_OPTIM_YOGI = 4
} fm_optim_rule;

/** The learning rate over the rounds, after the warmup. */
typedef enum { FM_OPTIM_CONSTANT = 1, FM_OPTIM_LINEAR = 2, FM_OPTIM_COSINE = 3 } fm_optim_schedule;

/** Kinds of places of scores: auc.h. */
#define FM_OPTIM_HELD_KINDS 7

/** The natural logarithm of the clip norm in use over clip_norm stays within +-this. */
#define FM_OPTIM_CLIP_RANGE 6.9077552789821368 /* a thousandth to a thousand times */

typedef struct {
    fm_optim_rule rule;
    double learning_rate, momentum, beta2, adam_epsilon;
    fm_optim_schedule schedule;
    double warmup;     /* [0, 1): share of the rounds in which the rate rises linearly */
    double final_rate; /* [0, 1]: rate after the last round over learning_rate */
    double averaging;  /* [0, 1): weights after the last averaging * rounds steps (to the nearest
                          whole number) are averaged; 0: none. Of no effect with SUM. */
    uint64_t rounds;   /* steps of the whole run, a statistics round included */
    double divisor;    /* units that a step is expected to sum, > 0 */
    size_t frozen;     /* the first weights that no step changes: the model that is evaluated. Of
                          SUM alone; otherwise 0 */

    /* The tail. */
    size_t load_groups, load_experts; /* load_groups * load_experts biases; 0: none */
    double balance_rate;
    double clip_quantile; /* 0: the clip norm is fixed, and has no place in the vector */
    double clip_rate;
    double clip_vote; /* what a unit adds, with its sign: clip_share * clip_norm, > 0 */

    /* The loss of units that no gradient is taken of (train/step.h): two places in the vector. */
    uint64_t patience;   /* ordinary steps of a window; 0: no unit is held out */
    double held_divisor; /* units that are expected to vote in a step, > 0 */
    double held_vote;    /* what a unit of the largest loss adds, and of none takes away, > 0 */
    size_t held_bins;    /* two times so many places more: scores by class (auc.h); 0: none */
    double held_parts[FM_OPTIM_HELD_KINDS]; /* what a unit adds in one of each kind, > 0 */
    double held_noise;                      /* deviation of a step's noise on each, >= 0 */

    size_t start_center,
        start_count; /* which weights center the features: no gradient moves them */
    /* The statistics round: the first one, when start_scale > 0. */
    size_t start_bias;  /* the first bias: another weight */
    double start_scale; /* what the bias is multiplied by in the model */
    double start_norm;  /* clip norm: what a unit of norm sqrt(2) adds is scaled to, > 0 */
    double start_noise; /* standard deviation of the noise on a coordinate of the sum, >= 0 */
} fm_optimizer_spec;

/** The least share that a statistics round reads out of noise; 1 minus the largest. */
#define FM_OPTIM_START_SHARE 0.01

typedef struct {
    fm_optimizer_spec spec;
    size_t n;
    size_t tail; /* the last weights that are not the model's */
    uint64_t steps;
    uint64_t average_from; /* steps after this many enter the average; a statistics round is none */
    uint64_t averaged;     /* how many have */
    float *weights;        /* [n] owned */
    float *m, *v;          /* [n] owned; m NULL for SGD without momentum and SUM, v for all but
                              Adam and Yogi; of no use for the tail */
    double *average;       /* [n] owned: sum of the averaged weights; NULL when averaging is 0 */
    float *next_tail, *tail_sum; /* [tail] owned, scratch; NULL when there is no tail */
    float *start_sum;            /* [start_count] likewise, without a statistics round */
} fm_optimizer;

/** Trailing coordinates of a vector that are not weights of the model. */
size_t fm_optimizer_tail(const fm_optimizer_spec *spec);

/**
 * @param weights  the first ones, float32[n], copied.
 * @return FM_OK; FM_EINVAL no room for frozen weights, tail and one more, frozen weights without
 *         SUM, or a statistics round that has no place; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_optimizer_new(const fm_optimizer_spec *spec, const float *weights,
                                        size_t n, fm_optimizer **out);
void fm_optimizer_free(fm_optimizer **o);

/** The learning rate of step t, 1 for the first: with w = warmup * rounds to the nearest whole
 *  number, rate * t / w up to w; then with x = (t - w - 1) / (rounds - w) and f = final_rate
 *  linear: rate (f + (1 - f)(1 - x)); cosine: rate (f + (1 - f)(1 + cos(pi x)) / 2). */
double fm_optimizer_rate(const fm_optimizer_spec *spec, uint64_t t);

/**
 * Whether to stop early: a window of `patience` ordinary steps has just ended, and the mean loss of
 * the units held out was not below that of the window before. A function of the state and of
 * the number of steps: the same after a crash.
 */
bool fm_optimizer_is_done(const fm_optimizer *o);
/** The mean loss held out in the window under way, as a share of the largest that counts; NaN: no
 *  unit is held out, or no step of the window has been made. */
double fm_optimizer_held_loss(const fm_optimizer *o);

/** The clip norm in use over clip_norm: 1 when it is fixed.
 *  @param state  float32[n]: the optimizer's weights, or its result. */
double fm_optimizer_clip_ratio(const fm_optimizer *o, const float *state);

/**
 * One step on the mean gradient g = sum / divisor * clip ratio, of n - frozen values: units arrive
 * scaled so that the clip norm in use is the lattice's.
 *
 *   SGD   m = momentum m + g;  w = w - rate m
 *   Adam  m = momentum m + (1 - momentum) g;  v = beta2 v + (1 - beta2) g^2
 *         w = w - rate (m / (1 - momentum^t)) / (sqrt(v / (1 - beta2^t)) + adam_epsilon)
 *   Yogi  as Adam, but v = v - (1 - beta2) sign(v - g^2) g^2: however small gradients become, v
 *         falls by no more than it would have risen
 *   SUM   w = w + the sum, as it is (averaging does not apply)
 *
 * In the tail, with the sum's own values there:
 *
 *   load bias of expert e   += balance_rate * clamp((mean - load_e) / mean, -1, 1), mean over the
 *                           group's experts; nothing where noise makes the mean 0 or less
 *   log clip ratio          -= clip_rate * (b - clip_quantile), b = 1/2 + votes / (2 divisor
 *                           clip_vote), clamped to [0, 1]: the share of units that were not clipped;
 *                           kept within +-FM_OPTIM_CLIP_RANGE
 *
 * Where noise is far above the loads the biases move at random by at most balance_rate a step.
 *
 *   loss held out            l = 1/2 + votes / (2 held_divisor held_vote), of the largest that counts.
 *                           The two places hold the mean of l over the steps of the window under way,
 *                           and that of the window before it (0: there was none).
 *   scores held out         a place holds the mean of c = sum / its kind's held_parts, in units, over
 *                           the steps of the window under way
 *
 * With start_scale > 0 the vector's last value is the phase, and F = start_count. A step in phase 0 reads, with
 * c = sqrt(2) / (start_norm divisor), the mean of the features m = c sum[center ...], and the share
 * of positive labels p = c sum[bias], clamped to [FM_OPTIM_START_SHARE, 1 - FM_OPTIM_START_SHARE]:
 *
 *   center = m max(0, 1 - F s^2 / |m|^2), s = c start_noise;  bias = ln(p / (1 - p)) / start_scale
 *
 * Then the phase is 1, and nothing else has changed: the step counts neither for the rate nor for
 * momentum and average. Later steps leave center and phase as they are.
 *
 * @return FM_OK; FM_EINVAL another n; FM_ENONFINITE a NaN or infinity in the gradient, or a step
 *         that would leave the float32 numbers. On error all is unchanged.
 * @source Adam: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1; Yogi: Zaheer et al. 2018, NeurIPS
 *         31, Algorithm 2, as a federation's server Reddi et al. 2021, arXiv:2003.00295, Algorithm 2,
 *         here with Adam's correction for the zeros that m and v begin with; averaging: Polyak and Juditsky
 *         1992; balancing: Wang et al. 2024, arXiv:2408.15664, with the error in proportion instead
 *         of its sign, which noise would make as large as any; clip norm: Andrew et al. 2021,
 *         arXiv:1905.03871, section 2.2 (votes of +-1 instead of 0 and 1 halve the sensitivity);
 *         shrinking a noisy mean: James and Stein 1961, with F for F - 2.
 */
FM_NODISCARD fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n);

#define FM_OPTIM_BLOCK ((size_t)1024)
/** A gradient that is not in memory as one: read gives coordinates [at, at + n), n at most
 *  FM_OPTIM_BLOCK, and the same ones as often as it is asked. */
typedef struct {
    void (*read)(const void *ctx, size_t at, size_t n, float *out);
    const void *ctx;
} fm_optim_source;
/** The same step. */
FM_NODISCARD fm_status fm_optimizer_step_from(fm_optimizer *o, const fm_optim_source *g, size_t n);
/** The weights to publish at the end: the average if there is one. out: float32[n]. */
void fm_optimizer_result(const fm_optimizer *o, float *out);

#endif
