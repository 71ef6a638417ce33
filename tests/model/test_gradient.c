/*
 * Every parameter's gradient against central differences. The differences are taken of the
 * reference, in double: with h = 1e-5 they are wrong by about h^2 |f'''| / 6 + 2^-53 |f| / h, some
 * 1e-10, so what is measured is the library's own float32 error, about 2^-24 times the number of
 * roundings. One test more takes them of the library itself; it says what float32 allows.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "loss.h"
#include "model_fixture.h"
#include "model_reference.h"
#include "suites.h"

#define STEP 1e-5
#define ROWS 4

static double *to_double(const float *v, size_t n)
{
    double *out = calloc(n, sizeof *out);

    for (size_t i = 0; i < n; i++)
        out[i] = (double)v[i];
    return out;
}

/* Largest deviation of row's gradient from the differences, relative to the largest entry; -1 when
 * the record is too near a kink, where there is no gradient. */
static double gradient_error(fixture *f, const float *load_bias, size_t row)
{
    double *theta = to_double(f->theta, f->parameters), worst = 0.0, largest = 1e-3;
    float *g = calloc(f->parameters, sizeof *g);
    const float *x = f->x + row * f->config.features;
    const reference_result at = reference_run(f->model, theta, load_bias, x, f->y[row]);
    fm_tabular_start start;

    if (at.route_gap < 1e-3 || at.kink_gap < 1e-3) {
        worst = -1.0;
        goto done;
    }
    CU_ASSERT_EQUAL(fm_tabular_start_of(&f->config, &start), FM_OK);
    fm_tabular_unit_gradient(f->model, row, g);
    for (size_t p = 0; p < f->parameters; p++) {
        const double here = theta[p];

        if (p >= start.center && p - start.center < start.count) {
            CU_ASSERT_EQUAL(g[p], 0.0f); /* a constant */
            continue;
        }

        theta[p] = here + STEP;
        const double up = reference_run(f->model, theta, load_bias, x, f->y[row]).loss;

        theta[p] = here - STEP;
        const double down = reference_run(f->model, theta, load_bias, x, f->y[row]).loss;

        theta[p] = here;
        const double d = (up - down) / (2.0 * STEP);

        largest = fmax(largest, fabs(d));
        worst = fmax(worst, fabs(d - (double)g[p]));
    }
    worst /= largest;
done:
    free(theta);
    free(g);
    return worst;
}

static void every_parameter_agrees_with_central_differences(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        size_t checked = 0;
        double worst = 0.0;

        for (uint64_t seed = 1; checked < ROWS && seed < 20; seed++) {
            fixture f = fixture_make(&fixture_configs[n].config, ROWS, 100 * n + seed);

            fixture_backward(&f);
            for (size_t i = 0; i < ROWS && checked < ROWS; i++) {
                const double e = gradient_error(&f, NULL, i);

                checked += e >= 0.0;
                worst = fmax(worst, e);
            }
            fixture_free(&f);
        }
        printf("    %s: %zu records, error %.1e of the largest entry\n", fixture_configs[n].name,
               checked, worst);
        CU_ASSERT_TRUE(checked == ROWS);
        CU_ASSERT_TRUE(worst < 2e-5);
    }
}

