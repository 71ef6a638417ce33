/* Predicting a file: the same text as record by record, whatever the threads; errors in order. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "predict_internal.h"
#include "suites.h"

#define HEAD                                                       \
    "name: t\ncolumns:\n"                                          \
    "  - {name: x, kind: numeric, range: [0, 1000], scale: 100}\n" \
    "  - {name: c, kind: categorical, values: [a, b]}\n"

static char dir[256];

static void path_of(char out[300], const char *name)
{
    (void)snprintf(out, 300, "%s/%s", dir, name);
}

static void put(const char *name, const void *data, size_t len)
{
    char path[300];

    path_of(path, name);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, data, len, 0600), FM_OK);
}

/* A folder with the model m.safetensors, of random weights, for HEAD and this label. */
static void begin(const char *label)
{
    char text[512];
    fm_tabular_config config;
    fm_tabular *m = NULL;
    fm_schema *s = NULL;
    fm_buf file = { 0 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 51);

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(text, sizeof text, HEAD "%s", label);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", text, strlen(text), &s), FM_OK);
    fm_tabular_config_default(s, &config);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&config, 1, &m), FM_OK);
    fm_tabular_init(m, &rng);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(m, s, NULL, 0, &file), FM_OK);
    put("m.safetensors", file.data, file.len);
    fm_buf_fini(&file);
    fm_tabular_free(&m);
    fm_schema_free(&s);
}

#define BINARY "  - {name: y, kind: label, negative: [n], positive: [p]}\n"

static fm_status predict(const char *id, size_t threads, bool lines, fm_buf *out)
{
    char model[300], input[300], output[300];
    const fm_predict_options o = { .model = model,
                                   .input = input,
                                   .output = output,
                                   .id = id,
                                   .force = true,
                                   .lines = lines,
                                   .threads = threads };
    uint64_t rows = 0;
    fm_status st;

    path_of(model, "m.safetensors");
    path_of(input, "in.csv");
    path_of(output, "out.csv");
    st = fm_predict_file(&o, &rows);
    if (!st && out)
        CU_ASSERT_EQUAL_FATAL(fm_file_read(output, SIZE_MAX, out), FM_OK);
    return st;
}

/* Records over several blocks; every thousandth has a line end in quotes. */
static void write_records(size_t count)
{
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "note,who,x,c\n"), FM_OK);
    for (size_t i = 0; i < count; i++)
        if (fm_buf_printf(&b, "%s,\"n %zu\",%zu,%c\n",
                          i % 1000 == 999 ? "\"a, \"\"b\"\"\nand so on\"" : "some words of it", i,
                          i * 7919 % 1001, "ab"[i % 2]))
            CU_FAIL_FATAL("no memory");
    put("in.csv", b.data, b.len);
    fm_buf_fini(&b);
}

/* The same by the table and printf. */
static void expect(const fm_buf *got)
{
    char model[300], input[300];
    const fm_table_options o = { .labels = false };
    const char *at = (const char *)got->data;
    fm_tabular *m = NULL;
    fm_schema *s = NULL;
    fm_table t = { 0 };
    float *logits;
    size_t wrong = 0;

    path_of(model, "m.safetensors");
    path_of(input, "in.csv");
    CU_ASSERT_EQUAL_FATAL(fm_tabular_load(model, 64, &s, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_table_load(input, s, &o, &t), FM_OK);
    logits = malloc(t.rows * sizeof *logits);
    CU_ASSERT_PTR_NOT_NULL_FATAL(logits);
    CU_ASSERT_EQUAL(fm_tabular_predict(m, t.x, t.rows, logits), FM_OK);
    CU_ASSERT_EQUAL(strncmp(at, "who,line,logit,probability\n", 27), 0);
    at += 27;
    for (size_t i = 0; i < t.rows && !wrong; i++) {
        char line[128];
        const int n = snprintf(line, sizeof line, "n %zu,%zu,%.9g,%.9g\n", i, t.lines[i],
                               (double)logits[i], 1.0 / (1.0 + exp(-(double)logits[i])));

        wrong += strncmp(at, line, (size_t)n) != 0;
        if (wrong)
            printf("    wanted %s    got %.60s\n", line, at);
        at += n;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(*at, '\0');
    free(logits);
    fm_table_fini(&t);
    fm_tabular_free(&m);
    fm_schema_free(&s);
}

static void every_record_is_predicted_whatever_the_threads(void)
{
    static const size_t threads[] = { 1, 2, 7 };
    fm_buf first = { 0 };

    begin(BINARY);
    write_records(120000); /* about 4 MB: several blocks */
    for (size_t i = 0; i < 3; i++) {
        fm_buf out = { 0 };

        CU_ASSERT_EQUAL_FATAL(predict("who", threads[i], true, i ? &out : &first), FM_OK);
        if (i)
            CU_ASSERT_TRUE(out.len == first.len && memcmp(out.data, first.data, out.len) == 0);
        fm_buf_fini(&out);
    }
    expect(&first);
    fm_buf_fini(&first);
}

static void problems_come_in_the_files_order_and_nothing_is_written(void)
{
    fm_buf b = { 0 };
    char path[300];

    begin(BINARY);
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "x,c\n"), FM_OK);
    for (size_t i = 2; i < 600000; i++)
        if (fm_buf_printf(&b, i % 150000 == 0 ? "x%zu,a\n" : "%zu,b\n", i % 1000))
            CU_FAIL_FATAL("no memory");
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "1,a\"\n1,c\n"), FM_OK);
    put("in.csv", b.data, b.len);
    for (size_t threads = 1; threads < 4; threads++) {
        CU_ASSERT_EQUAL(predict(NULL, threads, false, NULL), FM_EPARSE);
        const char *one =
                       strstr(fm_error_text(), "in.csv:150000, column x: \"x0\" is not a number"),
                   *two = strstr(fm_error_text(), "in.csv:300000, column x"),
                   *end = strstr(fm_error_text(), "in.csv:600000: a quote inside a cell");

        CU_ASSERT_TRUE(one && two && end && one < two && two < end);
        CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "600001"));
    }
    path_of(path, "out.csv");
    CU_ASSERT_FALSE(fm_file_exists(path));
    fm_buf_fini(&b);
}

