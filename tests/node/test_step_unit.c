/* A unit of several rows: drawn as one, clipped as one, and nobody else's concern. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "unit_rig.h"

/* 40 units of 1 to 9 rows, one of 300 (three batches), all interleaved. */
static void add_everybody(unit_rig *r)
{
    for (unsigned round = 0; round < 300; round++) {
        unit_rig_visit(r, 1000, 7 * round + 1);
        for (unsigned who = 0; who < 40; who++)
            if (round < 1 + who % 9)
                unit_rig_visit(r, who, 100 * who + round);
    }
}

static void a_unit_s_rows_are_summed_then_clipped_once(void)
{
    int32_t *want, *sum, *one;
    double most;
    unit_rig r;

    unit_rig_open(&r);
    add_everybody(&r);
    unit_rig_load(&r, "who");
    CU_ASSERT_EQUAL_FATAL(r.table.units, 41);
    most = unit_rig_square_sensitivity(&r);
    want = unit_rig_integers(&r);
    for (size_t u = 0; u < r.table.units; u++) {
        one = unit_rig_integers(&r);
        unit_rig_unit(&r, u, one);
        CU_ASSERT(unit_rig_square_distance(&r, one, NULL) <= most);
        for (uint32_t k = 0; k < r.plan.parameters; k++)
            want[k] += one[k];
        free(one);
    }
    sum = unit_rig_sum(&r, NULL);
    CU_ASSERT(unit_rig_same(&r, sum, want));
    free(sum);
    free(want);
    unit_rig_close(&r);
}

#define SUBSET_RUNS 6400

/* Which of the 2^6 sums of whole units it is; 64 when it is none. */
static unsigned which_subset(const unit_rig *r, int32_t *const unit[6], const int32_t *sum)
{
    for (unsigned set = 0; set < 64; set++) {
        uint32_t k = 0;

        for (; k < r->plan.parameters; k++) {
            int32_t v = 0;

            for (unsigned u = 0; u < 6; u++)
                v += set >> u & 1 ? unit[u][k] : 0;
            if (v != sum[k])
                break;
        }
        if (k == r->plan.parameters)
            return set;
    }
    return 64;
}

/** Pearson's statistic against equal chances. */
static double chi_square(const unsigned *counts, size_t cells, unsigned runs)
{
    double expected = (double)runs / (double)cells, x = 0.0;

    for (size_t i = 0; i < cells; i++)
        x += (counts[i] - expected) * (counts[i] - expected) / expected;
    return x;
}

/**
 * 6 units of 1 to 6 rows at rate 1/2: every sum is that of whole units, and all 64 sets are equally
 * likely. 156 is six deviations of chi-square with 63 degrees of freedom (Wilson-Hilferty).
 */
static void rows_of_one_unit_are_drawn_together_or_not_at_all(void)
{
    unsigned counts[65] = { 0 };
    int32_t *unit[6];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 303);
    fm_node_step *s;
    double x;
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned who = i; who < 6; who++)
            unit_rig_visit(&r, who, 10 * who + i);
    unit_rig_load(&r, "who");
    for (unsigned u = 0; u < 6; u++) {
        unit[u] = unit_rig_integers(&r);
        unit_rig_unit(&r, u, unit[u]);
    }
    r.plan.sampling_rate = 0.5;
    s = unit_rig_step(&r);
    for (unsigned i = 0; i < SUBSET_RUNS; i++)
        counts[which_subset(&r, unit, unit_rig_run(&r, s, &rng))]++;
    x = chi_square(counts, 64, SUBSET_RUNS);
    printf("    seed 303, chi-square %.1f of 63 degrees of freedom\n", x);
    CU_ASSERT_EQUAL(counts[64], 0); /* a part of a unit, or one clipped by rows */
    CU_ASSERT(x < 156.0);
    fm_node_step_free(&s);
    for (unsigned u = 0; u < 6; u++)
        free(unit[u]);
    unit_rig_close(&r);
}

#define PAIR_RUNS 3000

/**
 * A unit of 6 rows of which 2 may count: the sum is that of one of 15 pairs, in the file's order,
 * all equally likely; 73.8 is six deviations with 14 degrees of freedom.
 */
