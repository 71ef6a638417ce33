/* fedmoe-model train: from records to a model, and what it says of it. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fedmoe/base/file.h"
#include "rig.h"
#include "suites.h"

#define SCHEMA                                                              \
    "name: t\ncsv: {header: false}\ncolumns:\n"                             \
    "  - {name: who, kind: ignore}\n"                                       \
    "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 3}\n" \
    "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 3}\n" \
    "  - {name: y, kind: label, negative: [\"no\"], positive: [\"yes\"]}\n"

static char g_output[32768]; /* of the last run: standard output and error */
static char g_dir[256];

/* Run in the folder; returns the exit code. */
static int run(const char *args, ...)
{
    char line[1400], words[900];
    va_list list;
    size_t n;
    FILE *f;
    int status;

    va_start(list, args);
    (void)vsnprintf(words, sizeof words, args, list);
    va_end(list);
    (void)snprintf(line, sizeof line, "cd '%s' && '%s' %s 2>&1 </dev/null", g_dir, FEDMOE_MODEL,
                   words);
    need((f = popen(line, "r")) != NULL, "a program");
    n = fread(g_output, 1, sizeof g_output - 1, f);
    g_output[n] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool printed(const char *word)
{
    if (strstr(g_output, word))
        return true;
    printf("    output without '%s': %s\n", word, g_output);
    return false;
}

static void put(const char *name, const char *data, size_t len)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", g_dir, name);
    need(fm_file_replace(path, data, len, 0600) == FM_OK, path);
}

/* Three visits each; the sum of two columns decides. */
static void put_records(const char *name, unsigned rows, unsigned phase)
{
    fm_buf csv = { 0 };

    for (unsigned i = 0; i < rows; i++) {
        double a = 6.0 * sin(1.7 * i + phase), b = 6.0 * cos(0.9 * i + phase);

        need(fm_buf_printf(&csv, "p%u,%.3f,%.3f,%s\n", i / 3, a, b, a + b > 1.0 ? "yes" : "no") ==
                 FM_OK,
             "records");
    }
    put(name, (const char *)csv.data, csv.len);
    fm_buf_fini(&csv);
}

static void begin(void)
{
    fm_test_tmpdir(g_dir, sizeof g_dir);
    put("s.yaml", SCHEMA, strlen(SCHEMA));
    put_records("train.csv", 3000, 0);
    put_records("test.csv", 600, 5);
}

/* The figure after `key` in the last output. */
static double figure(const char *key)
{
    const char *at = strstr(g_output, key);

    return at ? strtod(at + strlen(key), NULL) : NAN;
}

static void it_trains_without_tuning(void)
{
    double spent, delta;

    begin();
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --epsilon 1 --test test.csv "
                        "--output m.safetensors --json"),
                    0);
    CU_ASSERT(printed("is treated as public"));
    CU_ASSERT(figure("\"epsilon\": ") <= 1.0 && figure("\"epsilon\": ") > 0.9);
    CU_ASSERT_DOUBLE_EQUAL(figure("\"delta\": "), pow(3000.0, -1.1), 1e-9);
    printf("    AUC %.3f\n", figure("\"auc\": "));
    CU_ASSERT(figure("\"auc\": ") > 0.9);
    spent = figure("\"epsilon\": ");
    delta = figure("\"delta\": ");
    CU_ASSERT_EQUAL(run("inspect m.safetensors"), 0);
    CU_ASSERT(figure("fedmoe.epsilon: ") >= spent && figure("fedmoe.delta: ") >= delta);
    CU_ASSERT(printed("fedmoe.epsilon: 0.9") && printed("fedmoe.mechanism: discrete Gaussian") &&
              printed("fedmoe.delta: 0.0001"));
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors --json test.csv"), 0);
    CU_ASSERT(figure("\"auc\": ") > 0.9);
}

static void a_unit_may_be_a_column_and_their_number_unsaid(void)
{
    begin();
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --unit who --epsilon 2 --delta "
                        "1e-5 --expected-units 900 --rounds 5 --output m.safetensors"),
                    0);
    CU_ASSERT_FALSE(strstr(g_output, "treated as public"));
    CU_ASSERT_FALSE(strstr(g_output, "1000"));
    CU_ASSERT(printed("for each who") && printed("rounds            5"));
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --unit nobody --epsilon 2 "
                        "--output n.safetensors"),
                    1);
    CU_ASSERT(printed("nobody"));
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --unit who --epsilon 2 "
                        "--expected-units 100 --output n.safetensors"),
                    1);
    CU_ASSERT(printed("more than twice"));
}

