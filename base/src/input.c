/* Opening without hanging. Source: fifo(7), pipe(7), tee(2) of Linux. */
#include "fedmoe/base/input.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOOK_MS 50 /* between two looks for a writer */
#define NAME_MOST ((size_t)48)

/* "mary", or the number, behind `otherwise`, when the machine has no name for it. */
static const char *user_name(uid_t id, const char *otherwise, char out[NAME_MOST])
{
    char memory[1024];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(id, &entry, memory, sizeof memory, &found) == 0 && found)
        (void)snprintf(out, NAME_MOST, "%.40s", found->pw_name);
    else
        (void)snprintf(out, NAME_MOST, "%s%lu", otherwise, (unsigned long)id);
    return out;
}

/* @param private  nobody but who reads the file may: not to be had by letting more people read it. */
static fm_status fail_permission(const char *path, bool private)
{
    char me[NAME_MOST], owner[NAME_MOST], account[NAME_MOST];
    const uid_t id = geteuid();
    struct stat info;

    (void)user_name(id, "user ", me);
    if (stat(path, &info) != 0)
        return fm_fail(FM_EIO,
                       "%s: cannot open it: a folder on the way to it is closed to %s; "
                       "\"namei -l %s\" shows which",
                       path, me, path);
    (void)user_name(info.st_uid, "user ", owner);
    (void)user_name(id, "", account);
    if (private)
        return fm_fail(FM_EIO,
                       "%s: cannot open it: it is %s's, mode %04o, and this runs as %s; it is for "
                       "one user alone: chown %s %s, or run this as %s",
                       path, owner, (unsigned)(info.st_mode & 07777), me, account, path, owner);
    return fm_fail(
        FM_EIO,
        "%s: cannot open it: it is %s's, mode %04o, and this runs as %s; let %s read it: "
        "setfacl -m u:%s:r %s",
        path, owner, (unsigned)(info.st_mode & 07777), me, me, account, path);
}

static fm_status fail_open(const char *path, int code, bool private)
{
    struct stat info;
    char to[256];
    ssize_t n;

    if (code == EACCES)
        return fail_permission(path, private);
    if (code == ENXIO && stat(path, &info) == 0)
        return fm_fail(FM_EIO, "%s: is a %s, not a file", path,
                       S_ISSOCK(info.st_mode) ? "socket" : "device without a driver");
    if (code == ENOENT && (n = readlink(path, to, sizeof to - 1)) > 0) {
        to[n] = '\0';
        return fm_fail(FM_ENOTFOUND, "%s: is a link to %s, which is not there", path, to);
    }
    if (code == ELOOP)
        return fm_fail(FM_EIO, "%s: is a link that leads back to itself; \"namei -l %s\" shows how",
                       path, path);
    return fm_fail(code == ENOENT || code == ENOTDIR ? FM_ENOTFOUND : FM_EIO,
                   "%s: cannot open it: %s", path, strerror(code));
}

/* One without a name ends by itself when nobody writes. */
static bool is_named_pipe(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) != 0 || fs.f_type != PIPEFS_MAGIC;
}

/* Looks into the pipe, and takes nothing out of it. @return whether somebody writes, or has written. */
static bool has_writer(int fd, int spare)
{
    return tee(fd, spare, 1, SPLICE_F_NONBLOCK) != 0;
}

static fm_status wait_for_writer(const char *path, int fd)
{
    int spare[2];
    bool written = false;

    if (!is_named_pipe(fd))
        return FM_OK;
    if (pipe2(spare, O_CLOEXEC | O_NONBLOCK) != 0)
        return fm_fail(FM_EIO, "%s: cannot look into the pipe: %s", path, strerror(errno));
    for (int ms = 0; !(written = has_writer(fd, spare[1])) && ms < FM_INPUT_PIPE_WAIT_MS;
         ms += LOOK_MS)
        (void)poll(NULL, 0, LOOK_MS);
    (void)close(spare[0]);
    (void)close(spare[1]);
    return written ? FM_OK
                   : fm_fail(FM_EIO,
                             "%s: is a named pipe that nobody writes to; start what fills it, or "
                             "name a file",
                             path);
}

static fm_status check_kind(const char *path, int fd, const struct stat *info)
{
    /* /dev/null is an empty file as people use it. */
    const bool null = S_ISCHR(info->st_mode) && info->st_rdev == makedev(1, 3);

    if (S_ISREG(info->st_mode) || null || (S_ISCHR(info->st_mode) && isatty(fd)))
        return FM_OK;
    if (S_ISFIFO(info->st_mode))
        return wait_for_writer(path, fd);
    if (S_ISDIR(info->st_mode))
        return fm_fail(FM_EIO, "%s: is a folder, not a file; name a file in it", path);
    return fm_fail(FM_EIO, "%s: is a %s, not a file", path,
                   S_ISSOCK(info->st_mode) ? "socket" : "device");
}

static fm_status open_input(const char *path, bool private, int *out)
{
    struct stat info;
    fm_status st;
    int fd;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "no path to open");
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail_open(path, errno, private);
    st = fstat(fd, &info) == 0 ? check_kind(path, fd, &info) : fail_open(path, errno, private);
    /* From here on what is not there yet is waited for. */
    if (st == FM_OK && fcntl(fd, F_SETFL, 0) != 0)
        st = fail_open(path, errno, private);
    if (st != FM_OK)
        (void)close(fd);
    else
        *out = fd;
    return st;
}

fm_status fm_input_open(const char *path, int *out)
{
    return open_input(path, false, out);
}

fm_status fm_input_open_private(const char *path, int *out)
{
    return open_input(path, true, out);
}
