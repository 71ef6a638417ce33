/*
 * AES-256-CTR by vector instructions (VAES, four blocks in a register, eight registers at a time),
 * bit for bit OpenSSL's: a test compares them. A kernel: exempt from the size rule.
 */
#include "noise_internal.h"

#if defined(__x86_64__)
#if defined(FM_GAUSS_EMULATED) /* see noise_avx512.c */
#include "avx512_emulated.h"
#define TARGET __attribute__((target("aes,sse4.1")))
#else
#include <immintrin.h>
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,vaes,aes")))
#endif
#define ROUNDS 14
#define AT_ONCE 8 /* registers in flight: hides the latency of a round */

/* FIPS 197, section 5.2: t = w[i-1] through SubWord (and RotWord, Rcon for even steps). */
#define TARGET_AES __attribute__((target("aes,sse4.1"), always_inline)) static inline

TARGET_AES __m128i fold(__m128i w, __m128i t)
{
    w = _mm_xor_si128(w, _mm_slli_si128(w, 4));
    w = _mm_xor_si128(w, _mm_slli_si128(w, 8));
    return _mm_xor_si128(w, t);
}

#define EVEN_STEP(rcon)                                                         \
    a = fold(a, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(b, (rcon)), 0xff)); \
    _mm_storeu_si128((__m128i *)round_key[n++], a)
#define ODD_STEP()                                                         \
    b = fold(b, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(a, 0), 0xaa)); \
    _mm_storeu_si128((__m128i *)round_key[n++], b)

__attribute__((target("aes,sse4.1"))) void
fm_gauss_aes_expand_key(const uint8_t key[FM_DP_NOISE_SEED_BYTES], uint8_t round_key[15][16])
{
    __m128i a = _mm_loadu_si128((const __m128i *)key);
    __m128i b = _mm_loadu_si128((const __m128i *)(key + 16));
    int n = 0;

    _mm_storeu_si128((__m128i *)round_key[n++], a);
    _mm_storeu_si128((__m128i *)round_key[n++], b);
    EVEN_STEP(0x01);
    ODD_STEP();
    EVEN_STEP(0x02);
    ODD_STEP();
    EVEN_STEP(0x04);
    ODD_STEP();
    EVEN_STEP(0x08);
    ODD_STEP();
    EVEN_STEP(0x10);
    ODD_STEP();
    EVEN_STEP(0x20);
    ODD_STEP();
    EVEN_STEP(0x40);
}

TARGET void fm_gauss_aes_stream(const uint8_t round_key[15][16], uint64_t counter, uint8_t *out,
                                size_t len)
{
    /* 128-bit counters as (low, high) words; their bytes are reversed for the cipher. */
    const __m512i reverse =
        _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m512i count = _mm512_add_epi64(_mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0),
                                     _mm512_maskz_set1_epi64(0x55, (long long)counter));
    const __m512i four = _mm512_maskz_set1_epi64(0x55, 4);
    __m512i k[ROUNDS + 1];

#pragma GCC unroll 16
    for (int r = 0; r <= ROUNDS; r++)
        k[r] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)round_key[r]));
    while (len > 0) {
        size_t lines = len / 64 < AT_ONCE ? len / 64 : AT_ONCE;
        __m512i x[AT_ONCE];

#pragma GCC unroll 16
        for (size_t i = 0; i < AT_ONCE; i++) {
            x[i] = _mm512_xor_si512(_mm512_shuffle_epi8(count, reverse), k[0]);
            count = _mm512_add_epi64(count, four);
        }
#pragma GCC unroll 16
        for (int r = 1; r < ROUNDS; r++)
#pragma GCC unroll 16
            for (size_t i = 0; i < AT_ONCE; i++)
                x[i] = _mm512_aesenc_epi128(x[i], k[r]);
#pragma GCC unroll 16
        for (size_t i = 0; i < AT_ONCE; i++) {
            x[i] = _mm512_aesenclast_epi128(x[i], k[ROUNDS]);
            if (i < lines)
                _mm512_storeu_si512(out + 64 * i, x[i]);
        }
        out += 64 * lines;
        len -= 64 * lines;
    }
}
#endif
