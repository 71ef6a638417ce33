/* 64 columns at a time, four products in one step. */
#include "int8_levels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "int8_avx512.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

typedef __m512i vw;

/* The instruction takes u8 times s8: w + 128 is w with its highest bit turned over. Sums have
 * 128 times the sum of x too much (`offset`); they are exact mod 2^32, and so is the difference. */
TARGET __attribute__((always_inline)) static inline vw prepare(__m512i w)
{
    return _mm512_xor_si512(w, _mm512_set1_epi8(-128));
}

TARGET __attribute__((always_inline)) static inline __m512i dot(__m512i sum, vw w, __m512i x)
{
    return _mm512_dpbusd_epi32(sum, w, x);
}

#include "int8_template512.h"

TARGET static uint32_t offset(const int8_t *x, size_t n)
{
    const __m512i each = _mm512_set1_epi8(-128);
    __m512i sum = _mm512_setzero_si512();
    size_t c = 0;

    for (; c + BYTES <= n; c += BYTES)
        sum = _mm512_dpbusd_epi32(sum, each, load(x + c));
    if (c < n)
        sum = _mm512_dpbusd_epi32(sum, each, load_part(x + c, n - c));
    return (uint32_t)_mm512_reduce_add_epi32(sum);
}

const fm_int8_kernels fm_int8_vnni = { tile, rows, offset, fm_int8_floats_avx512,
                                       fm_int8_quantise_avx512 };
#endif
