/* What an output file must not be: one of the inputs, or a place that cannot be written. */
#include "fedmoe/base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

fm_status fm_file_check_apart(const char *output, const char *const *inputs, size_t count)
{
    struct stat out, in;

    if (!output || (!inputs && count > 0))
        return fm_fail(FM_EINVAL, "fm_file_check_apart: an argument is missing");
    if (stat(output, &out) != 0)
        return FM_OK; /* what is not there is no input */
    for (size_t i = 0; i < count; i++)
        if (inputs[i] && stat(inputs[i], &in) == 0 && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino)
            return fm_fail(FM_EINVAL,
                           "%s: is the same file as the input %s, which would be lost; give the "
                           "output another name",
                           output, inputs[i]);
    return FM_OK;
}

static fm_status check_folder(const char *output)
{
    struct stat info;
    char *dir = NULL;
    fm_status st = fm_path_dir(output, &dir);

    if (st != FM_OK)
        return st;
    if (stat(dir, &info) != 0)
        st = fm_fail(FM_EIO, "%s: cannot be written: folder %s: %s", output, dir, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        st = fm_fail(FM_EIO, "%s: cannot be written: %s is not a folder", output, dir);
    free(dir);
    return st;
}

fm_status fm_file_check_output(const char *output, bool force, const char *const *inputs,
                               size_t count)
{
    fm_file_writer *probe = NULL; /* only the system knows: a read-only disk, a quota */
    struct stat info;
    fm_status st = fm_file_check_apart(output, inputs, count);

    if (st != FM_OK)
        return st;
    if (lstat(output, &info) == 0) {
        if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
            return fm_fail(FM_EIO, "%s: is not a regular file, and is not replaced by one", output);
        if (!force)
            return fm_fail(FM_EEXIST,
                           "%s is there already and is not overwritten; --force replaces it",
                           output);
    }
    if ((st = check_folder(output)) == FM_OK && (st = fm_file_begin(output, 0600, &probe)) == FM_OK)
        fm_file_abort(&probe);
    return st;
}

fm_status fm_dir_check_writable(const char *path)
{
    fm_file_writer *probe = NULL;
    struct stat info;
    char *name = NULL;
    fm_status st;

    if (!path)
        return fm_fail(FM_EINVAL, "no folder to look at");
    if (stat(path, &info) != 0)
        return fm_fail(FM_EIO, "%s: %s", path,
                       errno == ENOENT ? "the folder is not there; make it, or correct its path"
                                       : strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return fm_fail(FM_EIO, "%s: is not a folder", path);
    if ((st = fm_path_join(path, "probe", &name)) == FM_OK &&
        (st = fm_file_begin(name, 0600, &probe)) == FM_OK)
        fm_file_abort(&probe);
    else if (st == FM_EIO)
        st = fm_fail(st, "%s: nothing can be written in this folder (%s)", path, fm_error_text());
    free(name);
    return st;
}
