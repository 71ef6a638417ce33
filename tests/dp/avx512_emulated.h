/*
 * The instructions that dp/src/noise_avx512.c and noise_aes.c use, in plain C that neither branches nor addresses
 * by its data (the permutations look at every byte of the register): so valgrind, which knows no
 * AVX-512, can watch that file, and machines without AVX-512 can test it.
 */
#ifndef FEDMOE_TESTS_DP_AVX512_EMULATED_H
#define FEDMOE_TESTS_DP_AVX512_EMULATED_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <smmintrin.h>
#include <wmmintrin.h>
#endif

typedef struct {
    uint8_t b[64];
} m512;
typedef uint64_t mask64;

#define __m512i m512
#define __mmask64 mask64
#define EACH_BYTE(i) for (size_t i = 0; i < 64; i++)
#define BYTES_OF(expression)        \
    m512 r;                         \
    EACH_BYTE(i)                    \
    r.b[i] = (uint8_t)(expression); \
    return r
#define MASK_OF(expression)         \
    mask64 r = 0;                   \
    EACH_BYTE(i)                    \
    r |= (mask64)(expression) << i; \
    return r

/* -1 when the bit is set, else 0. */
static inline uint8_t spread(mask64 m, size_t i)
{
    return (uint8_t) - (int)(m >> i & 1);
}

static inline uint8_t choose(uint8_t mask, uint8_t yes, uint8_t no)
{
    return (uint8_t)((yes & mask) | (no & ~mask));
}

/* 1 when equal, 1 when less; without comparing. */
static inline mask64 is_equal(uint8_t a, uint8_t b)
{
    return ((uint32_t)(a ^ b) - 1) >> 31;
}

static inline mask64 is_less(uint8_t a, uint8_t b)
{
    return ((uint32_t)a - b) >> 31;
}

static inline uint8_t pick(const uint8_t *table, size_t n, size_t index)
{
    uint8_t r = 0;

    for (size_t j = 0; j < n; j++)
        r |= (uint8_t)(table[j] & -(int)is_equal((uint8_t)j, (uint8_t)index));
    return r;
}

static inline int16_t word(const m512 *a, size_t i)
{
    return (int16_t)(a->b[2 * i] | a->b[2 * i + 1] << 8);
}

static inline void put_word(m512 *a, size_t i, int32_t v)
{
    a->b[2 * i] = (uint8_t)v;
    a->b[2 * i + 1] = (uint8_t)((uint32_t)v >> 8);
}

static inline m512 _mm512_loadu_si512(const void *p)
{
    m512 r;

    memcpy(r.b, p, sizeof r.b);
    return r;
}

static inline void _mm512_storeu_si512(void *p, m512 a)
{
    memcpy(p, a.b, sizeof a.b);
}

static inline m512 _mm512_setzero_si512(void)
{
    return (m512){ { 0 } };
}

static inline m512 _mm512_set1_epi8(char v)
{
    m512 r;

    memset(r.b, v, sizeof r.b);
    return r;
}

static inline m512 _mm512_set1_epi16(int16_t v)
{
    BYTES_OF((uint16_t)v >> 8 * (i % 2));
}

static inline m512 _mm512_set1_epi32(int32_t v)
{
    BYTES_OF((uint32_t)v >> 8 * (i % 4));
}

static inline m512 _mm512_set_epi64(uint64_t h, uint64_t g, uint64_t f, uint64_t e, uint64_t d,
                                    uint64_t c, uint64_t b, uint64_t a)
{
    const uint64_t v[8] = { a, b, c, d, e, f, g, h };

    BYTES_OF(v[i / 8] >> 8 * (i % 8));
}

static inline m512 _mm512_and_si512(m512 a, m512 b)
{
    BYTES_OF(a.b[i] & b.b[i]);
}

static inline m512 _mm512_add_epi8(m512 a, m512 b)
{
    BYTES_OF(a.b[i] + b.b[i]);
}

static inline m512 _mm512_mask_mov_epi8(m512 src, mask64 k, m512 a)
{
    BYTES_OF(choose(spread(k, i), a.b[i], src.b[i]));
}

static inline mask64 _mm512_movepi8_mask(m512 a)
{
    MASK_OF(a.b[i] >> 7);
}

static inline mask64 _mm512_cmpeq_epi8_mask(m512 a, m512 b)
{
    MASK_OF(is_equal(a.b[i], b.b[i]));
}

static inline mask64 _mm512_cmplt_epu8_mask(m512 a, m512 b)
{
    MASK_OF(is_less(a.b[i], b.b[i]));
}

static inline mask64 _mm512_mask_cmplt_epu8_mask(mask64 k, m512 a, m512 b)
{
    return k & _mm512_cmplt_epu8_mask(a, b);
}

static inline m512 _mm512_permutexvar_epi8(m512 index, m512 a)
{
    BYTES_OF(pick(a.b, 64, index.b[i] & 63));
}

static inline m512 _mm512_permutex2var_epi8(m512 a, m512 index, m512 b)
{
    BYTES_OF(choose(spread(index.b[i] >> 6 & 1, 0), pick(b.b, 64, index.b[i] & 63),
                    pick(a.b, 64, index.b[i] & 63)));
}

