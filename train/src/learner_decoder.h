/* One thread's object of a decoder's learner. All of it is of texts: wiped by forget. */
#ifndef FEDMOE_TRAIN_LEARNER_DECODER_H
#define FEDMOE_TRAIN_LEARNER_DECODER_H

#include "fedmoe/train/learner.h"
#include "teacher.h"

typedef struct {
    fm_decoder *d;
    fm_lesson *lesson; /* NULL without a teacher */
    size_t batch;      /* tokens */
    uint32_t *tokens;  /* [batch] */
    uint32_t *ends;    /* [batch] of sequences, in tokens */
    double *losses;    /* [batch] of sequences */
    float *whole;      /* [whole_length] where all weights are trained: one unit's gradient over the
                     flat vector */
    size_t whole_length;
} fm_train_texts;

#endif