/* Another choice of experts; the gates and what flows back are those of the plain scores. */
static void a_load_bias_moves_the_choice_alone(void)
{
    for (size_t n = 1; n < fixture_config_count; n += 2) {
        const fm_tabular_config *c = &fixture_configs[n].config;
        const size_t biases = c->blocks * c->experts;
        size_t checked = 0, moved = 0;
        double worst = 0.0;
        float bias[64];

        for (size_t e = 0; e < biases; e++)
            bias[e] = (float)((e * 7) % 5) - 2.0f;
        for (uint64_t seed = 1; c->width && checked < 1 && seed < 20; seed++) {
            fixture f = fixture_make(c, ROWS, 900 * n + seed);
            uint32_t before[ROWS][256], after[256];

            fixture_backward(&f);
            for (size_t i = 0; i < ROWS; i++)
                fm_tabular_routes(f.model, 0, i, before[i]);
            CU_ASSERT_EQUAL(fm_tabular_set_load_bias(f.model, bias, biases), FM_OK);
            fixture_backward(&f);
            for (size_t i = 0; i < ROWS; i++) {
                fm_tabular_routes(f.model, 0, i, after);
                moved += memcmp(before[i], after, c->top_k * sizeof *after) != 0;
            }
            for (size_t i = 0; i < ROWS && checked < 1; i++) {
                const double e = gradient_error(&f, bias, i);

                checked += e >= 0.0;
                worst = fmax(worst, e);
            }
            fixture_free(&f);
        }
        /* A number's gradient z - y loses digits where the two are close. */
        CU_ASSERT_TRUE(!c->width || (checked == 1 && worst < 2e-4));
        CU_ASSERT_TRUE(!c->width || c->top_k == c->experts || moved > 0);
    }
}

static void logits_losses_and_routes_agree_with_the_reference(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 40, 7 + n);
        double *theta = to_double(f.theta, f.parameters);
        float losses[40], logits[40 * REFERENCE_OUTPUTS];
        size_t wrong = 0;

        CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, f.index, 40, losses), FM_OK);
        for (size_t i = 0; i < 40; i++) {
            const reference_result r =
                reference_run(f.model, theta, NULL, f.x + i * f.config.features, f.y[i]);
            uint32_t routes[256];

            if (r.route_gap < 1e-3)
                continue;
            CU_ASSERT_DOUBLE_EQUAL((double)losses[i], r.loss, 2e-5 * (1.0 + fabs(r.loss)));
            for (size_t b = 0; f.config.width && b < f.config.blocks; b++) {
                fm_tabular_routes(f.model, b, i, routes);
                for (size_t k = 0; k < f.config.top_k; k++)
                    wrong += routes[k] != r.routes[b][k];
            }
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 40, logits), FM_OK);
        for (size_t i = 0; i < 40; i++) {
            const reference_result r =
                reference_run(f.model, theta, NULL, f.x + i * f.config.features, f.y[i]);

            if (r.route_gap >= 1e-3)
                for (size_t k = 0; k < f.config.outputs; k++)
                    CU_ASSERT_DOUBLE_EQUAL((double)logits[i * f.config.outputs + k], r.z[k],
                                           1e-4 * (1.0 + fabs(r.z[k])));
        }
        free(theta);
        fixture_free(&f);
    }
}

