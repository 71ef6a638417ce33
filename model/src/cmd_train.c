/* train: a model from one file of records, with central differential privacy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/text.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/train/run.h"

static const char program[] = "fedmoe-model train";

#define UNIT_ROWS_DEFAULT 16u
#define RECORD "record"
#define MAX_UNITS (1u << 24)
#define DELTA_LARGE 0.01 /* from here on a warning */
#define DELTA_NEVER 0.1

typedef struct {
    const char *schema_path, *data, *unit, *config_path, *test, *output;
    double epsilon, delta, units; /* 0: not given */
    uint64_t unit_rows, seed, threads, rounds;
    double rate, learning_rate, clip; /* likewise */
    bool no_privacy, json, force, exact, no_start;
    /* what becomes of it */
    fm_schema *schema;
    fm_tabular_config model;
    fm_table table, tested;
    fm_tabular *trained;
    fm_training training;
    size_t parameters, count; /* privacy units in the file */
    uint32_t max_units;
    double noise, spent;
    fm_metrics metrics;
} request;

static void close_request(request *r)
{
    fm_tabular_free(&r->trained);
    fm_table_fini(&r->table);
    fm_table_fini(&r->tested);
    fm_schema_free(&r->schema);
}

static bool is_record(const request *r)
{
    return strcmp(r->unit, RECORD) == 0;
}

/* ---- before anything is read ---- */

static fm_status check_words(const request *r)
{
    if (r->no_privacy == (r->epsilon > 0.0))
        return fm_fail(FM_EINVAL, "give --epsilon, or --no-privacy for a model that tells all of "
                                  "its records; not both");
    if (r->no_privacy && r->delta > 0.0)
        return fm_fail(FM_EINVAL, "--delta has no meaning with --no-privacy");
    if (r->delta >= DELTA_NEVER)
        return fm_fail(FM_EINVAL,
                       "--delta must be below %g, and should be well below 1/n of n privacy units: "
                       "with this probability the promise may fail altogether",
                       DELTA_NEVER);
    if (is_record(r) && r->unit_rows > 0)
        return fm_fail(FM_EINVAL, "--max-unit-rows goes with --unit COLUMN; a record is one row");
    return FM_OK;
}

/* Not after minutes of training. */
static fm_status check_output(const request *r)
{
    const char *const inputs[] = { r->schema_path, r->data, r->config_path, r->test };

    return fm_file_check_output(r->output, r->force, inputs, FM_CMD_COUNT(inputs));
}

/* ---- files ---- */

static fm_status read_config(request *r)
{
    fm_buf text = { 0 };
    fm_status st = FM_OK;

    if (!r->config_path)
        fm_tabular_config_default(r->schema, &r->model);
    else if (!(st = fm_file_read(r->config_path, FM_YAML_MAX_BYTES, &text)))
        st = fm_tabular_config_parse_new(r->config_path, text.data, text.len, r->schema, &r->model);
    fm_buf_fini(&text);
    return st ? st : fm_tabular_parameters(&r->model, &r->parameters);
}

static fm_status read_files(request *r)
{
    const fm_table_options train = { .labels = true, .unit = is_record(r) ? NULL : r->unit };
    const fm_table_options test = { .labels = true };
    fm_status st;

    if ((st = fm_schema_load(r->schema_path, &r->schema)) || (st = read_config(r)) ||
        (st = fm_table_load(r->data, r->schema, &train, &r->table)))
        return st;
    if (r->test && (st = fm_table_load(r->test, r->schema, &test, &r->tested)))
        return st;
    r->count = r->table.unit_start ? r->table.units : r->table.rows;
    return FM_OK;
}

/* ---- figures ---- */

/* How many units there are is public: said by the user, or taken from the file, which is said. */
static fm_status count_units(request *r)
{
    if (r->count == 0)
        return fm_fail(FM_EINVAL, "%s: there are no records to train on", r->data);
    if (r->count > MAX_UNITS)
        return fm_fail(FM_EINVAL, "%s: %zu privacy units; at most %u are possible", r->data,
                       r->count, MAX_UNITS);
    if (r->units == 0.0) {
        r->units = (double)r->count;
        r->max_units = (uint32_t)r->count;
        if (!r->no_privacy)
            fprintf(stderr,
                    "%s: the number of privacy units, %zu, is treated as public; --expected-units "
                    "with a round figure keeps it to the file\n",
                    program, r->count);
        return FM_OK;
    }
    r->max_units = (uint32_t)fmin(ceil(2.0 * r->units), MAX_UNITS);
    if (r->count > r->max_units)
        return fm_fail(FM_EINVAL,
                       "%s: more than twice as many privacy units as --expected-units "
                       "says; give a figure that is nearer to the truth",
                       r->data);
    return FM_OK;
}

