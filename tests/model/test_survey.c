/* A survey of records: nothing that is wrong goes uncounted, and memory does not grow with it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/survey.h"
#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "suites.h"

#define SCHEMA                                                                     \
    "name: t\ncolumns:\n"                                                          \
    "  - {name: who, kind: ignore}\n"                                              \
    "  - {name: age, kind: numeric, range: [0, 100]}\n"                            \
    "  - {name: day, kind: date, range: [2000-01-01, 2020-12-31]}\n"               \
    "  - {name: sex, kind: categorical, values: [m, f], required: true}\n"         \
    "  - {name: bp, kind: numeric, range: [50, 250], outside: clip}\n"             \
    "  - {name: w, kind: categorical, values: [\"1\", \"2\"], unknown: missing}\n" \
    "  - {name: y, kind: label, negative: [no], positive: [yes]}\n"
#define HEADER "who,age,day,sex,bp,w,y\n"
#define GOOD "a,40,2010-05-06,m,120,1,no\n"

typedef struct {
    fm_schema *schema;
    fm_survey *survey;
} surveyed;

static surveyed look_with(const char *schema, const char *csv, const char *unit,
                          const fm_survey_options *o)
{
    surveyed s = { 0 };
    fm_table_options t = { .labels = true, .unit = unit };
    fm_table table = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", schema, strlen(schema), &s.schema), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_survey_new(s.schema, o, &s.survey), FM_OK);
    t.survey = s.survey;
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv, strlen(csv), s.schema, &t, &table), FM_OK);
    CU_ASSERT_EQUAL(table.rows, 0);
    CU_ASSERT_PTR_NULL(table.x);
    return s;
}

static surveyed look(const char *csv)
{
    return look_with(SCHEMA, csv, NULL, &(fm_survey_options){ 0 });
}

static void done(surveyed *s)
{
    fm_survey_free(&s->survey);
    fm_schema_free(&s->schema);
}

static fm_status gather(void *ctx, const fm_finding *f)
{
    fm_buf *b = ctx;

    return fm_buf_printf(b, "%s\n", f->text);
}

/* All that is kept of a kind, a line each. */
static void kept(const surveyed *s, fm_finding_kind kind, const char *want)
{
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL(fm_survey_walk(s->survey, kind, gather, &b), FM_OK);
    if (strcmp(b.data ? (const char *)b.data : "", want) != 0)
        printf("    said: %s\n", b.data ? (const char *)b.data : "");
    CU_ASSERT_STRING_EQUAL(b.data ? (const char *)b.data : "", want);
    fm_buf_fini(&b);
}

static void every_cell_of_a_record_is_looked_at(void)
{
    surveyed s = look(HEADER GOOD "a,old,2010-13-01,x,300,7,maybe\n"
                                  "a,101,1999-12-31,,120,1,yes\na,1\n");

    kept(&s, FM_FINDING_NUMBER,
         "d.csv:3, column age: \"old\" is not a number\n"
         "d.csv:3, column day: \"2010-13-01\" is not a date (YYYY-MM-DD); there is no such month: "
         "day and month in the wrong order?\n");
    kept(&s, FM_FINDING_CATEGORY,
         "d.csv:3, column sex: \"x\" is none of the declared values (m, f)\n");
    kept(&s, FM_FINDING_LABEL,
         "d.csv:3, column y: \"maybe\" is neither a negative (no) nor a positive (yes) label\n");
    kept(&s, FM_FINDING_RANGE,
         "d.csv:4, column age: 101 is outside the declared range 0 to 100\n"
         "d.csv:4, column day: 1999-12-31 is outside the declared range 2000-01-01 to "
         "2020-12-31\n");
    kept(&s, FM_FINDING_REQUIRED,
         "d.csv:4, column sex: \"\" means missing, but the column is required\n");
    kept(&s, FM_FINDING_FIELDS, "d.csv:5: 2 fields where 7 belong\n");
    kept(&s, FM_FINDING_CLIPPED,
         "d.csv:3, column bp: 300 is outside the declared range 50 to 250; it is moved to its "
         "end\n");
    kept(&s, FM_FINDING_UNKNOWN,
         "d.csv:3, column w: \"7\" is not declared; it counts as missing\n");
    CU_ASSERT_EQUAL(fm_survey_errors(s.survey), 8);
    CU_ASSERT_EQUAL(fm_survey_warnings(s.survey), 2);
    CU_ASSERT_EQUAL(fm_survey_rows(s.survey), 3);
    done(&s);
}

