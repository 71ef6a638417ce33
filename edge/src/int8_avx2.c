/* 32 columns at a time. */
#include "int8_levels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define STEP TARGET __attribute__((always_inline)) static inline
#define BYTES ((size_t)32)

/* |w| and x with w's sign: u8 times s8, two products in 16 bits. 2 * 128 * 127 stays below 2^15,
 * so that nothing saturates. */
STEP __m256i dot(__m256i sum, __m256i w, __m256i size, __m256i x)
{
    const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));

    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

STEP __m256i load(const int8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

STEP __m256i load_part(const int8_t *p, size_t n)
{
    int8_t whole[BYTES] = { 0 };

    memcpy(whole, p, n);
    return load(whole);
}

/* out[k] = sum of the elements of s[k]. */
STEP void fold(const __m256i s[4], uint32_t out[4])
{
    const __m256i v =
        _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));

    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

/* Four rows of weights and two of inputs: sums, and what is loaded, fit the sixteen registers. */
STEP void pair_step(__m256i a[4], __m256i b[4], const __m256i w[4], __m256i x, __m256i y)
{
    for (int r = 0; r < 4; r++) {
        const __m256i size = _mm256_abs_epi8(w[r]);

        a[r] = dot(a[r], w[r], size, x);
        b[r] = dot(b[r], w[r], size, y);
    }
}

STEP void pair(const int8_t *const w[4], const int8_t *x, const int8_t *y, size_t n,
               uint32_t out[8])
{
    __m256i a[4], b[4], wv[4];
    size_t c = 0;

    for (int r = 0; r < 4; r++)
        a[r] = b[r] = _mm256_setzero_si256();
    for (; c + BYTES <= n; c += BYTES) {
        for (int r = 0; r < 4; r++)
            wv[r] = load(w[r] + c);
        pair_step(a, b, wv, load(x + c), load(y + c));
    }
    if (c < n) {
        for (int r = 0; r < 4; r++)
            wv[r] = load_part(w[r] + c, n - c);
        pair_step(a, b, wv, load_part(x + c, n - c), load_part(y + c, n - c));
    }
    fold(a, out);
    fold(b, out + 4);
}

TARGET static void tile(const int8_t *const w[FM_INT8_TILE], const int8_t *const x[FM_INT8_TILE],
                        size_t n, uint32_t out[FM_INT8_TILE * FM_INT8_TILE])
{
    pair(w, x[0], x[1], n, out);
    pair(w, x[2], x[3], n, out + 8);
}

STEP void four(const int8_t *const w[4], const int8_t *x, size_t n, uint32_t out[4])
{
    __m256i a[4];
    size_t c = 0;

    for (int r = 0; r < 4; r++)
        a[r] = _mm256_setzero_si256();
    for (; c + BYTES <= n; c += BYTES) {
        const __m256i xv = load(x + c);

        for (int r = 0; r < 4; r++) {
            const __m256i wv = load(w[r] + c);

            a[r] = dot(a[r], wv, _mm256_abs_epi8(wv), xv);
        }
    }
    if (c < n) {
        const __m256i xv = load_part(x + c, n - c);

        for (int r = 0; r < 4; r++) {
            const __m256i wv = load_part(w[r] + c, n - c);

            a[r] = dot(a[r], wv, _mm256_abs_epi8(wv), xv);
        }
    }
    fold(a, out);
}

TARGET static void rows(const int8_t *const w[FM_INT8_ROWS], const int8_t *x, size_t n,
                        uint32_t out[FM_INT8_ROWS])
{
    for (size_t r = 0; r < FM_INT8_ROWS; r += 4)
        four(w + r, x, n, out + r);
}

STEP void float_step(__m256 low[4], __m256 high[4], const int8_t *const w[4], size_t at,
                     const float *x)
{
    const __m256 x0 = _mm256_loadu_ps(x), x1 = _mm256_loadu_ps(x + 8);

    for (int r = 0; r < 4; r++) {
        const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(w[r] + at));
        const __m256 w0 = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
        const __m256 w1 = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)));

        low[r] = _mm256_add_ps(low[r], _mm256_mul_ps(x0, w0));
        high[r] = _mm256_add_ps(high[r], _mm256_mul_ps(x1, w1));
    }
}

TARGET static void floats(const int8_t *const w[FM_INT8_TILE], const float *x, size_t n,
                          float out[FM_INT8_TILE])
{
    int8_t last[4][16] = { { 0 } };
    const int8_t *const lasts[4] = { last[0], last[1], last[2], last[3] };
    float x_last[16] = { 0 };
    __m256 low[4], high[4];
    size_t c = 0;

    for (int r = 0; r < 4; r++)
        low[r] = high[r] = _mm256_setzero_ps();
    for (; c + 16 <= n; c += 16)
        float_step(low, high, w, c, x + c);
    if (c < n) {
        memcpy(x_last, x + c, (n - c) * sizeof *x);
        for (int r = 0; r < 4; r++)
            memcpy(last[r], w[r] + c, n - c);
        float_step(low, high, lasts, 0, x_last);
    }
    for (int r = 0; r < 4; r++) {
        const __m256 a = _mm256_add_ps(low[r], high[r]);
        const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 d = _mm_add_ps(b, _mm_movehl_ps(b, b));

        out[r] = _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
    }
}

/* The largest magnitude's bits: of numbers without sign they are ordered as the numbers are. */
STEP int32_t most_bits(const float *x, size_t n)
{
    const __m256i rest = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    int32_t lane[8], all = 0;
    size_t c = 0;

    for (; c + 8 <= n; c += 8)
        most = _mm256_max_epi32(
            most, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + c)), rest));
    _mm256_storeu_si256((__m256i *)(void *)lane, most);
    for (int k = 0; k < 8; k++)
        all = lane[k] > all ? lane[k] : all;
    for (; c < n; c++) {
        memcpy(lane, x + c, sizeof *x);
        lane[0] &= 0x7fffffff;
        all = lane[0] > all ? lane[0] : all;
    }
    return all;
}

STEP __m128i round8(const float *x, __m256 by)
{
    const __m256i v = _mm256_cvtps_epi32(_mm256_div_ps(_mm256_loadu_ps(x), by));
    const __m256i within =
        _mm256_max_epi32(_mm256_min_epi32(v, _mm256_set1_epi32(127)), _mm256_set1_epi32(-127));
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(within), _mm256_extracti128_si256(within, 1));

    return _mm_packs_epi16(words, words);
}

TARGET static bool quantise(const float *x, size_t n, int8_t *q, float *scale)
{
    const int32_t bits = most_bits(x, n);
    float most;
    size_t c = 0;

    if (bits >= 0x7f800000)
        return false;
    memcpy(&most, &bits, sizeof most);
    *scale = most / 127.0f;
    if (!(*scale > 0.0f)) {
        memset(q, 0, n);
        return true;
    }
    for (; c + 8 <= n; c += 8)
        _mm_storel_epi64((__m128i *)(void *)(q + c), round8(x + c, _mm256_set1_ps(*scale)));
    for (; c < n; c++)
        q[c] = fm_int8_round(x[c], *scale);
    return true;
}

const fm_int8_kernels fm_int8_avx2 = { tile, rows, NULL, floats, quantise };
#endif
