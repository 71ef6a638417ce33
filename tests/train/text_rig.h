/* A small decoder of random weights, made-up texts of several people, and steps on them. */
#ifndef FEDMOE_TESTS_TRAIN_TEXT_RIG_H
#define FEDMOE_TESTS_TRAIN_TEXT_RIG_H

#include "rig.h"

typedef struct {
    fm_decoder_config config;
    fm_decoder *d;
    fm_corpus corpus;
    fm_dp_lattice lattice;
    fm_train_step_spec spec; /* of the above; may be changed before text_rig_step */
    size_t parameters, length;
    float *state; /* [parameters + tail]: of adapters B is not 0, the tail is */
} text_rig;

/** How a rig is made. */
typedef struct {
    size_t which;  /* decoder_small */
    size_t people; /* units */
    size_t most;   /* sequences of one person: of 1 to so many; 1: each sequence is a unit */
    bool all; /* all weights are trained, else adapters of attention and shared expert, A frozen */
    bool square; /* those adapters: R alone is trained */
    bool tail;   /* with a clip norm that moves */
    fm_dp_encoding encoding;
} text_rig_plan;

void text_rig_open(text_rig *r, const text_rig_plan *p);
void text_rig_close(text_rig *r);
fm_train_step *text_rig_step(const text_rig *r, unsigned threads);
/** One run by a seeded sample: the sum before noise, int64[length], owned by the caller. */
int64_t *text_rig_sum(const text_rig *r, fm_train_step *s, uint64_t seed, size_t *dropped);
/** Leaves only people [first, last) in the corpus, or takes them out. For a new step. */
void text_rig_keep(text_rig *r, size_t first, size_t last);
void text_rig_drop(text_rig *r, size_t person);

#endif
