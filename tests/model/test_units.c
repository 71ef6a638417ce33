/* Units of several rows: their norms, and their sums in integers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"
#include "tabular_internal.h"

#define ROWS 120
#define LIMIT ((int64_t)1 << 20)

/* Units of 1, 2, 3, 1, 5, 20, 40, ... rows: by pairs of rows, and written down. */
static size_t make_ends(uint32_t *ends)
{
    static const uint32_t sizes[] = { 1, 2, 3, 1, 5, 20, 1, 1, 40, 7, 2 };
    uint32_t at = 0;
    size_t units = 0;

    for (; at < ROWS; units++) {
        at += sizes[units % FM_TEST_COUNT(sizes)];
        ends[units] = at < ROWS ? at : ROWS;
    }
    return units;
}

/* Wide enough that runs of rows go by pairs, too. */
static fm_tabular_config config_at(size_t n)
{
    fm_tabular_config c = fixture_configs[n % fixture_config_count].config;

    if (n >= fixture_config_count && c.width) {
        c.width = 24;
        c.expert_hidden = 37;
        c.features = 50;
    }
    return c;
}
#define CONFIGS (2 * fixture_config_count)

typedef struct {
    fixture f;
    uint32_t ends[ROWS];
    size_t units;
    double squares[ROWS], factors[ROWS];
    uint64_t exact[ROWS];
    int32_t *sum; /* [P] */
} rig;

/* Factors as a caller would choose them: a common one, or what brings the unit to the limit. */
static void choose_factors(rig *r, double scale)
{
    for (size_t u = 0; u < r->units; u++) {
        r->factors[u] = fmin(scale, (double)LIMIT / sqrt(r->squares[u]));
        if (!isfinite(r->squares[u]))
            r->factors[u] = 0.0;
    }
}

static rig rig_make(const fm_tabular_config *c, uint64_t seed)
{
    rig r = { .f = fixture_make(c, ROWS, seed) };

    r.units = make_ends(r.ends);
    r.sum = calloc(r.f.parameters, sizeof *r.sum);
    fixture_backward(&r.f);
    fm_tabular_unit_squares(r.f.model, r.ends, r.units, r.squares);
    choose_factors(&r, 1e5);
    return r;
}

static void rig_free(rig *r)
{
    fixture_free(&r->f);
    free(r->sum);
}

static void norms_of_units_are_those_of_their_summed_gradients(void)
{
    for (size_t n = 0; n < CONFIGS; n++) {
        const fm_tabular_config c = config_at(n);
        rig r = rig_make(&c, 40 + n);
        double *sum = calloc(r.f.parameters, sizeof *sum), worst = 0.0;
        float *g = calloc(r.f.parameters, sizeof *g);

        for (size_t u = 0, i = 0; u < r.units; u++) {
            double want = 0.0;

            memset(sum, 0, r.f.parameters * sizeof *sum);
            for (; i < r.ends[u]; i++) {
                fm_tabular_unit_gradient(r.f.model, i, g);
                for (size_t p = 0; p < r.f.parameters; p++)
                    sum[p] += (double)g[p];
            }
            for (size_t p = 0; p < r.f.parameters; p++)
                want += sum[p] * sum[p];
            if (want > 1e-30) /* below, float32 gradients have no digits */
                worst = fmax(worst, fabs(r.squares[u] - want) / want);
        }
        CU_ASSERT_TRUE(worst < 1e-5);
        free(sum);
        free(g);
        rig_free(&r);
    }
}

/* Adds to bound[P] how far the integers of one row may be from factor times its gradient: q_a and
 * q_g are off by 1/2 each, so a product is off by (|a| r_a + |g| r_g) / 2 + 1/4, entries being at
 * most the norms; and float32 rounding of scales and products. */
