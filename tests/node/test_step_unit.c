/* A unit of several rows: drawn as one, clipped as one, and nobody else's concern. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/node/step.h"
#include "suites.h"
#include "world.h"

static char g_schema[] = "name: visits\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: who, kind: ignore}\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static char g_model[] = "width: 4\nblocks: 1\nexperts: 3\ntop_k: 1\nexpert_hidden: 3\n"
                        "shared_hidden: 2\n";
static uint32_t g_alone = 0;

typedef struct {
    fm_schema *schema;
    fm_buf csv;
    fm_table table;
    fm_plan plan;
    fm_dp_keypair *keypair;
    fm_dp_pairs *pairs;
    fm_dp_round round;
    float *model;
} rig;

/** One row of a unit; what it says is a function of `seed` alone. */
static void add_visit(rig *r, unsigned who, unsigned seed)
{
    need(fm_buf_printf(&r->csv, "p%u,%.3f,%.3f,%u\n", who, 4.0 * sin((double)seed),
                       4.0 * cos(2.5 * (double)seed), seed % 3 == 0) == FM_OK,
         "records");
}

static void make_keys(rig *r)
{
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION, .members = 1, .self = 0 };

    need(fm_dp_keypair_new(&r->keypair) == FM_OK, "keys");
    memcpy(keys[0], fm_dp_keypair_public(r->keypair), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    need(fm_dp_pairs_new(r->keypair, &roster, &r->pairs) == FM_OK, "pairs");
    r->round = (fm_dp_round){ .round = 1, .participants = &g_alone, .participant_count = 1 };
}

/** A model of which no weight is zero, so that every coordinate moves. */
static void make_model(rig *r)
{
    fm_tabular_config config;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 11);
    size_t parameters = 0;

    need(fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) == FM_OK &&
             fm_tabular_parameters(&config, &parameters) == FM_OK,
         "a model");
    r->plan.parameters = (uint32_t)parameters;
    need((r->model = calloc(parameters, sizeof *r->model)) != NULL, "memory");
    for (size_t i = 0; i < parameters; i++)
        r->model[i] = (float)(0.5 * fm_rng_normal(&rng));
}

static void open_rig(rig *r)
{
    *r = (rig){ .plan = { .clip_norm = 1.0,
                          .sampling_rate = 1.0,
                          .privacy_unit = "who",
                          .max_unit_rows = FM_MAX_UNIT_ROWS,
                          .max_units = 4000,
                          .quorum = 3,
                          .colluders = 1,
                          .max_nodes = 4,
                          .model_text = g_model,
                          .schema_text = g_schema } };
    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &r->schema) == FM_OK, "a schema");
    make_model(r);
    make_keys(r);
}

static void load(rig *r, const char *unit)
{
    const fm_table_options o = { .labels = true, .unit = unit };

    fm_table_fini(&r->table);
    need(fm_table_parse("visits", r->csv.data, r->csv.len, r->schema, &o, &r->table) == FM_OK,
         "a table");
}

static void close_rig(rig *r)
{
    fm_dp_pairs_free(&r->pairs);
    fm_dp_keypair_free(&r->keypair);
    fm_table_fini(&r->table);
    fm_schema_free(&r->schema);
    fm_buf_fini(&r->csv);
    free(r->model);
}

static fm_node_step *new_step(const rig *r)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&r->plan, &r->table, &s), FM_OK);
    fm_node_step_keep_sum_for_tests(s);
    return s;
}

static const int32_t *run(const rig *r, fm_node_step *s, fm_rng *rng)
{
    const fm_node_step_input in = {
        .model = r->model, .pairs = r->pairs, .round = &r->round, .rng = rng
    };
    fm_dp_release *release = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(s, &in, &release), FM_OK);
    fm_dp_release_free(&release);
    return fm_node_step_sum_for_tests(s);
}

static int32_t *integers(const rig *r)
{
    int32_t *p = calloc(r->plan.parameters, sizeof *p);

    need(p != NULL, "memory");
    return p;
}

