#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/model/schema.h"
#include "fm_test.h"
#include "suites.h"

static fm_schema *parsed(const char *text)
{
    fm_schema *s = NULL;

    if (fm_schema_parse("s.yaml", text, strlen(text), &s)) {
        printf("    %s\n", fm_error_text());
        CU_FAIL_FATAL("the schema does not parse");
    }
    return s;
}

#define HEAD "name: t\ncolumns:\n"
#define AS_DECLARED "name: t\nencoding: {norm: none}\ncolumns:\n"
#define X "  - {name: x, kind: numeric, range: [0, 8], scale: 2}\n"

typedef struct {
    const char *text, *place, *says;
} bad_schema;

static const bad_schema bad_schemas[] = {
    { "columns: []", "s.yaml:1:", "name" },
    { "name: t", "s.yaml:1:", "columns" },
    { "name: t\ncolumns: []", "s.yaml:2:10:", "0 entries" },
    { "name: t\ncolums: []", "s.yaml:2:", "columns" },
    { "name: t\ncolumns:\n  - 7", "s.yaml:3:5:", "must be a map" },
    { "name: t\ncsv: {header: maybe}\ncolumns:\n" X, "s.yaml:2:15:", "maybe" },
    { "name: t\ncsv: {delimiter: ab}\ncolumns:\n" X, "s.yaml:2:18:", "delimiter" },
    { "name: t\ncsv: {delimiter: \"-\"}\ncolumns:\n" X, "s.yaml:2:18:", "delimiter" },
    { "name: t\ncsv: {missing: [\"?\", \"?\"]}\ncolumns:\n" X, "s.yaml:2:22:", "twice" },
    { "name: t\nencoding: {weight: -1}\ncolumns:\n" X, "s.yaml:2:20:", "weight" },
    { HEAD "  - {name: x}", "s.yaml:3:5:", "kind" },
    { HEAD "  - {name: x, kind: number}", "s.yaml:3:21:", "numeric, date" },
    { HEAD "  - {kind: ignore}", "s.yaml:3:5:", "name" },
    { HEAD "  - {name: x, kind: numeric}", "s.yaml:3:5:", "range" },
    { HEAD "  - {name: x, kind: numeric, range: [1]}", "s.yaml:3:37:", "two" },
    { HEAD "  - {name: x, kind: numeric, range: [2, 1]}", "s.yaml:3:37:", "lower" },
    { HEAD "  - {name: x, kind: numeric, range: [1, x]}", "s.yaml:3:41:", "number" },
    { HEAD "  - {name: x, kind: numeric, range: [1, 2], scale: 0}", "s.yaml:3:52:", "scale" },
    { HEAD "  - {name: x, kind: numeric, range: [1, 2], scale: 1e-9}", "s.yaml:3:52:", "scale" },
    { HEAD "  - {name: x, kind: numeric, range: [1, 2], outside: drop}", "s.yaml:3:54:", "clip" },
    { HEAD "  - {name: x, kind: numeric, range: [1, 2], knots: [2]}", "s.yaml:3:53:", "inside" },
    { HEAD "  - {name: x, kind: numeric, range: [0, 9], knots: [2, 2]}",
      "s.yaml:3:56:", "increase" },
    { HEAD "  - {name: x, kind: numeric, range: [0, 9], values: [2, 2]}", "s.yaml:3:", "values" },
    { HEAD "  - {name: x, kind: numeric, range: [0, 9], required: true, outside: missing}",
      "s.yaml:3:5:", "required" },
    { HEAD "  - {name: x, kind: date, range: [2001-01-01, 2001-02-29]}", "s.yaml:3:47:", "date" },
    { HEAD "  - {name: x, kind: categorical, values: [a]}", "s.yaml:3:42:", "two" },
    { HEAD "  - {name: x, kind: categorical, values: [\"1\", \"1.0\"]}", "s.yaml:3:48:", "twice" },
    { HEAD "  - {name: x, kind: categorical, values: [a, b], unknown: clip}",
      "s.yaml:3:59:", "missing" },
    { HEAD "  - {name: x, kind: categorical, values: [a, b], missing: [b]}",
      "s.yaml:3:60:", "missing" },
    { HEAD "  - {name: x, kind: categorical, values: [a, \"\"]}", "s.yaml:3:5:", "csv.missing" },
    { HEAD X "  - {name: x, kind: ignore}", "s.yaml:4:5:", "twice" },
    { HEAD X "  - {name: y, kind: label, negative: [0], positive: [0.0]}",
      "s.yaml:4:54:", "negative and positive" },
    { HEAD X "  - {name: y, kind: label, negative: [], positive: [1]}",
      "s.yaml:4:5:", "at least one" },
    { HEAD X "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
             "  - {name: z, kind: label, negative: [0], positive: [1]}",
      "s.yaml:5:5:", "both labels" },
    { HEAD "  - {name: y, kind: label, negative: [0], positive: [1]}",
      "s.yaml:3:3:", "no column gives a feature" },
    { "", "s.yaml:1:", "empty" },
    { "name: [", "s.yaml:", "" },
};

