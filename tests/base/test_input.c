#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/input.h"
#include "suites.h"

static char g_dir[64];

static void fresh(const char *name, char path[PATH_MAX])
{
    fm_test_tmpdir(g_dir, sizeof g_dir);
    (void)snprintf(path, PATH_MAX, "%s/%s", g_dir, name);
}

static void assert_refused(const char *path, fm_status want, const char *why)
{
    int fd = -1;

    CU_ASSERT_EQUAL(fm_input_open(path, &fd), want);
    CU_ASSERT_EQUAL(fd, -1);
    assert_error_has(path);
    assert_error_has(why);
}

static void says_what_stands_in_a_file_s_place(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char path[PATH_MAX];
    int s, fd = -1;

    fresh("socket", path);
    assert_refused(g_dir, FM_EIO, "is a folder");
    assert_refused(path, FM_ENOTFOUND, "cannot open it: No such file");
    CU_ASSERT_EQUAL_FATAL(symlink("nowhere", path), 0);
    assert_refused(path, FM_ENOTFOUND, "is a link to nowhere, which is not there");
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    CU_ASSERT_EQUAL_FATAL(symlink("socket", path), 0);
    assert_refused(path, FM_EIO, "is a link that leads back to itself");
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    assert_refused("/dev/zero", FM_EIO, "is a device");
    CU_ASSERT_TRUE_FATAL(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    assert_refused(path, FM_EIO, "is a socket");
    (void)close(s);
    CU_ASSERT_EQUAL(fm_input_open("/dev/null", &fd), FM_OK);
    (void)close(fd);
    CU_ASSERT_EQUAL(fm_input_open(NULL, &fd), FM_EINVAL);
}

static void does_not_wait_long_for_a_pipe_without_a_writer(void)
{
    char path[PATH_MAX];

    fresh("pipe", path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    (void)alarm(30); /* a hang ends the test */
    assert_refused(path, FM_EIO, "named pipe that nobody writes to");
    (void)alarm(0);
}

/* A writer that is late, and slow: all of it comes. */
static void reads_a_pipe_that_somebody_writes_to(void)
{
    char path[PATH_MAX];
    fm_buf got;
    pid_t child;

    fresh("pipe", path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    if ((child = fork()) == 0) {
        int fd;

        (void)usleep(200000);
        fd = open(path, O_WRONLY);
        (void)usleep(200000);
        (void)!write(fd, "one", 3);
        (void)usleep(200000);
        (void)!write(fd, " two", 4);
        _exit(0);
    }
    CU_ASSERT_EQUAL(fm_file_read(path, 100, &got), FM_OK);
    CU_ASSERT_STRING_EQUAL((const char *)got.data, "one two");
    fm_buf_fini(&got);
    (void)waitpid(child, NULL, 0);
}

#define NAMELESS 54321

static void says_who_may_not_read_it(void)
{
    char path[PATH_MAX];
    pid_t child;
    int status = 1;

    fresh("f", path);
    CU_ASSERT_EQUAL(fm_file_create(path, "x", 1, 0600), FM_OK);
    CU_ASSERT_EQUAL(chmod(path, 0), 0);
    fflush(stdout);
    if ((child = fork()) == 0) {
        char want[64];
        int fd = -1;
        bool good = chmod(g_dir, 0755) == 0;

        if (geteuid() == 0) /* root may read all */
            good = setresuid(NAMELESS, NAMELESS, NAMELESS) == 0 && good;
        (void)snprintf(want, sizeof want, "mode 0000, and this runs as ");
        good = fm_input_open(path, &fd) == FM_EIO && strstr(fm_error_text(), want) && good;
        if (geteuid() == NAMELESS) /* commands know who has no name by the number alone */
            good = strstr(fm_error_text(), "setfacl -m u:54321:r ") && good;
        /* More readers would make it less private. */
        good = fm_input_open_private(path, &fd) == FM_EIO && strstr(fm_error_text(), want) &&
               strstr(fm_error_text(), "chown ") && !strstr(fm_error_text(), "setfacl") && good;
        _exit(good ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
}

static void knows_files_by_their_first_bytes(void)
{
#define KIND(bytes, is)             \
    {                               \
        bytes, sizeof bytes - 1, is \
    }
    static const struct {
        const char *bytes;
        size_t n;
        const char *is; /* NULL: text */
    } files[] = {
        KIND("a,b\n1,2\n", NULL),
        KIND("", NULL),
        KIND("{", NULL),
        KIND("[1] note\n", NULL),
        KIND("\xef\xbb\xbf"
             "a,b\n",
             NULL),
        KIND("PARIS,b\n", NULL),
        KIND("\xff\xfe"
             "a\0",
             "UTF-16 text"),
        KIND("a\0,\0b\0\n\0", "UTF-16 text"),
        KIND("\0a\0,\0b\0\n", "UTF-16 text"),
        KIND("\xff\xfe\0\0a\0\0\0", "UTF-32 text"),
        KIND("PK\3\4....[Content_Types].xml", "an Excel workbook"),
        KIND("PK\3\4....mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
             "a LibreOffice workbook"),
        KIND("PK\3\4....records.csv", "a zip archive"),
        KIND("PAR1\x15\x04", "a Parquet file"),
        KIND("PAR1,ORC,age\n1,2,3\n", NULL),
        KIND("ORCID,age\n1,2\n", NULL),
        KIND("version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS to the file"),
        KIND("\x1f\x8b\x08", "packed (gzip)"),
        KIND("SQLite format 3\0", "an SQLite database"),
        KIND("%PDF-1.7", "a PDF"),
        KIND("-----BEGIN PGP MESSAGE-----\n", "encrypted (PGP)"),
        KIND("-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "a key or certificate (PEM)"),
        KIND("\n  <!doctype HTML>", "a web page"),
        KIND("<?xml version", "XML"),
        KIND("{\n \"a\": 1}", "JSON"),
        KIND("[ {\"a\": 1}]", "JSON"),
    };
    char tar[300] = "records.csv";

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const fm_input_other *other = fm_input_other_of(files[i].bytes, files[i].n);

        CU_ASSERT_EQUAL(other != NULL, files[i].is != NULL);
        if (other && files[i].is)
            CU_ASSERT_STRING_EQUAL(other->is, files[i].is);
        for (size_t n = 0; n < files[i].n; n++) /* no byte behind the end is looked at */
            (void)fm_input_other_of(files[i].bytes, n);
    }
    CU_ASSERT_PTR_NULL(fm_input_other_of(tar, sizeof tar));
    memcpy(tar + 257, "ustar", 5);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fm_input_other_of(tar, sizeof tar));
    CU_ASSERT_STRING_EQUAL(fm_input_other_of(tar, sizeof tar)->is, "a tar archive");
}

static const fm_test tests[] = {
    { "says what stands in a file's place", says_what_stands_in_a_file_s_place },
    { "does not wait long for a pipe without a writer",
      does_not_wait_long_for_a_pipe_without_a_writer },
    { "reads a pipe that somebody writes to", reads_a_pipe_that_somebody_writes_to },
    { "says who may not read it", says_who_may_not_read_it },
    { "knows files by their first bytes", knows_files_by_their_first_bytes },
};
const fm_test_suite suite_input = { "base.input", tests, FM_TEST_COUNT(tests) };
