/* Confidence intervals and the figures of several classes and of numbers, against values that were
 * computed by hand, printed elsewhere, or counted pair by pair. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "metrics_internal.h"
#include "suites.h"

#define Z 1.959963984540054

static double higher(float a, float b)
{
    return a > b ? 1.0 : a == b ? 0.5 : 0.0;
}

/* DeLong's variance, term by term as in the paper: V10 and V01 from all pairs. */
static double brute_delong(const float *s, const float *y, size_t n, double *auc)
{
    double v[64], sum[2] = { 0, 0 }, squares[2] = { 0, 0 }, count[2] = { 0, 0 };

    for (size_t i = 0; i < n; i++)
        count[y[i] == 1.0f] += 1.0;
    for (size_t i = 0; i < n; i++) {
        v[i] = 0.0;
        for (size_t j = 0; j < n; j++)
            if (y[j] != y[i])
                v[i] += y[i] == 1.0f ? higher(s[i], s[j]) : higher(s[j], s[i]);
        v[i] /= count[y[i] != 1.0f];
        sum[y[i] == 1.0f] += v[i];
    }
    *auc = sum[1] / count[1];
    for (size_t i = 0; i < n; i++)
        squares[y[i] == 1.0f] += (v[i] - *auc) * (v[i] - *auc);
    return squares[1] / (count[1] - 1.0) / count[1] + squares[0] / (count[0] - 1.0) / count[0];
}

static void the_auc_interval_is_delongs(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 31);

    for (int t = 0; t < 200; t++) {
        const size_t n = 6 + (size_t)fm_rng_below(&rng, 58);
        float s[64], y[64];
        double auc, half;
        fm_metrics m;

        for (size_t i = 0; i < n; i++) {
            y[i] = i < 4 ? (float)(i % 2) : (float)fm_rng_below(&rng, 2);
            s[i] = (float)fm_rng_below(&rng, 12) + 3.0f * y[i];
        }
        CU_ASSERT_EQUAL(fm_metrics_compute(s, y, n, &m), FM_OK);
        half = Z * sqrt(brute_delong(s, y, n, &auc));
        CU_ASSERT_DOUBLE_EQUAL(m.auc, auc, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(m.auc_ci.lo, fmax(auc - half, 0.0), 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(m.auc_ci.hi, fmin(auc + half, 1.0), 1e-12);
    }
}

/* Of 1000 samples of a known classifier about 95 % of the intervals hold the true area, which is
 * Phi(d / sqrt 2) for two normal classes d apart. Outside of 92.5 to 97.5 % with probability 3e-4. */
static void the_auc_interval_covers_the_truth(void)
{
    const double truth = 0.5 * erfc(-1.0 / 2.0); /* d = 1 */
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 32);
    size_t held = 0;

    for (int t = 0; t < 1000; t++) {
        float s[120], y[120];
        fm_metrics m;

        for (size_t i = 0; i < 120; i++) {
            y[i] = (float)(i % 2);
            s[i] = (float)(fm_rng_normal(&rng) + (double)y[i]);
        }
        CU_ASSERT_EQUAL_FATAL(fm_metrics_compute(s, y, 120, &m), FM_OK);
        held += m.auc_ci.lo <= truth && truth <= m.auc_ci.hi;
    }
    printf("    %zu of 1000 intervals hold the true area\n", held);
    CU_ASSERT_TRUE(held >= 925 && held <= 975);
}

