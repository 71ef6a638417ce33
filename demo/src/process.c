#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

#define MAX_ARGS 40
#define MAX_OUTPUT ((size_t)4 * 1024 * 1024)

extern char **environ;

fm_status demo_bin_dir(char **out)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n <= 0)
        return fm_fail(FM_EIO, "/proc/self/exe cannot be read: %s", strerror(errno));
    path[n] = '\0';
    return fm_path_dir(path, out);
}

/* out_fd -1: standard output goes to the log too. */
static fm_status spawn(const demo *d, const char *program, const char *const *args, const char *log,
                       int out_fd, pid_t *pid)
{
    const char *argv[MAX_ARGS] = { 0 };
    posix_spawn_file_actions_t actions;
    char *path = NULL;
    int rc, n = 1;
    fm_status st = fm_path_join(d->bin, program, &path);

    if (st != FM_OK)
        return st;
    argv[0] = path;
    while (args[n - 1] && n < MAX_ARGS - 1) {
        argv[n] = args[n - 1];
        n++;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, out_fd >= 0 ? out_fd : 2, 1);
    rc = posix_spawn(pid, path, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0)
        st = fm_fail(FM_EIO, "%s cannot be started: %s; build it with ./dev build", path,
                     strerror(rc));
    free(path);
    return st;
}

fm_status demo_start(demo *d, const char *program, const char *const *args, const char *log,
                     pid_t *pid)
{
    return spawn(d, program, args, log, -1, pid);
}

static fm_status read_all(int fd, fm_buf *out)
{
    char piece[4096];
    ssize_t n;
    fm_status st = FM_OK;

    while (st == FM_OK && (n = read(fd, piece, sizeof piece)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fm_fail(FM_EIO, "a program's output cannot be read: %s", strerror(errno));
        if (out && out->len + (size_t)n <= MAX_OUTPUT)
            st = fm_buf_append(out, piece, (size_t)n);
    }
    return st;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* The last line of a log, as the reason of a failure. */
static fm_status fail_with_log(const char *program, const char *log)
{
    fm_buf text = { 0 };
    const char *last = "it said nothing";

    if (fm_file_read(log, MAX_OUTPUT, &text) == FM_OK && text.len > 0) {
        char *s = (char *)text.data;

        while (text.len > 0 && s[text.len - 1] == '\n')
            s[--text.len] = '\0';
        last = strrchr(s, '\n') ? strrchr(s, '\n') + 1 : s;
    }
    (void)fm_fail(FM_EIO, "%s failed: %s (all of it: %s)", program, last, log);
    fm_buf_fini(&text);
    return FM_EIO;
}

fm_status demo_run(demo *d, const char *program, const char *const *args, fm_buf *out)
{
    int pipe_fd[2];
    char *log = NULL;
    pid_t pid = 0;
    int status;
    fm_status st = demo_path(d, "setup.log", NULL, &log);

    if (st != FM_OK)
        return st;
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        st = fm_fail(FM_EIO, "no pipe: %s", strerror(errno));
        goto done;
    }
    st = spawn(d, program, args, log, pipe_fd[1], &pid);
    close(pipe_fd[1]);
    if (st == FM_OK) {
        st = read_all(pipe_fd[0], out);
        status = wait_for(pid);
        if (st == FM_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            st = fail_with_log(program, log);
    }
    close(pipe_fd[0]);
done:
    free(log);
    return st;
}

fm_status demo_poll(party *p, bool *running)
{
    int status = 0;
    pid_t got = p->pid ? waitpid(p->pid, &status, WNOHANG) : -1;
    char *log = NULL;
    fm_status st;

    *running = got == 0;
    if (got <= 0)
        return FM_OK;
    p->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return FM_OK;
    if ((st = fm_path_join(p->dir, "log", &log)) == FM_OK)
        st = fail_with_log(p->name, log);
    free(log);
    return st;
}

void demo_stop(party *p)
{
    if (!p->pid)
        return;
    kill(p->pid, SIGTERM);
    wait_for(p->pid);
    p->pid = 0;
}

fm_status demo_free_endpoint(char door[64])
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fm_status st = FM_OK;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        st = fm_fail(FM_EIO, "no free port on 127.0.0.1: %s", strerror(errno));
    else
        (void)snprintf(door, 64, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
    if (fd >= 0)
        close(fd);
    return st;
}
