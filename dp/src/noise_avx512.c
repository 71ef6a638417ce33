/*
 * The groups of noise_portable.c with AVX-512: a group is one register, the alias table stays in
 * twelve registers, escapes are served by vpexpandb. A kernel: exempt from the size rule.
 *
 * All that depends on the noise is in registers: table look-ups are permutations of registers.
 * The tests also compile this file with the instructions written out in C (FM_GAUSS_EMULATED),
 * and watch it under valgrind, which does not know AVX-512.
 */
#include "noise_internal.h"

#if defined(FM_GAUSS_EMULATED)
#include "avx512_emulated.h"
#define TARGET
#define INLINE static inline
#elif defined(__x86_64__)
#include <immintrin.h>
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")))
#define INLINE TARGET __attribute__((always_inline)) static inline
#endif

#if defined(FM_GAUSS_EMULATED) || defined(__x86_64__)

typedef struct {
    __m512i high[4], low[4], other[4]; /* the alias table */
    __m512i slot_low, slot_high;       /* the residual samples */
    uint32_t used;
} state;

/* table[index], 256 bytes in four registers. */
INLINE __m512i look_up(const __m512i table[4], __m512i index, __mmask64 top)
{
    return _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(table[0], index, table[1]), top,
                                _mm512_permutex2var_epi8(table[2], index, table[3]));
}

/* words, 0 - words where the sign byte (the high one of each word) is negative. */
INLINE __m512i with_sign(__m512i words, __m512i signs)
{
    return _mm512_mask_sub_epi16(words, _mm512_movepi16_mask(signs), _mm512_setzero_si512(), words);
}

/* One stage: 64 signed base samples, as words in the order of unpacklo and unpackhi. */
INLINE void stage(state *s, const uint8_t *words, __m512i *lo, __m512i *hi)
{
    const __m512i iota = _mm512_set_epi64(
        0x3f3e3d3c3b3a3938, 0x3736353433323130, 0x2f2e2d2c2b2a2928, 0x2726252423222120,
        0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x0f0e0d0c0b0a0908, 0x0706050403020100);
    __m512i index = _mm512_loadu_si512(words), sign = _mm512_loadu_si512(words + 64);
    __m512i fraction = _mm512_and_si512(sign, _mm512_set1_epi8(0x7f));
    __m512i fraction_low = _mm512_loadu_si512(words + 128);
    __mmask64 top = _mm512_movepi8_mask(index);
    __m512i high = look_up(s->high, index, top), low = look_up(s->low, index, top);
    __m512i symbol = look_up(s->other, index, top);
    __mmask64 tie = _mm512_cmpeq_epi8_mask(fraction, high);
    __mmask64 keep = _mm512_cmplt_epu8_mask(fraction, high) |
                     _mm512_mask_cmplt_epu8_mask(tie, fraction_low, low);
    __mmask64 escape;
    __m512i slot, over;

    symbol = _mm512_mask_mov_epi8(symbol, keep, index);
    escape = _mm512_cmpeq_epi8_mask(symbol, _mm512_set1_epi8((char)FM_GAUSS_ESCAPE));
    /* The permutation takes its indices mod 64. */
    slot = _mm512_add_epi8(iota, _mm512_set1_epi8((char)s->used));
    s->used += (uint32_t)__builtin_popcountll(escape);
    symbol = _mm512_mask_expand_epi8(symbol, escape, _mm512_permutexvar_epi8(slot, s->slot_low));
    over = _mm512_maskz_expand_epi8(escape, _mm512_permutexvar_epi8(slot, s->slot_high));
    *lo = with_sign(_mm512_unpacklo_epi8(symbol, over), _mm512_unpacklo_epi8(sign, sign));
    *hi = with_sign(_mm512_unpackhi_epi8(symbol, over), _mm512_unpackhi_epi8(sign, sign));
}

/* a += k b */
INLINE void add_scaled(__m512i *a, __m512i b, int16_t k)
{
    *a = _mm512_add_epi16(*a, _mm512_mullo_epi16(b, _mm512_set1_epi16(k)));
}

/* Two stages, or the first of them: x1 + k x2, in words. */
INLINE void pair(state *s, const uint8_t *words, uint32_t stages, int16_t k, __m512i *lo,
                 __m512i *hi)
{
    __m512i lo2, hi2;

    stage(s, words, lo, hi);
    if (stages < 2)
        return;
    stage(s, words + FM_GAUSS_STAGE_BYTES, &lo2, &hi2);
    add_scaled(lo, lo2, k);
    add_scaled(hi, hi2, k);
}

/* `stages` is a constant where this is expanded. */
INLINE void group(state *s, const fm_gauss_quad *q, uint32_t stages, const uint8_t *words,
                  int32_t *out)
{
    /* (1, k1 k2) in each pair of words. */
    const __m512i weights = _mm512_set1_epi32((int32_t)((uint32_t)(uint16_t)q->both << 16 | 1));
    __m512i near_lo, near_hi, far_lo = _mm512_setzero_si512(), far_hi = _mm512_setzero_si512();

    pair(s, words, stages, q->near, &near_lo, &near_hi);
    if (stages > 2)
        pair(s, words + 2 * FM_GAUSS_STAGE_BYTES, stages - 2, q->far, &far_lo, &far_hi);
    _mm512_storeu_si512(out, _mm512_madd_epi16(_mm512_unpacklo_epi16(near_lo, far_lo), weights));
    _mm512_storeu_si512(out + 16,
                        _mm512_madd_epi16(_mm512_unpackhi_epi16(near_lo, far_lo), weights));
    _mm512_storeu_si512(out + 32,
                        _mm512_madd_epi16(_mm512_unpacklo_epi16(near_hi, far_hi), weights));
    _mm512_storeu_si512(out + 48,
                        _mm512_madd_epi16(_mm512_unpackhi_epi16(near_hi, far_hi), weights));
}

#define GROUPS(m)                                                               \
    for (size_t g = 0; g < groups; g++, words += stride, out += FM_GAUSS_GROUP) \
    group(&s, quad, (m), words, out)

TARGET void fm_gauss_groups_avx512(const fm_gauss_alias *t, const fm_gauss_quad *quad,
                                   const uint8_t *words, size_t stride, size_t groups,
                                   fm_gauss_escapes *escapes, int32_t *out)
{
    state s;

    for (size_t i = 0; i < 4; i++) {
        s.high[i] = _mm512_loadu_si512(t->high + 64 * i);
        s.low[i] = _mm512_loadu_si512(t->low + 64 * i);
        s.other[i] = _mm512_loadu_si512(t->other + 64 * i);
    }
    s.slot_low = _mm512_loadu_si512(escapes->low);
    s.slot_high = _mm512_loadu_si512(escapes->high);
    s.used = escapes->used;
    switch (quad->stages) {
    case 1:
        GROUPS(1);
        break;
    case 2:
        GROUPS(2);
        break;
    case 3:
        GROUPS(3);
        break;
    default:
        GROUPS(4);
        break;
    }
    escapes->used = s.used;
}
#endif