static void what_cannot_be_read_is_said(void)
{
    begin(BINARY);
    put("in.csv", "x,d\n1,a\n", 8);
    CU_ASSERT_EQUAL(predict("who", 2, false, NULL), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "column c: the header does not have it"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "column who: the header does not have it"));
    put("in.csv", "\n\nx,c\n", 6);
    CU_ASSERT_EQUAL(predict(NULL, 2, false, NULL), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "there are no records"));
    put("in.csv", "", 0);
    CU_ASSERT_EQUAL(predict(NULL, 2, false, NULL), FM_EPARSE);
    put("in.csv", "x,c\n1\n", 6);
    CU_ASSERT_EQUAL(predict(NULL, 2, false, NULL), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "in.csv:2: 1 field where 2 belong"));
}

static void classes_are_named_with_their_probabilities(void)
{
    fm_buf out = { 0 };
    double p[3];
    char class[16];

    begin("  - {name: y, kind: label, values: [low, \"a,b\", high]}\n");
    put("in.csv", "x,c\n900,a\n", 10);
    CU_ASSERT_EQUAL_FATAL(predict("c", 1, false, &out), FM_OK);
    const char *text = (const char *)out.data;
    static const char head[] = "c,class,probability_low,\"probability_a,b\",probability_high\na,";

    CU_ASSERT_EQUAL_FATAL(strncmp(text, head, sizeof head - 1), 0);
    text += sizeof head - 1;
    CU_ASSERT_EQUAL(*text == '"' ? sscanf(text, "\"a,b\",%lf,%lf,%lf", &p[0], &p[1], &p[2]) + 1
                                 : sscanf(text, "%15[a-z],%lf,%lf,%lf", class, &p[0], &p[1], &p[2]),
                    4);
    CU_ASSERT_DOUBLE_EQUAL(p[0] + p[1] + p[2], 1.0, 1e-8);
    const double named = *text == '"' ? p[1] : strcmp(class, "low") == 0 ? p[0] : p[2];

    CU_ASSERT_EQUAL(named, fmax(p[0], fmax(p[1], p[2])));
    fm_buf_fini(&out);
}

static void numbers_are_in_the_labels_unit(void)
{
    char model[300], line[64];
    const char *cells[] = { "900", "a", NULL };
    fm_buf out = { 0 };
    fm_tabular *m = NULL;
    fm_schema *s = NULL;
    float x[16], y;
    size_t column;

    begin("  - {name: y, kind: label, range: [0, 4000], center: 1000, scale: 500}\n");
    put("in.csv", "x,c\n900,a\n", 10);
    CU_ASSERT_EQUAL_FATAL(predict(NULL, 1, false, &out), FM_OK);
    path_of(model, "m.safetensors");
    CU_ASSERT_EQUAL_FATAL(fm_tabular_load(model, 1, &s, &m), FM_OK);
    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, x, NULL, &column), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(m, x, 1, &y), FM_OK);
    (void)snprintf(line, sizeof line, "prediction\n%.9g\n", 1000.0 + 500.0 * (double)y);
    CU_ASSERT_STRING_EQUAL((const char *)out.data, line);
    fm_buf_fini(&out);
    fm_tabular_free(&m);
    fm_schema_free(&s);
}

