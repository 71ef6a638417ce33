/* The loops are in floats_level.h, compiled for each level of instructions. */
#include "floats.h"

#include <string.h>

#include "fedmoe/model/kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES 16
#define MOST 4                   /* rows of either side at once */
#define AHEAD ((uintptr_t)16384) /* bytes */

typedef float vf __attribute__((vector_size(LANES * sizeof(float))));
typedef float vh __attribute__((vector_size(LANES / 2 * sizeof(float))));
typedef float vq __attribute__((vector_size(LANES / 4 * sizeof(float))));

typedef struct {
    const float *x, *w;
    float *y;
    size_t columns, stride;
} product;

typedef struct {
    void (*product)(const product *p, size_t count, size_t rows);
    void (*mix)(float *sum, const float *p, const float *v, size_t rows, size_t n);
    void (*mix_int8)(float *sum, const float *p, const int8_t *v, size_t rows, size_t n);
    void (*widen)(const int8_t *v, float *out, size_t n);
} kernels;

static void portable_load_bytes(vf *to, const int8_t *from)
{
    float lane[LANES];

    for (size_t l = 0; l < LANES; l++)
        lane[l] = (float)from[l];
    memcpy(to, lane, sizeof lane);
}

#define NAME(f) portable_##f
#define INLINE __attribute__((always_inline)) static inline
#define LEVEL_FUNCTION static
#define AT_ONCE 1
#define LOAD_BYTES portable_load_bytes
#include "floats_level.h"
#undef NAME
#undef INLINE
#undef LEVEL_FUNCTION
#undef AT_ONCE
#undef LOAD_BYTES

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

AVX2 static inline void avx2_load_bytes(vf *to, const int8_t *from)
{
    __m256 half[2];

    for (size_t i = 0; i < 2; i++)
        half[i] = _mm256_cvtepi32_ps(
            _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(from + 8 * i))));
    memcpy(to, half, sizeof half);
}

AVX512 static inline void avx512_load_bytes(vf *to, const int8_t *from)
{
    const __m512 v = _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)));

    memcpy(to, &v, sizeof v);
}

#define NAME(f) avx2_##f
#define INLINE AVX2 __attribute__((always_inline)) static inline
#define LEVEL_FUNCTION AVX2 static
#define AT_ONCE 1
#define LOAD_BYTES avx2_load_bytes
#include "floats_level.h"
#undef NAME
#undef INLINE
#undef LEVEL_FUNCTION
#undef AT_ONCE
#undef LOAD_BYTES

#define NAME(f) avx512_##f
#define INLINE AVX512 __attribute__((always_inline)) static inline
#define LEVEL_FUNCTION AVX512 static
#define AT_ONCE 4
#define LOAD_BYTES avx512_load_bytes
#include "floats_level.h"
#endif

static const kernels *now(void)
{
#if defined(__x86_64__)
    if (fm_kernel_level() >= FM_LEVEL_AVX512)
        return &avx512_kernels;
    if (fm_kernel_level() >= FM_LEVEL_AVX2)
        return &avx2_kernels;
#endif
    return &portable_kernels;
}

void fm_floats_product(const float *x, size_t count, const float *w, size_t rows, size_t columns,
                       float *y, size_t stride)
{
    const product p = { .x = x, .w = w, .y = y, .columns = columns, .stride = stride };

    now()->product(&p, count, rows);
}

void fm_floats_mix(float *sum, const float *p, const float *v, size_t rows, size_t n)
{
    now()->mix(sum, p, v, rows, n);
}

void fm_floats_mix_int8(float *sum, const float *p, const int8_t *v, size_t rows, size_t n)
{
    now()->mix_int8(sum, p, v, rows, n);
}

void fm_floats_widen(const int8_t *v, float *out, size_t n)
{
    now()->widen(v, out, n);
}
