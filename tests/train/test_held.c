/* Units that are held out: they judge the model, and never move it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/train/sample.h"
#include "rig.h"
#include "suites.h"

#define ROWS 60
#define BOUND 1.5

static const uint8_t SEED[16] = { 7, 1, 4 };

static void open_held(rig *r, size_t unit, fm_dp_encoding encoding, bool tail)
{
    float *state;

    rig_open(r, ROWS, unit, encoding, tail);
    r->spec.tail.held = true;
    r->spec.held_share = 0.4;
    r->spec.held_bound = BOUND;
    r->length += 2;
    need((state = calloc(r->length, sizeof *state)) != NULL, "memory");
    memcpy(state, r->state, (r->length - 2) * sizeof *state);
    free(r->state);
    r->state = state;
}

static int64_t *sum_of(const rig *r)
{
    fm_train_step *s = rig_step(r, 2);
    int64_t *sum;

    fm_train_step_hold_out(s, SEED);
    sum = rig_sum(r, s, 3, NULL);
    fm_train_step_free(&s);
    return sum;
}

/* @return whether all words but those two are alike. */
static bool same_gradient(const rig *r, const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, (r->length - 2) * sizeof *a) == 0;
}

/* Another label of one record: either its gradient changes, or its vote, never both. */
static void a_unit_moves_or_judges(void)
{
    const fm_dp_encoding encodings[] = { FM_DP_FAST, FM_DP_EXACT };

    for (size_t e = 0; e < 2; e++) {
        size_t held = 0, trained = 0;
        int64_t *before, *after;
        rig r;

        open_held(&r, 1, encodings[e], true);
        before = sum_of(&r);
        CU_ASSERT_EQUAL(before[r.length - 1], 0);
        for (size_t i = 0; i < ROWS; i++) {
            r.table.y[i] = 1.0f - r.table.y[i];
            after = sum_of(&r);
            r.table.y[i] = 1.0f - r.table.y[i];
            held += same_gradient(&r, before, after) && before[r.length - 2] != after[r.length - 2];
            trained +=
                !same_gradient(&r, before, after) && before[r.length - 2] == after[r.length - 2];
            free(after);
        }
        CU_ASSERT_EQUAL(held + trained, ROWS);
        CU_ASSERT_TRUE(held > ROWS / 5 && held < 3 * ROWS / 5);
        free(before);
        rig_close(&r);
    }
}

/* Another label of one record: of one that is held out nothing is in the statistics. */
static void who_judges_is_in_no_statistics(void)
{
    for (size_t unit = 1; unit <= 3; unit += 2) {
        size_t held = 0;
        int64_t *before, *after;
        rig r;

        open_held(&r, unit, FM_DP_FAST, false);
        rig_start(&r);
        before = sum_of(&r);
        CU_ASSERT(before[r.length - 2] == 0 && before[r.length - 3] == 0);
        for (size_t i = 0; i < ROWS; i++) {
            r.table.y[i] = 1.0f - r.table.y[i];
            after = sum_of(&r);
            r.table.y[i] = 1.0f - r.table.y[i];
            held += memcmp(before, after, r.length * sizeof *after) == 0;
            free(after);
        }
        CU_ASSERT_TRUE(held > ROWS / 5 && held < 3 * ROWS / 5);
        free(before);
        rig_close(&r);
    }
}

/* All rows of a unit go one way, and the votes are those of its mean loss. */
static void votes_are_of_the_mean_loss(void)
{
    fm_train_sample sample = { 0 };
    fm_train_held coins = { .share = 0.4 };
    float *losses;
    fm_tabular *m = NULL;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 3);
    int64_t *sum, want = 0;
    fm_train_units units;
    rig r;

    open_held(&r, 3, FM_DP_FAST, false);
    units = fm_train_units_of_table(&r.table);
    memcpy(coins.seed, SEED, sizeof SEED);
    need((losses = calloc(ROWS, sizeof *losses)) != NULL, "memory");
    need(fm_tabular_new(&r.model, ROWS, &m) == FM_OK &&
             fm_tabular_set(m, r.state, r.parameters) == FM_OK &&
             fm_train_sample_init(&sample, &units, 1.0, 3) == FM_OK,
         "a model");
    fm_train_sample_draw(&sample, &coins, &rng);
    CU_ASSERT_TRUE(sample.trained > 0 && sample.trained < sample.units);
    need(fm_tabular_backward(m, r.table.x, r.table.y, sample.rows, sample.count, losses) == FM_OK,
         "losses");
    for (size_t u = sample.trained; u < sample.units; u++) {
        double mean = 0.0;

        for (size_t i = sample.ends[u - 1]; i < sample.ends[u]; i++)
            mean += (double)losses[i];
        mean /= (double)(sample.ends[u] - sample.ends[u - 1]) * BOUND;
        want += (int64_t)((2.0 * fmin(mean, 1.0) - 1.0) * (double)r.lattice.unit_sensitivity);
    }
    sum = sum_of(&r);
    CU_ASSERT_EQUAL(sum[r.length - 2], want);
    free(sum);
    free(losses);
    fm_tabular_free(&m);
    fm_train_sample_fini(&sample);
    rig_close(&r);
}

static void another_seed_holds_out_others(void)
{
    fm_train_step *s;
    int64_t *a, *b, *again;
    rig r;

    open_held(&r, 1, FM_DP_FAST, false);
    a = sum_of(&r);
    s = rig_step(&r, 1); /* draws its own */
    b = rig_sum(&r, s, 3, NULL);
    again = rig_sum(&r, s, 4, NULL);
    CU_ASSERT_FALSE(same_gradient(&r, a, b));
    CU_ASSERT_TRUE(same_gradient(&r, b, again)); /* and keeps it: at rate 1 all is the same */
    CU_ASSERT_EQUAL(b[r.length - 2], again[r.length - 2]);
    free(a);
    free(b);
    free(again);
    fm_train_step_free(&s);
    rig_close(&r);
}

static void bad_shares_are_refused(void)
{
    const double bad[][2] = { { 0.0, 1.0 }, { 0.51, 1.0 }, { 0.1, 0.0 }, { 0.1, INFINITY } };
    fm_train_step *s = NULL;
    rig r;

    open_held(&r, 1, FM_DP_FAST, false);
    for (size_t i = 0; i < 4; i++) {
        r.spec.held_share = bad[i][0];
        r.spec.held_bound = bad[i][1];
        CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    }
    CU_ASSERT_PTR_NULL(s);
    rig_close(&r);
}

static const fm_test tests[] = {
    { "a unit moves the model or judges it", a_unit_moves_or_judges },
    { "who judges is in no statistics", who_judges_is_in_no_statistics },
    { "votes are of the mean loss", votes_are_of_the_mean_loss },
    { "another seed holds out others", another_seed_holds_out_others },
    { "bad shares are refused", bad_shares_are_refused },
};

const fm_test_suite suite_held = { "train.held", tests, FM_TEST_COUNT(tests) };
