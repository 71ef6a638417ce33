#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "suites.h"

#define COLUMNS                                                                        \
    "columns:\n"                                                                       \
    "  - {name: age, kind: numeric, range: [0, 100], center: 0, scale: 1}\n"           \
    "  - {name: note, kind: ignore}\n"                                                 \
    "  - {name: sex, kind: categorical, values: [m, f], centered: false, weight: 1}\n" \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define WITH_HEADER "name: t\n" COLUMNS
#define NO_HEADER "name: t\ncsv: {header: false, missing: [\"?\"]}\n" COLUMNS
#define FEATURES 5 /* age, age missing, sex=m, sex=f, sex missing */

typedef struct {
    fm_schema *schema;
    fm_table table;
    fm_status st;
} loaded;

static loaded load_n(const char *schema, const char *csv, size_t len, bool labels)
{
    loaded l = { 0 };
    const fm_table_options options = { .labels = labels };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", schema, strlen(schema), &l.schema), FM_OK);
    l.st = fm_table_parse("d.csv", csv, len, l.schema, &options, &l.table);
    return l;
}

static loaded load(const char *schema, const char *csv)
{
    return load_n(schema, csv, strlen(csv), true);
}

static void done(loaded *l)
{
    fm_table_fini(&l->table);
    fm_schema_free(&l->schema);
}

/* Loads, and must fail with exactly this text. */
static void refuse(const char *schema, const char *csv, const char *text)
{
    loaded l = load(schema, csv);

    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NULL(l.table.x);
    if (strcmp(fm_error_text(), text) != 0)
        printf("    said: %s\n", fm_error_text());
    CU_ASSERT_STRING_EQUAL(fm_error_text(), text);
    done(&l);
}

static void columns_are_found_by_name(void)
{
    loaded l = load(WITH_HEADER, "y,extra, sex ,age\n1,zz,f,40\n0,\"a,b\",m,50.5\n\n1,,,7\n");

    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL_FATAL(l.table.rows, 3);
    CU_ASSERT_EQUAL(l.table.features, FEATURES);
    CU_ASSERT_EQUAL(l.table.x[0], 40.0f);
    CU_ASSERT_EQUAL(l.table.x[3], 1.0f);
    CU_ASSERT_EQUAL(l.table.x[FEATURES], 50.5f);
    CU_ASSERT_EQUAL(l.table.x[FEATURES + 2], 1.0f);
    CU_ASSERT_TRUE(l.table.x[2 * FEATURES + 4] > 1.0f);
    CU_ASSERT_EQUAL(l.table.y[0], 1.0f);
    CU_ASSERT_EQUAL(l.table.y[1], 0.0f);
    CU_ASSERT_EQUAL(l.table.lines[0], 2);
    CU_ASSERT_EQUAL(l.table.lines[2], 5);
    done(&l);
}

static void quotes_newlines_and_every_line_end_are_read(void)
{
    static const char *const ends[] = { "\n", "\r\n", "\r" };

    for (size_t e = 0; e < FM_TEST_COUNT(ends); e++) {
        char csv[256];
        loaded l;

        (void)snprintf(csv, sizeof csv, "\xef\xbb\xbf%s%s%s%s%s", "age,note,sex,y", ends[e],
                       "1,\"two\nlines, \"\"quoted\"\"\",m,0", ends[e], "\"2\",,\"f\",1");
        l = load(WITH_HEADER, csv);
        CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
        CU_ASSERT_EQUAL_FATAL(l.table.rows, 2);
        CU_ASSERT_EQUAL(l.table.lines[0], 2);
        CU_ASSERT_EQUAL(l.table.lines[1], 4); /* after a record of two lines */
        CU_ASSERT_EQUAL(l.table.x[FEATURES], 2.0f);
        done(&l);
    }
}

static void every_problem_is_named_with_line_and_column(void)
{
    refuse(WITH_HEADER, "age,note,sex,y\n1,,m,0\nold,,m,0\n3,,m\n4,,x,1\n5,,m,maybe\n101,,m,1\n",
           "d.csv:3, column age: \"old\" is not a number\n"
           "d.csv:4: 3 fields where 4 belong\n"
           "d.csv:5, column sex: \"x\" is none of the declared values (m, f)\n"
           "d.csv:6, column y: \"maybe\" is neither a negative (0) nor a positive (1) label\n"
           "d.csv:7, column age: 101 is outside the declared range 0 to 100");
    refuse(NO_HEADER, "1,,m,0\n2,,m,1,5\n", "d.csv:2: 5 fields where 4 belong");
    refuse(NO_HEADER, "1\n", "d.csv:1: 1 field where 4 belong");
    refuse(NO_HEADER, "1,\"\n\n\",m,0\n,\"\n\",m,0\n",
           "d.csv:4, column age: \"\" is not a number; if it means \"not measured\", list it under "
           "missing in the schema");
}

