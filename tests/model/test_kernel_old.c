#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "kernel_internal.h"
#include "suites.h"

static void fill(fm_rng *rng, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)fm_rng_normal(rng);
}

/* The definition, one entry at a time. */
static void plain(const float *a, size_t rows, size_t in, const float *b, size_t out,
                  const float *bias, bool add, float *c)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < out; j++) {
            volatile float sum = add ? c[i * out + j] : bias ? bias[j] : 0.0f;

            for (size_t k = 0; k < in; k++) {
                volatile float product = b[k * out + j] * a[i * in + k];

                sum = sum + product;
            }
            c[i * out + j] = sum;
        }
}

static void rows_have_the_bits_of_the_definition_whatever_the_registers(void)
{
    static float a[9 * 80], b[80 * 80], bias[80], c[9 * 80], want[9 * 80], start_c[9 * 80];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 8);
    size_t bad = 0;

    for (size_t out = 1; out <= 70; out++)
        for (size_t in = 0; in <= 40; in += 1 + in / 3)
            for (size_t rows = 0; rows <= 9; rows++) {
                const bool add = (rows + in) % 3 == 0;
                const float *start = out % 2 ? bias : NULL;

                fill(&rng, a, rows * in);
                fill(&rng, b, in * out);
                fill(&rng, bias, out);
                fill(&rng, c, rows * out);
                memcpy(want, c, sizeof want);
                memcpy(start_c, c, sizeof c);
                plain(a, rows, in, b, out, start, add, want);
                for (unsigned level = 0; level < 3; level++) {
                    memcpy(c, start_c, sizeof c);
                    fm_old_kernel_rows_at(level, a, rows, in, b, out, start, add, c);
                    bad += memcmp(c, want, rows * out * sizeof *c) != 0;
                }
            }
    CU_ASSERT_EQUAL(bad, 0);
}

static void dots_and_squares_agree_with_double_sums(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 9);
    float a[100], b[100];

    for (size_t n = 0; n <= 100; n++) {
        double dot = 0.0, square = 0.0, size = 0.0;

        fill(&rng, a, n);
        fill(&rng, b, n);
        for (size_t i = 0; i < n; i++) {
            dot += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
            square += (double)a[i] * (double)a[i];
        }
        CU_ASSERT_DOUBLE_EQUAL((double)fm_old_kernel_dot(a, b, n), dot, 1e-6 * size);
        CU_ASSERT_DOUBLE_EQUAL(fm_old_kernel_square(a, n), square, 1e-12 * square);
    }
}

static const fm_test tests[] = {
    { "rows have the bits of the definition whatever the registers",
      rows_have_the_bits_of_the_definition_whatever_the_registers },
    { "dots and squares agree with double sums", dots_and_squares_agree_with_double_sums },
};
const fm_test_suite suite_kernel_old = { "model.kernel_old", tests, FM_TEST_COUNT(tests) };
