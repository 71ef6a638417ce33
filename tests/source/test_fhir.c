/* A FHIR folder as tables: rows as they must be, and what is wrong by file and line. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/source/database.h"
#include "suites.h"

static char dir[400];

static fm_status open_plain(const char *path, void **out)
{
    FILE *f = fopen(path, "rb");

    if (!f)
        return fm_fail(FM_EIO, "%s: cannot open it", path);
    *out = f;
    return FM_OK;
}

/* A few bytes at a time, so that lines come in pieces. */
static fm_status read_plain(void *file, void *to, size_t room, size_t *n)
{
    *n = fread(to, 1, room < 7 ? room : 7, file);
    return FM_OK;
}

static void close_plain(void *file)
{
    (void)fclose(file);
}

static const fm_database_files files = { open_plain, read_plain, close_plain };

static void put(const char *name, const char *text)
{
    char path[500];

    if (!dir[0])
        fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, text, strlen(text), 0600), FM_OK);
}

#define TWO_PATIENTS                                                                             \
    "{\"resourceType\":\"Patient\",\"id\":\"a\",\"gender\":\"female\",\"birthDate\":\"1950-02-"  \
    "28\"}\n"                                                                                    \
    "\n"                                                                                         \
    "{\"resourceType\":\"Patient\",\"id\":\"b\",\"birthDate\":\"1961-07\",\"deceasedDateTime\":" \
    "\"2019-12-31T23:00:00Z\"}" /* no line end */
#define CONDITION(id, subject, date)                                                          \
    "{\"resourceType\":\"Condition\",\"id\":\"" id "\",\"subject\":{\"reference\":\"" subject \
    "\"},\"code\":{\"coding\":[{\"system\":\"s\",\"code\":\"1\"},{\"system\":\"t\",\"code\":" \
    "\"2\"}]},"                                                                               \
    "\"onsetDateTime\":\"" date "\"}\n"
#define A_CONDITION(subject, date) CONDITION("c", subject, date)
/* What follows of a resource about patient a. */
#define OF_A(type) "{\"resourceType\":\"" type "\",\"subject\":{\"reference\":\"Patient/a\"},"

static fm_status query(const char *sql, char *out, size_t cap)
{
    const fm_fhir_options o = { .files = &files, .scratch = dir };
    const fm_database_format f = { true, ',', "NULL", 0 };
    fm_database *d = NULL;
    size_t len = 0, n = 1;
    fm_status st = fm_database_fhir(dir, &o, sql, &f, &d);

    while (!st && n > 0 && len + 1 < cap &&
           !(st = fm_database_read(d, out + len, cap - 1 - len, &n)))
        len += n;
    out[len] = '\0';
    fm_database_free(&d);
    return st;
}

