/* The statistics round: the means that it finds, and what a unit can do to them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/train/run.h"
#include "rig.h"
#include "suites.h"

static fm_tabular_start start_of(const rig *r)
{
    fm_tabular_start s;

    need(fm_tabular_start_of(&r->model, &s) == FM_OK, "the places");
    return s;
}

static double norm(const int64_t *v, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static size_t first_row(const rig *r, size_t unit)
{
    return r->table.unit_start ? r->table.unit_start[unit] : unit;
}

static uint32_t row_at(const rig *r, size_t i)
{
    return r->table.unit_rows ? r->table.unit_rows[i] : (uint32_t)i;
}

/* Sums over units of their rows' means, the features shortened to norm sqrt(2 - y^2). Written anew.
 * @param out  [features + 1] the last is the labels'. */
static void expect(const rig *r, double *out)
{
    const size_t f = r->table.features;

    memset(out, 0, (f + 1) * sizeof *out);
    for (size_t u = 0; u < rig_units(r); u++) {
        const size_t first = first_row(r, u), end = first_row(r, u + 1);
        double mean[64] = { 0 }, y = 0.0, square = 0.0, keep;

        for (size_t i = first; i < end; i++) {
            y += (double)r->table.y[row_at(r, i)] / (double)(end - first);
            for (size_t j = 0; j < f; j++)
                mean[j] += (double)r->table.x[row_at(r, i) * f + j] / (double)(end - first);
        }
        for (size_t j = 0; j < f; j++)
            square += mean[j] * mean[j];
        keep = square > 2.0 - y * y ? sqrt((2.0 - y * y) / square) : 1.0;
        for (size_t j = 0; j < f; j++)
            out[j] += keep * mean[j];
        out[f] += y;
    }
}

static void sums_are_those_of_the_means(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (int tail = 0; tail < 2; tail++)
            for (size_t unit = 1; unit <= 7; unit += 6) {
                double want[64];
                fm_tabular_start s;
                fm_train_step *step;
                int64_t *sum;
                double steps, off = 0.0;
                size_t others = 0;
                rig r;

                rig_open(&r, 500, unit, (fm_dp_encoding)encoding, tail);
                rig_start(&r);
                /* Some records are longer than the bound. */
                for (size_t i = 0; i < r.table.rows * r.table.features; i++)
                    r.table.x[i] *= i / r.table.features % 5 ? 0.2f : 3.0f;
                s = start_of(&r);
                steps = r.lattice.unit_scale * r.lattice.clip_norm / sqrt(2.0);
                step = rig_step(&r, 2);
                sum = rig_sum(&r, step, 1, NULL);
                expect(&r, want);
                /* Each unit is rounded by less than a step. */
                for (size_t j = 0; j < s.count; j++)
                    off = fmax(off, fabs((double)sum[s.center + j] - steps * want[j]));
                off = fmax(off, fabs((double)sum[s.bias] - steps * want[s.count]));
                CU_ASSERT(off <= 1.5 * (double)rig_units(&r));
                CU_ASSERT(want[s.count] > 0.0 && fabs(want[0]) > 1.0);
                for (size_t i = 0; i < r.length; i++)
                    others +=
                        sum[i] != 0 && i != s.bias && (i < s.center || i >= s.center + s.count);
                CU_ASSERT_EQUAL(others, 0);
                free(sum);
                fm_train_step_free(&step);
                rig_close(&r);
            }
}

static void any_number_of_threads_gives_the_same_bits(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t unit = 1; unit <= 30; unit += 29) {
            int64_t *one, *five;
            fm_train_step *s;
            rig r;

            rig_open(&r, 1500, unit, (fm_dp_encoding)encoding, true);
            rig_start(&r);
            r.spec.sampling_rate = 0.7;
            s = rig_step(&r, 1);
            one = rig_sum(&r, s, 3, NULL);
            fm_train_step_free(&s);
            s = rig_step(&r, 5);
            CU_ASSERT_EQUAL(fm_train_step_threads(s), 5);
            five = rig_sum(&r, s, 3, NULL);
            CU_ASSERT_EQUAL(memcmp(one, five, r.length * sizeof *one), 0);
            fm_train_step_free(&s);
            free(one);
            free(five);
            rig_close(&r);
        }
}

