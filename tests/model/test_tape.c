/* Norms and sums of units with many rows, by whichever way is taken, against sums in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "kernel_levels_each.h"
#include "suites.h"
#include "tape.h"

#define IN 150
#define OUT 203
#define MOST 300
#define PARAMETERS (7 + IN * OUT + 5 + OUT + 3) /* some that no map has */

typedef struct {
    fm_linear map;
    fm_rows a, g;
    fm_tape tape;
} rig;

static void carve(fm_carver *c, void *object)
{
    rig *r = object;

    fm_rows_carve(c, MOST, 1, IN, &r->a);
    fm_rows_carve(c, MOST, 1, OUT, &r->g);
    fm_linear_carve(c, &r->map);
    fm_tape_carve(c, &r->tape);
}

static fm_arena *begin(rig *r, uint64_t seed)
{
    float *theta = calloc(PARAMETERS, sizeof *theta);
    fm_arena *arena = NULL;
    fm_rng_seed state;
    fm_rng rng = seeded(&state, seed);

    memset(r, 0, sizeof *r);
    r->map = (fm_linear){ .in = IN,
                          .out = OUT,
                          .weight = 7,
                          .bias = 7 + IN * OUT + 5,
                          .weight_scale = 0.5,
                          .bias_scale = 2.0 };
    CU_ASSERT_EQUAL_FATAL(fm_tape_init(&r->tape, 1, MOST, PARAMETERS), FM_OK);
    fm_tape_use(&r->tape, &r->map, &r->a, &r->g, NULL, 0);
    CU_ASSERT_EQUAL_FATAL(fm_carve_all(carve, r, &arena), FM_OK);
    fm_linear_refresh(&r->map, theta);
    for (size_t i = 0; i < MOST; i++) {
        fill(&rng, fm_rows_at(&r->a, i), IN);
        fill(&rng, fm_rows_at(&r->g, i), OUT);
    }
    free(theta);
    return arena;
}

static void end(rig *r, fm_arena *arena)
{
    fm_arena_free(&arena);
    fm_tape_fini(&r->tape);
}

/* The gradient of rows [first, last) times weights, in double. */
static void written(const rig *r, size_t first, size_t last, const float *weights, double *out)
{
    memset(out, 0, PARAMETERS * sizeof *out);
    for (size_t i = first; i < last; i++)
        for (size_t o = 0; o < OUT; o++) {
            const double g = (double)weights[i] * (double)fm_rows_at(&r->g, i)[o];

            out[r->map.bias + o] += 2.0 * g;
            for (size_t k = 0; k < IN; k++)
                out[r->map.weight + o * IN + k] += 0.5 * g * (double)fm_rows_at(&r->a, i)[k];
        }
}

static double square(const double *v)
{
    double sum = 0.0;

    for (size_t i = 0; i < PARAMETERS; i++)
        sum += v[i] * v[i];
    return sum;
}

static void check_norms(rig *r)
{
    const uint32_t ends[] = { 2, 14, 32, 70, 140, MOST };
    double squares[FM_TEST_COUNT(ends)], *sum = calloc(PARAMETERS, sizeof *sum);
    float ones[MOST];

    for (size_t i = 0; i < MOST; i++)
        ones[i] = 1.0f;
    fm_tape_set_rows(&r->tape, MOST);
    fm_tape_unit_squares(&r->tape, ends, FM_TEST_COUNT(ends), squares);
    for (size_t u = 0, first = 0; u < FM_TEST_COUNT(ends); first = ends[u++]) {
        written(r, first, ends[u], ones, sum);
        CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[u]), sqrt(square(sum)), 1e-5 * sqrt(square(sum)));
    }
    free(sum);
}

static void norms_of_units_with_many_rows_are_exact(void)
{
    rig r;
    fm_arena *arena = begin(&r, 1);

    CU_ASSERT(fm_tape_crossed_rows(&r.tape, &r.map) >= 40); /* so that some go each way */
    check_norms(&r);
    end(&r, arena);
}

/* Each second row takes away what the one before it brought, but for a thousandth. */
static void so_are_those_of_rows_that_cancel_each_other(void)
{
    rig r;
    fm_arena *arena = begin(&r, 2);

    for (size_t i = 1; i < MOST; i += 2) {
        float *g = fm_rows_at(&r.g, i), *a = fm_rows_at(&r.a, i);

        for (size_t o = 0; o < OUT; o++)
            g[o] = -fm_rows_at(&r.g, i - 1)[o];
        for (size_t k = 0; k < IN; k++)
            a[k] = fm_rows_at(&r.a, i - 1)[k] * (k % 2 ? 1.001f : 0.9995f);
    }
    check_norms(&r);
    end(&r, arena);
}

static void weighted_sums_write_every_parameter(void)
{
    rig r;
    fm_arena *arena = begin(&r, 3);
    double *want = calloc(PARAMETERS, sizeof *want);
    float *out = calloc(PARAMETERS, sizeof *out), weights[MOST];

    for (int all = 0; all < 2; all++) {
        for (size_t i = 0; i < MOST; i++)
            weights[i] = all && i % 7 ? 0.01f * (float)i : 0.0f; /* of all weights 0: zeros */
        for (size_t i = 0; i < PARAMETERS; i++)
            out[i] = 3.0f;
        fm_rows_at(&r.g, 7)[2] = NAN; /* of weight 0 */
        fm_tape_set_rows(&r.tape, MOST);
        fm_tape_weighted_sum(&r.tape, weights, out);
        fm_rows_at(&r.g, 7)[2] = 0.0f;
        written(&r, 0, MOST, weights, want);
        for (size_t i = 0; i < PARAMETERS; i++)
            CU_ASSERT_DOUBLE_EQUAL_FATAL((double)out[i], want[i], 1e-3);
    }
    free(want);
    free(out);
    end(&r, arena);
}

static const fm_test tests[] = {
    { "norms of units with many rows are exact", norms_of_units_with_many_rows_are_exact },
    { "so are those of rows that cancel each other", so_are_those_of_rows_that_cancel_each_other },
    { "weighted sums write every parameter", weighted_sums_write_every_parameter },
};
const fm_test_suite suite_tape = { "model.tape", tests, FM_TEST_COUNT(tests) };
