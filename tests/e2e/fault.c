/*
 * Preloaded into a program (LD_PRELOAD), test only: its writes, sends and syncs are counted, and
 * at a chosen one it is killed or its disk is full; its wall clock can be shifted; and the round
 * messages that it sends are recorded before ZeroMQ encrypts them.
 *
 *   FAULT_KILL=K     SIGKILL in place of the K-th counted call
 *   FAULT_FULL=K     from the K-th write, sync or new file on all of them fail with ENOSPC ...
 *   FAULT_SPACE=F    ... until the file F exists
 *   FAULT_COUNT=F    F holds the number of counted calls so far, as 8 bytes of this machine
 *   FAULT_CLOCK=F    F holds how many seconds the wall clock is off
 *   FAULT_WIRE=F     a line for each MaskedUpdate, Commit and Release: type, round, digest of it
 *
 * Counted are calls on files and on sockets, not those on pipes and event counters, by which the
 * program's own threads wake each other, nor what is written to the log.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Envelope's field numbers in fedmoe.proto. */
#define MSG_MASKED_UPDATE 10
#define MSG_COMMIT 12
#define MSG_RELEASE 14

/* What the libraries call. */
ssize_t write(int fd, const void *data, size_t len);
ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);
ssize_t send(int fd, const void *data, size_t len, int flags);
int fsync(int fd);
int fdatasync(int fd);
int ftruncate(int fd, off_t len);
int ftruncate64(int fd, off64_t len);
int rename(const char *from, const char *to);
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int unlink(const char *path);
int unlinkat(int dir, const char *path, int flags);
int mkdir(const char *path, mode_t mode);
int mkostemps(char *name, int suffix, int flags);
time_t time(time_t *out);
int gettimeofday(struct timeval *restrict out, void *restrict zone);
int clock_gettime(clockid_t clock, struct timespec *out);
int zmq_msg_send(void *message, void *socket, int flags);

typedef enum { OTHER, TO_SOCKET, TO_FILE } target;

static atomic_ullong *g_count, g_local;
static unsigned long long g_kill, g_full;
static const char *g_space, *g_clock;
static int g_wire = -1;

static unsigned long long number(const char *key)
{
    const char *text = getenv(key);

    return text ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *count = getenv("FAULT_COUNT"), *wire = getenv("FAULT_WIRE");
    int fd;

    g_count = &g_local;
    if (count && (fd = open(count, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0) {
        void *p = MAP_FAILED;

        if (syscall(SYS_ftruncate, fd, (long)sizeof *g_count) == 0)
            p = mmap(NULL, sizeof *g_count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED)
            g_count = p;
        close(fd);
        atomic_store(g_count, 0);
    }
    if (wire)
        g_wire = open(wire, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    g_space = getenv("FAULT_SPACE");
    g_clock = getenv("FAULT_CLOCK");
    g_kill = number("FAULT_KILL");
    g_full = number("FAULT_FULL");
}

/* ---- counting ---- */

static target target_of(int fd)
{
    struct stat s;

    if (fd == STDOUT_FILENO || fd == STDERR_FILENO || fstat(fd, &s) != 0)
        return OTHER;
    if (S_ISSOCK(s.st_mode))
        return TO_SOCKET;
    return S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) ? TO_FILE : OTHER;
}

/** @return whether the call must fail: the disk is full. */
static bool reached(target t, bool takes_space)
{
    unsigned long long n;

    if (t == OTHER || !g_count || (g_full && !takes_space))
        return false;
    n = atomic_fetch_add(g_count, 1) + 1;
    if (g_kill && n == g_kill) {
        (void)syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            (void)pause();
    }
    if (!g_full || n < g_full || (g_space && access(g_space, F_OK) == 0))
        return false;
    errno = ENOSPC;
    return true;
}

/* ISO C has no conversion from void * to a function's pointer. */
static void find(const char *name, void *place)
{
    void *p = dlsym(RTLD_NEXT, name);

    memcpy(place, &p, sizeof p);
}

ssize_t write(int fd, const void *data, size_t len)
{
    const target t = target_of(fd);

    return reached(t, t == TO_FILE) ? -1 : syscall(SYS_write, fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return reached(target_of(fd), true) ? -1 : syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return pwrite(fd, data, len, at);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    (void)reached(target_of(fd), false);
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int fsync(int fd)
{
    return reached(target_of(fd), true) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return reached(target_of(fd), true) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t len)
{
    return reached(target_of(fd), true) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}

int rename(const char *from, const char *to)
{
    return reached(TO_FILE, false) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return reached(TO_FILE, false) ? -1
                                   : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int unlink(const char *path)
{
    return reached(TO_FILE, false) ? -1 : (int)syscall(SYS_unlink, path);
}

int unlinkat(int dir, const char *path, int flags)
{
    return reached(TO_FILE, false) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return reached(TO_FILE, false) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int mkostemps(char *name, int suffix, int flags)
{
    static int (*next)(char *, int, int);

    if (!next)
        find("mkostemps", &next);
    return reached(TO_FILE, true) ? -1 : next(name, suffix, flags);
}

/* ---- the clock ---- */

static time_t shift(void)
{
    char text[32] = "";
    int fd = g_clock ? open(g_clock, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close(fd);
    return (time_t)strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const int rc = (int)syscall(SYS_clock_gettime, clock, out);

    if (rc == 0 && clock == CLOCK_REALTIME)
        out->tv_sec += shift();
    return rc;
}

time_t time(time_t *out)
{
    struct timespec t = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t = { 0 };

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return 0;
}

/* ---- the wire ---- */

/* Envelope { oneof body }: one tag, a length, and the body, which begins with fixed64 round = 1. */
static void record(const uint8_t *data, size_t len)
{
    const unsigned type = len ? data[0] >> 3 : 0;
    uint64_t round, digest = UINT64_C(14695981039346656037); /* FNV-1a */
    size_t at = 1;
    char text[96];
    int n;

    if (type != MSG_MASKED_UPDATE && type != MSG_COMMIT && type != MSG_RELEASE)
        return;
    while (at < len && data[at] & 0x80)
        at++;
    at++;
    if (len < at + 9 || data[at] != 0x09)
        return;
    memcpy(&round, data + at + 1, sizeof round);
    for (size_t i = at; i < len; i++)
        digest = (digest ^ data[i]) * UINT64_C(1099511628211);
    n = snprintf(text, sizeof text, "%s %" PRIu64 " %016" PRIx64 "\n",
                 type == MSG_MASKED_UPDATE ? "update"
                 : type == MSG_COMMIT      ? "commit"
                                           : "release",
                 round, digest);
    if (syscall(SYS_write, g_wire, text, (size_t)n) != n)
        _exit(99); /* a run whose record is not whole proves nothing */
}

int zmq_msg_send(void *message, void *socket, int flags)
{
    static int (*next)(void *, void *, int);
    static void *(*data)(void *);
    static size_t (*size)(const void *);

    if (!next) {
        find("zmq_msg_data", &data);
        find("zmq_msg_size", &size);
        find("zmq_msg_send", &next);
    }
    if (g_wire >= 0)
        record(data(message), size(message));
    return next(message, socket, flags);
}
