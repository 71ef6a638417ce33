/* A model of three tokens, counted in a text: quick, and with the entropy of natural language. */
#ifndef FEDMOE_TESTS_BENCH_WATERMARK_NGRAM_H
#define FEDMOE_TESTS_BENCH_WATERMARK_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

typedef struct ngram ngram;

/** @param text uint32[n], borrowed; read as a ring, so that every token is followed by one. */
fm_status ngram_new(const uint32_t *text, size_t n, ngram **out);
void ngram_free(ngram **m);
/** Most candidates of any token. */
size_t ngram_most(const ngram *m);
/**
 * Absolute discounting (0.75) of three tokens, interpolated with two:
 * p(c | a b) = (n(abc) - 0.75)+ / n(ab) + 0.75 u(ab) / n(ab) * n(bc) / n(b), to the power `sharp`.
 * @return the number of candidates.
 */
size_t ngram_next(const ngram *m, uint32_t a, uint32_t b, double sharp, uint32_t *ids, double *p);

#endif
