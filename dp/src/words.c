/*
 * The words of an update in pieces that stay in the first-level cache: what is read of memory is the
 * sum, and what is written the words, once each.
 */
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "mask_internal.h"
#include "shares_internal.h"
#include "sum_internal.h"
#include "words_internal.h"

#define LINE 16u    /* coordinates of a line of the cache */
#define PIECE 2048u /* coordinates */

_Static_assert(PIECE % FM_GAUSS_GROUP == 0 && PIECE % FM_DP_MASK_GROUP == 0,
               "only the last piece may end within a group");

/* Secret; wiped as a whole. */
typedef struct {
    uint32_t words[PIECE];
    uint16_t narrow[PIECE]; /* words of 16 bits */
    int32_t noise[PIECE];
    float decoded[PIECE];
    fm_gauss_run only;       /* the run, if there is one level */
    uint32_t runs, streams;  /* that were begun */
    fm_gauss_run *run;       /* [levels] */
    fm_dp_mask_stream *mask; /* [masks] */
    uint8_t *guarded;        /* where masks are, and runs of several levels; or NULL */
} workspace;

static void end(workspace *s)
{
    for (uint32_t i = 0; i < s->runs; i++)
        fm_gauss_run_end(&s->run[i]);
    for (uint32_t i = 0; i < s->streams; i++)
        fm_dp_mask_end(&s->mask[i]);
    sodium_free(s->guarded);
    sodium_memzero(s, sizeof *s);
}

/*
 * Key schedules lie on the stack or in guarded memory, of which one piece takes some 30 us. It ends
 * where a page does, so that a size in whole lines of the cache gives what vectors must be aligned to.
 */
static fm_status room(const fm_dp_words *w, workspace *s)
{
    const size_t runs = w->levels > 1 ? w->levels : 0;
    size_t run_bytes = 0, mask_bytes = 0, bytes = 0;

    _Static_assert(sizeof(fm_gauss_run) % 64 == 0 && sizeof(fm_dp_mask_stream) % 64 == 0,
                   "whole lines");
    s->run = &s->only;
    if (fm_mul_size(runs, sizeof *s->run, &run_bytes) != FM_OK ||
        fm_mul_size(w->masks, sizeof *s->mask, &mask_bytes) != FM_OK ||
        fm_add_size(run_bytes, mask_bytes, &bytes) != FM_OK)
        return FM_ENOMEM;
    if (bytes == 0)
        return FM_OK;
    if (!(s->guarded = sodium_malloc(bytes)))
        return fm_fail(FM_ENOMEM, "release: no guarded memory left");
    memset(s->guarded, 0, bytes);
    if (runs > 0)
        s->run = (fm_gauss_run *)(void *)s->guarded;
    s->mask = (fm_dp_mask_stream *)(void *)(s->guarded + run_bytes);
    return FM_OK;
}

static fm_status begin(const fm_dp_words *w, workspace *s)
{
    const fm_dp_mask_path *path = fm_dp_mask_best_path();
    fm_status st;

    if ((st = room(w, s)) != FM_OK)
        return st;
    for (uint32_t i = 0; i < w->levels; i++) {
        s->runs++;
        if ((st = fm_dp_shares_begin(w->shares, i, w->level_seeds[i], &s->run[i])) != FM_OK)
            return st;
    }
    for (uint32_t i = 0; i < w->masks; i++) {
        s->streams++;
        if ((st = fm_dp_mask_begin(&s->mask[i], path, w->sum->lattice.word_bits,
                                   w->mask_seeds[i])) != FM_OK)
            return st;
    }
    return FM_OK;
}

/*
 * words = round((sum + noise) / 2^shift) for the coordinates from `at` on. One half, or a little less
 * where ties go down, is added before the low bits fall off; |sum + noise| < 2^56, so the offset of
 * 2^62 makes all positive, and falls off as a multiple of 2^32.
 */
static void add_and_round(const fm_dp_words *w, size_t at, size_t n, const int32_t *noise,
                          uint32_t *words)
{
    const fm_dp_sum *sum = w->sum;
    const unsigned shift = sum->lattice.shift;
    const uint64_t half = ((uint64_t)1 << shift) >> 1;
    const uint64_t offset = ((uint64_t)1 << 62) + half - w->ties_down;
    const int32_t *total = sum->total + at;
    const int64_t *wide = sum->wide ? sum->wide + at : NULL;

    if (shift == 0 && !wide)
        for (size_t i = 0; i < n; i++)
            words[i] = (uint32_t)total[i] + (uint32_t)noise[i];
    else if (!wide)
        for (size_t i = 0; i < n; i++)
            words[i] = (uint32_t)(((uint64_t)((int64_t)total[i] + noise[i]) + offset) >> shift);
    else
        for (size_t i = 0; i < n; i++)
            words[i] = (uint32_t)(((uint64_t)(wide[i] + total[i] + noise[i]) + offset) >> shift);
}