/* Whatever stands in a cell: an error here is one there, and nothing else is. */
static void errors_are_what_the_encoder_refuses(void)
{
    static const char *const cells[] = { "",    "0",          "50",         "-1",  "101", "7e1",
                                         "x",   "2010-01-01", "1999-01-01", "m",   "M",   "1",
                                         "1.0", "3",          "yes",        " no", "nan", "\"5\"" };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_public(&seed, 11);
    unsigned refused = 0;

    for (int i = 0; i < 3000; i++) {
        fm_buf csv = { 0 };
        fm_table_options o = { .labels = true };
        fm_table t = { 0 };
        surveyed s;
        fm_status st;

        CU_ASSERT_EQUAL(fm_buf_printf(&csv, HEADER "a"), FM_OK);
        for (int c = 0; c < 6; c++)
            CU_ASSERT_EQUAL(
                fm_buf_printf(&csv, ",%s", cells[fm_rng_below(&rng, FM_TEST_COUNT(cells))]), FM_OK);
        s = look((const char *)csv.data);
        st = fm_table_parse("d.csv", csv.data, csv.len, s.schema, &o, &t);
        if ((st != FM_OK) != (fm_survey_errors(s.survey) > 0))
            printf("    %s\n", (const char *)csv.data);
        CU_ASSERT_EQUAL(st != FM_OK, fm_survey_errors(s.survey) > 0);
        refused += st != FM_OK;
        fm_table_fini(&t);
        done(&s);
        fm_buf_fini(&csv);
    }
    CU_ASSERT_TRUE(refused > 100 && refused < 3000);
}

static fm_status count(void *ctx, const fm_finding *f)
{
    *(size_t *)ctx += f->kind == FM_FINDING_NUMBER && f->line;
    return FM_OK;
}

static void twenty_of_a_kind_are_kept_and_all_are_counted(void)
{
    fm_buf csv = { 0 };
    size_t n = 0, all = 0;
    surveyed s;

    CU_ASSERT_EQUAL(fm_buf_printf(&csv, HEADER), FM_OK);
    for (int i = 0; i < 5000; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "a,%s,%s,m,120,1,%s\n", i < 4000 ? "x" : "40",
                                      i < 4000 ? "2010-05-06" : "y", i % 2 ? "no" : "yes"),
                        FM_OK);
    s = look((const char *)csv.data);
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_NUMBER), 5000);
    CU_ASSERT_EQUAL(fm_survey_count_of(s.survey, FM_FINDING_NUMBER, 1), 4000);
    CU_ASSERT_EQUAL(fm_survey_count_of(s.survey, FM_FINDING_NUMBER, 2), 1000);
    CU_ASSERT_EQUAL(fm_survey_walk(s.survey, FM_FINDING_NUMBER, count, &n), FM_OK);
    CU_ASSERT_EQUAL(n, 21); /* the first twenty, and the first of the other column */
    done(&s);
    s = look_with(SCHEMA, (const char *)csv.data, NULL,
                  &(fm_survey_options){ .each = count, .ctx = &all });
    CU_ASSERT_EQUAL(all, 5000);
    done(&s);
    fm_buf_fini(&csv);
}

static void a_wrong_header_does_not_hide_the_other_columns(void)
{
    surveyed s = look("who,Age,day,sex,bp,w,y\na,x,2010-01-01,x,120,1,no\n");

    kept(&s, FM_FINDING_HEADER,
         "d.csv:1, column age: the header does not have it; it has \"Age\": rename one of the "
         "two\n");
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_CATEGORY), 1);
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_NUMBER), 0);
    done(&s);
    /* But by a wrong delimiter nothing can be read. */
    s = look("who;age;day;sex;bp;w;y\na;x;2010-01-01;x;120;1;no\n");
    CU_ASSERT_EQUAL(fm_survey_errors(s.survey), 1);
    done(&s);
}

static void what_cannot_be_read_on_is_said(void)
{
    surveyed s = look(HEADER GOOD "a,x,2010-01-01,m,120,1,no\na,\"40,2010-01-01,m,120,1,no\n");

    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_NUMBER), 1);
    kept(&s, FM_FINDING_FILE,
         "d.csv:4: the quote of the record that starts here is left open; close it, or write a "
         "quote within a cell as two\n");
    done(&s);
    s = look("PK\3\4 [Content_Types].xml and so on");
    kept(&s, FM_FINDING_FILE,
         "d.csv: this is no CSV but an Excel workbook; export the sheet as CSV in "
         "UTF-8\n");
    done(&s);
    s = look(HEADER);
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_FILE), 1);
    done(&s);
}

