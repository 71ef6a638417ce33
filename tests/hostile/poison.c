/*
 * A node that poisons the model, within its own update: HOSTILE_DEED=poison adds HOSTILE_TIMES times its
 * own sum to it (-30 turns it round and makes it as long as that of all others; a million is longer than
 * any honest sum). What it sends is noised, masked, signed and released like every other update.
 */
#include <stdlib.h>
#include <string.h>

#include "sum_internal.h"
#include "words_internal.h"

fm_status __real_fm_dp_words_make(const fm_dp_words *w, uint8_t *words);
fm_status __wrap_fm_dp_words_make(const fm_dp_words *w, uint8_t *words);

/* Words of the wire, before they are wiped with the sum. */
static int64_t *poison_of(const fm_dp_sum *s)
{
    const char *times = getenv("HOSTILE_TIMES");
    const double factor = times ? strtod(times, NULL) : -30.0;
    int64_t *out = calloc(s->n, sizeof *out);

    for (size_t i = 0; out && i < s->n; i++)
        out[i] = (int64_t)(factor * (double)fm_dp_sum_at(s, i) /
                           (double)((int64_t)1 << s->lattice.shift));
    return out;
}

static void add(uint8_t *word, unsigned bytes, int64_t more)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)word[i] << 8 * i;
    v += (uint64_t)more;
    for (unsigned i = 0; i < bytes; i++)
        word[i] = (uint8_t)(v >> 8 * i);
}

fm_status __wrap_fm_dp_words_make(const fm_dp_words *w, uint8_t *words)
{
    const char *deed = getenv("HOSTILE_DEED");
    const size_t n = w->sum->n;
    const unsigned bytes = w->sum->lattice.word_bits / 8;
    int64_t *poison = deed && strcmp(deed, "poison") == 0 && words ? poison_of(w->sum) : NULL;
    const fm_status st = __real_fm_dp_words_make(w, words);

    for (size_t i = 0; poison && st == FM_OK && i < n; i++)
        add(words + i * bytes, bytes, poison[i]);
    free(poison);
    return st;
}
