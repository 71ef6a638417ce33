/*
 * The words of an update in pieces that stay in the first-level cache: what is read of memory is the
 * sum, and what is written the words, once each.
 */
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
        if ((st = fm_dp_mask_begin(&s->mask[i], path, w->mask_seeds[i])) != FM_OK)
            return st;
    }
    return FM_OK;
}

/*
 * words = round((sum + noise) / 2^shift) for the coordinates from `at` on. One half is added before
 * the low bits fall off; |sum + noise| < 2^53, so the offset of 2^62 makes all positive, and falls
 * off as a multiple of 2^32.
 */
static void add_and_round(const fm_dp_sum *sum, size_t at, size_t n, const int32_t *noise,
                          uint32_t *words)
{
    const unsigned shift = sum->lattice.shift;
    const uint64_t offset = ((uint64_t)1 << 62) + (((uint64_t)1 << shift) >> 1);
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
        add_and_round(w->sum, at, n, s->noise, words);
    }
    for (uint32_t l = 0; l < w->levels; l++) {
        if ((st = fm_gauss_run_next(&s->run[l], s->noise, NULL, n)) != FM_OK)
            return st;
        if (w->kept)
            memcpy(w->kept + l * w->sum->n + at, s->noise, n * sizeof *s->noise);
        if (l == 0)
            add_and_round(w->sum, at, n, s->noise, words);
        for (size_t i = 0; l > 0 && i < n; i++)
            words[i] += (uint32_t)s->noise[i];
    }
    return FM_OK;
}

static fm_status add_masks(const fm_dp_words *w, workspace *s, size_t n, uint32_t *words)
{
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < w->masks; i++)
        st = fm_dp_mask_next(&s->mask[i], words, n, w->signs[i]);
    return st;
}

static void to_bytes(uint32_t *words, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < n; i++)
        words[i] = __builtin_bswap32(words[i]);
#else
    (void)words; /* they are in order already */
    (void)n;
#endif
}

static fm_status make_piece(const fm_dp_words *w, workspace *s, size_t at, size_t n,
                            uint32_t *words)
{
    fm_status st = add_noise(w, s, at, n, words);

    return st == FM_OK ? add_masks(w, s, n, words) : st;
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

fm_status fm_dp_words_make(const fm_dp_words *w, uint32_t *words)
{
    workspace s;
    fm_status st;

    memset(&s, 0, sizeof s);
    st = begin(w, &s);
    for (size_t at = 0; st == FM_OK && at < w->sum->n; at += PIECE) {
        size_t n = w->sum->n - at < PIECE ? w->sum->n - at : PIECE;
        uint32_t *piece = words ? words + at : s.words;

        fetch_piece(w->sum, at, n);
        if ((st = make_piece(w, &s, at, n, piece)) == FM_OK) {
            if (words) {
                to_bytes(piece, n);
            } else {
                fm_dp_decode_sum(&w->sum->lattice, piece, n, s.decoded);
                w->take(w->take_ctx, at, s.decoded, n);
            }
            wipe_piece(w->sum, at, n);
        }
    }
    end(&s);
    if (st == FM_OK)
        fm_dp_sum_wiped(w->sum);
    else
        fm_dp_sum_reset(w->sum);
    return st;
}
