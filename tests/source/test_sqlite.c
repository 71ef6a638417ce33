/* Rows of an SQLite file as CSV; the same table as from the file that they came from. PostgreSQL:
 * tests/e2e/databases.sh. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/table.h"
#include "fedmoe/source/database.h"
#include "suites.h"

static char path[512];

static void make(const char *sql)
{
    sqlite3 *db = NULL;
    char *said = NULL;

    if (!path[0]) {
        char dir[400];

        fm_test_tmpdir(dir, sizeof dir);
        (void)snprintf(path, sizeof path, "%s/clinic.db", dir);
    }
    (void)unlink(path);
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, &said))
        CU_FAIL_FATAL("the test's database cannot be made");
    (void)sqlite3_close(db);
}

/* All bytes, `room` at a time. */
static fm_status read_all(const char *query, const fm_database_format *f, size_t room, char *out,
                          size_t cap)
{
    fm_database *d = NULL;
    fm_status st = fm_database_sqlite(path, query, f, &d);
    size_t len = 0, n = 1;

    while (!st && n > 0 && len + room < cap && !(st = fm_database_read(d, out + len, room, &n)))
        len += n;
    out[st ? 0 : len] = '\0';
    fm_database_free(&d);
    return st;
}

static void rows_are_quoted_and_null_is_what_the_schema_misses(void)
{
    const fm_database_format with = { true, ',', "?", 0 }, without = { false, ';', "", 0 };
    char out[512];

    make("create table t(a, b, c);"
         "insert into t values(1, 'say \"no\", twice', null), (2.5, 'line\nline', ''), (-7, ';', "
         "'x');");
    for (size_t room = 1; room < 40; room += 12) {
        CU_ASSERT_EQUAL(read_all("select * from t", &with, room, out, sizeof out), FM_OK);
        CU_ASSERT_STRING_EQUAL(out, "\"a\",\"b\",\"c\"\n\"1\",\"say \"\"no\"\", twice\",\"?\"\n"
                                    "\"2.5\",\"line\nline\",\"\"\n\"-7\",\";\",\"x\"\n");
    }
    CU_ASSERT_EQUAL(read_all("select c, b from t where a = -7; ", &without, 9, out, sizeof out),
                    FM_OK);
    CU_ASSERT_STRING_EQUAL(out, "\"x\";\";\"\n");
    CU_ASSERT_EQUAL(read_all("select a from t where a = 9", &without, 9, out, sizeof out), FM_OK);
    CU_ASSERT_STRING_EQUAL(out, "");
}

static void what_is_no_query_is_refused(void)
{
    static const struct {
        const char *query;
        fm_status st;
        const char *said;
    } cases[] = {
        { "select other from t", FM_EINVAL, "no such column: other" },
        { "selct 1", FM_EINVAL, "the query is not understood" },
        { "", FM_EINVAL, "gives no columns" },
        { "delete from t", FM_EINVAL, "gives no columns" },
        { "insert into t values(1) returning a", FM_EINVAL, "the query writes" },
        { "select 1; select 2", FM_EINVAL, "more than one statement" },
        { "select x'00ff' as picture", FM_EPARSE, "row 1, column picture: it holds bytes" },
        { "select char(0) as a", FM_EPARSE, "row 1, column 1 of the query: a NUL byte" },
        { "select printf('%.*c', 1048577, 'x') as a", FM_EPARSE, "row 1 is longer than" },
        { "select abs(-9223372036854775808) as a", FM_EIO, "the query broke off" },
    };
    const fm_database_format f = { true, ',', "", 0 };
    char out[4096];

    make("create table t(a); insert into t values(1);");
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(read_all(cases[i].query, &f, 512, out, sizeof out), cases[i].st);
        if (!strstr(fm_error_text(), cases[i].said) || !strstr(fm_error_text(), path))
            CU_FAIL(cases[i].said);
    }
    (void)unlink(path);
    CU_ASSERT_EQUAL(read_all("select 1", &f, 512, out, sizeof out), FM_ENOTFOUND);
    CU_ASSERT(access(path, F_OK) != 0); /* reading makes no file */
}

static void file_is(const void *bytes, size_t n, const char *said)
{
    const fm_database_format f = { true, ',', "", 0 };
    char out[4096];

    CU_ASSERT_EQUAL(fm_file_replace(path, bytes, n, 0600), FM_OK);
    CU_ASSERT_NOT_EQUAL(read_all("select a from t", &f, 512, out, sizeof out), FM_OK);
    if (!strstr(fm_error_text(), said))
        printf("    said: %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), said));
}

static void a_file_that_is_no_database_is_named(void)
{
    const fm_database_format f = { true, ',', "", 0 };
    fm_buf whole;
    char out[4096];

    make("create table t(a); create table visits(b); insert into t values(1);");
    CU_ASSERT_EQUAL(read_all("select a from visit", &f, 512, out, sizeof out), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "no such table: visit; there are t, visits"));
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1 << 20, &whole), FM_OK);
    file_is("", 0, "it is empty, and no SQLite database");
    file_is("a,b\n1,2\n", 8, "this is no SQLite database; a file of text");
    file_is("\x1f\x8b\x08 packed", 10, "no SQLite database but packed (gzip); unpack it");
    memset(whole.data + 100, 0xff, 64); /* the first page, behind the header */
    file_is(whole.data, whole.len, "the file is damaged: copy it again");
    fm_buf_fini(&whole);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL(read_all("select 1", &f, 512, out, sizeof out), FM_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "is a folder"));
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