static void every_mistake_is_named_with_its_place(void)
{
    for (size_t i = 0; i < FM_TEST_COUNT(bad_schemas); i++) {
        fm_schema *s = NULL;
        const fm_status st =
            fm_schema_parse("s.yaml", bad_schemas[i].text, strlen(bad_schemas[i].text), &s);
        const bool right =
            st == FM_EPARSE && !s &&
            strncmp(fm_error_text(), bad_schemas[i].place, strlen(bad_schemas[i].place)) == 0 &&
            strstr(fm_error_text(), bad_schemas[i].says);

        if (!right)
            printf("    case %zu: %s\n", i, fm_error_text());
        CU_ASSERT_TRUE(right);
        fm_schema_free(&s);
    }
}

static void features_have_names_in_order(void)
{
    static const char *const want[] = { "a",   "a>45",      "a>65.5", "a missing", "b=u",
                                        "b=v", "b missing", "d",      "d missing" };
    fm_schema *s = parsed("name: names\ndescription: of features\ncolumns:\n"
                          "  - {name: a, kind: numeric, range: [0, 100], knots: [45, 65.5]}\n"
                          "  - {name: skip, kind: ignore}\n"
                          "  - {name: b, kind: categorical, values: [u, v]}\n"
                          "  - {name: y, kind: label, negative: [n], positive: [p]}\n"
                          "  - {name: d, kind: date, range: [2000-01-01, 2020-12-31], "
                          "encoding: plain}\n");

    CU_ASSERT_STRING_EQUAL(fm_schema_name(s), "names");
    CU_ASSERT_EQUAL(fm_schema_columns(s), 5);
    CU_ASSERT_TRUE(fm_schema_has_label(s));
    CU_ASSERT_EQUAL_FATAL(fm_schema_features(s), FM_TEST_COUNT(want));
    for (size_t i = 0; i < FM_TEST_COUNT(want); i++)
        CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, i), want[i]);
    CU_ASSERT_TRUE(strncmp(fm_schema_text(s), "name: names\n", 12) == 0);
    fm_schema_free(&s);
    fm_schema_free(&s);
}

static void a_column_that_cannot_be_missing_has_no_indicator(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: numeric, range: [0, 8], required: true, "
                               "encoding: plain}\n");

    CU_ASSERT_EQUAL(fm_schema_features(s), 1);
    fm_schema_free(&s);
    s = parsed("name: t\ncsv: {missing: []}\ncolumns:\n" X);
    CU_ASSERT_EQUAL(fm_schema_features(s), 1);
    fm_schema_free(&s);
    s = parsed("name: t\ncsv: {missing: []}\ncolumns:\n"
               "  - {name: x, kind: numeric, range: [0, 8], outside: missing, encoding: plain}\n");
    CU_ASSERT_EQUAL(fm_schema_features(s), 2);
    fm_schema_free(&s);
}

/* Encode one cell; the features must be as given. */
static void expect(const fm_schema *s, const char *cell, const double *want)
{
    float features[16];
    size_t column;

    CU_ASSERT_EQUAL_FATAL(fm_schema_encode(s, &cell, features, NULL, &column), FM_OK);
    for (size_t i = 0; i < fm_schema_features(s); i++)
        CU_ASSERT_DOUBLE_EQUAL((double)features[i], want[i], 1e-6);
}

static void refuse(const fm_schema *s, const char *cell, const char *says)
{
    float features[16];
    size_t column = 99;

    CU_ASSERT_EQUAL(fm_schema_encode(s, &cell, features, NULL, &column), FM_EPARSE);
    CU_ASSERT_EQUAL(column, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "column x: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), says));
}

static void numbers_are_centered_scaled_and_bent(void)
{
    fm_schema *s = parsed("name: t\ncsv: {missing: [\"?\"]}\nencoding: {missing_weight: 3}\n"
                          "columns:\n  - {name: x, kind: numeric, range: [0, 100], center: 50, "
                          "scale: 10, knots: [60], outside: clip, missing: [-9]}\n");

    expect(s, "50", (double[]){ 0.0, 0.0, 0.0 });
    expect(s, "70.5", (double[]){ 2.05, 1.05, 0.0 });
    expect(s, "+7.05e1", (double[]){ 2.05, 1.05, 0.0 });
    expect(s, "-1", (double[]){ -5.0, 0.0, 0.0 });
    expect(s, "1e9", (double[]){ 5.0, 4.0, 0.0 });
    expect(s, "?", (double[]){ 0.0, 0.0, 3.0 });
    expect(s, "-9.0", (double[]){ 0.0, 0.0, 3.0 });
    refuse(s, "", "\"\" is not a number");
    refuse(s, "5 0", "\"5 0\" is not a number");
    refuse(s, "0x10", "not a number");
    refuse(s, "nan", "not a number");
    refuse(s, "1e999", "not a number");
    refuse(s, "abc\x1b[31m", "\"abc?[31m\"");
    fm_schema_free(&s);
}

static void center_and_scale_have_defaults_from_the_range(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: numeric, range: [10, 50], encoding: plain}\n");

    expect(s, "30", (double[]){ 0.0, 0.0 });
    expect(s, "40", (double[]){ 1.0, 0.0 });
    expect(s, "", (double[]){ 0.0, sqrt(2.0) });
    refuse(s, "51", "51 is outside the declared range 10 to 50");
    fm_schema_free(&s);
}

