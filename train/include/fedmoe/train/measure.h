/* How well a decoder foretells texts. */
#ifndef FEDMOE_TRAIN_MEASURE_H
#define FEDMOE_TRAIN_MEASURE_H

#include "fedmoe/model/corpus.h"
#include "fedmoe/model/decoder.h"

typedef struct {
    double loss;        /* mean of -log p(token | those before in its sequence) over predictions */
    size_t predictions; /* tokens but the first of each sequence */
} fm_text_loss;

/**
 * The same for any number of threads, to the bit. Of private texts it is not private.
 * @param d        forward only or not; only its weights are used.
 * @param threads  0: the default (train/step.h).
 * @return FM_OK; FM_EINVAL: no sequences, or some that are not the model's; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_train_measure(const fm_decoder *d, const fm_corpus *c, unsigned threads,
                                        fm_text_loss *out);

#endif
