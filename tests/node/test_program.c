/* The program as people run it: help, usage, init, check, status, ledger, evaluate, predict; and
 * the driver without an aggregator. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/node/config.h"
#include "suites.h"
#include "world.h"

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define MAX_ARGS 32

static const char schema_text[] =
    "name: tiny\n"
    "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
    "columns:\n"
    "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
    "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static const char records_text[] = "1,0\n2,1\n-3,0\n4,1\n";

typedef struct {
    char dir[PATH_CAP], config[PATH_CAP], records[PATH_CAP], schema[PATH_CAP], output[PATH_CAP];
    fm_buf said; /* standard output and standard error of the last run */
} desk;

static void write_file(const char *path, const char *text)
{
    need(fm_file_replace(path, text, strlen(text), 0600) == FM_OK, path);
}

static void open_desk(desk *d)
{
    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->dir, sizeof d->dir);
    make_path(d->config, d->dir, "node.yaml");
    make_path(d->records, d->dir, "records.csv");
    make_path(d->schema, d->dir, "schema.yaml");
    make_path(d->output, d->dir, "said.txt");
    write_file(d->records, records_text);
    write_file(d->schema, schema_text);
}

static void close_desk(desk *d)
{
    fm_buf_fini(&d->said);
}

static pid_t start(const desk *d, va_list arguments)
{
    char *argv[MAX_ARGS + 2] = { (char *)(uintptr_t) "fedmoe-node" };
    const char *a;
    unsigned n = 1;
    pid_t child;
    int fd;

    while ((a = va_arg(arguments, const char *)) && n < MAX_ARGS)
        argv[n++] = (char *)(uintptr_t)a;
    need((child = fork()) >= 0, "a child");
    if (child == 0) {
        fd = open(d->output, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(90);
        execv(FEDMOE_NODE, argv);
        _exit(91);
    }
    return child;
}

static int finish(desk *d, pid_t child)
{
    int status = 0;

    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    fm_buf_fini(&d->said);
    need(fm_file_read(d->output, 1 << 20, &d->said) == FM_OK, "the output");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/** Arguments end with NULL. The exit code. */
static int run(desk *d, ...)
{
    va_list arguments;
    pid_t child;

    va_start(arguments, d);
    child = start(d, arguments);
    va_end(arguments);
    return finish(d, child);
}

static pid_t run_on(const desk *d, ...)
{
    va_list arguments;
    pid_t child;

    va_start(arguments, d);
    child = start(d, arguments);
    va_end(arguments);
    return child;
}

static bool said(const desk *d, const char *word)
{
    bool yes = strstr((const char *)d->said.data, word) != NULL;

    if (!yes)
        printf("\n    not '%s' but: %s\n", word, (const char *)d->said.data);
    return yes;
}

static int run_init(desk *d)
{
    return run(d, "init", "--directory", d->dir, "--name", "alpha", "--door", "tcp://127.0.0.1:9",
               "--door-key", KEY, "--identity", world_node_dir(), "--records", d->records,
               "--data-name", "alpha \"records\"", "--epsilon", "2", "--delta", "1e-4", "--purpose",
               "heart disease risk", "--purpose", "a \\ purpose", "--min-cohort", "4",
               (char *)NULL);
}

static void every_command_has_help_with_examples(void)
{
    static const char *const commands[] = { "init",   "check",    "plan",    "start",  "status",
                                            "ledger", "evaluate", "predict", "report", "audit" };
    desk d;

    open_desk(&d);
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        CU_ASSERT_EQUAL(run(&d, commands[i], "--help", (char *)NULL), 0);
        CU_ASSERT(said(&d, "Examples:"));
        CU_ASSERT_EQUAL(run(&d, commands[i], "--bogus", (char *)NULL), 2);
    }
    CU_ASSERT_EQUAL(run(&d, "--help", (char *)NULL), 0);
    CU_ASSERT_EQUAL(run(&d, "bogus", (char *)NULL), 2);
    CU_ASSERT_EQUAL(run(&d, "init", (char *)NULL), 2);
    CU_ASSERT_EQUAL(run(&d, "start", "--retry-s", "0", (char *)NULL), 2);
    close_desk(&d);
}

static void init_writes_a_file_that_reads_back(void)
{
    fm_node_config c = { 0 };
    struct stat st;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(run_init(&d), 0);
    CU_ASSERT_EQUAL_FATAL(fm_node_config_load(d.config, &c), FM_OK);
    CU_ASSERT_STRING_EQUAL(c.name, "alpha");
    CU_ASSERT_STRING_EQUAL(c.data_set, "alpha \"records\"");
    CU_ASSERT_STRING_EQUAL(c.records, d.records);
    CU_ASSERT_EQUAL(c.policy.epsilon, 2.0);
    CU_ASSERT_EQUAL(c.policy.delta, 1e-4);
    CU_ASSERT_EQUAL(c.policy.min_cohort, 4);
    CU_ASSERT_EQUAL_FATAL(c.policy.purpose_count, 2);
    CU_ASSERT_STRING_EQUAL(c.policy.purposes[1], "a \\ purpose");
    CU_ASSERT(stat(d.config, &st) == 0 && (st.st_mode & 0777) == 0600);
    fm_node_config_fini(&c);
    CU_ASSERT_EQUAL(run_init(&d), 1); /* never overwrites */
    CU_ASSERT(said(&d, "is there already"));
    close_desk(&d);
}

static void init_needs_a_purpose_and_leaves_nothing(void)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(run(&d, "init", "--directory", d.dir, "--name", "alpha", "--door",
                        "tcp://127.0.0.1:9", "--door-key", KEY, "--identity", world_node_dir(),
                        "--records", d.records, (char *)NULL),
                    2);
    CU_ASSERT(said(&d, "--purpose TEXT is required"));
    CU_ASSERT_FALSE(fm_file_exists(d.config));
    close_desk(&d);
}

