/* train: a model from one file of records, with central differential privacy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_promise.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/model/metrics.h"

static const char program[] = "fedmoe-model train";

#define UNIT_ROWS_DEFAULT 16u

typedef struct {
    const char *schema_path, *data, *config_path, *test, *output;
    fm_cmd_promise promise;
    uint64_t unit_rows, seed, threads, rounds, memory_mib;
    double rate, learning_rate, clip; /* 0: not given */
    bool json, force, exact, no_start;
    /* what becomes of it */
    fm_schema *schema;
    fm_tabular_config model;
    fm_table table, tested;
    fm_tabular *trained;
    fm_training training;
    size_t parameters;
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
    return strcmp(r->promise.unit, FM_CMD_RECORD) == 0;
}

/* ---- before anything is read ---- */

static fm_status check_words(const request *r)
{
    fm_status st = fm_cmd_promise_check(&r->promise);

    if (st)
        return st;
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
    const fm_table_options train = { .labels = true,
                                     .memory = r->memory_mib << 20,
                                     .unit = is_record(r) ? NULL : r->promise.unit };
    const fm_table_options test = { .labels = true };
    fm_status st;

    if ((st = fm_schema_load(r->schema_path, &r->schema)) || (st = read_config(r)) ||
        (st = fm_table_load(r->data, r->schema, &train, &r->table)))
        return st;
    if (r->test && (st = fm_table_load(r->test, r->schema, &test, &r->tested)))
        return st;
    r->promise.count = r->table.unit_start ? r->table.units : r->table.rows;
    return FM_OK;
}

/* ---- figures ---- */

static fm_status choose(request *r)
{
    fm_training_case given = { .outputs = r->model.outputs,
                               .number = r->model.target == FM_TARGET_NUMBER };
    fm_training *t = &r->training;
    fm_status st;

    if ((st = fm_cmd_promise_settle(&r->promise, r->data)))
        return st;
    given.units = r->promise.units;
    given.delta = r->promise.delta;
    given.start = r->model.center && !r->no_start && r->rounds != 1;
    fm_training_defaults(&given, t);
    t->rounds = r->rounds > 0 ? r->rounds : t->rounds;
    t->sampling_rate = r->rate > 0.0 ? r->rate : t->sampling_rate;
    t->learning_rate = r->learning_rate > 0.0 ? r->learning_rate : t->learning_rate;
    t->clip_norm = r->clip > 0.0 ? r->clip : t->clip_norm;
    return fm_train_calibrate(t, r->promise.epsilon, r->promise.delta, &r->promise.noise,
                              &r->promise.spent);
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
                               .noise_multiplier = r->promise.noise,
                               .units = r->promise.units,
                               .max_units = r->promise.max_units,
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
    if (r->promise.no_privacy)
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
    const mode_t mode = r->promise.no_privacy ? 0600 : 0644; /* its weights may hold records */
    fm_cmd_promise_meta m;
    fm_buf file;
    fm_status st;

    fm_buf_init(&file, SIZE_MAX);
    fm_cmd_promise_write(&r->promise, &r->training, &m);
    if (!(st = fm_tabular_encode(r->trained, r->schema, m.meta, FM_CMD_PROMISE_META, &file)))
        st = r->force ? fm_file_replace(r->output, file.data, file.len, mode)
                      : fm_file_create(r->output, file.data, file.len, mode);
    fm_buf_fini(&file);
    return st;
}

/* ---- what is said of it ---- */

static fm_status print_text(const request *r)
{
    fm_buf figures = { 0 };
    fm_status st = FM_OK;

    fm_cmd_promise_print(&r->promise, &r->training);
    printf("%s: %zu features, %zu parameters\n", r->output, r->model.features, r->parameters);
    if (r->test && (st = fm_metrics_text(&r->metrics, &figures)) == FM_OK)
        printf("%s:\n%s", r->test, (const char *)figures.data);
    fm_buf_fini(&figures);
    return st;
}

static fm_status print_json(const request *r)
{
    json_t *test = NULL, *j = NULL;
    fm_status st = r->test ? fm_metrics_json(&r->metrics, NULL, &test) : FM_OK;

    if (st)
        return st;
    j = fm_cmd_promise_json(&r->promise, &r->training);
    if (json_object_set_new(j, "test", test ? test : json_null()) == 0 &&
        json_object_set_new(j, "output", json_string(r->output)) == 0 &&
        json_object_set_new(j, "start", json_string(r->training.start ? "statistics" : "none")) ==
            0 &&
        json_object_set_new(j, "features", json_integer((json_int_t)r->model.features)) == 0 &&
        json_object_set_new(j, "parameters", json_integer((json_int_t)r->parameters)) == 0)
        st = fm_json_print(j);
    else
        st = fm_fail(FM_ENOMEM, "no memory for the report");
    json_decref(j);
    return st;
}

static fm_status run(request *r)
{
    fm_status st;

    if ((st = check_output(r)) || (st = read_files(r)) || (st = choose(r)))
        return st;
    fm_cmd_promise_warn(&r->promise);
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
        { "unit", FM_CLI_STRING, &r->promise.unit, "COLUMN",
          "all rows of one value are one privacy unit (default: each record)", false, 0, 0 },
        { "max-unit-rows", FM_CLI_U64, &r->unit_rows, "N",
          "most rows of one unit that count in a round (default 16)", false, 1, 4096 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options) + fm_cmd_promise_options(&r->promise, to + FM_CMD_COUNT(options));
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
        { "memory", FM_CLI_U64, &r->memory_mib, "MIB",
          "what --data may take of memory (default 256): more goes to a nameless, encrypted file "
          "in "
          "$TMPDIR or /var/tmp; the model does not depend on it",
          false, 1, 1u << 20 },
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
        { "json", FM_CLI_FLAG, &r->json, NULL, "as JSON", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

int fm_cmd_train(int argc, char **argv)
{
    request r = { .promise = { .program = program, .unit = FM_CMD_RECORD }, .memory_mib = 256 };
    fm_cli_option options[OPTIONS_MAX];
    fm_cli_spec spec = {
        .program = program,
        .rare = "max-unit-rows, expected-units, model-config, seed, rounds, sampling-rate, "
                "learning-rate, clip-norm, no-statistics-round, exact, threads",
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
