#include "file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fedmoe/base/input.h"

#define READ_CHUNK ((size_t)64 * 1024)

static fm_status fail_errno(const char *path, const char *what)
{
    int code = errno;

    return fm_fail(code == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: cannot %s: %s", path, what,
                   strerror(code));
}

const char *fm_file_advice(int code)
{
    return code == ENOSPC || code == EDQUOT ? "; free space on that disk, then start again" : "";
}

/* Writing has no FM_ENOTFOUND: a missing folder is a failure of the system to write. */
static fm_status fail_write(const char *path, const char *what)
{
    int code = errno;

    return fm_fail(FM_EIO, "%s: cannot %s: %s%s", path, what, strerror(code), fm_file_advice(code));
}

fm_status fm_path_join(const char *dir, const char *name, char **out)
{
    size_t dir_len;
    char *joined = NULL;

    if (!dir || !name || !out)
        return fm_fail(FM_EINVAL, "fm_path_join: a part is missing");
    if (name[0] == '/' || dir[0] == '\0')
        return fm_strdup(name, out);
    dir_len = strlen(dir);
    if (asprintf(&joined, "%s%s%s", dir, dir[dir_len - 1] == '/' ? "" : "/", name) < 0)
        return fm_fail(FM_ENOMEM, "no memory for the path %s/%s", dir, name);
    *out = joined;
    return FM_OK;
}

fm_status fm_path_dir(const char *path, char **out)
{
    const char *slash;
    size_t len;
    char *dir;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_path_dir: no path");
    if (!(slash = strrchr(path, '/')))
        return fm_strdup(".", out);
    len = slash == path ? 1 : (size_t)(slash - path);
    if (!(dir = strndup(path, len)))
        return fm_fail(FM_ENOMEM, "no memory for the folder of %s", path);
    *out = dir;
    return FM_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static fm_status sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fm_status st = FM_OK;

    if (fd < 0)
        return fail_write(dir, "open the folder");
    /* Some file systems cannot sync a folder and say EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL)
        st = fail_write(dir, "sync the folder");
    close(fd);
    return st;
}

static bool write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len < SSIZE_MAX ? len : SSIZE_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Rename that refuses to replace; the fallback is for file systems without renameat2 flags. */
static int rename_new(const char *temp, const char *path)
{
    if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(temp, path) != 0)
        return -1;
    (void)unlink(temp); /* the data is in place under its name; a second name does no harm */
    return 0;
}

static fm_status publish(const char *temp, const char *path, bool overwrite)
{
    if ((overwrite ? rename(temp, path) : rename_new(temp, path)) == 0)
        return FM_OK;
    if (!overwrite && errno == EEXIST)
        return fm_fail(FM_EEXIST, "%s is there already and is not overwritten", path);
    return fail_write(path, overwrite ? "replace it" : "create it");
}

struct fm_file_writer {
    char *path, *dir;
    fm_temp_file temp; /* its path NULL: none */
    int fd;            /* of the temporary file, or -1 */
};

static void forget_temp(fm_file_writer *w)
{
    fm_temp_drop(&w->temp);
    free(w->temp.path);
    w->temp.path = NULL;
}

void fm_file_abort(fm_file_writer **w)
{
    if (!w || !*w)
        return;
    if ((*w)->fd >= 0)
        (void)close((*w)->fd);
    if ((*w)->temp.path)
        (void)unlink((*w)->temp.path);
    forget_temp(*w);
    free((*w)->dir);
    free((*w)->path);
    free(*w);
    *w = NULL;
}

static fm_status make_temp(fm_file_writer *w, mode_t mode)
{
    if (asprintf(&w->temp.path, "%s/.%s.XXXXXX.tmp", w->dir, base_name(w->path)) < 0) {
        w->temp.path = NULL;
        return fm_fail(FM_ENOMEM, "no memory for a temporary name of %s", w->path);
    }
    if ((w->fd = fm_temp_make(&w->temp, 4)) < 0) {
        const fm_status st = fail_write(w->path, "create a temporary file beside it");

        forget_temp(w); /* it is not there to be removed */
        return st;
    }
    return fchmod(w->fd, mode) == 0
               ? FM_OK
               : fail_write(w->path, "set the mode of a temporary file beside it");
}

