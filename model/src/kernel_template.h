/*
 * The functions of kernel.h for one level of instructions: included by that level's file, which
 * defines
 *   TARGET       attribute of its functions
 *   LANES        floats of a vector: 4, 8 or 16
 *   ROWS         rows of a tile; ROWS * 2 accumulators, and what a tile needs fit the registers
 *   madd(x, b, c)       x * b + c of vectors
 *   dot2(x, b, c)       c + products of the two 16-bit halves, added, mod 2^32
 *   to_int(x)           the nearest integers, ties to even, clamped to +-32767; for a NaN one
 *                       whose low 16 bits are 0
 *   load_part(p, n), store_part(p, v, n)   the first n < LANES floats; load: zeros for the rest
 *   transpose(to, from, stride)            LANES x LANES floats; to has a stride of FM_PANEL
 *
 * Every lane of every vector goes through the same operations at every level, so the bits of all
 * that has no fused multiply-add (that is: all but rows and outer_float) are the same everywhere.
 * A kernel: exempt from the size rule.
 */
#include "kernel_template_int.h"

INLINE vf load(const float *p)
{
    vf v;

    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

INLINE vf all(float x)
{
    return x - (vf){ 0 };
}

/*
 * c[r, j] = start + sum over k of x[r * x_row + k * x_step] * b[k * b_step + j] for r < rows and
 * j < columns. rows <= ROWS and vectors <= 2 are constants where this is expanded.
 */
typedef struct {
    size_t x_row, x_step, depth, b_step, c_row;
    bool add; /* start with c; else with bias, or 0 when that is NULL */
} tile_plan;

/* The sums of a tile from or to `at`; `last`, the columns of the last vector, is a constant where
 * all are there. */
INLINE void tile_start(const size_t rows, const size_t vectors, size_t last, const float *at,
                       size_t row, vf *sum0, vf *sum1)
{
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++, at += row) {
        sum0[r] = vectors > 1 || last == LANES ? load(at) : load_part(at, last);
        if (vectors > 1)
            sum1[r] = last == LANES ? load(at + LANES) : load_part(at + LANES, last);
    }
}

INLINE void tile_end(const size_t rows, const size_t vectors, size_t last, float *at, size_t row,
                     const vf *sum0, const vf *sum1)
{
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++, at += row) {
        if (vectors > 1 || last == LANES)
            store(at, sum0[r]);
        else
            store_part(at, sum0[r], last);
        if (vectors > 1 && last == LANES)
            store(at + LANES, sum1[r]);
        else if (vectors > 1)
            store_part(at + LANES, sum1[r], last);
    }
}

#define ADVANCE(pointer)   \
    do {                   \
        pointer += x_step; \
        AFRESH(pointer);   \
    } while (0)

INLINE void tile(const size_t rows, const size_t vectors, const tile_plan *t, const float *x,
                 const float *b, const float *bias, float *c, size_t columns)
{
    const size_t last = columns - (vectors - 1) * LANES; /* columns of the last vector */
    const size_t x_row = t->x_row, x_step = t->x_step, b_step = t->b_step, c_row = t->c_row;
    vf sum0[ROWS], sum1[ROWS];
    /* A register for every third row: the others are one and two strides from it, which is an
     * address. An address for each of twelve rows would not fit the registers. */
    const float *x0 = x, *x3 = x + 3 * x_row, *x6 = x + 6 * x_row, *x9 = x + 9 * x_row;

    if (t->add && last == LANES)
        tile_start(rows, vectors, LANES, c, c_row, sum0, sum1);
    else if (t->add)
        tile_start(rows, vectors, last, c, c_row, sum0, sum1);
    else if (!bias)
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
            sum0[r] = sum1[r] = (vf){ 0 };
    else
        tile_start(rows, vectors, last, bias, 0, sum0, sum1);
    for (size_t k = t->depth; k > 0; k--) {
        const vf b0 = load(b), b1 = vectors > 1 ? load(b + LANES) : b0;

#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            const float *group = r < 3 ? x0 : r < 6 ? x3 : r < 9 ? x6 : x9;
            const vf v = all(group[r % 3 * x_row]);

            sum0[r] = madd(v, b0, sum0[r]);
            if (vectors > 1)
                sum1[r] = madd(v, b1, sum1[r]);
        }
        ADVANCE(x0);
        if (rows > 3)
            ADVANCE(x3);
        if (rows > 6)
            ADVANCE(x6);
        if (rows > 9)
            ADVANCE(x9);
        b += b_step;
    }
    AFRESH(c);
    if (last == LANES)
        tile_end(rows, vectors, LANES, c, c_row, sum0, sum1);
    else
        tile_end(rows, vectors, last, c, c_row, sum0, sum1);
}

