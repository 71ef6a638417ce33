/* From a seed to samples: blocks, groups, and the choice of the instruction set. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "noise_internal.h"

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
bool fm_gauss_has_vaes(void)
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
           __builtin_cpu_supports("popcnt") && fm_gauss_has_vaes();
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

/* The residual samples of a block: the first 768 bytes of its key stream. */
static fm_status begin_block(fm_gauss_run *w)
{
    fm_status st = fm_gauss_stream_next(&w->stream, w->residual, sizeof w->residual);

    if (st != FM_OK)
        return st;
    for (size_t i = 0; i < FM_GAUSS_RESIDUAL_WORDS; i++)
        w->words[i] = fm_get_u32le(w->residual + 4 * i);
    w->path->scan(&w->g->residual, w->words, FM_GAUSS_SLOTS / FM_GAUSS_LANES, w->magnitude);
    for (size_t i = 0; i < FM_GAUSS_SLOTS; i++) {
        w->escapes.low[i] = (uint8_t)w->magnitude[i];
        w->escapes.high[i] = (uint8_t)(w->magnitude[i] >> 8);
    }
    w->escapes.used = 0;
    return FM_OK;
}

/* Into the first quad, whose weight is 1. */
static void combine32(fm_gauss_run *w, int32_t *out, size_t take)
{
    const fm_dp_gaussian *g = w->g;

    for (uint32_t q = 1; q < g->quads; q++) {
        const uint32_t weight = (uint32_t)g->quad[q].weight;

        for (size_t i = 0; i < FM_GAUSS_GROUP; i++)
            w->quad[0][i] = (int32_t)((uint32_t)w->quad[0][i] + weight * (uint32_t)w->quad[q][i]);
    }
    memcpy(out, w->quad[0], take * sizeof *out);
}

static void combine64(const fm_gauss_run *w, int64_t *out, size_t take)
{
    const fm_dp_gaussian *g = w->g;

    for (size_t i = 0; i < take; i++) {
        uint64_t x = 0;

        for (uint32_t q = 0; q < g->quads; q++)
            x += g->quad[q].weight * (uint64_t)w->quad[q][i];
        out[i] = (int64_t)x;
    }
}

/* One group of samples of any number of quads; one of the outputs is NULL. */
static void make_group(fm_gauss_run *w, const uint8_t *words, int32_t *out32, int64_t *out64,
                       size_t take)
{
    for (uint32_t q = 0; q < w->g->quads; q++)
        w->path->groups(&w->g->alias, &w->g->quad[q], words + q * 4 * FM_GAUSS_STAGE_BYTES, 0, 1,
                        &w->escapes, w->quad[q]);
    if (out32)
        combine32(w, out32, take);
    else
        combine64(w, out64, take);
}

/* Samples in one chunk of key stream: n of them, whole groups but perhaps for the last. */
static void make_chunk(fm_gauss_run *w, int32_t *out32, int64_t *out64, size_t n)
{
    const size_t stride = w->g->stages * (size_t)FM_GAUSS_STAGE_BYTES;
    size_t done = 0;

    if (out32 && w->g->quads == 1) { /* the usual case, without a stop at each group */
        done = n / FM_GAUSS_GROUP * FM_GAUSS_GROUP;
        w->path->groups(&w->g->alias, &w->g->quad[0], w->chunk, stride, n / FM_GAUSS_GROUP,
                        &w->escapes, out32);
    }
    for (; done < n; done += FM_GAUSS_GROUP)
        make_group(w, w->chunk + done / FM_GAUSS_GROUP * stride, out32 ? out32 + done : NULL,
                   out64 ? out64 + done : NULL,
                   n - done < FM_GAUSS_GROUP ? n - done : FM_GAUSS_GROUP);
}

fm_status fm_gauss_run_begin(fm_gauss_run *r, const fm_dp_gaussian *g, const fm_gauss_path *path,
                             const uint8_t seed[FM_DP_NOISE_SEED_BYTES])
{
    r->g = g;
    r->path = path;
    r->left = 0;
    return fm_gauss_stream_init(&r->stream, path->own_stream, seed);
}

fm_status fm_gauss_run_next(fm_gauss_run *r, int32_t *out32, int64_t *out64, size_t n)
{
    const size_t stages = r->g->stages;
    const size_t chunk = FM_GAUSS_CHUNK_STAGES / stages * FM_GAUSS_GROUP;
    fm_status st;

    while (n > 0) {
        size_t take, groups;

        if (r->left == 0) {
            r->left = FM_GAUSS_BLOCK_STAGES / stages * FM_GAUSS_GROUP;
            if ((st = begin_block(r)) != FM_OK)
                return st;
        }
        take = n < r->left ? n : r->left;
        take = take < chunk ? take : chunk;
        groups = (take + FM_GAUSS_GROUP - 1) / FM_GAUSS_GROUP;
        st = fm_gauss_stream_next(&r->stream, r->chunk, groups * stages * FM_GAUSS_STAGE_BYTES);
        if (st != FM_OK)
            return st;
        make_chunk(r, out32, out64, take);
        out32 = out32 ? out32 + take : NULL;
        out64 = out64 ? out64 + take : NULL;
        n -= take;
        r->left -= take;
    }
    return FM_OK;
}

void fm_gauss_run_end(fm_gauss_run *r)
{
    fm_gauss_stream_fini(&r->stream);
    sodium_memzero(r, sizeof *r);
}

fm_status fm_gauss_expand(const fm_dp_gaussian *g, const fm_gauss_path *path,
                          const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out32,
                          int64_t *out64, size_t n)
{
    fm_gauss_run r;
    fm_status st = fm_gauss_run_begin(&r, g, path, seed);

    if (st == FM_OK)
        st = fm_gauss_run_next(&r, out32, out64, n);
    fm_gauss_run_end(&r);
    return st;
}

/* Asking the processor is slow in a virtual machine: once is enough, and twice does no harm. */
const fm_gauss_path *fm_gauss_best_path(void)
{
    static atomic_size_t known; /* 1 + index; 0: not asked yet */
    size_t i = atomic_load_explicit(&known, memory_order_relaxed);

    if (i > 0)
        return &fm_gauss_paths[i - 1];
    i = fm_gauss_path_count;
    while (!fm_gauss_paths[i - 1].available())
        i--;
    atomic_store_explicit(&known, i, memory_order_relaxed);
    return &fm_gauss_paths[i - 1];
}

fm_status fm_dp_gaussian_expand(const fm_dp_gaussian *g, const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                                int32_t *out, size_t n)
{
    if (!g || !seed || (!out && n > 0) || g->sigma > SIGMA_MAX32)
        return fm_fail(FM_EINVAL, "noise: missing argument, or sigma above 2^26 for 32 bits");
    return fm_gauss_expand(g, fm_gauss_best_path(), seed, out, NULL, n);
}

fm_status fm_dp_gaussian_expand64(const fm_dp_gaussian *g,
                                  const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int64_t *out,
                                  size_t n)
{
    if (!g || !seed || (!out && n > 0))
        return fm_fail(FM_EINVAL, "noise: missing argument");
    return fm_gauss_expand(g, fm_gauss_best_path(), seed, NULL, out, n);
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
