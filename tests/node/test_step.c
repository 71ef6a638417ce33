/* The local step: who is drawn, what one record changes, what may leave. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/node/step.h"
#include "suites.h"
#include "world.h"

static char g_schema[] = "name: tiny\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
/* A router that sends records to different experts. */
static char g_model[] = "width: 4\nblocks: 1\nexperts: 3\ntop_k: 1\nexpert_hidden: 3\n"
                        "shared_hidden: 2\n";

#define ROWS 300u

typedef struct {
    fm_schema *schema;
    fm_table table;
    fm_plan plan;
    fm_dp_keypair *keypair;
    fm_dp_pairs *pairs;
    fm_dp_round round;
    float *model;
} rig;

static uint32_t g_alone = 0;

static void make_table(rig *r, size_t rows)
{
    const fm_table_options o = { .labels = true };
    fm_buf csv = { 0 };

    for (size_t i = 0; i < rows; i++)
        need(fm_buf_printf(&csv, "%.3f,%.3f,%u\n", 4.0 * sin((double)i), 4.0 * cos(2.5 * (double)i),
                           (unsigned)(i % 3 == 0)) == FM_OK,
             "records");
    need(fm_table_parse("records", csv.data, csv.len, r->schema, &o, &r->table) == FM_OK,
         "a table");
    fm_buf_fini(&csv);
}

static void make_plan(rig *r)
{
    fm_tabular_config config;
    size_t parameters = 0;

    need(fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) == FM_OK &&
             fm_tabular_parameters(&config, &parameters) == FM_OK,
         "a model");
    r->plan = (fm_plan){ .clip_norm = 1.0,
                         .sampling_rate = 1.0,
                         .noise_multiplier = 0.0,
                         .privacy_unit = FM_UNIT_RECORD,
                         .max_unit_rows = 1,
                         .max_units = 1000,
                         .quorum = 1,
                         .max_nodes = 4,
                         .word_bits = 32,
                         .mask_density = 256,
                         .parameters = (uint32_t)parameters,
                         .model_text = g_model,
                         .schema_text = g_schema };
}

static void make_model(rig *r)
{
    fm_tabular_config config;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 11);
    fm_tabular *t = NULL;

    need(fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) == FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK,
         "a model");
    fm_tabular_init(t, &rng);
    need((r->model = calloc(r->plan.parameters, sizeof *r->model)) != NULL, "memory");
    fm_tabular_get(t, r->model);
    for (uint32_t i = 0; i < r->plan.parameters; i++) /* also where the first weights are zero */
        r->model[i] += (float)(0.3 * fm_rng_normal(&rng));
    fm_tabular_free(&t);
}

/** One node alone: its masks are its own b_u only. */
static void make_pairs(rig *r)
{
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION, .members = 1, .self = 0 };

    need(fm_dp_keypair_new(&r->keypair) == FM_OK, "keys");
    memcpy(keys[0], fm_dp_keypair_public(r->keypair), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    need(fm_dp_pairs_new(r->keypair, &roster, &r->pairs) == FM_OK, "pairs");
    r->round = (fm_dp_round){ .round = 1,
                              .participants = &g_alone,
                              .participant_count = 1,
                              .mask_density = FM_DP_DENSITY_ALL };
}

static void open_rig(rig *r, size_t rows)
{
    memset(r, 0, sizeof *r);
    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &r->schema) == FM_OK, "a schema");
    make_table(r, rows);
    make_plan(r);
    make_model(r);
    make_pairs(r);
}

static void close_rig(rig *r)
{
    fm_dp_pairs_free(&r->pairs);
    fm_dp_keypair_free(&r->keypair);
    fm_table_fini(&r->table);
    fm_schema_free(&r->schema);
    free(r->model);
}

static fm_node_step *new_step(const rig *r)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&r->plan, &r->table, 1, &s), FM_OK);
    fm_node_step_keep_sum_for_tests(s);
    return s;
}

/** Run; the encoded sum into out[P]. */
static void run(const rig *r, fm_node_step *s, fm_rng *rng, int32_t *out)
{
    const fm_node_step_input in = {
        .model = r->model, .pairs = r->pairs, .round = &r->round, .rng = rng
    };
    fm_dp_release *release = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(s, &in, &release), FM_OK);
    memcpy(out, fm_node_step_sum_for_tests(s), r->plan.parameters * sizeof *out);
    fm_dp_release_free(&release);
}

