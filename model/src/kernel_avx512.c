/* Sixteen floats at a time, with fused multiply-add and words of 16 bits. */
#include "kernel_levels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16
#define ROWS 12
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))

#include "kernel_vectors.h"

#define STEP TARGET __attribute__((always_inline)) static inline

STEP vf madd(vf x, vf b, vf c)
{
    return _mm512_fmadd_ps(x, b, c);
}

/* The second operand is what comes of a NaN; its integer is 0x80000000. */
STEP vi to_int(vf x)
{
    const __m512 most = _mm512_set1_ps(32767.0f), least = _mm512_set1_ps(-32767.0f);

    return (vi)_mm512_cvtps_epi32(_mm512_max_ps(least, _mm512_min_ps(most, x)));
}

STEP __mmask16 first(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

STEP vf load_part(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(first(n), p);
}

STEP void store_part(float *p, vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, first(n), v);
}

/* Pairs, quads, halves and quarters of rows change places. */
STEP void transpose(float *to, const float *from, size_t stride, float scale)
{
    __m512 a[16], b[16];

#pragma GCC unroll 16
    for (size_t l = 0; l < 16; l++)
        a[l] = _mm512_mul_ps(_mm512_loadu_ps(from + l * stride), _mm512_set1_ps(scale));
#pragma GCC unroll 8
    for (size_t l = 0; l < 16; l += 2) {
        b[l] = _mm512_unpacklo_ps(a[l], a[l + 1]);
        b[l + 1] = _mm512_unpackhi_ps(a[l], a[l + 1]);
    }
    /* a[l + i]: column i of each lane of 128 bits, rows l .. l + 3 */
#pragma GCC unroll 4
    for (size_t l = 0; l < 16; l += 4) {
        a[l] = _mm512_shuffle_ps(b[l], b[l + 2], 0x44);
        a[l + 1] = _mm512_shuffle_ps(b[l], b[l + 2], 0xee);
        a[l + 2] = _mm512_shuffle_ps(b[l + 1], b[l + 3], 0x44);
        a[l + 3] = _mm512_shuffle_ps(b[l + 1], b[l + 3], 0xee);
    }
    /* b[i], b[4 + i]: rows 0 .. 7 of columns i, 8 + i and 4 + i, 12 + i; b[8 + i], ... of the rest */
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd);
        b[8 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0xdd);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        _mm512_storeu_ps(to + i * FM_PANEL, _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88));
        _mm512_storeu_ps(to + (8 + i) * FM_PANEL, _mm512_shuffle_f32x4(b[i], b[8 + i], 0xdd));
    }
}

STEP vi dot2(vi x, vi b, vi c)
{
    return (vi)_mm512_add_epi32((__m512i)c, _mm512_madd_epi16((__m512i)x, (__m512i)b));
}

#include "kernel_template.h"

const fm_kernels fm_kernels_avx512 = LEVEL_KERNELS;
#endif
