#include "fm_test_xz.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fm_test.h"

static bool read_all(int fd, fm_buf *out)
{
    char piece[65536];
    ssize_t n;

    while ((n = read(fd, piece, sizeof piece)) > 0)
        if (fm_buf_append(out, piece, (size_t)n))
            return false;
    return n == 0;
}

bool fm_test_shared_xz(const char *rel, size_t limit, fm_buf *out, const char **why)
{
    char path[4096];
    int ends[2], status = -1;
    bool whole;
    pid_t child;
    const size_t len = strlen(rel);
    const bool gzip = len > 3 && strcmp(rel + len - 3, ".gz") == 0;
    const char *program = gzip ? "gzip" : "xz";

    *why = "the shared data is not there";
    if (!fm_test_shared(rel, path, sizeof path))
        return false;
    *why = gzip ? "gzip does not run (package gzip)" : "xz does not run (package xz-utils)";
    if (pipe(ends))
        return false;
    if ((child = fork()) == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        execlp(program, program, "-dc", "--", path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    fm_buf_init(out, limit);
    whole = child > 0 && read_all(ends[0], out);
    (void)close(ends[0]);
    if (child > 0 && waitpid(child, &status, 0) == child && whole && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0)
        return true;
    fm_buf_fini(out);
    return false;
}