static void add_bound(const rig *r, size_t row, double factor, double *bound)
{
    const fm_tape *t = &r->f.model->tape;

    for (size_t i = 0; i < t->use_count; i++) {
        const fm_use *u = &t->uses[i];
        const fm_linear *l = u->map;
        const double w = l->weight != FM_ABSENT ? l->weight_scale : l->bias_scale;
        const double b = l->bias != FM_ABSENT ? l->bias_scale / w : 0.0;
        size_t first, last;

        fm_use_range(t, u, &first, &last);
        for (size_t p = first; p < last; p++) {
            if (fm_use_record(u, p) != row)
                continue;
            const double a2 = (l->weight != FM_ABSENT ? u->a->squares[p] : 0.0) + b * b;
            const double n = factor * w * sqrt(a2 * u->g->squares[p]);
            const double a = sqrt(n * sqrt((double)(l->in + 1) / (double)l->out));
            const double q = fmin(fmax(a, n / 32700.0), 32700.0);
            const double off = n > 0.0 ? 0.5 * (q + n / q) + 0.26 + 1e-5 * n : 0.0;

            for (size_t k = 0; l->weight != FM_ABSENT && k < l->in * l->out; k++)
                bound[l->weight + k] += off;
            for (size_t o = 0; l->bias != FM_ABSENT && o < l->out; o++)
                bound[l->bias + o] += off;
        }
    }
}

static void integers_are_the_scaled_gradients_within_their_rounding(void)
{
    for (size_t n = 0; n < CONFIGS; n++) {
        const fm_tabular_config c = config_at(n);
        rig r = rig_make(&c, 60 + n);
        const size_t parameters = r.f.parameters;
        double *want = calloc(parameters, sizeof *want), *bound = calloc(parameters, sizeof *bound);
        double size = 0.0, error = 0.0;
        float *g = calloc(parameters, sizeof *g);
        size_t bad = 0;

        for (size_t u = 0; u < r.units; u++) /* below the limit: no factor is lowered */
            r.factors[u] *= 0.9;
        fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, LIMIT, r.sum, r.exact);
        for (size_t u = 0, i = 0; u < r.units; u++)
            for (; i < r.ends[u]; i++) {
                fm_tabular_unit_gradient(r.f.model, i, g);
                add_bound(&r, i, r.factors[u], bound);
                for (size_t p = 0; p < parameters; p++)
                    want[p] += r.factors[u] * (double)g[p];
            }
        for (size_t p = 0; p < parameters; p++) {
            bad += !(fabs(want[p] - (double)r.sum[p]) <= bound[p]);
            size += want[p] * want[p];
            error += (want[p] - (double)r.sum[p]) * (want[p] - (double)r.sum[p]);
        }
        CU_ASSERT_EQUAL(bad, 0);
        CU_ASSERT_TRUE(error < 1e-4 * size); /* and better on the whole */
        free(want);
        free(bound);
        free(g);
        rig_free(&r);
    }
}

/* What one unit of the rig's batch adds, alone in its batch: integers, and their claimed square. */
static void alone(rig *r, size_t unit, int64_t limit, int32_t *out, uint64_t *square)
{
    const uint32_t first = unit ? r->ends[unit - 1] : 0, rows = r->ends[unit] - first;

    memset(out, 0, r->f.parameters * sizeof *out);
    CU_ASSERT_EQUAL(fm_tabular_backward(r->f.model, r->f.x, r->f.y, r->f.index + first, rows, NULL),
                    FM_OK);
    fm_tabular_add_units(r->f.model, &rows, 1, &r->factors[unit], limit, out, square);
}

static uint64_t square_of(const int32_t *v, size_t n)
{
    uint64_t sum = 0;

    for (size_t p = 0; p < n; p++)
        sum += (uint64_t)((int64_t)v[p] * v[p]);
    return sum;
}

/* Some rows that are extreme or no numbers; their units are left out by factor 0 or lowered. */
static void spoil(fixture *f)
{
    const float odd[] = { 1e30f, -1e30f, INFINITY, NAN, 1e-40f, 3e38f };

    for (size_t i = 0; i < ROWS; i += 7)
        f->x[i * f->config.features + i % f->config.features] = odd[i / 7 % FM_TEST_COUNT(odd)];
}