/** The integers of one record alone, through the model directly. */
static void encode_record(const rig *r, size_t row, int32_t *out)
{
    fm_tabular_config config;
    fm_tabular *t = NULL;
    uint32_t index = (uint32_t)row;
    float *g = calloc(r->plan.parameters, sizeof *g);
    fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    fm_dp_lattice lattice;

    need(g && fm_dp_lattice_make(&spec, &lattice) == FM_OK, "a lattice");
    need(fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) == FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK &&
             fm_tabular_set(t, r->model, r->plan.parameters) == FM_OK &&
             fm_tabular_backward(t, r->table.x, r->table.y, &index, 1, NULL) == FM_OK,
         "a gradient");
    fm_tabular_unit_gradient(t, 0, g);
    need(fm_dp_encode_unit(&lattice, g, r->plan.parameters, out) == FM_OK, "integers");
    fm_tabular_free(&t);
    free(g);
}

static void rate_one_takes_every_record(void)
{
    fm_rng rng = fm_rng_system();
    int32_t *sum, *want, *one;
    fm_node_step *s;
    rig r;

    open_rig(&r, ROWS);
    need((sum = calloc(3 * (size_t)r.plan.parameters, sizeof *sum)) != NULL, "memory");
    want = sum + r.plan.parameters;
    one = want + r.plan.parameters;
    for (size_t i = 0; i < ROWS; i++) {
        encode_record(&r, i, one);
        for (uint32_t k = 0; k < r.plan.parameters; k++)
            want[k] += one[k];
    }
    s = new_step(&r);
    run(&r, s, &rng, sum);
    CU_ASSERT_EQUAL(memcmp(sum, want, r.plan.parameters * sizeof *sum), 0);
    run(&r, s, &rng, sum); /* and again: nothing is left over from the run before */
    CU_ASSERT_EQUAL(memcmp(sum, want, r.plan.parameters * sizeof *sum), 0);
    fm_node_step_free(&s);
    free(sum);
    close_rig(&r);
}

/**
 * One record's features change: the sum changes by exactly that record's integers. 300 records are
 * three batches; the one that changes stands in the second, and changes its expert.
 */
