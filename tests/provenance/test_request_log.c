/* One line for each request, whole, and nothing of the prompt in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/provenance/request_log.h"
#include "world.h"

static const char PROMPT[] = "Mrs. Miller's pain is worse";

static void log_path(char dir[PATH_CAP], char path[PATH_CAP])
{
    fm_test_tmpdir(dir, PATH_CAP - 64);
    make_path(path, dir, "requests");
}

static fm_status record(fm_request_log *l, const char *purpose, uint64_t out)
{
    fm_request r = { .time_s = 1764124200, .purpose = purpose, .tokens_in = 9, .tokens_out = out };

    need(fm_request_log_prompt(l, PROMPT, sizeof PROMPT - 1, &r.prompt) == FM_OK, "prompt");
    return fm_request_log_append(l, &r);
}

static void each_request_is_a_line_of_json(void)
{
    char dir[PATH_CAP], path[PATH_CAP];
    fm_request_log *l = NULL;
    struct stat info;
    fm_buf text;
    size_t lines = 0;

    log_path(dir, path);
    CU_ASSERT_EQUAL_FATAL(fm_request_log_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(record(l, "teaching", 1), FM_OK);
    CU_ASSERT_EQUAL(record(l, "a \"quoted\" \\ purpose", 2), FM_OK);
    CU_ASSERT_EQUAL(record(l, "two\nlines", 3), FM_EINVAL);
    fm_request_log_close(&l);
    CU_ASSERT_EQUAL_FATAL(fm_request_log_open(path, &l), FM_OK); /* with the same key */
    CU_ASSERT_EQUAL(record(l, "teaching", 3), FM_OK);
    fm_request_log_close(&l);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    need(fm_file_read(path, 1 << 16, &text) == FM_OK, "read");
    CU_ASSERT(strstr((char *)text.data, "Miller") == NULL);
    for (char *p = (char *)text.data; *p; lines++) {
        const size_t n = strcspn(p, "\n");
        json_t *line = json_loadb(p, n, 0, NULL);

        CU_ASSERT_PTR_NOT_NULL_FATAL(line);
        CU_ASSERT_EQUAL(json_object_size(line), 7);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "tokens_out")),
                        (json_int_t)lines + 1);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(line, "time")),
                               "2025-11-26T02:30:00Z");
        json_decref(line);
        p += n + 1;
    }
    CU_ASSERT_EQUAL(lines, 3);
    fm_buf_fini(&text);
}

static void the_same_prompt_is_found_with_the_key_alone(void)
{
    char dir[PATH_CAP], one[PATH_CAP], two[PATH_CAP];
    fm_request_log *a = NULL, *b = NULL;
    fm_hash x, y, z;

    log_path(dir, one);
    make_path(two, dir, "elsewhere");
    need(fm_request_log_open(one, &a) == FM_OK && fm_request_log_open(two, &b) == FM_OK, "logs");
    CU_ASSERT_EQUAL(fm_request_log_prompt(a, PROMPT, 9, &x), FM_OK);
    CU_ASSERT_EQUAL(fm_request_log_prompt(b, PROMPT, 9, &y), FM_OK);
    fm_request_log_close(&a);
    need(fm_request_log_open(one, &a) == FM_OK, "log");
    CU_ASSERT_EQUAL(fm_request_log_prompt(a, PROMPT, 9, &z), FM_OK);
    CU_ASSERT(fm_hash_equal(&x, &z));
    CU_ASSERT_FALSE(fm_hash_equal(&x, &y));
    fm_request_log_close(&a);
    fm_request_log_close(&b);
}

