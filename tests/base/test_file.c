#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "suites.h"

static char g_dir[PATH_MAX];

/* A path in a fresh folder. */
static void fresh(const char *name, char path[PATH_MAX])
{
    fm_test_tmpdir(g_dir, sizeof g_dir - 64);
    (void)snprintf(path, PATH_MAX, "%.4000s/%.60s", g_dir, name);
}

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n >= 2 ? n - 2 : 0; /* . and .. */
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void assert_holds(const char *path, const char *text)
{
    fm_buf b;

    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1000000, &b), FM_OK);
    CU_ASSERT_EQUAL(b.len, strlen(text));
    CU_ASSERT_STRING_EQUAL(b.data ? (char *)b.data : "", text);
    fm_buf_fini(&b);
}

static void replaces_a_file_and_leaves_nothing_else(void)
{
    char path[PATH_MAX];
    mode_t mask = umask(077);

    fresh("f.txt", path);
    CU_ASSERT_EQUAL(fm_file_replace(path, "one", 3, 0644), FM_OK);
    assert_holds(path, "one");
    CU_ASSERT_EQUAL(mode_of(path), 0644); /* whatever the umask is */
    umask(0);
    CU_ASSERT_EQUAL(fm_file_replace(path, "second", 6, 0600), FM_OK);
    umask(mask);
    assert_holds(path, "second");
    CU_ASSERT_EQUAL(mode_of(path), 0600);
    CU_ASSERT_EQUAL(fm_file_replace(path, NULL, 0, 0600), FM_OK);
    assert_holds(path, "");
    CU_ASSERT_EQUAL(entries(g_dir), 1);
    CU_ASSERT_EQUAL(fm_file_replace(path, NULL, 1, 0600), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_file_replace(NULL, "x", 1, 0600), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_file_replace("", "x", 1, 0600), FM_EINVAL);
}

static void replaces_by_relative_names(void)
{
    char path[PATH_MAX], before[PATH_MAX];

    fresh("r.txt", path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof before));
    CU_ASSERT_EQUAL_FATAL(chdir(g_dir), 0);
    CU_ASSERT_EQUAL(fm_file_replace("r.txt", "here", 4, 0600), FM_OK);
    CU_ASSERT_EQUAL_FATAL(chdir(before), 0);
    assert_holds(path, "here");
}

static void a_failed_replace_leaves_the_old_file_and_no_temporary(void)
{
    char path[PATH_MAX], inside[PATH_MAX + 8];

    fresh("busy", path);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    (void)snprintf(inside, sizeof inside, "%s/x", path);
    CU_ASSERT_EQUAL(fm_file_replace(path, "x", 1, 0600), FM_EIO); /* a folder is in the way */
    assert_error_has(path);
    assert_error_has("not a regular file");
    CU_ASSERT_EQUAL(entries(g_dir), 1);
    CU_ASSERT_EQUAL(fm_file_replace(inside, "x", 1, 0600), FM_OK);
    (void)snprintf(inside, sizeof inside, "%s/x/y", path);
    CU_ASSERT_EQUAL(fm_file_replace(inside, "x", 1, 0600), FM_EIO);
    (void)snprintf(inside, sizeof inside, "%s/no/y", path);
    CU_ASSERT_EQUAL(fm_file_replace(inside, "x", 1, 0600), FM_EIO);
    assert_error_has("No such file");
    CU_ASSERT_EQUAL(fm_file_create(inside, "x", 1, 0600), FM_EIO);
}

static void a_name_that_is_too_long_is_an_error(void)
{
    char path[PATH_MAX], longer[PATH_MAX + 400];
    char name[300];

    fresh("", path);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)snprintf(longer, sizeof longer, "%s%s", path, name);
    CU_ASSERT_EQUAL(fm_file_replace(longer, "x", 1, 0600), FM_EIO);
    CU_ASSERT_EQUAL(entries(g_dir), 0);
}