/** The sum of one step over the table as it is; owned by the caller. */
static int32_t *sum_of(const rig *r, size_t *dropped)
{
    fm_rng rng = fm_rng_system();
    fm_node_step *s = new_step(r);
    int32_t *out = integers(r);

    memcpy(out, run(r, s, &rng), r->plan.parameters * sizeof *out);
    if (dropped)
        *dropped = fm_node_step_dropped_for_tests(s);
    fm_node_step_free(&s);
    return out;
}

/**
 * The reference, another way: each row alone through the model, the rows of one unit added up in
 * the file's order, the sum encoded. @param out has the unit's integers added; nothing when it is
 * not finite.
 */
static void add_reference(const rig *r, const uint32_t *rows, size_t count, int32_t *out)
{
    const fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    const size_t n = r->plan.parameters;
    float *sum = calloc(2 * n, sizeof *sum), *one = sum + n;
    int32_t *q = integers(r);
    fm_tabular_config config;
    fm_tabular *t = NULL;
    fm_dp_lattice lattice;

    need(sum && fm_dp_lattice_make(&spec, &lattice) == FM_OK &&
             fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) ==
                 FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK && fm_tabular_set(t, r->model, n) == FM_OK,
         "a model");
    for (size_t i = 0; i < count; i++) {
        need(fm_tabular_backward(t, r->table.x, r->table.y, rows + i, 1, NULL) == FM_OK, "a row");
        fm_tabular_unit_gradient(t, 0, one);
        for (size_t k = 0; k < n; k++)
            sum[k] += one[k];
    }
    if (fm_dp_encode_unit(&lattice, sum, n, q) == FM_OK)
        for (size_t k = 0; k < n; k++)
            out[k] += q[k];
    fm_tabular_free(&t);
    free(sum);
    free(q);
}

static void add_unit_reference(const rig *r, size_t unit, int32_t *out)
{
    const fm_table *t = &r->table;

    add_reference(r, t->unit_rows + t->unit_start[unit],
                  t->unit_start[unit + 1] - t->unit_start[unit], out);
}

static bool same(const rig *r, const int32_t *a, const int32_t *b)
{
    return memcmp(a, b, r->plan.parameters * sizeof *a) == 0;
}

/** Sum of squares of a - b (NULL: of a): int64 is wide enough for a few thousand times delta. */
static double square_distance(const rig *r, const int32_t *a, const int32_t *b)
{
    double square = 0.0;

    for (uint32_t k = 0; k < r->plan.parameters; k++) {
        double d = (double)a[k] - (b ? (double)b[k] : 0.0);

        square += d * d;
    }
    return square;
}

static double square_sensitivity(const rig *r)
{
    fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    fm_dp_lattice lattice;

    need(fm_dp_lattice_make(&spec, &lattice) == FM_OK, "a lattice");
    return (double)lattice.sensitivity * (double)lattice.sensitivity;
}

/* 40 units of 1 to 9 rows, one of 300 (three batches), all interleaved. */
static void add_everybody(rig *r)
{
    for (unsigned round = 0; round < 300; round++) {
        add_visit(r, 1000, 7 * round + 1);
        for (unsigned who = 0; who < 40; who++)
            if (round < 1 + who % 9)
                add_visit(r, who, 100 * who + round);
    }
}

static void a_unit_s_rows_are_summed_then_clipped_once(void)
{
    int32_t *want, *sum, *one;
    double most;
    rig r;

    open_rig(&r);
    add_everybody(&r);
    load(&r, "who");
    CU_ASSERT_EQUAL_FATAL(r.table.units, 41);
    most = square_sensitivity(&r);
    want = integers(&r);
    for (size_t u = 0; u < r.table.units; u++) {
        one = integers(&r);
        add_unit_reference(&r, u, one);
        CU_ASSERT(square_distance(&r, one, NULL) <= most);
        for (uint32_t k = 0; k < r.plan.parameters; k++)
            want[k] += one[k];
        free(one);
    }
    sum = sum_of(&r, NULL);
    CU_ASSERT(same(&r, sum, want));
    free(sum);
    free(want);
    close_rig(&r);
}

