/* What the ledger keeps, sums and refuses. Crashes and races: test_ledger_crash.c. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "ledger_support.h"

extern const fm_test_suite fm_suite_dp_ledger;

static void keeps_what_was_charged_in_order(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_entry e = ledger_test_entry(7);
    fm_ledger_row rows[4];
    ledger_test_rows got = { rows, 0, 4 };
    uint64_t entries = 0;

    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    e.round = UINT64_MAX;
    e.purpose = "evaluation";
    e.mechanism = (fm_dp_mechanism){ 0.1 + 0.2, 1.0 / 3.0, 12, FM_DP_GAUSSIAN, 0 };
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    fm_ledger_close(&l);
    CU_ASSERT_PTR_NULL(l);

    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, ledger_test_collect, &got), FM_OK);
    CU_ASSERT_EQUAL_FATAL(got.count, 2);
    CU_ASSERT_EQUAL(rows[0].sequence, 1);
    CU_ASSERT_EQUAL(rows[0].round, 7);
    CU_ASSERT_STRING_EQUAL(rows[0].data_set, "cleveland");
    CU_ASSERT_STRING_EQUAL(rows[0].federation, "heart");
    CU_ASSERT_STRING_EQUAL(rows[0].purpose, "training heart-disease");
    CU_ASSERT(fm_hash_equal(&rows[0].plan, &e.plan));
    CU_ASSERT(rows[0].wall_s > 1700000000);
    CU_ASSERT_EQUAL(rows[1].sequence, 2);
    CU_ASSERT_EQUAL(rows[1].round, UINT64_MAX);
    CU_ASSERT_STRING_EQUAL(rows[1].purpose, "evaluation");
    CU_ASSERT_EQUAL(rows[1].mechanism.noise_multiplier, 0.1 + 0.2);
    CU_ASSERT_EQUAL(rows[1].mechanism.sampling_rate, 1.0 / 3.0);
    CU_ASSERT_EQUAL(rows[1].mechanism.count, 12);
    CU_ASSERT_FALSE(fm_hash_equal(&rows[0].hash, &rows[1].hash));
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 2);
    fm_ledger_close(&l);
}

static void an_empty_ledger_verifies_and_has_spent_nothing(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    uint64_t entries = 9;
    double e = -1.0;

    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 0);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &e), FM_OK);
    CU_ASSERT_EQUAL(e, 0.0);
    fm_ledger_close(&l);
    fm_ledger_close(&l);
}

static void epsilon_is_the_accountants_over_all_federations(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_dp_mechanism sum[2] = { { 1.0, 0.01, 3, FM_DP_GAUSSIAN, 0 },
                               { 2.0, 0.5, 1, FM_DP_GAUSSIAN, 0 } };
    fm_ledger_entry e = ledger_test_entry(1);
    double direct = 0.0, spent = 0.0, with = 0.0;

    for (uint64_t r = 1; r <= 3; r++) {
        e.round = r;
        e.federation = r == 2 ? "banks" : "heart";
        e.mechanism = (fm_dp_mechanism){ 1.0, 0.01, 1, FM_DP_GAUSSIAN, 0 };
        CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    }
    e.data_set = "another";
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);

    CU_ASSERT_EQUAL(fm_dp_epsilon(sum, 1, 1e-5, &direct), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &spent), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(spent, direct, 1e-4 * direct);
    CU_ASSERT_EQUAL(fm_dp_epsilon(sum, 2, 1e-5, &direct), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", &sum[1], 1e-5, &with), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(with, direct, 1e-4 * direct);
    fm_ledger_close(&l);
}

static void many_kinds_of_release_are_all_counted(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path), *other = NULL;
    fm_dp_mechanism sum[70];
    fm_ledger_entry e = ledger_test_entry(0);
    double direct = 0.0, cached = 0.0, fresh = 0.0;

    for (size_t i = 0; i < FM_TEST_COUNT(sum); i++) {
        e.round = i;
        e.mechanism = sum[i] = (fm_dp_mechanism){ 1.0 + (double)i, 1.0, 2, FM_DP_GAUSSIAN, 0 };
        CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    }
    CU_ASSERT_EQUAL(fm_dp_epsilon(sum, FM_TEST_COUNT(sum), 1e-5, &direct), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &cached), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open_readonly(path, &other), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(other, "cleveland", NULL, 1e-5, &fresh), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(cached, direct, 1e-4 * direct);
    CU_ASSERT_DOUBLE_EQUAL(fresh, direct, 1e-4 * direct);
    fm_ledger_close(&l);
    fm_ledger_close(&other);
}

static void refuses_what_would_pass_the_budget_and_says_so(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_budget budget = { 2.0, 1e-5 };
    fm_ledger_entry e = ledger_test_entry(0);
    uint64_t entries = 0;
    double spent = 0.0, next = 0.0;
    fm_status st = FM_OK;

    e.mechanism = (fm_dp_mechanism){ 4.0, 1.0, 1, FM_DP_GAUSSIAN, 0 };
    for (e.round = 1; e.round < 100; e.round++) {
        fm_status check = fm_ledger_check(l, &e, &budget);

        st = fm_ledger_charge(l, &e, &budget);
        CU_ASSERT_EQUAL(check, st);
        if (st != FM_OK)
            break;
    }
    CU_ASSERT_EQUAL(st, FM_EBUDGET);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "cleveland"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "the budget is 2.0000"));
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &spent), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", &e.mechanism, 1e-5, &next), FM_OK);
    CU_ASSERT(spent <= 2.0 && next > 2.0);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, e.round - 1);
    fm_ledger_close(&l);
}

static void the_same_round_twice_is_a_replay(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_entry e = ledger_test_entry(5);
    uint64_t entries = 0;

    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_EREPLAY);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "round 5"));
    e.plan.bytes[3] ^= 1;
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    e.federation = "banks";
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    e.data_set = "hungary";
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 4);
    fm_ledger_close(&l);
}

static void another_connections_charge_is_seen_at_once(void)
{
    char path[4096];
    fm_ledger *a = ledger_test_open_new(path, sizeof path), *b = NULL;
    fm_ledger_entry e = ledger_test_entry(0);
    double ea = 0.0, eb = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &b), FM_OK);
    for (e.round = 1; e.round <= 20; e.round++) {
        CU_ASSERT_EQUAL(fm_ledger_charge(e.round % 3 ? a : b, &e, &LEDGER_AMPLE), FM_OK);
        CU_ASSERT_EQUAL(fm_ledger_epsilon(a, "cleveland", NULL, 1e-5, &ea), FM_OK);
        CU_ASSERT_EQUAL(fm_ledger_epsilon(b, "cleveland", NULL, 1e-5, &eb), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(ea, eb, 1e-4 * eb);
        CU_ASSERT(ea > 0.0);
    }
    fm_ledger_close(&a);
    fm_ledger_close(&b);
}

static void refuses_a_file_that_others_may_read(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    struct stat st;

    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL(chmod(path, 0640), 0);
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_EPERM);
    CU_ASSERT_EQUAL(fm_ledger_open_readonly(path, &l), FM_EPERM);
    CU_ASSERT_PTR_NULL(l);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_OK);
    fm_ledger_close(&l);
}

static void refuses_what_is_not_a_ledger(void)
{
    char path[4096], dir[2048];
    fm_ledger *l = NULL;
    sqlite3 *db = NULL;
    char junk[8192];

    fm_test_tmpdir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/absent", dir);
    CU_ASSERT_EQUAL(fm_ledger_open_readonly(path, &l), FM_ENOTFOUND);
    CU_ASSERT_FALSE(fm_file_exists(path));

    memset(junk, 'x', sizeof junk);
    snprintf(path, sizeof path, "%s/junk", dir);
    CU_ASSERT_EQUAL(fm_file_create(path, junk, sizeof junk, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "junk"));
    CU_ASSERT_EQUAL(fm_ledger_open_readonly(path, &l), FM_EPROTO);

    snprintf(path, sizeof path, "%s/other", dir);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "not a fedmoe ledger"));

    CU_ASSERT_EQUAL(fm_ledger_open(dir, &l), FM_EPERM);
    snprintf(path, sizeof path, "%s/no/such/folder", dir);
    CU_ASSERT_EQUAL(fm_ledger_open(path, &l), FM_EIO);
    CU_ASSERT_EQUAL(fm_ledger_open("", &l), FM_EINVAL);
    CU_ASSERT_PTR_NULL(l);
}

static void a_name_that_sqlite_would_take_for_memory_is_a_file(void)
{
    char dir[2048], cwd[4096];
    fm_ledger *l = NULL;
    fm_ledger_entry e = ledger_test_entry(1);
    uint64_t entries = 0;

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(cwd, sizeof cwd));
    CU_ASSERT_EQUAL_FATAL(chdir(dir), 0);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(":memory:", &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(":memory:", &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 1);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL(chdir(cwd), 0);
}

static void a_reader_can_read_beside_a_writer_but_not_write(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path), *reader = NULL;
    fm_ledger_entry e = ledger_test_entry(1);
    uint64_t entries = 0;

    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open_readonly(path, &reader), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(reader, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 1);
    e.round = 2;
    CU_ASSERT_EQUAL(fm_ledger_charge(reader, &e, &LEDGER_AMPLE), FM_EIO);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(reader, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 2);
    fm_ledger_close(&reader);
    fm_ledger_close(&l);
}

static fm_status stop_at_two(void *ctx, const fm_ledger_row *row)
{
    *(uint64_t *)ctx = row->sequence;
    return row->sequence == 2 ? FM_ENOTFOUND : FM_OK;
}

static void a_walk_stops_where_it_is_told_to(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    uint64_t last = 0;

    ledger_test_charge_rounds(l, 1, 4);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, stop_at_two, &last), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(last, 2);
    fm_ledger_close(&l);
}

static void bad_entries_are_named_and_nothing_is_written(void)
{
    char path[4096], too_long[300];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_budget bad_budget = { NAN, 1e-5 };
    fm_ledger_entry e;
    uint64_t entries = 9;

    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
#define REFUSED(change, word)                                               \
    do {                                                                    \
        e = ledger_test_entry(1);                                           \
        change;                                                             \
        CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_EINVAL); \
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));              \
        CU_ASSERT_EQUAL(fm_ledger_check(l, &e, &LEDGER_AMPLE), FM_EINVAL);  \
    } while (0)
    REFUSED(e.data_set = "", "data_set");
    REFUSED(e.data_set = NULL, "data_set");
    REFUSED(e.federation = too_long, "federation");
    REFUSED(e.purpose = too_long, "purpose");
    REFUSED(e.purpose = "a\nb", "control character");
    REFUSED(e.mechanism.noise_multiplier = 0.0, "noise_multiplier");
    REFUSED(e.mechanism.noise_multiplier = INFINITY, "noise_multiplier");
    REFUSED(e.mechanism.sampling_rate = 1.5, "sampling_rate");
    REFUSED(e.mechanism.count = 0, "count");
    REFUSED(e.mechanism.count = UINT64_MAX, "count");
#undef REFUSED
    e = ledger_test_entry(1);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &bad_budget), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, NULL, &LEDGER_AMPLE), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 0);
    fm_ledger_close(&l);
}

static const fm_test tests[] = {
    { "keeps what was charged, in order", keeps_what_was_charged_in_order },
    { "an empty ledger verifies and has spent nothing",
      an_empty_ledger_verifies_and_has_spent_nothing },
    { "epsilon is the accountant's, over all federations",
      epsilon_is_the_accountants_over_all_federations },
    { "many kinds of release are all counted", many_kinds_of_release_are_all_counted },
    { "refuses what would pass the budget and says so",
      refuses_what_would_pass_the_budget_and_says_so },
    { "the same round twice is a replay", the_same_round_twice_is_a_replay },
    { "another connection's charge is seen at once", another_connections_charge_is_seen_at_once },
    { "refuses a file that others may read", refuses_a_file_that_others_may_read },
    { "refuses what is not a ledger", refuses_what_is_not_a_ledger },
    { "a name that SQLite would take for memory is a file",
      a_name_that_sqlite_would_take_for_memory_is_a_file },
    { "a reader can read beside a writer but not write",
      a_reader_can_read_beside_a_writer_but_not_write },
    { "a walk stops where it is told to", a_walk_stops_where_it_is_told_to },
    { "bad entries are named and nothing is written",
      bad_entries_are_named_and_nothing_is_written },
};

const fm_test_suite fm_suite_dp_ledger = { "dp.ledger", tests, FM_TEST_COUNT(tests) };
