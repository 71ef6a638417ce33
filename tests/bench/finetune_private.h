/* Private fine-tuning of bench-finetune. */
#ifndef FEDMOE_BENCH_FINETUNE_PRIVATE_H
#define FEDMOE_BENCH_FINETUNE_PRIVATE_H

#include "finetune_texts.h"

/** 0: the default for texts. */
typedef struct {
    double epsilon; /* at a delta of 1e-5; each sequence is a record */
    double sampling_rate, learning_rate, clip_norm;
    uint64_t rounds;
    unsigned threads;
} bench_private;

/** Trains the decoder's adapters with the noise that four nodes leave, and measures it. */
double bench_private_loss(fm_decoder *d, const bench_private *p, const fm_corpus *train,
                          const fm_corpus *test);

#endif