/* The attack: a patient with very many rows, or with figures as large as float32 holds. */
static void one_unit_moves_a_sum_by_no_more_than_the_sensitivity(void)
{
    static const float cells[] = { 0.0f, 0.3f, -1.0f, 1e6f, -1e18f };

    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t rows = 1; rows <= 1000; rows += 999)
            for (size_t k = 0; k < 2 * FM_TEST_COUNT(cells); k++) {
                fm_train_step *s;
                int64_t *sum;
                double length;
                rig r;

                rig_open(&r, rows, 1001, (fm_dp_encoding)encoding, true);
                rig_start(&r);
                r.spec.unit_rows = 1000;
                for (size_t i = 0; i < r.table.rows; i++) {
                    for (size_t j = 0; j < r.table.features; j++)
                        r.table.x[i * r.table.features + j] = cells[k / 2];
                    r.table.y[i] = (float)(k % 2);
                }
                if (rows > 1) /* all of them are one patient's */
                    for (size_t u = 1; u <= r.table.units; u++)
                        r.table.unit_start[u] = r.table.rows;
                r.table.units = 1;
                s = rig_step(&r, 1);
                sum = rig_sum(&r, s, 1, NULL);
                length = norm(sum, r.length);
                CU_ASSERT(length <= (double)r.lattice.unit_sensitivity);
                /* ... and with large figures it is that, but for rounding. */
                CU_ASSERT(fabs((double)cells[k / 2]) <= 1.0 ||
                          length > 0.98 * (double)r.lattice.unit_sensitivity);
                free(sum);
                fm_train_step_free(&s);
                rig_close(&r);
            }
}

static void a_unit_that_is_not_finite_is_left_out_alone(void)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f };

    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t k = 0; k < 2 * FM_TEST_COUNT(odd); k++) {
            const bool label = k % 2 == 1, drops = label || isnan(odd[k / 2]) || isinf(odd[k / 2]);
            int64_t *all, *rest;
            size_t dropped = 0;
            fm_train_step *s;
            rig r;

            rig_open(&r, 300, 1, (fm_dp_encoding)encoding, false);
            rig_start(&r);
            s = rig_step(&r, 2);
            all = rig_sum(&r, s, 1, &dropped);
            CU_ASSERT_EQUAL(dropped, 0);
            if (label)
                r.table.y[123] = isfinite(odd[k / 2]) ? NAN : odd[k / 2];
            else
                r.table.x[123 * r.table.features] = odd[k / 2];
            rest = rig_sum(&r, s, 1, &dropped);
            CU_ASSERT_EQUAL(dropped, drops);
            for (size_t i = 0; i < r.length; i++)
                all[i] -= rest[i];
            /* What is gone, or another's place has taken, is one unit's; exchanged: two. */
            CU_ASSERT(norm(all, r.length) <=
                      (drops ? 1.0 : 2.0) * (double)r.lattice.unit_sensitivity);
            fm_train_step_free(&s);
            free(all);
            free(rest);
            rig_close(&r);
        }
}

static void phases_are_told_apart_and_nothing_else_is_one(void)
{
    static const float odd[] = { 0.5f, 2.0f, -1.0f, NAN, INFINITY };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 1);
    fm_train_step_input in = { .rng = &rng };
    fm_tabular_start s;
    fm_train_step *step;
    fm_dp_sum *out = NULL;
    int64_t *sum;
    size_t center = 0, others = 0;
    rig r;

    rig_open(&r, 100, 1, FM_DP_FAST, true);
    rig_start(&r);
    s = start_of(&r);
    step = rig_step(&r, 1);
    in.state = r.state;
    for (size_t k = 0; k < FM_TEST_COUNT(odd); k++) {
        r.state[r.length - 1] = odd[k];
        CU_ASSERT_EQUAL(fm_train_step_run(step, &in, &out), FM_EINVAL);
    }
    r.state[r.length - 1] = 1.0f; /* gradients: none of them the center's or the phase's */
    sum = rig_sum(&r, step, 1, NULL);
    for (size_t i = 0; i < r.length; i++)
        *(i >= s.center && i - s.center < s.count ? &center : &others) += sum[i] != 0;
    CU_ASSERT_EQUAL(center, 0);
    CU_ASSERT_EQUAL(sum[r.length - 1], 0);
    CU_ASSERT(others > r.parameters / 2);
    free(sum);
    fm_train_step_free(&step);
    r.model.center = false; /* a phase without a center */
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &step), FM_EINVAL);
    rig_close(&r);
}

/* Without noise: mean and share themselves, in a model of one statistics round and rounds that move
 * nothing. */