static void an_endless_query_is_stopped(void)
{
    const fm_database_format f = { true, ',', "", 1 };
    char out[4096];

    make("create table t(a); insert into t values(1);");
    (void)alarm(60); /* a hang ends the test */
    CU_ASSERT_EQUAL(read_all("with recursive n(i) as (select 1 union all select i + 1 from n) "
                             "select count(*) as a from n",
                             &f, 512, out, sizeof out),
                    FM_EIO);
    (void)alarm(0);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "stopped at row 1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "data.query_s"));
}

static const char schema_text[] =
    "name: t\ncsv: {missing: [\"NA\", \"\"]}\ncolumns:\n"
    "  - {name: v, kind: numeric, range: [-1e6, 1e6]}\n"
    "  - {name: k, kind: categorical, values: [a, \"b,\\\"c\"]}\n"
    "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";

static fm_status load(const fm_schema *s, const char *query, uint64_t most, fm_table *t)
{
    const fm_schema_csv csv = fm_schema_csv_of(s);
    const fm_database_format f = { csv.header, csv.delimiter, csv.missing, 0 };
    const fm_table_options o = { .labels = true, .max_rows = most };
    fm_table_input in = { path, fm_database_read, NULL };
    fm_database *d = NULL;
    fm_status st = fm_database_sqlite(path, query, &f, &d);

    in.ctx = d;
    if (!st)
        st = fm_table_read(&in, s, &o, t);
    fm_database_free(&d);
    return st;
}

static void a_table_is_the_one_of_the_file(void)
{
    const fm_table_options o = { .labels = true };
    static char csv[400000];
    fm_schema *s = NULL;
    fm_table a = { 0 }, b = { 0 };
    size_t len = 0;

    make("create table t(v real, k text, y integer);"
         "with recursive n(i) as (select 0 union all select i + 1 from n where i < 9999)"
         "insert into t select case when i % 7 = 0 then null else i / 8.0 end,"
         " case i % 3 when 0 then 'a' when 1 then 'b,\"c' end, i % 2 from n;");
    len += (size_t)snprintf(csv, sizeof csv, "v,k,y\n");
    for (int i = 0; i < 10000; i++) {
        if (i % 7)
            len += (size_t)snprintf(csv + len, sizeof csv - len, "%.15g", i / 8.0);
        len += (size_t)snprintf(csv + len, sizeof csv - len, ",%s,%d\n",
                                i % 3 == 0   ? "a"
                                : i % 3 == 1 ? "\"b,\"\"c\""
                                             : "NA",
                                i % 2);
    }
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", schema_text, strlen(schema_text), &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(load(s, "select y, k, v from t", 0, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_table_parse("csv", csv, len, s, &o, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(a.rows, 10000);
    CU_ASSERT_EQUAL_FATAL(a.rows, b.rows);
    CU_ASSERT_EQUAL(memcmp(a.x, b.x, a.rows * a.features * sizeof *a.x), 0);
    CU_ASSERT_EQUAL(memcmp(a.y, b.y, a.rows * sizeof *a.y), 0);
    CU_ASSERT_EQUAL(a.lines[9999], 10001);
    fm_table_fini(&a);
    CU_ASSERT_EQUAL(load(s, "select y, k, v from t", 9999, &a), FM_EPARSE);
    CU_ASSERT_EQUAL(load(s, "select y, k from t", 0, &a), FM_EPARSE);
    CU_ASSERT(strstr(fm_error_text(), "column v: the header does not have it") != NULL);
    CU_ASSERT_EQUAL(load(s, "select y, k, v || 'x' as v from t limit 3", 0, &a), FM_EPARSE);
    CU_ASSERT(strstr(fm_error_text(), ":3, column v: \"0.125x\" is not a number") != NULL);
    fm_table_fini(&b);
    fm_schema_free(&s);
}

static const fm_test tests[] = {
    { "rows are quoted, and NULL is what the schema misses",
      rows_are_quoted_and_null_is_what_the_schema_misses },
    { "what is no query is refused", what_is_no_query_is_refused },
    { "a file that is no database is named", a_file_that_is_no_database_is_named },
    { "an endless query is stopped", an_endless_query_is_stopped },
    { "a table is the one of the file", a_table_is_the_one_of_the_file },
};
const fm_test_suite suite_sqlite = { "source.sqlite", tests, FM_TEST_COUNT(tests) };