static inline m512 _mm512_mask_expand_epi8(m512 src, mask64 k, m512 a)
{
    m512 r;
    size_t next = 0;

    EACH_BYTE(i)
    {
        r.b[i] = choose(spread(k, i), pick(a.b, 64, next), src.b[i]);
        next += k >> i & 1;
    }
    return r;
}

static inline m512 _mm512_maskz_expand_epi8(mask64 k, m512 a)
{
    return _mm512_mask_expand_epi8(_mm512_setzero_si512(), k, a);
}

/* Within each 16 bytes, from their halves: unit bytes of a, unit bytes of b, and so on. */
static inline m512 unpack(m512 a, m512 b, size_t unit, size_t from)
{
    m512 r;

    EACH_BYTE(i)
    {
        size_t at = i / 16 * 16 + from + i % 16 / (2 * unit) * unit + i % unit;

        r.b[i] = i / unit % 2 ? b.b[at] : a.b[at];
    }
    return r;
}

#define _mm512_unpacklo_epi8(a, b) unpack((a), (b), 1, 0)
#define _mm512_unpackhi_epi8(a, b) unpack((a), (b), 1, 8)
#define _mm512_unpacklo_epi16(a, b) unpack((a), (b), 2, 0)
#define _mm512_unpackhi_epi16(a, b) unpack((a), (b), 2, 8)

static inline uint32_t _mm512_movepi16_mask(m512 a)
{
    uint32_t r = 0;

    for (size_t i = 0; i < 32; i++)
        r |= (uint32_t)(a.b[2 * i + 1] >> 7) << i;
    return r;
}

static inline m512 _mm512_add_epi16(m512 a, m512 b)
{
    m512 r;

    for (size_t i = 0; i < 32; i++)
        put_word(&r, i, word(&a, i) + word(&b, i));
    return r;
}

static inline m512 _mm512_mask_sub_epi16(m512 src, uint32_t k, m512 a, m512 b)
{
    m512 r;

    for (size_t i = 0; i < 32; i++) {
        int32_t mask = -(int32_t)(k >> i & 1);

        put_word(&r, i, ((word(&a, i) - word(&b, i)) & mask) | (word(&src, i) & ~mask));
    }
    return r;
}

static inline m512 _mm512_mullo_epi16(m512 a, m512 b)
{
    m512 r;

    for (size_t i = 0; i < 32; i++)
        put_word(&r, i, word(&a, i) * word(&b, i));
    return r;
}

static inline m512 _mm512_madd_epi16(m512 a, m512 b)
{
    m512 r;

    for (size_t i = 0; i < 16; i++) {
        int32_t v = word(&a, 2 * i) * word(&b, 2 * i) + word(&a, 2 * i + 1) * word(&b, 2 * i + 1);

        put_word(&r, 2 * i, v);
        put_word(&r, 2 * i + 1, (int32_t)((uint32_t)v >> 16));
    }
    return r;
}

/* What dp/src/noise_aes.c needs besides: VAES is four times AES-NI, which valgrind knows. */
#if defined(__x86_64__)
#define AES_NI __attribute__((target("aes,sse4.1"))) static inline

static inline m512 _mm512_broadcast_i32x4(__m128i a)
{
    m512 r;

    for (size_t i = 0; i < 64; i += 16)
        memcpy(r.b + i, &a, 16);
    return r;
}

static inline m512 _mm512_xor_si512(m512 a, m512 b)
{
    BYTES_OF(a.b[i] ^ b.b[i]);
}

static inline m512 _mm512_add_epi64(m512 a, m512 b)
{
    m512 r;

    for (size_t i = 0; i < 64; i += 8) {
        uint64_t x, y;

        memcpy(&x, a.b + i, 8);
        memcpy(&y, b.b + i, 8);
        x += y;
        memcpy(r.b + i, &x, 8);
    }
    return r;
}

static inline m512 _mm512_maskz_set1_epi64(uint8_t k, long long v)
{
    BYTES_OF(spread(k, i / 8) & ((uint64_t)v >> 8 * (i % 8)));
}

/* Only for an index without top bits, as a constant is. */
static inline m512 _mm512_shuffle_epi8(m512 a, m512 index)
{
    BYTES_OF(a.b[i / 16 * 16 + index.b[i] % 16]);
}

AES_NI m512 _mm512_aesenc_epi128(m512 a, m512 key)
{
    for (size_t i = 0; i < 64; i += 16)
        _mm_storeu_si128((__m128i *)(a.b + i),
                         _mm_aesenc_si128(_mm_loadu_si128((const __m128i *)(a.b + i)),
                                          _mm_loadu_si128((const __m128i *)(key.b + i))));
    return a;
}

AES_NI m512 _mm512_aesenclast_epi128(m512 a, m512 key)
{
    for (size_t i = 0; i < 64; i += 16)
        _mm_storeu_si128((__m128i *)(a.b + i),
                         _mm_aesenclast_si128(_mm_loadu_si128((const __m128i *)(a.b + i)),
                                              _mm_loadu_si128((const __m128i *)(key.b + i))));
    return a;
}
#endif

#endif