/* Mounts it: a line that a crash cut off. The next one must not be lost with it. */
static void a_torn_line_takes_no_other_with_it(void)
{
    char dir[PATH_CAP], path[PATH_CAP];
    fm_request_log *l = NULL;
    fm_buf text;

    log_path(dir, path);
    need(fm_request_log_open(path, &l) == FM_OK, "key");
    fm_request_log_close(&l);
    need(replace_file(dir, "requests", "{\"time\": \"20", 12, 0600) == FM_OK, "torn");
    CU_ASSERT_EQUAL_FATAL(fm_request_log_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(record(l, "teaching", 1), FM_OK);
    fm_request_log_close(&l);
    need(fm_file_read(path, 1 << 16, &text) == FM_OK, "read");
    CU_ASSERT(strncmp((char *)text.data, "{\"time\": \"20\n{\"time\": \"2025", 27) == 0);
    fm_buf_fini(&text);
}

/* Lines under two keys in one log would be found with neither. */
static void a_lost_key_is_not_replaced(void)
{
    char dir[PATH_CAP], path[PATH_CAP], key[PATH_CAP];
    fm_request_log *l = NULL;

    log_path(dir, path);
    make_path(key, dir, "requests.key");
    need(fm_request_log_open(path, &l) == FM_OK && unlink(key) == 0, "log");
    fm_request_log_close(&l);
    CU_ASSERT_EQUAL_FATAL(fm_request_log_open(path, &l), FM_OK); /* nothing is under it yet */
    CU_ASSERT_EQUAL(record(l, "teaching", 1), FM_OK);
    fm_request_log_close(&l);
    need(unlink(key) == 0, "key");
    CU_ASSERT_EQUAL(fm_request_log_open(path, &l), FM_ENOTFOUND);
    CU_ASSERT_PTR_NULL(l);
    CU_ASSERT_NOT_EQUAL(access(key, F_OK), 0);
}

static void what_others_can_read_is_refused(void)
{
    char dir[PATH_CAP], path[PATH_CAP], other[PATH_CAP];
    fm_request_log *l = NULL;

    log_path(dir, path);
    need(replace_file(dir, "requests", "", 0, 0644) == FM_OK, "log");
    CU_ASSERT_EQUAL(fm_request_log_open(path, &l), FM_EPERM);
    make_path(other, dir, "link");
    need(symlink(path, other) == 0, "link");
    CU_ASSERT_EQUAL(fm_request_log_open(other, &l), FM_EIO);
    CU_ASSERT_EQUAL(fm_request_log_open(dir, &l), FM_EIO);
    need(chmod(path, 0600) == 0 && replace_file(dir, "requests.key", "short", 5, 0600) == FM_OK,
         "key");
    CU_ASSERT_EQUAL(fm_request_log_open(path, &l), FM_EPARSE);
    CU_ASSERT_PTR_NULL(l);
}

static void processes_do_not_mix_their_lines(void)
{
    enum { PROCESSES = 4, EACH = 25 };
    char dir[PATH_CAP], path[PATH_CAP];
    size_t lines = 0;
    fm_buf text;

    log_path(dir, path);
    for (int i = 0; i < PROCESSES; i++) {
        fm_request_log *l = NULL;
        const pid_t pid = fork();

        need(pid >= 0, "fork");
        if (pid > 0)
            continue;
        if (fm_request_log_open(path, &l) != FM_OK)
            _exit(1);
        for (int k = 0; k < EACH; k++)
            if (record(l, "teaching", 1) != FM_OK)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 1;

        CU_ASSERT(wait(&status) > 0 && status == 0);
    }
    need(fm_file_read(path, 1 << 20, &text) == FM_OK, "read");
    for (char *p = (char *)text.data; *p; lines++) {
        const size_t n = strcspn(p, "\n");

        CU_ASSERT(n > 200 && p[0] == '{' && p[n - 1] == '}');
        p += n + 1;
    }
    CU_ASSERT_EQUAL(lines, PROCESSES * EACH);
    fm_buf_fini(&text);
}

static const fm_test tests[] = {
    { "each request is a line of JSON", each_request_is_a_line_of_json },
    { "the same prompt is found with the key alone", the_same_prompt_is_found_with_the_key_alone },
    { "a torn line takes no other with it", a_torn_line_takes_no_other_with_it },
    { "a lost key is not replaced", a_lost_key_is_not_replaced },
    { "what others can read is refused", what_others_can_read_is_refused },
    { "processes do not mix their lines", processes_do_not_mix_their_lines },
};
const fm_test_suite suite_request_log = { "provenance.request_log", tests, FM_TEST_COUNT(tests) };
