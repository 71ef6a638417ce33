/* From a seed to samples: blocks, groups, and the choice of the instruction set. */
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "noise_internal.h"

#define RESIDUAL_WORDS (FM_GAUSS_SLOTS * FM_GAUSS_WORDS)
#define CHUNK_STAGES 64 /* stages of groups whose key stream is made at once: 12 KiB */
#define SIGMA_MAX32 0x1p26

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

/* clang 14 has no name for VAES: CPUID leaf 7, ECX bit 9; AES: leaf 1, ECX bit 25. */
static bool has_vaes(void)
{
    unsigned a, b, c = 0, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 25 & 1))
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 9 & 1);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("popcnt") && has_vaes();
}
#endif

const fm_gauss_path fm_gauss_paths[] = {
    { "portable", always, fm_gauss_scan_portable, fm_gauss_groups_portable, false },
#if defined(__x86_64__)
    { "avx2", has_avx2, fm_gauss_scan_avx2, fm_gauss_groups_avx2, false },
    { "avx512", has_avx512, fm_gauss_scan_avx512, fm_gauss_groups_avx512, true },
#endif
};
const size_t fm_gauss_path_count = sizeof fm_gauss_paths / sizeof *fm_gauss_paths;

/* Everything secret; wiped as a whole. */
typedef struct {
    fm_gauss_stream stream;
    fm_gauss_escapes escapes;
    uint8_t residual[4 * RESIDUAL_WORDS];
    uint32_t words[RESIDUAL_WORDS];
    int32_t magnitude[FM_GAUSS_SLOTS];
    uint8_t chunk[CHUNK_STAGES * FM_GAUSS_STAGE_BYTES];
    int32_t quad[FM_GAUSS_QUADS][FM_GAUSS_GROUP];
} workspace;

/* The residual samples of a block: the first 768 bytes of its key stream. */
static fm_status begin_block(const fm_dp_gaussian *g, const fm_gauss_path *path, workspace *w)
{
    fm_status st = fm_gauss_stream_next(&w->stream, w->residual, sizeof w->residual);

    if (st != FM_OK)
        return st;
    for (size_t i = 0; i < RESIDUAL_WORDS; i++)
        w->words[i] = fm_get_u32le(w->residual + 4 * i);
    path->scan(&g->residual, w->words, FM_GAUSS_SLOTS / FM_GAUSS_LANES, w->magnitude);
    for (size_t i = 0; i < FM_GAUSS_SLOTS; i++) {
        w->escapes.low[i] = (uint8_t)w->magnitude[i];
        w->escapes.high[i] = (uint8_t)(w->magnitude[i] >> 8);
    }
    w->escapes.used = 0;
    return FM_OK;
}

/* Into the first quad, whose weight is 1. */
static void combine32(const fm_dp_gaussian *g, workspace *w, int32_t *out, size_t take)
{
    for (uint32_t q = 1; q < g->quads; q++) {
        const uint32_t weight = (uint32_t)g->quad[q].weight;

        for (size_t i = 0; i < FM_GAUSS_GROUP; i++)
            w->quad[0][i] = (int32_t)((uint32_t)w->quad[0][i] + weight * (uint32_t)w->quad[q][i]);
    }
    memcpy(out, w->quad[0], take * sizeof *out);
}

static void combine64(const fm_dp_gaussian *g, const workspace *w, int64_t *out, size_t take)
{
    for (size_t i = 0; i < take; i++) {
        uint64_t x = 0;

        for (uint32_t q = 0; q < g->quads; q++)
            x += g->quad[q].weight * (uint64_t)w->quad[q][i];
        out[i] = (int64_t)x;
    }
}

/* One group of samples of any number of quads; one of the outputs is NULL. */
static void make_group(const fm_dp_gaussian *g, const fm_gauss_path *path, workspace *w,
                       const uint8_t *words, int32_t *out32, int64_t *out64, size_t take)
{
    for (uint32_t q = 0; q < g->quads; q++)
        path->groups(&g->alias, &g->quad[q], words + q * 4 * FM_GAUSS_STAGE_BYTES, 0, 1,
                     &w->escapes, w->quad[q]);
    if (out32)
        combine32(g, w, out32, take);
    else
        combine64(g, w, out64, take);
}

