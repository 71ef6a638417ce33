/* Queries with noise: how near the answers are, and that their intervals say so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/accountant.h"
#include "fm_test.h"
#include "query_support.h"

#define RECORDS 10000u
#define DRAWS 200

typedef struct {
    double logit;
    bool positive;
} scored;

static int by_logit(const void *a, const void *b)
{
    double u = ((const scored *)a)->logit, v = ((const scored *)b)->logit;

    return (u > v) - (u < v);
}

/* Two normal classes, as a calibrated classifier scores them; one of `every` is positive. */
static scored *draw(fm_rng *r, double distance, unsigned every)
{
    const double odds = 1.0 / (double)(every - 1);
    scored *s = calloc(RECORDS, sizeof *s);

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (size_t i = 0; i < RECORDS; i++) {
        s[i].positive = i % every == 0;
        s[i].logit = distance * (fm_rng_normal(r) + (s[i].positive ? distance : 0.0)) -
                     distance * distance / 2.0 + log(odds);
    }
    return s;
}

static double exact_auc(scored *s)
{
    double right = 0.0, below = 0.0;

    qsort(s, RECORDS, sizeof *s, by_logit);
    for (size_t i = 0; i < RECORDS; i++) {
        right += s[i].positive ? below : 0.0;
        below += s[i].positive ? 0.0 : 1.0;
    }
    return right / (below * ((double)RECORDS - below));
}

static void add_noise(const float *sum, size_t n, double sd, fm_rng *r, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sum[i] + (float)(sd * fm_rng_normal(r));
}

static double calibrated(void)
{
    double z = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_calibrate(0.5, 1e-5, 1.0, 1, &z), FM_OK);
    return z;
}

typedef struct {
    int near, covered; /* within 0.005, and in their own interval */
} outcome;

static outcome draw_answers(fm_rng *r, double distance, unsigned every)
{
    fm_query *q = query_parsed(FM_QUERY_EVALUATION, "scores: {}");
    size_t width = fm_query_width(q);
    float *sum = calloc(2 * width, sizeof *sum), *noisy = sum + width;
    fm_query_report report = query_no_noise;
    scored *s = draw(r, distance, every);
    double auc = exact_auc(s);
    outcome o = { 0 };

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    report.noise_std = calibrated() * fm_query_clip_norm(q);
    for (size_t i = 0; i < RECORDS; i++)
        fm_query_add_score(q, s[i].logit, s[i].positive, 1.0f, sum);
    for (int k = 0; k < DRAWS; k++) {
        json_t *a;

        add_noise(sum, width, report.noise_std, r, noisy);
        a = query_answer(q, noisy, &report);
        o.near += fabs(query_figure(query_item(a, 0), "auc", "estimate") - auc) < 0.005;
        o.covered += query_figure(query_item(a, 0), "auc", "low") <= auc &&
                     auc <= query_figure(query_item(a, 0), "auc", "high");
        json_decref(a);
    }
    printf("\n    1 of %u positive, AUC %.4f: %d of %d draws within 0.005, %d in their interval ",
           every, auc, o.near, DRAWS, o.covered);
    free(s);
    free(sum);
    fm_query_free(&q);
    return o;
}

/* The acceptance: epsilon 0.5, 10,000 records, within 0.005 in 95 % of the draws; and the interval
 * holds the exact value as often as it says (190 of 200 expected: below 176 once in 10^4). */
static void auc_is_within_five_thousandths(void)
{
    static const struct {
        uint64_t seed;
        double distance;
    } cases[] = { { 1, 0.8 }, { 1, 1.5 }, { 1, 2.5 }, { 2, 1.5 }, { 3, 1.5 }, { 4, 1.5 } };

    for (size_t c = 0; c < FM_TEST_COUNT(cases); c++) {
        fm_rng_seed seed;
        fm_rng r = fm_rng_seeded(&seed, cases[c].seed);
        outcome o = draw_answers(&r, cases[c].distance, 2);

        CU_ASSERT(o.near >= DRAWS * 95 / 100);
        CU_ASSERT(o.covered >= 176);
    }
}

/* Not the acceptance's 95 %: with few positives there is less to go by (docs/queries.md), and the
 * interval says so. */
static void auc_of_few_positives_knows_how_near_it_is(void)
{
    for (uint64_t k = 2; k <= 4; k++) {
        fm_rng_seed seed;
        fm_rng r = fm_rng_seeded(&seed, k);
        outcome o = draw_answers(&r, 1.5, 4);

        CU_ASSERT(o.near >= DRAWS * 75 / 100);
        CU_ASSERT(o.covered >= 176);
    }
}

