/* The integer sums with the instructions for neural networks: products are added as they are made.
 * All else of this level is AVX-512's. */
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define LANES 16
#define ROWS 12

#include <immintrin.h>

#include "kernel_vectors.h"

TARGET __attribute__((always_inline)) static inline vi dot2(vi x, vi b, vi c)
{
    return (vi)_mm512_dpwssd_epi32((__m512i)c, (__m512i)x, (__m512i)b);
}

#include "kernel_template_int.h"

TARGET void fm_kernel_outer_vnni(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out,
                                 size_t in, int32_t *sum)
{
    level_outer(g, a, pairs, out, in, sum);
}
#endif
