/* The words of an update, made in one pass: sum, noise and masks. */
#ifndef FEDMOE_DP_WORDS_INTERNAL_H
#define FEDMOE_DP_WORDS_INTERNAL_H

#include <stdbool.h>

#include "fedmoe/dp/mask.h"

/* All borrowed. */
typedef struct {
    fm_dp_sum *sum;
    const fm_dp_shares *shares; /* NULL: no levels */
    uint32_t levels;
    const uint8_t (*level_seeds)[FM_DP_NOISE_SEED_BYTES]; /* [levels] */
    uint32_t masks;
    const uint8_t *const *mask_seeds; /* [masks], each of FM_DP_KEY_BYTES */
    const int8_t *signs;              /* [masks], 1, -1, or 0: computed, and left out */
    bool ties_down;   /* a fair coin for each update: rounding must not drift; only with a shift */
    int32_t *kept;    /* tests: the noise, [levels, n]; else NULL */
    fm_dp_take *take; /* who gets it decoded, instead of words; or NULL */
    void *take_ctx;
} fm_dp_words;

/**
 * words = round((sum + noise of level 0) / 2^shift) + the other levels' noise + masks, modulo
 * 2^word_bits of the sum's lattice, as little-endian bytes; fm_dp_word_bytes * sum->n of them. The
 * sum is wiped and reset, also on failure; after an error the words are of no use, and secret.
 * @param words  aligned as uint32_t. NULL: w->take gets what fm_dp_decode_sum makes of them.
 */
FM_NODISCARD fm_status fm_dp_words_make(const fm_dp_words *w, uint8_t *words);

#endif
