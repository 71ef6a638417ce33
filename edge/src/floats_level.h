/*
 * The loops of floats.h for one level of instructions: included by floats.c, which defines
 *   NAME(f)              the level's name of a function
 *   INLINE               what its functions begin with
 *   AT_ONCE              rows of x of a tile: as many sums as the level has registers for
 *   LOAD_BYTES(to, from) sixteen int8 as float32
 * A kernel: exempt from the size rule.
 */

/* The first n <= LANES floats, then zeros. */
INLINE void NAME(load)(vf *to, const float *from, size_t n)
{
    if (n < LANES)
        *to = (vf){ 0 };
    memcpy(to, from, n * sizeof *from);
}

INLINE float NAME(total)(const vf *v)
{
    float lane[LANES];

    memcpy(lane, v, sizeof lane);
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* Sixteen lanes to four, in total's order. */
INLINE void NAME(fold)(vq *to, const vf *from)
{
    vh half[2];
    vq quarter[2];

    memcpy(half, from, sizeof half);
    half[0] += half[1];
    memcpy(quarter, half, sizeof quarter);
    *to = quarter[0] + quarter[1];
}

/* total of four vectors, the same bits. */
INLINE void NAME(totals)(const vf *v, float *out)
{
    vq q[4], low[2], high[2], sum;

    for (size_t i = 0; i < 4; i++)
        NAME(fold)(&q[i], &v[i]);
    for (size_t i = 0; i < 2; i++) {
        low[i] = __builtin_shufflevector(q[2 * i], q[2 * i + 1], 0, 4, 1, 5);
        high[i] = __builtin_shufflevector(q[2 * i], q[2 * i + 1], 2, 6, 3, 7);
    }
    sum = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5) +
          __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
    sum += __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7) +
           __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
    memcpy(out, &sum, sizeof sum);
}

/* ---- products ---- */

/* Of one row the time is the memory's: weights that are so far ahead are asked for, as the
 * processor's own fetching ends with a page. Beyond the last row a prefetch does nothing. */
INLINE void NAME(step)(const size_t count, const size_t rows, const product *p, size_t k, size_t n,
                       vf sum[MOST][MOST])
{
    vf a[MOST], b;

    for (size_t i = 0; i < count; i++)
        NAME(load)(&a[i], p->x + i * p->columns + k, n);
    for (size_t r = 0; r < rows; r++) {
        NAME(load)(&b, p->w + r * p->columns + k, n);
        if (count == 1)
            __builtin_prefetch((const void *)((uintptr_t)(p->w + r * p->columns + k) + AHEAD), 0,
                               2);
        for (size_t i = 0; i < count; i++)
            sum[i][r] += a[i] * b;
    }
}

/* count and rows are constants where this is expanded. */
INLINE void NAME(tile)(const size_t count, const size_t rows, const product *p)
{
    vf sum[MOST][MOST] = { 0 };
    size_t k = 0;

    for (; p->columns - k >= LANES; k += LANES)
        NAME(step)(count, rows, p, k, LANES, sum);
    if (k < p->columns)
        NAME(step)(count, rows, p, k, p->columns - k, sum);
    for (size_t i = 0; i < count; i++)
        if (rows == MOST)
            NAME(totals)(sum[i], p->y + i * p->stride);
        else
            for (size_t r = 0; r < rows; r++)
                p->y[i * p->stride + r] = NAME(total)(&sum[i][r]);
}

INLINE void NAME(row_tiles)(const size_t rows, const product *from, size_t count)
{
    product p = *from;

    for (; count >= AT_ONCE; count -= AT_ONCE) {
        NAME(tile)(AT_ONCE, rows, &p);
        p.x += AT_ONCE * p.columns;
        p.y += AT_ONCE * p.stride;
    }
    for (; AT_ONCE > 1 && count; count--) {
        NAME(tile)(1, rows, &p);
        p.x += p.columns;
        p.y += p.stride;
    }
}

INLINE void NAME(all_products)(const product *from, size_t count, size_t rows)
{
    product p = *from;

    for (; rows >= MOST; rows -= MOST) {
        NAME(row_tiles)(MOST, &p, count);
        p.w += MOST * p.columns;
        p.y += MOST;
    }
    for (; rows; rows--) {
        NAME(row_tiles)(1, &p, count);
        p.w += p.columns;
        p.y++;
    }
}

/* ---- mixtures ---- */

#define MIX 8 /* vectors of the sum at once */

INLINE void NAME(mix_some)(const size_t vectors, float *sum, const float *p, const float *v,
                           const int8_t *bytes, size_t rows, size_t n)
{
    vf part[MIX], one;

    for (size_t i = 0; i < vectors; i++)
        NAME(load)(&part[i], sum + i * LANES, LANES);
    for (size_t j = 0; j < rows; j++)
        for (size_t i = 0; i < vectors; i++) {
            if (bytes)
                LOAD_BYTES(&one, bytes + j * n + i * LANES);
            else
                NAME(load)(&one, v + j * n + i * LANES, LANES);
            part[i] += p[j] * one;
        }
    for (size_t i = 0; i < vectors; i++)
        memcpy(sum + i * LANES, &part[i], sizeof part[i]);
}

/* One of v and bytes is NULL, as a constant. */
INLINE void NAME(mix)(float *sum, const float *p, const float *v, const int8_t *bytes, size_t rows,
                      size_t n)
{
    size_t c = 0;

    for (; n - c >= MIX * LANES; c += MIX * LANES)
        NAME(mix_some)(MIX, sum + c, p, v ? v + c : NULL, bytes ? bytes + c : NULL, rows, n);
    for (; n - c >= LANES; c += LANES)
        NAME(mix_some)(1, sum + c, p, v ? v + c : NULL, bytes ? bytes + c : NULL, rows, n);
    for (; c < n; c++)
        for (size_t j = 0; j < rows; j++)
            sum[c] += p[j] * (bytes ? (float)bytes[j * n + c] : v[j * n + c]);
}

INLINE void NAME(widen)(const int8_t *v, float *out, size_t n)
{
    size_t c = 0;
    vf one;

    for (; n - c >= LANES; c += LANES) {
        LOAD_BYTES(&one, v + c);
        memcpy(out + c, &one, sizeof one);
    }
    for (; c < n; c++)
        out[c] = (float)v[c];
}

/* ---- the level ---- */

LEVEL_FUNCTION void NAME(do_product)(const product *p, size_t count, size_t rows)
{
    NAME(all_products)(p, count, rows);
}

LEVEL_FUNCTION void NAME(do_mix)(float *sum, const float *p, const float *v, size_t rows, size_t n)
{
    NAME(mix)(sum, p, v, NULL, rows, n);
}

LEVEL_FUNCTION void NAME(do_mix_int8)(float *sum, const float *p, const int8_t *v, size_t rows,
                                      size_t n)
{
    NAME(mix)(sum, p, NULL, v, rows, n);
}

LEVEL_FUNCTION void NAME(do_widen)(const int8_t *v, float *out, size_t n)
{
    NAME(widen)(v, out, n);
}

static const kernels NAME(kernels) = { NAME(do_product), NAME(do_mix), NAME(do_mix_int8),
                                       NAME(do_widen) };
