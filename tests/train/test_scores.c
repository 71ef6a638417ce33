/* Scores of units that are held out: in which bin, how much of the bound, and what AUC comes of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/metrics.h"
#include "fedmoe/optim/auc.h"
#include "fedmoe/train/sample.h"
#include "fedmoe/train/scores.h"
#include "rig.h"
#include "suites.h"

#define ROWS 60
#define BINS 16u
#define MORE (2 + 2 * BINS) /* places of what is held out */

static const uint8_t SEED[16] = { 7, 1, 4 };

static void open_scores(rig *r, size_t rows, size_t unit, fm_dp_encoding encoding)
{
    float *state;

    rig_open(r, rows, unit, encoding, true);
    r->spec.tail.held = true;
    r->spec.tail.held_bins = BINS;
    r->spec.held_share = 0.4;
    r->spec.held_bound = 1.5;
    r->length += MORE;
    need((state = calloc(r->length, sizeof *state)) != NULL, "memory");
    memcpy(state, r->state, (r->length - MORE) * sizeof *state);
    free(r->state);
    r->state = state;
}

static int64_t *sum_of(const rig *r, const uint8_t seed[16], size_t *dropped)
{
    fm_train_step *s = rig_step(r, 2);
    int64_t *sum;

    fm_train_step_hold_out(s, seed);
    sum = rig_sum(r, s, 3, dropped);
    fm_train_step_free(&s);
    return sum;
}

/* The sample of that run, and scores of its rows: at rate 1 the coins alone decide. */
typedef struct {
    fm_train_sample sample;
    float *scores; /* [rows of the sample] */
} judged;

static judged judge(const rig *r, size_t unit, const uint8_t seed[16])
{
    const fm_train_units units = fm_train_units_of_table(&r->table);
    fm_train_held coins = { .share = r->spec.held_share };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 3);
    fm_tabular *m = NULL;
    judged j = { 0 };

    memcpy(coins.seed, seed, sizeof coins.seed);
    need((j.scores = calloc(r->table.rows, sizeof *j.scores)) != NULL, "memory");
    need(fm_tabular_new(&r->model, r->table.rows, &m) == FM_OK &&
             fm_tabular_set(m, r->state, r->parameters) == FM_OK &&
             fm_train_sample_init(&j.sample, &units, 1.0, unit) == FM_OK,
         "a model");
    fm_train_sample_draw(&j.sample, &coins, &rng);
    need(fm_tabular_backward(m, r->table.x, r->table.y, j.sample.rows, j.sample.count, NULL) ==
             FM_OK,
         "scores");
    fm_tabular_scores(m, j.sample.count, j.scores);
    fm_tabular_free(&m);
    return j;
}

static void end(judged *j)
{
    free(j->scores);
    fm_train_sample_fini(&j->sample);
}