static void changing_one_record_changes_only_its_own_integers(void)
{
    fm_rng rng = fm_rng_system();
    int32_t *before, *after, *mine, *new_mine;
    size_t row = 150, wrong = 0, moved = 0;
    fm_node_step *s;
    rig r;

    open_rig(&r, ROWS);
    need((before = calloc(4 * (size_t)r.plan.parameters, sizeof *before)) != NULL, "memory");
    after = before + r.plan.parameters;
    mine = after + r.plan.parameters;
    new_mine = mine + r.plan.parameters;
    s = new_step(&r);
    run(&r, s, &rng, before);
    encode_record(&r, row, mine);
    for (size_t f = 0; f < r.table.features; f++)
        r.table.x[row * r.table.features + f] *= -1.7f;
    r.table.y[row] = 1.0f - r.table.y[row];
    encode_record(&r, row, new_mine);
    run(&r, s, &rng, after);
    for (uint32_t k = 0; k < r.plan.parameters; k++) {
        wrong += after[k] - before[k] != new_mine[k] - mine[k];
        moved += after[k] != before[k];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(moved > 0);
    fm_node_step_free(&s);
    free(before);
    close_rig(&r);
}

/* A linear model of which each record's bias gradient tells whether it was drawn. */
static char g_linear[] = "width: 0\n";

/**
 * The number drawn of n = 2000 at q over 200 steps: mean n q, deviation sqrt(n q (1-q) / 200); 6
 * deviations: false alarm below 2e-9 for each rate. Every record's gradient norm is above C here,
 * so each has L2 norm C; counted are those whose integers are in the sum, through coordinates that
 * only that record touches - here simply through the keeper of the count below.
 */
static void the_rate_is_statistically_right(void)
{
    static const double rates[] = { 0.01, 0.1, 0.5, 0.9 };
    const unsigned steps = 200;
    fm_rng_seed state;
    rig r;

    open_rig(&r, 2000);
    r.plan.max_units = 2000;
    r.plan.model_text = g_linear;
    r.plan.parameters = (uint32_t)r.table.features + 1;
    memset(r.model, 0, r.plan.parameters * sizeof *r.model);
    for (size_t i = 0; i < 2000;
         i++) { /* gradient of the bias at logit 0: 1/2 - y, here always -1/2 */
        r.table.y[i] = 1.0f;
        for (size_t f = 0; f < r.table.features; f++)
            r.table.x[i * r.table.features + f] = 0.0f;
    }
    for (unsigned q = 0; q < 4; q++) {
        fm_rng rng = fm_rng_seeded(&state, 1000 + q);
        fm_node_step *s;
        int32_t sum[8], one[8];
        double total = 0.0, mean, deviation;

        r.plan.sampling_rate = rates[q];
        s = new_step(&r);
        for (unsigned i = 0; i < steps; i++) {
            run(&r, s, &rng, sum);
            total += (double)sum[r.plan.parameters - 1];
        }
        r.plan.sampling_rate = 1.0;
        fm_node_step_free(&s);
        s = new_step(&r);
        run(&r, s, &rng, one); /* all 2000: what one weighs */
        total /= (double)one[r.plan.parameters - 1] / 2000.0;
        mean = 2000.0 * rates[q];
        deviation = sqrt(mean * (1.0 - rates[q]) / steps);
        CU_ASSERT_DOUBLE_EQUAL(total / steps, mean, 6.0 * deviation);
        fm_node_step_free(&s);
    }
    close_rig(&r);
}

static void another_seed_draws_another_sample(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 5);
    int32_t *a, *b;
    fm_node_step *s;
    rig r;

    open_rig(&r, ROWS);
    need((a = calloc(2 * (size_t)r.plan.parameters, sizeof *a)) != NULL, "memory");
    b = a + r.plan.parameters;
    r.plan.sampling_rate = 0.5;
    s = new_step(&r);
    run(&r, s, &rng, a);
    run(&r, s, &rng, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, r.plan.parameters * sizeof *a), 0);
    fm_node_step_free(&s);
    free(a);
    close_rig(&r);
}

static void more_records_than_the_plan_can_sum_are_refused_before_training(void)
{
    fm_node_step *s = NULL;
    rig r;

    open_rig(&r, ROWS);
    r.plan.max_units = ROWS - 1;
    CU_ASSERT_EQUAL(fm_node_step_new(&r.plan, &r.table, 1, &s), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "max_units"));
    CU_ASSERT_PTR_NULL(s);
    close_rig(&r);
}

static void a_plan_whose_figures_do_not_fit_is_refused(void)
{
    static char bad_model[] = "width: 4\nwidht: 5\n", bad_schema[] = "name: [\n";
    fm_node_step *s = NULL;
    rig r;

    open_rig(&r, 10);
    r.plan.parameters++;
    CU_ASSERT_EQUAL(fm_node_step_new(&r.plan, &r.table, 1, &s), FM_EINVAL);
    r.plan.parameters--;
    r.plan.model_text = bad_model;
    CU_ASSERT_EQUAL(fm_node_step_new(&r.plan, &r.table, 1, &s), FM_EPARSE);
    r.plan.model_text = g_model;
    r.plan.schema_text = bad_schema;
    CU_ASSERT_EQUAL(fm_node_step_new(&r.plan, &r.table, 1, &s), FM_EPARSE);
    r.plan.schema_text = g_schema;
    r.table.features++;
    CU_ASSERT_EQUAL(fm_node_step_new(&r.plan, &r.table, 1, &s), FM_EINVAL);
    r.table.features--;
    CU_ASSERT_PTR_NULL(s);
    close_rig(&r);
}