/* The claim of docs/privacy.md: a unit's integers are its own. All of a batch is the sum of each
 * alone, bit for bit; squares are exact and within the limit, also where factors are too large. */
static void a_units_integers_are_the_same_whatever_else_is_in_the_batch(void)
{
    for (size_t n = 0; n < CONFIGS; n++) {
        const fm_tabular_config c = config_at(n);
        rig r = rig_make(&c, 80 + n);
        const size_t parameters = r.f.parameters;
        int32_t *one = calloc(parameters, sizeof *one), *all = calloc(parameters, sizeof *all);
        uint64_t square;
        size_t bad = 0, left_out = 0;

        spoil(&r.f);
        fixture_backward(&r.f);
        fm_tabular_unit_squares(r.f.model, r.ends, r.units, r.squares);
        choose_factors(&r, 1e5);
        for (size_t u = 0; u < r.units; u++) /* half of them go over the limit before rounding */
            r.factors[u] *= u % 2 ? 1.01 : 1.0;
        fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, LIMIT, r.sum, r.exact);
        for (size_t u = 0; u < r.units; u++) {
            alone(&r, u, LIMIT, one, &square);
            bad += square != r.exact[u] || square != square_of(one, parameters) ||
                   square > (uint64_t)(LIMIT * LIMIT);
            left_out += square == 0;
            for (size_t p = 0; p < parameters; p++)
                all[p] += one[p];
        }
        CU_ASSERT_EQUAL(bad, 0);
        CU_ASSERT_TRUE(left_out > 0 && left_out < r.units);
        CU_ASSERT_EQUAL(memcmp(all, r.sum, parameters * sizeof *all), 0);
        free(one);
        free(all);
        rig_free(&r);
    }
}

/* The batch in the other order, split over two workers at an odd place, and the second on
 * older instructions: the same integers. */
static void workers_and_order_do_not_change_a_bit(void)
{
    const fm_tabular_config c = config_at(fixture_config_count + 3);
    rig r = rig_make(&c, 5);
    const size_t parameters = r.f.parameters;
    int32_t *sum = calloc(parameters, sizeof *sum);
    double factors[ROWS], squares[ROWS], want[ROWS];
    uint64_t exact[ROWS], exact_want[ROWS];
    uint32_t back[ROWS];
    fm_tabular *workers[2] = { NULL, NULL };

    for (uint32_t i = 0; i < ROWS; i++)
        back[i] = ROWS - 1 - i;
    fm_tabular_unit_squares(r.f.model, NULL, ROWS, want);
    for (size_t i = 0; i < ROWS; i++)
        factors[i] = fmin(1e4, (double)LIMIT / sqrt(want[i]));
    fm_tabular_add_units(r.f.model, NULL, ROWS, factors, LIMIT, r.sum, exact_want);
    for (size_t i = 0; i < ROWS / 2; i++) {
        const double f = factors[i];

        factors[i] = factors[ROWS - 1 - i];
        factors[ROWS - 1 - i] = f;
    }
    for (size_t w = 0, at = 0; w < 2; w++) {
        const size_t rows = w ? ROWS - 37 : 37;

        fm_kernel_limit(w ? FM_LEVEL_AVX2 : FM_LEVEL_VNNI);
        if (w && fm_kernel_level() == FM_LEVEL_PORTABLE)
            fm_kernel_limit(FM_LEVEL_VNNI); /* has roundings of its own */
        CU_ASSERT_EQUAL_FATAL(fm_tabular_new_worker(r.f.model, 90, &workers[w]), FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_set(workers[w], r.f.theta, parameters), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_tabular_backward(workers[w], r.f.x, r.f.y, back + at, rows, NULL),
                        FM_OK);
        fm_tabular_unit_squares(workers[w], NULL, rows, squares + at);
        fm_tabular_add_units(workers[w], NULL, rows, factors + at, LIMIT, sum, exact + at);
        at += rows;
    }
    fm_kernel_limit(FM_LEVEL_VNNI);
    CU_ASSERT_EQUAL(memcmp(sum, r.sum, parameters * sizeof *sum), 0);
    for (size_t i = 0; i < ROWS; i++)
        CU_ASSERT_TRUE(squares[i] == want[ROWS - 1 - i] && exact[i] == exact_want[ROWS - 1 - i]);
    fm_tabular_free(&workers[0]);
    fm_tabular_free(&workers[1]);
    free(sum);
    rig_free(&r);
}

