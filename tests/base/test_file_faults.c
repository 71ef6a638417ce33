/*
 * The system refuses: each call that a replace is made of fails in turn. The linker's --wrap
 * sends the library's calls through here.
 */
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "suites.h"

enum call { NONE, FCHMOD, WRITE, FSYNC, CLOSE, RENAME, RENAMEAT2, LINK, READ, FSTAT };

static enum call g_failing;
static int g_errno;            /* what it fails with */
static size_t g_skip;          /* calls that succeed before */
static bool g_once;            /* fails only once (EINTR) */
static bool g_short;           /* writes take at most 7 bytes */
static atomic_size_t g_fsyncs; /* calls seen; another test has threads */

static bool fails(enum call c)
{
    if (g_failing != c)
        return false;
    if (g_skip > 0) {
        g_skip--;
        return false;
    }
    if (g_once)
        g_failing = NONE;
    errno = g_errno;
    return true;
}

int __real_fchmod(int fd, mode_t mode);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_read(int fd, void *p, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __real_link(const char *from, const char *to);
int __real_fstat(int fd, struct stat *st);
int __wrap_fchmod(int fd, mode_t mode);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __wrap_link(const char *from, const char *to);
int __wrap_fstat(int fd, struct stat *st);

int __wrap_fchmod(int fd, mode_t mode)
{
    return fails(FCHMOD) ? -1 : __real_fchmod(fd, mode);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (fails(WRITE))
        return g_errno ? -1 : 0;
    return __real_write(fd, p, g_short && n > 7 ? 7 : n);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (fails(READ))
        return -1;
    return __real_read(fd, p, g_short && n > 7 ? 7 : n);
}

int __wrap_fsync(int fd)
{
    g_fsyncs++;
    return fails(FSYNC) ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    int r = __real_close(fd);

    return fails(CLOSE) ? -1 : r;
}

int __wrap_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : __real_rename(from, to);
}

int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return fails(RENAMEAT2) ? -1 : __real_renameat2(a, from, b, to, flags);
}

int __wrap_link(const char *from, const char *to)
{
    return fails(LINK) ? -1 : __real_link(from, to);
}

int __wrap_fstat(int fd, struct stat *st)
{
    return fails(FSTAT) ? -1 : __real_fstat(fd, st);
}

static char g_dir[256], g_path[300];

static void fresh(void)
{
    fm_test_tmpdir(g_dir, sizeof g_dir);
    (void)snprintf(g_path, sizeof g_path, "%s/state", g_dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(g_path, "the old text", 12, 0600), FM_OK);
}

static void fail_next(enum call c, int code, size_t skip)
{
    g_failing = c;
    g_errno = code;
    g_skip = skip;
    g_once = false;
}

static size_t entries(void)
{
    DIR *d = opendir(g_dir);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n - 2;
}

static void assert_holds(const char *path, const char *text)
{
    fm_buf b;

    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1000, &b), FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, text);
    fm_buf_fini(&b);
}

static void any_call_that_fails_leaves_the_old_file_alone(void)
{
    static const struct {
        enum call call;
        int code;
        const char *needle;
    } cases[] = {
        { FCHMOD, EPERM, "cannot set the mode" },
        { WRITE, ENOSPC, "No space left" },
        { WRITE, EIO, "cannot write" },
        { WRITE, 0, "No space left" },
        { FSYNC, EIO, "cannot sync" },
        { CLOSE, EIO, "cannot close" },
        { RENAME, EXDEV, "cannot replace it" },
    };

    fresh();
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        fm_status st;

        fail_next(cases[i].call, cases[i].code, 0);
        st = fm_file_replace(g_path, "new", 3, 0600);
        g_failing = NONE;
        CU_ASSERT_EQUAL(st, FM_EIO);
        assert_error_has(g_path);
        assert_error_has(cases[i].needle);
        assert_holds(g_path, "the old text");
        CU_ASSERT_EQUAL(entries(), 1);
    }
}

