/* Queries: what a record may add, and what is read without noise. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "query_internal.h"
#include "query_support.h"

static const char STATISTICS[] =
    "columns:\n"
    "  - {column: age, ask: count}\n"
    "  - {column: chol, ask: mean, range: [100, 600], weight: 0.3}\n"
    "  - {column: chol, ask: histogram, range: [0, 600], bins: 7}\n"
    "  - {column: age, ask: quantiles, range: [0, 128], at: [0.1, 0.5], bins: 64, weight: 3}\n"
    "  - {column: cp, ask: values, values: [\"1\", \"2\", \"4\"]}\n";

static double norm_of(const float *v, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static double awkward(fm_rng *r)
{
    static const double odd[] = { 0.0, -0.0, 100.0, 600.0, 128.0, 1e308, -1e308, 3.0, -1.0, 2.5 };
    uint64_t at = fm_rng_below(r, 16);

    if (at < sizeof odd / sizeof odd[0])
        return odd[at];
    if (at == 10)
        return (double)NAN;
    return at == 11 ? (double)INFINITY : at == 12 ? -(double)INFINITY : 700.0 * fm_rng_unit(r);
}

/* docs/privacy.md, section 7: whatever stands in the cells, and however many records a unit has. */
static void no_unit_adds_more_than_the_norm(void)
{
    fm_query *q = query_parsed(FM_QUERY_STATISTICS, STATISTICS);
    size_t width = fm_query_width(q);
    float *one = calloc(width, sizeof *one);
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 11);
    size_t over = 0, over_block = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    CU_ASSERT_DOUBLE_EQUAL(fm_query_norm(q), sqrt(3.0 + 0.09 + 9.0), 1e-12);
    for (int k = 0; k < 20000; k++) {
        size_t rows = 1 + fm_rng_below(&r, 3);

        memset(one, 0, width * sizeof *one);
        for (size_t row = 0; row < rows; row++)
            for (size_t i = 0; i < fm_query_items(q); i++)
                fm_query_add(q, i, awkward(&r), 1.0f / (float)rows, one);
        over += !(norm_of(one, width) <= fm_query_norm(q) * (1.0 + 1e-6));
        for (size_t i = 0; i < fm_query_items(q); i++) {
            const fm_query_item *it = fm_query_at(q, i);

            over_block += !(norm_of(one + it->offset, it->width) <= it->weight * (1.0 + 1e-6));
        }
    }
    CU_ASSERT_EQUAL(over, 0);
    CU_ASSERT_EQUAL(over_block, 0);
    free(one);
    fm_query_free(&q);
}

static void no_score_adds_more_than_one(void)
{
    static const char *const texts[] = { "scores: {bins: 2}", "scores: {}",
                                         "scores: {bins: 4096}" };
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 12);

    for (size_t t = 0; t < FM_TEST_COUNT(texts); t++) {
        fm_query *q = query_parsed(FM_QUERY_EVALUATION, texts[t]);
        float *one = calloc(fm_query_width(q), sizeof *one);

        CU_ASSERT_PTR_NOT_NULL_FATAL(one);
        CU_ASSERT_EQUAL(fm_query_norm(q), 1.0);
        for (int k = 0; k < 300; k++) {
            memset(one, 0, fm_query_width(q) * sizeof *one);
            fm_query_add_score(q, awkward(&r), k % 2 == 0, 1.0f, one);
            CU_ASSERT(norm_of(one, fm_query_width(q)) <= 1.0);
        }
        free(one);
        fm_query_free(&q);
    }
}

/* The clip norm is above the norm, and the amplitudes are whole steps: what is added is encoded
 * as it is. */
static void no_record_is_clipped_or_rounded(void)
{
    fm_query *q = query_parsed(FM_QUERY_EVALUATION, "scores: {}");
    const fm_dp_lattice_spec spec = { .clip_norm = fm_query_clip_norm(q),
                                      .noise_multiplier = 7.0,
                                      .max_units = 20000,
                                      .nodes = 4,
                                      .quorum = 3,
                                      .colluders = 1 };
    size_t width = fm_query_width(q), wrong = 0;
    float *one = calloc(width, sizeof *one);
    int32_t *steps = calloc(width, sizeof *steps);
    fm_dp_lattice l;

    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    CU_ASSERT_PTR_NOT_NULL_FATAL(steps);
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &l), FM_OK);
    CU_ASSERT(l.scale >= 256.0);
    for (int k = -20; k <= 20; k++) {
        memset(one, 0, width * sizeof *one);
        fm_query_add_score(q, 0.37 * k, k % 3 == 0, 1.0f, one);
        CU_ASSERT_EQUAL(fm_dp_encode_unit(&l, one, width, steps), FM_OK);
        for (size_t i = 0; i < width; i++)
            wrong += (double)steps[i] != (double)one[i] * l.scale;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    /* Of the fewest survivors, each with all of its share. */
    CU_ASSERT_DOUBLE_EQUAL(fm_query_noise_std(&l, 2),
                           sqrt(2.0 * spec.quorum) * l.sigma_share / l.scale, 1e-9);
    free(one);
    free(steps);
    fm_query_free(&q);
}

