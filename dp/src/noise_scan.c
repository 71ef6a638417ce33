/*
 * The scan: a magnitude is the number of table rows above a random 93-bit number, found by
 * comparing it with every row, always. Numbers lie side by side in vectors of the compiler (GNU
 * C). A kernel, compiled at the width of each instruction set: exempt from the size rule.
 *
 * Comparisons give -1 for true, 0 for false: the borrow, which is added to the next limb. With
 * the borrow b of the limbs below, r < t exactly when r_i + b < t_i.
 */
#include <string.h>

#include "noise_internal.h"

#define DEFINE_SCAN(name, lanes, attributes)                                                 \
    attributes static void scan_##name(const fm_gauss_table *t, const uint32_t *words,       \
                                       int32_t *out)                                         \
    {                                                                                        \
        const int32_t *t0 = t->limb[0], *t1 = t->limb[1], *t2 = t->limb[2];                  \
        lanes r0, r1, r2, b, mid_only, low_only;                                             \
        lanes count = { 0 }, count1 = { 0 }, count2 = { 0 };                                 \
        size_t j = 0;                                                                        \
                                                                                             \
        memcpy(&r0, words, sizeof r0);                                                       \
        memcpy(&r1, words + FM_GAUSS_LANES, sizeof r1);                                      \
        memcpy(&r2, words + 2 * FM_GAUSS_LANES, sizeof r2);                                  \
        r0 &= FM_GAUSS_LIMB_MASK;                                                            \
        r1 &= FM_GAUSS_LIMB_MASK;                                                            \
        r2 &= FM_GAUSS_LIMB_MASK;                                                            \
        mid_only = r0 == 0;                                                                  \
        low_only = mid_only & (r1 == 0);                                                     \
        for (; j < t->high_end; j++) {                                                       \
            b = r2 < t2[j];                                                                  \
            b = (r1 + b) < t1[j];                                                            \
            count += (r0 + b) < t0[j];                                                       \
        }                                                                                    \
        for (; j < t->mid_end; j++) {                                                        \
            b = r2 < t2[j];                                                                  \
            count1 += (r1 + b) < t1[j];                                                      \
        }                                                                                    \
        for (; j < t->entries; j++)                                                          \
            count2 += r2 < t2[j];                                                            \
        count = -(count + (count1 & mid_only) + (count2 & low_only));                        \
        memcpy(out, &count, sizeof count);                                                   \
    }                                                                                        \
                                                                                             \
    void fm_gauss_scan_##name(const fm_gauss_table *t, const uint32_t *words, size_t groups, \
                              int32_t *out)                                                  \
    {                                                                                        \
        for (size_t g = 0; g < groups; g++)                                                  \
            for (size_t lane = 0; lane < FM_GAUSS_LANES; lane += sizeof(lanes) / 4)          \
                scan_##name(t, words + g * FM_GAUSS_WORDS * FM_GAUSS_LANES + lane,           \
                            out + g * FM_GAUSS_LANES + lane);                                \
    }

typedef int32_t lanes4 __attribute__((vector_size(16)));
DEFINE_SCAN(portable, lanes4, )

#if defined(__x86_64__)
typedef int32_t lanes8 __attribute__((vector_size(32)));
DEFINE_SCAN(avx2, lanes8, __attribute__((target("avx2"))))
typedef int32_t lanes16 __attribute__((vector_size(64)));
DEFINE_SCAN(avx512, lanes16, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif
