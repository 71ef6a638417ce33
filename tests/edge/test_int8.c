/* Rounding to 8 bits, and products at every level of instructions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/edge/int8.h"
#include "kernel_levels_each.h"
#include "suites.h"

typedef struct {
    size_t rows, columns, count;
} shape;

static const shape shapes[] = { { 1, 1, 1 },     { 3, 7, 2 },     { 17, 64, 1 },  { 16, 65, 4 },
                                { 33, 127, 5 },  { 5, 16, 70 },   { 64, 512, 9 }, { 20, 1000, 3 },
                                { 70, 31, 131 }, { 100, 257, 1 }, { 2, 33, 64 } };

typedef struct {
    int8_t *w, *x; /* one byte from where vectors are aligned */
    float *scale, *x_scale, *y, *floats;
    int32_t *sums;
    void *room;
    fm_int8_matrix m;
} product;

/* `kind`: 0 any values, 1 the extremes alone, 2 with -128, as a hostile file may have. */
static product make(const shape *s, fm_rng *rng, int kind)
{
    product p = { .w = malloc(s->rows * s->columns + 1),
                  .x = malloc(s->count * s->columns + 1),
                  .scale = malloc(s->rows * sizeof(float)),
                  .x_scale = malloc(s->count * sizeof(float)),
                  .y = malloc(s->count * (s->rows + 3) * sizeof(float)),
                  .floats = malloc(s->count * (s->columns + 1) * sizeof(float)),
                  .sums = malloc(s->count * s->rows * sizeof(int32_t)),
                  .room = aligned_alloc(64, (fm_int8_room(s->columns) + 63) / 64 * 64) };

    CU_ASSERT_TRUE_FATAL(p.w && p.x && p.scale && p.x_scale && p.y && p.floats && p.sums && p.room);
    for (size_t i = 0; i < s->rows * s->columns; i++) {
        const int v = (int)fm_rng_below(rng, 255) - 127;

        p.w[i + 1] = (int8_t)(kind == 0 ? v : kind == 1 ? (v < 0 ? -127 : 127) : v - (v < -99));
    }
    for (size_t i = 0; i < s->count * s->columns; i++)
        p.x[i + 1] = (int8_t)(kind == 0 ? (int)fm_rng_below(rng, 255) - 127 : i % 3 ? 127 : -127);
    if (kind == 2)
        p.w[1] = -128;
    fill(rng, p.scale, s->rows);
    fill(rng, p.x_scale, s->count);
    fill(rng, p.floats, s->count * (s->columns + 1));
    p.m = (fm_int8_matrix){ p.w + 1, p.scale, s->rows, s->columns };
    return p;
}

static void drop(product *p)
{
    free(p->w);
    free(p->x);
    free(p->scale);
    free(p->x_scale);
    free(p->y);
    free(p->floats);
    free(p->sums);
    free(p->room);
}

static int32_t sum_of(const product *p, const shape *s, size_t i, size_t r)
{
    int64_t sum = 0;

    for (size_t c = 0; c < s->columns; c++)
        sum += (int64_t)p->m.q[r * s->columns + c] * p->x[1 + i * s->columns + c];
    return (int32_t)sum;
}

static void check_product(const product *p, const shape *s)
{
    const size_t stride = s->rows + 3;

    memset(p->y, 0, s->count * stride * sizeof *p->y);
    fm_int8_sums(&p->m, p->x + 1, s->count, p->sums, p->room);
    fm_int8_product(&p->m, p->x + 1, p->x_scale, s->count, p->y, stride, p->room);
    for (size_t i = 0; i < s->count; i++) {
        for (size_t r = 0; r < s->rows; r++) {
            const int32_t want = sum_of(p, s, i, r);
            const float y = (float)want * (p->x_scale[i] * p->scale[r]);

            CU_ASSERT_EQUAL(p->sums[i * s->rows + r], want);
            CU_ASSERT_EQUAL(memcmp(&y, &p->y[i * stride + r], sizeof y), 0);
        }
        for (size_t k = s->rows; k < stride; k++) /* what lies between rows is the caller's */
            CU_ASSERT_EQUAL(p->y[i * stride + k], 0.0f);
    }
}

static void the_same_integers_and_floats_at_every_level(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 71);

    for (size_t k = 0; k < FM_TEST_COUNT(shapes); k++)
        for (int kind = 0; kind < 3; kind++) {
            product p = make(&shapes[k], &rng, kind);

            EACH_LEVEL(level)
            check_product(&p, &shapes[k]);
            drop(&p);
        }
}

static void sums_of_the_longest_rows_fit(void)
{
    const shape s = { 2, FM_INT8_COLUMNS_MAX, 1 };
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 72);
    product p = make(&s, &rng, 0);

    memset(p.w, 127, 1 + s.columns);
    memset(p.w + 1 + s.columns, -128, s.columns);
    memset(p.x, 127, 1 + s.columns);
    EACH_LEVEL(level)
    {
        check_product(&p, &s);
        CU_ASSERT_EQUAL(p.sums[0], 127 * 127 * (1 << 17));
    }
    drop(&p);
}

static void a_row_does_not_depend_on_the_others(void)
{
    const shape s = { 45, 200, 23 };
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 73);
    product p = make(&s, &rng, 0);
    float *one = malloc(s.rows * sizeof *one);

    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    EACH_LEVEL(level)
    {
        fm_int8_product(&p.m, p.x + 1, p.x_scale, s.count, p.y, s.rows, p.room);
        for (size_t i = 0; i < s.count; i++) {
            fm_int8_product(&p.m, p.x + 1 + i * s.columns, p.x_scale + i, 1, one, s.rows, p.room);
            CU_ASSERT_EQUAL(memcmp(one, p.y + i * s.rows, s.rows * sizeof *one), 0);
        }
    }
    free(one);
    drop(&p);
}

