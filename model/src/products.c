/* Compiled with -O3 in every build type (CMakeLists.txt). Integers are exact, so their order is the
 * compiler's; doubles are added in one order, whatever the registers. */
#include <stddef.h>
#include <stdint.h>

#include "tape.h"

#define LANES 8

double fm_dot_double(const float *a, const float *b, size_t n)
{
    double lane[LANES] = { 0 };
    size_t k = 0;

    for (; n - k >= LANES; k += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)a[k + l] * (double)b[k + l];
    for (size_t l = 0; k + l < n; l++)
        lane[l] += (double)a[k + l] * (double)b[k + l];
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static inline __attribute__((always_inline)) int64_t dot(const uint32_t *a, unsigned sa,
                                                         const uint32_t *b, unsigned sb, size_t n)
{
    int64_t sum = 0;

    for (size_t k = 0; k < n; k++)
        sum += (int16_t)(a[k] >> sa) * (int16_t)(b[k] >> sb);
    return sum;
}

typedef int64_t dot_fn(const uint32_t *a, unsigned sa, const uint32_t *b, unsigned sb, size_t n);

static int64_t dot_plain(const uint32_t *a, unsigned sa, const uint32_t *b, unsigned sb, size_t n)
{
    return dot(a, sa, b, sb, n);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static int64_t dot_avx2(const uint32_t *a, unsigned sa,
                                                        const uint32_t *b, unsigned sb, size_t n)
{
    return dot(a, sa, b, sb, n);
}
#endif

int64_t fm_dot_pairs(const uint32_t *pairs, size_t n, size_t s, size_t t)
{
    dot_fn *best = dot_plain;

#if defined(__x86_64__)
    if (fm_kernel_level() >= FM_LEVEL_AVX2)
        best = dot_avx2;
#endif
    return best(pairs + s / 2 * n, s % 2 * 16, pairs + t / 2 * n, t % 2 * 16, n);
}
