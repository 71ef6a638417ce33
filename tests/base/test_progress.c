#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/cli.h"
#include "suites.h"

static void one_line_per_tenth_without_a_terminal(void)
{
    fm_progress p;
    const char *out, *line;
    size_t lines = 0;

    capture_begin(stderr);
    fm_progress_start(&p, "training", 400);
    for (uint64_t i = 0; i <= 400; i++)
        fm_progress_set(&p, i);
    fm_progress_set(&p, 400);
    fm_progress_end(&p);
    out = capture_end(stderr);
    for (line = out; (line = strchr(line, '\n')); line++)
        lines++;
    CU_ASSERT_EQUAL(lines, 10);
    assert_has(out, "training: 10% (40 of 400)\n");
    assert_has(out, "training: 100% (400 of 400)\n");
    assert_lacks(out, "\r");
    assert_lacks(out, "\033");
}

static void big_steps_print_one_line_each(void)
{
    fm_progress p;
    const char *out;

    capture_begin(stderr);
    fm_progress_start(&p, "x", 3);
    fm_progress_set(&p, 1);
    fm_progress_set(&p, 3);
    fm_progress_end(&p);
    out = capture_end(stderr);
    CU_ASSERT_STRING_EQUAL(out, "x: 33% (1 of 3)\nx: 100% (3 of 3)\n");
}

static void odd_totals_do_no_harm(void)
{
    fm_progress p;
    const char *out;

    capture_begin(stderr);
    fm_progress_start(&p, "none", 0);
    fm_progress_set(&p, 5);
    fm_progress_end(&p);
    fm_progress_start(&p, "over", 2);
    fm_progress_set(&p, UINT64_MAX);
    fm_progress_set(&p, 0);
    fm_progress_end(&p);
    fm_progress_start(&p, "huge", UINT64_MAX);
    fm_progress_set(&p, UINT64_MAX / 2);
    fm_progress_end(&p);
    out = capture_end(stderr);
    assert_lacks(out, "none");
    assert_has(out, "over: 100%");
    assert_has(out, "huge: 50%");
}

/* Run with standard error on a terminal of our own; what appears on it. */
static void on_terminal(char *out, size_t cap)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, saved;
    struct pollfd ready = { .fd = master, .events = POLLIN };
    fm_progress p;
    size_t n = 0;
    ssize_t got;

    CU_ASSERT_FATAL(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    saved = dup(STDERR_FILENO);
    CU_ASSERT_FATAL(slave >= 0 && saved >= 0);
    fflush(stderr);
    CU_ASSERT_FATAL(dup2(slave, STDERR_FILENO) >= 0);
    fm_progress_start(&p, "training", 4);
    fm_progress_set(&p, 1);
    p.started_ms -= 61000; /* as if a minute had passed */
    p.shown = 0;
    fm_progress_set(&p, 2);
    fm_progress_set(&p, 4);
    fm_progress_end(&p);
    fflush(stderr);
    CU_ASSERT_FATAL(dup2(saved, STDERR_FILENO) >= 0);
    while (n < cap - 1 && poll(&ready, 1, 100) == 1 &&
           (got = read(master, out + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    close(saved);
    close(slave);
    close(master);
}

static void a_terminal_gets_a_bar_with_time_left(void)
{
    char out[4000];

    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    on_terminal(out, sizeof out);
    assert_has(out, "\rtraining [..............................]   0%");
    assert_has(out, "\rtraining [###############...............]  50%  1:01 left");
    assert_has(out, "\rtraining [##############################] 100%  1:01");
    CU_ASSERT_EQUAL(out[strlen(out) - 1], '\n');
}

static void no_color_and_dumb_terminals_get_plain_lines(void)
{
    char out[4000];

    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    on_terminal(out, sizeof out);
    assert_has(out, "training: 100% (4 of 4)");
    assert_lacks(out, "[");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    on_terminal(out, sizeof out);
    assert_has(out, "training: 100% (4 of 4)");
    assert_lacks(out, "[");
}

static void a_file_is_no_terminal(void)
{
    int fd = open("/dev/null", O_WRONLY);

    CU_ASSERT_FALSE(fm_cli_is_terminal(fd));
    CU_ASSERT_FALSE(fm_cli_colour(fd));
    CU_ASSERT_FALSE(fm_cli_is_terminal(-1));
    close(fd);
}

static const fm_test tests[] = {
    { "one line per tenth without a terminal", one_line_per_tenth_without_a_terminal },
    { "big steps print one line each", big_steps_print_one_line_each },
    { "odd totals do no harm", odd_totals_do_no_harm },
    { "a terminal gets a bar with time left", a_terminal_gets_a_bar_with_time_left },
    { "NO_COLOR and dumb terminals get plain lines", no_color_and_dumb_terminals_get_plain_lines },
    { "a file is no terminal", a_file_is_no_terminal },
};
const fm_test_suite suite_progress = { "base.progress", tests, FM_TEST_COUNT(tests) };
