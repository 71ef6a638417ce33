/*
 * The kernels of 64 columns at a time; a level brings
 *   TARGET, the attribute,
 *   vw prepare(__m512i w)                     what is done once to 64 weights,
 *   __m512i dot(__m512i sum, vw w, __m512i x) 16 sums of four products each, added to `sum`.
 * Columns past the last one are 0 in the inputs.
 */
#ifndef FEDMOE_EDGE_INT8_TEMPLATE512_H
#define FEDMOE_EDGE_INT8_TEMPLATE512_H

#define STEP TARGET __attribute__((always_inline)) static inline
#define BYTES ((size_t)64)
#define AHEAD ((uintptr_t)16384) /* bytes */

STEP __m512i load(const int8_t *p)
{
    return _mm512_loadu_si512(p);
}

/* @param n up to 64. */
STEP __m512i load_part(const int8_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(n ? UINT64_MAX >> (BYTES - n) : 0, p);
}

/* Sum a's and b's 32-bit elements in pairs; of the next step 64 bits, then 128. */
STEP __m512i fold32(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

STEP __m512i fold64(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

STEP __m512i fold128(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* out[k] = sum of the elements of s[k]. */
STEP void fold(const __m512i s[16], uint32_t out[16])
{
    __m512i part[4];

    for (int k = 0; k < 4; k++)
        part[k] = fold64(fold32(s[4 * k], s[4 * k + 1]), fold32(s[4 * k + 2], s[4 * k + 3]));
    _mm512_storeu_si512(out, fold128(fold128(part[0], part[1]), fold128(part[2], part[3])));
}

STEP void tile_step(__m512i sum[16], const __m512i w[4], const __m512i x[4])
{
    for (int r = 0; r < 4; r++) {
        const vw ready = prepare(w[r]);

        for (int i = 0; i < 4; i++)
            sum[4 * i + r] = dot(sum[4 * i + r], ready, x[i]);
    }
}

TARGET static void tile(const int8_t *const w[FM_INT8_TILE], const int8_t *const x[FM_INT8_TILE],
                        size_t n, uint32_t out[FM_INT8_TILE * FM_INT8_TILE])
{
    __m512i sum[16], wv[4], xv[4];
    size_t c = 0;

    for (int k = 0; k < 16; k++)
        sum[k] = _mm512_setzero_si512();
    for (; c + BYTES <= n; c += BYTES) {
        for (int k = 0; k < 4; k++) {
            wv[k] = load(w[k] + c);
            xv[k] = load(x[k] + c);
        }
        tile_step(sum, wv, xv);
    }
    if (c < n) {
        for (int k = 0; k < 4; k++) {
            wv[k] = load_part(w[k] + c, n - c);
            xv[k] = load_part(x[k] + c, n - c);
        }
        tile_step(sum, wv, xv);
    }
    fold(sum, out);
}

/* Weights that are so far ahead are asked for, into the second cache: the processor's own
 * fetching ends with a page. Beyond the last row there is nothing to wait for, and a prefetch
 * never fails. */
STEP void ask(const int8_t *w)
{
    _mm_prefetch((const char *)((uintptr_t)w + AHEAD), _MM_HINT_T1);
}

/* One row of weights after the other, as they lie. */
STEP __m512i row(const int8_t *w, const int8_t *x, size_t n)
{
    __m512i a = _mm512_setzero_si512(), b = a;
    size_t c = 0;

    for (; c + 2 * BYTES <= n; c += 2 * BYTES) {
        ask(w + c);
        ask(w + c + BYTES);
        a = dot(a, prepare(load(w + c)), load(x + c));
        b = dot(b, prepare(load(w + c + BYTES)), load(x + c + BYTES));
    }
    for (; c < n; c += BYTES) {
        const size_t left = n - c < BYTES ? n - c : BYTES;

        a = dot(a, prepare(load_part(w + c, left)), load_part(x + c, left));
    }
    return _mm512_add_epi32(a, b);
}

TARGET static void rows(const int8_t *const w[FM_INT8_ROWS], const int8_t *x, size_t n,
                        uint32_t out[FM_INT8_ROWS])
{
    __m512i sum[FM_INT8_ROWS];

    for (int k = 0; k < FM_INT8_ROWS; k++)
        sum[k] = row(w[k], x, n);
    fold(sum, out);
}

#endif