/* node.yaml is not there for anybody to look at: only the option's name helps. */
static void init_names_the_option_that_is_wrong(void)
{
    static const struct {
        const char *name, *value, *words;
    } cases[] = {
        { "--door", "127.0.0.1:9", "--door: door must read tcp://HOST:PORT" },
        { "--door-key", "x", "--door-key: door_key must be" },
        { "--records", "/nowhere.csv", "--records /nowhere.csv: is not there" },
        { "--schema", "/nowhere.yaml", "--schema /nowhere.yaml: is not there" },
        { "--identity", "/nowhere", "--identity /nowhere: " },
        { "--name", "beta", "is that of node 'alpha', not of node 'beta' (--name)" },
        { "--data-name", "", "--data-name: 'name' is empty" },
        { "--unit", "", "--unit: 'unit' is empty" },
        { "--purpose", "", "--purpose: a purpose has 1 to 255 bytes" },
        { "--delta", "0.1", "--delta: delta must be below 0.1" },
    };
    desk d;

    open_desk(&d);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        const char *usual[] = {
            "--name",    "alpha",   "--door",     "tcp://127.0.0.1:9", "--door-key", KEY,
            "--records", d.records, "--identity", world_node_dir(),    "--purpose",  "x"
        };
        size_t k = 0;

        for (size_t j = 0; j < FM_TEST_COUNT(usual); j += 2)
            if (strcmp(usual[j], cases[i].name) == 0) {
                usual[j + 1] = cases[i].value;
                k = 1;
            }
        CU_ASSERT_EQUAL(run(&d, "init", "--directory", d.dir, usual[0], usual[1], usual[2],
                            usual[3], usual[4], usual[5], usual[6], usual[7], usual[8], usual[9],
                            usual[10], usual[11], k ? (char *)NULL : cases[i].name, cases[i].value,
                            (char *)NULL),
                        1);
        CU_ASSERT(said(&d, cases[i].words));
        CU_ASSERT_FALSE(fm_file_exists(d.config));
    }
    close_desk(&d);
}

static void check_finds_every_problem_at_once(void)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    CU_ASSERT_EQUAL(run(&d, "check", "--config", d.config, "--schema", d.schema, (char *)NULL), 0);
    CU_ASSERT(said(&d, "4 records fit the schema 'tiny'"));
    CU_ASSERT(said(&d, "valid until"));
    CU_ASSERT(said(&d, " GFLOP/s float32"));
    write_file(d.records, "1,0\n200,1\nx,0\n");
    {
        char ledger[PATH_CAP];

        make_path(ledger, d.dir, "ledger.db");
        need(fm_file_replace(ledger, "junk", 4, 0644) == FM_OK, "a wide ledger");
    }
    CU_ASSERT_EQUAL(run(&d, "check", "--config", d.config, "--schema", d.schema, (char *)NULL), 1);
    CU_ASSERT(said(&d, "records.csv:2"));
    CU_ASSERT(said(&d, "records.csv:3"));
    CU_ASSERT(said(&d, "PROBLEM  ledger"));
    CU_ASSERT(said(&d, "3 problems"));
    write_file(d.config, "nonsense: 1\n");
    CU_ASSERT_EQUAL(run(&d, "check", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "node.yaml:1"));
    close_desk(&d);
}

static void before_the_first_start_there_is_nothing_to_show(void)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    CU_ASSERT_EQUAL(run(&d, "status", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "not been started"));
    CU_ASSERT_EQUAL(run(&d, "plan", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "no plan was offered"));
    CU_ASSERT_EQUAL(run(&d, "ledger", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "nothing has been spent"));
    close_desk(&d);
}