static void of_too_many_rows_a_random_choice_counts(void)
{
    unsigned counts[16] = { 0 }, pairs = 0;
    int32_t *pair[15];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 304);
    fm_node_step *s;
    double x;
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 6; i++)
        unit_rig_visit(&r, 1, i + 1);
    unit_rig_load(&r, "who");
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t j = i + 1; j < 6; j++) {
            pair[pairs] = unit_rig_integers(&r);
            unit_rig_reference(&r, (uint32_t[]){ i, j }, 2, pair[pairs++]);
        }
    r.plan.max_unit_rows = 2;
    s = unit_rig_step(&r);
    for (unsigned i = 0; i < PAIR_RUNS; i++) {
        const int32_t *sum = unit_rig_run(&r, s, &rng);
        unsigned p = 0;

        while (p < 15 && !unit_rig_same(&r, pair[p], sum))
            p++;
        counts[p]++;
    }
    x = chi_square(counts, 15, PAIR_RUNS);
    printf("    seed 304, chi-square %.1f of 14 degrees of freedom\n", x);
    CU_ASSERT_EQUAL(counts[15], 0);
    CU_ASSERT(x < 73.8);
    fm_node_step_free(&s);
    for (unsigned p = 0; p < 15; p++)
        free(pair[p]);
    unit_rig_close(&r);
}

/* 50 others, and, unless left out, one patient with 1000 visits that all pull the same way. */
static void fill_hospital(unit_rig *r, bool with_patient)
{
    fm_buf_clear(&r->csv);
    for (unsigned i = 0; i < 1000; i++) {
        if (i < 50)
            unit_rig_visit(r, i, i);
        if (with_patient)
            unit_rig_visit(r, 1000, 4);
    }
}

/** How much farther the sum moves with the patient, in units of the sensitivity. */
static double shift(unit_rig *r, const char *unit)
{
    int32_t *with, *without;
    double moved;

    fill_hospital(r, true);
    unit_rig_load(r, unit);
    with = unit_rig_sum(r, NULL);
    fill_hospital(r, false);
    unit_rig_load(r, unit);
    without = unit_rig_sum(r, NULL);
    moved = unit_rig_square_distance(r, with, without) / unit_rig_square_sensitivity(r);
    free(with);
    free(without);
    return sqrt(moved);
}

/** The attack: whoever has a thousand records stands out of the sum, unless they are one unit. */
static void a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one(void)
{
    unit_rig r;

    unit_rig_open(&r);
    r.plan.max_unit_rows = 1000;
    CU_ASSERT(shift(&r, "who") <= 1.0);
    printf("    moves by %.4f\n", shift(&r, "who"));
    CU_ASSERT(shift(&r, "who") > 0.9); /* they do pull */
    (void)snprintf(r.plan.privacy_unit, sizeof r.plan.privacy_unit, "%s", FM_UNIT_RECORD);
    r.plan.max_unit_rows = 1;
    CU_ASSERT(shift(&r, NULL) > 500.0); /* what the unit prevents */
    unit_rig_close(&r);
}

/** The same in the statistics round: many rows or wild ones, the averages of a patient count once. */
static void a_thousand_records_move_the_statistics_as_far_as_one(void)
{
    unit_rig r;

    unit_rig_open(&r);
    unit_rig_start(&r);
    r.plan.max_unit_rows = 1000;
    CU_ASSERT(shift(&r, "who") <= 1.0);
    printf("    moves by %.4f\n", shift(&r, "who"));
    CU_ASSERT(shift(&r, "who") > 0.9);
    (void)snprintf(r.plan.privacy_unit, sizeof r.plan.privacy_unit, "%s", FM_UNIT_RECORD);
    r.plan.max_unit_rows = 1;
    CU_ASSERT(shift(&r, NULL) > 500.0);
    unit_rig_close(&r);
}

/** The sum less what unit 1 adds to it; all that the others add. */
static int32_t *others(unit_rig *r, size_t *dropped)
{
    int32_t *sum = unit_rig_sum(r, dropped), *mine = unit_rig_integers(r);

    unit_rig_unit(r, 1, mine);
    for (uint32_t k = 0; k < r->plan.parameters; k++)
        sum[k] -= mine[k];
    free(mine);
    return sum;
}

/**
 * Unit 1 gets more rows, which moves everybody else's to other places of other batches; then a row
 * that is no number, infinite, or as large as can be. Nobody else's integers change.
 */