static double batch_loss(fixture *f, const float *theta)
{
    float losses[64];
    double sum = 0.0;

    CU_ASSERT_EQUAL(fm_tabular_set(f->model, theta, f->parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_backward(f->model, f->x, f->y, f->index, f->rows, losses), FM_OK);
    for (size_t i = 0; i < f->rows; i++)
        sum += (double)losses[i];
    return sum;
}

/*
 * The library by itself, along random unit directions u of all parameters: with step h in float32
 * the difference of two losses of size l, each good to about 2^-22 l, is wrong by 2^-22 l / h, and
 * its curvature by h^2 |f'''| / 6. At h = 2^-6 and l about 10 that is 2e-4 and, for these smooth
 * models, 1e-3 at most.
 */
static void directional_differences_of_the_library_itself_agree(void)
{
    const size_t smooth[] = { 0, 2 };

    for (size_t n = 0; n < FM_TEST_COUNT(smooth); n++) {
        fixture f = fixture_make(&fixture_configs[smooth[n]].config, 12, 33 + n);
        float *g = calloc(f.parameters, sizeof *g), *there = calloc(f.parameters, sizeof *there);
        float ones[12];
        const float h = 0x1p-6f;
        fm_rng_seed state;
        fm_rng rng = fm_rng_seeded(&state, 5);

        for (size_t i = 0; i < 12; i++)
            ones[i] = 1.0f;
        fixture_backward(&f);
        fm_tabular_weighted_sum(f.model, ones, g);
        for (int trial = 0; trial < 10; trial++) {
            double *u = calloc(f.parameters, sizeof *u), norm = 0.0, slope = 0.0, up, down;

            for (size_t p = 0; p < f.parameters; p++) {
                u[p] = fm_rng_normal(&rng);
                norm += u[p] * u[p];
            }
            for (size_t p = 0; p < f.parameters; p++) {
                u[p] /= sqrt(norm);
                slope += u[p] * (double)g[p];
                there[p] = f.theta[p] + h * (float)u[p];
            }
            up = batch_loss(&f, there);
            for (size_t p = 0; p < f.parameters; p++)
                there[p] = f.theta[p] - h * (float)u[p];
            down = batch_loss(&f, there);
            CU_ASSERT_DOUBLE_EQUAL((up - down) / (2.0 * (double)h), slope,
                                   2e-3 * (1.0 + fabs(slope)));
            free(u);
        }
        free(g);
        free(there);
        fixture_free(&f);
    }
}

static void square_norms_are_those_of_the_gradients_themselves(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 50, 11 + n);
        float *g = calloc(f.parameters, sizeof *g);
        double norms[50], worst = 0.0;

        fixture_backward(&f);
        fm_tabular_square_norms(f.model, norms);
        for (size_t i = 0; i < f.rows; i++) {
            double sum = 0.0;

            fm_tabular_unit_gradient(f.model, i, g);
            for (size_t p = 0; p < f.parameters; p++)
                sum += (double)g[p] * (double)g[p];
            worst = fmax(worst, fabs(norms[i] - sum) / sum);
        }
        CU_ASSERT_TRUE(worst < 1e-5);
        free(g);
        fixture_free(&f);
    }
}

/* Rows one after the other onto a first: the same bits as adding whole gradients. */
static void rows_add_up_to_a_unit(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 20, 13 + n);
        float *sum = calloc(2 * f.parameters, sizeof *sum), *want = sum + f.parameters;
        float *g = calloc(f.parameters, sizeof *g);
        size_t wrong = 0;

        fixture_backward(&f);
        fm_tabular_unit_gradient(f.model, 19, sum);
        fm_tabular_unit_gradient(f.model, 19, want);
        for (size_t i = 0; i < 19; i++) {
            fm_tabular_add_row_gradient(f.model, i, sum);
            fm_tabular_unit_gradient(f.model, i, g);
            for (size_t p = 0; p < f.parameters; p++)
                want[p] += g[p];
        }
        for (size_t p = 0; p < f.parameters; p++)
            wrong += sum[p] != want[p];
        CU_ASSERT_EQUAL(wrong, 0);
        free(sum);
        free(g);
        fixture_free(&f);
    }
}

/* @param zeros every third record has weight 0. */
static void check_weighted_sum(const fm_tabular_config *c, size_t rows, bool zeros)
{
    fixture f = fixture_make(c, rows, 17);
    float *g = calloc(f.parameters, sizeof *g), *sum = calloc(f.parameters, sizeof *sum);
    float *weights = calloc(rows + 1, sizeof *weights);
    double *want = calloc(f.parameters, sizeof *want), largest = 1e-6, worst = 0.0;

    fixture_backward(&f);
    for (size_t i = 0; i < rows; i++) {
        weights[i] = zeros && i % 3 == 0 ? 0.0f : 0.1f + 0.01f * (float)i;
        fm_tabular_unit_gradient(f.model, i, g);
        for (size_t p = 0; p < f.parameters; p++)
            want[p] += (double)weights[i] * (double)g[p];
    }
    for (size_t p = 0; p < f.parameters; p++)
        sum[p] = (float)NAN; /* every entry is to be written */
    fm_tabular_weighted_sum(f.model, weights, sum);
    for (size_t p = 0; p < f.parameters; p++) {
        largest = fmax(largest, fabs(want[p]));
        worst = isnan(sum[p]) ? HUGE_VAL : fmax(worst, fabs(want[p] - (double)sum[p]));
    }
    CU_ASSERT_TRUE(worst < 1e-5 * largest);
    free(g);
    free(sum);
    free(weights);
    free(want);
    fixture_free(&f);
}

