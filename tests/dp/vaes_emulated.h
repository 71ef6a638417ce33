/*
 * What dp/src/mask_aes.c needs besides avx512_emulated.h: sums of 32-bit and 16-bit words, and all of its
 * 256-bit instructions, in plain C over AES-NI.
 */
#ifndef FEDMOE_TESTS_DP_VAES_EMULATED_H
#define FEDMOE_TESTS_DP_VAES_EMULATED_H

#include "avx512_emulated.h"

#if defined(__x86_64__)
typedef struct {
    uint8_t b[32];
} m256;

#define __m256i m256
#define EACH_LANE(bytes) for (size_t i = 0; i < (bytes); i += 16)
#define LANE(a) _mm_loadu_si128((const __m128i *)((a).b + i))
#define LANES_OF(type, expression)                                                    \
    type r;                                                                           \
    EACH_LANE(sizeof r.b) _mm_storeu_si128((__m128i *)(void *)(r.b + i), expression); \
    return r

static inline m512 _mm512_add_epi32(m512 a, m512 b)
{
    LANES_OF(m512, _mm_add_epi32(LANE(a), LANE(b)));
}

static inline m512 _mm512_sub_epi32(m512 a, m512 b)
{
    LANES_OF(m512, _mm_sub_epi32(LANE(a), LANE(b)));
}

static inline m512 _mm512_sub_epi16(m512 a, m512 b)
{
    LANES_OF(m512, _mm_sub_epi16(LANE(a), LANE(b)));
}

static inline m256 _mm256_add_epi16(m256 a, m256 b)
{
    LANES_OF(m256, _mm_add_epi16(LANE(a), LANE(b)));
}

static inline m256 _mm256_sub_epi16(m256 a, m256 b)
{
    LANES_OF(m256, _mm_sub_epi16(LANE(a), LANE(b)));
}

static inline m256 _mm256_loadu_si256(const m256 *p)
{
    return *p;
}

static inline void _mm256_storeu_si256(m256 *p, m256 a)
{
    *p = a;
}

static inline m256 _mm256_broadcastsi128_si256(__m128i a)
{
    LANES_OF(m256, a);
}

static inline m256 _mm256_add_epi32(m256 a, m256 b)
{
    LANES_OF(m256, _mm_add_epi32(LANE(a), LANE(b)));
}

static inline m256 _mm256_sub_epi32(m256 a, m256 b)
{
    LANES_OF(m256, _mm_sub_epi32(LANE(a), LANE(b)));
}

static inline m256 _mm256_xor_si256(m256 a, m256 b)
{
    LANES_OF(m256, _mm_xor_si128(LANE(a), LANE(b)));
}

AES_NI m256 _mm256_aesenc_epi128(m256 a, m256 key)
{
    LANES_OF(m256, _mm_aesenc_si128(LANE(a), LANE(key)));
}

AES_NI m256 _mm256_aesenclast_epi128(m256 a, m256 key)
{
    LANES_OF(m256, _mm_aesenclast_si128(LANE(a), LANE(key)));
}
#endif

#endif