static void expect(const char *sql, const char *want)
{
    char got[4000];

    CU_ASSERT_EQUAL(query(sql, got, sizeof got), FM_OK);
    if (strcmp(got, want) != 0)
        printf("    got: %s%s\n", got, got[0] ? "" : fm_error_text());
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void resources_become_rows(void)
{
    put("Patient.ndjson", TWO_PATIENTS);
    put("log.ndjson", "{\"exportId\": 1}\n");
    put("Condition.000.ndjson", A_CONDITION("Patient/a", "2001-05-06T10:00:00+02:00")
                                    CONDITION("d", "https://example.org/fhir/Patient/b", "2002"));
    put("other.ndjson",
        "{\"resourceType\":\"Organization\",\"id\":\"x\"}\n"
        "{\"resourceType\":\"Procedure\",\"id\":\"e\",\"status\":\"entered-in-error\"}\n"
        "{\"resourceType\":\"Encounter\",\"id\":\"v\",\"class\":{\"code\":\"AMB\"},\"subject\":"
        "{\"reference\":\"Patient/"
        "a\"},\"period\":{\"start\":\"2003-01-02\",\"end\":\"2003-01-04\"}}\n"
        "{\"resourceType\":\"Observation\",\"id\":\"o\",\"subject\":{\"reference\":\"Patient/a\"},"
        "\"code\":{\"coding\":[{\"code\":\"bp\"}]},\"issued\":\"2003-01-03\",\"component\":["
        "{\"code\":{\"coding\":[{\"code\":\"sys\"}]},\"valueQuantity\":{\"value\":120.5,\"unit\":"
        "\"mm\"}}]}\n");
    expect("SELECT * FROM patient ORDER BY id", "\"id\",\"gender\",\"birth_date\",\"death_date\"\n"
                                                "\"a\",\"female\",\"1950-02-28\",\"NULL\"\n"
                                                "\"b\",\"NULL\",\"1961-07\",\"2019-12-31\"\n");
    expect(
        "SELECT patient, resource, id, system, code, date, until, class, value, unit FROM event "
        "ORDER BY file, line, rowid",
        "\"patient\",\"resource\",\"id\",\"system\",\"code\",\"date\",\"until\",\"class\","
        "\"value\",\"unit\"\n"
        "\"a\",\"Condition\",\"c\",\"s\",\"1\",\"2001-05-06\",\"NULL\",\"NULL\",\"NULL\",\"NULL\"\n"
        "\"a\",\"Condition\",\"c\",\"t\",\"2\",\"2001-05-06\",\"NULL\",\"NULL\",\"NULL\",\"NULL\"\n"
        "\"b\",\"Condition\",\"d\",\"s\",\"1\",\"2002\",\"NULL\",\"NULL\",\"NULL\",\"NULL\"\n"
        "\"b\",\"Condition\",\"d\",\"t\",\"2\",\"2002\",\"NULL\",\"NULL\",\"NULL\",\"NULL\"\n"
        "\"a\",\"Encounter\",\"v\",\"NULL\",\"NULL\",\"2003-01-02\",\"2003-01-04\",\"AMB\","
        "\"NULL\",\"NULL\"\n"
        "\"a\",\"Observation\",\"o\",\"NULL\",\"bp\",\"2003-01-03\",\"NULL\",\"NULL\",\"NULL\","
        "\"NULL\"\n"
        "\"a\",\"Observation\",\"o\",\"NULL\",\"sys\",\"2003-01-03\",\"NULL\",\"NULL\",\"120.5\","
        "\"mm\"\n");
}

static void refuse(const char *text, const char *said)
{
    char got[4000];

    put("Patient.ndjson", TWO_PATIENTS);
    put("Condition.000.ndjson", text);
    put("other.ndjson", "\n");
    CU_ASSERT_NOT_EQUAL(query("SELECT 1", got, sizeof got), FM_OK);
    if (!strstr(fm_error_text(), said))
        printf("    said: %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), said));
}

static void what_is_wrong_has_file_and_line(void)
{
    refuse(A_CONDITION("Patient/a", "2001-05-06") "{\"resourceType\":",
           "Condition.000.ndjson:2: no JSON: the line ends before the resource does");
    refuse("[{\"id\":1}]\n", "Condition.000.ndjson:1: a JSON array");
    refuse("{\n \"resourceType\":\"Patient\"\n}\n",
           "Condition.000.ndjson:1: a resource over several lines");
    refuse("\n{\"id\":\"x\"}\n",
           "Condition.000.ndjson:2: no FHIR resource: it has no resourceType");
    refuse(
        A_CONDITION("Patient/a", "2001-13-06"),
        "Condition.000.ndjson:1, Condition/c, onsetDateTime: \"2001-13-06\" is not a date: there "
        "is no such day");
    refuse(A_CONDITION("Patient/a", "06.05.2001"), "onsetDateTime: \"06.05.2001\" is not a date");
    refuse(A_CONDITION("Patient/a", "2001-02-29"), "no such day");
    refuse(A_CONDITION("Patient/a", "2001-02-28T25:00"), "is not a date");
    refuse(A_CONDITION("Patient/a", "9999-12-31"), "is a date out of the question");
    refuse(A_CONDITION("Group/a", "2001-05-06"),
           "Condition.000.ndjson:1, Condition/c, subject.reference: \"Group/a\" is no reference to "
           "a patient");
    refuse(A_CONDITION("Patient/a", "2001-05-06") CONDITION("d", "Patient/z", "2001-05-06"),
           "Condition.000.ndjson:2: it is of a patient who is in none of the folder's files");
    refuse(TWO_PATIENTS,
           "Patient.ndjson:1, Patient/a: is there already, at Condition.000.ndjson:1");
    refuse(A_CONDITION("Patient/a", "2001") A_CONDITION("Patient/a", "2002"),
           "Condition.000.ndjson:2, Condition/c: is there already, at Condition.000.ndjson:1");
}

static void types_and_codes_must_be_fhir_s(void)
{
    refuse(OF_A("Conditon") "\"id\":\"c\"}",
           "Condition.000.ndjson:1, resourceType: \"Conditon\" is no type of resource in FHIR; did "
           "you mean \"Condition\"?");
    refuse("{\"resourceType\":7}", "1, resourceType: 7 must be the resource's type");
    refuse("{\"resourceType\":\"Bundle\",\"entry\":[]}", "1: a Bundle, not a line");
    refuse(OF_A("Condition") "\"id\":\"\"}", "1, Condition, id: \"\" is no id");
    refuse("{\"resourceType\":\"Patient\"}", "1, Patient: has no id");
    refuse(OF_A("Condition") "\"onsetDatetime\":\"2001\"}", "did you mean \"onsetDateTime\"?");
    refuse(OF_A("Condition") "\"code\":\"I10\"}", "1, Condition, code: \"I10\" must be an object");
    refuse(OF_A("Condition") "\"code\":{\"coding\":{\"code\":\"1\"}}}",
           "coding: is an object, and must be a list");
    refuse(OF_A("Condition") "\"code\":{\"coding\":[{\"code\":44}]}}",
           "code: 44 is a number, and must be a text in double quotes");
    refuse(OF_A("Observation") "\"valueQuantity\":{\"value\":\"12\"}}",
           "1, Observation, valueQuantity.value: \"12\" is a text, and must be a number");
    refuse(OF_A("Observation") "\"valueQuantity\":12}",
           "valueQuantity: 12 is a number, and must be an object");
    refuse(OF_A("Encounter") "\"class\":[{\"code\":\"AMB\"}]}",
           "1, Encounter, class: is a list, and must be an object");
    refuse(OF_A("Encounter") "\"period\":\"2001\"}", "period: \"2001\" is a text");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"c\",\"gender\":\"F\"}",
           "1, Patient/c, gender: \"F\" is none of male, female, other, unknown");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"c\",\"birthDate\":19500228}",
           "1, Patient/c, birthDate: 19500228 is a number");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"c\",\"birthDate\":\"9999-01-01\"}",
           "birthDate: \"9999-01-01\" is a date out of the question here (1850 to today)");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"c\",\"birthDate\":\"1950-01-01\","
           "\"deceasedDateTime\":\"1949-01-01\"}",
           "deceasedDateTime: \"1949-01-01\" is before the birthDate");
}

