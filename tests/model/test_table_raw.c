/* Cells as they stand, for queries: what is read, what is not, and what must never be said. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "suites.h"

#define COLUMNS                                                            \
    "columns:\n"                                                           \
    "  - {name: patient, kind: ignore}\n"                                  \
    "  - {name: age, kind: numeric, range: [0, 100], missing: [\"-1\"]}\n" \
    "  - {name: cp, kind: categorical, values: [a, b]}\n"                  \
    "  - {name: seen, kind: date, range: [2020-01-01, 2021-01-01]}\n"      \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define WITH_HEADER "name: t\ncsv: {missing: [\"?\", \"\"]}\n" COLUMNS
#define NO_HEADER "name: t\ncsv: {header: false, missing: [\"?\"]}\n" COLUMNS

static const char *const letters[] = { "b", "c", "a" };
static const char *const labels[] = { "0", "1" };

static const fm_raw_column age = { .name = "age" };
static const fm_raw_column seen = { .name = "seen" };
static const fm_raw_column cp = { .name = "cp", .values = letters, .value_count = 3 };
static const fm_raw_column y = { .name = "y", .values = labels, .value_count = 2 };

typedef struct {
    fm_schema *schema;
    fm_table table;
    fm_status st;
} loaded;

static loaded load(const char *schema, const char *csv, const fm_raw_column *raw, size_t count,
                   const char *unit)
{
    loaded l = { 0 };
    const fm_table_options o = { .raw = raw, .raw_count = count, .unit = unit };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", schema, strlen(schema), &l.schema), FM_OK);
    l.st = fm_table_parse("d.csv", csv, strlen(csv), l.schema, &o, &l.table);
    return l;
}

static void done(loaded *l)
{
    fm_table_fini(&l->table);
    fm_schema_free(&l->schema);
}

/** One column reads as these numbers. */
static void reads(const char *schema, const char *csv, fm_raw_column column, const double *want,
                  size_t rows)
{
    loaded l = load(schema, csv, &column, 1, NULL);

    if (l.st)
        printf("\n    %s", fm_error_text());
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL_FATAL(l.table.rows, rows);
    CU_ASSERT_EQUAL(l.table.raw_count, 1);
    for (size_t i = 0; i < rows; i++)
        CU_ASSERT(isnan(want[i]) ? isnan(l.table.raw[i]) : l.table.raw[i] == want[i]);
    done(&l);
}

static void refuse(const char *schema, const char *csv, fm_raw_column column, fm_status why,
                   const char *text)
{
    loaded l = load(schema, csv, &column, 1, NULL);

    CU_ASSERT_EQUAL(l.st, why);
    CU_ASSERT_PTR_NULL(l.table.raw);
    if (strcmp(fm_error_text(), text) != 0)
        printf("\n    said: %s", fm_error_text());
    CU_ASSERT_STRING_EQUAL(fm_error_text(), text);
    done(&l);
}

#define HEAD "patient,age,cp,seen,y\n"

/* The schema's range is no fence here: that it is right is what may be asked. */
static void numbers_and_dates_are_read_whatever_the_range(void)
{
    static const double ages[] = { 50.25, 900.0, -3e5, (double)NAN, (double)NAN, (double)NAN };
    static const double days[] = { 0.0, 18262.0, -1.0, (double)NAN };

    reads(WITH_HEADER,
          HEAD "p,50.25,a,,0\np,900,a,,0\np, -3e5 ,a,,0\np,?,a,,0\np,,a,,0\np,-1,a,,0\n", age, ages,
          6);
    reads(NO_HEADER, "p,1,a,1970-01-01,0\np,1,a,2020-01-01,0\np,1,a,1969-12-31,0\np,1,a,?,0\n",
          seen, days, 4);
}

/* The index is that of the query's values, which need not be the schema's; any other is one more. */
static void categories_and_labels_are_the_query_s_values(void)
{
    static const double at[] = { 2.0, 0.0, 1.0, 3.0, 3.0, (double)NAN };
    static const double of[] = { 1.0, 0.0, 2.0, (double)NAN };
    static const char *const numbers[] = { "7", "8.0" };
    static const double exact[] = { 0.0, 0.0, 1.0, 2.0, (double)NAN };

    reads(WITH_HEADER, HEAD "p,1,a,,0\np,1, b ,,0\np,1,c,,0\np,1,zz,,0\np,1,A,,0\np,1,?,,0\n", cp,
          at, 6);
    reads(NO_HEADER, "p,1,a,?,1\np,1,a,?,0\np,1,a,?,9\np,1,a,?,?\n", y, of, 4);
    reads(NO_HEADER, "p,7,a,?,1\np,7.0,a,?,1\np,8,a,?,1\np,9,a,?,1\np,-1,a,?,1\n",
          (fm_raw_column){ .name = "age", .values = numbers, .value_count = 2 }, exact, 5);
}

