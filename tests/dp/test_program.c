/* fedmoe-dp as people and scripts run it. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fm_test.h"
#include "ledger_support.h"

extern const fm_test_suite fm_suite_dp_program;

/* Exit code of "fedmoe-dp ARGS"; what it wrote, on either stream, in out. */
static int run(const char *args, char *out, size_t cap)
{
    char self[2048], command[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    size_t len;
    FILE *f;
    int status;

    if (n < 0)
        return -1;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(command, sizeof command, "'%s/fedmoe-dp' %s 2>&1", self, args);
    if (!(f = popen(command, "r")))
        return -1;
    len = fread(out, 1, cap - 1, f);
    out[len] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void epsilon_delta_and_sigma_agree_with_the_library(void)
{
    fm_dp_mechanism m[] = { { 1.1, 0.01, 1000, FM_DP_GAUSSIAN, 0 },
                            { 20.0, 1.0, 1, FM_DP_GAUSSIAN, 0 } };
    char out[8192];
    fm_dp_mechanism mix[] = { { 1.1, 0.01, 500, FM_DP_GAUSSIAN, 0 },
                              { 10.0, 1.0, 100, FM_DP_LAPLACE, 0 },
                              { 2.0, 0.1, 30, FM_DP_DISCRETE_GAUSSIAN, 5 } };
    fm_dp_cost rdp = { 0 };
    double expected = 0.0;
    json_t *o;

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, m, 2, 1e-5, &rdp), FM_OK);
    CU_ASSERT_EQUAL(run("epsilon --noise-multiplier 1.1 --sampling-rate 0.01 --steps 1000"
                        " --mechanism gaussian:z=20 --delta 1e-5 --accountant rdp --json",
                        out, sizeof out),
                    0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "epsilon")), rdp.epsilon);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "delta")), 1e-5);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "accountant")), "rdp");
    json_decref(o);

    CU_ASSERT_EQUAL(fm_dp_epsilon(mix, 3, 1e-5, &expected), FM_OK);
    CU_ASSERT_EQUAL(run("epsilon --mechanism gaussian:z=1.1,q=0.01,steps=500"
                        " --mechanism laplace:b=10,steps=100 --mechanism "
                        "discrete-gaussian:z=2,sensitivity=5,q=0.1,steps=30 --delta 1e-5 --json",
                        out, sizeof out),
                    0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "epsilon")), expected);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "accountant")), "pld");
    json_decref(o);

    CU_ASSERT_EQUAL(fm_dp_delta(m, 1, 2.0, &expected), FM_OK);
    CU_ASSERT_EQUAL(run("delta --mechanism gaussian:z=1.1,q=0.01,steps=1000 --epsilon 2 --json",
                        out, sizeof out),
                    0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "delta")), expected);
    json_decref(o);

    CU_ASSERT_EQUAL(fm_dp_calibrate(2.0, 1e-5, 0.05, 300, &expected), FM_OK);
    CU_ASSERT_EQUAL(run("sigma --epsilon 2 --delta 1e-5 --sampling-rate 0.05 --steps 300 --json",
                        out, sizeof out),
                    0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "noise_multiplier")), expected);
    CU_ASSERT(json_real_value(json_object_get(o, "epsilon")) <= 2.0);
    json_decref(o);
}

static void printed_noise_is_rounded_up(void)
{
    char out[8192];
    double z = 0.0;

    CU_ASSERT_EQUAL(fm_dp_calibrate(2.0, 1e-5, 0.05, 300, &z), FM_OK);
    CU_ASSERT_EQUAL(
        run("sigma --epsilon 2 --delta 1e-5 --sampling-rate 0.05 --steps 300", out, sizeof out), 0);
    CU_ASSERT(strtod(out + strlen("noise multiplier "), NULL) >= z);
    CU_ASSERT(strtod(out + strlen("noise multiplier "), NULL) <= z * (1.0 + 1e-5));
}

static void wrong_usage_is_exit_code_2_and_says_what(void)
{
    static const struct {
        const char *args, *word;
    } cases[] = {
        { "", "Usage" },
        { "nonsense", "nonsense" },
        { "epsilon --delta 1e-5", "--noise-multiplier" },
        { "epsilon --noise-multiplier 1", "--delta" },
        { "epsilon --noise-multiplier 0 --delta 1e-5", "--noise-multiplier" },
        { "epsilon --noise-multiplier 1 --delta 1", "--delta" },
        { "epsilon --noise-multiplier 1 --delta 1e-5 --accountant gdp", "gdp" },
        { "epsilon --delta 1e-5 --mechanism laplace:z=1", "laplace:z=1" },
        { "epsilon --delta 1e-5 --mechanism gamma:z=1", "gamma:z=1" },
        { "sigma --epsilon 1 --delta 1e-5 --kind gamma", "gamma" },
        { "compose", "LEDGER" },
        { "epsilon --delta 1e-5 --mechanism gaussian:z=", "gaussian:z=" },
        { "epsilon --delta 1e-5 --mechanism gaussian:z=1,", "gaussian:z=1," },
        { "epsilon --delta 1e-5 --mechanism gaussian:z=0x1", "gaussian:z=0x1" },
        { "epsilon --delta 1e-5 --mechanism gaussian:z=1,q=2", "gaussian:z=1,q=2" },
        { "epsilon --delta 1e-5 --mechanism gaussian:q=1", "gaussian:q=1" },
        { "sigma --epsilon 1 --delta 1e-5 --steps 0", "--steps" },
        { "epsilon --noise-multiplier 1 --delta 1e-5 --steps 0", "--steps" },
        { "epsilon --mechanism gaussian:z=1,steps=0 --delta 1e-5", "--mechanism" },
        { "epsilon --mechanism gaussian:z=1,steps=18446744073709551616 --delta 1e-5",
          "--mechanism" },
        { "ledger", "FILE" },
    };
    char out[8192];

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(run(cases[i].args, out, sizeof out), 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, cases[i].word));
    }
}