/* Rows that cancel, are huge, tiny, or have one feature; factors far too large; limits down to 1. */
static void the_limit_holds_whatever_a_unit_does(void)
{
    static const int64_t limits[] = { 1, 2, 64, 1000, 1 << 16, 1 << 24 };
    static const double factors[] = { 1e-30, 1.0, 1e6, 1e15, 1e300 };

    for (size_t n = 0; n < CONFIGS; n++) {
        const fm_tabular_config c = config_at(n);
        rig r = rig_make(&c, 100 + n);
        int32_t *sum = calloc(r.f.parameters, sizeof *sum);
        size_t bad = 0, some = 0;

        for (size_t i = 0; i < ROWS; i++) {
            float *x = r.f.x + i * c.features;

            for (size_t k = 0; k < c.features && i % 4; k++)
                x[k] = i % 4 == 1 ? 1e12f * x[k] : i % 4 == 2 ? 1e-12f * x[k] : k == i % c.features;
        }
        for (size_t i = 9; i + 1 < ROWS; i += 2) { /* the same record with both labels: g cancels */
            memcpy(r.f.x + (i + 1) * c.features, r.f.x + i * c.features,
                   c.features * sizeof *r.f.x);
            r.f.y[i] = 0.0f;
            r.f.y[i + 1] = 1.0f;
        }
        fixture_backward(&r.f);
        for (size_t t = 0; t < FM_TEST_COUNT(limits) * FM_TEST_COUNT(factors); t++) {
            const int64_t limit = limits[t % FM_TEST_COUNT(limits)];

            for (size_t u = 0; u < r.units; u++)
                r.factors[u] = factors[t / FM_TEST_COUNT(limits)];
            fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, limit, sum, r.exact);
            for (size_t u = 0; u < r.units; u++) {
                bad += r.exact[u] > (uint64_t)(limit * limit);
                some += r.exact[u] > 0;
            }
        }
        for (size_t t = 1; t < FM_TEST_COUNT(factors); t++) /* what is claimed is what was added */
            for (size_t u = 0; u < r.units; u++) {
                uint64_t square;

                r.factors[u] = factors[t];
                alone(&r, u, 1 << 24, sum, &square);
                bad += square != square_of(sum, r.f.parameters);
            }
        CU_ASSERT_EQUAL(bad, 0);
        CU_ASSERT_TRUE(some > 0);
        free(sum);
        rig_free(&r);
    }
}

/* Units that are too long are rounded anew, all at once when they are most of the batch, one by one
 * when they are few: to what each comes to alone. */
static void units_are_lowered_together_as_alone(void)
{
    const size_t every[] = { 1, 5 }; /* which units are far too long */

    for (size_t n = 0; n < CONFIGS; n++)
        for (size_t t = 0; t < FM_TEST_COUNT(every); t++) {
            const fm_tabular_config c = config_at(n);
            rig r = rig_make(&c, 130 + n);
            const size_t parameters = r.f.parameters;
            int32_t *sum = calloc(parameters, sizeof *sum), *one = calloc(parameters, sizeof *one);
            size_t bad = 0;

            for (size_t u = 0; u < r.units; u++)
                r.factors[u] = (u % every[t] ? 0.5 : 1.5) * (double)LIMIT / sqrt(r.squares[u]);
            fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, LIMIT, sum, r.exact);
            for (size_t u = 0; u < r.units; u++) {
                uint64_t square;

                alone(&r, u, LIMIT, one, &square);
                bad += square != r.exact[u];
                for (size_t p = 0; p < parameters; p++)
                    sum[p] = (int32_t)((uint32_t)sum[p] - (uint32_t)one[p]);
            }
            for (size_t p = 0; p < parameters; p++)
                bad += sum[p] != 0;
            CU_ASSERT_EQUAL(bad, 0);
            free(sum);
            free(one);
            rig_free(&r);
        }
}