static void cells_cannot_steer_the_terminal(void)
{
    refuse(NO_HEADER, "\x1b[2J\xc2\x9b,,m,0\n", "d.csv:1, column age: \"?[2J??\" is not a number");
    refuse(NO_HEADER, "01234567890123456789012345678901234567890x,,m,0\n",
           "d.csv:1, column age: \"0123456789012345678901234567890123456789...\" is not a number");
}

static void header_faults_are_named_before_any_record(void)
{
    refuse(WITH_HEADER, "age,note,gender,y\nx,x,x,x\n",
           "d.csv:1, column sex: the header does not have it");
    refuse(WITH_HEADER, "age,sex,age\n1,m,2\n",
           "d.csv:1, column age: the header has it twice\n"
           "d.csv:1, column y: the header does not have it");
}

static void a_file_without_records_is_refused(void)
{
    refuse(WITH_HEADER, "", "d.csv: there are no records");
    refuse(NO_HEADER, "\n\r\n  \n", "d.csv: there are no records");
    refuse(WITH_HEADER, "age,note,sex,y\n", "d.csv: there are no records");
}

static void broken_quotes_are_refused_with_their_line(void)
{
    refuse(NO_HEADER, "1,,m,0\n2,\"open,m,1\n3,,m,1\n",
           "d.csv:2: the quote of the record that starts here is left open; close it, or write a "
           "quote within a cell as two");
    refuse(NO_HEADER, "1,,m,0\n2,a\"b,m,1\n",
           "d.csv:2: a quote inside a cell; write the cell in quotes, and a quote within as two");
    refuse(NO_HEADER, "1,,m,0\n2,\"a\"b,m,1\n",
           "d.csv:2: a quote inside a cell; write the cell in quotes, and a quote within as two");
}

static void nul_bytes_and_endless_records_are_refused(void)
{
    const size_t len = FM_TABLE_MAX_RECORD + 100;
    char *csv = malloc(len + 1);
    loaded l = load_n(NO_HEADER, "1,,m,0\n2,\0,m,1\n", 16, true);

    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "d.csv:2: there is a NUL byte; this is no text file, "
                                            "or a copy that went wrong: make it again");
    done(&l);
    memset(csv, 'x', len);
    memcpy(csv, "1,,m,0\n2,\"", 10);
    csv[len] = '\0';
    l = load(NO_HEADER, csv); /* one long line */
    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:2: the record that starts here is"));
    done(&l);
    for (size_t i = 100; i < len; i += 50)
        csv[i] = '\n';
    l = load(NO_HEADER, csv); /* an open quote swallows the lines */
    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:2: the record that starts here is"));
    done(&l);
    free(csv);
}

static void blank_lines_do_not_add_up_to_a_long_record(void)
{
    const size_t len = FM_TABLE_MAX_RECORD + 100;
    char *csv = malloc(len + 16);
    loaded l;

    memset(csv, '\n', len);
    memcpy(csv + len, "1,,m,0\n", 8);
    l = load(NO_HEADER, csv);
    CU_ASSERT_EQUAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.rows, 1);
    CU_ASSERT_EQUAL(l.table.lines[0], len + 1);
    done(&l);
    free(csv);
}

static void problems_stop_at_the_limit_and_go_to_the_list(void)
{
    fm_schema *s = NULL;
    fm_buf csv = { 0 }, problems = { 0 };
    fm_table t = { 0 };
    fm_table_options options = { .labels = true, .max_problems = 3, .problems = &problems };
    size_t lines = 0;

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", NO_HEADER, strlen(NO_HEADER), &s), FM_OK);
    for (int i = 0; i < 500; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "bad,,m,0\n"), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv.data, csv.len, s, &options, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:3, column age"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "d.csv:4"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "(and perhaps more)"));
    options.max_problems = 100000;
    fm_buf_clear(&problems);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv.data, csv.len, s, &options, &t), FM_EPARSE);
    for (size_t i = 0; i < problems.len; i++)
        lines += problems.data[i] == '\n';
    CU_ASSERT_EQUAL(lines, 500);
    fm_buf_fini(&csv);
    fm_buf_fini(&problems);
    fm_schema_free(&s);
}

