/*
 * The control of hostile-uniform: the real node but for its masks, which the linker takes away
 * (-Wl,--wrap). What it sends is its encoded sum with all of its noise.
 */
#include "words_internal.h"

fm_status __real_fm_dp_words_make(const fm_dp_words *w, uint8_t *words);
fm_status __wrap_fm_dp_words_make(const fm_dp_words *w, uint8_t *words);

fm_status __wrap_fm_dp_words_make(const fm_dp_words *w, uint8_t *words)
{
    fm_dp_words bare = *w;

    bare.masks = 0;
    return __real_fm_dp_words_make(&bare, words);
}