static void only_whether_a_cell_is_there_may_be_asked_of_any_column(void)
{
    static const double there[] = { 0.0, 0.0, (double)NAN };
    static const char csv[] = "p,1,a,?,0\np,1,zz,?,1\np,1,?,?,?\n";

    reads(NO_HEADER, csv, (fm_raw_column){ .name = "cp", .any = true }, there, 3);
    reads(NO_HEADER, csv, (fm_raw_column){ .name = "y", .any = true }, (double[]){ 0, 0, NAN }, 3);
    reads(NO_HEADER, csv, (fm_raw_column){ .name = "age", .any = true }, (double[]){ 1, 1, 1 }, 3);
}

static void several_columns_stand_side_by_side_and_nothing_else_is_read(void)
{
    const fm_raw_column raw[] = { cp, age, age };
    loaded l =
        load(WITH_HEADER, "y,extra,cp,age,seen\nbad,x,c,7,bad\nbad,x,a,-1,bad\n", raw, 3, NULL);

    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK); /* what nobody asked for may be wrong */
    CU_ASSERT_EQUAL_FATAL(l.table.rows, 2);
    CU_ASSERT_EQUAL(l.table.raw_count, 3);
    CU_ASSERT_EQUAL(l.table.features, 0);
    CU_ASSERT_PTR_NULL(l.table.x);
    CU_ASSERT_PTR_NULL(l.table.y);
    CU_ASSERT(l.table.raw[0] == 1.0 && l.table.raw[1] == 7.0 && l.table.raw[2] == 7.0);
    CU_ASSERT(l.table.raw[3] == 2.0 && isnan(l.table.raw[4]) && isnan(l.table.raw[5]));
    CU_ASSERT_EQUAL(l.table.lines[1], 3);
    done(&l);
}

static void a_column_that_cannot_be_asked_for_is_named(void)
{
    static const char csv[] = HEAD "p,1,a,,0\n";

    refuse(WITH_HEADER, csv, (fm_raw_column){ .name = "chol" }, FM_EINVAL,
           "column chol: the schema does not have it");
    refuse(WITH_HEADER, csv, (fm_raw_column){ .name = "patient", .any = true }, FM_EINVAL,
           "column patient: the schema ignores it");
    refuse(WITH_HEADER, csv, (fm_raw_column){ .name = "cp" }, FM_EINVAL,
           "column cp: its cells are no numbers");
    refuse(WITH_HEADER, csv, (fm_raw_column){ .name = "y" }, FM_EINVAL,
           "column y: its cells are no numbers");
    refuse(WITH_HEADER, "patient,cp\np,a\n", age, FM_EPARSE,
           "d.csv:1, column age: the header does not have it");
}

static void a_cell_that_is_no_number_is_a_problem_with_its_place(void)
{
    refuse(WITH_HEADER, HEAD "p,1,a,,0\np,old,a,,0\np,nan,a,,0\np,inf,a,,0\np,1e999,a,,0\n", age,
           FM_EPARSE,
           "d.csv:3, column age: \"old\" is not a number\n"
           "d.csv:4, column age: \"nan\" is not a number\n"
           "d.csv:5, column age: \"inf\" is not a number\n"
           "d.csv:6, column age: \"1e999\" is not a number");
    refuse(WITH_HEADER, HEAD "p,1,a,2020-02-30,0\n", seen, FM_EPARSE,
           "d.csv:2, column seen: \"2020-02-30\" is not a date (YYYY-MM-DD)");
    refuse(NO_HEADER, "", age, FM_EPARSE, "d.csv: there are no records");
}

/* For a node's log: neither the cell nor whose it is. */
static void hidden_values_stay_hidden(void)
{
    static const char csv[] = HEAD "secret,hush,a,,0\n";
    const fm_table_options o = {
        .raw = &age, .raw_count = 1, .unit = "patient", .hide_values = true
    };
    fm_schema *s = NULL;
    fm_table t = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", WITH_HEADER, strlen(WITH_HEADER), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv, strlen(csv), s, &o, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:2, column age"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "hush"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "secret"));
    fm_schema_free(&s);
}