/* However many there are: whole lines, and a word of the rest. */
static void a_long_list_of_problems_ends_in_a_whole_line(void)
{
    fm_buf csv = { 0 };
    const char *text, *end;
    loaded l;

    for (int i = 0; i < 19; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "a rather long cell that is no number %d,,m,0\n", i),
                        FM_OK);
    l = load(NO_HEADER, (const char *)csv.data);
    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    text = fm_error_text();
    CU_ASSERT_TRUE(strlen(text) < 1023);
    end = strstr(text, "is not a number\n(and perhaps more); fedmoe-model check lists all");
    CU_ASSERT_PTR_NOT_NULL(end);
    CU_ASSERT_TRUE(end && !strchr(strchr(end, '\n') + 1, '\n'));
    done(&l);
    fm_buf_fini(&csv);
}

static void a_name_cannot_break_a_problem_into_lines(void)
{
    fm_schema *s = NULL;
    fm_buf problems = { 0 };
    fm_table t = { 0 };
    const fm_table_options options = { .labels = true, .problems = &problems };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", NO_HEADER, strlen(NO_HEADER), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d\n\x1b[2J.csv", "bad,,m,0\n", 9, s, &options, &t), FM_EPARSE);
    CU_ASSERT_STRING_EQUAL((const char *)problems.data,
                           "d??[2J.csv:1, column age: \"bad\" is not a number\n");
    fm_buf_fini(&problems);
    fm_schema_free(&s);
}

/* One problem that says what to do, not one for each column or record. */
static void the_wrong_delimiter_is_named(void)
{
    refuse(WITH_HEADER, "age;note;sex;y\n1;;m;0\n",
           "d.csv:1: one column by the delimiter \",\", but it holds \";\"; if that is what "
           "separates the columns say so, for all in the schema or for this file in node.yaml, "
           "under data: csv: {delimiter: \";\"}");
    refuse(WITH_HEADER, "age\tnote\tsex\ty\n1\t\tm\t0\n",
           "d.csv:1: one column by the delimiter \",\", but it holds \"\\t\"; if that is what "
           "separates the columns say so, for all in the schema or for this file in node.yaml, "
           "under data: csv: {delimiter: \"\\t\"}");
    refuse(NO_HEADER, "1;;m;0\n2;;m;1\n",
           "d.csv:1: one column by the delimiter \",\", but it holds \";\"; if that is what "
           "separates the columns say so, for all in the schema or for this file in node.yaml, "
           "under data: csv: {delimiter: \";\"}");
}

static void hidden_values_do_not_stand_in_the_problems(void)
{
    fm_schema *s = NULL;
    fm_table t = { 0 };
    const fm_table_options options = { .labels = true, .hide_values = true };
    const char csv[] = "20,x,m,0\nsecret,x,m,0\n", first[] = "secret,man,here\nother,man,here\n";

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", NO_HEADER, strlen(NO_HEADER), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv, strlen(csv), s, &options, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:2, column age"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "secret"));
    fm_schema_free(&s);
    /* The first line may be one, too, where the header is missing. */
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", WITH_HEADER, strlen(WITH_HEADER), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", first, strlen(first), s, &options, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:1: none of the schema's columns"));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "secret"));
    fm_schema_free(&s);
}

static void labels_may_be_absent_when_they_are_not_wanted(void)
{
    loaded l = load_n(NO_HEADER, "1,,m\n2,,f\n", 10, false);

    CU_ASSERT_EQUAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.rows, 2);
    CU_ASSERT_PTR_NULL(l.table.y);
    CU_ASSERT_EQUAL(l.table.x[FEATURES + 3], 1.0f);
    done(&l);
    l = load_n(NO_HEADER, "1,,m,what\n2,,f,1\n", 17, false);
    CU_ASSERT_EQUAL(l.st, FM_OK);
    done(&l);
    l = load_n(NO_HEADER, "1,,m\n2,,f,1\n", 12, false); /* one way or the other */
    CU_ASSERT_EQUAL(l.st, FM_EPARSE);
    done(&l);
    l = load_n(WITH_HEADER, "sex,age\nm,3\n", 12, false);
    CU_ASSERT_EQUAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.rows, 1);
    done(&l);
}

static void other_delimiters_are_read(void)
{
    loaded l = load("name: t\ncsv: {header: false, delimiter: \";\"}\n" COLUMNS, "1;\"a;b\";m;0\n");

    CU_ASSERT_EQUAL(l.st, FM_OK);
    done(&l);
    l = load("name: t\ncsv: {header: false, delimiter: \"\\t\"}\n" COLUMNS, "\tx\tm\t0\n");
    CU_ASSERT_EQUAL(l.st, FM_OK);
    CU_ASSERT_TRUE(l.table.x && l.table.x[1] > 0.0f);
    done(&l);
}

