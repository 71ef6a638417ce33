/* Whose record a row is: grouping by a column, and what must never happen to its values. */
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
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define WITH_HEADER "name: t\ncsv: {missing: [\"?\", \"\"]}\n" COLUMNS
#define NO_HEADER "name: t\ncsv: {header: false, missing: [\"?\"]}\n" COLUMNS

typedef struct {
    fm_schema *schema;
    fm_table table;
    fm_status st;
} loaded;

static loaded load_n(const char *schema, const char *csv, size_t len, const char *unit)
{
    loaded l = { 0 };
    const fm_table_options options = { .labels = true, .unit = unit, .hide_values = true };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", schema, strlen(schema), &l.schema), FM_OK);
    l.st = fm_table_parse("d.csv", csv, len, l.schema, &options, &l.table);
    return l;
}

static void done(loaded *l)
{
    fm_table_fini(&l->table);
    fm_schema_free(&l->schema);
}

/** Loads, and the units' rows read so: "0 2/1/3". */
static void group(const char *schema, const char *csv, const char *unit, const char *expected)
{
    loaded l = load_n(schema, csv, strlen(csv), unit);
    const fm_table *t = &l.table;
    fm_buf said = { 0 };
    fm_status st = FM_OK;

    if (l.st)
        printf("    %s\n", fm_error_text());
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    for (size_t u = 0; u < t->units; u++)
        for (size_t i = t->unit_start[u]; !st && i < t->unit_start[u + 1]; i++)
            st = fm_buf_printf(&said, "%s%u",
                               i == 0                  ? ""
                               : i == t->unit_start[u] ? "/"
                                                       : " ",
                               t->unit_rows[i]);
    CU_ASSERT_EQUAL(st, FM_OK);
    CU_ASSERT_STRING_EQUAL((const char *)said.data, expected);
    fm_buf_fini(&said);
    done(&l);
}

static void refuse(const char *schema, const char *csv, const char *unit, const char *text)
{
    loaded l = load_n(schema, csv, strlen(csv), unit);

    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NULL(l.table.unit_rows);
    if (strcmp(fm_error_text(), text) != 0)
        printf("    said: %s\n", fm_error_text());
    CU_ASSERT_STRING_EQUAL(fm_error_text(), text);
    done(&l);
}

static void rows_of_one_key_are_one_unit_in_the_file_s_order(void)
{
    group(WITH_HEADER, "patient,age,y\nb,1,0\na,2,0\nb,3,1\nc,4,0\na,5,1\nb,6,0\n", "patient",
          "0 2 5/1 4/3");
    group(NO_HEADER, "b,1,0\na,2,0\nb,3,1\n", "patient", "0 2/1");
    group(NO_HEADER, "b,1,0\n", "patient", "0");
}

static void a_column_that_the_schema_does_not_name_will_do(void)
{
    group(WITH_HEADER, "y,case,patient,age\n0,7,p,1\n0,8,p,2\n1,7,p,3\n", "case", "0 2/1");
    group(WITH_HEADER, "patient,age,y\nq,1,0\nr,2,0\ns,1,1\n", "age", "0 2/1"); /* of any kind */
}

static void keys_are_texts_less_the_spaces_around(void)
{
    group(NO_HEADER, "7,1,0\n 7 ,1,0\n\" 7\",1,0\n\"7\t\",1,0\n007,1,0\n7.0,1,0\n", "patient",
          "0 1 2 3/4/5");
    group(NO_HEADER, "\"a,\nb\",1,0\n\"a,\nb\",2,0\n\"a\"\"\",2,0\nA,1,0\na,1,0\n", "patient",
          "0 1/2/3/4");
    group(WITH_HEADER, "\xef\xbb\xbfpatient,age,y\r\nx,1,0\r\ny,1,0\r\nx,2,0", "patient", "0 2/1");
    group(WITH_HEADER, "patient,age,y\rx,1,0\ry,1,0\rx,2,0\r", "patient", "0 2/1");
}

