/* kill -9 at random instants, and a disk that is full: no acknowledged round is lost. */
#include <dirent.h>
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
#include "fedmoe/proto/entry.h"
#include "kept_internal.h"
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

static fm_status open_kept(store *t, fm_kept **out)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;

    fm_state_entries(t->s, 0, &entries, &count);
    return fm_kept_open(t->dir, entries, count, out);
}

/* What an aggregator with keep_updates writes of a round before it finishes. */
static fm_status keep_updates(fm_kept *kept, uint64_t round)
{
    fm_msg_release r = { .round = round };
    uint8_t words[8];
    fm_status st = FM_OK;

    fm_put_u64le(words, round);
    for (uint32_t at = 0; st == FM_OK && at <= 2; at += 2)
        if ((st = fm_kept_update(kept, at, sizeof words, 0, (fm_bytes){ words, sizeof words })) ==
            FM_OK)
            st = fm_kept_release(kept, at, &r);
    return st;
}

static fm_status finish(store *t, fm_kept *kept, uint64_t round)
{
    float gradient[YAML_PARAMETERS];
    fm_transcript_entry e;
    fm_buf record;
    fm_status st;

    store_gradient(round, gradient);
    if (fm_optimizer_step(t->o, gradient, YAML_PARAMETERS) != FM_OK)
        _exit(2);
    e = store_entry(round, t->o);
    record = store_record(&e, (uint8_t)(round / 7));
    if ((st = fm_kept_finish(kept)) == FM_OK)
        st = fm_state_finish_round(t->s, &e, (fm_bytes){ record.data, record.len }, t->o);
    fm_buf_fini(&record);
    return st;
}

/* Rounds without end, some of them abandoned. Never returns. */
static void work(store *t, int fd)
{
    fm_kept *kept = NULL;
    uint64_t round = 0, session = UINT64_MAX;

    if (store_open(t) != FM_OK || open_kept(t, &kept) != FM_OK)
        _exit(1);
    for (;;) {
        if (fm_state_next_round(t->s, &round) != FM_OK)
            _exit(2);
        fm_kept_begin(kept, round);
        tell(fd, round, 0);
        if (session != round / 7 && store_keep_roster(t, (uint8_t)(round / 7)) != FM_OK)
            _exit(2);
        session = round / 7;
        if (round % 3 != 0 && fm_state_settle(t->s) != FM_OK)
            _exit(2);
        if (keep_updates(kept, round) != FM_OK)
            _exit(2);
        if (round % 5 == 0)
            continue;
        if (finish(t, kept, round) != FM_OK)
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

typedef struct {
    store *t;
    uint32_t records, with_updates;
} audit;

/* Whole, of this round, its roster there. */
static fm_status check_record(void *ctx, uint64_t round, fm_bytes record)
{
    audit *a = ctx;
    fm_kept_file *kept = NULL;
    fm_entry *e = NULL;
    fm_buf roster = { 0 }, bytes = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_entry_decode(record.data, record.len, &e), FM_OK);
    CU_ASSERT_EQUAL(e->round, round);
    CU_ASSERT_EQUAL(fm_state_read_roster(a->t->s, &e->session, &roster), FM_OK);
    CU_ASSERT(roster.len == FM_SESSION_BYTES && roster.data[0] == e->session.bytes[0]);
    a->records++;
    if (fm_kept_read(a->t->dir, round, &kept) == FM_OK) {
        a->with_updates++;
        for (uint32_t i = 0; i < e->survivor_count; i++) {
            CU_ASSERT_EQUAL(fm_kept_get(kept, FM_KEPT_UPDATE, e->survivors[i], &bytes), FM_OK);
            CU_ASSERT(bytes.len == 8 && fm_get_u64le(bytes.data) == round);
            CU_ASSERT_EQUAL(fm_kept_get(kept, FM_KEPT_SEEDS, e->survivors[i], &bytes), FM_OK);
        }
    }
    fm_kept_file_close(&kept);
    fm_buf_fini(&roster);
    fm_buf_fini(&bytes);
    free(e);
    return FM_OK;
}

static uint32_t count_files(const store *t)
{
    char path[PATH_CAP];
    uint32_t n = 0;
    DIR *d;

    yaml_path(path, t->dir, FM_KEPT_DIR);
    need((d = opendir(path)) != NULL, path);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    (void)closedir(d);
    return n;
}

/* Every finished round has its record and its updates, and no other round has any. */
static void check_audit(store *t, uint32_t finished)
{
    audit a = { .t = t };
    fm_kept *kept = NULL;

    CU_ASSERT_EQUAL(open_kept(t, &kept), FM_OK);
    CU_ASSERT_EQUAL(fm_state_each_record(t->s, check_record, &a), FM_OK);
    CU_ASSERT_EQUAL(a.records, finished);
    CU_ASSERT_EQUAL(a.with_updates, finished);
    CU_ASSERT_EQUAL(count_files(t), finished);
    fm_kept_close(&kept);
}

/* The files agree with each other and with what the entries say of the model. */
static void check_reopened(store *t, uint64_t acknowledged, bool audited)
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
    if (audited)
        check_audit(t, count);
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
        /* Longer and longer on a slow disk, until one round was acknowledged. */
        sleep_us((long)fm_rng_below(&rng, acknowledged > 0 ? 20000 : 20000 * (uint64_t)(i + 1)));
        (void)kill(child, SIGKILL);
        acknowledged = read_reports(pipe_fds[0], &greatest, acknowledged);
        (void)close(pipe_fds[0]);
        need(waitpid(child, &status, 0) == child, "wait");
        CU_ASSERT(WIFSIGNALED(status));
        check_reopened(&t, acknowledged, true);
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
        check_reopened(&t, before, false);
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