/* Samples in one chunk of key stream: n of them, whole groups but perhaps for the last. */
static void make_chunk(const fm_dp_gaussian *g, const fm_gauss_path *path, workspace *w,
                       int32_t *out32, int64_t *out64, size_t n)
{
    const size_t stride = g->stages * (size_t)FM_GAUSS_STAGE_BYTES;
    size_t done = 0;

    if (out32 && g->quads == 1) { /* the usual case, without a stop at each group */
        done = n / FM_GAUSS_GROUP * FM_GAUSS_GROUP;
        path->groups(&g->alias, &g->quad[0], w->chunk, stride, n / FM_GAUSS_GROUP, &w->escapes,
                     out32);
    }
    for (; done < n; done += FM_GAUSS_GROUP)
        make_group(g, path, w, w->chunk + done / FM_GAUSS_GROUP * stride,
                   out32 ? out32 + done : NULL, out64 ? out64 + done : NULL,
                   n - done < FM_GAUSS_GROUP ? n - done : FM_GAUSS_GROUP);
}

fm_status fm_gauss_expand(const fm_dp_gaussian *g, const fm_gauss_path *path,
                          const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out32,
                          int64_t *out64, size_t n)
{
    const size_t block = FM_GAUSS_BLOCK_STAGES / g->stages * FM_GAUSS_GROUP;
    const size_t chunk = CHUNK_STAGES / g->stages * FM_GAUSS_GROUP;
    size_t left = 0; /* in the block */
    workspace w;
    fm_status st = fm_gauss_stream_init(&w.stream, path->own_stream, seed);

    while (st == FM_OK && n > 0) {
        size_t take, groups;

        if (left == 0) {
            left = block;
            if ((st = begin_block(g, path, &w)) != FM_OK)
                break;
        }
        take = n < left ? n : left;
        take = take < chunk ? take : chunk;
        groups = (take + FM_GAUSS_GROUP - 1) / FM_GAUSS_GROUP;
        st = fm_gauss_stream_next(&w.stream, w.chunk, groups * g->stages * FM_GAUSS_STAGE_BYTES);
        if (st != FM_OK)
            break;
        make_chunk(g, path, &w, out32, out64, take);
        out32 = out32 ? out32 + take : NULL;
        out64 = out64 ? out64 + take : NULL;
        n -= take;
        left -= take;
    }
    fm_gauss_stream_fini(&w.stream);
    sodium_memzero(&w, sizeof w);
    return st;
}

static const fm_gauss_path *best_path(void)
{
    size_t i = fm_gauss_path_count - 1;

    while (!fm_gauss_paths[i].available())
        i--;
    return &fm_gauss_paths[i];
}

fm_status fm_dp_gaussian_expand(const fm_dp_gaussian *g, const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                                int32_t *out, size_t n)
{
    if (!g || !seed || (!out && n > 0) || g->sigma > SIGMA_MAX32)
        return fm_fail(FM_EINVAL, "noise: missing argument, or sigma above 2^26 for 32 bits");
    return fm_gauss_expand(g, best_path(), seed, out, NULL, n);
}

fm_status fm_dp_gaussian_expand64(const fm_dp_gaussian *g,
                                  const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int64_t *out,
                                  size_t n)
{
    if (!g || !seed || (!out && n > 0))
        return fm_fail(FM_EINVAL, "noise: missing argument");
    return fm_gauss_expand(g, best_path(), seed, NULL, out, n);
}

fm_status fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out, size_t n)
{
    uint8_t seed[FM_DP_NOISE_SEED_BYTES];
    fm_status st;

    rng->fill(rng->state, seed, sizeof seed);
    st = fm_dp_gaussian_expand(g, seed, out, n);
    sodium_memzero(seed, sizeof seed);
    return st;
}

fm_status fm_dp_gaussian_sample64(const fm_dp_gaussian *g, fm_rng *rng, int64_t *out, size_t n)
{
    uint8_t seed[FM_DP_NOISE_SEED_BYTES];
    fm_status st;

    rng->fill(rng->state, seed, sizeof seed);
    st = fm_dp_gaussian_expand64(g, seed, out, n);
    sodium_memzero(seed, sizeof seed);
    return st;
}