static void what_one_unit_s_rows_are_changes_nobody_else_s_integers(void)
{
    const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f };
    const unsigned visits[] = { 2, 1, 3, 129, 400 };
    int32_t *before = NULL, *after;
    size_t dropped = 0;
    unit_rig r;

    unit_rig_open(&r);
    for (size_t n = 0; n < FM_TEST_COUNT(visits); n++) {
        fm_buf_clear(&r.csv);
        for (unsigned i = 0; i < 450; i++) {
            unit_rig_visit(&r, i % 150 == 1 ? 0 : i % 150, i);
            if (i < visits[n])
                unit_rig_visit(&r, 1, 1000 * (unsigned)n + i);
        }
        unit_rig_load(&r, "who");
        after = others(&r, &dropped);
        CU_ASSERT_EQUAL(dropped, 0);
        if (!before)
            before = after;
        CU_ASSERT(unit_rig_same(&r, before, after));
        if (after != before)
            free(after);
    }
    for (size_t n = 0; n < FM_TEST_COUNT(odd); n++) {
        const size_t row = r.table.unit_rows[r.table.unit_start[1] + 200];

        r.table.x[row * r.table.features] = odd[n];
        after = others(&r, &dropped);
        CU_ASSERT(unit_rig_same(&r, before, after));
        CU_ASSERT(dropped == 1 || isfinite(odd[n])); /* the whole unit, once */
        free(after);
    }
    free(before);
    unit_rig_close(&r);
}

/** As long as each unit's own rows keep their order: that is the order they are summed in. */
static void the_order_of_the_file_does_not_matter(void)
{
    int32_t *a, *b;
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 400; i++)
        unit_rig_visit(&r, i % 23, i);
    unit_rig_load(&r, "who");
    a = unit_rig_sum(&r, NULL);
    fm_buf_clear(&r.csv);
    for (unsigned who = 23; who-- > 0;)
        for (unsigned i = who; i < 400; i += 23)
            unit_rig_visit(&r, who, i);
    unit_rig_load(&r, "who");
    b = unit_rig_sum(&r, NULL);
    CU_ASSERT(unit_rig_same(&r, a, b));
    free(a);
    free(b);
    unit_rig_close(&r);
}

static void units_of_one_row_are_records(void)
{
    int32_t *a, *b;
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 300; i++)
        unit_rig_visit(&r, i, i);
    unit_rig_load(&r, "who");
    a = unit_rig_sum(&r, NULL);
    (void)snprintf(r.plan.privacy_unit, sizeof r.plan.privacy_unit, "%s", FM_UNIT_RECORD);
    r.plan.max_unit_rows = 1;
    unit_rig_load(&r, NULL);
    b = unit_rig_sum(&r, NULL);
    CU_ASSERT(unit_rig_same(&r, a, b));
    free(a);
    free(b);
    unit_rig_close(&r);
}

static void refuse(const unit_rig *r, const char *word)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL(fm_node_step_new(&r->plan, &r->table, 1, &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
}

static void rows_that_are_not_grouped_as_the_plan_wants_are_refused(void)
{
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 30; i++)
        unit_rig_visit(&r, i % 3, i);
    unit_rig_load(&r, NULL);
    refuse(&r, "grouped");
    (void)snprintf(r.plan.privacy_unit, sizeof r.plan.privacy_unit, "%s", FM_UNIT_RECORD);
    refuse(&r, "grouped"); /* several rows of a record */
    r.plan.max_unit_rows = 1;
    unit_rig_load(&r, "who");
    refuse(&r, "grouped");
    (void)snprintf(r.plan.privacy_unit, sizeof r.plan.privacy_unit, "%s", "who");
    r.plan.max_unit_rows = 0;
    refuse(&r, "grouped");
    unit_rig_close(&r);
}

static void the_most_units_of_a_plan_are_units_not_rows(void)
{
    unit_rig r;

    unit_rig_open(&r);
    for (unsigned i = 0; i < 300; i++)
        unit_rig_visit(&r, i % 3, i);
    unit_rig_load(&r, "who");
    r.plan.max_units = 3;
    free(unit_rig_sum(&r, NULL));
    r.plan.max_units = 2;
    refuse(&r, "max_units");
    unit_rig_close(&r);
}

/* ---- the same in FAST ---- */

