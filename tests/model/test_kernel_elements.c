/* The elementwise kernels against doubles and among the levels; the report on a machine's speed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/compute.h"
#include "fm_test.h"
#include "kernel_levels_each.h"
#include "suites.h"

static void dots_and_squares_agree_with_double_sums_and_among_levels(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 14);
    float a[112], b[112];

    for (size_t n = 0; n <= 100; n++) {
        double dot = 0.0, square = 0.0, size = 0.0, first_square = 0.0;
        float first_dot = 0.0f;

        fill(&rng, a, n);
        fill(&rng, b, n);
        for (size_t i = 0; i < n; i++) {
            dot += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
            square += (double)a[i] * (double)a[i];
        }
        EACH_LEVEL(level)
        {
            const float have = fm_kernel_dot(a, b, n);
            double have_square = -1.0;

            fm_kernel_squares(a, 1, n, &have_square);
            CU_ASSERT_DOUBLE_EQUAL((double)have, dot, 1e-6 * size);
            CU_ASSERT_DOUBLE_EQUAL(have_square, square, 1e-14 * square);
            if (level == FM_LEVEL_PORTABLE) {
                first_dot = have;
                first_square = have_square;
            }
            CU_ASSERT_EQUAL(memcmp(&have, &first_dot, sizeof have), 0);
            CU_ASSERT_EQUAL(memcmp(&have_square, &first_square, sizeof have_square), 0);
        }
    }
}

/* Units in the last place between have and the true value. */
static double ulps(float have, double want)
{
    const float near = (float)want;

    return fabs((double)have - want) / (double)(nextafterf(near, INFINITY) - near);
}

static void exp_is_within_two_units_in_the_last_place(void)
{
    enum { N = 4001 };
    float *v = malloc(N * sizeof *v), *first = malloc(N * sizeof *v);
    double worst = 0.0;
    size_t differ = 0;

    CU_ASSERT_FATAL(v != NULL && first != NULL);
    for (int round = 0; round < 100; round++) {
        EACH_LEVEL(level)
        {
            for (int i = 0; i < N; i++)
                v[i] = 87.0f * (float)(2 * i - N + 1) / (float)(N - 1) *
                       (1.0f - (float)round / 101.0f);
            fm_kernel_exp(v, N);
            if (level == FM_LEVEL_PORTABLE)
                memcpy(first, v, N * sizeof *v);
            differ += memcmp(first, v, N * sizeof *v) != 0;
        }
        for (int i = 0; i < N; i++) {
            const float x =
                87.0f * (float)(2 * i - N + 1) / (float)(N - 1) * (1.0f - (float)round / 101.0f);

            worst = fmax(worst, ulps(first[i], exp((double)x)));
        }
    }
    printf("largest error %.3f units\n", worst);
    CU_ASSERT(worst <= 2.0);
    CU_ASSERT_EQUAL(differ, 0);
    free(first);
    free(v);
}

static void exp_of_special_values(void)
{
    static const float at[] = { 0.0f,   -0.0f, INFINITY, -INFINITY, 87.5f,
                                -87.5f, 3e38f, -3e38f,   1e-40f };
    static const float want[] = {
        1.0f, 1.0f, INFINITY, 0.0f, INFINITY, 0.0f, INFINITY, 0.0f, 1.0f
    };

    EACH_LEVEL(level)
    {
        float v[FM_TEST_COUNT(at) + 1];

        memcpy(v, at, sizeof at);
        v[FM_TEST_COUNT(at)] = NAN;
        fm_kernel_exp(v, FM_TEST_COUNT(v));
        CU_ASSERT_EQUAL(memcmp(v, want, sizeof want), 0);
        CU_ASSERT(isnan(v[FM_TEST_COUNT(at)]));
    }
}

static double true_act(fm_act kind, double v)
{
    const double s = 1.0 / (1.0 + exp(-v));

    if (kind == FM_ACT_RELU)
        return v > 0.0 ? v : 0.0;
    if (kind == FM_ACT_SILU)
        return v * s;
    return 0.5 * v * (1.0 + tanh(0.79788456080286536 * (v + 0.044715 * v * v * v)));
}