/* Thirty units of four rows whose gradients cancel: x1 + x2 = x3 + x4, and the labels of the first
 * two are not those of the others. Where all weights are zero that is all of the gradient. */
#define FOUR 4

static rig make_stubborn(uint64_t seed)
{
    fm_tabular_config c = fixture_configs[0].config;
    rig r;

    c.width = 0;
    c.features = 3;
    c.multipliers.linear = c.multipliers.bias = 1.0;
    c.class_weights[0] = c.class_weights[1] = 1.0f;
    r = rig_make(&c, seed);
    memset(r.f.theta, 0, r.f.parameters * sizeof *r.f.theta);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_set(r.f.model, r.f.theta, r.f.parameters), FM_OK);
    r.units = ROWS / FOUR;
    for (size_t u = 0; u < r.units; u++) {
        float *x = r.f.x + u * FOUR * c.features;

        for (size_t k = 0; k < c.features; k++)
            x[3 * c.features + k] = x[k] + x[c.features + k] - x[2 * c.features + k];
        for (size_t i = 0; i < FOUR; i++)
            r.f.y[u * FOUR + i] = i < 2;
        r.ends[u] = (uint32_t)((u + 1) * FOUR);
    }
    fixture_backward(&r.f);
    return r;
}

/* What is left of such a sum is what rounding each row adds, which shrinks as the root of the factor
 * only: with a large one, as such a short gradient may have, four tries are not always enough. Then
 * the unit is left out: nothing of it is in the sum, and its square says so. */
static void a_unit_that_no_try_brings_to_the_limit_is_left_out(void)
{
    static const int64_t limits[] = { 4, 8, 16, 32 };
    size_t left_out = 0, stayed = 0, bad = 0;

    for (size_t n = 0; n < 50; n++) {
        const int64_t limit = limits[n % FM_TEST_COUNT(limits)];
        rig r = make_stubborn(160 + n);
        const size_t parameters = r.f.parameters;
        int32_t *one = calloc(parameters, sizeof *one), *rest = calloc(parameters, sizeof *rest);
        bool out[ROWS];

        for (size_t u = 0; u < r.units; u++)
            r.factors[u] = 1e12;
        fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, limit, r.sum, r.exact);
        for (size_t u = 0; u < r.units; u++)
            out[u] = !(r.f.model->tape.factors[u] > 0.0);
        for (size_t u = 0; u < r.units; u++) {
            uint64_t square;

            bad += r.exact[u] > (uint64_t)(limit * limit) || (out[u] && r.exact[u] != 0);
            left_out += out[u];
            stayed += r.exact[u] > 0;
            if (out[u])
                continue;
            alone(&r, u, limit, one, &square);
            bad += square != r.exact[u];
            for (size_t p = 0; p < parameters; p++)
                rest[p] += one[p];
        }
        bad += memcmp(rest, r.sum, parameters * sizeof *rest) != 0;
        free(one);
        free(rest);
        rig_free(&r);
    }
    printf("    %zu left out, %zu stayed\n", left_out, stayed);
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT(left_out > 0 && stayed > 0);
}

/* A unit that was brought to the limit stays near it: what rounding costs is small. */
static void lowering_a_factor_costs_little(void)
{
    const fm_tabular_config c = config_at(fixture_config_count + 2);
    rig r = rig_make(&c, 31);

    choose_factors(&r, 1e12);
    fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, LIMIT, r.sum, r.exact);
    for (size_t u = 0; u < r.units; u++)
        CU_ASSERT_TRUE(r.factors[u] >= 1e12 || sqrt((double)r.exact[u]) > 0.995 * (double)LIMIT);
    rig_free(&r);
}

