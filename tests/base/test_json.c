#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "suites.h"

static char g_path[300];

static void fresh(void)
{
    char dir[256];

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(g_path, sizeof g_path, "%s/r.json", dir);
}

static void writes_and_reads_back(void)
{
    json_t *v = json_pack("{s:i, s:f, s:[s, b, n]}", "z", 7, "a", 0.1, "list", "t\"x", 1), *w;
    fm_buf text;

    fresh();
    CU_ASSERT_EQUAL_FATAL(fm_json_write(g_path, v, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_json_read(g_path, &w), FM_OK);
    CU_ASSERT(json_equal(v, w));
    CU_ASSERT_EQUAL_FATAL(fm_file_read(g_path, 1000, &text), FM_OK);
    assert_has((char *)text.data, "{\n  \"z\": 7,\n  \"a\": 0.1");
    CU_ASSERT_EQUAL(text.data[text.len - 1], '\n');
    fm_buf_fini(&text);
    json_decref(v);
    json_decref(w);
}

static void errors_name_path_line_and_column(void)
{
    static const struct {
        const char *text, *needle;
    } cases[] = {
        { "{\n  \"a\": 1,\n  \"b\" 2\n}\n", "r.json:3:7: " },
        { "{\"a\": 1, \"a\": 2}", "duplicate" },
        { "", "r.json:1:0: " },
        { "{} x", "r.json:1:4: " },
        { "[1, 2", "r.json:1:5: " },
        { "{\"a\": nan}", "r.json:1:" },
        { "[99999999999999999999]", "too big integer" },
        { "[1e999]", "real number overflow" },
        { "[\"\xff\"]", "unable to decode byte 0xff" },
    };
    json_t *v = NULL;

    fresh();
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL_FATAL(fm_file_replace(g_path, cases[i].text, strlen(cases[i].text), 0644),
                              FM_OK);
        CU_ASSERT_EQUAL(fm_json_read(g_path, &v), FM_EPARSE);
        assert_error_has(g_path);
        assert_error_has(cases[i].needle);
    }
    CU_ASSERT_PTR_NULL(v);
}

static void deep_nesting_is_an_error_not_a_crash(void)
{
    static char deep[200000];
    json_t *v = NULL;

    fresh();
    memset(deep, '[', sizeof deep);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(g_path, deep, sizeof deep, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_json_read(g_path, &v), FM_EPARSE);
    assert_error_has("depth");
}

static void missing_and_oversized_files_are_refused(void)
{
    json_t *v = NULL;

    fresh();
    CU_ASSERT_EQUAL(fm_json_read(g_path, &v), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(g_path, "", 0, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(truncate(g_path, 16 * 1024 * 1024 + 1), 0);
    CU_ASSERT_EQUAL(fm_json_read(g_path, &v), FM_EPROTO);
    assert_error_has("limit");
    CU_ASSERT_EQUAL(fm_json_write(g_path, NULL, 0644), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_json_print(NULL), FM_EINVAL);
    CU_ASSERT_PTR_NULL(v);
}

static void a_failed_write_says_why(void)
{
    json_t *v = json_object();

    CU_ASSERT_EQUAL(fm_json_write("/nonexistent/dir/x.json", v, 0644), FM_EIO);
    assert_error_has("/nonexistent/dir/x.json");
    json_decref(v);
}

static void prints_with_a_newline(void)
{
    json_t *v = json_pack("{s:i}", "a", 1), *scalar = json_integer(5);
    const char *out;
    fm_status st;

    capture_begin(stdout);
    st = fm_json_print(v);
    out = capture_end(stdout);
    CU_ASSERT_EQUAL(st, FM_OK);
    CU_ASSERT_STRING_EQUAL(out, "{\n  \"a\": 1\n}\n");
    capture_begin(stdout);
    st = fm_json_print(scalar);
    out = capture_end(stdout);
    CU_ASSERT_EQUAL(st, FM_OK);
    CU_ASSERT_STRING_EQUAL(out, "5\n");
    json_decref(v);
    json_decref(scalar);
}

static void a_full_standard_output_is_an_error(void)
{
    pid_t pid;
    int status = -1;

    fflush(NULL);
    if ((pid = fork()) == 0) {
        int full = open("/dev/full", O_WRONLY);
        json_t *v = json_object();
        fm_status st;

        if (full < 0 || dup2(full, STDOUT_FILENO) < 0)
            _exit(3);
        st = fm_json_print(v);
        json_decref(v);
        _exit(st == FM_EIO && strstr(fm_error_text(), "standard output") ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
}

static const fm_test tests[] = {
    { "writes and reads back", writes_and_reads_back },
    { "errors name path, line and column", errors_name_path_line_and_column },
    { "deep nesting is an error, not a crash", deep_nesting_is_an_error_not_a_crash },
    { "missing and oversized files are refused", missing_and_oversized_files_are_refused },
    { "a failed write says why", a_failed_write_says_why },
    { "prints with a newline", prints_with_a_newline },
    { "a full standard output is an error", a_full_standard_output_is_an_error },
};
const fm_test_suite suite_json = { "base.json", tests, FM_TEST_COUNT(tests) };
