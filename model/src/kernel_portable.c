/* Any machine: four floats at a time, products and sums rounded. */
#define LANES 4
#define ROWS 4
#define TARGET

#include <string.h>

#include "fedmoe/model/kernel.h"
#include "kernel_vectors.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define INLINE_STEP __attribute__((always_inline)) static inline

INLINE_STEP vf madd(vf x, vf b, vf c)
{
    return c + x * b;
}

INLINE_STEP vi dot2(vi x, vi b, vi c)
{
#if defined(__SSE2__) /* every x86-64 */
    return (vi)_mm_add_epi32((__m128i)c, _mm_madd_epi16((__m128i)x, (__m128i)b));
#else
    const vu low = (vu)((x << 16 >> 16) * (b << 16 >> 16));
    const vu high = (vu)((x >> 16) * (b >> 16));

    return (vi)((vu)c + low + high);
#endif
}

INLINE_STEP vi choose_int(vi where, vi a, vi b)
{
    return (where & a) | (~where & b);
}

/* By the digits that a sum with 1.5 * 2^23 has no room for. */
INLINE_STEP vi to_int(vf x)
{
    const vf most = { 32767.0f, 32767.0f, 32767.0f, 32767.0f };
    const vf magic = { 0x1.8p23f, 0x1.8p23f, 0x1.8p23f, 0x1.8p23f };
    const vi number = x == x;

    x = (vf)choose_int(x > most, (vi)most, (vi)x);
    x = (vf)choose_int(x < -most, (vi)-most, (vi)x);
    return (vi)((vu)(x + magic) - (vu)magic) & number;
}

INLINE_STEP vf load_part(const float *p, size_t n)
{
    vf v = { 0 };

    memcpy(&v, p, n * sizeof *p);
    return v;
}

INLINE_STEP void store_part(float *p, vf v, size_t n)
{
    memcpy(p, &v, n * sizeof *p);
}

INLINE_STEP void transpose(float *to, const float *from, size_t stride, float scale)
{
    for (size_t k = 0; k < LANES; k++)
        for (size_t l = 0; l < LANES; l++)
            to[k * FM_PANEL + l] = scale * from[l * stride + k];
}

#include "kernel_template.h"

const fm_kernels fm_kernels_portable = LEVEL_KERNELS;