/* ---- the language ---- */

static void says_what_is_wrong_and_where(void)
{
    static const struct {
        fm_query_task task;
        const char *text, *says;
    } cases[] = {
        { FM_QUERY_STATISTICS, "columns: []", "1 to 256 entries" },
        { FM_QUERY_STATISTICS, "scores: {}", "columns" },
        { FM_QUERY_STATISTICS, "columns: [a]", "must be a map" },
        { FM_QUERY_STATISTICS, "columns: [{column: a}]", "ask" },
        { FM_QUERY_STATISTICS, "columns:\n - {column: a, ask: median}", "q:2:21: ask 'median'" },
        { FM_QUERY_STATISTICS, "columns:\n - {column: a, ask: count, bins: 3}", "bins" },
        { FM_QUERY_STATISTICS, "columns: [{ask: count}]", "column" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: mean}]", "range" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: mean, range: [2, 1]}]", "lower" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: mean, range: [1]}]", "two numbers" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: count, weight: 0}]", "weight" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: histogram, range: [0, 1], bins: 0}]",
          "bins" },
        { FM_QUERY_STATISTICS,
          "columns: [{column: a, ask: quantiles, range: [0, 1], bins: 48, at: [0.5]}]",
          "power of two" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: quantiles, range: [0, 1], at: [1]}]",
          "between 0 and 1" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: quantiles, range: [0, 1], at: []}]",
          "1 to 64" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: values, values: [x, x]}]", "twice" },
        { FM_QUERY_STATISTICS, "columns: [{column: a, ask: values, values: []}]", "1 to" },
        { FM_QUERY_EVALUATION, "columns: []", "scores" },
        { FM_QUERY_EVALUATION, "scores: {bins: 3}", "power of two" },
        { FM_QUERY_EVALUATION, "scores: {bins: 8, groups: 16}", "groups" },
        { FM_QUERY_EVALUATION, "scores: {thresholds: [0]}", "between 0 and 1" },
        { FM_QUERY_EVALUATION, "scores: {bin: 8}", "bin" },
        { FM_QUERY_EVALUATION, "", "q" },
    };
    fm_query *q = NULL;

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(
            fm_query_parse(cases[i].task, "q", cases[i].text, strlen(cases[i].text), &q),
            FM_EPARSE);
        CU_ASSERT_PTR_NULL(q);
        if (!strstr(fm_error_text(), cases[i].says))
            printf("\n    '%s' does not say '%s' ", fm_error_text(), cases[i].says);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), cases[i].says));
    }
    CU_ASSERT_EQUAL(fm_query_parse((fm_query_task)0, "q", "scores: {}", 10, &q), FM_EINVAL);
}

static void blocks_lie_one_behind_the_other(void)
{
    static const size_t widths[] = { 2, 3, 10, 65, 5 };
    fm_query *q = query_parsed(FM_QUERY_STATISTICS, STATISTICS);
    size_t at = 0;

    CU_ASSERT_EQUAL_FATAL(fm_query_items(q), FM_TEST_COUNT(widths));
    for (size_t i = 0; i < FM_TEST_COUNT(widths); i++) {
        CU_ASSERT_EQUAL(fm_query_at(q, i)->offset, at);
        CU_ASSERT_EQUAL(fm_query_at(q, i)->width, widths[i]);
        at += widths[i];
    }
    CU_ASSERT_EQUAL(fm_query_width(q), at);
    fm_query_free(&q);
}

/* ---- reading ---- */

static void the_sum_is_read_back(void)
{
    static const double chol[] = { 50.0, 200.0, 400.0, 700.0, (double)NAN };
    static const double cp[] = { 0.0, 2.0, 2.0, 3.0, (double)NAN };
    fm_query *q = query_parsed(FM_QUERY_STATISTICS, STATISTICS);
    fm_query_report twice = query_no_noise;
    float *sum = calloc(fm_query_width(q), sizeof *sum);
    json_t *a;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    twice.rounds = 2.0;
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < 5; k++) {
            fm_query_add(q, 0, chol[k], 1.0f, sum);
            fm_query_add(q, 1, chol[k], 1.0f, sum);
            fm_query_add(q, 2, chol[k], 1.0f, sum);
            fm_query_add(q, 3, 10.5 + 10.0 * (double)k, 1.0f, sum);
            fm_query_add(q, 4, cp[k], 1.0f, sum);
        }
    a = query_answer(q, sum, &twice);
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 0), "present", "estimate"), 4.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 0), "missing", "estimate"), 1.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 1), "mean", "estimate"), 325.0,
                           1e-3); /* clipped */
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 2), "above", "estimate"), 1.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(
        json_number_value(json_object_get(
            json_array_get(json_object_get(query_item(a, 2), "bins"), 2), "estimate")),
        1.0, 1e-6); /* 200 lies in the third of seven */
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 3), "present", "estimate"), 5.0, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(
        json_number_value(json_object_get(
            json_array_get(json_object_get(query_item(a, 3), "quantiles"), 1), "estimate")),
        31.0, 1.001); /* bins of 2; the median is 30.5 */
    CU_ASSERT_DOUBLE_EQUAL(query_figure(query_item(a, 4), "another", "estimate"), 1.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(
        json_number_value(json_object_get(
            json_array_get(json_object_get(query_item(a, 4), "values"), 2), "estimate")),
        2.0, 1e-6);
    json_decref(a);
    free(sum);
    fm_query_free(&q);
}

