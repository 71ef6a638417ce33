/*
 * kill -9 at every system call between the start of a round and its release. A traced child plays
 * the round with the real journal, ledger and machine, and reports what it sends down a pipe; the
 * tracer kills it at the k-th system call, before the call does anything, for every k there is (what
 * is on disk then is also what it would be after the call before). What was released must be in the
 * ledger, and the node must be able to go on.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "bench.h"
#include "run_internal.h"
#include "suites.h"

#ifdef __SANITIZE_ADDRESS__ /* a fork takes ten times as long: a third of the places, others each time */
#define STRIDE 3u
#else
#define STRIDE 1u
#endif

static int g_pipe = -1;
static port_double *g_double;

/* ---- the node: the driver's own ports, but for the link, the records and the plan ---- */

static fm_status sweep_send(void *ctx, const fm_message *m)
{
    uint8_t type = (uint8_t)m->type;

    (void)ctx;
    if (write(g_pipe, &type, 1) != 1)
        return FM_EIO;
    return double_ports(g_double).send(g_double, m);
}

static fm_status sweep_train(void *ctx, const uint8_t *model, const fm_dp_pairs *pairs,
                             const fm_dp_round *round, fm_dp_release **out)
{
    (void)ctx;
    return double_ports(g_double).train(g_double, model, pairs, round, out);
}

static fm_status sweep_approve(void *ctx, const fm_plan *plan, const fm_hash *hash,
                               uint64_t *last_used, uint64_t *finished_round, fm_hash *head)
{
    fm_node_driver *d = ctx;
    fm_journal_state s = { 0 };

    (void)plan;
    (void)hash;
    if (fm_journal_state_get(d->plan.journal, &s) != FM_OK ||
        fm_node_books_check(d, &d->plan) != FM_OK)
        return FM_EIO;
    *last_used = s.last_used;
    *finished_round = s.finished_round;
    *head = s.head;
    return FM_OK;
}

/** The victim of the bench gets real books in `dir`. */
static void install(bench *b, fm_node_driver *d, char *dir)
{
    static char ledger[PATH_CAP];
    bench_node *n = &b->node[VICTIM];
    char journal[PATH_CAP];
    fm_node_round_config c = { .identity = n->identity,
                               .trust = the_world()->trust,
                               .aggregator = b->aggregator,
                               .keypair = n->keypair,
                               .own = &n->credential };

    *d = (fm_node_driver){ .config.policy = { .epsilon = 500.0, .delta = 1e-4 } };
    make_path(ledger, dir, "ledger.db");
    make_path(journal, dir, "state.db");
    d->config.ledger = ledger;
    d->config.dir = dir;
    (void)snprintf(d->config.data_set, sizeof d->config.data_set, "records");
    (void)snprintf(d->plan.federation, sizeof d->plan.federation, FEDERATION);
    (void)snprintf(d->plan.purpose, sizeof d->plan.purpose, "heart disease risk");
    (void)snprintf(d->plan.unit, sizeof d->plan.unit, "record");
    d->plan.hash = b->plan_hash;
    d->plan.mechanism = (fm_dp_mechanism){ 2.0, 0.5, 1, FM_DP_GAUSSIAN, 0 };
    need(fm_ledger_open(ledger, &d->ledger) == FM_OK, "a ledger");
    need(fm_journal_open(journal, FEDERATION, &b->plan_hash, &d->plan.journal) == FM_OK,
         "a journal");
    c.policy.min_cohort = 3;
    c.policy.min_colluders = 1;
    c.ports = fm_node_driver_ports(d);
    c.ports.send = sweep_send;
    c.ports.train = sweep_train;
    c.ports.approve_plan = sweep_approve;
    c.ports.decide = NULL;
    c.ports.allow_round = NULL;
    c.ports.progress = NULL;
    c.ports.refused = NULL;
    g_double = &n->ports;
    fm_node_round_free(&n->machine);
    need(fm_node_round_new(&c, &n->machine) == FM_OK, "a machine");
}

static void play(bench *b, fm_msg_type from, fm_msg_type to)
{
    static const fm_msg_type order[] = { FM_MSG_PLAN_OFFER, FM_MSG_ROSTER, FM_MSG_ROUND_START,
                                         FM_MSG_SURVIVORS, FM_MSG_COMMITS };
    bool on = false;

    for (unsigned i = 0; i < FM_TEST_COUNT(order); i++) {
        on = on || order[i] == from;
        if (on)
            tell(b, order[i], false);
        on = on && order[i] != to;
    }
}

/** @param limit  no file grows beyond what its log has now when the release is due. */
static _Noreturn void live(char *dir, uint64_t round, bool traced, bool limit)
{
    bench *b = calloc(1, sizeof *b);
    fm_node_driver *d = calloc(1, sizeof *d);
    char log[PATH_CAP];
    struct stat s;

    need(b && d, "memory");
    bench_init(b);
    install(b, d, dir);
    b->round = round;
    play(b, FM_MSG_PLAN_OFFER, FM_MSG_ROSTER);
    if (traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0))
        _exit(9);
    play(b, FM_MSG_ROUND_START, FM_MSG_SURVIVORS);
    make_path(log, dir, "ledger.db-wal");
    if (limit) {
        need(stat(log, &s) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR, "the log");
        need(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ (rlim_t)s.st_size, (rlim_t)s.st_size }) == 0,
             "a limit");
    }
    play(b, FM_MSG_COMMITS, FM_MSG_COMMITS);
    _exit(0);
}