static void charge(const desk *d, uint64_t rounds)
{
    const fm_ledger_budget budget = { 2.0, 1e-4 };
    fm_ledger_entry e = { .data_set = "alpha \"records\"",
                          .federation = FEDERATION,
                          .purpose = "heart disease risk",
                          .mechanism = { 20.0, 0.5, 1, FM_DP_GAUSSIAN, 0 } };
    char path[PATH_CAP];
    fm_ledger *l = NULL;

    make_path(path, d->dir, "ledger.db");
    need(fm_ledger_open(path, &l) == FM_OK, "a ledger");
    for (e.round = 1; e.round <= rounds; e.round++)
        need(fm_ledger_charge(l, &e, &budget) == FM_OK, "an entry");
    fm_ledger_close(&l);
}

static void ledger_shows_rows_sum_and_what_is_left(void)
{
    char path[PATH_CAP];
    json_t *j;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    charge(&d, 3);
    CU_ASSERT_EQUAL(run(&d, "ledger", "--config", d.config, (char *)NULL), 0);
    CU_ASSERT(said(&d, "3 entries; the chain of hashes is whole"));
    CU_ASSERT_EQUAL(run(&d, "ledger", "--config", d.config, "--json", (char *)NULL), 0);
    j = json_loadb((const char *)d.said.data, d.said.len, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "rows")), 3);
    CU_ASSERT(json_is_true(json_object_get(j, "chain_verified")));
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(j, "epsilon_spent")) +
                               json_real_value(json_object_get(j, "epsilon_left")),
                           2.0, 1e-9);
    json_decref(j);
    make_path(path, d.dir, "ledger.db");
    CU_ASSERT_EQUAL(chmod(path, 0640), 0);
    CU_ASSERT_EQUAL(run(&d, "ledger", "--config", d.config, (char *)NULL), 1);
    close_desk(&d);
}

/** A model that says: positive when a is. */
static void write_model(const desk *d)
{
    fm_schema *schema = NULL;
    fm_tabular_config config;
    fm_tabular *t = NULL;
    char path[PATH_CAP];
    fm_buf file = { 0 };
    float weights[16] = { 1.0f };

    need(fm_schema_parse("schema", schema_text, sizeof schema_text - 1, &schema) == FM_OK &&
             fm_tabular_config_parse("model", "width: 0\n", 9, schema, &config) == FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK,
         "a model");
    need(fm_schema_features(schema) + 1 <= 16, "room");
    need(fm_tabular_set(t, weights, fm_schema_features(schema) + 1) == FM_OK &&
             fm_tabular_encode(t, schema, NULL, 0, &file) == FM_OK,
         "a file");
    make_path(path, d->dir, "model.safetensors");
    need(fm_file_replace(path, file.data, file.len, 0644) == FM_OK, path);
    fm_buf_fini(&file);
    fm_tabular_free(&t);
    fm_schema_free(&schema);
}