static void values_outside_can_count_as_missing(void)
{
    fm_schema *s = parsed(
        HEAD "  - {name: x, kind: numeric, range: [10, 50], encoding: plain, outside: missing}\n");

    expect(s, "9.99", (double[]){ 0.0, sqrt(2.0) });
    fm_schema_free(&s);
    s = parsed(AS_DECLARED "  - {name: x, kind: categorical, values: [a, b], unknown: missing}\n");
    expect(s, "c", (double[]){ 0.0, 0.0, sqrt(2.0) });
    fm_schema_free(&s);
    s = parsed(HEAD
               "  - {name: x, kind: numeric, range: [10, 50], encoding: plain, required: true}\n");
    refuse(s, "", "the column is required");
    fm_schema_free(&s);
}

static void categories_are_centered_indicators(void)
{
    const double r = sqrt(2.0);
    fm_schema *s =
        parsed(AS_DECLARED "  - {name: x, kind: categorical, values: [\"1\", two, \"3\"]}\n");

    expect(s, "1.0", (double[]){ r * 2 / 3, -r / 3, -r / 3, 0.0 });
    expect(s, "two", (double[]){ -r / 3, r * 2 / 3, -r / 3, 0.0 });
    expect(s, "", (double[]){ 0.0, 0.0, 0.0, r });
    refuse(s, "4", "\"4\" is none of the declared values (1, two, ...)");
    refuse(s, "Two", "none of the declared values");
    fm_schema_free(&s);
    s = parsed(AS_DECLARED
               "  - {name: x, kind: categorical, values: [a, b], centered: false, weight: 2, "
               "missing_weight: 5}\n");
    expect(s, "b", (double[]){ 0.0, 2.0, 0.0 });
    expect(s, "", (double[]){ 0.0, 0.0, 5.0 });
    fm_schema_free(&s);
}

static void dates_are_days(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: date, range: [1900-01-01, 2100-01-01], "
                               "center: 2000-02-28, scale: 1, knots: [2000-03-01]}\n");

    expect(s, "2000-02-28", (double[]){ 0.0, 0.0, 0.0 });
    expect(s, "2000-02-29", (double[]){ 1.0, 0.0, 0.0 });
    expect(s, "2001-03-01", (double[]){ 367.0, 365.0, 0.0 });
    expect(s, "1970-01-01", (double[]){ -11015.0, 0.0, 0.0 });
    refuse(s, "1999-02-29", "not a date");
    refuse(s, "1999-13-01", "not a date");
    refuse(s, "1999-1-01", "not a date");
    refuse(s, "1899-12-31", "outside the declared range");
    fm_schema_free(&s);
}

static void labels_are_told_apart(void)
{
    fm_schema *s = parsed(HEAD X "  - {name: y, kind: label, negative: [\"0\", no], "
                                 "positive: [\"1\", \"2\"]}\n");
    const char *cells[] = { "4", "2.0" };
    float features[16], label = -1.0f;
    size_t column;

    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, features, &label, &column), FM_OK);
    CU_ASSERT_EQUAL(label, 1.0f);
    cells[1] = "no";
    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, features, &label, &column), FM_OK);
    CU_ASSERT_EQUAL(label, 0.0f);
    cells[1] = "3";
    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, features, &label, &column), FM_EPARSE);
    CU_ASSERT_EQUAL(column, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "column y: \"3\" is neither"));
    cells[1] = NULL; /* not wanted: not looked at */
    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, features, NULL, &column), FM_OK);
    fm_schema_free(&s);
    s = parsed(HEAD X);
    CU_ASSERT_FALSE(fm_schema_has_label(s));
    CU_ASSERT_EQUAL(fm_schema_encode(s, cells, features, &label, &column), FM_EINVAL);
    fm_schema_free(&s);
}

static void a_missing_file_is_not_found(void)
{
    fm_schema *s = NULL;

    CU_ASSERT_EQUAL(fm_schema_load("/nonexistent/s.yaml", &s), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nonexistent/s.yaml"));
    CU_ASSERT_PTR_NULL(s);
}

static const fm_test tests[] = {
    { "every mistake is named with its place", every_mistake_is_named_with_its_place },
    { "features have names in order", features_have_names_in_order },
    { "a column that cannot be missing has no indicator",
      a_column_that_cannot_be_missing_has_no_indicator },
    { "numbers are centered, scaled and bent", numbers_are_centered_scaled_and_bent },
    { "center and scale have defaults from the range",
      center_and_scale_have_defaults_from_the_range },
    { "values outside can count as missing", values_outside_can_count_as_missing },
    { "categories are centered indicators", categories_are_centered_indicators },
    { "dates are days", dates_are_days },
    { "labels are told apart", labels_are_told_apart },
    { "a missing file is not found", a_missing_file_is_not_found },
};
const fm_test_suite suite_schema = { "model.schema", tests, FM_TEST_COUNT(tests) };
