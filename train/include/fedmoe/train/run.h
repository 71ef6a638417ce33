/*
 * A whole training on one machine: the step, the noise, the sum and the optimizer of a federation,
 * with one party that holds all records. The guarantee is that of central differential privacy.
 * Nothing is charged to a ledger: whoever publishes the model keeps the account.
 */
#ifndef FEDMOE_TRAIN_RUN_H
#define FEDMOE_TRAIN_RUN_H

#include "fedmoe/dp/accountant.h"
#include "fedmoe/optim/defaults.h"
#include "fedmoe/train/step.h"

/** What the released steps are, as the accountant knows it. */
fm_dp_mechanism fm_train_mechanism(const fm_training *t, double noise_multiplier);

/**
 * The least noise multiplier, at least FM_DP_MIN_NOISE_MULTIPLIER, with which the training costs at
 * most (epsilon, delta), and what it then costs.
 * @param noise_multiplier, spent  out; 0 and infinity when epsilon is FM_TRAINING_NO_PRIVACY or more.
 */
FM_NODISCARD fm_status fm_train_calibrate(const fm_training *t, double epsilon, double delta,
                                          double *noise_multiplier, double *spent);

typedef struct {
    fm_learner learner;
    const fm_training *training;
    double noise_multiplier; /* 0: nothing is private */
    double units;            /* expected privacy units, public; >= 1 */
    uint32_t max_units;      /* most units that a step may sum, public; no fewer than there are */
    size_t unit_rows;        /* most rows of one unit that count */
    fm_dp_encoding encoding;
    unsigned threads;     /* 0: the default */
    const float *weights; /* first ones, float32[parameters] */
    fm_rng *rng;          /* sampling and noise: fm_rng_system() for anything that is private */
    void (*progress)(void *ctx, uint64_t done); /* after each round; or NULL */
    void *progress_ctx;
} fm_train_run_spec;

/**
 * All rounds of the training.
 * @param weights    out, float32[n]: the last ones, or their average when there is one. Where the
 *                   training counts loads their biases are behind the learner's parameters, as
 *                   fm_train_weights_set takes them.
 * @param n          must be what fm_train_run_length says.
 * @param clip_norm  out: the one in use in the end; or NULL.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM; FM_ENONFINITE when a step left the finite numbers.
 */
FM_NODISCARD fm_status fm_train_run(const fm_train_run_spec *spec, float *weights, size_t n,
                                    double *clip_norm);
FM_NODISCARD fm_status fm_train_run_length(const fm_train_run_spec *spec, size_t *n);

/** The same into a model of the learner's configuration, clip norm and load biases included. */
FM_NODISCARD fm_status fm_train_run_tabular(const fm_train_run_spec *spec, fm_tabular *result);

#endif
