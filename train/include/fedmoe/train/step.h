/*
 * The private step on one party's records or texts: a Poisson sample of privacy units, forward,
 * backward, the sum of each unit's rows clipped once and in integers, its loads of experts and its
 * vote on the clip norm. What comes out is a sum that only dp/ can open: with noise and masks, as a release.
 *
 * In phase 0 of the state (train/state.h) a run is the statistics round instead: in the places of
 * center and bias each unit adds the means of its rows' features and labels, times the clip norm over
 * sqrt(2): no longer than the clip norm, to which the features are shortened. All other places get 0.
 *
 * Units that are held out (fm_train_step_hold_out) add nothing of a gradient, nor to the statistics
 * round; each votes with all of its bound on how large its loss is. So the loss of records that the
 * model was not trained on is known as any other coordinate, at no cost in privacy: a unit does one or the
 * other, and whether it does is a coin of its own (docs/privacy.md, section 2). With tail.held_bins the
 * square of its bound is halved: one half for that vote, the other for in which bins its scores
 * are (train/scores.h), each row an equal part of it, as trees: out of the sums comes an AUC
 * (optim/auc.h).
 *
 * Several threads share the work; the sum is the same, to the bit, for any number of them.
 */
#ifndef FEDMOE_TRAIN_STEP_H
#define FEDMOE_TRAIN_STEP_H

#include "fedmoe/dp/encode.h"
#include "fedmoe/train/learner.h"

/** Threads when nobody says how many: all processors, but no more than this. */
#define FM_TRAIN_THREADS_DEFAULT 16u

typedef struct {
    fm_learner learner; /* what it borrows, for the step's life */
    const fm_dp_lattice *lattice;
    double sampling_rate;
    size_t unit_rows; /* most rows of one unit that count, >= 1 */
    fm_train_tail tail;
    double load_share, clip_share; /* of the sensitivity, as in dp/encode.h's parts */
    double held_share, held_bound; /* with tail.held: of the units, (0, 0.5]; and the largest loss
                                      that counts, > 0, in the loss's own unit */
    unsigned threads;              /* 0: the default */
} fm_train_step_spec;

typedef struct fm_train_step fm_train_step;

/**
 * All buffers of all threads are taken here: a run never allocates.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM.
 * @thread an object belongs to one thread at a time.
 */
FM_NODISCARD fm_status fm_train_step_new(const fm_train_step_spec *spec, fm_train_step **out);
void fm_train_step_free(fm_train_step **s); /* wipes */

/** The seed of the coins by which units are held out: secret, random, independent of the data, and the
 *  same for all of a training. Without it the first run draws one. */
void fm_train_step_hold_out(fm_train_step *s, const uint8_t seed[16]);

/** Values of the state vector, and coordinates of the sum: the model's parameters and the tail. */
size_t fm_train_step_length(const fm_train_step *s);
unsigned fm_train_step_threads(const fm_train_step *s);

typedef struct {
    const float *state;           /* float32[fm_train_step_length] */
    fm_rng *rng;                  /* sampling alone */
    void (*keepalive)(void *ctx); /* NULL, or called now and then by the caller's own thread */
    void *keepalive_ctx;
} fm_train_step_input;

/**
 * @param sum  out: borrowed until the next run; whoever makes a release of it resets it.
 * @return FM_OK; FM_EINVAL, FM_ENONFINITE for the state; FM_ENOMEM more units than the lattice has
 *         room for. On error the sum is reset.
 */
FM_NODISCARD fm_status fm_train_step_run(fm_train_step *s, const fm_train_step_input *in,
                                         fm_dp_sum **sum);

#endif