static fm_status choose_delta(request *r)
{
    if (r->no_privacy) {
        r->epsilon = FM_TRAINING_NO_PRIVACY;
        r->delta = pow(r->units + 1.0, -1.1);
        return FM_OK;
    }
    if (r->delta == 0.0)
        r->delta = fmin(pow(r->units, -1.1), DELTA_LARGE);
    if (r->delta * r->units > 1.0)
        return fm_fail(FM_EINVAL,
                       "with delta %g and %g units a training that tells more than one record "
                       "altogether would count as private; give a --delta well below %g",
                       r->delta, r->units, 1.0 / r->units);
    if (r->delta >= DELTA_LARGE)
        fprintf(stderr,
                "%s: delta %g is large: with this probability the promise may fail altogether, "
                "for as many as one unit in %.0f; 0.001 or less is usual\n",
                program, r->delta, 1.0 / r->delta);
    return FM_OK;
}

static fm_status choose(request *r)
{
    fm_training_case given = { .outputs = r->model.outputs,
                               .number = r->model.target == FM_TARGET_NUMBER };
    fm_training *t = &r->training;
    fm_status st;

    if ((st = count_units(r)) || (st = choose_delta(r)))
        return st;
    given.units = r->units;
    given.delta = r->delta;
    given.start = r->model.center && !r->no_start && r->rounds != 1;
    fm_training_defaults(&given, t);
    t->rounds = r->rounds > 0 ? r->rounds : t->rounds;
    t->sampling_rate = r->rate > 0.0 ? r->rate : t->sampling_rate;
    t->learning_rate = r->learning_rate > 0.0 ? r->learning_rate : t->learning_rate;
    t->clip_norm = r->clip > 0.0 ? r->clip : t->clip_norm;
    return fm_train_calibrate(t, r->epsilon, r->delta, &r->noise, &r->spent);
}

/* ---- the training ---- */

static void show_progress(void *ctx, uint64_t done)
{
    fm_progress_set(ctx, done);
}

static fm_status train(request *r)
{
    fm_rng_seed first_state, public_state;
    fm_rng first, rng = fm_rng_system();
    fm_progress bar;
    fm_train_run_spec spec = { .learner = fm_learner_tabular(&r->model, &r->table),
                               .training = &r->training,
                               .noise_multiplier = r->noise,
                               .units = r->units,
                               .max_units = r->max_units,
                               .unit_rows = is_record(r) ? 1 : (size_t)r->unit_rows,
                               .encoding = r->exact ? FM_DP_EXACT : FM_DP_FAST,
                               .threads = (unsigned)r->threads,
                               .rng = &rng,
                               .progress = show_progress,
                               .progress_ctx = &bar };
    float *weights = NULL;
    fm_status st;

    if ((st = fm_tabular_new(&r->model, FM_CMD_BATCH, &r->trained)) ||
        (st = fm_alloc(r->parameters, sizeof *weights, (void **)&weights)))
        return st;
    /* The first weights are public and protect nothing; without privacy nor does the sampling. */
    fm_log_set_level(FM_LOG_ERROR);
    first = fm_rng_seeded(&first_state, r->seed);
    if (r->no_privacy)
        rng = fm_rng_seeded(&public_state, r->seed);
    fm_tabular_init(r->trained, &first);
    fm_tabular_get(r->trained, weights);
    spec.weights = weights;
    fm_progress_start(&bar, "training", r->training.rounds);
    st = fm_train_run_tabular(&spec, r->trained);
    fm_progress_end(&bar);
    free(weights);
    return st;
}

static fm_status measure(request *r)
{
    const size_t outputs = fm_tabular_outputs(r->trained);
    float *logits = NULL;
    fm_status st;

    if (!r->test)
        return FM_OK;
    if ((st = fm_alloc(r->tested.rows, outputs * sizeof *logits, (void **)&logits)) == FM_OK &&
        (st = fm_tabular_predict(r->trained, r->tested.x, r->tested.rows, logits)) == FM_OK)
        st = fm_metrics_of(r->schema, logits, r->tested.y, r->tested.rows, &r->metrics);
    free(logits);
    return st;
}