static void a_folder_that_cannot_be_synced_is_an_error(void)
{
    fm_status st;

    fresh();
    fail_next(FSYNC, EIO, 1);
    st = fm_file_replace(g_path, "new", 3, 0600);
    g_failing = NONE;
    CU_ASSERT_EQUAL(st, FM_EIO);
    assert_error_has("sync the folder");
    assert_holds(g_path, "new"); /* whole, though it may not survive a power cut */
    fail_next(FSYNC, EINVAL, 1);
    st = fm_file_replace(g_path, "newer", 5, 0600);
    g_failing = NONE;
    CU_ASSERT_EQUAL(st, FM_OK); /* file systems that cannot sync a folder */
}

static void syncs_the_file_and_its_folder(void)
{
    fresh();
    g_fsyncs = 0;
    CU_ASSERT_EQUAL(fm_file_replace(g_path, "new", 3, 0600), FM_OK);
    CU_ASSERT_EQUAL(g_fsyncs, 2);
}

static void interrupted_and_short_calls_go_on(void)
{
    fm_status st;
    fm_buf b;

    fresh();
    g_short = true;
    fail_next(WRITE, EINTR, 1);
    g_once = true;
    st = fm_file_replace(g_path, "a text of more than seven bytes", 31, 0600);
    CU_ASSERT_EQUAL(st, FM_OK);
    CU_ASSERT_EQUAL(g_failing, NONE); /* it did happen */
    fail_next(READ, EINTR, 1);
    g_once = true;
    st = fm_file_read(g_path, 31, &b);
    g_short = false;
    CU_ASSERT_EQUAL(g_failing, NONE);
    CU_ASSERT_EQUAL_FATAL(st, FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "a text of more than seven bytes");
    fm_buf_fini(&b);
}

static void failed_reads_give_nothing(void)
{
    fm_buf b;
    fm_status st;

    fresh();
    fail_next(READ, EIO, 0);
    st = fm_file_read(g_path, 100, &b);
    g_failing = NONE;
    CU_ASSERT_EQUAL(st, FM_EIO);
    assert_error_has("cannot read");
    CU_ASSERT_PTR_NULL(b.data);
    fail_next(FSTAT, EIO, 0);
    st = fm_file_read(g_path, 100, &b);
    g_failing = NONE;
    CU_ASSERT_EQUAL(st, FM_EIO);
    CU_ASSERT_PTR_NULL(b.data);
}

static void creating_works_without_renameat2(void)
{
    char other[310];
    fm_status st;

    fresh();
    (void)snprintf(other, sizeof other, "%s.new", g_path);
    fail_next(RENAMEAT2, EINVAL, 0);
    st = fm_file_create(other, "x", 1, 0600);
    CU_ASSERT_EQUAL(st, FM_OK);
    assert_holds(other, "x");
    CU_ASSERT_EQUAL(entries(), 2);
    (void)unlink(other);
    CU_ASSERT_EQUAL_FATAL(symlink("/nonexistent/x", other), 0); /* not seen before the link */
    st = fm_file_create(other, "y", 1, 0600);
    CU_ASSERT_EQUAL(st, FM_EEXIST);
    CU_ASSERT_EQUAL(entries(), 2);
    (void)unlink(other);
    fail_next(RENAMEAT2, EIO, 0);
    st = fm_file_create(other, "y", 1, 0600);
    g_failing = NONE;
    CU_ASSERT_EQUAL(st, FM_EIO);
    CU_ASSERT_EQUAL(entries(), 1);
}

static const fm_test tests[] = {
    { "any call that fails leaves the old file alone",
      any_call_that_fails_leaves_the_old_file_alone },
    { "a folder that cannot be synced is an error", a_folder_that_cannot_be_synced_is_an_error },
    { "syncs the file and its folder", syncs_the_file_and_its_folder },
    { "interrupted and short calls go on", interrupted_and_short_calls_go_on },
    { "failed reads give nothing", failed_reads_give_nothing },
    { "creating works without renameat2", creating_works_without_renameat2 },
};
const fm_test_suite suite_file_faults = { "base.file_faults", tests, FM_TEST_COUNT(tests) };