static void activations_and_slopes_agree_with_doubles_and_among_levels(void)
{
    enum { N = 2003 };
    float h[N], slope[N], first[2][N];

    for (fm_act kind = FM_ACT_RELU; kind <= FM_ACT_GELU; kind++)
        EACH_LEVEL(level)
        {
            double worst = 0.0;

            for (int i = 0; i < N; i++)
                h[i] = 0.02f * (float)(i - N / 2) + 0.001f;
            fm_kernel_activate(kind, h, slope, N);
            if (level == FM_LEVEL_PORTABLE) {
                memcpy(first[0], h, sizeof h);
                memcpy(first[1], slope, sizeof slope);
            }
            CU_ASSERT_EQUAL(memcmp(first[0], h, sizeof h), 0);
            CU_ASSERT_EQUAL(memcmp(first[1], slope, sizeof slope), 0);
            for (int i = 0; i < N; i++) {
                const double v = (double)(0.02f * (float)(i - N / 2) + 0.001f), e = 1e-5;
                const double d = (true_act(kind, v + e) - true_act(kind, v - e)) / (2.0 * e);

                worst = fmax(worst, fabs((double)h[i] - true_act(kind, v)) / (1.0 + fabs(v)));
                worst = fmax(worst, fabs((double)slope[i] - d));
            }
            CU_ASSERT(worst < 2e-6);
        }
}

static void activations_far_out(void)
{
    EACH_LEVEL(level)
    {
        for (fm_act kind = FM_ACT_RELU; kind <= FM_ACT_GELU; kind++) {
            float h[] = { 1e30f, -1e30f, NAN, 100.0f, -100.0f }, slope[5];

            fm_kernel_activate(kind, h, slope, 5);
            CU_ASSERT(h[0] == 1e30f && h[3] == 100.0f);
            CU_ASSERT(fabsf(h[1]) <= 1e-6f && fabsf(h[4]) <= 1e-6f);
            CU_ASSERT(isnan(h[2]));
            CU_ASSERT(slope[0] == 1.0f && slope[3] == 1.0f);
            CU_ASSERT(fabsf(slope[1]) <= 1e-6f && fabsf(slope[4]) <= 1e-6f);
        }
    }
}

static void add_scaled_rounds_product_and_sum(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 15);
    float x[50], y[50], before[50];

    fill(&rng, x, 50);
    fill(&rng, before, 50);
    EACH_LEVEL(level)
    {
        for (size_t n = 0; n < 50; n++) {
            memcpy(y, before, sizeof y);
            fm_kernel_add_scaled(y, 0.3f, x, n);
            for (size_t i = 0; i < 50; i++) {
                volatile float part = 0.3f * x[i];

                CU_ASSERT_EQUAL(y[i], i < n ? before[i] + part : before[i]);
            }
        }
    }
}

/* How fast it is, a test cannot know; that product and peak are measured alike, it can. */
static void a_machine_is_measured_at_every_level(void)
{
    EACH_LEVEL(level)
    {
        fm_compute_report r = { 0 };
        char line[320];

        CU_ASSERT_EQUAL(fm_compute_measure(&r), FM_OK);
        CU_ASSERT_STRING_EQUAL(r.level, fm_kernel_level_name(level));
        CU_ASSERT(r.float_gflops > 0.0 && r.integer_gops > 0.0 && isfinite(r.integer_gops));
        CU_ASSERT(r.peak_gflops > 0.0 && r.float_gflops < 4.0 * r.peak_gflops);
        CU_ASSERT_EQUAL(r.portable, level == FM_LEVEL_PORTABLE);
        fm_compute_format(&r, line, sizeof line);
        CU_ASSERT_PTR_NOT_NULL(strstr(line, r.level));
        CU_ASSERT_EQUAL(strstr(line, "SLOW") != NULL, r.portable);
    }
}

static const fm_test tests[] = {
    { "a machine is measured at every level", a_machine_is_measured_at_every_level },
    { "dots and squares agree with double sums, and among levels",
      dots_and_squares_agree_with_double_sums_and_among_levels },
    { "exp is within two units in the last place", exp_is_within_two_units_in_the_last_place },
    { "exp of special values", exp_of_special_values },
    { "activations and slopes agree with doubles, and among levels",
      activations_and_slopes_agree_with_doubles_and_among_levels },
    { "activations far out", activations_far_out },
    { "add_scaled rounds product and sum", add_scaled_rounds_product_and_sum },
};
const fm_test_suite suite_kernel_elements = { "model.kernel_elements", tests,
                                              FM_TEST_COUNT(tests) };