static fm_status write_model(const request *r)
{
    const fm_training *t = &r->training;
    char epsilon[32], delta[32], mechanism[192];
    const fm_safetensors_meta meta[] = { { "fedmoe.epsilon", epsilon },
                                         { "fedmoe.delta", delta },
                                         { "fedmoe.privacy_unit", r->unit },
                                         { "fedmoe.mechanism", mechanism } };
    const size_t count = sizeof meta / sizeof meta[0];
    const mode_t mode = r->no_privacy ? 0600 : 0644; /* its weights may hold records */
    fm_buf file;
    fm_status st;

    fm_buf_init(&file, SIZE_MAX);
    fm_text_up(r->spent, epsilon);
    fm_text_up(r->delta, delta);
    (void)snprintf(mechanism, sizeof mechanism,
                   "discrete Gaussian, noise multiplier %.9g, Poisson sampling rate %.9g, %llu "
                   "rounds, clip norm %.9g; add or remove one unit",
                   r->noise, t->sampling_rate, (unsigned long long)t->rounds, t->clip_norm);
    if (r->no_privacy) {
        (void)snprintf(epsilon, sizeof epsilon, "none");
        (void)snprintf(delta, sizeof delta, "none");
        (void)snprintf(mechanism, sizeof mechanism, "none: trained without privacy");
    }
    if (!(st = fm_tabular_encode(r->trained, r->schema, meta, count, &file)))
        st = r->force ? fm_file_replace(r->output, file.data, file.len, mode)
                      : fm_file_create(r->output, file.data, file.len, mode);
    fm_buf_fini(&file);
    return st;
}

/* ---- what is said of it ---- */

static const char *const rules[] = { [FM_OPTIM_SGD] = "sgd", [FM_OPTIM_ADAM] = "adam" };
static const char *const schedules[] = {
    [FM_OPTIM_CONSTANT] = "constant", [FM_OPTIM_LINEAR] = "linear", [FM_OPTIM_COSINE] = "cosine"
};

static fm_status print_text(const request *r)
{
    const fm_training *t = &r->training;
    fm_buf figures = { 0 };
    fm_status st = FM_OK;

    if (r->no_privacy)
        printf("epsilon           none: NOTHING IS PRIVATE, this model may tell its records\n");
    else
        printf("epsilon           %.4f at delta %.3g, for each %s\n", ceil(r->spent * 1e4) * 1e-4,
               r->delta, is_record(r) ? "record" : r->unit);
    printf("privacy units     %.9g expected\n", r->units);
    printf("sampling rate     %.4g\n", t->sampling_rate);
    printf("rounds            %llu%s\n", (unsigned long long)t->rounds,
           t->start ? ", the first for the features' means and the share of positives" : "");
    printf("noise multiplier  %.6g\n", r->noise);
    printf("clip norm         %.4g%s\n", t->clip_norm,
           t->clip_quantile > 0.0 ? " at first, adapted by noised votes" : "");
    printf("optimizer         %s, learning rate %.4g, %s\n", rules[t->rule], t->learning_rate,
           schedules[t->schedule]);
    if (t->averaging > 0.0)
        printf("averaging         last %.0f %% of the rounds\n", 100.0 * t->averaging);
    printf("%s: %zu features, %zu parameters\n", r->output, r->model.features, r->parameters);
    if (r->test && (st = fm_metrics_text(&r->metrics, &figures)) == FM_OK)
        printf("%s:\n%s", r->test, (const char *)figures.data);
    fm_buf_fini(&figures);
    return st;
}

static fm_status print_json(const request *r)
{
    const fm_training *t = &r->training;
    json_t *test = NULL, *j;
    fm_status st = r->test ? fm_metrics_json(&r->metrics, NULL, &test) : FM_OK;

    if (st)
        return st;
    j = json_pack(
        "{s:s, s:b, s:o, s:o, s:s, s:f, s:f, s:f, s:I, s:s, s:f, s:s, s:f, s:s, s:f, s:f, s:f, "
        "s:I, s:I, s:o}",
        "output", r->output, "private", !r->no_privacy, "epsilon",
        r->no_privacy ? json_null() : json_real(r->spent), "delta",
        r->no_privacy ? json_null() : json_real(r->delta), "privacy_unit", r->unit,
        "expected_units", r->units, "noise_multiplier", r->noise, "sampling_rate", t->sampling_rate,
        "rounds", (json_int_t)t->rounds, "start", t->start ? "statistics" : "none", "clip_norm",
        t->clip_norm, "optimizer", rules[t->rule], "learning_rate", t->learning_rate, "schedule",
        schedules[t->schedule], "warmup", t->warmup, "final_rate", t->final_rate, "averaging",
        t->averaging, "features", (json_int_t)r->model.features, "parameters",
        (json_int_t)r->parameters, "test", test ? test : json_null());
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the report");

    json_decref(j);
    return st;
}

static fm_status run(request *r)
{
    fm_status st;

    if ((st = check_output(r)) || (st = read_files(r)) || (st = choose(r)))
        return st;
    if (r->no_privacy)
        fprintf(stderr,
                "%s: NOTHING IS PRIVATE: the model is trained without noise and may tell "
                "its records\n",
                program);
    if ((st = train(r)) || (st = measure(r)) || (st = write_model(r)))
        return st;
    return r->json ? print_json(r) : print_text(r);
}

