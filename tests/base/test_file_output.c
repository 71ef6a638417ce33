/* Outputs that are looked at before the work, and temporary files that go with a signal. */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "suites.h"

static char g_dir[256];

static const char *in_dir(const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%s", g_dir, name);
    return path;
}

static void begin(void)
{
    char path[PATH_MAX];

    fm_test_tmpdir(g_dir, sizeof g_dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(in_dir("in", path), "records", 7, 0600), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(in_dir("other", path), "x", 1, 0600), FM_OK);
}

static size_t entries(void)
{
    DIR *d = opendir(g_dir);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void an_input_is_never_the_output(void)
{
    char in[PATH_MAX], other[PATH_MAX], soft[PATH_MAX], hard[PATH_MAX], far[PATH_MAX];
    const char *const outputs[] = { in, soft, hard, far };

    begin();
    const char *const inputs[] = { NULL, in_dir("other", other), in_dir("none", soft),
                                   in_dir("in", in) };

    CU_ASSERT_EQUAL(symlink("in", in_dir("soft", soft)), 0);
    CU_ASSERT_EQUAL(link(in, in_dir("hard", hard)), 0);
    (void)snprintf(far, sizeof far, "%s/./in", g_dir);
    for (size_t i = 0; i < FM_TEST_COUNT(outputs); i++) {
        CU_ASSERT_EQUAL(fm_file_check_apart(outputs[i], inputs, 4), FM_EINVAL);
        assert_error_has("same file as the input");
        CU_ASSERT_EQUAL(fm_file_check_output(outputs[i], true, inputs, 4), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_file_check_output(outputs[i], false, inputs, 4), FM_EINVAL);
    }
    CU_ASSERT_EQUAL(fm_file_check_output(other, true, inputs + 2, 2), FM_OK);
    CU_ASSERT_EQUAL(fm_file_check_apart(NULL, inputs, 4), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_file_check_apart(in, NULL, 1), FM_EINVAL);
}

static void what_cannot_be_written_is_said_before_the_work(void)
{
    char path[PATH_MAX];
    size_t before;

    begin();
    before = entries();
    CU_ASSERT_EQUAL(fm_file_check_output(in_dir("new", path), false, NULL, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_file_check_output(in_dir("in", path), true, NULL, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_file_check_output(path, false, NULL, 0), FM_EEXIST);
    assert_error_has("--force");
    CU_ASSERT_EQUAL(fm_file_check_output(in_dir("no/new", path), true, NULL, 0), FM_EIO);
    assert_error_has("No such file");
    CU_ASSERT_EQUAL(fm_file_check_output(in_dir("in/new", path), true, NULL, 0), FM_EIO);
    assert_error_has("not a folder");
    CU_ASSERT_EQUAL(fm_file_check_output("/dev/null", true, NULL, 0), FM_EIO);
    assert_error_has("regular");
    CU_ASSERT_EQUAL(fm_file_check_output("/proc/new", true, NULL, 0), FM_EIO); /* root or not */
    CU_ASSERT_EQUAL(symlink("/nonexistent/x", in_dir("dangling", path)), 0);
    CU_ASSERT_EQUAL(fm_file_check_output(path, false, NULL, 0), FM_EEXIST);
    CU_ASSERT_EQUAL(entries(), before + 1); /* the dangling link: nothing is left of the tries */
}

static void a_new_file_is_finished_only_where_there_is_none(void)
{
    char path[PATH_MAX];
    fm_file_writer *w = NULL;
    fm_buf b = { 0 };

    begin();
    CU_ASSERT_EQUAL_FATAL(fm_file_begin(in_dir("new", path), 0600, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_file_write(w, "a", 1), FM_OK);
    CU_ASSERT_EQUAL(fm_file_finish_new(&w), FM_OK);
    CU_ASSERT_PTR_NULL(w);
    CU_ASSERT_EQUAL_FATAL(fm_file_begin(path, 0600, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_file_write(w, "b", 1), FM_OK);
    CU_ASSERT_EQUAL(fm_file_finish_new(&w), FM_EEXIST);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 10, &b), FM_OK);
    CU_ASSERT_STRING_EQUAL((const char *)b.data, "a");
    fm_buf_fini(&b);
    CU_ASSERT_EQUAL(entries(), 5);
}

/* A child with two files under way that ends by `by`. @return its wait status. */
static int interrupted(int by, bool ignored)
{
    char path[PATH_MAX];
    fm_file_writer *first = NULL, *gone = NULL, *last = NULL;
    int status = -1;
    pid_t pid;

    fflush(NULL);
    if ((pid = fork()) == 0) {
        if (ignored)
            (void)signal(by, SIG_IGN);
        fm_file_remove_on_signals();
        if (fm_file_begin(in_dir("one", path), 0600, &first) != FM_OK ||
            fm_file_begin(in_dir("two", path), 0600, &gone) != FM_OK ||
            fm_file_begin(in_dir("three", path), 0600, &last) != FM_OK ||
            fm_file_write(last, "half", 4) != FM_OK || fm_file_finish(&gone) != FM_OK ||
            entries() != 7)
            _exit(1);
        (void)raise(by);
        fm_file_abort(&first);
        fm_file_abort(&last);
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_signal_takes_its_temporary_files_along(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    char path[PATH_MAX];

    begin();
    for (size_t i = 0; i < FM_TEST_COUNT(ends); i++) {
        const int status = interrupted(ends[i], false);

        CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == ends[i]);
        CU_ASSERT_EQUAL(entries(), 5); /* ., .., in, other, and two, which was finished */
        CU_ASSERT_EQUAL(unlink(in_dir("two", path)), 0);
    }
    CU_ASSERT_EQUAL(interrupted(SIGINT, true), 0); /* as nohup and a shell's & have it */
    CU_ASSERT_EQUAL(entries(), 5);
}

static void *write_for_ever(void *name)
{
    char path[PATH_MAX];

    (void)in_dir(name, path);
    while (fm_file_replace(path, "0123456789", 10, 0600) == FM_OK)
        ;
    _exit(1);
}

/* Whichever thread gets the signal, and wherever the others are with their files. */
static void a_signal_at_any_instant_leaves_no_temporary_file(void)
{
    static char names[4][8] = { "a", "b", "c", "d" };

    begin();
    for (int i = 0; i < 30; i++) {
        int status = -1;
        pid_t pid;

        fflush(NULL);
        if ((pid = fork()) == 0) {
            pthread_t t;

            fm_file_remove_on_signals();
            for (size_t k = 1; k < FM_TEST_COUNT(names); k++)
                if (pthread_create(&t, NULL, write_for_ever, names[k]) != 0)
                    _exit(1);
            (void)write_for_ever(names[0]);
        }
        usleep((useconds_t)(2000 + 517 * i));
        (void)kill(pid, SIGTERM);
        CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
        CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        CU_ASSERT(entries() <= 8); /* ., .., in, other, a to d */
    }
}

static const fm_test tests[] = {
    { "an input is never the output", an_input_is_never_the_output },
    { "what cannot be written is said before the work",
      what_cannot_be_written_is_said_before_the_work },
    { "a new file is finished only where there is none",
      a_new_file_is_finished_only_where_there_is_none },
    { "a signal takes its temporary files along", a_signal_takes_its_temporary_files_along },
    { "a signal at any instant leaves no temporary file",
      a_signal_at_any_instant_leaves_no_temporary_file },
};
const fm_test_suite suite_file_output = { "base.file_output", tests, FM_TEST_COUNT(tests) };
