/* One record's gradient is that record's alone: whatever else is in the batch, bit for bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"

#define POOL 90
#define TRIALS 25

/* The first half are ordinary; of the others some are extreme, infinite or no numbers. */
static void spoil(fixture *f, fm_rng *rng)
{
    const float odd[] = { 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 0.0f, 1e-40f, 3e38f };

    for (size_t i = POOL / 2; i < POOL; i++)
        for (size_t k = 0; k < f->config.features; k++)
            if (fm_rng_below(rng, 2))
                f->x[i * f->config.features + k] = odd[fm_rng_below(rng, FM_TEST_COUNT(odd))];
}

static size_t differing(const fixture *f, float *const *want, const uint32_t *batch, size_t rows)
{
    float *g = calloc(f->parameters, sizeof *g);
    size_t bad = 0;

    for (size_t i = 0; i < rows; i++) {
        if (batch[i] >= POOL / 2)
            continue; /* only ordinary records are compared */
        fm_tabular_unit_gradient(f->model, i, g);
        bad += memcmp(g, want[batch[i]], f->parameters * sizeof *g) != 0;
    }
    free(g);
    return bad;
}

static void check(const fm_tabular_config *c, uint64_t seed)
{
    fixture f = fixture_make(c, POOL, seed);
    float *want[POOL] = { NULL }, logits[POOL * 4], losses[POOL];
    double norms[POOL], norm[POOL];
    uint32_t batch[POOL];
    size_t bad = 0;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);

    spoil(&f, &rng);
    for (uint32_t i = 0; i < POOL / 2; i++) { /* each alone */
        want[i] = calloc(f.parameters, sizeof *want[i]);
        CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, &i, 1, &losses[i]), FM_OK);
        fm_tabular_unit_gradient(f.model, 0, want[i]);
        fm_tabular_square_norms(f.model, &norm[i]);
    }
    for (int t = 0; t < TRIALS; t++) { /* batches of any size, order and repetition */
        const size_t rows = 1 + (size_t)fm_rng_below(&rng, POOL);
        float batch_losses[POOL];

        for (size_t i = 0; i < rows; i++)
            batch[i] = (uint32_t)fm_rng_below(&rng, POOL);
        CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, batch, rows, batch_losses), FM_OK);
        bad += differing(&f, want, batch, rows);
        fm_tabular_square_norms(f.model, norms);
        for (size_t i = 0; i < rows; i++)
            if (batch[i] < POOL / 2)
                bad += norms[i] != norm[batch[i]] || batch_losses[i] != losses[batch[i]];
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, POOL, logits), FM_OK);
    for (uint32_t i = 0; i < POOL / 2; i++) {
        float alone[4];

        CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x + i * c->features, 1, alone), FM_OK);
        bad += memcmp(alone, &logits[i * c->outputs], c->outputs * sizeof *alone) != 0;
        free(want[i]);
    }
    CU_ASSERT_EQUAL(bad, 0);
    fixture_free(&f);
}

static void other_records_leave_a_gradient_bit_identical(void)
{
    for (size_t n = 0; n < fixture_config_count; n++)
        check(&fixture_configs[n].config, 1000 + n);
}

/* Wide layers reach the kernels' full tiles and every remainder of them. */
static void other_records_leave_a_gradient_bit_identical_in_wide_models(void)
{
    fm_tabular_config c = fixture_configs[2].config;

    for (size_t width = 13; width < 80; width += 22) {
        c.width = width;
        c.expert_hidden = 2 * width + 3;
        c.shared_hidden = width + 5;
        c.features = width + 1;
        check(&c, 2000 + width);
    }
}

static void a_record_that_is_no_number_has_such_a_norm_and_harms_nobody(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 20, 70 + n);
        float *with = calloc(f.parameters, sizeof *with);
        float *without = calloc(f.parameters, sizeof *without), weights[20];
        double norms[20];
        uint32_t rest[19];

        f.x[7 * f.config.features] = NAN;
        fixture_backward(&f);
        fm_tabular_square_norms(f.model, norms);
        for (size_t i = 0; i < 20; i++) {
            CU_ASSERT_EQUAL(isfinite(norms[i]) != 0, i != 7);
            weights[i] = i == 7 ? 0.0f : 1.0f;
            if (i != 7)
                rest[i < 7 ? i : i - 1] = (uint32_t)i;
        }
        fm_tabular_weighted_sum(f.model, weights, with);
        for (size_t i = 0; i < 19; i++)
            weights[i] = 1.0f;
        CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, rest, 19, NULL), FM_OK);
        fm_tabular_weighted_sum(f.model, weights, without);
        for (size_t p = 0; p < f.parameters; p++)
            CU_ASSERT_DOUBLE_EQUAL((double)with[p], (double)without[p],
                                   1e-4 * (1.0 + fabs((double)without[p])));
        free(with);
        free(without);
        fixture_free(&f);
    }
}

static void an_infinite_weight_is_refused_and_changes_nothing(void)
{
    fixture f = fixture_make(&fixture_configs[2].config, 1, 4);
    float *back = calloc(f.parameters, sizeof *back);
    const float kept = f.theta[3], bad[] = { INFINITY, NAN, 3.4e38f };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        /* The last is finite, but not when multiplied: its group's multiplier is above 1. */
        const size_t at = i < 2 ? 3 : f.parameters - 1;
        const float before = f.theta[at];

        f.theta[at] = bad[i];
        CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_ENONFINITE);
        f.theta[at] = before;
    }
    CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters - 1), FM_EINVAL);
    fm_tabular_get(f.model, back);
    CU_ASSERT_EQUAL(back[3], kept);
    CU_ASSERT_EQUAL(memcmp(back, f.theta, f.parameters * sizeof *back), 0);
    free(back);
    fixture_free(&f);
}

static const fm_test tests[] = {
    { "other records leave a gradient bit-identical",
      other_records_leave_a_gradient_bit_identical },
    { "other records leave a gradient bit-identical in wide models",
      other_records_leave_a_gradient_bit_identical_in_wide_models },
    { "a record that is no number has such a norm and harms nobody",
      a_record_that_is_no_number_has_such_a_norm_and_harms_nobody },
    { "an infinite weight is refused and changes nothing",
      an_infinite_weight_is_refused_and_changes_nothing },
};
const fm_test_suite suite_isolation = { "model.isolation", tests, FM_TEST_COUNT(tests) };