#define SUBSET_RUNS 6400

/* Which of the 2^6 sums of whole units it is; 64 when it is none. */
static unsigned which_subset(const rig *r, int32_t *const unit[6], const int32_t *sum)
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
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned who = i; who < 6; who++)
            add_visit(&r, who, 10 * who + i);
    load(&r, "who");
    for (unsigned u = 0; u < 6; u++) {
        unit[u] = integers(&r);
        add_unit_reference(&r, u, unit[u]);
    }
    r.plan.sampling_rate = 0.5;
    s = new_step(&r);
    for (unsigned i = 0; i < SUBSET_RUNS; i++)
        counts[which_subset(&r, unit, run(&r, s, &rng))]++;
    x = chi_square(counts, 64, SUBSET_RUNS);
    printf("    seed 303, chi-square %.1f of 63 degrees of freedom\n", x);
    CU_ASSERT_EQUAL(counts[64], 0); /* a part of a unit, or one clipped by rows */
    CU_ASSERT(x < 156.0);
    fm_node_step_free(&s);
    for (unsigned u = 0; u < 6; u++)
        free(unit[u]);
    close_rig(&r);
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
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 6; i++)
        add_visit(&r, 1, i + 1);
    load(&r, "who");
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t j = i + 1; j < 6; j++) {
            pair[pairs] = integers(&r);
            add_reference(&r, (uint32_t[]){ i, j }, 2, pair[pairs++]);
        }
    r.plan.max_unit_rows = 2;
    s = new_step(&r);
    for (unsigned i = 0; i < PAIR_RUNS; i++) {
        const int32_t *sum = run(&r, s, &rng);
        unsigned p = 0;

        while (p < 15 && !same(&r, pair[p], sum))
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
    close_rig(&r);
}

/* 50 others, and, unless left out, one patient with 1000 visits that all pull the same way. */
static void fill_hospital(rig *r, bool with_patient)
{
    fm_buf_clear(&r->csv);
    for (unsigned i = 0; i < 1000; i++) {
        if (i < 50)
            add_visit(r, i, i);
        if (with_patient)
            add_visit(r, 1000, 4);
    }
}

/** How much farther the sum moves with the patient, in units of the sensitivity. */
static double shift(rig *r, const char *unit)
{
    int32_t *with, *without;
    double moved;

    fill_hospital(r, true);
    load(r, unit);
    with = sum_of(r, NULL);
    fill_hospital(r, false);
    load(r, unit);
    without = sum_of(r, NULL);
    moved = square_distance(r, with, without) / square_sensitivity(r);
    free(with);
    free(without);
    return sqrt(moved);
}

/** The attack: whoever has a thousand records stands out of the sum, unless they are one unit. */
static void a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one(void)
{
    rig r;

    open_rig(&r);
    r.plan.max_unit_rows = 1000;
    CU_ASSERT(shift(&r, "who") <= 1.0);
    CU_ASSERT(shift(&r, "who") > 0.99); /* they do pull */
    strcpy(r.plan.privacy_unit, FM_UNIT_RECORD);
    r.plan.max_unit_rows = 1;
    CU_ASSERT(shift(&r, NULL) > 500.0); /* what the unit prevents */
    close_rig(&r);
}

/** The sum less what unit 1 adds to it; all that the others add. */
static int32_t *others(rig *r, size_t *dropped)
{
    int32_t *sum = sum_of(r, dropped), *mine = integers(r);

    add_unit_reference(r, 1, mine);
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
    rig r;

    open_rig(&r);
    for (size_t n = 0; n < FM_TEST_COUNT(visits); n++) {
        fm_buf_clear(&r.csv);
        for (unsigned i = 0; i < 450; i++) {
            add_visit(&r, i % 150 == 1 ? 0 : i % 150, i);
            if (i < visits[n])
                add_visit(&r, 1, 1000 * (unsigned)n + i);
        }
        load(&r, "who");
        after = others(&r, &dropped);
        CU_ASSERT_EQUAL(dropped, 0);
        if (!before)
            before = after;
        CU_ASSERT(same(&r, before, after));
        if (after != before)
            free(after);
    }
    for (size_t n = 0; n < FM_TEST_COUNT(odd); n++) {
        const size_t row = r.table.unit_rows[r.table.unit_start[1] + 200];

        r.table.x[row * r.table.features] = odd[n];
        after = others(&r, &dropped);
        CU_ASSERT(same(&r, before, after));
        CU_ASSERT(dropped == 1 || isfinite(odd[n])); /* the whole unit, once */
        free(after);
    }
    free(before);
    close_rig(&r);
}