/* `again` of 40 records, which are all different, once more behind them. */
static surveyed repeated(int again)
{
    fm_buf csv = { 0 };
    surveyed s;

    CU_ASSERT_EQUAL(fm_buf_printf(&csv, HEADER), FM_OK);
    for (int i = 0; i < 40 + again; i++)
        CU_ASSERT_EQUAL(
            fm_buf_printf(&csv, "a,%d,2010-05-06,%c,120,1,no\n", 20 + i % 40, i % 2 ? 'm' : 'f'),
            FM_OK);
    s = look((const char *)csv.data);
    fm_buf_fini(&csv);
    return s;
}

static void a_file_behind_itself_is_found(void)
{
    surveyed s = repeated(40);

    kept(&s, FM_FINDING_TWICE,
         "d.csv:42: this is line 2 once more, and of the first 40 records 40 are there 2 times, "
         "letter for letter\n");
    done(&s);
    s = repeated(20); /* some are alike by chance */
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_TWICE), 0);
    done(&s);
    s = look(HEADER GOOD GOOD HEADER GOOD);
    kept(&s, FM_FINDING_FIELDS,
         "d.csv:4: the header once more; were two files put together? Take the line away\n");
    CU_ASSERT_EQUAL(fm_survey_rows(s.survey), 3);
    done(&s);
}

static void units_over_the_bound_are_counted(void)
{
    surveyed s = look_with(
        SCHEMA, HEADER GOOD GOOD GOOD "b,40,2010-05-06,m,120,1,no\n,40,2010-05-06,m,120,1,no\n",
        "who", &(fm_survey_options){ .max_unit_rows = 1, .max_rows = 4 });
    uint64_t most = 0;

    CU_ASSERT_EQUAL(fm_survey_units(s.survey, &most), 2);
    CU_ASSERT_EQUAL(most, 3);
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_UNIT), 1);
    kept(&s, FM_FINDING_UNIT_ROWS,
         "d.csv: 1 of 2 units have more than 1 records (the largest 3); a round leaves out up to "
         "2 of theirs\n");
    kept(&s, FM_FINDING_ROWS, "d.csv: 5 records; policy.max_rows allows 4\n");
    done(&s);
}

static void a_unit_of_nobody_is_named(void)
{
    surveyed s = look_with(SCHEMA,
                           HEADER GOOD "unknown,40,2010-05-06,m,120,1,no\n"
                                       "Unknown ,40,2010-05-06,m,120,1,no\n"
                                       "unknown,41,2010-05-06,f,120,1,no\n"
                                       "4.711E+06,40,2010-05-06,m,120,1,no\n"
                                       "1E5,40,2010-05-06,m,120,1,no\n",
                           "who", &(fm_survey_options){ 0 });

    kept(&s, FM_FINDING_NOBODY,
         "d.csv:3, column who: \"unknown\" in 2 records from here on; are they of one and the "
         "same?\n"
         "d.csv:4, column who: \"Unknown\" in 1 record from here on; are they of one and the "
         "same?\n");
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_UNIT), 1);
    CU_ASSERT_FALSE(fm_finding_is_error(FM_FINDING_NOBODY));
    done(&s);
}

static void a_shifted_record_is_one_finding(void)
{
    surveyed s = look(HEADER GOOD "a,2010-05-06,m,120,1,no,\n" /* without its age */
                                  "a,40,x,m,120,1,\n");        /* not shifted */

    kept(
        &s, FM_FINDING_FIELDS,
        "d.csv:3: from column age on every cell stands one place too early, and the last is empty: "
        "a cell is missing, there or before, with its delimiter\n");
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_NUMBER), 1);
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_LABEL), 1);
    done(&s);
}

/* 30 records with one column made by a format of the row's number. */
static surveyed thirty(const char *format)
{
    fm_buf csv = { 0 };
    surveyed s;

    CU_ASSERT_EQUAL(fm_buf_printf(&csv, HEADER), FM_OK);
    for (int i = 0; i < 30; i++) {
        char cells[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(cells, sizeof cells, format, 20 + i);
#pragma GCC diagnostic pop
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "a,%s\n", cells), FM_OK);
    }
    s = look((const char *)csv.data);
    fm_buf_fini(&csv);
    return s;
}