static void tables_are_appended(void)
{
    loaded a = load(NO_HEADER, "1,,m,0\n2,,f,1\n"), b = load(NO_HEADER, "3,,m,1\n");
    loaded unlabelled = load_n(NO_HEADER, "1,,m\n", 5, false);
    fm_table all = { 0 };

    CU_ASSERT_EQUAL(fm_table_append(&all, &a.table), FM_OK);
    CU_ASSERT_EQUAL(fm_table_append(&all, &b.table), FM_OK);
    CU_ASSERT_EQUAL(fm_table_append(&all, &unlabelled.table), FM_EINVAL);
    CU_ASSERT_EQUAL_FATAL(all.rows, 3);
    CU_ASSERT_EQUAL(all.x[2 * FEATURES], 3.0f);
    CU_ASSERT_EQUAL(all.y[2], 1.0f);
    CU_ASSERT_EQUAL(all.lines[2], 1);
    fm_table_fini(&all);
    done(&a);
    done(&b);
    done(&unlabelled);
}

static void files_are_read_and_named(void)
{
    char dir[256], path[300];
    fm_schema *s = NULL;
    fm_table t = { 0 };
    const fm_table_options options = { .labels = true };

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/a.csv", dir);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", NO_HEADER, strlen(NO_HEADER), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_table_load(path, s, &options, &t), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "a.csv"));
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "1,,m,0\n", 7, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_table_load(path, s, &options, &t), FM_OK);
    CU_ASSERT_EQUAL(t.rows, 1);
    fm_table_fini(&t);
    fm_table_fini(&t);
    fm_schema_free(&s);
}

static void many_rows_and_columns_are_held(void)
{
    fm_buf schema = { 0 }, csv = { 0 };
    fm_status st = fm_buf_printf(&schema, "name: wide\ncsv: {header: false}\ncolumns:\n");
    loaded l;

    for (int c = 0; !st && c < 300; c++)
        st = fm_buf_printf(&schema,
                           "  - {name: c%d, kind: numeric, range: [0, 1000], scale: 250}\n", c);
    for (int r = 0; !st && r < 700; r++)
        for (int c = 0; !st && c < 300; c++)
            st = fm_buf_printf(&csv, "%d%s", r, c < 299 ? "," : "\n");
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    l = load_n((const char *)schema.data, (const char *)csv.data, csv.len, false);
    CU_ASSERT_EQUAL_FATAL(l.st, FM_OK);
    CU_ASSERT_EQUAL(l.table.rows, 700);
    CU_ASSERT_EQUAL(l.table.features, 600);
    CU_ASSERT_EQUAL(l.table.x[699 * 600], (699.0f - 500.0f) / 250.0f);
    done(&l);
    fm_buf_fini(&schema);
    fm_buf_fini(&csv);
}

static const fm_test tests[] = {
    { "columns are found by name", columns_are_found_by_name },
    { "quotes, newlines and every line end are read", quotes_newlines_and_every_line_end_are_read },
    { "every problem is named with line and column", every_problem_is_named_with_line_and_column },
    { "cells cannot steer the terminal", cells_cannot_steer_the_terminal },
    { "header faults are named before any record", header_faults_are_named_before_any_record },
    { "a file without records is refused", a_file_without_records_is_refused },
    { "broken quotes are refused with their line", broken_quotes_are_refused_with_their_line },
    { "NUL bytes and endless records are refused", nul_bytes_and_endless_records_are_refused },
    { "blank lines do not add up to a long record", blank_lines_do_not_add_up_to_a_long_record },
    { "problems stop at the limit and go to the list",
      problems_stop_at_the_limit_and_go_to_the_list },
    { "a long list of problems ends in a whole line",
      a_long_list_of_problems_ends_in_a_whole_line },
    { "a name cannot break a problem into lines", a_name_cannot_break_a_problem_into_lines },
    { "the wrong delimiter is named", the_wrong_delimiter_is_named },
    { "hidden values do not stand in the problems", hidden_values_do_not_stand_in_the_problems },
    { "labels may be absent when they are not wanted",
      labels_may_be_absent_when_they_are_not_wanted },
    { "other delimiters are read", other_delimiters_are_read },
    { "tables are appended", tables_are_appended },
    { "files are read and named", files_are_read_and_named },
    { "many rows and columns are held", many_rows_and_columns_are_held },
};
const fm_test_suite suite_table = { "model.table", tests, FM_TEST_COUNT(tests) };
