/* kill -9 at random instants, and a disk that is full: no acknowledged round is lost. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "federation.h"
#include "store.h"
#include "suites.h"

#define KILLS 40

/* What the child tells before it is killed. */
typedef struct {
    uint64_t round;
    uint8_t finished; /* 0: the number was given; 1: the round is acknowledged */
} report;

static void tell(int fd, uint64_t round, uint8_t finished)
{
    report r;

    memset(&r, 0, sizeof r);
    r.round = round;
    r.finished = finished;
    if (write(fd, &r, sizeof r) != (ssize_t)sizeof r)
        _exit(3);
}

/* Rounds without end, some of them abandoned. Never returns. */
static void work(store *t, int fd)
{
    float gradient[YAML_PARAMETERS];
    fm_transcript_entry e;
    uint64_t round = 0;

    if (store_open(t) != FM_OK)
        _exit(1);
    for (;;) {
        if (fm_state_next_round(t->s, &round) != FM_OK)
            _exit(2);
        tell(fd, round, 0);
        if (round % 3 != 0 && fm_state_settle(t->s) != FM_OK)
            _exit(2);
        if (round % 5 == 0)
            continue;
        store_gradient(round, gradient);
        if (fm_optimizer_step(t->o, gradient, YAML_PARAMETERS) != FM_OK)
            _exit(2);
        e = store_entry(round, t->o);
        if (fm_state_finish_round(t->s, &e, t->o) != FM_OK)
            _exit(2);
        tell(fd, round, 1);
    }
}

static void sleep_us(long us)
{
    struct timespec t = { 0, us * 1000 };

    (void)nanosleep(&t, NULL);
}

/* Waits for the first report of a life, so that every kill finds it at work. */
static void wait_for_work(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };

    need(poll(&p, 1, 60000) == 1, "no report within a minute");
}

/* Checks the reports of one life; returns the last round that was acknowledged. */
static uint64_t read_reports(int fd, uint64_t *greatest_given, uint64_t acknowledged)
{
    report r;

    while (read(fd, &r, sizeof r) == (ssize_t)sizeof r) {
        if (r.finished) {
            acknowledged = r.round;
        } else {
            CU_ASSERT(r.round > *greatest_given); /* never twice */
            *greatest_given = r.round;
        }
    }
    return acknowledged;
}

/* The files agree with each other and with what the entries say of the model. */
static void check_reopened(store *t, uint64_t acknowledged)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;
    fm_hash model;

    CU_ASSERT_EQUAL_FATAL(store_open(t), FM_OK);
    CU_ASSERT(fm_state_last_round(t->s) >= acknowledged);
    fm_state_entries(t->s, 0, &entries, &count);
    CU_ASSERT_EQUAL(count, fm_state_finished(t->s));
    CU_ASSERT_EQUAL(t->o->steps, count);
    if (count) {
        model = fm_model_digest(t->o->weights, YAML_PARAMETERS * sizeof(float));
        CU_ASSERT(fm_hash_equal(&model, &entries[count - 1].model_after));
    }
    store_close(t);
}

static void killed_at_any_instant_nothing_acknowledged_is_lost(void)
{
    uint64_t greatest = 0, acknowledged = 0;
    fm_rng rng = fm_rng_system();
    store t;

    store_make(&t);
    for (int i = 0; i < KILLS; i++) {
        int pipe_fds[2], status = 0;
        pid_t child;

        need(pipe(pipe_fds) == 0, "pipe");
        fflush(stdout);
        child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            (void)close(pipe_fds[0]);
            work(&t, pipe_fds[1]);
        }
        (void)close(pipe_fds[1]);
        wait_for_work(pipe_fds[0]);
        sleep_us((long)fm_rng_below(&rng, 20000));
        (void)kill(child, SIGKILL);
        acknowledged = read_reports(pipe_fds[0], &greatest, acknowledged);
        (void)close(pipe_fds[0]);
        need(waitpid(child, &status, 0) == child, "wait");
        CU_ASSERT(WIFSIGNALED(status));
        check_reopened(&t, acknowledged);
    }
    printf("\n    %llu rounds were given out over %d kills", (unsigned long long)greatest, KILLS);
    CU_ASSERT(acknowledged > 0);
    store_end(&t);
}

/* As the coordinator would see it: an error, and the old state stands. */
static void fill_disk(store *t, rlim_t limit)
{
    const struct rlimit l = { limit, limit };
    fm_status st = FM_OK;
    uint64_t round;

    (void)signal(SIGXFSZ, SIG_IGN);
    if (store_open(t) != FM_OK || setrlimit(RLIMIT_FSIZE, &l) != 0)
        _exit(1);
    for (int i = 0; i < 500 && st == FM_OK; i++) {
        st = store_finish_one(t, &round);
        if (st == FM_OK && i % 2)
            st = fm_state_settle(t->s);
    }
    _exit(st == FM_EIO ? 0 : 2);
}

static void a_full_disk_is_an_error_and_costs_no_finished_round(void)
{
    /* Below the checkpoint's size; above it, but not for long the database's. */
    static const rlim_t limits[] = { 0, 512, 4096, 16384, 65536 };

    for (size_t i = 0; i < FM_TEST_COUNT(limits); i++) {
        uint64_t round = 0, before;
        int status = 0;
        pid_t child;
        store t;

        store_make(&t);
        CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
        CU_ASSERT_EQUAL(store_finish_one(&t, &round), FM_OK);
        CU_ASSERT_EQUAL(store_finish_one(&t, &round), FM_OK);
        before = fm_state_last_round(t.s);
        store_close(&t);
        fflush(stdout);
        child = fork();
        need(child >= 0, "fork");
        if (child == 0)
            fill_disk(&t, limits[i]);
        need(waitpid(child, &status, 0) == child, "wait");
        CU_ASSERT(WIFEXITED(status));
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
        check_reopened(&t, before);
        CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK); /* and it goes on */
        CU_ASSERT_EQUAL(store_finish_one(&t, &round), FM_OK);
        store_end(&t);
    }
}

static const fm_test tests[] = {
    { "killed at any instant nothing acknowledged is lost",
      killed_at_any_instant_nothing_acknowledged_is_lost },
    { "a full disk is an error and costs no finished round",
      a_full_disk_is_an_error_and_costs_no_finished_round },
};
const fm_test_suite suite_state_kill = { "aggregator.state.kill", tests, FM_TEST_COUNT(tests) };
