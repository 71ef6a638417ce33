/* The state vector cut into weights and tail; and who is in a sample. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/train/sample.h"
#include "rig.h"
#include "suites.h"

static void the_clip_norm_is_read_where_the_optimizer_puts_it(void)
{
    const float state[] = { 5.0f, 6.0f, 0.7f, 1.0f }; /* ..., log of the clip norm, phase */
    fm_train_tail t = { .clip_norm = true, .start = true };

    CU_ASSERT_DOUBLE_EQUAL(fm_train_clip_norm(&t, 0.5, state, 4), 0.5 * exp(0.7), 1e-7);
    t.start = false;
    CU_ASSERT_DOUBLE_EQUAL(fm_train_clip_norm(&t, 0.5, state, 3), 0.5 * exp(0.7), 1e-7);
    t.clip_norm = false;
    CU_ASSERT_EQUAL(fm_train_clip_norm(&t, 0.5, state, 4), 0.5);
    t.start = true;
    CU_ASSERT_EQUAL(fm_train_clip_norm(&t, 0.5, state, 4), 0.5);
}

static void a_tail_that_the_model_has_no_experts_for_is_refused(void)
{
    const fm_train_tail right = { .load_groups = RIG_BLOCKS, .load_experts = RIG_EXPERTS };
    fm_train_tail t = right;
    fm_tabular_config none;
    rig r;

    rig_open(&r, 50, 1, FM_DP_FAST, false);
    CU_ASSERT_EQUAL(fm_train_tail_check(&right, &r.model), FM_OK);
    t.load_groups = RIG_BLOCKS + 1;
    CU_ASSERT_EQUAL(fm_train_tail_check(&t, &r.model), FM_EINVAL);
    t = right;
    t.load_experts = RIG_EXPERTS - 1;
    CU_ASSERT_EQUAL(fm_train_tail_check(&t, &r.model), FM_EINVAL);
    none = r.model; /* its blocks and experts are still there, of no use */
    none.width = 0;
    CU_ASSERT_EQUAL(fm_train_tail_check(&right, &none), FM_EINVAL);
    t = (fm_train_tail){ .start = true };
    CU_ASSERT_EQUAL(fm_train_tail_check(&t, &r.model), FM_EINVAL);
    rig_close(&r);
}

/* Weights alone, with load biases behind them, or neither: as the file of a model has them. */
static void weights_are_taken_with_load_biases_or_without(void)
{
    const fm_train_tail biases = { .load_groups = RIG_BLOCKS, .load_experts = RIG_EXPERTS };
    const size_t count = (size_t)RIG_BLOCKS * RIG_EXPERTS;
    const uint32_t row = 0;
    uint32_t before[2], after[2];
    float *state, got;
    fm_tabular *m = NULL;
    rig r;

    rig_open(&r, 50, 1, FM_DP_FAST, false);
    state = calloc(r.parameters + count, sizeof *state);
    need(state && fm_tabular_new(&r.model, 1, &m) == FM_OK, "a model");
    memcpy(state, r.state, r.parameters * sizeof *state);
    CU_ASSERT_EQUAL(fm_train_weights_set(m, state, r.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_backward(m, r.table.x, r.table.y, &row, 1, &got), FM_OK);
    fm_tabular_routes(m, 0, 0, before);
    for (size_t e = 0; e < RIG_EXPERTS; e++) /* those that were not chosen */
        state[r.parameters + e] = e == before[0] || e == before[1] ? 0.0f : 1e6f;
    CU_ASSERT_EQUAL(fm_train_weights_set(m, state, r.parameters + count), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_backward(m, r.table.x, r.table.y, &row, 1, &got), FM_OK);
    fm_tabular_routes(m, 0, 0, after);
    for (size_t i = 0; i < 2; i++)
        CU_ASSERT(after[i] != before[0] && after[i] != before[1]);
    CU_ASSERT_EQUAL(fm_train_weights_set(m, state, r.parameters + count - 1), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_train_state_set(m, &biases, state, count - 1), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "tail"));
    fm_tabular_free(&m);
    free(state);
    rig_close(&r);
}

/* Of a unit with too many rows each is as likely as the others; all are its own, in order. */
static void of_a_long_unit_any_rows_are_taken(void)
{
    enum { ROWS = 3, DRAWS = 6000 };
    size_t hits[1000] = { 0 }, bad = 0, worst = 0;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 77);
    fm_train_units all;
    fm_train_sample s;
    rig r;

    rig_open(&r, 40, 9, FM_DP_FAST, false);
    need(r.table.rows <= FM_TEST_COUNT(hits), "few records");
    all = fm_train_units_of_table(&r.table);
    need(fm_train_sample_init(&s, &all, 1.0, ROWS) == FM_OK, "a sample");
    for (size_t k = 0; k < DRAWS; k++) {
        fm_train_sample_draw(&s, NULL, &rng);
        CU_ASSERT_EQUAL_FATAL(s.units, r.table.units);
        for (size_t u = 0, at = 0; u < s.units; at = s.ends[u++]) {
            const size_t n = r.table.unit_start[u + 1] - r.table.unit_start[u];

            bad += s.ends[u] - at != (n < ROWS ? n : ROWS);
            for (size_t i = at; i < s.ends[u]; i++) {
                size_t of = r.table.unit_start[u];

                while (of < r.table.unit_start[u + 1] && r.table.unit_rows[of] != s.rows[i])
                    of++;
                bad += of == r.table.unit_start[u + 1] || (i > at && s.rows[i] <= s.rows[i - 1]);
                hits[s.rows[i]]++;
            }
        }
        bad += s.count != s.ends[s.units - 1];
    }
    CU_ASSERT_EQUAL(bad, 0);
    for (size_t u = 0; u < r.table.units; u++) {
        const size_t from = r.table.unit_start[u], n = r.table.unit_start[u + 1] - from;
        const double p = n > ROWS ? (double)ROWS / (double)n : 1.0;

        /* 6 deviations, 40 rows: false alarms of 1e-7. */
        for (size_t i = from; i < from + n; i++)
            worst += fabs((double)hits[r.table.unit_rows[i]] - DRAWS * p) >
                     6.0 * sqrt(DRAWS * p * (1.0 - p));
    }
    CU_ASSERT_EQUAL(worst, 0);
    fm_train_sample_forget(&s);
    CU_ASSERT(s.units == 0 && s.count == 0);
    fm_train_sample_fini(&s);
    rig_close(&r);
}

static const fm_test tests[] = {
    { "the clip norm is read where the optimizer puts it",
      the_clip_norm_is_read_where_the_optimizer_puts_it },
    { "a tail that the model has no experts for is refused",
      a_tail_that_the_model_has_no_experts_for_is_refused },
    { "weights are taken with load biases or without",
      weights_are_taken_with_load_biases_or_without },
    { "of a long unit any rows are taken", of_a_long_unit_any_rows_are_taken },
};

const fm_test_suite suite_state = { "train.state", tests, FM_TEST_COUNT(tests) };
