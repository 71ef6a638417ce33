/*
 * A keyed watermark in generated text: who has the key can tell, from the text alone, that a model
 * with that key wrote it; nobody else sees a difference.
 *
 * Tournament (the default): for each token, m pseudo-random functions g_1..g_m of key, the last
 * `window` tokens and a candidate give bits; 2^m candidates drawn from the model's distribution meet in m
 * rounds, in round l the one with the greater g_l wins, equals by chance. What is drawn is, over keys, exactly the
 * model's distribution, and contexts that came before in the text are drawn without a mark, so that a whole text is, too
 * (non-distorting). The winner's distribution is computed, not played: m passes over the probabilities.
 * Red-green: a keyed part gamma of the vocabulary has its logits raised by delta; that distorts.
 *
 * Source: Dathathri et al. 2024, "Scalable watermarking for identifying large language model outputs",
 * Nature 634; Kirchenbauer et al. 2023, arXiv:2301.10226.
 */
#ifndef FEDMOE_EDGE_WATERMARK_H
#define FEDMOE_EDGE_WATERMARK_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"

typedef enum { FM_WATERMARK_TOURNAMENT, FM_WATERMARK_RED_GREEN } fm_watermark_kind;

typedef struct {
    fm_watermark_kind kind;
    size_t window;       /* tokens before that the functions see, 1..16; default 4 */
    size_t layers;       /* of the tournament, 1..64; default 30 */
    double gamma, delta; /* of red-green: 0.25, 2 */
} fm_watermark_options;

#define FM_WATERMARK_KEY_BYTES 32

/** Holds the key in guarded memory. Constant once made; several threads may use it. */
typedef struct fm_watermark fm_watermark;

/** @param key borrowed. @return FM_OK; FM_EINVAL naming the option; FM_ENOMEM. */
FM_NODISCARD fm_status fm_watermark_new(const uint8_t key[FM_WATERMARK_KEY_BYTES],
                                        const fm_watermark_options *o, fm_watermark **out);
void fm_watermark_free(fm_watermark **w);

#endif