static void bins_are_fine_near_zero_and_open_at_the_ends(void)
{
    const struct {
        float score;
        size_t bin;
    } cases[] = {
        { 0.0f, 8 },    { -1e-3f, 7 }, { 0.142f, 8 },   { 0.144f, 9 },   { 0.599f, 10 },
        { 0.601f, 11 }, { -0.99f, 4 }, { -1.01f, 3 },   { 6.99f, 14 },   { 7.01f, 15 },
        { -7.01f, 0 },  { 100.f, 15 }, { 3.4e38f, 15 }, { -3.4e38f, 0 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++)
        CU_ASSERT_EQUAL(fm_train_score_bin(cases[i].score, BINS), cases[i].bin);
}

/* The output less the bias, whose multiplier is 1 here. */
static void a_score_is_the_output_without_the_bias(void)
{
    fm_tabular *m = NULL;
    float z[ROWS], scores[ROWS], bias = 0.0f;
    uint32_t index[ROWS];
    rig r;

    open_scores(&r, ROWS, 1, FM_DP_FAST);
    need(fm_tabular_new(&r.model, ROWS, &m) == FM_OK &&
             fm_tabular_set(m, r.state, r.parameters) == FM_OK &&
             fm_tabular_predict(m, r.table.x, ROWS, z) == FM_OK,
         "outputs");
    for (uint32_t i = 0; i < ROWS; i++)
        index[i] = i;
    need(fm_tabular_backward(m, r.table.x, r.table.y, index, ROWS, NULL) == FM_OK, "scores");
    fm_tabular_scores(m, ROWS, scores);
    for (size_t i = 0; i < fm_tabular_tensors(m); i++)
        if (strcmp(fm_tabular_tensor(m, i).name, "linear.bias") == 0)
            bias = r.state[fm_tabular_tensor(m, i).offset];
    CU_ASSERT_NOT_EQUAL(bias, 0.0f);
    for (size_t i = 0; i < ROWS; i++)
        CU_ASSERT_DOUBLE_EQUAL((double)scores[i], (double)z[i] - (double)bias, 1e-5);
    fm_tabular_free(&m);
    rig_close(&r);
}

/* Each row adds to its class's total, and to whether it is in the lower or the upper half of its bins, of
 * that half, and so on; a unit's rows have equal parts, rounded toward zero. */
static void expect(const rig *r, const judged *j, int64_t half, int64_t want[2 * BINS])
{
    const fm_train_sample *d = &j->sample;
    int64_t parts[FM_AUC_KINDS];

    fm_auc_parts(half, BINS, parts);
    memset(want, 0, 2 * BINS * sizeof *want);
    for (size_t u = d->trained; u < d->units; u++) {
        const size_t from = d->ends ? d->ends[u - 1] : u, to = d->ends ? d->ends[u] : u + 1;
        int64_t rows[2 * BINS] = { 0 };

        for (size_t i = from; i < to; i++) {
            const size_t bin = fm_train_score_bin(j->scores[i], BINS);
            int64_t *tree = rows + (r->table.y[d->rows[i]] > 0.5f ? BINS : 0);

            tree[0]++;
            for (size_t level = 0, size = BINS; size > 1; level++, size /= 2)
                tree[((size_t)1 << level) + bin / size] += bin % size < size / 2 ? 1 : -1;
        }
        for (size_t k = 0; k < 2 * BINS; k++)
            want[k] += parts[fm_auc_kind(k % BINS)] * rows[k] / (int64_t)(to - from);
    }
}

static void bins_hold_the_units_that_are_in_them(void)
{
    const fm_dp_encoding encodings[] = { FM_DP_FAST, FM_DP_EXACT };

    for (size_t e = 0; e < 4; e++) {
        const size_t unit = e < 2 ? 1 : 3;
        int64_t *sum, *plain, want[2 * BINS], half;
        judged j;
        rig r;

        open_scores(&r, ROWS, unit, encodings[e % 2]);
        half = fm_dp_half_bound(&r.lattice);
        CU_ASSERT(2 * half * half <= r.lattice.unit_sensitivity * r.lattice.unit_sensitivity);
        j = judge(&r, unit, SEED);
        CU_ASSERT(j.sample.trained > 0 && j.sample.units - j.sample.trained > 4);
        sum = sum_of(&r, SEED, NULL);
        expect(&r, &j, half, want);
        /* The exact encoding rounds to the nearest, from floats. */
        for (size_t k = 0; k < 2 * BINS; k++)
            CU_ASSERT(llabs(sum[r.length - 2 * BINS + k] - want[k]) <= (e % 2 ? ROWS : 0));
        CU_ASSERT_EQUAL(sum[r.length - 2 * BINS - 1], 0);
        /* What the others add does not know of it. */
        r.spec.tail.held_bins = 0;
        r.length -= 2 * BINS;
        plain = sum_of(&r, SEED, NULL);
        CU_ASSERT_EQUAL(memcmp(plain, sum, (r.length - 2) * sizeof *sum), 0);
        free(plain);
        free(sum);
        end(&j);
        rig_close(&r);
    }
}

/* Records in a scratch file, and in any number of threads. */
static void where_records_are_makes_no_difference(void)
{
    int64_t *before, *after;
    rig r;

    open_scores(&r, ROWS, 3, FM_DP_FAST);
    before = sum_of(&r, SEED, NULL);
    rig_spill(&r, ROWS, 3);
    after = sum_of(&r, SEED, NULL);
    CU_ASSERT_EQUAL(memcmp(before, after, r.length * sizeof *after), 0);
    free(before);
    free(after);
    rig_close(&r);
}

/* Coins by which one unit alone is held out: all that is in the places of what is held out is its own, and
 * it adds nothing elsewhere. Where the loss is beyond its bound, vote and bins each have all that
 * they may. */
static void one_unit_stays_within_its_bound(void)
{
    const double bounds[] = { 1e-3, 0.7, 1e3 };
    size_t seen = 0;
    double longest = 0.0;

    for (uint8_t k = 0; k < 250; k++) {
        const uint8_t seed[16] = { k, 9 };
        double most, square = 0.0;
        int64_t *sum;
        judged j;
        rig r;

        open_scores(&r, 6, 3, FM_DP_FAST);
        r.spec.held_bound = bounds[k % 3];
        for (size_t i = 0; i < r.parameters; i++)
            r.state[i] *= 0.1f * (float)(k % 17);
        j = judge(&r, 3, seed);
        most = (double)r.lattice.unit_sensitivity;
        if (j.sample.units - j.sample.trained == 1) {
            sum = sum_of(&r, seed, NULL); /* dp/ checks it, too, and would have none of it */
            for (size_t i = r.length - MORE; i < r.length; i++)
                square += (double)sum[i] * (double)sum[i];
            CU_ASSERT(square <= most * most);
            longest = fmax(longest, sqrt(square) / most);
            seen++;
            free(sum);
        }
        end(&j);
        rig_close(&r);
    }
    CU_ASSERT(seen > 50);
    CU_ASSERT(longest > 0.9999);
}

static void a_score_that_is_no_number_is_left_out(void)
{
    const fm_dp_encoding encodings[] = { FM_DP_FAST, FM_DP_EXACT };

    for (size_t e = 0; e < 2; e++) {
        int64_t *sum, parts[FM_AUC_KINDS], all;
        size_t dropped = 0, held;
        judged j;
        rig r;

        open_scores(&r, ROWS, 1, encodings[e]);
        j = judge(&r, 1, SEED);
        held = j.sample.units - j.sample.trained;
        r.table.x[r.table.features * j.sample.rows[j.sample.trained]] = NAN;
        sum = sum_of(&r, SEED, &dropped);
        CU_ASSERT_EQUAL(dropped, 1);
        fm_auc_parts(fm_dp_half_bound(&r.lattice), BINS, parts);
        all = sum[r.length - 2 * BINS] + sum[r.length - BINS]; /* the totals */
        CU_ASSERT(llabs(all - (int64_t)(held - 1) * parts[0]) <= ROWS);
        free(sum);
        end(&j);
        rig_close(&r);
    }
}

/* Normal classes a deviation apart, by what train/scores.h says. */
static void the_auc_is_that_of_the_scores(void)
{
    enum { COUNT = 20000 };
    const struct {
        double deviation, off;
    } cases[] = { { 1.0, 0.0045 }, { 0.3, 0.0085 }, { 0.1, 0.04 }, { 3.0, 0.0065 } };
    float *z = calloc(COUNT, sizeof *z), *y = calloc(COUNT, sizeof *y);

    need(z && y, "memory");
    for (size_t c = 0; c < FM_TEST_COUNT(cases); c++) {
        fm_rng_seed state;
        fm_rng rng = fm_rng_seeded(&state, 40 + c);
        const double none[FM_AUC_KINDS] = { 0 };
        float words[2 * BINS] = { 0 }, *tree;
        fm_metrics exact;
        fm_auc a = { 0 };

        for (size_t i = 0; i < COUNT; i++) {
            y[i] = i % 3 == 0 ? 1.0f : 0.0f;
            z[i] = (float)(cases[c].deviation * (fm_rng_normal(&rng) + (double)y[i] - 0.5));
            tree = words + (y[i] > 0.0f ? BINS : 0);
            tree[0]++;
            for (size_t k = BINS + fm_train_score_bin(z[i], BINS); k > 1; k /= 2)
                tree[k / 2] += k % 2 == 0 ? 1.0f : -1.0f;
        }
        CU_ASSERT_EQUAL(fm_metrics_compute(z, y, COUNT, &exact), FM_OK);
        CU_ASSERT_TRUE(fm_auc_of_trees(words, BINS, none, &a));
        printf("    AUC of scores that deviate by %g: %.4f, in bins %.4f\n", cases[c].deviation,
               exact.auc, a.value);
        CU_ASSERT_DOUBLE_EQUAL(a.value, exact.auc, cases[c].off);
    }
    free(z);
    free(y);
}

static void other_labels_have_no_auc(void)
{
    fm_train_step *s = NULL;
    rig r;

    open_scores(&r, ROWS, 1, FM_DP_FAST);
    r.model.target = FM_TARGET_NUMBER;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "two classes"));
    r.model.target = FM_TARGET_CLASSES;
    r.model.outputs = 3;
    CU_ASSERT_FALSE(fm_tabular_has_scores(&r.model));
    r.model.outputs = 2;
    CU_ASSERT_TRUE(fm_tabular_has_scores(&r.model));
    r.model.target = FM_TARGET_BINARY;
    r.model.outputs = 1;
    r.spec.tail.held = false;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    rig_close(&r);
}

static const fm_test tests[] = {
    { "bins are fine near zero, and open at the ends",
      bins_are_fine_near_zero_and_open_at_the_ends },
    { "a score is the output without the bias", a_score_is_the_output_without_the_bias },
    { "bins hold the units that are in them", bins_hold_the_units_that_are_in_them },
    { "where records are makes no difference", where_records_are_makes_no_difference },
    { "one unit stays within its bound", one_unit_stays_within_its_bound },
    { "a score that is no number is left out", a_score_that_is_no_number_is_left_out },
    { "the AUC is that of the scores", the_auc_is_that_of_the_scores },
    { "other labels have no AUC", other_labels_have_no_auc },
};

const fm_test_suite suite_scores = { "train.scores", tests, FM_TEST_COUNT(tests) };
