/*
 * The state vector of a training: the model's weights, then its tail: load biases of experts, then
 * the logarithm of the clip norm in use over the lattice's, then two places of the loss of units that
 * are held out, and their scores in bins, those of class 0 first, then the phase: 0 when the statistics round is to come, 1 after it
 * (optim/optimizer.h moves them).
 */
#ifndef FEDMOE_TRAIN_STATE_H
#define FEDMOE_TRAIN_STATE_H

#include <stdbool.h>

#include "fedmoe/model/tabular.h"

/** What the tail holds. */
typedef struct {
    size_t load_groups, load_experts; /* both 0: no load biases */
    bool clip_norm;                   /* whether the next place is the clip norm's */
    bool start;                       /* whether the last place is the phase's */
    bool held;                        /* whether two places are of what is held out */
    size_t held_bins;                 /* and two times so many of its scores; 0 without held */
} fm_train_tail;

static inline size_t fm_train_tail_length(const fm_train_tail *t)
{
    return t->load_groups * t->load_experts + (t->clip_norm ? 1u : 0u) + (t->held ? 2u : 0u) +
           2u * t->held_bins + (t->start ? 1u : 0u);
}

/** Whether the model has such experts to count, and a center: FM_EINVAL when the groups are not its
 *  blocks, or every record goes to every expert, or there is no center for a statistics round. */
FM_NODISCARD fm_status fm_train_tail_check(const fm_train_tail *t, const fm_tabular_config *model);

/**
 * Weights and load biases into the model.
 * @param state  float32[n], n the model's parameters and the tail's length.
 * @return FM_OK; FM_EINVAL another n; FM_ENONFINITE as fm_tabular_set.
 */
FM_NODISCARD fm_status fm_train_state_set(fm_tabular *m, const fm_train_tail *t, const float *state,
                                          size_t n);

/** The clip norm in use: what training began with, times what its place in the tail says. */
double fm_train_clip_norm(const fm_train_tail *t, double clip_norm, const float *state, size_t n);

/** The same for a vector whose tail is nothing, or the load biases of all experts, as the weights of
 *  a model file are read one after the other. */
FM_NODISCARD fm_status fm_train_weights_set(fm_tabular *m, const float *weights, size_t n);

#endif
