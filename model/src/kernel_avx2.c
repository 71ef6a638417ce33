/* Eight floats at a time, with fused multiply-add. */
#include "kernel_levels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define ROWS 6
#define TARGET __attribute__((target("avx2,fma")))

#include "kernel_vectors.h"

#define STEP TARGET __attribute__((always_inline)) static inline

STEP vf madd(vf x, vf b, vf c)
{
    return _mm256_fmadd_ps(x, b, c);
}

STEP vi dot2(vi x, vi b, vi c)
{
    return (vi)_mm256_add_epi32((__m256i)c, _mm256_madd_epi16((__m256i)x, (__m256i)b));
}

/* The second operand is what comes of a NaN; its integer is 0x80000000. */
STEP vi to_int(vf x)
{
    const __m256 most = _mm256_set1_ps(32767.0f), least = _mm256_set1_ps(-32767.0f);

    return (vi)_mm256_cvtps_epi32(_mm256_max_ps(least, _mm256_min_ps(most, x)));
}

/* -1 in the first n lanes. */
STEP __m256i first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

STEP vf load_part(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first(n));
}

STEP void store_part(float *p, vf v, size_t n)
{
    _mm256_maskstore_ps(p, first(n), v);
}

/* Pairs, quads and halves of rows change places. */
STEP void transpose(float *to, const float *from, size_t stride, float scale)
{
    __m256 a[8], b[8];

#pragma GCC unroll 8
    for (size_t l = 0; l < 8; l++)
        a[l] = _mm256_mul_ps(_mm256_loadu_ps(from + l * stride), _mm256_set1_ps(scale));
#pragma GCC unroll 4
    for (size_t l = 0; l < 8; l += 2) {
        b[l] = _mm256_unpacklo_ps(a[l], a[l + 1]);
        b[l + 1] = _mm256_unpackhi_ps(a[l], a[l + 1]);
    }
#pragma GCC unroll 2
    for (size_t l = 0; l < 8; l += 4) {
        a[l] = _mm256_shuffle_ps(b[l], b[l + 2], 0x44);
        a[l + 1] = _mm256_shuffle_ps(b[l], b[l + 2], 0xee);
        a[l + 2] = _mm256_shuffle_ps(b[l + 1], b[l + 3], 0x44);
        a[l + 3] = _mm256_shuffle_ps(b[l + 1], b[l + 3], 0xee);
    }
#pragma GCC unroll 4
    for (size_t l = 0; l < 4; l++) {
        _mm256_storeu_ps(to + l * FM_PANEL, _mm256_permute2f128_ps(a[l], a[l + 4], 0x20));
        _mm256_storeu_ps(to + (l + 4) * FM_PANEL, _mm256_permute2f128_ps(a[l], a[l + 4], 0x31));
    }
}

#include "kernel_template.h"

const fm_kernels fm_kernels_avx2 = LEVEL_KERNELS;
#endif