/* Groups as it does for training: by a column that is ignored, that is asked for, or unnamed. */
static void a_unit_groups_raw_rows(void)
{
    const fm_raw_column raw[] = { age, cp };
    loaded l = load(WITH_HEADER, HEAD "q,1,a,,0\nr,2,b,,0\nq,3,c,,0\nr,?,b,,0\nq,5,?,,0\n", raw, 2,
                    "patient");
    static const uint32_t rows[] = { 0, 2, 4, 1, 3 };

    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL_FATAL(l.table.units, 2);
    CU_ASSERT(l.table.unit_start[1] == 3 && l.table.unit_start[2] == 5);
    CU_ASSERT(memcmp(l.table.unit_rows, rows, sizeof rows) == 0);
    CU_ASSERT(l.table.raw[2 * 2] == 3.0 && l.table.raw[2 * 2 + 1] == 1.0);
    CU_ASSERT(isnan(l.table.raw[3 * 2]) && isnan(l.table.raw[4 * 2 + 1]));
    done(&l);
    l = load(WITH_HEADER, HEAD "q,1,a,,0\nr,1,b,,0\ns,2,c,,0\n", raw, 2, "age");
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.units, 2);
    done(&l);
    l = load(WITH_HEADER, "case,age,cp\n4,1,a\n4,2,b\n", raw, 2, "case");
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.units, 1);
    done(&l);
    l = load(WITH_HEADER, HEAD "q,1,a,,0\n,2,b,,0\n", raw, 2, "patient");
    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:3, column patient: empty or missing"));
    done(&l);
}

static void more_rows_than_the_first_room_holds(void)
{
    const fm_raw_column raw[] = { age, cp };
    fm_buf csv = { 0 };
    fm_status st = FM_OK;
    size_t wrong = 0;
    loaded l;

    for (unsigned i = 0; !st && i < 3000; i++)
        st = fm_buf_printf(&csv, "p%u,%u,%s,?,0\n", i % 7, i, letters[i % 3]);
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    l = load(NO_HEADER, (const char *)csv.data, raw, 2, "patient");
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL_FATAL(l.table.rows, 3000);
    CU_ASSERT_EQUAL(l.table.units, 7);
    for (size_t i = 0; i < 3000; i++)
        wrong += l.table.raw[2 * i] != (double)i || l.table.raw[2 * i + 1] != (double)(i % 3);
    CU_ASSERT_EQUAL(wrong, 0);
    done(&l);
    fm_buf_fini(&csv);
}

static void raw_tables_have_no_labels_and_are_not_appended(void)
{
    const fm_table_options o = { .raw = &age, .raw_count = 1, .labels = true };
    fm_table t = { 0 }, empty = { 0 };
    loaded l = load(NO_HEADER, "p,1,a,?,0\n", &age, 1, NULL);

    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", "p,1,a,?,0\n", 10, l.schema, &o, &t), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_table_append(&empty, &l.table), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_table_append(&l.table, &empty), FM_EINVAL);
    CU_ASSERT_EQUAL(l.table.rows, 1);
    done(&l);
}

static const fm_test tests[] = {
    { "numbers and dates are read whatever the range",
      numbers_and_dates_are_read_whatever_the_range },
    { "categories and labels are the query's values",
      categories_and_labels_are_the_query_s_values },
    { "only whether a cell is there may be asked of any column",
      only_whether_a_cell_is_there_may_be_asked_of_any_column },
    { "several columns stand side by side, and nothing else is read",
      several_columns_stand_side_by_side_and_nothing_else_is_read },
    { "a column that cannot be asked for is named", a_column_that_cannot_be_asked_for_is_named },
    { "a cell that is no number is a problem with its place",
      a_cell_that_is_no_number_is_a_problem_with_its_place },
    { "hidden values stay hidden (else: a record in the log)", hidden_values_stay_hidden },
    { "a unit groups raw rows", a_unit_groups_raw_rows },
    { "more rows than the first room holds", more_rows_than_the_first_room_holds },
    { "raw tables have no labels and are not appended",
      raw_tables_have_no_labels_and_are_not_appended },
};
const fm_test_suite suite_table_raw = { "model.table_raw", tests, FM_TEST_COUNT(tests) };
