/* fedmoe-model itself: exit codes, output, messages. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <jansson.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "suites.h"

#define SCHEMA                                                \
    "name: t\ncsv: {header: false}\ncolumns:\n"               \
    "  - {name: x, kind: numeric, range: [0, 8], scale: 2}\n" \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"

static char output[32768]; /* of the last run: standard output and error */
static char dir[256];

/* Run in dir; returns the exit code. */
static int run(const char *args, ...)
{
    char line[1024], words[512];
    va_list list;
    size_t n;
    FILE *f;
    int status;

    va_start(list, args);
    (void)vsnprintf(words, sizeof words, args, list);
    va_end(list);
    (void)snprintf(line, sizeof line, "cd '%s' && '%s' %s 2>&1 </dev/null", dir, FEDMOE_MODEL,
                   words);
    if (!(f = popen(line, "r"))) {
        CU_FAIL_FATAL("popen");
        return -1;
    }
    n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool printed(const char *word)
{
    if (strstr(output, word))
        return true;
    printf("    output without '%s': %s\n", word, output);
    return false;
}

static void put(const char *name, const char *text)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, text, strlen(text), 0600), FM_OK);
}

static void begin(void)
{
    fm_test_tmpdir(dir, sizeof dir);
    put("s.yaml", SCHEMA);
    put("a.csv", "1,0\n2,0\n6,1\n7,1\n");
    put("b.csv", "3,0\n,1\n");
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output m.safetensors --seed 5"), 0);
    CU_ASSERT_TRUE(printed("m.safetensors: 2 features, ") && !strstr(output, "SEEDED"));
}

static void the_same_seed_gives_the_same_file(void)
{
    begin();
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output n.safetensors --seed 5"), 0);
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output o.safetensors --seed 6"), 0);
    CU_ASSERT_EQUAL(run("--version; cmp m.safetensors n.safetensors"), 0);
    CU_ASSERT_NOT_EQUAL(run("--version; cmp m.safetensors o.safetensors"), 0);
}

static void a_file_that_is_there_stays_unless_forced(void)
{
    begin();
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output m.safetensors"), 1);
    CU_ASSERT_TRUE(printed("m.safetensors"));
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output m.safetensors --force"), 0);
    put("bad.yaml", "width: x\n");
    CU_ASSERT_EQUAL(run("new --schema s.yaml --config bad.yaml --output p.safetensors"), 1);
    CU_ASSERT_TRUE(printed("fedmoe-model new: bad.yaml:1:8"));
    CU_ASSERT_EQUAL(run("new --schema s.yaml"), 2);
    CU_ASSERT_EQUAL(run("new --schema none.yaml --output q"), 1);
    CU_ASSERT_TRUE(printed("none.yaml"));
}

static void inspect_shows_what_is_inside(void)
{
    json_t *j;

    begin();
    CU_ASSERT_EQUAL(run("inspect m.safetensors"), 0);
    CU_ASSERT_TRUE(printed("t (2 columns, 2 features)") && printed("blocks.0.experts.3.w2") &&
                   printed("top_k: 2") && printed("tabular-moe"));
    CU_ASSERT_EQUAL(run("inspect --json m.safetensors"), 0);
    j = json_loads(output, 0, NULL);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "schema")), "t");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "features")), 2);
    CU_ASSERT_TRUE(json_array_size(json_object_get(j, "tensors")) > 10);
    CU_ASSERT_PTR_NOT_NULL(json_object_get(json_object_get(j, "metadata"), "fedmoe.schema"));
    CU_ASSERT_PTR_NULL(json_object_get(j, "compute"));
    json_decref(j);
    CU_ASSERT_EQUAL(run("inspect --speed m.safetensors"), 0);
    CU_ASSERT_TRUE(printed(" GFLOP/s float32"));
    CU_ASSERT_EQUAL(run("inspect --speed --json m.safetensors"), 0);
    j = json_loads(output, 0, NULL);
    CU_ASSERT_TRUE(json_real_value(json_object_get(json_object_get(j, "compute"), "peak_gflops")) >
                   0.0);
    json_decref(j);
    CU_ASSERT_EQUAL(run("inspect a.csv"), 1);
    CU_ASSERT_TRUE(printed("a.csv: not a safetensors file, as models are: it begins with text"));
}