static void evaluate_and_predict_read_the_model_beside_the_configuration(void)
{
    char predictions[PATH_CAP];
    fm_buf csv = { 0 };
    struct stat st;
    json_t *j;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    write_model(&d);
    CU_ASSERT_EQUAL(run(&d, "evaluate", "--config", d.config, "--data", d.records, d.records,
                        "--json", (char *)NULL),
                    0);
    j = json_loadb((const char *)d.said.data, d.said.len, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "rows")), 8);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(j, "auc")), 1.0);
    json_decref(j);
    make_path(predictions, d.dir, "out.csv");
    CU_ASSERT_EQUAL(run(&d, "predict", "--config", d.config, "--input", d.records, "--output",
                        predictions, (char *)NULL),
                    0);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(predictions, 4096, &csv), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)csv.data, "line,logit,probability\n1,1,0.73105"));
    CU_ASSERT(stat(predictions, &st) == 0 && (st.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(run(&d, "predict", "--config", d.config, "--input", d.records, "--output",
                        predictions, (char *)NULL),
                    1);
    CU_ASSERT(said(&d, "--force"));
    CU_ASSERT_EQUAL(run(&d, "predict", "--config", d.config, "--input", d.records, "--output",
                        predictions, "--force", (char *)NULL),
                    0);
    CU_ASSERT_EQUAL(run(&d, "predict", "--config", d.config, "--input", d.records, "--output",
                        d.records, "--force", (char *)NULL),
                    1);
    CU_ASSERT(said(&d, "same file as the input"));
    CU_ASSERT_EQUAL(run(&d, "evaluate", "--config", d.config, "--data", d.records, "--reliability",
                        d.config, (char *)NULL),
                    1);
    CU_ASSERT(said(&d, "same file as the input"));
    CU_ASSERT_EQUAL(
        run(&d, "evaluate", "--config", d.config, "--data", "/nowhere.csv", (char *)NULL), 1);
    CU_ASSERT(said(&d, "/nowhere.csv"));
    fm_buf_fini(&csv);
    close_desk(&d);
}

static const char *state_of(const desk *d, json_t **j)
{
    char path[PATH_CAP];

    make_path(path, d->dir, "status.json");
    need(fm_json_read(path, j) == FM_OK, "status.json");
    return json_string_value(json_object_get(*j, "state"));
}

static void without_an_aggregator_start_gives_up_and_says_why(void)
{
    json_t *j = NULL;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    CU_ASSERT_EQUAL(run(&d, "start", "--config", d.config, "--retry-s", "1", (char *)NULL), 1);
    CU_ASSERT(said(&d, "tcp://127.0.0.1:9"));
    CU_ASSERT_STRING_EQUAL(state_of(&d, &j), "failed");
    CU_ASSERT_EQUAL(json_real_value(json_object_get(j, "epsilon_budget")), 2.0);
    json_decref(j);
    CU_ASSERT_EQUAL(run(&d, "status", "--config", d.config, (char *)NULL), 0);
    CU_ASSERT(said(&d, "node alpha: failed"));
    close_desk(&d);
}

static void a_signal_ends_start_at_once(void)
{
    struct timespec t = { 0, 500000000 };
    json_t *j = NULL;
    pid_t child;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    child = run_on(&d, "start", "--config", d.config, "--retry-s", "600", (char *)NULL);
    (void)nanosleep(&t, NULL);
    CU_ASSERT_EQUAL(kill(child, SIGTERM), 0);
    CU_ASSERT_EQUAL(finish(&d, child), 1);
    CU_ASSERT(said(&d, "stopped by a signal"));
    CU_ASSERT_STRING_EQUAL(state_of(&d, &j), "stopped");
    json_decref(j);
    close_desk(&d);
}

static void a_name_that_is_not_the_certificates_is_refused(void)
{
    fm_buf b = { 0 };
    char *at;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(run_init(&d), 0);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(d.config, 1 << 16, &b), FM_OK);
    at = strstr((char *)b.data, "name: alpha\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, "name: gamma", 11);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(d.config, b.data, b.len, 0600), FM_OK);
    CU_ASSERT_EQUAL(run(&d, "start", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "'alpha'"));
    fm_buf_fini(&b);
    close_desk(&d);
}

static void an_expired_certificate_is_refused_before_anyone_is_called(void)
{
    char identity[PATH_CAP];
    desk d;

    open_desk(&d);
    make_path(identity, the_world()->root, "expired");
    CU_ASSERT_EQUAL_FATAL(run(&d, "init", "--directory", d.dir, "--name", "epsilon", "--door",
                              "tcp://127.0.0.1:9", "--door-key", KEY, "--identity", identity,
                              "--records", d.records, "--purpose", "x", (char *)NULL),
                          0);
    CU_ASSERT_EQUAL(run(&d, "start", "--config", d.config, "--retry-s", "600", (char *)NULL), 1);
    CU_ASSERT(said(&d, "expired"));
    CU_ASSERT(said(&d, "identity.crt"));
    CU_ASSERT_EQUAL(run(&d, "check", "--config", d.config, (char *)NULL), 1);
    CU_ASSERT(said(&d, "PROBLEM  identity"));
    close_desk(&d);
}

static const fm_test tests[] = {
    { "every command has help with examples; usage errors are 2",
      every_command_has_help_with_examples },
    { "init writes a file that reads back, and never overwrites",
      init_writes_a_file_that_reads_back },
    { "init needs a purpose, and leaves nothing", init_needs_a_purpose_and_leaves_nothing },
    { "init names the option that is wrong", init_names_the_option_that_is_wrong },
    { "check finds every problem at once", check_finds_every_problem_at_once },
    { "before the first start there is nothing to show",
      before_the_first_start_there_is_nothing_to_show },
    { "ledger shows rows, sum and what is left", ledger_shows_rows_sum_and_what_is_left },
    { "evaluate and predict read the model beside the configuration",
      evaluate_and_predict_read_the_model_beside_the_configuration },
    { "without an aggregator, start gives up and says why",
      without_an_aggregator_start_gives_up_and_says_why },
    { "a signal ends start at once", a_signal_ends_start_at_once },
    { "a name that is not the certificate's is refused",
      a_name_that_is_not_the_certificates_is_refused },
    { "an expired certificate is refused before anyone is called",
      an_expired_certificate_is_refused_before_anyone_is_called },
};

const fm_test_suite suite_program = { "node.program", tests, FM_TEST_COUNT(tests) };