#define TILE_CASE(n)                               \
    case n:                                        \
        if (columns > LANES)                       \
            tile(n, 2, t, x, b, bias, c, columns); \
        else                                       \
            tile(n, 1, t, x, b, bias, c, columns); \
        break

/* At most ROWS rows. */
TARGET static void tile_any(size_t rows, const tile_plan *t, const float *x, const float *b,
                            const float *bias, float *c, size_t columns)
{
    while (rows) {
        const size_t n = tile_rows[rows];

        switch (n) {
            EACH_TILE(TILE_CASE)
        default:
            break;
        }
        rows -= n;
        x += n * t->x_row;
        c += n * t->c_row;
    }
}

/* Floats of a that all panels pass over before the next rows: half of a small second cache. */
#define ROWS_BLOCK_FLOATS 98304

TARGET static void level_rows(const float *a, size_t rows, size_t in, const float *panels,
                              size_t out, fm_start start, const float *bias, float *c)
{
    const size_t a_row = fm_row_stride(in), c_row = fm_row_stride(out);
    const size_t tiles = a_row ? ROWS_BLOCK_FLOATS / (a_row * ROWS) : rows;
    const size_t block = (tiles ? tiles : 1) * ROWS;
    const tile_plan t = { .x_row = a_row,
                          .x_step = 1,
                          .depth = in,
                          .b_step = FM_PANEL,
                          .c_row = c_row,
                          .add = start == FM_START_SUM };

    for (size_t first_row = 0; first_row < rows; first_row += block) {
        const size_t end = rows - first_row < block ? rows : first_row + block;

        for (size_t j = 0; j < out; j += COLUMNS) {
            const size_t columns = out - j < COLUMNS ? out - j : COLUMNS;
            const float *b = panels + j / FM_PANEL * FM_PANEL * in + j % FM_PANEL;

            for (size_t i = first_row; i < end; i += ROWS)
                tile_any(end - i < ROWS ? end - i : ROWS, &t, a + i * a_row, b,
                         bias ? bias + j : NULL, c + i * c_row + j, columns);
        }
    }
}

/* Rows of a whose part of a tile is copied, scaled, into one stream that stays in the first cache:
 * rows may be a power of two apart. */
#define FLOAT_BLOCK 256

/* Row k times scale, and weights[k] when there are such. */
INLINE void pack_scaled(float *to, const float *a, size_t a_row, size_t depth, size_t n,
                        float scale, const float *weights)
{
    if (n == COLUMNS) {
        for (size_t k = 0; k < depth; k++, to += COLUMNS, a += a_row) {
            const float s = weights ? scale * weights[k] : scale;

            store(to, s * load(a));
            store(to + LANES, s * load(a + LANES));
        }
        return;
    }
    for (size_t k = 0; k < depth; k++, to += COLUMNS, a += a_row) {
        const float s = weights ? scale * weights[k] : scale;

        store(to, s * (n < LANES ? load_part(a, n) : load(a)));
        if (n > LANES)
            store(to + LANES, s * load_part(a + LANES, n - LANES));
    }
}

