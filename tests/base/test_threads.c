/* Fork and join: every job once, failures told, threads that end. The linker's --wrap sends what a
 * pool is made of through here. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "fedmoe/base/threads.h"
#include "suites.h"

#define JOBS 10000

typedef struct {
    atomic_uint done[JOBS];
    atomic_uint by[FM_THREADS_MAX];
    size_t fail_at;
} tally;

static fm_status count(void *ctx, unsigned thread, size_t number)
{
    tally *t = ctx;

    atomic_fetch_add(&t->done[number], 1);
    atomic_fetch_add(&t->by[thread], 1);
    return number == t->fail_at ? fm_fail(FM_EPROTO, "job %zu went wrong", number) : FM_OK;
}

static tally g_tally;

static void every_job_is_done_once(void)
{
    const unsigned counts[] = { 1, 2, 3, 8 };

    for (size_t k = 0; k < FM_TEST_COUNT(counts); k++) {
        fm_threads *t = NULL;
        unsigned sum = 0;

        CU_ASSERT_EQUAL_FATAL(fm_threads_new(counts[k], &t), FM_OK);
        CU_ASSERT_EQUAL(fm_threads_count(t), counts[k]);
        for (unsigned turn = 1; turn <= 20; turn++) {
            const size_t jobs = turn == 20 ? 0 : JOBS / turn;

            memset(&g_tally, 0, sizeof g_tally);
            g_tally.fail_at = JOBS;
            CU_ASSERT_EQUAL(fm_threads_run(t, jobs, count, &g_tally), FM_OK);
            for (size_t i = 0; i < JOBS; i++)
                if (atomic_load(&g_tally.done[i]) != (i < jobs))
                    CU_FAIL("a job that was not done once");
            for (unsigned i = sum = 0; i < counts[k]; i++)
                sum += atomic_load(&g_tally.by[i]);
            CU_ASSERT_EQUAL(sum, jobs); /* by these threads alone */
        }
        fm_threads_free(&t);
        CU_ASSERT_PTR_NULL(t);
    }
}

static void a_failure_is_told_with_its_text_and_the_next_run_is_clean(void)
{
    fm_threads *t = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_threads_new(4, &t), FM_OK);
    memset(&g_tally, 0, sizeof g_tally);
    g_tally.fail_at = 77;
    fm_error_clear();
    CU_ASSERT_EQUAL(fm_threads_run(t, JOBS, count, &g_tally), FM_EPROTO);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "job 77 went wrong");
    g_tally.fail_at = JOBS;
    CU_ASSERT_EQUAL(fm_threads_run(t, 100, count, &g_tally), FM_OK);
    fm_threads_free(&t);
}

static void numbers_out_of_range_are_refused(void)
{
    fm_threads *t = NULL;

    CU_ASSERT_EQUAL(fm_threads_new(0, &t), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_threads_new(FM_THREADS_MAX + 1, &t), FM_EINVAL);
    CU_ASSERT_PTR_NULL(t);
    CU_ASSERT_EQUAL(fm_threads_run(NULL, 1, count, &g_tally), FM_EINVAL);
    CU_ASSERT(fm_threads_available() >= 1 && fm_threads_available() <= FM_THREADS_MAX);
    fm_threads_free(&t);
    fm_threads_free(NULL);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __real_pthread_join(pthread_t t, void **out);
int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __real_pthread_mutex_destroy(pthread_mutex_t *m);
int __real_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int __real_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **out);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);

static int g_calls;   /* that make something */
static int g_fail_at; /* the call that fails; 0: none */
static int g_alive;   /* made, and not ended */

static bool fails(void)
{
    return ++g_calls == g_fail_at;
}

static int made(int error)
{
    g_alive += error == 0;
    return error;
}

static int ended(int error)
{
    g_alive -= error == 0;
    return error;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
    return fails() ? EAGAIN : made(__real_pthread_create(t, a, f, arg));
}

int __wrap_pthread_join(pthread_t t, void **out)
{
    return ended(__real_pthread_join(t, out));
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
    return fails() ? ENOMEM : made(__real_pthread_mutex_init(m, a));
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
    return ended(__real_pthread_mutex_destroy(m));
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a)
{
    return fails() ? ENOMEM : made(__real_pthread_cond_init(c, a));
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
    return ended(__real_pthread_cond_destroy(c));
}

/* Of four threads: a lock, two conditions, three threads beside the caller's own. */
static void a_pool_that_cannot_be_made_leaves_nothing(void)
{
    enum { MADE = 6 };
    fm_threads *t = NULL;
    sigset_t before, after;

    CU_ASSERT_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    for (int at = 1; at <= MADE; at++) {
        g_calls = g_alive = 0;
        g_fail_at = at;
        CU_ASSERT_EQUAL(fm_threads_new(4, &t), FM_ENOMEM);
        CU_ASSERT_PTR_NULL(t);
        CU_ASSERT_EQUAL(g_alive, 0);
    }
    CU_ASSERT_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    CU_ASSERT_EQUAL(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    g_calls = g_alive = g_fail_at = 0;
    CU_ASSERT_EQUAL(fm_threads_new(4, &t), FM_OK);
    CU_ASSERT_EQUAL(g_calls, MADE);
    CU_ASSERT_EQUAL(g_alive, MADE);
    fm_threads_free(&t);
    CU_ASSERT_EQUAL(g_alive, 0);
}

static const fm_test tests[] = {
    { "every job is done once", every_job_is_done_once },
    { "a failure is told with its text, and the next run is clean",
      a_failure_is_told_with_its_text_and_the_next_run_is_clean },
    { "a pool that cannot be made leaves nothing", a_pool_that_cannot_be_made_leaves_nothing },
    { "numbers out of range are refused", numbers_out_of_range_are_refused },
};

const fm_test_suite suite_threads = { "base.threads", tests, FM_TEST_COUNT(tests) };
