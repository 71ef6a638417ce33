/*
 * What protecting patients costs against protecting encounters: 101,766 encounters of 71,518
 * patients (UCI diabetes130), dealt to four nodes by patient, a fifth of the patients held out.
 * The same step, noise, masks, sum and optimizer as between real nodes; noise is seeded here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/hash.h"
#include "fedmoe/demo/simulate.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/model/tabular.h"
#include "fm_test_xz.h"

#define FILE_NAME "data/diabetes130/diabetic_data.csv.xz"
#define NODES 4u
#define PARTS (NODES + 1u) /* the last one is held out */
#define TIMES 3
#define SKIPPED 77

typedef struct {
    uint64_t rounds, max_unit_rows, seed;
    double epsilon, delta, rate, learning_rate;
} bench_options;

typedef struct {
    fm_buf parts[PARTS], schema_text, model_text;
    fm_schema *schema;
    fm_tabular_config config;
    float *first, *result; /* float32[parameters] */
    size_t parameters;
} world;

/** Each line to the part of its second field, the patient. */
static fm_status deal(const fm_buf *csv, fm_buf parts[PARTS])
{
    const char *at = (const char *)csv->data;
    bool header = true;
    fm_status st = FM_OK;

    while (st == FM_OK && *at) {
        const size_t len = strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n');
        const char *patient = at + strcspn(at, ",") + 1;
        const fm_hash h = fm_hash_of("bench part", patient, strcspn(patient, ","));

        for (size_t p = 0; st == FM_OK && p < PARTS; p++)
            if (header || h.bytes[0] % PARTS == p)
                st = fm_buf_append(&parts[p], at, len);
        header = false;
        at += len;
    }
    return st;
}

static fm_status open_world(const bench_options *o, const fm_buf *csv, world *w)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, o->seed);
    fm_tabular *m = NULL;
    fm_status st;

    if ((st = deal(csv, w->parts)) != FM_OK ||
        (st = fm_file_read(BENCH_SCHEMA, 1 << 20, &w->schema_text)) != FM_OK ||
        (st = fm_schema_parse("diabetes130.yaml", w->schema_text.data, w->schema_text.len,
                              &w->schema)) != FM_OK)
        return st;
    fm_tabular_config_default(w->schema, &w->config);
    if ((st = fm_tabular_config_write(&w->config, &w->model_text)) != FM_OK ||
        (st = fm_tabular_parameters(&w->config, &w->parameters)) != FM_OK ||
        (st = fm_alloc(w->parameters, sizeof(float), (void **)&w->first)) != FM_OK ||
        (st = fm_alloc(w->parameters, sizeof(float), (void **)&w->result)) != FM_OK ||
        (st = fm_tabular_new(&w->config, 1, &m)) != FM_OK)
        return st;
    fm_tabular_init(m, &rng);
    fm_tabular_get(m, w->first);
    fm_tabular_free(&m);
    return FM_OK;
}

static void close_world(world *w)
{
    for (size_t p = 0; p < PARTS; p++)
        fm_buf_fini(&w->parts[p]);
    fm_buf_fini(&w->schema_text);
    fm_buf_fini(&w->model_text);
    fm_schema_free(&w->schema);
    free(w->first);
    free(w->result);
}

static fm_status make_plan(const bench_options *o, const world *w, const char *unit, fm_plan *plan)
{
    const bool record = strcmp(unit, FM_UNIT_RECORD) == 0;

    *plan = (fm_plan){
        .federation = "bench",
        .max_unit_rows = record ? 1 : (uint32_t)o->max_unit_rows,
        .epsilon = o->epsilon,
        .delta = o->delta,
        .clip_norm = 1.0,
        .sampling_rate = o->rate,
        .rounds = (uint32_t)o->rounds,
        .max_units = 200000,
        .expected_units = record ? 80000.0 : 57000.0,
        .min_cohort = 3,
        .quorum = 3,
        .colluders = 1,
        .max_nodes = NODES,
        .word_bits = 32,
        .mask_density = 256,
        .task = FM_TASK_TRAINING,
        .noise = FM_NOISE_DISTRIBUTED,
        .parameters = (uint32_t)w->parameters,
        .model_text = (char *)w->model_text.data,
        .schema_text = (char *)w->schema_text.data,
        .optimizer = FM_OPTIMIZER_ADAM,
        .learning_rate = o->learning_rate,
        .momentum = 0.9,
        .beta2 = 0.999,
        .averaging = 0.5,
        .adam_epsilon = 1e-3,
        .encoding = FM_ENCODING_EXACT,
        .schedule = FM_SCHEDULE_CONSTANT,
    };
    (void)snprintf(plan->privacy_unit, sizeof plan->privacy_unit, "%s", unit);
    return fm_dp_calibrate(o->epsilon, o->delta, o->rate, o->rounds, &plan->noise_multiplier);
}

