#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/kernel.h"
#include "watermark_internal.h"

struct fm_watermark_text {
    const fm_watermark *mark;
    fm_watermark_options options;
    size_t vocabulary;
    fm_watermark_seen seen;
    uint64_t *room;  /* [vocabulary] of a stream */
    uint64_t *words; /* [vocabulary] of the candidates */
};

fm_status fm_watermark_text_new(const fm_watermark *w, size_t vocabulary, fm_watermark_text **out)
{
    fm_watermark_text *t = NULL;
    void *block = NULL, *room = NULL, *words = NULL;
    fm_status st;

    if (!w || !out || vocabulary < 1 || vocabulary > UINT32_MAX)
        return fm_fail(FM_EINVAL, "watermark: a vocabulary of %zu tokens", vocabulary);
    if ((st = fm_alloc(1, sizeof *t, &block)) ||
        (st = fm_alloc(vocabulary, sizeof(uint64_t), &room)) ||
        (st = fm_alloc(vocabulary, sizeof(uint64_t), &words))) {
        free(room);
        free(block);
        return st;
    }
    t = block;
    *t = (fm_watermark_text){ .mark = w,
                              .options = fm_watermark_get_options(w),
                              .vocabulary = vocabulary,
                              .room = room,
                              .words = words };
    *out = t;
    return FM_OK;
}

void fm_watermark_text_free(fm_watermark_text **t)
{
    if (!t || !*t)
        return;
    fm_watermark_seen_fini(&(*t)->seen);
    sodium_memzero((*t)->room, (*t)->vocabulary * sizeof *(*t)->room);
    sodium_memzero((*t)->words, (*t)->vocabulary * sizeof *(*t)->words);
    free((*t)->room);
    free((*t)->words);
    free(*t);
    *t = NULL;
}

void fm_watermark_text_reset(fm_watermark_text *t)
{
    fm_watermark_seen_clear(&t->seen);
}

/* ---- the tournament ---- */

/* p's sums are made in as many parts on every processor, so that everywhere the same bits come out.
 */
#define LANES 8
typedef double lanes_of __attribute__((vector_size(8 * LANES)));
typedef uint64_t words_of __attribute__((vector_size(8 * LANES)));
#define INLINE __attribute__((always_inline)) static inline

INLINE double sum_of(const lanes_of *v)
{
    double sum = 0.0;

    for (size_t i = 0; i < LANES; i++)
        sum += (*v)[i];
    return sum;
}

/* One round: p_i *= 1 + g_i - won, where `won` is the sum of p g of this round. @return that of the
 * next one (of the 64th round, which has none, anything). */
INLINE double play_one(double *p, const uint64_t *g, size_t count, unsigned layer, double won)
{
    const words_of ones = (words_of)(lanes_of){ 1, 1, 1, 1, 1, 1, 1, 1 }, none = { 0 };
    const unsigned then = layer < 63 ? layer + 1 : layer;
    const double lost = 1.0 - won, kept = 2.0 - won;
    lanes_of sum = { 0.0 };
    double rest = 0.0;
    size_t i = 0;

    for (; i + LANES <= count; i += LANES) {
        lanes_of v;
        words_of w;

        memcpy(&v, p + i, sizeof v);
        memcpy(&w, g + i, sizeof w);
        v *= lost + (lanes_of)((none - (w >> layer & 1)) & ones);
        memcpy(p + i, &v, sizeof v);
        sum += (lanes_of)((words_of)v & (none - (w >> then & 1)));
    }
    for (; i < count; i++) {
        p[i] *= g[i] >> layer & 1 ? kept : lost;
        rest += g[i] >> then & 1 ? p[i] : 0.0;
    }
    return sum_of(&sum) + rest;
}

INLINE void play(double *p, const uint64_t *g, size_t count, size_t layers)
{
    double won = 0.0;

    for (size_t i = 0; i < count; i++)
        won += g[i] & 1 ? p[i] : 0.0;
    for (unsigned l = 0; l < layers; l++)
        won = play_one(p, g, count, l, won);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void play_avx2(double *p, const uint64_t *g, size_t count,
                                                      size_t layers)
{
    play(p, g, count, layers);
}

__attribute__((target("avx512f,avx512dq"))) static void play_avx512(double *p, const uint64_t *g,
                                                                    size_t count, size_t layers)
{
    play(p, g, count, layers);
}
#endif

void fm_watermark_play(double *p, const uint64_t *g, size_t count, size_t layers)
{
#if defined(__x86_64__)
    const fm_level level = fm_kernel_level();

    if (level >= FM_LEVEL_AVX512) {
        play_avx512(p, g, count, layers);
        return;
    }
    if (level >= FM_LEVEL_AVX2) {
        play_avx2(p, g, count, layers);
        return;
    }
#endif
    play(p, g, count, layers);
}

/* ---- red and green ---- */

static void raise_green(double *p, const uint64_t *g, size_t count, const fm_watermark_options *o)
{
    const uint64_t below = fm_watermark_green_below(o->gamma);
    const double by = exp(o->delta);
    double sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        if (g[i] < below)
            p[i] *= by;
        sum += p[i];
    }
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

static fm_status check(const fm_watermark_text *t, const uint32_t *before, size_t n,
                       const uint32_t *ids, const double *p, size_t count, uint32_t *max_id)
{
    uint32_t most = 0;

    if (!t || !ids || !p || count < 1 || count > t->vocabulary || (n && !before))
        return fm_fail(FM_EINVAL, "watermark: %zu candidates", count);
    for (size_t i = 0; i < count; i++)
        most = ids[i] > most ? ids[i] : most;
    if (most >= t->vocabulary)
        return fm_fail(FM_EINVAL, "watermark: token %u of a vocabulary of %zu", (unsigned)most,
                       t->vocabulary);
    *max_id = most;
    return FM_OK;
}

fm_status fm_watermark_apply(fm_watermark_text *t, const uint32_t *before, size_t n,
                             const uint32_t *ids, double *p, size_t count)
{
    fm_watermark_context context;
    uint32_t max_id;
    bool fresh = false;
    fm_status st = check(t, before, n, ids, p, count, &max_id);

    if (st || n < t->options.window)
        return st;
    fm_watermark_see(t->mark, before, n, &context);
    st = fm_watermark_seen_add(&t->seen, context.name, &fresh);
    if (!st && fresh) {
        fm_watermark_words(&context, ids, count, max_id, t->room, t->words);
        if (t->options.kind == FM_WATERMARK_TOURNAMENT)
            fm_watermark_play(p, t->words, count, t->options.layers);
        else
            raise_green(p, t->words, count, &t->options);
    }
    sodium_memzero(&context, sizeof context);
    return st;
}
