/* Top-k is a real sparse dispatch: an expert sees the rows that chose it and no others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"
#include "tabular_internal.h"

#define ROWS 60

static void each_expert_gets_exactly_the_rows_that_chose_it(void)
{
    for (size_t n = 1; n < fixture_config_count; n++) {
        if (!fixture_configs[n].config.width)
            continue;
        fixture f = fixture_make(&fixture_configs[n].config, ROWS, 50 + n);
        const size_t k = f.config.top_k;
        uint32_t routes[256];

        fixture_backward(&f);
        for (size_t b = 0; b < f.config.blocks; b++) {
            const fm_dispatch *block = &f.model->blocks[b].dispatch;
            size_t want[256] = { 0 }, wrong = 0;

            for (size_t i = 0; i < ROWS; i++) {
                fm_tabular_routes(f.model, b, i, routes);
                for (size_t j = 0; j < k; j++) {
                    want[routes[j]]++;
                    wrong += j && routes[j] <= routes[j - 1];
                    wrong += block->order[block->places[i * k + j]] != i;
                }
            }
            /* The work of expert e is the rows of [starts[e], starts[e + 1]): k a record in all. */
            CU_ASSERT_EQUAL(block->starts[f.config.experts], ROWS * k);
            for (size_t e = 0; e < f.config.experts; e++) {
                wrong += block->starts[e + 1] - block->starts[e] != want[e];
                for (size_t p = block->starts[e] + 1; p < block->starts[e + 1]; p++)
                    wrong += block->order[p] <= block->order[p - 1]; /* stable */
            }
            CU_ASSERT_EQUAL(wrong, 0);
        }
        fixture_free(&f);
    }
}

static void an_expert_that_nobody_chose_has_no_gradient_and_is_not_run(void)
{
    fm_tabular_config c = fixture_configs[2].config;
    float *sum, ones[ROWS];

    c.experts = 64;
    c.top_k = 1;
    fixture f = fixture_make(&c, ROWS, 6);
    const fm_dispatch *block = &f.model->blocks[0].dispatch;
    size_t idle = 0, wrong = 0;

    for (size_t i = 0; i < ROWS; i++)
        ones[i] = 1.0f;
    /* A weight that would show: an expert without rows must not touch any record. */
    fixture_backward(&f);
    sum = calloc(f.parameters, sizeof *sum);
    fm_tabular_weighted_sum(f.model, ones, sum);
    for (size_t e = 0; e < c.experts; e++) {
        char prefix[64];

        if (block->starts[e + 1] > block->starts[e])
            continue;
        idle++;
        (void)snprintf(prefix, sizeof prefix, "blocks.0.experts.%zu.", e);
        for (size_t t = 0; t < fm_tabular_tensors(f.model); t++) {
            const fm_tabular_tensor_info info = fm_tabular_tensor(f.model, t);

            if (strncmp(info.name, prefix, strlen(prefix)) != 0)
                continue;
            for (size_t p = 0; p < info.elements; p++)
                wrong += sum[info.offset + p] != 0.0f;
        }
    }
    CU_ASSERT_TRUE(idle > 0);
    CU_ASSERT_EQUAL(wrong, 0);
    free(sum);
    fixture_free(&f);
}

static void equal_or_unordered_scores_still_choose_k_experts(void)
{
    fm_tabular_config c = fixture_configs[2].config;
    fixture f = fixture_make(&c, 3, 6);
    uint32_t routes[2];
    float logits[3];

    for (size_t p = 0; p < f.parameters; p++)
        f.theta[p] = 0.0f; /* every score is 0: the lowest indices win */
    CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
    f.x[c.features] = NAN;
    f.x[2 * c.features] = INFINITY;
    fixture_backward(&f);
    for (size_t i = 0; i < 3; i++) {
        fm_tabular_routes(f.model, 0, i, routes);
        CU_ASSERT_TRUE(routes[0] < routes[1] && routes[1] < c.experts);
    }
    fm_tabular_routes(f.model, 0, 0, routes);
    CU_ASSERT_TRUE(routes[0] == 0 && routes[1] == 1);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 3, logits), FM_OK);
    CU_ASSERT_TRUE(isfinite(logits[0]) && !isfinite(logits[1]) && !isfinite(logits[2]));
    fixture_free(&f);
}

static void a_batch_may_be_empty_but_not_too_large(void)
{
    fixture f = fixture_make(&fixture_configs[2].config, 4, 2);
    const uint32_t index[5] = { 0, 1, 2, 3, 0 };
    float *out = calloc(f.parameters, sizeof *out);

    CU_ASSERT_EQUAL(fm_tabular_backward(f.model, NULL, NULL, NULL, 0, NULL), FM_OK);
    out[0] = 5.0f;
    fm_tabular_weighted_sum(f.model, NULL, out);
    CU_ASSERT_EQUAL(out[0], 0.0f);
    CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, index, 5, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, NULL, index, 1, NULL), FM_EINVAL);
    free(out);
    fixture_free(&f);
}

static void predictions_do_not_depend_on_the_size_of_the_batches(void)
{
    fixture f = fixture_make(&fixture_configs[3].config, 100, 21);
    fm_tabular *small = NULL;
    float want[100], got[100];

    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&f.config, 7, &small), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_set(small, f.theta, f.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 100, want), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(small, f.x, 100, got), FM_OK);
    CU_ASSERT_EQUAL(memcmp(want, got, sizeof want), 0);
    fm_tabular_free(&small);
    fm_tabular_free(&small);
    fixture_free(&f);
}

static const fm_test tests[] = {
    { "each expert gets exactly the rows that chose it",
      each_expert_gets_exactly_the_rows_that_chose_it },
    { "an expert that nobody chose has no gradient and is not run",
      an_expert_that_nobody_chose_has_no_gradient_and_is_not_run },
    { "equal or unordered scores still choose k experts",
      equal_or_unordered_scores_still_choose_k_experts },
    { "a batch may be empty but not too large", a_batch_may_be_empty_but_not_too_large },
    { "predictions do not depend on the size of the batches",
      predictions_do_not_depend_on_the_size_of_the_batches },
};
const fm_test_suite suite_routing = { "model.routing", tests, FM_TEST_COUNT(tests) };