static void a_model_with_a_weight_that_is_no_number_is_refused(void)
{
    fm_rng rng = fm_rng_system();
    fm_dp_release *release = NULL;
    fm_node_step_input in;
    fm_node_step *s;
    rig r;

    open_rig(&r, 10);
    r.model[3] = NAN;
    in = (fm_node_step_input){ .model = r.model, .pairs = r.pairs, .round = &r.round, .rng = &rng };
    s = new_step(&r);
    CU_ASSERT_EQUAL(fm_node_step_run(s, &in, &release), FM_ENONFINITE);
    CU_ASSERT_PTR_NULL(release);
    fm_node_step_free(&s);
    close_rig(&r);
}

static void an_empty_sample_sends_noise_and_masks_all_the_same(void)
{
    fm_rng rng = fm_rng_system();
    fm_dp_release *release = NULL;
    const uint8_t *bytes = NULL;
    fm_node_step_input in;
    fm_node_step *s;
    size_t len = 0;
    rig r;

    open_rig(&r, 10);
    r.plan.sampling_rate = 1e-12; /* false alarm: 1e-11 */
    r.plan.noise_multiplier = 2.0;
    in = (fm_node_step_input){ .model = r.model, .pairs = r.pairs, .round = &r.round, .rng = &rng };
    s = new_step(&r);
    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(s, &in, &release), FM_OK);
    fm_dp_release_bytes(release, &bytes, &len);
    CU_ASSERT_EQUAL(len, 4 * (size_t)r.plan.parameters);
    for (uint32_t k = 0; k < r.plan.parameters; k++)
        CU_ASSERT_EQUAL(fm_node_step_sum_for_tests(s)[k], 0);
    fm_dp_release_free(&release);
    fm_node_step_free(&s);
    close_rig(&r);
}

/** Distributed among three, each share is 1/sqrt(3) of what local noise is. */
static void the_plan_says_whose_noise_is_counted(void)
{
    fm_node_step *s;
    rig r;

    open_rig(&r, 10);
    r.plan.noise_multiplier = 2.0;
    r.plan.quorum = 3;
    for (int local = 0; local < 2; local++) {
        const fm_dp_lattice *l;

        r.plan.noise = local ? FM_NOISE_LOCAL : FM_NOISE_DISTRIBUTED;
        s = new_step(&r);
        l = fm_node_step_lattice(s);
        CU_ASSERT_EQUAL(l->local, local == 1);
        CU_ASSERT_DOUBLE_EQUAL(l->sigma_share, l->sigma_counted / sqrt(local ? 1.0 : 3.0), 1e-6);
        fm_node_step_free(&s);
    }
    close_rig(&r);
}

static void a_round_below_the_quorum_gets_no_update(void)
{
    fm_rng rng = fm_rng_system();
    fm_dp_release *release = NULL;
    fm_node_step_input in;
    fm_node_step *s;
    rig r;

    open_rig(&r, 10);
    r.plan.quorum = 2;
    in = (fm_node_step_input){ .model = r.model, .pairs = r.pairs, .round = &r.round, .rng = &rng };
    s = new_step(&r);
    CU_ASSERT_EQUAL(fm_node_step_run(s, &in, &release), FM_EINVAL);
    CU_ASSERT_PTR_NULL(release);
    fm_node_step_free(&s);
    close_rig(&r);
}

static const fm_test tests[] = {
    { "rate one takes every record", rate_one_takes_every_record },
    { "the rate is statistically right (false alarm: 8e-9)", the_rate_is_statistically_right },
    { "another draw is another sample", another_seed_draws_another_sample },
    { "changing one record changes only its own integers (else: clipping one record bounds "
      "nothing)",
      changing_one_record_changes_only_its_own_integers },
    { "more records than the plan can sum are refused before training",
      more_records_than_the_plan_can_sum_are_refused_before_training },
    { "a plan whose figures do not fit is refused", a_plan_whose_figures_do_not_fit_is_refused },
    { "a model with a weight that is no number is refused",
      a_model_with_a_weight_that_is_no_number_is_refused },
    { "an empty sample sends noise and masks all the same (else: silence tells of the data)",
      an_empty_sample_sends_noise_and_masks_all_the_same },
    { "the plan says whose noise is counted", the_plan_says_whose_noise_is_counted },
    { "a round below the quorum gets no update", a_round_below_the_quorum_gets_no_update },
};

const fm_test_suite suite_step = { "node.step", tests, FM_TEST_COUNT(tests) };