static void without_privacy_it_is_loud_and_the_same_again(void)
{
    begin();
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --no-privacy --seed 4 "
                            "--rounds 5 --threads %d --output %d.safetensors",
                            i + 1, i),
                        0);
    CU_ASSERT(printed("NOTHING IS PRIVATE"));
    CU_ASSERT_EQUAL(run("--version; cmp 0.safetensors 1.safetensors"), 0);
    CU_ASSERT_EQUAL(run("inspect 0.safetensors"), 0);
    CU_ASSERT(printed("fedmoe.epsilon: none"));
    CU_ASSERT_EQUAL(run("--version; stat -c 'mode %%a' 0.safetensors"), 0);
    CU_ASSERT(printed("mode 600\n")); /* its weights may hold records */
    CU_ASSERT_EQUAL(run("--version; chmod 644 0.safetensors"), 0);
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --no-privacy --rounds 2 --force "
                        "--output 0.safetensors"),
                    0);
    CU_ASSERT_EQUAL(run("--version; stat -c 'mode %%a' 0.safetensors"), 0);
    CU_ASSERT(printed("mode 600\n"));
}

/* Before anything is read: the data that is named last is not even there. */
static void the_output_is_looked_at_before_the_training(void)
{
    static const struct {
        const char *output, *word;
    } cases[] = {
        { "there.safetensors", "--force" },
        { "no/m.safetensors", "folder no: No such file" },
        { "s.yaml/m.safetensors", "s.yaml is not a folder" },
        { "/dev/null --force", "regular file" },
        { "s.yaml --force", "same file as the input" },
        { "link.yaml --force", "same file as the input" },
        { "hard.yaml --force", "same file as the input" },
        { "test.csv --force --test test.csv", "same file as the input" },
    };

    begin();
    put("there.safetensors", "x", 1);
    CU_ASSERT_EQUAL(run("--version; ln -s s.yaml link.yaml; ln s.yaml hard.yaml"), 0);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(
            run("train --schema s.yaml --epsilon 1 --output %s --data none.csv", cases[i].output),
            1);
        CU_ASSERT(printed(cases[i].word));
        CU_ASSERT_FALSE(strstr(g_output, "none.csv"));
    }
}

static void a_large_delta_is_said_to_be_one(void)
{
    begin();
    put_records("few.csv", 60, 0);
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data few.csv --epsilon 5 --delta 0.0125 --rounds "
                        "2 --output m.safetensors"),
                    0);
    CU_ASSERT(printed("delta 0.0125 is large") && printed("one unit in 80"));
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data few.csv --epsilon 5 --delta 0.001 --rounds "
                        "2 --output n.safetensors"),
                    0);
    CU_ASSERT_FALSE(strstr(g_output, "is large"));
    put_records("fewer.csv", 5, 0);
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data fewer.csv --epsilon 5 --rounds 2 --output "
                        "o.safetensors"),
                    0);
    CU_ASSERT(printed("at delta 0.01,") && printed("is large"));
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data fewer.csv --epsilon 5 --delta 0.1 --output "
                        "p.safetensors"),
                    2);
    CU_ASSERT(printed("--delta must be below 0.1"));
}

static void nonsense_is_refused(void)
{
    static const struct {
        const char *args, *word;
        int code;
    } cases[] = {
        { "", "--epsilon", 2 },
        { "--epsilon 1 --no-privacy", "not both", 2 },
        { "--no-privacy --delta 1e-5", "no meaning", 2 },
        { "--epsilon 0", "epsilon", 2 },
        { "--epsilon -1", "epsilon", 2 },
        { "--epsilon nan", "epsilon", 2 },
        { "--epsilon 1 --delta 1", "delta", 2 },
        { "--epsilon 1 --delta 0.01", "more than one record", 1 },
        { "--epsilon 1 --max-unit-rows 3", "--unit COLUMN", 2 },
        { "--epsilon 1 --threads 0", "threads", 2 },
        { "--epsilon 1 --model-config s.yaml", "a key of a schema", 1 },
        { "--epsilon 1 --test none.csv", "none.csv", 1 },
    };

    begin();
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(
            run("train --schema s.yaml --data train.csv --output m.safetensors %s", cases[i].args),
            cases[i].code);
        CU_ASSERT(printed(cases[i].word));
    }
    put("empty.csv", "", 0);
    CU_ASSERT_EQUAL(
        run("train --schema s.yaml --data empty.csv --epsilon 1 --output m.safetensors"), 1);
    CU_ASSERT_EQUAL(run("train --schema s.yaml --data train.csv --no-privacy --rounds 1 --output "
                        "train.csv"),
                    1); /* it is there */
    CU_ASSERT(printed("train.csv"));
    CU_ASSERT_EQUAL(run("inspect m.safetensors"), 1); /* nothing was written */
}

static const fm_test tests[] = {
    { "it trains without tuning", it_trains_without_tuning },
    { "a unit may be a column, and their number unsaid",
      a_unit_may_be_a_column_and_their_number_unsaid },
    { "without privacy it is loud, and the same again",
      without_privacy_it_is_loud_and_the_same_again },
    { "the output is looked at before the training", the_output_is_looked_at_before_the_training },
    { "a large delta is said to be one", a_large_delta_is_said_to_be_one },
    { "nonsense is refused", nonsense_is_refused },
};

const fm_test_suite suite_program = { "train.program", tests, FM_TEST_COUNT(tests) };