static void a_training_without_noise_finds_the_means(void)
{
    fm_training t = { .clip_norm = 0.4,
                      .sampling_rate = 1.0,
                      .rounds = 2,
                      .start = true,
                      .rule = FM_OPTIM_SGD,
                      .learning_rate = 1e-30,
                      .adam_epsilon = 1e-3,
                      .averaging = 0.5,
                      .schedule = FM_OPTIM_CONSTANT };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 4);
    fm_train_run_spec spec = {
        .training = &t, .max_units = 4000, .encoding = FM_DP_FAST, .threads = 2, .rng = &rng
    };
    fm_tabular *m = NULL;
    fm_tabular_start s;
    double want[64], n, p;
    float *theta;
    rig r;

    rig_open(&r, 700, 4, FM_DP_FAST, false);
    rig_start(&r);
    for (size_t i = 0; i < r.table.rows * r.table.features; i++)
        r.table.x[i] *= 0.1f;
    s = start_of(&r);
    expect(&r, want);
    n = (double)rig_units(&r);
    spec.learner = r.spec.learner;
    spec.units = n;
    spec.unit_rows = 4;
    spec.weights = r.state;
    need(fm_tabular_new(&r.model, 1, &m) == FM_OK, "a model");
    CU_ASSERT_EQUAL(fm_train_run_tabular(&spec, m), FM_OK);
    theta = calloc(r.parameters, sizeof *theta);
    need(theta != NULL, "memory");
    fm_tabular_get(m, theta);
    for (size_t j = 0; j < s.count; j++)
        CU_ASSERT_DOUBLE_EQUAL(theta[s.center + j], want[j] / n, 1e-4);
    p = want[s.count] / n;
    CU_ASSERT_DOUBLE_EQUAL(theta[s.bias] * s.bias_scale, log(p / (1.0 - p)), 1e-3);
    for (size_t i = 0; i < r.parameters - s.count; i++)
        CU_ASSERT(i == s.bias || theta[i] == r.state[i]);
    free(theta);
    fm_tabular_free(&m);
    rig_close(&r);
}

/* No statistics round, and noise on every coordinate: the center stays zero. */
static void noise_does_not_move_a_center(void)
{
    fm_training t = { .clip_norm = 1.0,
                      .sampling_rate = 1.0,
                      .rounds = 3,
                      .rule = FM_OPTIM_ADAM,
                      .learning_rate = 0.1,
                      .momentum = 0.9,
                      .beta2 = 0.9,
                      .adam_epsilon = 1e-3,
                      .schedule = FM_OPTIM_CONSTANT };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 4);
    fm_train_run_spec spec = { .training = &t,
                               .noise_multiplier = 1.0,
                               .units = 200.0,
                               .max_units = 4000,
                               .unit_rows = 1,
                               .encoding = FM_DP_FAST,
                               .threads = 2,
                               .rng = &rng };
    fm_tabular *m = NULL;
    float *theta;
    rig r;

    rig_open(&r, 200, 1, FM_DP_FAST, false);
    rig_start(&r);
    spec.learner = r.spec.learner;
    spec.weights = r.state;
    need(fm_tabular_new(&r.model, 1, &m) == FM_OK, "a model");
    CU_ASSERT_EQUAL(fm_train_run_tabular(&spec, m), FM_OK);
    theta = calloc(r.parameters, sizeof *theta);
    need(theta != NULL, "memory");
    fm_tabular_get(m, theta);
    for (size_t i = 0; i < r.parameters; i++)
        CU_ASSERT_EQUAL(theta[i] == r.state[i], i >= start_of(&r).center);
    free(theta);
    fm_tabular_free(&m);
    rig_close(&r);
}

static const fm_test tests[] = {
    { "sums are those of the means", sums_are_those_of_the_means },
    { "any number of threads gives the same bits", any_number_of_threads_gives_the_same_bits },
    { "one unit moves a sum by no more than the sensitivity",
      one_unit_moves_a_sum_by_no_more_than_the_sensitivity },
    { "a unit that is not finite is left out alone", a_unit_that_is_not_finite_is_left_out_alone },
    { "phases are told apart and nothing else is one",
      phases_are_told_apart_and_nothing_else_is_one },
    { "noise does not move a center", noise_does_not_move_a_center },
    { "a training without noise finds the means", a_training_without_noise_finds_the_means },
};

const fm_test_suite suite_start = { "train.start", tests, FM_TEST_COUNT(tests) };
