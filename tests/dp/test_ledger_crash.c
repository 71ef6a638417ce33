/* The ledger against killed processes, races, full disks, and hands in the file. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "ledger_support.h"

extern const fm_test_suite fm_suite_dp_ledger_crash;

/* ---- processes ---- */

static void read_all(int fd, void *out, size_t cap, size_t *len)
{
    ssize_t n;

    *len = 0;
    while (*len < cap && (n = read(fd, (char *)out + *len, cap - *len)) != 0)
        if (n > 0)
            *len += (size_t)n;
        else if (errno != EINTR)
            break;
}

/* Charge rounds first, first+step, ... and write each acknowledged one to fd. */
static fm_status charge_and_tell(const char *path, uint64_t first, uint64_t step,
                                 const fm_ledger_budget *budget, int fd)
{
    fm_ledger *l = NULL;
    fm_ledger_entry e = ledger_test_entry(first);
    fm_status st = fm_ledger_open(path, &l);

    for (; st == FM_OK; e.round += step) {
        st = fm_ledger_charge(l, &e, budget);
        if (st == FM_OK && write(fd, &e.round, sizeof e.round) != sizeof e.round)
            st = FM_EIO;
    }
    fm_ledger_close(&l);
    return st;
}

static bool has_round(const ledger_test_rows *got, uint64_t round)
{
    for (size_t i = 0; i < got->count; i++)
        if (got->rows[i].round == round)
            return true;
    return false;
}

static void kill_at_any_instant_loses_no_acknowledged_charge(void)
{
    enum { KILLS = 15, MOST = 20000 };
    static uint64_t acks[MOST];
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    ledger_test_rows got = { calloc(MOST, sizeof(fm_ledger_row)), 0, MOST };
    size_t count = 0, len = 0;
    uint64_t entries = 0;
    int fd[2];

    fm_ledger_close(&l);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got.rows);
    for (int i = 0; i < KILLS; i++) {
        uint64_t delay_us = 0;
        pid_t pid;

        CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
        if ((pid = fork()) == 0) {
            close(fd[0]);
            (void)charge_and_tell(path, (uint64_t)i << 32, 1, &LEDGER_AMPLE, fd[1]);
            _exit(0);
        }
        CU_ASSERT_FATAL(pid > 0);
        close(fd[1]);
        fm_random_bytes(&delay_us, 2); /* up to 65 ms */
        nanosleep(&(struct timespec){ .tv_nsec = (long)delay_us * 1000 }, NULL);
        CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
        CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
        read_all(fd[0], acks + count, sizeof acks - count * sizeof *acks, &len);
        count += len / sizeof *acks;
        close(fd[0]);
    }
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, ledger_test_collect, &got), FM_OK);
    CU_ASSERT(count > 0);
    CU_ASSERT(got.count >= count && got.count <= count + KILLS);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT(has_round(&got, acks[i]));
    printf("(%zu acknowledged, %zu kept) ", count, got.count);
    fm_ledger_close(&l);
    free(got.rows);
}

static void a_kill_while_creating_leaves_a_file_that_opens(void)
{
    char dir[2048], path[4096];
    fm_ledger *l = NULL;
    uint64_t entries = 0;

    fm_test_tmpdir(dir, sizeof dir);
    for (int i = 0; i < 15; i++) {
        uint64_t delay_us = 0;
        pid_t pid;

        snprintf(path, sizeof path, "%s/ledger%d.db", dir, i);
        if ((pid = fork()) == 0) {
            if (fm_ledger_open(path, &l) != FM_OK)
                _exit(1);
            for (;;)
                pause();
        }
        CU_ASSERT_FATAL(pid > 0);
        fm_random_bytes(&delay_us, 1); /* up to 15 ms */
        nanosleep(&(struct timespec){ .tv_nsec = (long)delay_us * 60000 }, NULL);
        CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
        CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
        CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
        CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
        fm_ledger_close(&l);
    }
}

static void two_processes_racing_stay_within_the_budget(void)
{
    enum { RACERS = 2 };
    static const fm_ledger_budget budget = { 40.0, 1e-5 };
    char dir[2048], path[4096]; /* not there yet: they race to create it, too */
    fm_ledger *l = NULL;
    fm_ledger_entry e = ledger_test_entry(999999);
    uint64_t acks[4096], entries = 0;
    size_t len = 0;
    double spent = 0.0;
    int fd[2], go[2];
    pid_t pid[RACERS];

    fm_test_tmpdir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/ledger.db", dir);
    CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
    for (int i = 0; i < RACERS; i++)
        if ((pid[i] = fork()) == 0) {
            char c;

            close(go[1]);
            (void)!read(go[0], &c, 1); /* both start when the parent closes its end */
            _exit(charge_and_tell(path, (uint64_t)i, RACERS, &budget, fd[1]) == FM_EBUDGET ? 0 : 1);
        }
    close(fd[1]);
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < RACERS; i++) {
        int status = -1;

        CU_ASSERT_EQUAL(waitpid(pid[i], &status, 0), pid[i]);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    read_all(fd[0], acks, sizeof acks, &len);
    close(fd[0]);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, len / sizeof *acks);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &spent), FM_OK);
    CU_ASSERT(spent <= 40.0);
    CU_ASSERT_EQUAL(fm_ledger_check(l, &e, &budget), FM_EBUDGET);
    fm_ledger_close(&l);
}