static void floats_as_they_are_give_the_same_bits_at_every_level(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 74);

    for (size_t k = 0; k < FM_TEST_COUNT(shapes); k++) {
        const shape *s = &shapes[k];
        product p = make(s, &rng, 0);
        const size_t n = s->count * s->rows;
        float *first = malloc(n * sizeof *first);

        CU_ASSERT_PTR_NOT_NULL_FATAL(first);
        EACH_LEVEL(level)
        {
            float *y = level == FM_LEVEL_PORTABLE ? first : p.y;

            fm_int8_product_float(&p.m, p.floats, s->columns + 1, s->count, y, s->rows);
            CU_ASSERT_EQUAL(memcmp(first, y, n * sizeof *y), 0);
        }
        for (size_t i = 0; i < s->count; i++)
            for (size_t r = 0; r < s->rows; r++) {
                double want = 0.0, size = 0.0;

                for (size_t c = 0; c < s->columns; c++) {
                    const double v = (double)p.floats[i * (s->columns + 1) + c] *
                                     (double)p.m.q[r * s->columns + c] * (double)p.scale[r];

                    want += v;
                    size += fabs(v);
                }
                CU_ASSERT_DOUBLE_EQUAL((double)first[i * s->rows + r], want, 1e-5 * size + 1e-30);
            }
        free(first);
        drop(&p);
    }
}

static void weights_are_half_a_scale_off_at_most(void)
{
    enum { ROWS = 37, COLUMNS = 203 };
    static float w[ROWS * COLUMNS], back[COLUMNS], scale[ROWS], again[ROWS];
    static int8_t q[ROWS * COLUMNS], first[ROWS * COLUMNS], q2[COLUMNS];
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 75);

    fill(&rng, w, ROWS * COLUMNS);
    memset(w, 0, COLUMNS * sizeof *w); /* a row of zeros */
    w[COLUMNS + 3] = 1e30f;
    EACH_LEVEL(level)
    {
        CU_ASSERT_EQUAL(fm_int8_quantise(w, ROWS, COLUMNS, q, scale), FM_OK);
        if (level == FM_LEVEL_PORTABLE)
            memcpy(first, q, sizeof q);
        CU_ASSERT_EQUAL(memcmp(first, q, sizeof q), 0);
        CU_ASSERT_EQUAL(scale[0], 0.0f);
        for (size_t r = 0; r < ROWS; r++) {
            const fm_int8_matrix m = { q, scale, ROWS, COLUMNS };
            int most = 0;

            fm_int8_row(&m, r, back);
            for (size_t c = 0; c < COLUMNS; c++) {
                CU_ASSERT_TRUE(fabsf(w[r * COLUMNS + c] - back[c]) <= scale[r] * 0.500001f);
                CU_ASSERT_TRUE(q[r * COLUMNS + c] >= -127);
                most = abs(q[r * COLUMNS + c]) > most ? abs(q[r * COLUMNS + c]) : most;
            }
            CU_ASSERT_EQUAL(most, r ? 127 : 0);
            /* What was rounded is rounded to itself. */
            CU_ASSERT_EQUAL(fm_int8_quantise(back, 1, COLUMNS, q2, &again[r]), FM_OK);
            CU_ASSERT_EQUAL(memcmp(q2, q + r * COLUMNS, COLUMNS), 0);
            CU_ASSERT_TRUE(fabsf(again[r] - scale[r]) <= scale[r] * 1.2e-7f);
        }
    }
}

static void what_is_no_number_is_refused(void)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    float w[70] = { 1.0f }, scale;
    int8_t q[70];

    EACH_LEVEL(level)
    {
        for (size_t k = 0; k < FM_TEST_COUNT(bad); k++)
            for (size_t at = 0; at < 70; at += 23) {
                w[at] = bad[k];
                CU_ASSERT_EQUAL(fm_int8_quantise(w, 1, 70, q, &scale), FM_ENONFINITE);
                w[at] = 0.0f;
            }
        w[69] = -3.4e38f; /* large, and a number */
        CU_ASSERT_EQUAL(fm_int8_quantise(w, 1, 70, q, &scale), FM_OK);
        CU_ASSERT_EQUAL(q[69], -127);
        w[69] = 1e-44f; /* the scale is 0 or the smallest there is */
        CU_ASSERT_EQUAL(fm_int8_quantise(w, 1, 70, q, &scale), FM_OK);
        w[69] = 0.0f;
    }
    CU_ASSERT_EQUAL(fm_int8_quantise(w, 1, 0, q, &scale), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_int8_quantise(w, 1, FM_INT8_COLUMNS_MAX + 1, q, &scale), FM_EINVAL);
}

static const fm_test tests[] = {
    { "the same integers and floats at every level", the_same_integers_and_floats_at_every_level },
    { "sums of the longest rows fit", sums_of_the_longest_rows_fit },
    { "a row does not depend on the others", a_row_does_not_depend_on_the_others },
    { "floats as they are give the same bits at every level",
      floats_as_they_are_give_the_same_bits_at_every_level },
    { "weights are half a scale off at most", weights_are_half_a_scale_off_at_most },
    { "what is no number is refused", what_is_no_number_is_refused },
};
const fm_test_suite suite_int8 = { "edge.int8", tests, FM_TEST_COUNT(tests) };