/* Whatever factor it is given: nothing of it is added, of its finite rows and maps neither. */
static void a_unit_that_is_not_finite_is_left_out_as_a_whole(void)
{
    for (size_t n = 0; n < CONFIGS; n++) {
        const fm_tabular_config c = config_at(n);
        rig r = rig_make(&c, 130 + n);
        int32_t *zero = calloc(r.f.parameters, sizeof *zero);
        double rows[ROWS];
        size_t bad = 0;

        memset(r.factors, 0, sizeof r.factors);
        spoil(&r.f);
        fixture_backward(&r.f);
        fm_tabular_square_norms(r.f.model, rows);
        for (size_t u = 0, i = 0; u < r.units; u++) {
            for (; i < r.ends[u]; i++)
                if (!isfinite(rows[i]))
                    r.factors[u] = u % 2 ? 1.0 : (double)NAN;
            bad += r.factors[u] != 0.0;
        }
        CU_ASSERT_TRUE(bad > 0);
        fm_tabular_add_units(r.f.model, r.ends, r.units, r.factors, LIMIT, r.sum, r.exact);
        CU_ASSERT_EQUAL(memcmp(r.sum, zero, r.f.parameters * sizeof *zero), 0);
        for (size_t u = 0; u < r.units; u++)
            CU_ASSERT_EQUAL(r.exact[u], 0);
        free(zero);
        rig_free(&r);
    }
}

static void loads_count_the_choices_of_a_unit(void)
{
    const fm_tabular_config c = config_at(3); /* two blocks, top 1 of 8 */
    rig r = rig_make(&c, 12);
    float loads[16];

    for (size_t u = 0, i = 0; u < r.units; i = r.ends[u++]) {
        float want[16] = { 0 };
        uint32_t routes[2];

        for (size_t b = 0; b < 2; b++)
            for (size_t row = i; row < r.ends[u]; row++) {
                fm_tabular_routes(r.f.model, b, row, routes);
                want[b * 8 + routes[0]] += 1.0f;
            }
        fm_tabular_unit_loads(r.f.model, r.ends, u, loads);
        for (size_t e = 0; e < 16; e++)
            CU_ASSERT_EQUAL(loads[e], want[e] / (float)(r.ends[u] - i));
    }
    CU_ASSERT_EQUAL(fm_tabular_set_load_bias(r.f.model, loads, 15), FM_EINVAL);
    loads[3] = INFINITY;
    CU_ASSERT_EQUAL(fm_tabular_set_load_bias(r.f.model, loads, 16), FM_ENONFINITE);
    rig_free(&r);
}

static const fm_test tests[] = {
    { "norms of units are those of their summed gradients",
      norms_of_units_are_those_of_their_summed_gradients },
    { "integers are the scaled gradients within their rounding",
      integers_are_the_scaled_gradients_within_their_rounding },
    { "a unit's integers are the same whatever else is in the batch",
      a_units_integers_are_the_same_whatever_else_is_in_the_batch },
    { "workers and order do not change a bit", workers_and_order_do_not_change_a_bit },
    { "the limit holds whatever a unit does", the_limit_holds_whatever_a_unit_does },
    { "units are lowered together as alone", units_are_lowered_together_as_alone },
    { "a unit that no try brings to the limit is left out",
      a_unit_that_no_try_brings_to_the_limit_is_left_out },
    { "lowering a factor costs little", lowering_a_factor_costs_little },
    { "a unit that is not finite is left out as a whole",
      a_unit_that_is_not_finite_is_left_out_as_a_whole },
    { "loads count the choices of a unit", loads_count_the_choices_of_a_unit },
};
const fm_test_suite suite_units = { "model.units", tests, FM_TEST_COUNT(tests) };
