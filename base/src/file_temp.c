/*
 * Temporary files under way, and their removal when a signal ends the program. Files are made, and
 * the list changes, with all signals of the thread blocked and the lock held; the handler takes the
 * lock and keeps it, so that until the process is gone no other thread makes a file or frees what
 * is in the list.
 */
#include "file_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_flag g_lock = ATOMIC_FLAG_INIT;
static fm_temp_file *g_first;
static volatile pid_t g_owner; /* a forked child leaves its parent's files alone */

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&g_lock, memory_order_acquire))
        ;
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&g_lock, memory_order_release);
}

static void take(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, before);
    lock();
}

static void give(const sigset_t *before)
{
    unlock();
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

int fm_temp_make(fm_temp_file *t, int suffix_bytes)
{
    sigset_t before;
    int fd;

    take(&before);
    if ((fd = mkostemps(t->path, suffix_bytes, O_CLOEXEC)) >= 0) {
        t->next = g_first;
        g_first = t;
    }
    give(&before);
    return fd;
}

void fm_temp_drop(fm_temp_file *t)
{
    sigset_t before;

    take(&before);
    for (fm_temp_file **at = &g_first; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    give(&before);
}

/* The disposition is the default again (SA_RESETHAND): raised once more, the signal ends the
 * process as if there were no handler. unlink, getpid and raise are async-signal-safe. */
static void remove_all(int signal_number)
{
    if (getpid() == g_owner) {
        lock();
        for (const fm_temp_file *t = g_first; t; t = t->next)
            (void)unlink(t->path);
    }
    (void)raise(signal_number);
}

void fm_file_remove_on_signals(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction now, on_end = { .sa_handler = remove_all, .sa_flags = (int)SA_RESETHAND };

    sigfillset(&on_end.sa_mask);
    g_owner = getpid();
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            (void)sigaction(ends[i], &on_end, NULL);
}
