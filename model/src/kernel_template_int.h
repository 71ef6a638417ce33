/*
 * fm_kernel_outer for one level of instructions: see kernel_template.h, which includes this. Needs
 * TARGET, LANES, ROWS and dot2. A kernel: exempt from the size rule.
 */
#include <string.h>

#include "kernel_levels.h"

#define INLINE TARGET __attribute__((always_inline)) static inline

#define COLUMNS (2 * LANES) /* of a tile */

/* Rows of tiles that are compiled, and the first of them for a number of rows: such that each but a
 * single row has work enough to hide how long a sum takes. */
#if ROWS == 12
#define EACH_TILE(CASE) \
    CASE(12);           \
    CASE(8);            \
    CASE(6);            \
    CASE(4);            \
    CASE(3);            \
    CASE(2);            \
    CASE(1);
static const unsigned char tile_rows[ROWS + 1] = { 0, 1, 2, 3, 4, 3, 6, 4, 8, 6, 6, 8, 12 };
#elif ROWS == 6
#define EACH_TILE(CASE) \
    CASE(6);            \
    CASE(4);            \
    CASE(3);            \
    CASE(2);            \
    CASE(1);
static const unsigned char tile_rows[ROWS + 1] = { 0, 1, 2, 3, 4, 3, 6 };
#else
#define EACH_TILE(CASE) \
    CASE(4);            \
    CASE(2);            \
    CASE(1);
static const unsigned char tile_rows[ROWS + 1] = { 0, 1, 2, 2, 4 };
#endif

/* What is derived of the pointer is derived again: the compiler would keep the address of each row
 * over the loop, in registers that are not there. */
#define AFRESH(pointer) __asm__("" : "+r"(pointer))

/* A tile is the sums of ROWS rows of sum and two vectors of its columns, in registers. */
INLINE vi load_int(const void *p)
{
    vi v;

    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void int_tile(const size_t rows, const uint32_t *g, size_t g_step, const uint32_t *a,
                     size_t a_step, size_t pairs, int32_t *sum, size_t sum_row)
{
    vi sum0[ROWS], sum1[ROWS];
    int32_t *at = sum;

#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++, at += sum_row) {
        sum0[r] = load_int(at);
        sum1[r] = load_int(at + LANES);
    }
    for (size_t p = pairs; p > 0; p--) {
        const vi a0 = load_int(a), a1 = load_int(a + LANES);

#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            const vi x = (int32_t)g[r] - (vi){ 0 };

            sum0[r] = dot2(x, a0, sum0[r]);
            sum1[r] = dot2(x, a1, sum1[r]);
        }
        g += g_step;
        a += a_step;
    }
    AFRESH(sum);
    at = sum;
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++, at += sum_row) {
        memcpy(at, &sum0[r], sizeof(vi));
        memcpy(at + LANES, &sum1[r], sizeof(vi));
    }
}

#define INT_TILE_CASE(n)                                         \
    case n:                                                      \
        int_tile(n, g, g_step, a, COLUMNS, pairs, sum, sum_row); \
        break

/* At most ROWS rows. */
TARGET static void int_tile_any(size_t rows, const uint32_t *g, size_t g_step, const uint32_t *a,
                                size_t pairs, int32_t *sum, size_t sum_row)
{
    while (rows) {
        const size_t n = tile_rows[rows];

        switch (n) {
            EACH_TILE(INT_TILE_CASE)
        default:
            break;
        }
        rows -= n;
        g += n;
        sum += n * sum_row;
    }
}

#define PAIRS_BLOCK 128

/* Columns of a, for as many pairs as stay in the first cache, in one stream: rows of a may be a
 * power of two apart, and end anywhere. */
INLINE void pack_columns(uint32_t *to, const uint32_t *a, size_t pairs, size_t in, size_t columns)
{
    if (columns == COLUMNS) {
        for (size_t p = 0; p < pairs; p++, to += COLUMNS, a += in) {
            const vi a0 = load_int(a), a1 = load_int(a + LANES);

            memcpy(to, &a0, sizeof a0);
            memcpy(to + LANES, &a1, sizeof a1);
        }
        return;
    }
    memset(to, 0, pairs * COLUMNS * sizeof *to);
    for (size_t p = 0; p < pairs; p++, to += COLUMNS, a += in)
        memcpy(to, a, columns * sizeof *to);
}

TARGET static void level_outer(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out,
                               size_t in, int32_t *sum)
{
    uint32_t block[PAIRS_BLOCK * COLUMNS] __attribute__((aligned(64)));
    int32_t part[ROWS * COLUMNS]; /* a tile of sum of less than COLUMNS columns */

    for (size_t p = 0; p < pairs; p += PAIRS_BLOCK) {
        const size_t n = pairs - p < PAIRS_BLOCK ? pairs - p : PAIRS_BLOCK;

        for (size_t j = 0; j < in; j += COLUMNS) {
            const size_t columns = in - j < COLUMNS ? in - j : COLUMNS;

            pack_columns(block, a + p * in + j, n, in, columns);
            for (size_t o = 0; o < out; o += ROWS) {
                const size_t rows = out - o < ROWS ? out - o : ROWS;
                int32_t *to = sum + o * in + j;

                if (columns == COLUMNS) {
                    int_tile_any(rows, g + p * out + o, out, block, n, to, in);
                    continue;
                }
                memset(part, 0, sizeof part);
                int_tile_any(rows, g + p * out + o, out, block, n, part, COLUMNS);
                for (size_t r = 0; r < rows; r++)
                    for (size_t k = 0; k < columns; k++)
                        to[r * in + k] =
                            (int32_t)((uint32_t)to[r * in + k] + (uint32_t)part[r * COLUMNS + k]);
            }
        }
    }
}
