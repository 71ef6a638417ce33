/* AVX-512 with the instructions for neural networks: products of integers are added as they are
 * made. */
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")))

#include "kernel_steps_avx512.h"

STEP vi dot2(vi x, vi b, vi c)
{
    return (vi)_mm512_dpwssd_epi32((__m512i)c, (__m512i)x, (__m512i)b);
}

#include "kernel_template.h"

const fm_kernels fm_kernels_vnni = LEVEL_KERNELS;
#endif