static void nothing_can_be_read_from_nothing(void)
{
    fm_query *q = query_parsed(FM_QUERY_STATISTICS, STATISTICS);
    fm_query *e = query_parsed(FM_QUERY_EVALUATION, "scores: {}");
    float *sum = calloc(fm_query_width(q) + fm_query_width(e), sizeof *sum);
    fm_query_report r = query_no_noise;
    json_t *a;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    a = query_answer(q, sum, &r);
    CU_ASSERT(json_is_null(json_object_get(query_item(a, 1), "mean")));
    CU_ASSERT(json_is_null(json_object_get(query_item(a, 3), "quantiles")));
    json_decref(a);
    a = query_answer(e, sum, &r);
    CU_ASSERT(json_is_null(json_object_get(query_item(a, 0), "auc")));
    json_decref(a);
    r.rounds = 0.0;
    a = NULL;
    CU_ASSERT_EQUAL(fm_query_read(q, sum, &r, &a), FM_EINVAL);
    CU_ASSERT_PTR_NULL(a);
    free(sum);
    fm_query_free(&q);
    fm_query_free(&e);
}

/* Against the noise of each coordinate, one at a time. */
static void variances_of_the_tree_are_exact(void)
{
    enum { BINS = 16 };
    const fm_query_shape shape = { 1.3, 0.9, 0.8 };
    fm_query_tree t;
    double w[BINS], scratch[2 * BINS], nodes[2 * BINS], want = 0.0, prefix = 0.0, node = 0.0;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 13);

    fm_query_trees_make(BINS, &shape, 1, &t);
    for (size_t j = 0; j < BINS; j++)
        w[j] = fm_rng_normal(&r);
    for (size_t i = 0; i < BINS; i++) {
        float unit[BINS] = { 0 };
        double sum = 0.0, below = 0.0;

        unit[i] = 1.0f;
        fm_query_tree_nodes(&t, unit, 1.0, nodes);
        for (size_t j = 0; j < BINS; j++) {
            sum += w[j] * nodes[BINS + j];
            below += j < 11 ? nodes[BINS + j] : 0.0;
        }
        want += sum * sum;
        prefix += pow(below - 0.3 * nodes[1], 2.0);
        node += nodes[6] * nodes[6];
    }
    CU_ASSERT_DOUBLE_EQUAL(fm_query_tree_variance(&t, w, scratch), want, 1e-9 * want);
    CU_ASSERT_DOUBLE_EQUAL(fm_query_tree_prefix_variance(&t, 11, 0.3), prefix, 1e-9 * prefix);
    CU_ASSERT_DOUBLE_EQUAL(fm_query_tree_node_variance(&t, 6), node, 1e-9 * node);
}

static void isotonic_is_the_least_squares_fit(void)
{
    double v[] = { 1.0, 3.0, 2.0, 2.0, 5.0, 4.0, 6.0 }, scratch[14];
    static const double want[] = { 1.0, 7.0 / 3, 7.0 / 3, 7.0 / 3, 4.5, 4.5, 6.0 };

    fm_query_isotonic(v, 7, scratch);
    for (size_t i = 0; i < 7; i++)
        CU_ASSERT_DOUBLE_EQUAL(v[i], want[i], 1e-12);
}

static const fm_test tests[] = {
    { "no unit adds more than the norm", no_unit_adds_more_than_the_norm },
    { "no score adds more than one", no_score_adds_more_than_one },
    { "no record is clipped or rounded", no_record_is_clipped_or_rounded },
    { "says what is wrong, and where", says_what_is_wrong_and_where },
    { "blocks lie one behind the other", blocks_lie_one_behind_the_other },
    { "the sum is read back", the_sum_is_read_back },
    { "nothing can be read from nothing", nothing_can_be_read_from_nothing },
    { "variances of the tree are exact", variances_of_the_tree_are_exact },
    { "isotonic is the least squares fit", isotonic_is_the_least_squares_fit },
};

const fm_test_suite fm_suite_dp_query = { "dp.query", tests, FM_TEST_COUNT(tests) };
