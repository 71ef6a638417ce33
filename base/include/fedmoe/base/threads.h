/*
 * Fork and join: a fixed number of threads that take numbered jobs until there are none.
 * Which thread takes which job is left to chance: jobs must not care.
 */
#ifndef FEDMOE_BASE_THREADS_H
#define FEDMOE_BASE_THREADS_H

#include <stddef.h>

#include "fedmoe/base/status.h"

#define FM_THREADS_MAX 64u

/** Processors that this process may run on, 1..FM_THREADS_MAX. */
unsigned fm_threads_available(void);

typedef struct fm_threads fm_threads;

/**
 * @param count  threads at work in fm_threads_run, the caller's own among them: 1..FM_THREADS_MAX.
 *               The others block all signals. With 1 there are no others.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM, also when the system allows no more threads.
 */
FM_NODISCARD fm_status fm_threads_new(unsigned count, fm_threads **out);
/** Ends them. Not while they run. */
void fm_threads_free(fm_threads **t);
unsigned fm_threads_count(const fm_threads *t);

/**
 * Call job(ctx, thread, number) once for each number below `jobs`, thread being below the count and
 * each thread's own; return when all are done. Never allocates.
 * @return FM_OK; otherwise the first failure of a job that was seen, with its error text; jobs that
 *         had not begun by then are left out.
 * @thread one caller at a time, and not from within a job.
 */
FM_NODISCARD fm_status fm_threads_run(fm_threads *t, size_t jobs,
                                      fm_status (*job)(void *ctx, unsigned thread, size_t number),
                                      void *ctx);

#endif
