/* The decoder written plainly, in double, one sequence at a time and without tiles: what the fast one
 * is held against. */
#ifndef FEDMOE_TESTS_MODEL_DECODER_REFERENCE_H
#define FEDMOE_TESTS_MODEL_DECODER_REFERENCE_H

#include "fedmoe/model/decoder.h"

/* Mean of -log p over a sequence's tokens but the first, for weights theta in double. */
double decoder_reference_loss(const fm_decoder_config *c, const fm_decoder_layout *l,
                              const double *theta, const uint32_t *tokens, size_t length);
/* Logits after the last token, double[V]; angles of rotary positions (without YaRN) are rounded to
 * float32. The last layer computes the last row alone. */
void decoder_reference_last(const fm_decoder_config *c, const fm_decoder_layout *l,
                            const double *theta, const uint32_t *tokens, size_t length,
                            double *out);

/* The same with a teacher's soft targets, of which the sequence's first row is `row`; NULL: without. */
double decoder_reference_soft_loss(const fm_decoder_config *c, const fm_decoder_layout *l,
                                   const double *theta, const uint32_t *tokens, size_t length,
                                   const fm_decoder_soft *soft, size_t row);

#endif
