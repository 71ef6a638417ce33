/* The ledger against hands in the file, and against the clock. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "fm_test.h"
#include "ledger_support.h"

extern const fm_test_suite fm_suite_dp_ledger_tamper;

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
                              " hash, kind, sensitivity, unit, format, salt FROM entry"
                              " WHERE sequence = 2"),
                    SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(raw(path, "INSERT OR REPLACE INTO entry SELECT 4, wall_s, data_set,"
                              " federation, purpose, plan, round, 99.0, sampling_rate, count,"
                              " hash, kind, sensitivity, unit, format, salt FROM entry"
                              " WHERE sequence = 2"),
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

/* The hash as docs/privacy.md writes it down; an auditor can recompute it without this program. */
static fm_hash documented_hash(const fm_ledger_row *row, const fm_hash *before)
{
    fm_hasher h;
    uint64_t z, q;

    memcpy(&z, &row->mechanism.noise_multiplier, sizeof z);
    memcpy(&q, &row->mechanism.sampling_rate, sizeof q);
    fm_hasher_begin(&h, "fedmoe ledger v2");
    fm_hasher_add(&h, before->bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, row->sequence);
    fm_hasher_add_u64(&h, (uint64_t)row->wall_s);
    fm_hasher_add_part(&h, row->data_set, strlen(row->data_set));
    fm_hasher_add_part(&h, row->federation, strlen(row->federation));
    fm_hasher_add_part(&h, row->purpose, strlen(row->purpose));
    fm_hasher_add(&h, row->plan.bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, row->round);
    fm_hasher_add_u64(&h, z);
    fm_hasher_add_u64(&h, q);
    fm_hasher_add_u64(&h, row->mechanism.count);
    fm_hasher_add_u64(&h, row->mechanism.kind);
    fm_hasher_add_u64(&h, row->mechanism.sensitivity);
    fm_hasher_add_part(&h, row->unit, strlen(row->unit));
    fm_hasher_add(&h, row->salt, 16);
    return fm_hasher_end(&h);
}

static void an_altered_entry_with_a_new_hash_breaks_the_next_one(void)
{
    char path[4096], hex[65], sql[512];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_row rows[4];
    ledger_test_rows got = { rows, 0, 4 };
    fm_hash hash;

    ledger_test_charge_rounds(l, 1, 4);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, ledger_test_collect, &got), FM_OK);
    CU_ASSERT_EQUAL_FATAL(got.count, 4);
    hash = documented_hash(&rows[1], &rows[0].hash);
    CU_ASSERT(fm_hash_equal(&hash, &rows[1].hash));
    rows[1].mechanism.noise_multiplier = 64.0;
    hash = documented_hash(&rows[1], &rows[0].hash);
    fm_hash_hex(&hash, hex);
    snprintf(sql, sizeof sql,
             "DROP TRIGGER entry_no_update;"
             " UPDATE entry SET noise_multiplier = 64, hash = x'%s' WHERE sequence = 2",
             hex);
    CU_ASSERT_EQUAL(raw(path, sql), SQLITE_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, NULL), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "entry 3 "));
    fm_ledger_close(&l);
}

/* An entry as a clock that was set forward by mistake would have left it. */
static void write_first_entry_of_the_future(const char *path, int64_t wall_s)
{
    fm_ledger_entry e = ledger_test_entry(1);
    fm_ledger_row row = {
        .sequence = 1, .wall_s = wall_s, .plan = e.plan, .round = 1, .mechanism = e.mechanism
    };
    fm_hash zero = { 0 };
    char *sql, plan[65], hash[65];

    snprintf(row.data_set, sizeof row.data_set, "%s", e.data_set);
    snprintf(row.federation, sizeof row.federation, "%s", e.federation);
    snprintf(row.purpose, sizeof row.purpose, "%s", e.purpose);
    snprintf(row.unit, sizeof row.unit, "record");
    row.hash = documented_hash(&row, &zero);
    fm_hash_hex(&e.plan, plan);
    fm_hash_hex(&row.hash, hash);
    sql = sqlite3_mprintf("INSERT INTO entry(sequence, wall_s, data_set, federation, purpose,"
                          " plan, round, noise_multiplier, sampling_rate, count, hash, format)"
                          " VALUES(1, %lld, %Q, %Q, %Q, x'%s', 1, 1.0, 1.0, 1, x'%s', 2)",
                          (long long)wall_s, e.data_set, e.federation, e.purpose, plan, hash);
    CU_ASSERT_EQUAL(raw(path, sql), SQLITE_OK);
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
                  " INSERT INTO entry(sequence, wall_s, data_set, federation, purpose, plan, round,"
                  " noise_multiplier, sampling_rate, count, hash) SELECT i, 0, 'cleveland', "
                  "'heart', 'p', zeroblob(32), i,"
                  " 8.0 + i % 20, 0.01, 1, zeroblob(32) FROM n"),
        SQLITE_OK);
    for (size_t i = 0; i < 20; i++)
        sum[i] = (fm_dp_mechanism){ 8.0 + (double)i, 0.01, 500, FM_DP_GAUSSIAN, 0 };
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &spent), FM_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    CU_ASSERT_EQUAL(fm_dp_epsilon(sum, 20, 1e-5, &direct), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(spent, direct, 1e-4 * direct);
    printf("(%.0f ms) ",
           (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
    fm_ledger_close(&l);
}

static const fm_test tests[] = {
    { "changes are refused by the file itself", changes_are_refused_by_the_file_itself },
    { "every altered field is found and the entry named",
      every_altered_field_is_found_and_the_entry_named },
    { "an altered entry with a new hash breaks the next one",
      an_altered_entry_with_a_new_hash_breaks_the_next_one },
    { "removed entries and triggers are found", removed_entries_and_triggers_are_found },
    { "a clock set back changes nothing", a_clock_set_back_changes_nothing },
    { "ten thousand entries of twenty kinds are summed fast",
      ten_thousand_entries_of_twenty_kinds_are_summed_fast },
};

const fm_test_suite fm_suite_dp_ledger_tamper = { "dp.ledger_tamper", tests, FM_TEST_COUNT(tests) };