static void odd_columns_are_warned_of(void)
{
    surveyed s = thirty("%d0,2010-05-06,m,120,1,no");

    kept(&s, FM_FINDING_SCALE,
         "d.csv, column age: 30 of 30 numbers are outside the declared range 0 to 100, and 30 of "
         "these would be inside if divided by 10, or if divided by 7.5 (mmHg for kPa?)\n");
    kept(&s, FM_FINDING_CLASSES, "d.csv, column y: no record is positive: \"yes\"\n");
    CU_ASSERT_EQUAL(fm_survey_count(s.survey, FM_FINDING_CONSTANT), 4); /* day, sex, bp, w */
    done(&s);
    s = thirty("%d,,m,120,1,yes");
    kept(&s, FM_FINDING_EMPTY, "d.csv, column day: not one value; 30 of 30 cells are missing\n");
    kept(&s, FM_FINDING_CLASSES, "d.csv, column y: no record is negative: \"no\"\n");
    CU_ASSERT_EQUAL(fm_survey_errors(s.survey), 0);
    done(&s);
}

/* Ages about `centre`, uniform in 20 years. */
static surveyed people(int n, int centre, uint64_t number)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_public(&seed, number);
    fm_buf csv = { 0 };
    surveyed s;

    CU_ASSERT_EQUAL(fm_buf_printf(&csv, HEADER), FM_OK);
    for (int i = 0; i < n; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&csv, "a,%d,2010-05-06,%s,120,1,%s\n",
                                      centre - 10 + (int)fm_rng_below(&rng, 20),
                                      fm_rng_below(&rng, 2) ? "m" : "f",
                                      fm_rng_below(&rng, 2) ? "no" : "yes"),
                        FM_OK);
    s = look((const char *)csv.data);
    fm_buf_fini(&csv);
    return s;
}

static uint64_t drifted(int n, int centre, const json_t *kept_summary, uint64_t number)
{
    surveyed s = people(n, centre, number);
    size_t compared = 0;
    uint64_t found;

    CU_ASSERT_EQUAL(fm_survey_drift(s.survey, "check.json", kept_summary, &compared), FM_OK);
    CU_ASSERT_EQUAL(compared, 6);
    found = fm_survey_count(s.survey, FM_FINDING_DRIFT);
    done(&s);
    return found;
}

static void drift_is_told_from_chance(void)
{
    surveyed s = people(1000, 50, 1);
    json_t *summary = NULL;
    unsigned alarms = 0;

    CU_ASSERT_EQUAL_FATAL(fm_survey_summary(s.survey, &summary), FM_OK);
    done(&s);
    CU_ASSERT_EQUAL(drifted(1000, 50, summary, 2), 0);
    CU_ASSERT_EQUAL(drifted(1000, 70, summary, 3), 1); /* age alone */
    /* 30 records have a large index by chance alone; the bound is passed 5 times of 100. */
    for (uint64_t k = 0; k < 40; k++)
        alarms += drifted(30, 50, summary, 100 + k) > 0;
    CU_ASSERT_TRUE(alarms <= 12); /* of 3 columns 40 times: passed by chance once in 10^4 runs */
    json_decref(summary);
}

static void a_summary_that_is_none_is_refused(void)
{
    surveyed s = people(30, 50, 1);
    json_t *none = json_pack("{s:i}", "version", 7);
    size_t compared = 0;

    CU_ASSERT_EQUAL(fm_survey_drift(s.survey, "x.json", none, &compared), FM_EPARSE);
    json_decref(none);
    done(&s);
}

static const fm_test tests[] = {
    { "every cell of a record is looked at", every_cell_of_a_record_is_looked_at },
    { "errors are what the encoder refuses", errors_are_what_the_encoder_refuses },
    { "twenty of a kind are kept and all are counted",
      twenty_of_a_kind_are_kept_and_all_are_counted },
    { "a wrong header does not hide the other columns",
      a_wrong_header_does_not_hide_the_other_columns },
    { "what cannot be read on is said", what_cannot_be_read_on_is_said },
    { "a file behind itself is found", a_file_behind_itself_is_found },
    { "units over the bound are counted", units_over_the_bound_are_counted },
    { "a unit of nobody is named", a_unit_of_nobody_is_named },
    { "a shifted record is one finding", a_shifted_record_is_one_finding },
    { "odd columns are warned of", odd_columns_are_warned_of },
    { "drift is told from chance", drift_is_told_from_chance },
    { "a summary that is none is refused", a_summary_that_is_none_is_refused },
};

const fm_test_suite suite_survey = { "model.survey", tests, FM_TEST_COUNT(tests) };