/** Best of some times one round of all nodes, in seconds; what makes them ready is within it. */
static fm_status time_round(const fm_simulation *s, float *result, double *out)
{
    fm_plan once = *s->plan;
    fm_simulation one = *s;
    fm_status st = FM_OK;

    once.rounds = 1;
    one.plan = &once;
    *out = 1e9;
    for (int i = 0; st == FM_OK && i < TIMES; i++) {
        const uint64_t begin = fm_clock_now_ns();
        double s_taken;

        st = fm_simulate(&one, result);
        s_taken = 1e-9 * (double)(fm_clock_now_ns() - begin);
        *out = s_taken < *out ? s_taken : *out;
    }
    return st;
}

static fm_status measure(const bench_options *o, world *w, const char *unit)
{
    const bool record = strcmp(unit, FM_UNIT_RECORD) == 0;
    const fm_table_options options = { .labels = true, .unit = record ? NULL : unit };
    fm_table tables[NODES] = { { 0 } }, test = { 0 };
    size_t rows = 0, units = 0;
    fm_metrics figures = { 0 };
    double seconds = 0.0;
    fm_rng_seed state;
    fm_plan plan;
    fm_simulation s = { .plan = &plan,
                        .initial = w->first,
                        .tables = tables,
                        .nodes = NODES,
                        .rng = fm_rng_seeded(&state, o->seed) };
    const fm_table_options plain = { .labels = true };
    fm_status st = make_plan(o, w, unit, &plan);

    for (size_t i = 0; st == FM_OK && i < NODES; i++) {
        st = fm_table_parse("records", w->parts[i].data, w->parts[i].len, w->schema, &options,
                            &tables[i]);
        rows += tables[i].rows;
        units += record ? tables[i].rows : tables[i].units;
    }
    if (st == FM_OK)
        st = fm_table_parse("held out", w->parts[NODES].data, w->parts[NODES].len, w->schema,
                            &plain, &test);
    if (st == FM_OK && (st = time_round(&s, w->result, &seconds)) == FM_OK &&
        (st = fm_simulate(&s, w->result)) == FM_OK &&
        (st = fm_simulation_evaluate(&plan, w->result, &test, &figures)) == FM_OK)
        printf("%-12s %7zu %7zu %9.3f %13.3f %7.4f\n", unit, rows, units, plan.noise_multiplier,
               seconds, figures.auc);
    for (size_t i = 0; i < NODES; i++)
        fm_table_fini(&tables[i]);
    fm_table_fini(&test);
    return st;
}

static int run(const bench_options *o, const char *program)
{
    world w = { 0 };
    fm_buf csv = { 0 };
    const char *why = NULL;
    fm_status st;

    if (!fm_test_shared_xz(FILE_NAME, (size_t)1 << 26, &csv, &why)) {
        printf("skipped: %s\n", why);
        return SKIPPED;
    }
    st = open_world(o, &csv, &w);
    fm_buf_fini(&csv);
    printf(
        "epsilon %g at delta %g per unit, %llu rounds at rate %g, learning rate %g, at most %llu "
        "rows of a patient, %zu parameters\n"
        "unit         records   units     noise  s for a round     AUC\n",
        o->epsilon, o->delta, (unsigned long long)o->rounds, o->rate, o->learning_rate,
        (unsigned long long)o->max_unit_rows, w.parameters);
    if (st == FM_OK && (st = measure(o, &w, FM_UNIT_RECORD)) == FM_OK)
        st = measure(o, &w, "patient_nbr");
    close_world(&w);
    return st == FM_OK ? 0 : fm_cli_failed(program);
}

int main(int argc, char **argv)
{
    bench_options o = { .rounds = 40,
                        .max_unit_rows = 16,
                        .seed = 1,
                        .epsilon = 1.0,
                        .delta = 1e-5,
                        .rate = 0.1,
                        .learning_rate = 0.05 };
    const fm_cli_option options[] = {
        { "rounds", FM_CLI_U64, &o.rounds, "N", "default 40", false, 1, 10000 },
        { "max-unit-rows", FM_CLI_U64, &o.max_unit_rows, "N", "default 16", false, 1,
          FM_MAX_UNIT_ROWS },
        { "seed", FM_CLI_U64, &o.seed, "N", "of weights and noise (default 1)", false, 0, 1e9 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "default 1", false, 1e-3, 1000 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "default 1e-5", false, 1e-12, 0.1 },
        { "rate", FM_CLI_DOUBLE, &o.rate, "Q", "sampling rate (default 0.1)", false, 1e-6, 1 },
        { "learning-rate", FM_CLI_DOUBLE, &o.learning_rate, "R", "default 0.05", false, 1e-9, 1e6 },
    };
    const fm_cli_spec spec = { .program = "bench-privacy_unit",
                               .summary = "A patient as the privacy unit, against an encounter.",
                               .examples = "./dev bench privacy_unit --epsilon 1",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run(&o, spec.program);
}