/** As long as each unit's own rows keep their order: that is the order they are summed in. */
static void the_order_of_the_file_does_not_matter(void)
{
    int32_t *a, *b;
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 400; i++)
        add_visit(&r, i % 23, i);
    load(&r, "who");
    a = sum_of(&r, NULL);
    fm_buf_clear(&r.csv);
    for (unsigned who = 23; who-- > 0;)
        for (unsigned i = who; i < 400; i += 23)
            add_visit(&r, who, i);
    load(&r, "who");
    b = sum_of(&r, NULL);
    CU_ASSERT(same(&r, a, b));
    free(a);
    free(b);
    close_rig(&r);
}

static void units_of_one_row_are_records(void)
{
    int32_t *a, *b;
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 300; i++)
        add_visit(&r, i, i);
    load(&r, "who");
    a = sum_of(&r, NULL);
    strcpy(r.plan.privacy_unit, FM_UNIT_RECORD);
    r.plan.max_unit_rows = 1;
    load(&r, NULL);
    b = sum_of(&r, NULL);
    CU_ASSERT(same(&r, a, b));
    free(a);
    free(b);
    close_rig(&r);
}

static void refuse(const rig *r, const char *word)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL(fm_node_step_new(&r->plan, &r->table, &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
}

static void rows_that_are_not_grouped_as_the_plan_wants_are_refused(void)
{
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 30; i++)
        add_visit(&r, i % 3, i);
    load(&r, NULL);
    refuse(&r, "grouped");
    strcpy(r.plan.privacy_unit, FM_UNIT_RECORD);
    refuse(&r, "grouped"); /* several rows of a record */
    r.plan.max_unit_rows = 1;
    load(&r, "who");
    refuse(&r, "grouped");
    strcpy(r.plan.privacy_unit, "who");
    r.plan.max_unit_rows = 0;
    refuse(&r, "grouped");
    close_rig(&r);
}

static void the_most_units_of_a_plan_are_units_not_rows(void)
{
    rig r;

    open_rig(&r);
    for (unsigned i = 0; i < 300; i++)
        add_visit(&r, i % 3, i);
    load(&r, "who");
    r.plan.max_units = 3;
    free(sum_of(&r, NULL));
    r.plan.max_units = 2;
    refuse(&r, "max_units");
    close_rig(&r);
}

static const fm_test tests[] = {
    { "a unit's rows are summed, then clipped once: as the reference, to the bit",
      a_unit_s_rows_are_summed_then_clipped_once },
    { "rows of one unit are drawn together or not at all (false alarm: 1e-9)",
      rows_of_one_unit_are_drawn_together_or_not_at_all },
    { "of too many rows a random choice counts (false alarm: 1e-9)",
      of_too_many_rows_a_random_choice_counts },
    { "a patient with a thousand records moves the sum as far as one (else: they stand out of it)",
      a_patient_with_a_thousand_records_moves_the_sum_as_far_as_one },
    { "what one unit's rows are changes nobody else's integers; no number is dropped and counted",
      what_one_unit_s_rows_are_changes_nobody_else_s_integers },
    { "the order of the file does not matter", the_order_of_the_file_does_not_matter },
    { "units of one row are records", units_of_one_row_are_records },
    { "rows that are not grouped as the plan wants are refused",
      rows_that_are_not_grouped_as_the_plan_wants_are_refused },
    { "the most units of a plan are units, not rows", the_most_units_of_a_plan_are_units_not_rows },
};

const fm_test_suite suite_step_unit = { "node.step_unit", tests, FM_TEST_COUNT(tests) };