static void proportions_have_wilsons_interval(void)
{
    /* R: prop.test(8, 10, correct = FALSE) and prop.test(0, 20, correct = FALSE) */
    const fm_range a = fm_wilson(8, 10), b = fm_wilson(0, 20), c = fm_wilson(20, 20);

    CU_ASSERT_DOUBLE_EQUAL(a.lo, 0.4901625, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(a.hi, 0.9433178, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(b.lo, 0.0, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(b.hi, 0.1611252, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(c.lo, 1.0 - b.hi, 1e-12);
    CU_ASSERT_EQUAL(c.hi, 1.0);
    CU_ASSERT_TRUE(isnan(fm_wilson(0, 0).lo));
}

static double sigmoid(double z)
{
    return 1.0 / (1.0 + exp(-z));
}

/* At the fitted slope and intercept the likelihood's derivatives are 0. */
static void the_calibration_line_is_the_likeliest(void)
{
    enum { N = 4000 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    double residual = 0.0;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 33);
    fm_metrics m;

    CU_ASSERT_TRUE_FATAL(x && y);
    for (size_t i = 0; i < N; i++) {
        x[i] = (float)(2.0 * fm_rng_normal(&rng));
        y[i] = fm_rng_unit(&rng) < sigmoid(0.5 + 0.6 * (double)x[i]) ? 1.0f : 0.0f;
    }
    CU_ASSERT_EQUAL(fm_metrics_compute(x, y, N, &m), FM_OK);
    CU_ASSERT_TRUE(m.slope_ci.lo < 0.6 && 0.6 < m.slope_ci.hi);
    CU_ASSERT_TRUE(m.slope_ci.hi - m.slope_ci.lo < 0.12);
    for (size_t i = 0; i < N; i++)
        residual += (double)y[i] - sigmoid(m.intercept + (double)x[i]);
    CU_ASSERT_DOUBLE_EQUAL(residual, 0.0, 1e-6);
    free(x);
    free(y);
}

static void calibration_of_few_records_is_right_or_absent(void)
{
    const float flat[] = { 0.0f, 0.0f, 0.0f, 0.0f }, one[] = { 1.0f, 0.0f, 0.0f, 0.0f };
    const float apart[] = { -3.0f, -2.0f, 2.0f, 3.0f }, two[] = { 0.0f, 0.0f, 1.0f, 1.0f };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_compute(flat, one, 4, &m), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(m.intercept, log(1.0 / 3.0), 1e-9); /* one of four */
    CU_ASSERT_DOUBLE_EQUAL(m.intercept_ci.hi - m.intercept, Z / sqrt(4.0 * 0.25 * 0.75), 1e-9);
    CU_ASSERT_TRUE(isnan(m.slope));
    CU_ASSERT_DOUBLE_EQUAL(m.brier, 0.25, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(m.calibration_error, 0.25, 1e-12);
    CU_ASSERT_EQUAL(m.bins[5].rows, 4);
    CU_ASSERT_DOUBLE_EQUAL(m.bins[5].observed, 0.25, 1e-12);
    CU_ASSERT_TRUE(isnan(m.bins[4].observed));
    /* Separated classes: the slope grows without end, and is not told. */
    CU_ASSERT_EQUAL(fm_metrics_compute(apart, two, 4, &m), FM_OK);
    CU_ASSERT_TRUE(isnan(m.slope) && isnan(m.slope_ci.lo));
    CU_ASSERT_EQUAL(m.auc_ci.lo, 1.0);
}

static void several_classes_have_their_figures(void)
{
    /* Probabilities 1/2, 1/4, 1/4 in some order. */
    const float l = 0.69314718f;
    const float outputs[] = { l, 0, 0, 0, l, 0, 0, 0, l, l, 0, 0, 0, l, 0, l, 0, 0 };
    const float labels[] = { 0, 1, 2, 1, 1, 0 }, bad[] = { 0, 1, 3, 1, 1, 0 };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_classes(outputs, labels, 6, 3, &m), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(m.accuracy, 5.0 / 6.0, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(m.log_loss, (5.0 * log(2.0) + log(4.0)) / 6.0, 1e-7);
    /* right: 1/4 + 1/16 + 1/16; wrong: 1/4 + 9/16 + 1/16 */
    CU_ASSERT_DOUBLE_EQUAL(m.brier, (5.0 * 6.0 + 14.0) / 16.0 / 6.0, 1e-7);
    /* class 0: 2 x 4 pairs, the fourth record ties with both: 7/8; class 1: its third positive ties
     * with the 3 negative ones: 2/3 + 1/3 * 1/2; class 2: all right */
    CU_ASSERT_DOUBLE_EQUAL(m.auc, (7.0 / 8.0 + 5.0 / 6.0 + 1.0) / 3.0, 1e-12);
    CU_ASSERT_TRUE(m.auc_ci.lo < m.auc && m.auc_ci.hi == 1.0);
    CU_ASSERT_EQUAL(m.bins[5].rows, 6); /* every prediction says 1/2 */
    CU_ASSERT_EQUAL(fm_metrics_classes(outputs, bad, 6, 3, &m), FM_EINVAL);
}

/* Two classes as two outputs: the figures of one logit, and DeLong's interval but for m / (m - 1). */
static void two_of_several_classes_are_a_binary_label(void)
{
    enum { N = 400 };
    float outputs[2 * N], logits[N], labels[N];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 34);
    fm_metrics two, one;

    for (size_t i = 0; i < N; i++) {
        labels[i] = (float)fm_rng_below(&rng, 2);
        logits[i] = (float)(fm_rng_normal(&rng) + (double)labels[i]);
        outputs[2 * i] = 0.25f;
        outputs[2 * i + 1] = 0.25f + logits[i];
    }
    CU_ASSERT_EQUAL(fm_metrics_classes(outputs, labels, N, 2, &two), FM_OK);
    CU_ASSERT_EQUAL(fm_metrics_compute(logits, labels, N, &one), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(two.auc, one.auc, 1e-4); /* rounding makes and breaks ties */
    CU_ASSERT_DOUBLE_EQUAL(two.log_loss, one.log_loss, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(two.brier, 2.0 * one.brier, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(two.auc_ci.hi - two.auc, one.auc_ci.hi - one.auc, 2e-4);
}

static void numbers_have_their_figures(void)
{
    const float outputs[] = { 1.0f, 2.0f, 4.0f, 4.0f }, labels[] = { 1.0f, 2.0f, 3.0f, 6.0f };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_number(outputs, labels, 4, 10.0, &m), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(m.mae, 7.5, 1e-9);                 /* 0, 0, 10, 20 */
    CU_ASSERT_DOUBLE_EQUAL(m.rmse, sqrt(125.0), 1e-9);        /* 0, 0, 100, 400 */
    CU_ASSERT_DOUBLE_EQUAL(m.r2, 1.0 - 500.0 / 1400.0, 1e-9); /* 10, 20, 30, 60 about 30 */
    CU_ASSERT_DOUBLE_EQUAL(m.mae_ci.hi - m.mae, Z * sqrt(275.0 / 3.0) / 2.0, 1e-9);
    CU_ASSERT_TRUE(m.r2_ci.lo < m.r2 && m.r2 < m.r2_ci.hi);
    CU_ASSERT_TRUE(isnan(m.auc) && isnan(m.log_loss));
}

/* Predictions outside of the label's range are given out, and measured, at its ends. */
static void numbers_are_measured_within_the_labels_range(void)
{
    static const char text[] = "name: t\ncolumns:\n"
                               "  - {name: x, kind: numeric, range: [0, 8]}\n"
                               "  - {name: y, kind: label, range: [0, 40], center: 10, scale: 5}\n";
    const float outputs[] = { 100.0f, -100.0f, 2.0f }, labels[] = { 6.0f, -2.0f, 1.0f };
    const float wrong[] = { INFINITY, 0.0f, 0.0f };
    fm_schema *s = NULL;
    fm_metrics m;

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", text, strlen(text), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_metrics_of(s, outputs, labels, 3, &m), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(m.mae, 5.0 / 3.0, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(m.rmse, sqrt(25.0 / 3.0), 1e-9);
    CU_ASSERT_EQUAL(fm_metrics_of(s, wrong, labels, 3, &m), FM_ENONFINITE); /* not hidden */
    fm_schema_free(&s);
}

static void figures_are_readable_whatever_their_size(void)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = { { 0.0, "0.0000" },
                  { 0.75, "0.7500" },
                  { -0.25, "-0.2500" },
                  { 12.5, "12.5000" },
                  { 0.00001234567, "1.235e-05" },
                  { 0.0034567, "0.003457" },
                  { -0.0034567, "-0.003457" },
                  { 1234.5678, "1234.6" },
                  { 123456.789, "123457" },
                  { 4.5678e9, "4.568e+09" },
                  { (double)NAN, "-" },
                  { HUGE_VAL, "-" } };
    fm_metrics m = { .target = FM_TARGET_NUMBER, .rows = 3, .rmse = 2.5e-7, .mae = 123456789.0 };
    fm_buf text = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char got[FM_METRICS_FIGURE];

        fm_metrics_figure(cases[i].v, got);
        CU_ASSERT_STRING_EQUAL(got, cases[i].text);
    }
    CU_ASSERT_EQUAL(fm_metrics_text(&m, &text), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)text.data, " 2.5e-07 "));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)text.data, " 1.235e+08 "));
    fm_buf_fini(&text);
}

/* The interval of R2 holds the truth about as often as it says: slope b and unit noise explain
 * b^2 / (b^2 + 1). Of 500, outside of 91 to 98.5 % with probability below 1e-3. */
static void the_interval_of_r2_covers_the_truth(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 35);
    size_t held = 0;

    for (int t = 0; t < 500; t++) {
        float o[300], y[300];
        fm_metrics m;

        for (size_t i = 0; i < 300; i++) {
            o[i] = (float)fm_rng_normal(&rng);
            y[i] = o[i] + (float)fm_rng_normal(&rng);
        }
        CU_ASSERT_EQUAL_FATAL(fm_metrics_number(o, y, 300, 1.0, &m), FM_OK);
        held += m.r2_ci.lo <= 0.5 && 0.5 <= m.r2_ci.hi;
    }
    printf("    %zu of 500 intervals hold the true R2\n", held);
    CU_ASSERT_TRUE(held >= 455 && held <= 492);
}