static void thresholds_and_calibration_are_those_of_the_records(void)
{
    fm_query *q = query_parsed(FM_QUERY_EVALUATION, "scores: {thresholds: [0.5, 0.7]}");
    float *sum = calloc(fm_query_width(q), sizeof *sum);
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 5);
    scored *s = draw(&r, 1.5, 2);
    const json_t *at;
    double right = 0.0, worst = 0.0;
    json_t *a;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    for (size_t i = 0; i < RECORDS; i++) {
        fm_query_add_score(q, s[i].logit, s[i].positive, 1.0f, sum);
        right += s[i].positive == (s[i].logit > 0.0);
    }
    a = query_answer(q, sum, &query_no_noise);
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 0), "auc", "estimate"), exact_auc(s), 5e-4);
    at = json_array_get(json_object_get(query_item(a, 0), "thresholds"), 0);
    CU_ASSERT_DOUBLE_EQUAL(query_figure(at, "accuracy", "estimate"), right / RECORDS, 1e-4);
    at = json_array_get(json_object_get(query_item(a, 0), "thresholds"), 1);
    CU_ASSERT(query_figure(at, "specificity", "estimate") >
              query_figure(at, "sensitivity", "estimate"));
    /* The classifier is calibrated: in each group as many are positive as it says. */
    for (size_t g = 0; g < 8; g++) {
        const json_t *group = json_array_get(json_object_get(query_item(a, 0), "calibration"), g);
        double records = query_figure(group, "records", "estimate");

        if (records > 500.0)
            worst = fmax(worst, fabs(query_figure(group, "observed", "estimate") -
                                     json_number_value(json_object_get(group, "predicted"))));
    }
    CU_ASSERT(worst > 0.0 && worst < 0.05);
    json_decref(a);
    free(sum);
    free(s);
    fm_query_free(&q);
}

/* 99 % of the draws must hold the median in their interval that promises 95 %: it is wider by up to
 * two bins. */
static void quantiles_lie_in_their_intervals(void)
{
    fm_query *q =
        query_parsed(FM_QUERY_STATISTICS,
                     "columns: [{column: a, ask: quantiles, range: [0, 1000], at: [0.01, 0.5]}]");
    size_t width = fm_query_width(q);
    float *sum = calloc(2 * width, sizeof *sum), *noisy = sum + width;
    fm_query_report report = query_no_noise;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 3);
    int covered[2] = { 0 };
    double worst = 0.0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    report.noise_std = calibrated() * fm_query_clip_norm(q);
    for (size_t i = 0; i < RECORDS; i++) /* uniform in 200..400: quantiles 202 and 300 */
        fm_query_add(q, 0, 200.0 + 200.0 * ((double)i + 0.5) / RECORDS, 1.0f, sum);
    for (int k = 0; k < DRAWS; k++) {
        json_t *a;

        add_noise(sum, width, report.noise_std, &r, noisy);
        a = query_answer(q, noisy, &report);
        for (size_t i = 0; i < 2; i++) {
            const json_t *one = json_array_get(json_object_get(query_item(a, 0), "quantiles"), i);
            double truth = i == 0 ? 202.0 : 300.0;

            covered[i] += json_number_value(json_object_get(one, "low")) <= truth &&
                          truth <= json_number_value(json_object_get(one, "high"));
            if (i == 1)
                worst =
                    fmax(worst, fabs(json_number_value(json_object_get(one, "estimate")) - truth));
        }
        json_decref(a);
    }
    printf("\n    held: %d and %d of %d; median off by %.2f at most ", covered[0], covered[1],
           DRAWS, worst);
    CU_ASSERT(covered[0] >= 184 && covered[1] >= 184);
    CU_ASSERT(worst < 8.0); /* two bins */
    free(sum);
    fm_query_free(&q);
}

static const fm_test tests[] = {
    { "AUC is within five thousandths", auc_is_within_five_thousandths },
    { "AUC of few positives knows how near it is", auc_of_few_positives_knows_how_near_it_is },
    { "thresholds and calibration are those of the records",
      thresholds_and_calibration_are_those_of_the_records },
    { "quantiles lie in their intervals", quantiles_lie_in_their_intervals },
};

const fm_test_suite fm_suite_dp_query_noise = { "dp.query_noise", tests, FM_TEST_COUNT(tests) };