static void evaluate_measures_each_file_and_all(void)
{
    json_t *root, *j;

    begin();
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors a.csv b.csv"), 0);
    CU_ASSERT_TRUE(printed("a.csv") && printed("b.csv") && printed("all together"));
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors --json a.csv b.csv"), 0);
    j = root = json_loads(output, 0, NULL);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "files")), 2);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(j, "all"), "rows")), 6);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(j, "all"), "positives")), 3);
    j = json_object_get(j, "all");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "auc_ci")), 2);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "reliability")), 10);
    json_decref(root);
    put("one.csv", "1,0\n");
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors --json one.csv"), 0);
    CU_ASSERT_TRUE(printed("\"auc\": null"));
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors"), 2);
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors none.csv"), 1);
}

static void evaluate_draws_how_predictions_come_true(void)
{
    begin();
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors --reliability r.svg a.csv b.csv"), 0);
    CU_ASSERT_TRUE(printed("95 % confidence") && printed("calibration slope"));
    CU_ASSERT_EQUAL(run("--version; tail -1 r.svg; stat -c %%a r.svg"), 0);
    CU_ASSERT_TRUE(printed("</svg>") && printed("600"));
    put("n.yaml", "name: n\ncsv: {header: false}\ncolumns:\n"
                  "  - {name: x, kind: numeric, range: [0, 8]}\n"
                  "  - {name: y, kind: label, range: [0, 10]}\n");
    put("n.csv", "1,2\n2,3.5\n7,9\n");
    CU_ASSERT_EQUAL(run("new --schema n.yaml --output n.safetensors"), 0);
    CU_ASSERT_EQUAL(run("evaluate --model n.safetensors n.csv"), 0);
    CU_ASSERT_TRUE(printed("RMSE") && printed("R2") && !strstr(output, "AUC"));
    CU_ASSERT_EQUAL(run("evaluate --model n.safetensors --reliability r.svg n.csv"), 1);
    CU_ASSERT_TRUE(printed("predicts a number"));
    CU_ASSERT_EQUAL(run("predict --model n.safetensors --input n.csv --id x"), 0);
    CU_ASSERT_TRUE(printed("x,prediction\n1,"));
}

static void predict_writes_one_probability_a_record(void)
{
    char path[300], first[64];
    struct stat info;
    fm_buf text = { 0 };
    size_t lines = 0;

    begin();
    put("new.csv", "1\n\n7\n");
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input new.csv --output p.csv"), 0);
    (void)snprintf(path, sizeof path, "%s/p.csv", dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1000, &text), FM_OK);
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    CU_ASSERT_EQUAL(lines, 3);
    CU_ASSERT_EQUAL(strncmp((const char *)text.data, "probability\n0.", 14), 0);
    CU_ASSERT_EQUAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
    (void)snprintf(first, sizeof first, "%.40s", (const char *)text.data);
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input new.csv"), 0);
    CU_ASSERT_TRUE(printed(first)); /* the same on standard output */
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input a.csv"), 0);
    fm_buf_fini(&text);
}

static void problems_have_a_line_each(void)
{
    begin();
    put("c.csv", "9,0\n1,2\n1\n");
    CU_ASSERT_EQUAL(run("evaluate --model m.safetensors a.csv c.csv"), 1);
    CU_ASSERT_STRING_EQUAL(
        output, "fedmoe-model evaluate: c.csv:1, column x: 9 is outside the declared range 0 to 8\n"
                "  c.csv:2, column y: \"2\" is neither a negative (0) nor a positive (1) label\n"
                "  c.csv:3: 1 field where 2 belong\n");
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input c.csv --output p.csv"), 1);
    CU_ASSERT_TRUE(printed("0 to 8\n  c.csv:3"));
}

static void an_output_is_never_an_input_nor_replaced_unasked(void)
{
    static const char *const outputs[] = { "a.csv", "./a.csv", "soft.csv", "hard.csv",
                                           "m.safetensors" };

    begin();
    CU_ASSERT_EQUAL(run("--version; ln -s a.csv soft.csv; ln a.csv hard.csv; cp a.csv keep.csv"),
                    0);
    for (size_t i = 0; i < FM_TEST_COUNT(outputs); i++) {
        CU_ASSERT_EQUAL(
            run("predict --model m.safetensors --input a.csv --output %s --force", outputs[i]), 1);
        CU_ASSERT_TRUE(printed("same file as the input"));
        CU_ASSERT_EQUAL(
            run("evaluate --model m.safetensors --reliability %s b.csv a.csv", outputs[i]), 1);
        CU_ASSERT_TRUE(printed("same file as the input"));
    }
    CU_ASSERT_EQUAL(run("new --schema s.yaml --output s.yaml --force"), 1);
    CU_ASSERT_TRUE(printed("same file as the input"));
    CU_ASSERT_EQUAL(run("--version; cmp a.csv keep.csv"), 0);
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input a.csv --output p.csv"), 0);
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input b.csv --output p.csv"), 1);
    CU_ASSERT_TRUE(printed("--force"));
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input b.csv --output p.csv --force"), 0);
    CU_ASSERT_EQUAL(run("predict --model m.safetensors --input b.csv --output no/p.csv"), 1);
    CU_ASSERT_TRUE(printed("folder no: No such file"));
}

