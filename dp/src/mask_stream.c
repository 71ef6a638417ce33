/* Masks, piece by piece: the choice of the kernel, what is left of a group, and OpenSSL's way. */
#include <stdatomic.h>
#include <string.h>

#include <sodium.h>

#include "mask_internal.h"

#define PORTABLE_BYTES ((size_t)16384) /* of key stream at once; stays in the first-level cache */

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_aesni(void)
{
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

static bool has_vaes256(void)
{
    return has_aesni() && __builtin_cpu_supports("avx2") && fm_gauss_has_vaes();
}

static bool has_vaes512(void)
{
    return has_vaes256() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

const fm_dp_mask_path fm_dp_mask_paths[] = {
    { "OpenSSL", always, NULL },
#if defined(__x86_64__)
    { "AES-NI", has_aesni, fm_dp_mask_aesni },
    { "VAES, AVX2", has_vaes256, fm_dp_mask_vaes256 },
    { "VAES, AVX-512", has_vaes512, fm_dp_mask_vaes512 },
#endif
};
const size_t fm_dp_mask_path_count = sizeof fm_dp_mask_paths / sizeof *fm_dp_mask_paths;

/* As fm_gauss_best_path: once is enough, and twice does no harm. */
const fm_dp_mask_path *fm_dp_mask_best_path(void)
{
    static atomic_size_t known; /* 1 + index; 0: not asked yet */
    size_t i = atomic_load_explicit(&known, memory_order_relaxed);

    if (i == 0) {
        i = fm_dp_mask_path_count;
        while (!fm_dp_mask_paths[i - 1].available())
            i--;
        atomic_store_explicit(&known, i, memory_order_relaxed);
    }
    return &fm_dp_mask_paths[i - 1];
}

fm_status fm_dp_mask_begin(fm_dp_mask_stream *s, const fm_dp_mask_path *path, unsigned word_bits,
                           const uint8_t seed[FM_DP_KEY_BYTES])
{
    s->path = path;
    s->word_bits = word_bits;
    return fm_gauss_stream_init(&s->keys, path->kernel != NULL, seed);
}

/* One block after the other: the key stream is added while it is still in the cache. */
static fm_status add_openssl(fm_dp_mask_stream *s, uint8_t *sum, size_t bytes, int sign)
{
    _Alignas(64) uint8_t stream[PORTABLE_BYTES];
    const size_t most = bytes < sizeof stream ? bytes : sizeof stream; /* that the buffer held */
    const size_t word = fm_dp_sum_word_bytes(s->word_bits);
    fm_status st = FM_OK;

    while (bytes > 0 && st == FM_OK) {
        size_t piece = bytes < most ? bytes : most;

        st = fm_gauss_stream_next(&s->keys, stream, (piece + 63) / 64 * 64);
        if (st == FM_OK)
            fm_dp_mask_words(s->word_bits, sum, piece / word, stream, sign);
        sum += piece;
        bytes -= piece;
    }
    sodium_memzero(stream, (most + 63) / 64 * 64);
    return st;
}

static void add_kernel(fm_dp_mask_stream *s, uint8_t *sum, size_t bytes, int sign)
{
    const uint8_t(*keys)[16] = (const uint8_t(*)[16])s->keys.round_key;
    const size_t groups = bytes / FM_DP_MASK_GROUP_BYTES, left = bytes % FM_DP_MASK_GROUP_BYTES;
    const uint64_t at = s->keys.counter / FM_DP_MASK_GROUP_BLOCKS;
    const bool narrow = s->word_bits == 16;
    uint8_t rest[FM_DP_MASK_GROUP_BYTES];

    s->path->kernel(keys, at, sum, groups, narrow, sign);
    s->keys.counter += FM_DP_MASK_GROUP_BLOCKS * groups;
    if (left == 0)
        return;
    memset(rest, 0, sizeof rest);
    memcpy(rest, sum + FM_DP_MASK_GROUP_BYTES * groups, left);
    s->path->kernel(keys, at + groups, rest, 1, narrow, sign);
    s->keys.counter += FM_DP_MASK_GROUP_BLOCKS;
    memcpy(sum + FM_DP_MASK_GROUP_BYTES * groups, rest, left);
    sodium_memzero(rest, sizeof rest);
}

fm_status fm_dp_mask_next(fm_dp_mask_stream *s, void *sum, size_t n, int sign)
{
    const size_t bytes = n * fm_dp_sum_word_bytes(s->word_bits);

    if (!s->path->kernel)
        return add_openssl(s, sum, bytes, sign);
    add_kernel(s, sum, bytes, sign);
    return FM_OK;
}

void fm_dp_mask_end(fm_dp_mask_stream *s)
{
    fm_gauss_stream_fini(&s->keys);
    s->path = NULL;
}