static void every_command_has_help_with_an_example(void)
{
    static const char *const commands[] = { "epsilon", "delta",  "sigma",
                                            "compose", "ledger", "audit" };
    char out[8192], args[64];

    for (size_t i = 0; i < FM_TEST_COUNT(commands); i++) {
        snprintf(args, sizeof args, "%s --help", commands[i]);
        CU_ASSERT_EQUAL(run(args, out, sizeof out), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "Examples:"));
        snprintf(args, sizeof args, "fedmoe-dp %s", commands[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, args));
    }
}

static void a_ledger_is_shown_with_sums_and_verdict(void)
{
    char path[4096], args[8192], out[65536];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_entry e = ledger_test_entry(9);
    double expected = 0.0;
    json_t *o, *sets;

    ledger_test_charge_rounds(l, 1, 3);
    e.data_set = "hungary";
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-6, &expected), FM_OK);
    fm_ledger_close(&l);

    snprintf(args, sizeof args, "ledger '%s' --delta 1e-6 --json", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT(json_is_true(json_object_get(o, "verified")));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "entries")), 4);
    sets = json_object_get(o, "data_sets");
    CU_ASSERT_EQUAL(json_object_size(sets), 2);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(json_object_get(sets, "cleveland"), "epsilon")),
                    expected);
    json_decref(o);

    snprintf(args, sizeof args, "ledger '%s' --data-set hungary", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "data set 'hungary': 1 releases"));
    CU_ASSERT_PTR_NULL(strstr(out, "cleveland"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "4 entries, hash chain verified"));

    snprintf(args, sizeof args, "compose '%s' --data-set cleveland --delta 1e-6 --json", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, 0, NULL));
    CU_ASSERT_EQUAL(json_object_size(o), 1);
    CU_ASSERT_DOUBLE_EQUAL(
        json_real_value(json_object_get(json_object_get(o, "cleveland"), "epsilon")), expected,
        1e-4 * expected);
    json_decref(o);

    snprintf(args, sizeof args, "ledger '%s' --data-set nowhere", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "nowhere"));
}

static void an_altered_ledger_is_exit_code_1_and_the_entry_named(void)
{
    char path[4096], args[8192], out[65536];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    sqlite3 *db = NULL;
    json_t *o;

    ledger_test_charge_rounds(l, 1, 3);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db,
                                 "DROP TRIGGER entry_no_update;"
                                 "UPDATE entry SET noise_multiplier = 50 WHERE sequence = 2",
                                 NULL, NULL, NULL),
                    SQLITE_OK);
    sqlite3_close(db);
    snprintf(args, sizeof args, "ledger '%s'", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "entry 2 "));
    CU_ASSERT_PTR_NULL(strstr(out, "verified"));
    snprintf(args, sizeof args, "ledger '%s' --json 2>/dev/null", path);
    CU_ASSERT_EQUAL(run(args, out, sizeof out), 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o = json_loads(out, JSON_DISABLE_EOF_CHECK, NULL));
    CU_ASSERT(json_is_false(json_object_get(o, "verified")));
    CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_object_get(o, "problem")), "entry 2 "));
    json_decref(o);
}

static void a_file_that_is_no_ledger_is_exit_code_1(void)
{
    char out[8192];

    CU_ASSERT_EQUAL(run("ledger /nonexistent/ledger.db", out, sizeof out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "/nonexistent/ledger.db"));
    CU_ASSERT_EQUAL(run("ledger /dev/null", out, sizeof out), 1);
    CU_ASSERT_EQUAL(run("ledger /tmp", out, sizeof out), 1);
}

static const fm_test tests[] = {
    { "epsilon, delta and sigma agree with the library",
      epsilon_delta_and_sigma_agree_with_the_library },
    { "printed noise is rounded up", printed_noise_is_rounded_up },
    { "wrong usage is exit code 2 and says what", wrong_usage_is_exit_code_2_and_says_what },
    { "every command has help with an example", every_command_has_help_with_an_example },
    { "a ledger is shown with sums and verdict", a_ledger_is_shown_with_sums_and_verdict },
    { "an altered ledger is exit code 1 and the entry named",
      an_altered_ledger_is_exit_code_1_and_the_entry_named },
    { "a file that is no ledger is exit code 1", a_file_that_is_no_ledger_is_exit_code_1 },
};

const fm_test_suite fm_suite_dp_program = { "dp.program", tests, FM_TEST_COUNT(tests) };