static fm_status begin_write(const char *path, mode_t mode, fm_file_writer **out)
{
    fm_file_writer *w = NULL;
    fm_status st;

    if (!path || !*path)
        return fm_fail(FM_EINVAL, "no path or no data to write");
    if ((st = fm_alloc(1, sizeof *w, (void **)&w)) != FM_OK)
        return st;
    w->fd = -1;
    if ((st = fm_strdup(path, &w->path)) != FM_OK || (st = fm_path_dir(path, &w->dir)) != FM_OK ||
        (st = make_temp(w, mode)) != FM_OK) {
        fm_file_abort(&w);
        return st;
    }
    *out = w;
    return FM_OK;
}

fm_status fm_file_write(fm_file_writer *w, const void *data, size_t len)
{
    return write_all(w->fd, data, len) ? FM_OK
                                       : fail_write(w->path, "write a temporary file beside it");
}

static fm_status finish(fm_file_writer **writer, bool overwrite)
{
    fm_file_writer *w = *writer;
    fm_status st = FM_OK;
    int fd = w->fd;

    if (fsync(fd) != 0)
        st = fail_write(w->path, "sync a temporary file beside it");
    w->fd = -1;
    if (close(fd) != 0 && st == FM_OK)
        st = fail_write(w->path, "close a temporary file beside it");
    if (st == FM_OK && (st = publish(w->temp.path, w->path, overwrite)) == FM_OK) {
        forget_temp(w); /* it has the other name now */
        st = sync_dir(w->dir);
    }
    fm_file_abort(writer);
    return st;
}

fm_status fm_file_finish(fm_file_writer **w)
{
    return finish(w, true);
}

fm_status fm_file_finish_new(fm_file_writer **w)
{
    return finish(w, false);
}

static fm_status check_regular(const char *path)
{
    struct stat info;

    if (path && lstat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return fm_fail(FM_EIO, "%s: is not a regular file, and is not replaced by one", path);
    return FM_OK;
}

fm_status fm_file_begin(const char *path, mode_t mode, fm_file_writer **out)
{
    const fm_status st = check_regular(path);

    return st != FM_OK ? st : begin_write(path, mode, out);
}

static fm_status write_file(const char *path, const void *data, size_t len, mode_t mode,
                            bool overwrite)
{
    fm_file_writer *w = NULL;
    fm_status st;

    if (!data && len > 0)
        return fm_fail(FM_EINVAL, "no path or no data to write");
    if ((st = begin_write(path, mode, &w)) != FM_OK)
        return st;
    if ((st = fm_file_write(w, data, len)) == FM_OK)
        return finish(&w, overwrite);
    fm_file_abort(&w);
    return st;
}

fm_status fm_file_replace(const char *path, const void *data, size_t len, mode_t mode)
{
    const fm_status st = check_regular(path);

    return st != FM_OK ? st : write_file(path, data, len, mode, true);
}

fm_status fm_file_create(const char *path, const void *data, size_t len, mode_t mode)
{
    if (path && fm_file_exists(path)) /* the common case, before anything is written */
        return fm_fail(FM_EEXIST, "%s is there already and is not overwritten", path);
    return write_file(path, data, len, mode, false);
}

static fm_status fail_long(const char *path, size_t limit)
{
    return fm_fail(FM_EPROTO, "%s: longer than the limit of %zu bytes; is it the right file?", path,
                   limit);
}

/* `expect` is the size that fstat saw; pipes and /proc say 0, and files may grow meanwhile. */
static fm_status read_all(const char *path, int fd, size_t expect, size_t limit, fm_buf *out)
{
    for (;;) {
        size_t room = limit - out->len;
        size_t want = expect > out->len ? expect - out->len : READ_CHUNK;
        uint8_t spare; /* at the limit one more byte decides */
        uint8_t *place = &spare;
        size_t before = out->len;
        fm_status st;
        ssize_t n;

        if (want > room)
            want = room;
        if (want > 0 && (st = fm_buf_extend(out, want, &place)) != FM_OK)
            return st;
        do
            n = read(fd, place, want > 0 ? want : 1);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return fail_errno(path, "read");
        if (want == 0)
            return n == 0 ? FM_OK : fail_long(path, limit);
        out->len = before + (size_t)n;
        out->data[out->len] = 0;
        if (n == 0)
            return FM_OK;
    }
}

static fm_status check_private(const char *path, const struct stat *info)
{
    if (!S_ISREG(info->st_mode))
        return fm_fail(FM_EPERM, "%s: not a regular file", path);
    if ((info->st_mode & 07777 & ~(mode_t)0600) != 0)
        return fm_fail(FM_EPERM, "%s: mode %04o lets others read it; run: chmod 600 %s", path,
                       (unsigned)(info->st_mode & 07777), path);
    return FM_OK;
}

static fm_status read_file(const char *path, size_t limit, bool private, fm_buf *out)
{
    fm_buf got;
    struct stat info;
    fm_status st;
    int fd;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "no path or no buffer to read into");
    fm_buf_init(out, limit ? limit : 1);
    fm_buf_init(&got, limit ? limit : 1);
    /* Private files are regular ones: a pipe in their place is not waited for. */
    if (private && stat(path, &info) == 0 && (st = check_private(path, &info)) != FM_OK)
        return st;
    if ((st = private ? fm_input_open_private(path, &fd) : fm_input_open(path, &fd)) != FM_OK)
        return st;
    if (fstat(fd, &info) != 0)
        st = fail_errno(path, "stat");
    else if (private && (st = check_private(path, &info)) != FM_OK)
        ;
    else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        st = fail_long(path, limit);
    else if (S_ISREG(info.st_mode))
        st = read_all(path, fd, (size_t)info.st_size, limit, &got);
    else /* a pipe or a device says nothing of its length */
        st = read_all(path, fd, 0, limit < FM_FILE_MAX_STREAM ? limit : FM_FILE_MAX_STREAM, &got);
    close(fd);
    if (st == FM_OK)
        *out = got;
    else
        fm_buf_fini(&got);
    return st;
}