/* A range so narrow that the first weights leave it on both sides. */
static void numbers_stay_in_the_labels_range(void)
{
    const char *at;
    fm_buf csv = { 0 }, out = { 0 };
    size_t below = 0, above = 0;

    begin("  - {name: y, kind: label, range: [1000, 1000.001], center: 1000.0005, scale: 500}\n");
    CU_ASSERT_EQUAL(fm_buf_printf(&csv, "x,c\n"), FM_OK);
    for (int i = 0; i <= 1000; i += 20)
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "%d,%c\n", i, "ab"[i / 20 % 2]), FM_OK);
    put("in.csv", csv.data, csv.len);
    CU_ASSERT_EQUAL_FATAL(predict(NULL, 1, false, &out), FM_OK);
    at = strchr((const char *)out.data, '\n') + 1;
    for (char *end; *at; at = end + 1) {
        const double v = strtod(at, &end);

        CU_ASSERT_FATAL(*end == '\n' && v >= 1000.0 && v <= 1000.001);
        below += v == 1000.0;
        above += v == 1000.001;
    }
    CU_ASSERT_TRUE(below + above > 25);
    fm_buf_fini(&csv);
    fm_buf_fini(&out);
}

static void numbers_are_written_as_printf_writes_them(void)
{
    static const double odd[] = { 0.0,         -0.0,        1.0,          0.5,
                                  0.1,         1e-4,        1e-5,         9.9e-5,
                                  0.99999999,  0.999999999, 0.9999999995, 1e8,
                                  999999999.0, 999999999.5, 1e9,          1e22,
                                  1e-22,       1e-13,       1e-14,        1e-15,
                                  1e-300,      123456.5,    1234567.125,  0.000123456789,
                                  5e-324,      1.0 / 3 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 52);
    size_t wrong = 0;

    for (size_t t = 0; t < 60000 + FM_TEST_COUNT(odd); t++) {
        char want[64], got[24];
        double v;
        int n;

        if (t < FM_TEST_COUNT(odd))
            v = odd[t];
        else if (t % 3 == 0) /* ties of the ninth digit, nearly */
            v = ((double)fm_rng_below(&rng, 1000000000) + 0.5) / 1e9;
        else
            v = (fm_rng_unit(&rng) - 0.25) * pow(10.0, (double)fm_rng_below(&rng, 34) - 22.0);
        n = snprintf(want, sizeof want, "%.9g", v);
        if (fm_format_number(v, got) != (size_t)n || memcmp(want, got, (size_t)n) != 0) {
            printf("    %s\n", want);
            wrong++;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void cells_are_quoted_when_they_must_be(void)
{
    static const char *const cases[][2] = {
        { "plain", "plain" }, { "", "" },         { "a,b", "\"a,b\"" },
        { "a;b", "a;b" },     { " a", "\" a\"" }, { "a\nb", "\"a\nb\"" },
        { "\"", "\"\"\"\"" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        fm_buf b = { 0 };

        CU_ASSERT_EQUAL(fm_format_cell(&b, cases[i][0], strlen(cases[i][0]), ','), FM_OK);
        CU_ASSERT_EQUAL(b.len, strlen(cases[i][1]));
        CU_ASSERT_EQUAL(memcmp(b.len ? (const char *)b.data : "", cases[i][1], b.len), 0);
        fm_buf_fini(&b);
    }
}

static const fm_test tests[] = {
    { "every record is predicted, whatever the threads",
      every_record_is_predicted_whatever_the_threads },
    { "problems come in the file's order and nothing is written",
      problems_come_in_the_files_order_and_nothing_is_written },
    { "what cannot be read is said", what_cannot_be_read_is_said },
    { "classes are named with their probabilities", classes_are_named_with_their_probabilities },
    { "numbers are in the label's unit", numbers_are_in_the_labels_unit },
    { "numbers stay in the label's range", numbers_stay_in_the_labels_range },
    { "numbers are written as printf writes them", numbers_are_written_as_printf_writes_them },
    { "cells are quoted when they must be", cells_are_quoted_when_they_must_be },
};
const fm_test_suite suite_predict = { "model.predict", tests, FM_TEST_COUNT(tests) };