TARGET static void level_outer_float(const float *g, const float *a, const float *weights,
                                     size_t rows, size_t out, size_t in, float scale,
                                     fm_start start, float *sum)
{
    const size_t g_row = fm_row_stride(out), a_row = fm_row_stride(in);
    float b[FLOAT_BLOCK * COLUMNS] __attribute__((aligned(64)));
    tile_plan t = { .x_row = 1, .x_step = g_row, .b_step = COLUMNS, .c_row = in };

    for (size_t i = 0; i < rows; i += FLOAT_BLOCK) {
        t.depth = rows - i < FLOAT_BLOCK ? rows - i : FLOAT_BLOCK;
        t.add = i || start == FM_START_SUM;
        for (size_t j = 0; j < in; j += COLUMNS) {
            const size_t columns = in - j < COLUMNS ? in - j : COLUMNS;

            pack_scaled(b, a + i * a_row + j, a_row, t.depth, columns, scale,
                        weights ? weights + i : NULL);
            for (size_t o = 0; o < out; o += ROWS)
                tile_any(out - o < ROWS ? out - o : ROWS, &t, g + i * g_row + o, b, NULL,
                         sum + o * in + j, columns);
        }
    }
}

/* w[out, in], a block of LANES rows at a time; a panel's last rows may be missing. */
TARGET static void level_transposed(float *panels, const float *w, size_t in, size_t out,
                                    float scale)
{
    for (size_t j = 0; j < out; j += LANES) {
        float *to = panels + j / FM_PANEL * FM_PANEL * in + j % FM_PANEL;
        const float *from = w + j * in;
        const size_t n = out - j < LANES ? out - j : LANES;
        size_t k = 0;

        if (n == LANES)
            for (; in - k >= LANES; k += LANES)
                transpose(to + k * FM_PANEL, from + k, in, scale);
        for (; k < in; k++)
            for (size_t l = 0; l < LANES; l++)
                to[k * FM_PANEL + l] = l < n ? scale * from[l * in + k] : 0.0f;
    }
}

/* w[in, out]: all of the panel's columns, the last of them zeros. */
TARGET static void level_straight(float *panels, const float *w, size_t in, size_t out, float scale)
{
    for (size_t j = 0; j < out; j += FM_PANEL) {
        const float *from = w + j;

        if (out - j >= FM_PANEL)
            for (size_t k = 0; k < in; k++, panels += FM_PANEL, from += out)
#pragma GCC unroll 8
                for (size_t l = 0; l < FM_PANEL; l += LANES)
                    store(panels + l, scale * load(from + l));
        else
            for (size_t k = 0; k < in; k++, panels += FM_PANEL, from += out)
                for (size_t l = 0; l < FM_PANEL; l++)
                    panels[l] = l < out - j ? scale * from[l] : 0.0f;
    }
}

/* A square is at most 2^30 less some: four of them fit 32 bits, and then their halves are added. */
#define SQUARES_AT_ONCE 4
#define SQUARES_BLOCK (32768 * LANES) /* numbers whose squares' halves do not fill 32 bits */

typedef struct {
    vu low, high; /* of the squares' halves */
} square_sum;

INLINE void add_squares(square_sum *s, vu four)
{
    s->low += four & 0xffff;
    s->high += four >> 16;
}

INLINE uint64_t squares_total(const square_sum *s)
{
    uint64_t total = 0;

    for (size_t l = 0; l < LANES; l++)
        total += s->low[l] + ((uint64_t)s->high[l] << 16);
    return total;
}

/* The words of two rows' numbers; their squares are added to `squares`. */
INLINE vu quantise_vector(vf lo, vf hi, const float scale[2], vu squares[2])
{
    const vu q0 = (vu)to_int(lo * scale[0]) & 0xffff, q1 = (vu)to_int(hi * scale[1]) << 16;

    squares[0] += (vu)dot2((vi)q0, (vi)q0, (vi){ 0 });
    squares[1] += (vu)dot2((vi)q1, (vi)q1, (vi){ 0 });
    return q0 | q1;
}