/* ---- the tracer ---- */

typedef struct {
    unsigned sent[FM_MSG_LAST + 1];
    bool ended;     /* by itself: there is no k-th call */
    unsigned calls; /* that were begun */
} outcome;

static void read_sent(int fd, outcome *o)
{
    uint8_t type;

    while (read(fd, &type, 1) == 1)
        if (type <= FM_MSG_LAST)
            o->sent[type]++;
    close(fd);
}

/** Let the child go on until its k-th system call, then kill it; k 0: never. */
static void trace(pid_t child, unsigned k, outcome *o)
{
    bool entry = true;
    int status = 0;

    need(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "a stopped child");
    need(ptrace(PTRACE_SETOPTIONS, child, NULL,
                (void *)(uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0,
         "options");
    for (;;) {
        need(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0, "a step");
        need(waitpid(child, &status, 0) == child, "a stop");
        if (!WIFSTOPPED(status))
            break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        if (entry && ++o->calls == k) {
            need(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "a kill");
            break;
        }
        entry = !entry;
    }
    o->ended = WIFEXITED(status);
    if (o->ended)
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static outcome run_child(char *dir, uint64_t round, unsigned k, bool traced, bool limit)
{
    outcome o = { .ended = false };
    int fd[2], status = 0;
    pid_t child = -1;

    need(pipe(fd) == 0 && (child = fork()) >= 0, "a child");
    if (child == 0) {
        close(fd[0]);
        g_pipe = fd[1];
        live(dir, round, traced, limit);
    }
    close(fd[1]);
    if (traced) {
        trace(child, k, &o);
    } else {
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        o.ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    read_sent(fd[0], &o);
    return o;
}

static uint64_t entries_in(const char *dir)
{
    char path[PATH_CAP];
    fm_ledger *l = NULL;
    uint64_t entries = 0;

    make_path(path, dir, "ledger.db");
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_OK);
    if (l)
        CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    fm_ledger_close(&l);
    return entries;
}

/** @return whether there was a k-th call. */
static bool kill_at(const char *root, unsigned k)
{
    char dir[PATH_CAP], name[32];
    uint64_t before;
    outcome o, after;

    (void)snprintf(name, sizeof name, "%u", k);
    make_path(dir, root, name);
    need(mkdir(dir, 0700) == 0, "a folder");
    o = run_child(dir, 1, k, true, false);
    before = entries_in(dir);
    CU_ASSERT(o.sent[FM_MSG_RELEASE] <= before && before <= 1);
    after = run_child(dir, 2, 0, false, false);
    CU_ASSERT_TRUE(after.ended);
    CU_ASSERT_EQUAL(after.sent[FM_MSG_RELEASE], 1);
    CU_ASSERT_EQUAL(entries_in(dir), before + 1);
    if (o.ended)
        CU_ASSERT_EQUAL(o.sent[FM_MSG_RELEASE], 1);
    return !o.ended;
}

static void killed_at_every_system_call_nothing_released_is_uncounted(void)
{
    char root[PATH_CAP];
    unsigned first = STRIDE > 1 ? 1 + randombytes_uniform(STRIDE) : 1, k = first;

    fm_test_tmpdir(root, sizeof root);
    the_world();
    while (kill_at(root, k) && k < 5000)
        k += STRIDE;
    CU_ASSERT(k > 20 && k < 5000);
    printf("(from %u to %u by %u) ", first, k, STRIDE);
}

static void with_a_full_disk_nothing_is_released(void)
{
    char dir[PATH_CAP];
    outcome o;

    fm_test_tmpdir(dir, sizeof dir);
    o = run_child(dir, 1, 0, false, true);
    CU_ASSERT_EQUAL(o.sent[FM_MSG_COMMIT], 1);
    CU_ASSERT_EQUAL(o.sent[FM_MSG_RELEASE], 0);
    CU_ASSERT_EQUAL(o.sent[FM_MSG_ABANDON], 1);
    CU_ASSERT_EQUAL(entries_in(dir), 0);
    o = run_child(dir, 2, 0, false, false);
    CU_ASSERT_EQUAL(o.sent[FM_MSG_RELEASE], 1);
    CU_ASSERT_EQUAL(entries_in(dir), 1);
}

static const fm_test tests[] = {
    { "killed at every system call of a round, nothing that was released is uncounted",
      killed_at_every_system_call_nothing_released_is_uncounted },
    { "with a full disk nothing is released", with_a_full_disk_nothing_is_released },
};

const fm_test_suite suite_kill_sweep = { "node.kill-sweep", tests, FM_TEST_COUNT(tests) };
