/*
 * The groups of noise_portable.c with AVX2: a group is two registers of 32 bytes; the alias table
 * is read whole, sixteen bytes at a time, each time permuted by the low half of the index and kept
 * where the high half fits. A kernel: exempt from the size rule.
 */
#include "noise_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,popcnt")))
#define INLINE TARGET __attribute__((always_inline)) static inline

typedef struct {
    const fm_gauss_alias *t;
    const fm_gauss_escapes *escapes;
    uint32_t used;
} state;

INLINE __m256i row(const uint8_t *table, int i)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(table + 16 * i)));
}

/* The low half of the index where its high half is i, and a byte with the top bit set elsewhere:
 * for that, vpshufb gives 0. */
INLINE __m256i within_row(__m256i index, int i)
{
    return _mm256_adds_epu8(_mm256_xor_si256(index, _mm256_set1_epi8((char)(16 * i))),
                            _mm256_set1_epi8(0x70));
}

INLINE __m256i less_epu8(__m256i a, __m256i b)
{
    return _mm256_andnot_si256(_mm256_cmpeq_epi8(a, b),
                               _mm256_cmpeq_epi8(_mm256_min_epu8(a, b), a));
}

/* The number of bytes before each that are -1. */
INLINE __m256i rank(__m256i mask)
{
    __m256i one = _mm256_sub_epi8(_mm256_setzero_si256(), mask), n = one, first;

    n = _mm256_add_epi8(n, _mm256_slli_si256(n, 1));
    n = _mm256_add_epi8(n, _mm256_slli_si256(n, 2));
    n = _mm256_add_epi8(n, _mm256_slli_si256(n, 4));
    n = _mm256_add_epi8(n, _mm256_slli_si256(n, 8));
    first = _mm256_permute2x128_si256(n, n, 0x08); /* the low half's, in the high half */
    first = _mm256_shuffle_epi8(first, _mm256_set1_epi8(15));
    return _mm256_sub_epi8(_mm256_add_epi8(n, first), one);
}

INLINE __m256i with_sign(__m256i words, __m256i signs)
{
    __m256i negative = _mm256_srai_epi16(signs, 15);

    return _mm256_sub_epi16(_mm256_xor_si256(words, negative), negative);
}

/* Half of a stage. */
INLINE void half(state *s, const uint8_t *words, __m256i *lo, __m256i *hi)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i index = _mm256_loadu_si256((const __m256i *)words);
    __m256i sign = _mm256_loadu_si256((const __m256i *)(words + 64));
    __m256i fraction = _mm256_and_si256(sign, _mm256_set1_epi8(0x7f));
    __m256i fraction_low = _mm256_loadu_si256((const __m256i *)(words + 128));
    __m256i high = zero, low = zero, symbol = zero, over = zero, residual = zero;
    __m256i keep, escape, slot;

    for (int i = 0; i < 16; i++) {
        __m256i at = within_row(index, i);

        high = _mm256_or_si256(high, _mm256_shuffle_epi8(row(s->t->high, i), at));
        low = _mm256_or_si256(low, _mm256_shuffle_epi8(row(s->t->low, i), at));
        symbol = _mm256_or_si256(symbol, _mm256_shuffle_epi8(row(s->t->other, i), at));
    }
    keep = _mm256_or_si256(
        less_epu8(fraction, high),
        _mm256_and_si256(_mm256_cmpeq_epi8(fraction, high), less_epu8(fraction_low, low)));
    symbol = _mm256_blendv_epi8(symbol, index, keep);
    escape = _mm256_cmpeq_epi8(symbol, _mm256_set1_epi8((char)FM_GAUSS_ESCAPE));
    slot = _mm256_and_si256(_mm256_add_epi8(rank(escape), _mm256_set1_epi8((char)s->used)),
                            _mm256_set1_epi8(FM_GAUSS_SLOTS - 1));
    s->used += (uint32_t)__builtin_popcount((uint32_t)_mm256_movemask_epi8(escape));
    for (int i = 0; i < FM_GAUSS_SLOTS / 16; i++) {
        __m256i at = within_row(slot, i);

        residual = _mm256_or_si256(residual, _mm256_shuffle_epi8(row(s->escapes->low, i), at));
        over = _mm256_or_si256(over, _mm256_shuffle_epi8(row(s->escapes->high, i), at));
    }
    symbol = _mm256_blendv_epi8(symbol, residual, escape);
    over = _mm256_and_si256(over, escape);
    *lo = with_sign(_mm256_unpacklo_epi8(symbol, over), _mm256_unpacklo_epi8(zero, sign));
    *hi = with_sign(_mm256_unpackhi_epi8(symbol, over), _mm256_unpackhi_epi8(zero, sign));
}

/* Two stages, or the first of them: x1 + k x2; word vectors lo, hi of each half. */
INLINE void pair(state *s, const uint8_t *words, uint32_t stages, int16_t k, __m256i x[4])
{
    __m256i y[4];

    half(s, words, &x[0], &x[1]);
    half(s, words + 32, &x[2], &x[3]);
    if (stages < 2)
        return;
    half(s, words + FM_GAUSS_STAGE_BYTES, &y[0], &y[1]);
    half(s, words + FM_GAUSS_STAGE_BYTES + 32, &y[2], &y[3]);
    for (int i = 0; i < 4; i++)
        x[i] = _mm256_add_epi16(x[i], _mm256_mullo_epi16(y[i], _mm256_set1_epi16(k)));
}

TARGET void fm_gauss_groups_avx2(const fm_gauss_alias *t, const fm_gauss_quad *quad,
                                 const uint8_t *words, size_t stride, size_t groups,
                                 fm_gauss_escapes *escapes, int32_t *out)
{
    /* (1, k1 k2) in each pair of words. */
    const __m256i weights = _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)quad->both << 16 | 1));
    const uint32_t stages = quad->stages;
    state s = { .t = t, .escapes = escapes, .used = escapes->used };

    for (; groups-- > 0; words += stride, out += FM_GAUSS_GROUP) {
        __m256i near[4], far[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(),
                                    _mm256_setzero_si256(), _mm256_setzero_si256() };

        pair(&s, words, stages, quad->near, near);
        if (stages > 2)
            pair(&s, words + 2 * FM_GAUSS_STAGE_BYTES, stages - 2, quad->far, far);
        for (int i = 0; i < 4; i++) {
            int32_t *at = out + 32 * (i % 2) + 8 * (i / 2);

            _mm256_storeu_si256((__m256i *)at,
                                _mm256_madd_epi16(_mm256_unpacklo_epi16(near[i], far[i]), weights));
            _mm256_storeu_si256((__m256i *)(at + 16),
                                _mm256_madd_epi16(_mm256_unpackhi_epi16(near[i], far[i]), weights));
        }
    }
    escapes->used = s.used;
}
#endif