/* ---- a disk that is full ---- */

typedef struct {
    uint64_t acknowledged;
    fm_status st;
    char text[512];
} full_disk_report;

static void charge_until_the_disk_is_full(const char *path, full_disk_report *r)
{
    char wal[4200];
    fm_ledger *l = NULL;
    fm_ledger_entry e = ledger_test_entry(100);
    struct stat s;
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    r->st = fm_ledger_open(path, &l);
    if (r->st == FM_OK && (r->st = fm_ledger_charge(l, &e, &LEDGER_AMPLE)) == FM_OK)
        r->acknowledged++;
    snprintf(wal, sizeof wal, "%s-wal", path);
    if (r->st != FM_OK || stat(wal, &s) != 0)
        return;
    limit.rlim_cur = limit.rlim_max = (rlim_t)s.st_size + 20000;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return;
    for (e.round++; e.round < 1000; e.round++) {
        if ((r->st = fm_ledger_charge(l, &e, &LEDGER_AMPLE)) != FM_OK)
            break;
        r->acknowledged++;
    }
    snprintf(r->text, sizeof r->text, "%s", fm_error_text());
}

static void a_full_disk_is_said_and_takes_nothing_away(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    full_disk_report r = { 0 };
    uint64_t entries = 0;
    size_t len = 0;
    int fd[2];
    pid_t pid;

    ledger_test_charge_rounds(l, 1, 3);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
    if ((pid = fork()) == 0) {
        charge_until_the_disk_is_full(path, &r);
        _exit(write(fd[1], &r, sizeof r) == sizeof r ? 0 : 1); /* no close: as if killed */
    }
    close(fd[1]);
    read_all(fd[0], &r, sizeof r, &len);
    close(fd[0]);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL(len, sizeof r);
    CU_ASSERT_EQUAL(r.st, FM_EIO);
    CU_ASSERT(r.acknowledged >= 1 && r.acknowledged < 100);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.text, "ledger.db"));
    CU_ASSERT(strstr(r.text, "File too large") || strstr(r.text, "full"));
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT(entries >= 3 + r.acknowledged && entries <= 4 + r.acknowledged);
    ledger_test_charge_rounds(l, 5000, 5001);
    fm_ledger_close(&l);
}

/* ---- hands in the file ---- */

static int raw(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open(path, &db);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static void changes_are_refused_by_the_file_itself(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    uint64_t entries = 0;

    ledger_test_charge_rounds(l, 1, 3);
    CU_ASSERT_EQUAL(raw(path, "UPDATE entry SET noise_multiplier = 9"), SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(raw(path, "DELETE FROM entry"), SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(raw(path, "DELETE FROM entry WHERE sequence = 3"), SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(raw(path, "INSERT OR REPLACE INTO entry SELECT sequence, wall_s, data_set,"
                              " federation, purpose, plan, round, 99.0, sampling_rate, count,"
                              " hash FROM entry WHERE sequence = 2"),
                    SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(raw(path, "INSERT OR REPLACE INTO entry SELECT 4, wall_s, data_set,"
                              " federation, purpose, plan, round, 99.0, sampling_rate, count,"
                              " hash FROM entry WHERE sequence = 2"),
                    SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 3);
    fm_ledger_close(&l);
}

static void every_altered_field_is_found_and_the_entry_named(void)
{
    static const char *const changes[] = {
        "noise_multiplier = 9.5",
        "sampling_rate = 0.125",
        "count = 0",
        "wall_s = wall_s + 1",
        "data_set = 'x'",
        "federation = 'x'",
        "purpose = 'x'",
        "plan = zeroblob(32)",
        "plan = zeroblob(31)",
        "round = 77",
        "hash = zeroblob(32)",
        "hash = zeroblob(1)",
        "data_set = replace(hex(zeroblob(40)), '00', 'ab')",
    };
    uint64_t entries = 42;

    for (size_t i = 0; i < FM_TEST_COUNT(changes); i++) {
        char path[4096], sql[512];
        fm_ledger *l = ledger_test_open_new(path, sizeof path);

        ledger_test_charge_rounds(l, 1, 5);
        snprintf(sql, sizeof sql,
                 "DROP TRIGGER entry_no_update; UPDATE entry SET %s WHERE sequence = 3",
                 changes[i]);
        CU_ASSERT_EQUAL(raw(path, sql), SQLITE_OK);
        CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "entry 3 "));
        fm_ledger_close(&l);
    }
    CU_ASSERT_EQUAL(entries, 42);
}

static void removed_entries_and_triggers_are_found(void)
{
    static const struct {
        const char *sql, *word;
    } cases[] = {
        { "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence = 2",
          "entry 2 is missing" },
        { "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence = 1",
          "entry 1 is missing" },
        { "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence = 5;"
          "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN"
          " SELECT RAISE(ABORT, 'x'); END",
          "entry 5 is missing" },
        { "DROP TRIGGER entry_no_update", "triggers" },
    };
    uint64_t entries = 0;

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char path[4096];
        fm_ledger *l = ledger_test_open_new(path, sizeof path);

        ledger_test_charge_rounds(l, 1, 5);
        CU_ASSERT_EQUAL(raw(path, cases[i].sql), SQLITE_OK);
        CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), cases[i].word));
        fm_ledger_close(&l);
    }
}

