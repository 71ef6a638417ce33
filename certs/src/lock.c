/* A lock that is waited for, but not for ever: who holds it may be stopped, or far away. */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "certs_internal.h"

#define PAUSE_MS 10u

fm_status fm_lock_within(int fd, const char *path, uint32_t ms)
{
    const struct timespec pause = { 0, PAUSE_MS * 1000000L };

    for (uint32_t waited = 0;; waited += PAUSE_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return FM_OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fm_fail(FM_EIO, "%s: cannot lock: %s", path, strerror(errno));
        if (waited >= ms)
            return fm_fail(FM_ETIMEOUT,
                           "%s: another process is at work in it, or was stopped there; try again "
                           "when it is done",
                           path);
        (void)nanosleep(&pause, NULL);
    }
}
