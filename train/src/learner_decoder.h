/* One thread's object of a decoder's learner. All of it but the ranges is of texts: wiped by forget. */
#ifndef FEDMOE_TRAIN_LEARNER_DECODER_H
#define FEDMOE_TRAIN_LEARNER_DECODER_H

#include "fedmoe/train/learner.h"

/** Weights of the flat vector that are trained, one after the other. */
typedef struct {
    size_t offset, n;
} fm_train_range;

typedef struct {
    fm_decoder *d;
    size_t batch;           /* tokens */
    uint32_t *tokens;       /* [batch] */
    uint32_t *ends;         /* [batch] of sequences, in tokens */
    fm_train_range *ranges; /* of a training of all weights */
    size_t range_count;
    float *whole; /* [whole_length] likewise: one unit's gradient over the flat vector */
    size_t whole_length;
} fm_train_texts;

#endif