static fm_status add_noise(const fm_dp_words *w, workspace *s, size_t at, size_t n, uint32_t *words)
{
    fm_status st;

    if (w->levels == 0) {
        memset(s->noise, 0, n * sizeof *s->noise);
        add_and_round(w, at, n, s->noise, words);
    }
    for (uint32_t l = 0; l < w->levels; l++) {
        if ((st = fm_gauss_run_next(&s->run[l], s->noise, NULL, n)) != FM_OK)
            return st;
        if (w->kept)
            memcpy(w->kept + l * w->sum->n + at, s->noise, n * sizeof *s->noise);
        if (l == 0)
            add_and_round(w, at, n, s->noise, words);
        for (size_t i = 0; l > 0 && i < n; i++)
            words[i] += (uint32_t)s->noise[i];
    }
    return FM_OK;
}

/* What counts for nothing goes where the noise was, which is in the words by now. */
static fm_status add_masks(const fm_dp_words *w, workspace *s, size_t n, void *words)
{
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < w->masks; i++)
        st = w->signs[i] != 0 ? fm_dp_mask_next(&s->mask[i], words, n, w->signs[i])
                              : fm_dp_mask_next(&s->mask[i], s->noise, n, 1);
    return st;
}

static void to_narrow(const uint32_t *words, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint16_t)words[i];
}

/* Little-endian bytes, `word` of each of the sum's words. */
static void to_bytes(const void *words, size_t n, size_t word, uint8_t *out)
{
    const uint16_t *narrow = words;
    const uint32_t *wide = words;

    for (size_t i = 0; i < n; i++) {
        uint32_t w = word == 2 ? narrow[i] : wide[i];

        for (size_t b = 0; b < word; b++)
            *out++ = (uint8_t)(w >> 8 * b);
    }
}

/* Words in memory are what they are on the wire, and need not be copied. */
static bool in_place(unsigned word_bits)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return word_bits != 24;
#else
    (void)word_bits;
    return false;
#endif
}

/* The words of a piece where masks are added: in `out` already where that is in_place. */
static fm_status make_piece(const fm_dp_words *w, workspace *s, size_t at, size_t n, uint8_t *out)
{
    const unsigned bits = w->sum->lattice.word_bits;
    uint32_t *wide = out && bits == 32 && in_place(32) ? (uint32_t *)(void *)out : s->words;
    uint16_t *narrow = out && in_place(16) ? (uint16_t *)(void *)out : s->narrow;
    void *words = bits == 16 ? (void *)narrow : wide;
    fm_status st = add_noise(w, s, at, n, wide);

    if (st == FM_OK && bits == 16)
        to_narrow(wide, n, narrow);
    if (st != FM_OK || (st = add_masks(w, s, n, words)) != FM_OK)
        return st;
    if (!out) {
        fm_dp_decode_sum(&w->sum->lattice, words, n, s->decoded);
        w->take(w->take_ctx, at, s->decoded, n);
    } else if (!in_place(bits)) {
        to_bytes(words, n, fm_dp_word_bytes(bits), out);
    }
    return FM_OK;
}

/* Asked for while the noise is made: a piece is too short for the processor to foresee the next. */
static void fetch_piece(const fm_dp_sum *sum, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i += LINE)
        __builtin_prefetch(sum->total + i, 1, 3);
    for (size_t i = at; sum->wide && i < at + n; i += LINE / 2)
        __builtin_prefetch(sum->wide + i, 1, 3);
}

/* While the coordinates are near: a pass of its own over the sum would fetch it once more. */
static void wipe_piece(fm_dp_sum *sum, size_t at, size_t n)
{
    sodium_memzero(sum->total + at, n * sizeof *sum->total);
    if (sum->wide)
        sodium_memzero(sum->wide + at, n * sizeof *sum->wide);
    if (sum->unit)
        sodium_memzero(sum->unit + at, n * sizeof *sum->unit);
}

fm_status fm_dp_words_make(const fm_dp_words *w, uint8_t *words)
{
    const size_t word = fm_dp_word_bytes(w->sum->lattice.word_bits);
    workspace s;
    fm_status st;

    memset(&s, 0, sizeof s);
    st = begin(w, &s);
    for (size_t at = 0; st == FM_OK && at < w->sum->n; at += PIECE) {
        size_t n = w->sum->n - at < PIECE ? w->sum->n - at : PIECE;

        fetch_piece(w->sum, at, n);
        if ((st = make_piece(w, &s, at, n, words ? words + at * word : NULL)) == FM_OK)
            wipe_piece(w->sum, at, n);
    }
    end(&s);
    if (st == FM_OK)
        fm_dp_sum_wiped(w->sum);
    else
        fm_dp_sum_reset(w->sum);
    return st;
}
