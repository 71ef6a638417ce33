/* 64 columns at a time, without VNNI; and what both levels of AVX-512 share. */
#include "int8_levels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "int8_avx512.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

/* Magnitude, and where the sign is minus. */
typedef struct {
    __m512i size;
    __mmask64 minus;
} vw;

TARGET __attribute__((always_inline)) static inline vw prepare(__m512i w)
{
    return (vw){ _mm512_abs_epi8(w), _mm512_movepi8_mask(w) };
}

/* |w| and x with w's sign: u8 times s8, two products in 16 bits. 2 * 128 * 127 stays below 2^15,
 * so that nothing saturates. */
TARGET __attribute__((always_inline)) static inline __m512i dot(__m512i sum, vw w, __m512i x)
{
    const __m512i turned = _mm512_mask_sub_epi8(x, w.minus, _mm512_setzero_si512(), x);
    const __m512i pairs = _mm512_maddubs_epi16(w.size, turned);

    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "int8_template512.h"

STEP __mmask16 first(size_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

STEP float sum_lanes(__m512 v)
{
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));

    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

TARGET void fm_int8_floats_avx512(const int8_t *const w[FM_INT8_TILE], const float *x, size_t n,
                                  float out[FM_INT8_TILE])
{
    __m512 sum[FM_INT8_TILE];

    for (int r = 0; r < FM_INT8_TILE; r++)
        sum[r] = _mm512_setzero_ps();
    for (size_t c = 0; c < n; c += 16) {
        const __mmask16 m = first(n - c);
        const __m512 xv = _mm512_maskz_loadu_ps(m, x + c);

        for (int r = 0; r < FM_INT8_TILE; r++) {
            const __m512i wide = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, w[r] + c));

            sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(xv, _mm512_cvtepi32_ps(wide)));
        }
    }
    for (int r = 0; r < FM_INT8_TILE; r++)
        out[r] = sum_lanes(sum[r]);
}

TARGET bool fm_int8_quantise_avx512(const float *x, size_t n, int8_t *q, float *scale)
{
    const __m512i infinity = _mm512_set1_epi32(0x7f800000), top = _mm512_set1_epi32(127);
    __m512i most = _mm512_setzero_si512();
    __m512 by;

    /* Of numbers without sign the bits are ordered as the numbers are. */
    for (size_t c = 0; c < n; c += 16) {
        const __m512 v = _mm512_abs_ps(_mm512_maskz_loadu_ps(first(n - c), x + c));

        most = _mm512_max_epi32(most, _mm512_castps_si512(v));
    }
    if (_mm512_cmpge_epi32_mask(most, infinity))
        return false;
    *scale = _mm512_reduce_max_ps(_mm512_castsi512_ps(most)) / 127.0f;
    if (!(*scale > 0.0f)) {
        memset(q, 0, n);
        return true;
    }
    by = _mm512_set1_ps(*scale);
    for (size_t c = 0; c < n; c += 16) {
        const __mmask16 m = first(n - c);
        const __m512i v = _mm512_cvtps_epi32(_mm512_div_ps(_mm512_maskz_loadu_ps(m, x + c), by));
        const __m512i within = _mm512_max_epi32(_mm512_min_epi32(v, top), _mm512_set1_epi32(-127));

        _mm_mask_storeu_epi8(q + c, m, _mm512_cvtepi32_epi8(within));
    }
    return true;
}

const fm_int8_kernels fm_int8_avx512 = { tile, rows, NULL, fm_int8_floats_avx512,
                                         fm_int8_quantise_avx512 };
#endif