/* A full disk, played by a file size limit in a child. */
static void a_full_disk_leaves_the_old_file(void)
{
    char path[PATH_MAX];
    static char big[65536];
    pid_t pid;
    int status = -1;

    fresh("full", path);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "old", 3, 0600), FM_OK);
    memset(big, 'b', sizeof big);
    fflush(NULL);
    if ((pid = fork()) == 0) {
        struct rlimit limit = { 1000, 1000 };
        fm_status st;

        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(3);
        st = fm_file_replace(path, big, sizeof big, 0600);
        _exit(st == FM_EIO && strstr(fm_error_text(), "File too large") ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    assert_holds(path, "old");
    CU_ASSERT_EQUAL(entries(g_dir), 1);
}

static void a_kill_at_any_instant_leaves_a_whole_file(void)
{
    char path[PATH_MAX];
    static char old[5000], fresh_text[90000];

    fresh("k", path);
    memset(old, 'o', sizeof old);
    memset(fresh_text, 'f', sizeof fresh_text);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, old, sizeof old, 0600), FM_OK);
    for (int i = 0; i < 20; i++) {
        fm_buf b;
        pid_t pid;
        bool whole = true;

        fflush(NULL);
        if ((pid = fork()) == 0)
            for (;;)
                if (fm_file_replace(path, old, sizeof old, 0600) != FM_OK ||
                    fm_file_replace(path, fresh_text, sizeof fresh_text, 0600) != FM_OK)
                    _exit(1);
        usleep((useconds_t)(500 + 700 * i));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        CU_ASSERT_EQUAL_FATAL(fm_file_read(path, sizeof fresh_text, &b), FM_OK);
        CU_ASSERT(b.len == sizeof old || b.len == sizeof fresh_text);
        for (size_t k = 0; k < b.len; k++)
            whole = whole && b.data[k] == (b.len == sizeof old ? 'o' : 'f');
        CU_ASSERT(whole);
        fm_buf_fini(&b);
    }
}

static void creates_but_never_overwrites(void)
{
    char path[PATH_MAX], link_path[PATH_MAX + 8];

    fresh("c", path);
    CU_ASSERT_EQUAL(fm_file_create(path, "first", 5, 0600), FM_OK);
    CU_ASSERT_EQUAL(mode_of(path), 0600);
    CU_ASSERT_EQUAL(fm_file_create(path, "other", 5, 0600), FM_EEXIST);
    assert_error_has(path);
    assert_holds(path, "first");
    CU_ASSERT_EQUAL(entries(g_dir), 1);
    /* A dangling link is there too, though nothing is behind it. */
    (void)snprintf(link_path, sizeof link_path, "%s.l", path);
    CU_ASSERT_EQUAL_FATAL(symlink("/nonexistent/x", link_path), 0);
    CU_ASSERT_EQUAL(fm_file_create(link_path, "other", 5, 0600), FM_EEXIST);
    CU_ASSERT_EQUAL(entries(g_dir), 2);
}

static void only_one_of_many_creators_wins(void)
{
    char path[PATH_MAX];
    int won = 0, lost = 0;

    fresh("race", path);
    fflush(NULL);
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            fm_status st = fm_file_create(path, "x", 1, 0600);

            _exit(st == FM_OK ? 0 : st == FM_EEXIST ? 1 : 2);
        }
    for (int i = 0; i < 8; i++) {
        int status = -1;

        (void)wait(&status);
        won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        lost += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    CU_ASSERT_EQUAL(won, 1);
    CU_ASSERT_EQUAL(lost, 7);
    CU_ASSERT_EQUAL(entries(g_dir), 1);
}

static void reads_up_to_the_limit_and_no_further(void)
{
    char path[PATH_MAX];
    fm_buf b;

    fresh("l", path);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "0123456789", 10, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_file_read(path, 10, &b), FM_OK);
    CU_ASSERT_EQUAL(b.len, 10);
    CU_ASSERT_EQUAL(b.data[10], 0);
    fm_buf_fini(&b);
    CU_ASSERT_EQUAL(fm_file_read(path, 9, &b), FM_EPROTO);
    assert_error_has("limit of 9 bytes");
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_PTR_NULL(b.data);
    fm_buf_fini(&b);
    CU_ASSERT_EQUAL(fm_file_read(path, 0, &b), FM_EPROTO);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "", 0, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_file_read(path, 0, &b), FM_OK);
    CU_ASSERT_EQUAL(b.len, 0);
    fm_buf_fini(&b);
    CU_ASSERT_EQUAL(fm_file_read("/dev/zero", 100000, &b), FM_EIO); /* no end of file */
    CU_ASSERT_PTR_NULL(b.data);
    CU_ASSERT_EQUAL(fm_file_read("/proc/self/status", 100000, &b), FM_OK); /* size 0, says stat */
    CU_ASSERT(b.len > 100);
    fm_buf_fini(&b);
}

static void reads_pipes_to_their_end(void)
{
    int fds[2];
    char path[64];
    fm_buf b;

    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    CU_ASSERT_EQUAL(write(fds[1], "piped", 5), 5);
    close(fds[1]);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    CU_ASSERT_EQUAL(fm_file_read(path, 5, &b), FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "piped");
    fm_buf_fini(&b);
    close(fds[0]);
}