static void a_row_that_does_not_say_whose_it_is_is_a_problem(void)
{
    refuse(WITH_HEADER, "patient,age,y\na,1,0\n,2,0\nb,3,1\n?,4,0\n\" \t\",5,0\n", "patient",
           "d.csv:3, column patient: empty or missing; every row needs its patient: it says whose "
           "record it is\n"
           "d.csv:5, column patient: empty or missing; every row needs its patient: it says whose "
           "record it is\n"
           "d.csv:6, column patient: empty or missing; every row needs its patient: it says whose "
           "record it is");
    refuse(NO_HEADER, ",2,0\n", "patient",
           "d.csv:1, column patient: empty or missing; every row needs its patient: it says whose "
           "record it is");
    refuse(NO_HEADER, "p,-1,0\n", "age",
           "d.csv:1, column age: empty or missing; every row needs its age: it says whose record "
           "it is");
}

static void a_unit_column_that_is_not_there_is_named(void)
{
    refuse(WITH_HEADER, "patient,age,y\na,1,0\n", "case",
           "d.csv:1, column case: the header does not have it");
    refuse(WITH_HEADER, "patient,age,y,case,case\na,1,0,1,2\n", "case",
           "d.csv:1, column case: the header has it twice");
    refuse(NO_HEADER, "a,1,0\n", "case",
           "d.csv: the file has no header, and schema t no column case to say whose record a row "
           "is; give it there, with kind: ignore");
}

static void no_key_stands_in_a_problem(void)
{
    const char csv[] = "patient,age,y\nsecret,bad,0\nsecret,1,9\nsecret,1\n";
    loaded l = load_n(WITH_HEADER, csv, strlen(csv), "patient");

    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:4"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "secret"));
    done(&l);
}

static void without_a_unit_there_is_no_grouping(void)
{
    const char csv[] = "a,1,0\n,2,0\n";
    loaded l = load_n(NO_HEADER, csv, strlen(csv), NULL);

    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.units, 0);
    CU_ASSERT_PTR_NULL(l.table.unit_start);
    CU_ASSERT_PTR_NULL(l.table.unit_rows);
    done(&l);
}

static void grouped_tables_are_not_appended(void)
{
    const char csv[] = "a,1,0\n";
    loaded a = load_n(NO_HEADER, csv, strlen(csv), "patient");
    loaded b = load_n(NO_HEADER, csv, strlen(csv), NULL);

    CU_ASSERT_EQUAL(fm_table_append(&a.table, &b.table), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_table_append(&b.table, &a.table), FM_EINVAL);
    CU_ASSERT_EQUAL(b.table.rows, 1);
    done(&a);
    done(&b);
}

#define MANY 60000u

/** Keys that are alike; every third row comes back in the second half. */
static void many_units_are_told_apart(void)
{
    fm_buf csv = { 0 };
    fm_status st = FM_OK;
    size_t wrong = 0;
    loaded l;

    for (unsigned i = 0; !st && i < MANY; i++)
        st = fm_buf_printf(&csv, "%010u,1,0\n", i);
    for (unsigned i = 0; !st && i < MANY; i += 3)
        st = fm_buf_printf(&csv, "%010u,2,1\n", i);
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    l = load_n(NO_HEADER, (const char *)csv.data, csv.len, "patient");
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL_FATAL(l.table.units, MANY);
    for (size_t u = 0; u < MANY; u++) {
        const uint32_t *rows = l.table.unit_rows + l.table.unit_start[u];
        const size_t n = l.table.unit_start[u + 1] - l.table.unit_start[u];

        wrong += n != (u % 3 == 0 ? 2u : 1u) || rows[0] != u || (n == 2 && rows[1] != MANY + u / 3);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(l.table.unit_start[MANY], l.table.rows);
    done(&l);
    fm_buf_fini(&csv);
}

static const fm_test tests[] = {
    { "rows of one key are one unit, in the file's order",
      rows_of_one_key_are_one_unit_in_the_file_s_order },
    { "a column that the schema does not name will do",
      a_column_that_the_schema_does_not_name_will_do },
    { "keys are texts, less the spaces around", keys_are_texts_less_the_spaces_around },
    { "a row that does not say whose it is is a problem (else: it is nobody's, or everybody's)",
      a_row_that_does_not_say_whose_it_is_is_a_problem },
    { "a unit column that is not there is named", a_unit_column_that_is_not_there_is_named },
    { "no key stands in a problem", no_key_stands_in_a_problem },
    { "without a unit there is no grouping", without_a_unit_there_is_no_grouping },
    { "grouped tables are not appended (else: one patient is two)",
      grouped_tables_are_not_appended },
    { "many units are told apart", many_units_are_told_apart },
};
const fm_test_suite suite_table_unit = { "model.table_unit", tests, FM_TEST_COUNT(tests) };
