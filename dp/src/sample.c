#include "fedmoe/dp/sample.h"

#include <math.h>

#include <sodium.h>

#define WORDS 512u /* drawn at once */
#define BITS 53

size_t fm_dp_sample_units(double rate, size_t count, fm_rng *rng, uint32_t *out)
{
    uint64_t threshold = rate >= 0.0 ? (uint64_t)floor(ldexp(fmin(rate, 1.0), BITS)) : 0;
    uint64_t words[WORDS];
    size_t drawn = 0;

    for (size_t at = 0; at < count; at += WORDS) {
        size_t n = count - at < WORDS ? count - at : WORDS;

        rng->fill(rng->state, words, n * sizeof words[0]);
        for (size_t i = 0; i < n; i++)
            if ((words[i] >> (64 - BITS)) < threshold)
                out[drawn++] = (uint32_t)(at + i);
    }
    sodium_memzero(words, sizeof words);
    return drawn;
}
