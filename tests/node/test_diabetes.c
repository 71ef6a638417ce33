/* 101,766 real encounters of 71,518 patients: grouped, sampled and clipped by patient. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/step.h"
#include "fedmoe/train/sample.h"
#include "fm_test_xz.h"
#include "suites.h"
#include "world.h"

#define FILE_NAME "data/diabetes130/diabetic_data.csv.xz"
#define ROWS 101766u
#define PATIENTS 71518u
#define MAX_ROWS 4u /* of one patient, in these tests: 1627 patients have more */
#define RATE 0.02

typedef struct {
    fm_buf schema_text;
    fm_schema *schema;
    fm_table table;
} data;

static void close_data(data *d)
{
    fm_table_fini(&d->table);
    fm_schema_free(&d->schema);
    fm_buf_fini(&d->schema_text);
}

static bool open_data(data *d)
{
    const fm_table_options o = { .labels = true, .unit = "patient_nbr", .hide_values = true };
    fm_buf csv = { 0 };
    const char *why = NULL;
    fm_status st;

    *d = (data){ 0 };
    if (fm_file_read(FEDMOE_EXAMPLES "/schemas/diabetes130.yaml", 1 << 20, &d->schema_text) ||
        fm_schema_parse("diabetes130.yaml", d->schema_text.data, d->schema_text.len, &d->schema)) {
        printf("    %s\n", fm_error_text());
        CU_FAIL_FATAL("the example schema does not load");
    }
    if (!fm_test_shared_xz(FILE_NAME, (size_t)1 << 26, &csv, &why)) {
        fm_test_skip(why);
        close_data(d);
        return false;
    }
    st = fm_table_parse("diabetic_data.csv", csv.data, csv.len, d->schema, &o, &d->table);
    fm_buf_fini(&csv);
    if (st)
        printf("    %s\n", fm_error_text());
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    return true;
}

static void check_grouping(const fm_table *t)
{
    unsigned char *seen = calloc(t->rows, 1);
    size_t twice = 0, unordered = 0, most = 0;

    need(seen != NULL, "memory");
    CU_ASSERT_EQUAL_FATAL(t->rows, ROWS);
    CU_ASSERT_EQUAL_FATAL(t->units, PATIENTS);
    CU_ASSERT_EQUAL(t->unit_start[0], 0);
    CU_ASSERT_EQUAL(t->unit_start[PATIENTS], ROWS);
    for (size_t u = 0; u < t->units; u++) {
        const size_t n = t->unit_start[u + 1] - t->unit_start[u];

        most = n > most ? n : most;
        for (size_t i = t->unit_start[u]; i < t->unit_start[u + 1]; i++) {
            twice += seen[t->unit_rows[i]]++;
            unordered += i > t->unit_start[u] && t->unit_rows[i] <= t->unit_rows[i - 1];
        }
    }
    CU_ASSERT_EQUAL(twice, 0);
    CU_ASSERT_EQUAL(unordered, 0);
    CU_ASSERT_EQUAL(most, 40);
    free(seen);
}

/** Every patient, with all rows or exactly the bound; a patient drawn is drawn with about `RATE`. */
static void check_samples(const fm_table *t)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 130);
    size_t wanted = 0, over = 0;
    const fm_train_units all = fm_train_units_of_table(t);
    fm_train_sample s = { 0 };

    for (size_t u = 0; u < t->units; u++) {
        const size_t n = t->unit_start[u + 1] - t->unit_start[u];

        wanted += n < MAX_ROWS ? n : MAX_ROWS;
    }
    CU_ASSERT_EQUAL_FATAL(fm_train_sample_init(&s, &all, 1.0, MAX_ROWS), FM_OK);
    fm_train_sample_draw(&s, NULL, &rng);
    CU_ASSERT_EQUAL(s.units, PATIENTS);
    CU_ASSERT_EQUAL(s.count, wanted);
    for (size_t i = 0; i < s.units; i++)
        over += s.ends[i] - (i ? s.ends[i - 1] : 0) > MAX_ROWS;
    CU_ASSERT_EQUAL(over, 0);
    fm_train_sample_fini(&s);
    CU_ASSERT_EQUAL_FATAL(fm_train_sample_init(&s, &all, RATE, MAX_ROWS), FM_OK);
    fm_train_sample_draw(&s, NULL, &rng);
    CU_ASSERT_DOUBLE_EQUAL((double)s.units, PATIENTS * RATE,
                           6.0 * sqrt(PATIENTS * RATE * (1.0 - RATE)));
    fm_train_sample_fini(&s);
}

static char *model_text(const fm_schema *schema, fm_tabular_config *config, fm_buf *text)
{
    fm_tabular_config_default(schema, config);
    need(fm_tabular_config_write(config, text) == FM_OK, "the default model");
    return (char *)text->data;
}

/** One round of one node with noise, as it would run; the sum before noise is as long as it may. */
static void check_step(const data *d)
{
    static uint32_t alone = 0;
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION, .members = 1 };
    fm_tabular_config config;
    fm_buf text = { 0 };
    size_t parameters = 0, len = 0;
    fm_dp_keypair *pair = NULL;
    fm_dp_pairs *pairs = NULL;
    fm_dp_release *release = NULL;
    fm_node_step *step = NULL;
    const uint8_t *bytes = NULL;
    fm_rng rng = fm_rng_system();
    const fm_dp_round round = { .round = 1,
                                .participants = &alone,
                                .participant_count = 1,
                                .mask_density = FM_DP_DENSITY_ALL };
    fm_node_step_input in = { .round = &round, .rng = &rng };
    fm_plan plan = { .privacy_unit = "patient_nbr",
                     .max_unit_rows = MAX_ROWS,
                     .clip_norm = 1.0,
                     .sampling_rate = RATE,
                     .noise_multiplier = 1.0,
                     .max_units = 100000,
                     .quorum = 1,
                     .max_nodes = 4,
                     .word_bits = 32,
                     .mask_density = 256,
                     .model_text = model_text(d->schema, &config, &text),
                     .schema_text = (char *)d->schema_text.data };
    float *weights;

    CU_ASSERT_EQUAL_FATAL(fm_tabular_parameters(&config, &parameters), FM_OK);
    plan.parameters = (uint32_t)parameters;
    need((weights = calloc(parameters, sizeof *weights)) != NULL, "memory");
    need(fm_dp_keypair_new(&pair) == FM_OK, "keys");
    memcpy(keys[0], fm_dp_keypair_public(pair), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    need(fm_dp_pairs_new(pair, &roster, &pairs) == FM_OK, "pairs");
    in.model = weights;
    in.pairs = pairs;
    CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&plan, &d->table, 1, &step), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(step, &in, &release), FM_OK);
    fm_dp_release_bytes(release, &bytes, &len);
    CU_ASSERT_EQUAL(len, 4 * parameters);
    CU_ASSERT_EQUAL(fm_node_step_dropped_for_tests(step), 0);
    fm_dp_release_free(&release);
    fm_node_step_free(&step);
    fm_dp_pairs_free(&pairs);
    fm_dp_keypair_free(&pair);
    fm_buf_fini(&text);
    free(weights);
}

static void patients_are_the_units_of_the_public_data_set(void)
{
    data d;

    if (!open_data(&d))
        return;
    check_grouping(&d.table);
    check_samples(&d.table);
    check_step(&d);
    close_data(&d);
}

static const fm_test tests[] = {
    { "71,518 patients are the units of 101,766 encounters, in the sample and in a step",
      patients_are_the_units_of_the_public_data_set },
};

const fm_test_suite suite_diabetes = { "node.diabetes", tests, FM_TEST_COUNT(tests) };