/* ---- the command line ---- */

#define OPTIONS_MAX 24

/* What is trained, and what it promises. */
static size_t add_promise(request *r, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "schema", FM_CLI_STRING, &r->schema_path, "FILE", "what the records are", true, 0, 0 },
        { "data", FM_CLI_STRING, &r->data, "CSV", "labelled records to train on", true, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &r->epsilon, "E",
          "the privacy that each unit is promised, for the whole training", false, 1e-3, 100 },
        { "delta", FM_CLI_DOUBLE, &r->delta, "D",
          "default n^-1.1, n the number of units, at most 0.01", false, 1e-12, 1 },
        { "unit", FM_CLI_STRING, &r->unit, "COLUMN",
          "all rows of one value are one privacy unit (default: each record)", false, 0, 0 },
        { "max-unit-rows", FM_CLI_U64, &r->unit_rows, "N",
          "most rows of one unit that count in a round (default 16)", false, 1, 4096 },
        { "expected-units", FM_CLI_DOUBLE, &r->units, "N",
          "a public round figure of how many units there are (default: their number, which is then "
          "treated as public)",
          false, 1, MAX_UNITS },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

/* How. */
static size_t add_training(request *r, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "model-config", FM_CLI_STRING, &r->config_path, "FILE",
          "model.yaml (default: docs/model.md)", false, 0, 0 },
        { "seed", FM_CLI_U64, &r->seed, "N", "of the first weights; public (default 0)", false, 0,
          0 },
        { "rounds", FM_CLI_U64, &r->rounds, "N", "instead of the default for the case", false, 1,
          1000000 },
        { "sampling-rate", FM_CLI_DOUBLE, &r->rate, "Q", "likewise", false, 1e-6, 1 },
        { "learning-rate", FM_CLI_DOUBLE, &r->learning_rate, "R", "likewise", false, 1e-9, 1e6 },
        { "clip-norm", FM_CLI_DOUBLE, &r->clip, "C", "likewise", false, 1e-6, 1e6 },
        { "no-statistics-round", FM_CLI_FLAG, &r->no_start, NULL,
          "begin with gradients: the first round is otherwise for the features' means and the "
          "share of positives, where the label has two values",
          false, 0, 0 },
        { "exact", FM_CLI_FLAG, &r->exact, NULL,
          "round each unit's whole gradient by itself: slower, no more private", false, 0, 0 },
        { "threads", FM_CLI_U64, &r->threads, "N",
          "default all processors, at most 16; the model does not depend on it", false, 1,
          FM_THREADS_MAX },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

/* What becomes of it. */
static size_t add_results(request *r, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "test", FM_CLI_STRING, &r->test, "CSV", "measure the model on these records", false, 0,
          0 },
        { "output", FM_CLI_STRING, &r->output, "FILE", "the model, as safetensors", true, 0, 0 },
        { "force", FM_CLI_FLAG, &r->force, NULL, "replace the output if it is there", false, 0, 0 },
        { "no-privacy", FM_CLI_FLAG, &r->no_privacy, NULL,
          "no noise: the model may tell its records, and only its owner can read the file. For "
          "comparison only",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &r->json, NULL, "as JSON", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

int fm_cmd_train(int argc, char **argv)
{
    request r = { .unit = RECORD };
    fm_cli_option options[OPTIONS_MAX];
    fm_cli_spec spec = {
        .program = program,
        .summary = "Train a model on one file of records with differential privacy: the training "
                   "of a federation, on one machine. Nothing needs tuning; what was chosen is "
                   "printed. No ledger is kept: epsilons of several trainings add up.",
        .examples = "fedmoe-model train --schema adult.yaml --data train.csv --epsilon 1 --test "
                    "test.csv --output adult.safetensors\n"
                    "fedmoe-model train --schema visits.yaml --data visits.csv --unit patient_nbr "
                    "--epsilon 4 --delta 1e-6 --output m.safetensors",
        .options = options,
    };
    int first, code;
    fm_status st;

    spec.option_count = add_promise(&r, options);
    spec.option_count += add_training(&r, options + spec.option_count);
    spec.option_count += add_results(&r, options + spec.option_count);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check_words(&r)) {
        (void)fm_cli_failed(program);
        return FM_EXIT_USAGE;
    }
    if (!is_record(&r) && r.unit_rows == 0)
        r.unit_rows = UNIT_ROWS_DEFAULT;
    st = run(&r);
    close_request(&r);
    return st ? fm_cli_failed(program) : 0;
}
