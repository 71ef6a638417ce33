/*
 * kill -9 at random instants. A child uses, commits and releases one round after the other and
 * reports each step down a pipe after the journal has returned; whatever was reported must be
 * there when the parent opens the file, and must be refused a second time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fedmoe/node/journal.h"
#include "suites.h"
#include "world.h"

#define KILLS 40
#define LONGEST_US 20000u

typedef struct {
    uint64_t round;
    uint64_t step; /* 1 used, 2 committed, 3 released */
} reported;

static const fm_hash plan = { { 1 } };

static fm_hash digest_of(uint64_t round)
{
    fm_hash h = { { 7 } };

    memcpy(h.bytes + 8, &round, sizeof round);
    return h;
}

static void report(int fd, uint64_t round, uint64_t step)
{
    reported r = { round, step };

    if (write(fd, &r, sizeof r) != (ssize_t)sizeof r)
        _exit(3);
}

static _Noreturn void work(const char *path, int fd)
{
    fm_journal_state s = { 0 };
    fm_journal *j = NULL;
    fm_hash digest;

    if (fm_journal_open(path, FEDERATION, &plan, &j) != FM_OK ||
        fm_journal_state_get(j, &s) != FM_OK)
        _exit(1);
    for (uint64_t round = s.last_used + 1;; round++) {
        digest = digest_of(round);
        if (fm_journal_use(j, round) != FM_OK)
            _exit(2);
        report(fd, round, 1);
        if (fm_journal_commit(j, round, &digest) != FM_OK)
            _exit(2);
        report(fd, round, 2);
        if (fm_journal_release(j, round, &digest) != FM_OK)
            _exit(2);
        report(fd, round, 3);
    }
}

/** Start a child, kill it after a while, and read the last thing that it reported. */
static reported run_and_kill(const char *path, uint64_t after_us)
{
    struct timespec t = { 0, (long)after_us * 1000 };
    reported last = { 0 }, r;
    int fd[2], status = 0;
    pid_t child;

    need(pipe(fd) == 0, "a pipe");
    need((child = fork()) >= 0, "a child");
    if (child == 0) {
        close(fd[0]);
        work(path, fd[1]);
    }
    close(fd[1]);
    (void)nanosleep(&t, NULL);
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status)); /* and did not find a journal that it could not use */
    while (read(fd[0], &r, sizeof r) == (ssize_t)sizeof r)
        last = r;
    close(fd[0]);
    return last;
}

static void check_kept(const char *path, reported last)
{
    fm_hash digest = digest_of(last.round);
    fm_journal_state s = { 0 };
    fm_journal *j = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_journal_open(path, FEDERATION, &plan, &j), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_state_get(j, &s), FM_OK);
    CU_ASSERT(s.last_used >= last.round);
    if (last.step >= 1)
        CU_ASSERT_EQUAL(fm_journal_use(j, last.round), FM_EREPLAY);
    if (last.step >= 2)
        CU_ASSERT_EQUAL(fm_journal_commit(j, last.round, &digest), FM_EREPLAY);
    if (last.step >= 3)
        CU_ASSERT_EQUAL(fm_journal_release(j, last.round, &digest), FM_EREPLAY);
    fm_journal_close(&j);
}

static void nothing_that_was_reported_is_ever_done_again(void)
{
    char dir[PATH_CAP], path[PATH_CAP];
    fm_rng rng = fm_rng_system();
    uint64_t seed = fm_rng_below(&rng, UINT32_MAX), rounds = 0;
    fm_rng_seed state;
    reported last;

    printf("\n    seed %llu ", (unsigned long long)seed);
    rng = fm_rng_seeded(&state, seed);
    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "state.db");
    for (int i = 0; i < KILLS; i++) {
        last = run_and_kill(path, fm_rng_below(&rng, LONGEST_US));
        check_kept(path, last);
        CU_ASSERT(last.round == 0 || last.round > rounds);
        rounds = last.round ? last.round : rounds;
    }
    printf("%d kills, %llu rounds ", KILLS, (unsigned long long)rounds);
}

static const fm_test tests[] = {
    { "killed at random instants, nothing that was reported is ever done again (else: one round, "
      "two updates)",
      nothing_that_was_reported_is_ever_done_again },
};

const fm_test_suite suite_journal_crash = { "node.journal-crash", tests, FM_TEST_COUNT(tests) };