static void names_the_path_when_it_cannot_read(void)
{
    char path[PATH_MAX];
    fm_buf b;

    fresh("none", path);
    CU_ASSERT_EQUAL(fm_file_read(path, 10, &b), FM_ENOTFOUND);
    assert_error_has(path);
    CU_ASSERT_EQUAL(fm_file_read(g_dir, 10, &b), FM_EIO);
    assert_error_has("folder");
    CU_ASSERT_EQUAL(fm_file_read_private(path, 10, &b), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_file_check_private(path), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_file_read(NULL, 10, &b), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_file_read(path, 10, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_file_check_private(NULL), FM_EINVAL);
}

static void private_files_must_be_narrow(void)
{
    static const mode_t wide[] = { 0640, 0604, 0601, 0620, 0700, 0644, 0666, 04600, 01600 };
    static const mode_t narrow[] = { 0600, 0400 };
    char path[PATH_MAX];
    fm_buf b;

    fresh("key.pem", path);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "k", 1, 0600), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(wide); i++) {
        CU_ASSERT_EQUAL_FATAL(chmod(path, wide[i]), 0);
        CU_ASSERT_EQUAL(fm_file_check_private(path), FM_EPERM);
        CU_ASSERT_EQUAL(fm_file_read_private(path, 10, &b), FM_EPERM);
        CU_ASSERT_PTR_NULL(b.data);
        assert_error_has("chmod 600");
    }
    for (size_t i = 0; i < FM_TEST_COUNT(narrow); i++) {
        CU_ASSERT_EQUAL_FATAL(chmod(path, narrow[i]), 0);
        CU_ASSERT_EQUAL(fm_file_check_private(path), FM_OK);
        CU_ASSERT_EQUAL(fm_file_read_private(path, 10, &b), FM_OK);
        CU_ASSERT_EQUAL(b.len, 1);
        fm_buf_fini(&b);
    }
}

static void a_pipe_in_place_of_a_private_file_does_not_hang(void)
{
    char path[PATH_MAX];
    fm_buf b;

    fresh("fifo", path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    CU_ASSERT_EQUAL(fm_file_read_private(path, 10, &b), FM_EPERM);
    CU_ASSERT_EQUAL(fm_file_check_private(path), FM_EPERM);
    CU_ASSERT_EQUAL(fm_file_check_private(g_dir), FM_EPERM);
}

static void makes_folders_with_their_parents(void)
{
    char path[PATH_MAX], deep[PATH_MAX + 32];
    mode_t mask = umask(022);

    fresh("a", path);
    (void)snprintf(deep, sizeof deep, "%s//b/c///", path);
    CU_ASSERT_EQUAL(fm_dir_make(deep, 0700), FM_OK);
    CU_ASSERT_EQUAL(mode_of(deep), 0700);
    CU_ASSERT_EQUAL(mode_of(path), 0700);
    CU_ASSERT_EQUAL(fm_dir_make(deep, 0700), FM_OK);
    CU_ASSERT_EQUAL(fm_dir_make("/", 0700), FM_OK);
    CU_ASSERT_EQUAL(fm_dir_make(".", 0700), FM_OK);
    (void)snprintf(deep, sizeof deep, "%s/file", path);
    CU_ASSERT_EQUAL(fm_file_replace(deep, "", 0, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_dir_make(deep, 0700), FM_EIO);
    (void)snprintf(deep, sizeof deep, "%s/file/below", path);
    CU_ASSERT_EQUAL(fm_dir_make(deep, 0700), FM_EIO);
    CU_ASSERT_EQUAL(fm_dir_make("", 0700), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dir_make(NULL, 0700), FM_EINVAL);
    umask(mask);
}

static void assert_join(const char *dir, const char *name, const char *expected)
{
    char *out = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_path_join(dir, name, &out), FM_OK);
    CU_ASSERT_STRING_EQUAL(out, expected);
    free(out);
}

static void assert_dir(const char *path, const char *expected)
{
    char *out = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_path_dir(path, &out), FM_OK);
    CU_ASSERT_STRING_EQUAL(out, expected);
    free(out);
}