static void a_file_of_another_kind_is_named(void)
{
    char path[500];

    refuse("<!DOCTYPE html><html>login</html>", "ndjson: this is no NDJSON but a web page");
    refuse("PK\3\4 archive", "ndjson: this is no NDJSON but a zip archive; unpack it");
    refuse("\xff\xfe{", "ndjson: this is no NDJSON but UTF-16 text");
    put("Condition.000.ndjson.gz", "");
    refuse(A_CONDITION("Patient/a", "2001-05-06"),
           "Condition.000.ndjson.gz: Condition.000.ndjson is there, too");
    (void)snprintf(path, sizeof path, "%s/Condition.000.ndjson.gz", dir);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

/* One of each of three files, and what follows from another is not told. */
static void all_problems_are_listed(void)
{
    const fm_database_format f = { true, ',', "", 0 };
    fm_buf all;
    fm_fhir_options o = { .files = &files, .problems = &all };
    fm_database *d = NULL;

    put("Condition.000.ndjson", A_CONDITION("Patient/c", "never") "{");
    put("Patient.ndjson", "{\"resourceType\":\"Patient\",\"id\":\"a\",\"gender\":\"w\"}\n"
                          "{\"resourceType\":\"Patiant\",\"id\":\"c\"}\n");
    put("other.ndjson", "\xef\xbb\xbf" A_CONDITION("urn:uuid:", "2001"));
    fm_buf_init(&all, 100000);
    CU_ASSERT_EQUAL(fm_database_fhir(dir, &o, "SELECT 1", &f, &d), FM_EPARSE);
    for (size_t i = 0, lines = 0; i <= all.len; i++) {
        lines += i < all.len && all.data[i] == '\n';
        if (i == all.len)
            CU_ASSERT_EQUAL(lines, 6);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "ndjson:1, Condition/c, onsetDateTime: \""));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "ndjson:2: no JSON"));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "ndjson:1, Patient/a, gender: \"w\""));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "did you mean \"Patient\"?"));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "other.ndjson:1, Condition/c, subject"));
    fm_buf_clear(&all);
    o.hide_values = true;
    CU_ASSERT_EQUAL(fm_database_fhir(dir, &o, "SELECT 1", &f, &d), FM_EPARSE);
    CU_ASSERT_PTR_NULL(strstr((char *)all.data, "never"));
    CU_ASSERT_PTR_NULL(strstr((char *)all.data, "Patient/a"));
    CU_ASSERT_PTR_NULL(strstr((char *)all.data, "\"w\""));
    fm_buf_fini(&all);
    put("Patient.ndjson", TWO_PATIENTS);
    put("other.ndjson", "\n");
}

