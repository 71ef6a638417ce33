/* Who may change a file: what one goes by must be its owner's alone to write. */
#include "fedmoe/base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static fm_status check_mode(const char *path, const char *what, bool sticky_is_fine)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: %s", path, strerror(errno));
    if ((info.st_mode & 0022) == 0 || (sticky_is_fine && (info.st_mode & S_ISVTX)))
        return FM_OK;
    return fm_fail(FM_EPERM, "%s: mode %04o lets others than its owner %s; run: chmod go-w %s",
                   path, (unsigned)(info.st_mode & 07777), what, path);
}

fm_status fm_file_check_unshared(const char *path)
{
    char *dir = NULL;
    struct stat info;
    fm_status st;

    if (!path)
        return fm_fail(FM_EINVAL, "no path to check");
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return check_mode(path, "replace what is in it", true);
    if ((st = check_mode(path, "change it", false)) == FM_OK &&
        (st = fm_path_dir(path, &dir)) == FM_OK)
        st = check_mode(dir, "replace what is in it", true);
    free(dir);
    return st;
}

bool fm_file_is_foreign(const char *path, unsigned long *owner)
{
    struct stat info;

    if (geteuid() == 0 || stat(path, &info) != 0 || info.st_uid == 0 || info.st_uid == geteuid())
        return false;
    *owner = (unsigned long)info.st_uid;
    return true;
}
