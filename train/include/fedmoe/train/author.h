/* Texts that a decoder writes, from beginnings that are given. */
#ifndef FEDMOE_TRAIN_AUTHOR_H
#define FEDMOE_TRAIN_AUTHOR_H

#include "fedmoe/model/corpus.h"
#include "fedmoe/model/decoder.h"

typedef struct {
    size_t texts;       /* how many */
    size_t begin;       /* tokens of a beginning, >= 1; a sequence gives no more than it has */
    size_t longest;     /* tokens of a text, 2 to the context */
    double temperature; /* 0.1 to 100; 1: as the decoder has it */
    uint32_t end_token; /* ends a text */
    uint64_t seed;      /* of all draws */
    unsigned threads;   /* 0: the default (train/step.h); the texts do not depend on it */
} fm_authoring;

/**
 * Text i begins as sequence i mod n of `beginnings`, of n, and each next token is drawn from what
 * the decoder gives, until one is the end token or there is no more room. There is no cache: a text
 * costs the square of its length.
 * @param out owned by the caller: fm_corpus_free; each sequence is a unit. Unchanged on failure.
 * @return FM_OK; FM_EINVAL; FM_ENONFINITE; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_train_compose(const fm_decoder *d, const fm_corpus *beginnings,
                                        const fm_authoring *a, fm_corpus **out);

#endif