/* Ten thousand wrong lines take as much room as a thousand. */
static void problems_are_bounded(void)
{
    const fm_database_format f = { true, ',', "", 0 };
    fm_buf all, text;
    const fm_fhir_options o = { .files = &files, .problems = &all };
    fm_database *d = NULL;

    fm_buf_init(&all, 1 << 20);
    fm_buf_init(&text, 1 << 20);
    for (int i = 0; i < 10000; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&text, "{\"resourceType\":\"Patient\"}\n"), FM_OK);
    put("Condition.000.ndjson", (char *)text.data);
    CU_ASSERT_EQUAL(fm_database_fhir(dir, &o, "SELECT 1", &f, &d), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "ndjson:1000, Patient: has no id"));
    CU_ASSERT_PTR_NULL(strstr((char *)all.data, "ndjson:1001, "));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)all.data, "reading stops here"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "more; fedmoe-node check lists them)"));
    fm_buf_fini(&all);
    fm_buf_fini(&text);
    put("Condition.000.ndjson", "\n");
}

static void a_query_only_reads(void)
{
    char got[100];

    put("Condition.000.ndjson", "\n");
    CU_ASSERT_EQUAL(query("DELETE FROM patient RETURNING id", got, sizeof got), FM_EINVAL);
    CU_ASSERT_EQUAL(query("SELECT absent FROM patient", got, sizeof got), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "no such column: absent"));
}

static fm_status read_room(void *file, void *to, size_t room, size_t *n)
{
    *n = fread(to, 1, room, file);
    return FM_OK;
}

/* Files open in `folder`, all of them without a name and private; -1: one of them is not. */
static int nameless_in(const char *folder)
{
    DIR *list = opendir("/proc/self/fd");
    char path[600], to[600];
    struct dirent *e;
    struct stat s;
    int count = 0;

    while (count >= 0 && (e = readdir(list))) {
        ssize_t n;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        if ((n = readlink(path, to, sizeof to - 1)) < 0)
            continue;
        to[n] = '\0';
        if (strncmp(to, folder, strlen(folder)) == 0 && stat(path, &s) == 0)
            count = s.st_nlink == 0 && (s.st_mode & 0777) == 0600 ? count + 1 : -1;
    }
    closedir(list);
    return count;
}

/* 48 MiB of texts: more than stays in memory. */
static void what_is_large_lies_in_the_nodes_own_folder_without_a_name(void)
{
    static const fm_database_files quick = { open_plain, read_room, close_plain };
    const fm_database_format f = { true, ',', "", 0 };
    char path[500], scratch[200], text[1 << 16];
    fm_database *d = NULL;
    FILE *out;

    put("Condition.000.ndjson", "\n");
    fm_test_tmpdir(scratch, sizeof scratch);
    (void)snprintf(path, sizeof path, "%s/large.ndjson", dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out = fopen(path, "w"));
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 768; i++)
        fprintf(out,
                "{\"resourceType\":\"Observation\",\"id\":\"o%d\",\"subject\":{\"reference\":"
                "\"Patient/a\"},\"code\":{\"coding\":[{\"code\":\"t\"}]},\"issued\":\"2003-01-03\","
                "\"valueString\":\"%.*s\"}\n",
                i, (int)sizeof text, text);
    CU_ASSERT_EQUAL(fclose(out), 0);
    CU_ASSERT_EQUAL_FATAL(
        fm_database_fhir(dir, &(fm_fhir_options){ .files = &quick, .scratch = scratch },
                         "SELECT count(*) AS n FROM event", &f, &d),
        FM_OK);
    CU_ASSERT_TRUE(nameless_in(scratch) > 0);
    fm_database_free(&d);
    CU_ASSERT_EQUAL(nameless_in(scratch), 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static const fm_test tests[] = {
    { "resources become rows", resources_become_rows },
    { "what is wrong has file and line", what_is_wrong_has_file_and_line },
    { "types and codes must be FHIR's", types_and_codes_must_be_fhir_s },
    { "a file of another kind is named", a_file_of_another_kind_is_named },
    { "all problems are listed", all_problems_are_listed },
    { "problems are bounded", problems_are_bounded },
    { "a query only reads", a_query_only_reads },
    { "what is large lies in the node's own folder, without a name",
      what_is_large_lies_in_the_nodes_own_folder_without_a_name },
};

const fm_test_suite suite_fhir = { "source.fhir", tests, FM_TEST_COUNT(tests) };