static void the_diagram_stands_alone_and_speaks(void)
{
    const float logits[] = { -2.0f, 0.0f, 1.0f, 3.0f }, labels[] = { 0.0f, 1.0f, 0.0f, 1.0f };
    fm_buf svg = { 0 };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_compute(logits, labels, 4, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_metrics_svg(&m, "a<b>&\x1b", &svg), FM_OK);
    const char *text = (const char *)svg.data;

    CU_ASSERT_PTR_NOT_NULL(strstr(text, ">a&lt;b&gt;&amp; <"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Predicted 0.5 to 0.6: 1 records"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "prefers-color-scheme:dark"));
    CU_ASSERT_PTR_NULL(strstr(text, "href"));
    CU_ASSERT_PTR_NULL(strstr(text, "nan"));
    CU_ASSERT_PTR_NULL(strstr(text, "<script"));
    CU_ASSERT_STRING_EQUAL(text + svg.len - 7, "</svg>\n");
    fm_buf_fini(&svg);
    m.target = FM_TARGET_NUMBER;
    CU_ASSERT_EQUAL(fm_metrics_svg(&m, "t", &svg), FM_EINVAL);
}

static const fm_test tests[] = {
    { "the AUC's interval is DeLong's", the_auc_interval_is_delongs },
    { "the AUC's interval covers the truth", the_auc_interval_covers_the_truth },
    { "proportions have Wilson's interval", proportions_have_wilsons_interval },
    { "the calibration line is the likeliest", the_calibration_line_is_the_likeliest },
    { "calibration of few records is right or absent",
      calibration_of_few_records_is_right_or_absent },
    { "several classes have their figures", several_classes_have_their_figures },
    { "two of several classes are a binary label", two_of_several_classes_are_a_binary_label },
    { "numbers have their figures", numbers_have_their_figures },
    { "numbers are measured within the label's range",
      numbers_are_measured_within_the_labels_range },
    { "figures are readable, whatever their size", figures_are_readable_whatever_their_size },
    { "the interval of R2 covers the truth", the_interval_of_r2_covers_the_truth },
    { "the diagram stands alone and speaks", the_diagram_stands_alone_and_speaks },
};
const fm_test_suite suite_metrics_range = { "model.metrics_range", tests, FM_TEST_COUNT(tests) };
