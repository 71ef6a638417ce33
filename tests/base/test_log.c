#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/log.h"
#include "suites.h"

int log_child(void)
{
    fm_log(FM_LOG_ERROR, "line-e");
    fm_log(FM_LOG_WARN, "line-w");
    fm_log(FM_LOG_INFO, "line-i");
    fm_log(FM_LOG_DEBUG, "line-d");
    return 0;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t re;
    bool found;

    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    found = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z "

static void writes_time_level_name_and_text(void)
{
    const char *out;

    fm_log_set_level(FM_LOG_INFO);
    fm_log_set_name("node cleveland");
    capture_begin(stderr);
    fm_log(FM_LOG_INFO, "round %d", 7);
    out = capture_end(stderr);
    CU_ASSERT(matches(out, TIME "info  node cleveland: round 7\n$"));
    fm_log_set_name(NULL);
    capture_begin(stderr);
    fm_log(FM_LOG_ERROR, "text");
    out = capture_end(stderr);
    CU_ASSERT(matches(out, TIME "error text\n$"));
}

static void drops_lines_above_the_level(void)
{
    const char *out;

    fm_log_set_level(FM_LOG_WARN);
    capture_begin(stderr);
    (void)log_child();
    fm_log((fm_log_level)99, "line-x");
    out = capture_end(stderr);
    fm_log_set_level(FM_LOG_INFO);
    assert_has(out, "error line-e\n");
    assert_has(out, "warn  line-w\n");
    assert_lacks(out, "line-i");
    assert_lacks(out, "line-d");
    assert_lacks(out, "line-x");
}

static void strips_control_characters(void)
{
    const char *out;

    fm_log_set_name("a\nb");
    capture_begin(stderr);
    fm_log(FM_LOG_INFO, "%s",
           "one\n2026-01-01T00:00:00Z error forged\r\t\x1b[31m\x7f\xc2\x9b"
           "31m \xc3\xa9");
    out = capture_end(stderr);
    fm_log_set_name("");
    assert_has(out, "a?b: one?2026-01-01T00:00:00Z error forged???[31m???31m \xc3\xa9\n");
    CU_ASSERT_PTR_EQUAL(strchr(out, '\n'), out + strlen(out) - 1);
}

static void cuts_long_lines_and_names(void)
{
    char big[5000], name[200];
    const char *out;

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    fm_log_set_name(name);
    capture_begin(stderr);
    fm_log(FM_LOG_INFO, "%s", big);
    out = capture_end(stderr);
    fm_log_set_name("");
    CU_ASSERT(strlen(out) <= 2048);
    CU_ASSERT(strlen(out) > 1900);
    CU_ASSERT_EQUAL(out[strlen(out) - 1], '\n');
    name[63] = '\0';
    strcat(name, ": x");
    assert_has(out, name);
    name[62] = '\0';
    strcat(name, ": x");
    assert_lacks(out, "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: ");
}

static void run_child(const char *level, char *out, size_t cap)
{
    char command[128];
    FILE *pipe;
    size_t n;

    (void)snprintf(command, sizeof command, "FEDMOE_LOG=%s /proc/%d/exe --log-child 2>&1", level,
                   (int)getpid());
    fflush(NULL);
    pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    n = fread(out, 1, cap - 1, pipe);
    out[n] = '\0';
    CU_ASSERT_EQUAL(pclose(pipe), 0);
}

static void takes_its_level_from_the_environment(void)
{
    char out[2000];

    run_child("error", out, sizeof out);
    assert_has(out, "line-e");
    assert_lacks(out, "line-w");
    run_child("warn", out, sizeof out);
    assert_has(out, "line-w");
    assert_lacks(out, "line-i");
    run_child("info", out, sizeof out);
    assert_has(out, "line-i");
    assert_lacks(out, "line-d");
    run_child("debug", out, sizeof out);
    assert_has(out, "debug line-d");
    run_child("nonsense", out, sizeof out);
    assert_has(out, "line-i");
    assert_lacks(out, "line-d");
}

static const fm_test tests[] = {
    { "writes time, level, name and text", writes_time_level_name_and_text },
    { "drops lines above the level", drops_lines_above_the_level },
    { "strips control characters", strips_control_characters },
    { "cuts long lines and names", cuts_long_lines_and_names },
    { "takes its level from the environment", takes_its_level_from_the_environment },
};
const fm_test_suite suite_log = { "base.log", tests, FM_TEST_COUNT(tests) };
