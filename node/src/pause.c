#include "fedmoe/node/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

#define NAME "paused"
#define TEXT_MOST ((size_t)4096)

/** "since TIME": whatever else is in the file is a pause too, only of an unknown time. */
static void read_since(const char *path, char since[FM_PAUSE_TIME])
{
    fm_buf text = { 0 };

    since[0] = '\0';
    if (fm_file_read(path, TEXT_MOST, &text) == FM_OK && text.len > 0 &&
        sscanf((const char *)text.data, "since %31[0-9A-Z:.-]", since) != 1)
        since[0] = '\0';
    fm_buf_fini(&text);
}

bool fm_pause_is_on(const char *dir, char since[FM_PAUSE_TIME])
{
    char *path = NULL;
    bool on = true;
    struct stat s;

    if (since)
        since[0] = '\0';
    if (fm_path_join(dir, NAME, &path) != FM_OK)
        return true;
    if (lstat(path, &s) != 0)
        on = errno != ENOENT;
    else if (since && S_ISREG(s.st_mode)) /* what else is there (a pipe) is not read */
        read_since(path, since);
    free(path);
    return on;
}

fm_status fm_pause_order(const char *dir)
{
    char when[FM_PAUSE_TIME], text[FM_PAUSE_TIME + 16], *path = NULL;
    fm_status st;

    fm_clock_format(fm_clock_wall_s(), when, sizeof when);
    (void)snprintf(text, sizeof text, "since %s\n", when);
    if ((st = fm_path_join(dir, NAME, &path)) != FM_OK)
        return st;
    st = fm_file_create(path, text, strlen(text), 0600);
    free(path);
    return st == FM_EEXIST ? FM_OK : st;
}

/** The folder's entry is gone for good: a power cut must not bring the pause back unseen. */
static fm_status sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        (void)fm_fail(FM_EIO, "%s: cannot sync: %s", dir, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return ok ? FM_OK : FM_EIO;
}

fm_status fm_pause_lift(const char *dir)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, NAME, &path);

    if (st == FM_OK && unlink(path) != 0 && errno != ENOENT)
        st = fm_fail(FM_EIO, "%s: cannot remove: %s", path, strerror(errno));
    if (st == FM_OK)
        st = sync_folder(dir);
    free(path);
    return st;
}
