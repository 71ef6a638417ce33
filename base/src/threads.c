#include "fedmoe/base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"

#define TEXT_BYTES 1024 /* of an error text */

typedef struct {
    fm_threads *pool;
    pthread_t thread;
    unsigned number;
} hand;

struct fm_threads {
    unsigned count;
    unsigned started; /* hands[1..started] run */
    hand hands[FM_THREADS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    uint64_t turn;   /* of fm_threads_run */
    unsigned active; /* others that are not done with this turn */
    bool stop;
    /* The turn's work. */
    fm_status (*job)(void *ctx, unsigned thread, size_t number);
    void *ctx;
    size_t jobs;
    atomic_size_t next;
    atomic_bool failed;
    fm_status status; /* of the first failure, and its text */
    char text[TEXT_BYTES];
};

unsigned fm_threads_available(void)
{
    cpu_set_t set;
    int n;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0 || (n = CPU_COUNT(&set)) < 1)
        return 1;
    return n > (int)FM_THREADS_MAX ? FM_THREADS_MAX : (unsigned)n;
}

static void keep_failure(fm_threads *t, fm_status st)
{
    (void)pthread_mutex_lock(&t->lock);
    if (!atomic_exchange(&t->failed, true)) {
        t->status = st;
        (void)snprintf(t->text, sizeof t->text, "%s", fm_error_text());
    }
    (void)pthread_mutex_unlock(&t->lock);
}

static void work(fm_threads *t, unsigned thread)
{
    size_t number;

    while (!atomic_load(&t->failed) && (number = atomic_fetch_add(&t->next, 1)) < t->jobs) {
        fm_status st = t->job(t->ctx, thread, number);

        if (st != FM_OK)
            keep_failure(t, st);
    }
}

static void *serve(void *arg)
{
    const hand *h = arg;
    fm_threads *t = h->pool;
    uint64_t seen = 0;

    (void)pthread_mutex_lock(&t->lock);
    for (;;) {
        while (t->turn == seen && !t->stop)
            (void)pthread_cond_wait(&t->begin, &t->lock);
        if (t->stop)
            break;
        seen = t->turn;
        (void)pthread_mutex_unlock(&t->lock);
        work(t, h->number);
        (void)pthread_mutex_lock(&t->lock);
        if (--t->active == 0)
            (void)pthread_cond_signal(&t->end);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* All three, or none. */
static fm_status make_locks(fm_threads *t)
{
    if (pthread_mutex_init(&t->lock, NULL) != 0)
        return fm_fail(FM_ENOMEM, "threads: no lock");
    if (pthread_cond_init(&t->begin, NULL) == 0) {
        if (pthread_cond_init(&t->end, NULL) == 0)
            return FM_OK;
        (void)pthread_cond_destroy(&t->begin);
    }
    (void)pthread_mutex_destroy(&t->lock);
    return fm_fail(FM_ENOMEM, "threads: no lock");
}

/* Signals are the caller's affair: a thread inherits the mask that it is made under. */
static fm_status start_hands(fm_threads *t)
{
    sigset_t all, before;
    fm_status st = FM_OK;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; st == FM_OK && i < t->count; i++) {
        t->hands[i] = (hand){ .pool = t, .number = i };
        if (pthread_create(&t->hands[i].thread, NULL, serve, &t->hands[i]) == 0)
            t->started = i;
        else
            st = fm_fail(FM_ENOMEM, "the system allows no thread %u of %u; ask for fewer", i + 1,
                         t->count);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

fm_status fm_threads_new(unsigned count, fm_threads **out)
{
    fm_threads *t = NULL;
    void *p = NULL;
    fm_status st;

    if (!out || count < 1 || count > FM_THREADS_MAX)
        return fm_fail(FM_EINVAL, "threads: %u, must be 1 to %u", count, FM_THREADS_MAX);
    if ((st = fm_alloc(1, sizeof *t, &p)) != FM_OK)
        return st;
    t = p;
    t->count = count;
    if ((st = make_locks(t)) != FM_OK) {
        free(t);
        return st;
    }
    if ((st = start_hands(t)) == FM_OK)
        *out = t;
    else
        fm_threads_free(&t);
    return st;
}

void fm_threads_free(fm_threads **tp)
{
    fm_threads *t = tp ? *tp : NULL;

    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    (void)pthread_cond_broadcast(&t->begin);
    (void)pthread_mutex_unlock(&t->lock);
    for (unsigned i = 1; i <= t->started; i++)
        (void)pthread_join(t->hands[i].thread, NULL);
    (void)pthread_cond_destroy(&t->begin);
    (void)pthread_cond_destroy(&t->end);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
    *tp = NULL;
}

unsigned fm_threads_count(const fm_threads *t)
{
    return t->count;
}

fm_status fm_threads_run(fm_threads *t, size_t jobs,
                         fm_status (*job)(void *ctx, unsigned thread, size_t number), void *ctx)
{
    if (!t || !job)
        return fm_fail(FM_EINVAL, "fm_threads_run: NULL argument");
    (void)pthread_mutex_lock(&t->lock);
    t->job = job;
    t->ctx = ctx;
    t->jobs = jobs;
    t->active = t->started;
    atomic_store(&t->next, 0);
    atomic_store(&t->failed, false);
    t->turn++;
    (void)pthread_cond_broadcast(&t->begin);
    (void)pthread_mutex_unlock(&t->lock);
    work(t, 0);
    (void)pthread_mutex_lock(&t->lock);
    while (t->active > 0)
        (void)pthread_cond_wait(&t->end, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
    return atomic_load(&t->failed) ? fm_fail(t->status, "%s", t->text) : FM_OK;
}
