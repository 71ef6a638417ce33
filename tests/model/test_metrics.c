#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/metrics.h"
#include "fm_test.h"
#include "suites.h"

static double brute_auc(const float *s, const float *y, size_t n)
{
    double right = 0.0, pairs = 0.0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (y[i] > y[j]) {
                right += s[i] > s[j] ? 1.0 : s[i] == s[j] ? 0.5 : 0.0;
                pairs += 1.0;
            }
    return right / pairs;
}

static void auc_is_the_share_of_pairs_in_order(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 3);

    for (int t = 0; t < 300; t++) {
        const size_t n = 2 + (size_t)fm_rng_below(&rng, 60);
        const uint64_t levels = 1 + fm_rng_below(&rng, 2 * n); /* few levels: many ties */
        float s[64], y[64];
        fm_metrics m;

        for (size_t i = 0; i < n; i++) {
            s[i] = (float)fm_rng_below(&rng, levels) - 3.0f;
            y[i] = i < 2 ? (float)i : (float)fm_rng_below(&rng, 2);
        }
        CU_ASSERT_EQUAL(fm_metrics_compute(s, y, n, &m), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(m.auc, brute_auc(s, y, n), 1e-12);
    }
}

static void known_figures_come_out(void)
{
    const float logits[] = { -2.0f, 0.0f, 1.0f, 3.0f }, labels[] = { 0.0f, 1.0f, 0.0f, 1.0f };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_compute(logits, labels, 4, &m), FM_OK);
    CU_ASSERT_EQUAL(m.rows, 4);
    CU_ASSERT_EQUAL(m.positives, 2);
    CU_ASSERT_DOUBLE_EQUAL(m.auc, 0.75, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(m.accuracy, 0.5, 1e-15); /* logit 0 says negative */
    CU_ASSERT_DOUBLE_EQUAL(m.log_loss,
                           (log1p(exp(-2.0)) + log(2.0) + log1p(exp(1.0)) + log1p(exp(-3.0))) / 4.0,
                           1e-12);
}

static void one_class_has_no_auc(void)
{
    const float logits[] = { 1.0f, -500.0f }, labels[] = { 1.0f, 1.0f };
    fm_metrics m;

    CU_ASSERT_EQUAL(fm_metrics_compute(logits, labels, 2, &m), FM_OK);
    CU_ASSERT_TRUE(isnan(m.auc));
    CU_ASSERT_TRUE(isfinite(m.log_loss));
    CU_ASSERT_EQUAL(fm_metrics_compute(NULL, NULL, 0, &m), FM_OK);
    CU_ASSERT_TRUE(isnan(m.auc) && isnan(m.accuracy) && isnan(m.log_loss));
}

static void rejects_what_is_no_number_or_label_and_leaves_the_output_alone(void)
{
    const float nan_logit[] = { 0.0f, NAN }, logits[] = { 0.0f, 1.0f };
    const float labels[] = { 0.0f, 1.0f }, bad[] = { 0.0f, 2.0f };
    fm_metrics m = { .rows = 77 };

    CU_ASSERT_EQUAL(fm_metrics_compute(nan_logit, labels, 2, &m), FM_ENONFINITE);
    CU_ASSERT_EQUAL(fm_metrics_compute(logits, bad, 2, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_metrics_compute(NULL, labels, 2, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(m.rows, 77);
}

static const fm_test tests[] = {
    { "AUC is the share of pairs in order", auc_is_the_share_of_pairs_in_order },
    { "known figures come out", known_figures_come_out },
    { "one class has no AUC", one_class_has_no_auc },
    { "rejects what is no number or label and leaves the output alone",
      rejects_what_is_no_number_or_label_and_leaves_the_output_alone },
};
const fm_test_suite suite_metrics = { "model.metrics", tests, FM_TEST_COUNT(tests) };