/* An entry as a clock that was set forward by mistake would have left it. */
static void write_first_entry_of_the_future(const char *path, int64_t wall_s)
{
    fm_ledger_entry e = ledger_test_entry(1);
    fm_hash zero = { 0 }, h;
    fm_hasher hasher;
    sqlite3 *db = NULL;
    char *sql, plan[65], hash[65];
    double z = 1.0, q = 1.0;
    uint64_t bits;

    fm_hasher_begin(&hasher, "fedmoe ledger v1");
    fm_hasher_add(&hasher, zero.bytes, sizeof zero.bytes);
    fm_hasher_add_u64(&hasher, 1);
    fm_hasher_add_u64(&hasher, (uint64_t)wall_s);
    fm_hasher_add_part(&hasher, e.data_set, strlen(e.data_set));
    fm_hasher_add_part(&hasher, e.federation, strlen(e.federation));
    fm_hasher_add_part(&hasher, e.purpose, strlen(e.purpose));
    fm_hasher_add(&hasher, e.plan.bytes, sizeof e.plan.bytes);
    fm_hasher_add_u64(&hasher, 1);
    memcpy(&bits, &z, sizeof bits);
    fm_hasher_add_u64(&hasher, bits);
    memcpy(&bits, &q, sizeof bits);
    fm_hasher_add_u64(&hasher, bits);
    fm_hasher_add_u64(&hasher, 1);
    h = fm_hasher_end(&hasher);
    fm_hash_hex(&e.plan, plan);
    fm_hash_hex(&h, hash);
    sql = sqlite3_mprintf("INSERT INTO entry VALUES(1, %lld, %Q, %Q, %Q, x'%s', 1, 1.0, 1.0, 1,"
                          " x'%s')",
                          (long long)wall_s, e.data_set, e.federation, e.purpose, plan, hash);
    CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    sqlite3_free(sql);
}

static void a_clock_set_back_changes_nothing(void)
{
    const int64_t future = 32503680000; /* the year 3000 */
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_row rows[4];
    ledger_test_rows got = { rows, 0, 4 };
    fm_ledger_entry e = ledger_test_entry(1);
    uint64_t entries = 0;

    write_first_entry_of_the_future(path, future);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_EREPLAY);
    ledger_test_charge_rounds(l, 2, 3);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 3);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, ledger_test_collect, &got), FM_OK);
    CU_ASSERT_EQUAL(rows[0].wall_s, future);
    CU_ASSERT(rows[1].wall_s < future);
    CU_ASSERT_EQUAL(rows[2].round, 3);
    fm_ledger_close(&l);
}

static void ten_thousand_entries_of_twenty_kinds_are_summed_fast(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_dp_mechanism sum[20];
    double direct = 0.0, spent = 0.0;
    struct timespec a, b;

    CU_ASSERT_EQUAL(
        raw(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
                  " INSERT INTO entry SELECT i, 0, 'cleveland', 'heart', 'p', zeroblob(32), i,"
                  " 8.0 + i % 20, 0.01, 1, zeroblob(32) FROM n"),
        SQLITE_OK);
    for (size_t i = 0; i < 20; i++)
        sum[i] = (fm_dp_mechanism){ 8.0 + (double)i, 0.01, 500 };
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &spent), FM_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    CU_ASSERT_EQUAL(fm_dp_epsilon(sum, 20, 1e-5, &direct), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(spent, direct, 1e-9 * direct);
    printf("(%.0f ms) ",
           (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
    fm_ledger_close(&l);
}

static const fm_test tests[] = {
    { "a kill at any instant loses no acknowledged charge",
      kill_at_any_instant_loses_no_acknowledged_charge },
    { "a kill while creating leaves a file that opens",
      a_kill_while_creating_leaves_a_file_that_opens },
    { "two processes racing stay within the budget", two_processes_racing_stay_within_the_budget },
    { "a full disk is said and takes nothing away", a_full_disk_is_said_and_takes_nothing_away },
    { "changes are refused by the file itself", changes_are_refused_by_the_file_itself },
    { "every altered field is found and the entry named",
      every_altered_field_is_found_and_the_entry_named },
    { "removed entries and triggers are found", removed_entries_and_triggers_are_found },
    { "a clock set back changes nothing", a_clock_set_back_changes_nothing },
    { "ten thousand entries of twenty kinds are summed fast",
      ten_thousand_entries_of_twenty_kinds_are_summed_fast },
};

const fm_test_suite fm_suite_dp_ledger_crash = { "dp.ledger_crash", tests, FM_TEST_COUNT(tests) };
