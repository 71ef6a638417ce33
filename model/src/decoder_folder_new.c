/* A folder that is there whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

static fm_status fail(const char *path, const char *what)
{
    const int code = errno;

    return fm_fail(FM_EIO, "%s: cannot %s: %s%s", path, what, strerror(code), fm_file_advice(code));
}

static fm_status fail_there(const char *path)
{
    return fm_fail(FM_EEXIST, "%s is there already and is not overwritten; give another name",
                   path);
}

/* "folder/" is "folder". */
static fm_status copy_path(const char *path, char **out)
{
    size_t len = strlen(path);
    char *copy = NULL;
    fm_status st = fm_strdup(path, &copy);

    if (st != FM_OK)
        return st;
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    *out = copy;
    return FM_OK;
}

fm_status fm_new_folder_begin(const char *path, fm_new_folder *out)
{
    fm_new_folder n = { 0 };
    const char *base;
    char *parent = NULL;
    struct stat info;
    fm_status st;

    if (!*path)
        return fm_fail(FM_EINVAL, "no name for a folder");
    if ((st = copy_path(path, &n.path)) != FM_OK)
        return st;
    base = strrchr(n.path, '/');
    base = base ? base + 1 : n.path;
    if (lstat(n.path, &info) == 0)
        st = fail_there(n.path);
    else if ((st = fm_path_dir(n.path, &parent)) == FM_OK &&
             asprintf(&n.temp, "%s/.%s.tmp-XXXXXX", parent, base) < 0) {
        n.temp = NULL;
        st = fm_fail(FM_ENOMEM, "no memory for a temporary name of %s", n.path);
    }
    if (st == FM_OK && !(n.made = mkdtemp(n.temp) != NULL))
        st = fail(n.path, "make a temporary folder beside it");
    free(parent);
    if (st == FM_OK)
        *out = n;
    else
        fm_new_folder_abort(&n);
    return st;
}

fm_status fm_new_folder_put(const fm_new_folder *n, const char *name, const void *data, size_t len)
{
    char *path = NULL;
    fm_status st = fm_path_join(n->temp, name, &path);

    if (st == FM_OK)
        st = fm_file_create(path, data, len, 0644);
    free(path);
    return st;
}

static fm_status sync_parent(const char *path)
{
    char *parent = NULL;
    fm_status st = fm_path_dir(path, &parent);
    int fd;

    if (st != FM_OK)
        return st;
    if ((fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        st = fail(parent, "open the folder");
    else if (fsync(fd) != 0 && errno != EINVAL) /* some file systems cannot */
        st = fail(parent, "sync the folder");
    if (fd >= 0)
        (void)close(fd);
    free(parent);
    return st;
}

fm_status fm_new_folder_finish(fm_new_folder *n)
{
    struct stat info;

    if (!n->owner_only && chmod(n->temp, 0755) != 0) /* mkdtemp made it for its owner alone */
        return fail(n->path, "set the mode of a temporary folder beside it");
    if (renameat2(AT_FDCWD, n->temp, AT_FDCWD, n->path, RENAME_NOREPLACE) != 0) {
        if (errno == EEXIST)
            return fail_there(n->path);
        if (errno != EINVAL && errno != ENOSYS)
            return fail(n->path, "create it");
        /* Without the flag: rename replaces an empty folder, at worst. */
        if (lstat(n->path, &info) == 0)
            return fail_there(n->path);
        if (rename(n->temp, n->path) != 0)
            return fail(n->path, "create it");
    }
    n->made = false;
    return sync_parent(n->path);
}

/* Only what was put into it: its folder is new, and nobody else's. */
static void remove_files(const char *path)
{
    DIR *dir = opendir(path);

    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

void fm_new_folder_abort(fm_new_folder *n)
{
    if (n->made)
        remove_files(n->temp);
    free(n->temp);
    free(n->path);
    *n = (fm_new_folder){ 0 };
}