/* n <= SQUARES_BLOCK numbers of two rows. */
TARGET static void quantise_rows(const float *lo, const float *hi, size_t n, const float scale[2],
                                 uint32_t *to, uint64_t squares[2])
{
    square_sum s[2] = { 0 };
    size_t k = 0;

    for (; n - k >= LANES * SQUARES_AT_ONCE; k += LANES * SQUARES_AT_ONCE) {
        vu four[2] = { 0 };

#pragma GCC unroll 4
        for (size_t v = 0; v < LANES * SQUARES_AT_ONCE; v += LANES) {
            const vu words = quantise_vector(load(lo + k + v), load(hi + k + v), scale, four);

            memcpy(to + k + v, &words, sizeof words);
        }
        add_squares(&s[0], four[0]);
        add_squares(&s[1], four[1]);
    }
    for (; k < n; k += LANES) {
        const size_t m = n - k < LANES ? n - k : LANES;
        vu one[2] = { 0 };
        const vu words =
            quantise_vector(m < LANES ? load_part(lo + k, m) : load(lo + k),
                            m < LANES ? load_part(hi + k, m) : load(hi + k), scale, one);

        memcpy(to + k, &words, m * sizeof *to);
        add_squares(&s[0], one[0]);
        add_squares(&s[1], one[1]);
    }
    squares[0] += squares_total(&s[0]);
    squares[1] += squares_total(&s[1]);
}

TARGET static void level_quantise(const float *a, size_t rows, size_t n, const float *scale,
                                  uint32_t *pairs, uint64_t *squares)
{
    const size_t a_row = fm_row_stride(n);

    for (size_t i = 0; i < rows; i += 2, pairs += n) {
        const bool both = rows - i > 1;
        const float *lo = a + i * a_row, *hi = both ? lo + a_row : lo;
        const float scales[2] = { scale[i], both ? scale[i + 1] : 0.0f }; /* no row: zeros */
        uint64_t total[2] = { 0 };

        for (size_t k = 0; k < n; k += SQUARES_BLOCK)
            quantise_rows(lo + k, hi + k, n - k < SQUARES_BLOCK ? n - k : SQUARES_BLOCK, scales,
                          pairs + k, total);
        squares[i] = total[0];
        if (both)
            squares[i + 1] = total[1];
    }
}

#include "kernel_template_elements.h"

#include "kernel_template_decoder.h"

#define PEAK_SUMS 12

/* Multiplications and additions with nothing to wait for, in registers: what the processor's
 * arithmetic could do. @return their number; *out keeps them from being left out. */
TARGET static double level_peak(size_t rounds, float *out)
{
    const vf factor = all(0.5f), term = all(*out);
    vf sum[PEAK_SUMS];

    for (size_t i = 0; i < PEAK_SUMS; i++) /* all different, or the compiler makes one of them */
        sum[i] = all(*out + (float)i);
    for (size_t n = 0; n < rounds; n++)
#pragma GCC unroll 16
        for (size_t i = 0; i < PEAK_SUMS; i++)
            sum[i] = madd(sum[i], factor, term);
    for (size_t i = 1; i < PEAK_SUMS; i++)
        sum[0] += sum[i];
    *out = sum[0][0];
    return 2.0 * LANES * PEAK_SUMS * (double)rounds;
}

#define LEVEL_KERNELS                                                                           \
    {                                                                                           \
        .transposed = level_transposed, .straight = level_straight, .rows = level_rows,         \
        .quantise = level_quantise, .outer = level_outer, .outer_float = level_outer_float,     \
        .squares = level_squares, .dot = level_dot, .add_scaled = level_add_scaled,             \
        .exp = level_exp, .activate = level_activate, .peak = level_peak, .most = level_most,   \
        .exp_sum = level_exp_sum, .scale = level_scale, .gain = level_gain, .dot3 = level_dot3, \
        .gain_back = level_gain_back, .add_product = level_add_product, .swiglu = level_swiglu, \
        .swiglu_back = level_swiglu_back, .score_back = level_score_back,                       \
    }