static void a_full_disk_is_a_failure(void)
{
    static const char *const commands[] = { "evaluate --model m.safetensors a.csv",
                                            "evaluate --json --model m.safetensors a.csv",
                                            "predict --model m.safetensors --input a.csv",
                                            "inspect m.safetensors",
                                            "check --schema s.yaml a.csv",
                                            "new --schema s.yaml --output n.safetensors --force",
                                            "--help",
                                            "new --help",
                                            "--version" };

    begin();
    for (size_t i = 0; i < FM_TEST_COUNT(commands); i++) {
        /* Before the redirection of run(): standard error is what is read. */
        CU_ASSERT_EQUAL(run("%s 3>&1 >/dev/full 2>&3 3>&-; echo code $?", commands[i]), 0);
        CU_ASSERT_TRUE(printed("cannot write to standard output: No space left") &&
                       printed("code 1\n"));
    }
}

static void check_lists_everything_that_is_wrong(void)
{
    begin();
    CU_ASSERT_EQUAL(run("check --schema s.yaml a.csv b.csv"), 0);
    CU_ASSERT_TRUE(printed("a.csv: 4 records, 2 positive") &&
                   printed("b.csv: 2 records, 1 positive"));
    put("c.csv", "9,0\n1,2\n1\n");
    CU_ASSERT_EQUAL(run("check --schema s.yaml a.csv c.csv none.csv"), 1);
    CU_ASSERT_TRUE(printed("a.csv: 4 records") &&
                   printed("c.csv:1, column x: 9 is outside the declared range 0 to 8\n") &&
                   printed("c.csv:2, column y: \"2\" is neither") &&
                   printed("c.csv:3: 1 field where 2 belong\n") && printed("none.csv"));
    put("d.csv", "1\n2\n");
    CU_ASSERT_EQUAL(run("check --schema s.yaml d.csv"), 1);
    CU_ASSERT_EQUAL(run("check --schema s.yaml --unlabelled d.csv"), 0);
    CU_ASSERT_TRUE(printed("d.csv: 2 records\n"));
    CU_ASSERT_EQUAL(run("check --schema s.yaml"), 2);
}

static void help_has_examples(void)
{
    static const char *const commands[] = { "new", "inspect", "evaluate", "predict", "check" };

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL(run("--help"), 0);
    for (size_t i = 0; i < FM_TEST_COUNT(commands); i++) {
        CU_ASSERT_EQUAL(run("%s --help", commands[i]), 0);
        CU_ASSERT_TRUE(printed("Examples:") && printed(commands[i]));
    }
    CU_ASSERT_EQUAL(run("nonsense"), 2);
    CU_ASSERT_EQUAL(run(""), 2);
}

static const fm_test tests[] = {
    { "the same seed gives the same file", the_same_seed_gives_the_same_file },
    { "a file that is there stays unless forced", a_file_that_is_there_stays_unless_forced },
    { "inspect shows what is inside", inspect_shows_what_is_inside },
    { "evaluate measures each file and all", evaluate_measures_each_file_and_all },
    { "evaluate draws how predictions come true", evaluate_draws_how_predictions_come_true },
    { "predict writes one probability a record", predict_writes_one_probability_a_record },
    { "problems have a line each", problems_have_a_line_each },
    { "an output is never an input, nor replaced unasked",
      an_output_is_never_an_input_nor_replaced_unasked },
    { "a full disk is a failure", a_full_disk_is_a_failure },
    { "check lists everything that is wrong", check_lists_everything_that_is_wrong },
    { "help has examples", help_has_examples },
};
const fm_test_suite suite_program = { "model.program", tests, FM_TEST_COUNT(tests) };