fm_status fm_file_read(const char *path, size_t limit, fm_buf *out)
{
    return read_file(path, limit, false, out);
}

fm_status fm_file_read_private(const char *path, size_t limit, fm_buf *out)
{
    return read_file(path, limit, true, out);
}

fm_status fm_file_check_private(const char *path)
{
    struct stat info;

    if (!path)
        return fm_fail(FM_EINVAL, "no path to check");
    if (stat(path, &info) != 0)
        return fail_errno(path, "stat");
    return check_private(path, &info);
}

bool fm_file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

static fm_status make_one(const char *path, mode_t mode)
{
    struct stat info;
    char *parent = NULL;
    fm_status st;

    if (mkdir(path, mode) != 0) {
        int code = errno;

        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            return FM_OK;
        errno = code;
        return fail_write(path, "make the folder");
    }
    if ((st = fm_path_dir(path, &parent)) == FM_OK)
        st = sync_dir(parent);
    free(parent);
    return st;
}

fm_status fm_dir_make(const char *path, mode_t mode)
{
    char *copy = NULL;
    size_t len;
    fm_status st;

    if (!path || !*path)
        return fm_fail(FM_EINVAL, "no folder to make");
    if ((st = fm_strdup(path, &copy)) != FM_OK)
        return st;
    for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = '\0';
    for (char *p = copy + 1; *p && st == FM_OK; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        st = make_one(copy, mode);
        *p = '/';
    }
    if (st == FM_OK)
        st = make_one(copy, mode);
    free(copy);
    return st;
}

#define LOCK_TRIES 5
#define LOCK_PAUSE_NS 20000000L

/** @param how  LOCK_EX or LOCK_SH. @param fd  out. FM_EEXIST: somebody has it. */
static fm_status try_lock(const char *path, int how, int tries, int *fd)
{
    const struct timespec pause = { 0, LOCK_PAUSE_NS };
    fm_status st = FM_OK;
    int f = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (f < 0)
        return fail_errno(path, "open");
    while (flock(f, how | LOCK_NB) != 0 && st == FM_OK) {
        if (errno == EWOULDBLOCK && --tries > 0)
            (void)nanosleep(&pause, NULL);
        else if (errno == EWOULDBLOCK)
            st = fm_fail(FM_EEXIST, "%s: in use by another process; stop that first", path);
        else
            st = fail_errno(path, "lock");
    }
    if (st == FM_OK)
        *fd = f;
    else
        close(f);
    return st;
}

fm_status fm_dir_lock(const char *path, int *lock)
{
    return path && lock ? try_lock(path, LOCK_EX, LOCK_TRIES, lock)
                        : fm_fail(FM_EINVAL, "no folder to lock");
}

fm_status fm_dir_is_held(const char *path, bool *held)
{
    int fd = -1;
    fm_status st;

    if (!path || !held)
        return fm_fail(FM_EINVAL, "no folder to look at");
    st = try_lock(path, LOCK_SH, 1, &fd);
    fm_dir_unlock(&fd);
    if (st != FM_OK && st != FM_EEXIST)
        return st;
    *held = st == FM_EEXIST;
    fm_error_clear();
    return FM_OK;
}

void fm_dir_unlock(int *lock)
{
    if (lock && *lock >= 0)
        close(*lock);
    if (lock)
        *lock = -1;
}