static void weighted_sum_is_the_sum_of_the_weighted_gradients(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        check_weighted_sum(&fixture_configs[n].config, 70, false);
        check_weighted_sum(&fixture_configs[n].config, 70, true);
        check_weighted_sum(&fixture_configs[n].config, 1, false);
        check_weighted_sum(&fixture_configs[n].config, 0, false);
    }
}

static void certain_and_wrong_logits_have_exact_losses(void)
{
    const fm_tabular_config *c = &fixture_configs[0].config;
    fixture f = fixture_make(c, 4, 1);
    const float bias = 90.0f / (float)c->multipliers.bias;
    float losses[4], g[8];

    for (size_t p = 0; p < f.parameters; p++)
        f.theta[p] = 0.0f;
    f.theta[f.parameters - 1] = bias; /* linear.bias is last when there is no mixture */
    CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
    f.y[0] = 1.0f;
    f.y[1] = 0.0f;
    CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, f.index, 2, losses), FM_OK);
    CU_ASSERT_TRUE(losses[0] >= 0.0f && losses[0] < 1e-35f);
    CU_ASSERT_DOUBLE_EQUAL((double)losses[1], 90.0 * 0.8, 1e-4); /* the class' weight */
    fm_tabular_unit_gradient(f.model, 0, g);                     /* 1 - p is not lost to rounding */
    CU_ASSERT_TRUE(g[7] < 0.0f && g[7] > -1e-35f);
    fixture_free(&f);
}

static void losses_of_classes_and_numbers_are_exact_at_the_ends(void)
{
    const float certain[3] = { 200.0f, -200.0f, 0.0f }, weights[3] = { 1.0f, 2.0f, 1.0f };
    float g[3];

    CU_ASSERT_EQUAL(fm_loss_classes(certain, 3, 0.0f, weights, g), 0.0);
    CU_ASSERT_TRUE(g[0] <= 0.0f && g[0] > -1e-35f && g[1] == 0.0f);
    CU_ASSERT_EQUAL(fm_loss_classes(certain, 3, 1.0f, weights, g), 800.0);
    CU_ASSERT_TRUE(g[0] == 2.0f && g[1] == -2.0f);
    /* A label that is no class makes the record one that is not finite: it is dropped. */
    for (size_t i = 0; i < 3; i++) {
        const float labels[] = { 3.0f, -1.0f, NAN };

        CU_ASSERT_TRUE(isnan(fm_loss_classes(certain, 3, labels[i], weights, g)));
        CU_ASSERT_TRUE(isnan(g[0]) && isnan(g[1]) && isnan(g[2]));
    }
    CU_ASSERT_EQUAL(fm_loss_number(3.0f, 1.0f, g), 2.0);
    CU_ASSERT_EQUAL(g[0], 2.0f);
}

static const fm_test tests[] = {
    { "every parameter agrees with central differences",
      every_parameter_agrees_with_central_differences },
    { "a load bias moves the choice alone", a_load_bias_moves_the_choice_alone },
    { "logits, losses and routes agree with the reference",
      logits_losses_and_routes_agree_with_the_reference },
    { "directional differences of the library itself agree",
      directional_differences_of_the_library_itself_agree },
    { "square norms are those of the gradients themselves",
      square_norms_are_those_of_the_gradients_themselves },
    { "rows add up to a unit", rows_add_up_to_a_unit },
    { "the weighted sum is the sum of the weighted gradients",
      weighted_sum_is_the_sum_of_the_weighted_gradients },
    { "losses of classes and numbers are exact at the ends",
      losses_of_classes_and_numbers_are_exact_at_the_ends },
    { "certain and wrong logits have exact losses", certain_and_wrong_logits_have_exact_losses },
};
const fm_test_suite suite_gradient = { "model.gradient", tests, FM_TEST_COUNT(tests) };