/* Integers of a unit are its clipped gradient, but for rounding that no noise would let through. */
static void integers_are_the_clipped_gradient(void)
{
    const fm_dp_lattice_spec spec = {
        .clip_norm = 1.0, .max_units = 4000, .nodes = 4, .quorum = 1, .encoding = FM_DP_FAST
    };
    fm_dp_lattice lattice;
    double *want;
    int32_t *got;
    unit_rig r;

    unit_rig_open(&r);
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &lattice), FM_OK);
    add_everybody(&r);
    unit_rig_load(&r, "who");
    want = calloc(r.plan.parameters, sizeof *want);
    for (size_t u = 0; want && u < r.table.units; u++) {
        const size_t from = r.table.unit_start[u], count = r.table.unit_start[u + 1] - from;
        double square = 0.0, off = 0.0;

        got = unit_rig_integers(&r);
        unit_rig_unit(&r, u, got);
        unit_rig_clipped(&r, r.table.unit_rows + from, count, want);
        for (uint32_t k = 0; k < r.plan.parameters; k++) {
            double d = (double)got[k] / lattice.unit_scale - want[k];

            square += want[k] * want[k];
            off += d * d;
        }
        CU_ASSERT(square > 0.0 && sqrt(off / square) < 0.02);
        free(got);
    }
    free(want);
    unit_rig_close(&r);
}

static void in_fast(void (*test)(void))
{
    unit_rig_encoding = FM_ENCODING_FAST;
    test();
    unit_rig_encoding = FM_ENCODING_EXACT;
}

#define IN_FAST(test)             \
    static void fast_##test(void) \
    {                             \
        in_fast(test);            \
    }

IN_FAST(a_unit_s_rows_are_summed_then_clipped_once)
IN_FAST(integers_are_the_clipped_gradient)
IN_FAST(rows_of_one_unit_are_drawn_together_or_not_at_all)
IN_FAST(of_too_many_rows_a_random_choice_counts)
IN_FAST(a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one)
IN_FAST(a_thousand_records_move_the_statistics_as_far_as_one)
IN_FAST(what_one_unit_s_rows_are_changes_nobody_else_s_integers)
IN_FAST(the_order_of_the_file_does_not_matter)
IN_FAST(units_of_one_row_are_records)

static const fm_test fast_tests[] = {
    { "a unit's rows are summed, then clipped once: as it would be alone, to the bit",
      fast_a_unit_s_rows_are_summed_then_clipped_once },
    { "a unit's integers are its clipped gradient", fast_integers_are_the_clipped_gradient },
    { "rows of one unit are drawn together or not at all (false alarm: 1e-9)",
      fast_rows_of_one_unit_are_drawn_together_or_not_at_all },
    { "of too many rows a random choice counts (false alarm: 1e-9)",
      fast_of_too_many_rows_a_random_choice_counts },
    { "a patient with a thousand records moves the sum as far as one (else: they stand out of it)",
      fast_a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one },
    { "a thousand records move the statistics as far as one (else: they stand out of them)",
      fast_a_thousand_records_move_the_statistics_as_far_as_one },
    { "what one unit's rows are changes nobody else's integers; no number is dropped and counted",
      fast_what_one_unit_s_rows_are_changes_nobody_else_s_integers },
    { "the order of the file does not matter", fast_the_order_of_the_file_does_not_matter },
    { "units of one row are records", fast_units_of_one_row_are_records },
};

const fm_test_suite suite_step_unit_fast = { "node.step_unit_fast", fast_tests,
                                             FM_TEST_COUNT(fast_tests) };

static const fm_test tests[] = {
    { "a unit's rows are summed, then clipped once: as the reference, to the bit",
      a_unit_s_rows_are_summed_then_clipped_once },
    { "rows of one unit are drawn together or not at all (false alarm: 1e-9)",
      rows_of_one_unit_are_drawn_together_or_not_at_all },
    { "of too many rows a random choice counts (false alarm: 1e-9)",
      of_too_many_rows_a_random_choice_counts },
    { "a patient with a thousand records moves the sum as far as one (else: they stand out of it)",
      a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one },
    { "a thousand records move the statistics as far as one (else: they stand out of them)",
      a_thousand_records_move_the_statistics_as_far_as_one },
    { "what one unit's rows are changes nobody else's integers; no number is dropped and counted",
      what_one_unit_s_rows_are_changes_nobody_else_s_integers },
    { "the order of the file does not matter", the_order_of_the_file_does_not_matter },
    { "units of one row are records", units_of_one_row_are_records },
    { "rows that are not grouped as the plan wants are refused",
      rows_that_are_not_grouped_as_the_plan_wants_are_refused },
    { "the most units of a plan are units, not rows", the_most_units_of_a_plan_are_units_not_rows },
};

const fm_test_suite suite_step_unit = { "node.step_unit", tests, FM_TEST_COUNT(tests) };
