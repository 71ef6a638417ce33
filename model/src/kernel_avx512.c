/* AVX-512 with words of 16 bits: products of integers by vpmaddwd. */
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))

#include "kernel_steps_avx512.h"

STEP vi dot2(vi x, vi b, vi c)
{
    return (vi)_mm512_add_epi32((__m512i)c, _mm512_madd_epi16((__m512i)x, (__m512i)b));
}

#include "kernel_template.h"

const fm_kernels fm_kernels_avx512 = LEVEL_KERNELS;
#endif