static void joins_and_splits_paths(void)
{
    char *out = NULL;

    assert_join("d", "f", "d/f");
    assert_join("d/", "f", "d/f");
    assert_join("/", "f", "/f");
    assert_join("d", "/abs", "/abs");
    assert_join("", "f", "f");
    assert_dir("a/b/c", "a/b");
    assert_dir("/c", "/");
    assert_dir("c", ".");
    CU_ASSERT_EQUAL(fm_path_join(NULL, "f", &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_path_dir(NULL, &out), FM_EINVAL);
    CU_ASSERT_PTR_NULL(out);
}

static void what_others_may_write_is_refused(void)
{
    static const mode_t wide[] = { 0622, 0620, 0602, 0666 };
    char path[PATH_MAX];
    bool held = true;
    int lock = -1;

    fresh("f", path);
    CU_ASSERT_EQUAL(fm_file_check_unshared(path), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_file_create(path, "x", 1, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_file_check_unshared(path), FM_OK); /* to read is another matter */
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        CU_ASSERT_EQUAL_FATAL(chmod(path, wide[i]), 0);
        CU_ASSERT_EQUAL(fm_file_check_unshared(path), FM_EPERM);
        assert_error_has("chmod go-w");
    }
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(g_dir, 0770), 0); /* they could put another in its place */
    CU_ASSERT_EQUAL(fm_file_check_unshared(path), FM_EPERM);
    CU_ASSERT_EQUAL(fm_file_check_unshared(g_dir), FM_EPERM);
    CU_ASSERT_EQUAL_FATAL(chmod(g_dir, 01777), 0); /* as /tmp: they could not */
    CU_ASSERT_EQUAL(fm_file_check_unshared(path), FM_OK);

    CU_ASSERT_EQUAL(fm_dir_is_held(g_dir, &held), FM_OK);
    CU_ASSERT_FALSE(held);
    CU_ASSERT_EQUAL_FATAL(fm_dir_lock(g_dir, &lock), FM_OK);
    CU_ASSERT_EQUAL(fm_dir_is_held(g_dir, &held), FM_OK);
    CU_ASSERT_TRUE(held);
    fm_dir_unlock(&lock);
    CU_ASSERT_EQUAL(fm_dir_is_held(path, &held), FM_EIO); /* no folder */
    CU_ASSERT_EQUAL(fm_dir_check_writable(g_dir), FM_OK);
    CU_ASSERT_EQUAL(entries(g_dir), 1); /* the probe is gone */
    CU_ASSERT_EQUAL(fm_dir_check_writable(path), FM_EIO);
    assert_error_has("is not a folder");
    CU_ASSERT_EQUAL(fm_dir_check_writable("/nonexistent/dir"), FM_EIO);
    assert_error_has("not there");
}

/* Who starts while somebody looks waits for the moment that it takes. */
static void a_look_at_a_lock_does_not_keep_it_from_others(void)
{
    const struct timespec pause = { 0, 40000000L };
    char path[PATH_MAX];
    int lock = -1, status = -1;
    pid_t pid;

    fresh("l", path);
    fflush(NULL);
    CU_ASSERT_EQUAL_FATAL(fm_dir_lock(g_dir, &lock), FM_OK);
    if ((pid = fork()) == 0) {
        int mine = -1;

        close(lock);
        _exit(fm_dir_lock(g_dir, &mine) == FM_OK ? 0 : 1);
    }
    (void)nanosleep(&pause, NULL);
    fm_dir_unlock(&lock);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
}

static const fm_test tests[] = {
    { "replaces a file and leaves nothing else", replaces_a_file_and_leaves_nothing_else },
    { "replaces by relative names", replaces_by_relative_names },
    { "a failed replace leaves the old file and no temporary",
      a_failed_replace_leaves_the_old_file_and_no_temporary },
    { "a name that is too long is an error", a_name_that_is_too_long_is_an_error },
    { "a full disk leaves the old file", a_full_disk_leaves_the_old_file },
    { "a kill at any instant leaves a whole file", a_kill_at_any_instant_leaves_a_whole_file },
    { "creates but never overwrites", creates_but_never_overwrites },
    { "only one of many creators wins", only_one_of_many_creators_wins },
    { "reads up to the limit and no further", reads_up_to_the_limit_and_no_further },
    { "reads pipes to their end", reads_pipes_to_their_end },
    { "names the path when it cannot read", names_the_path_when_it_cannot_read },
    { "private files must be narrow", private_files_must_be_narrow },
    { "a pipe in place of a private file does not hang",
      a_pipe_in_place_of_a_private_file_does_not_hang },
    { "what others may write is refused", what_others_may_write_is_refused },
    { "a look at a lock does not keep it from others",
      a_look_at_a_lock_does_not_keep_it_from_others },
    { "makes folders with their parents", makes_folders_with_their_parents },
    { "joins and splits paths", joins_and_splits_paths },
};
const fm_test_suite suite_file = { "base.file", tests, FM_TEST_COUNT(tests) };
