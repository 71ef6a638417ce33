/* Files of version 1, units, exports, and adding missing entries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "fedmoe/dp/ledger_text.h"
#include "fm_test.h"
#include "ledger_support.h"

extern const fm_test_suite fm_suite_dp_ledger_import;

/* As version 1 made it. */
static const char V1[] =
    "CREATE TABLE entry("
    " sequence INTEGER PRIMARY KEY AUTOINCREMENT, wall_s INTEGER NOT NULL,"
    " data_set TEXT NOT NULL, federation TEXT NOT NULL, purpose TEXT NOT NULL,"
    " plan BLOB NOT NULL, round INTEGER NOT NULL,"
    " noise_multiplier REAL NOT NULL, sampling_rate REAL NOT NULL, count INTEGER NOT NULL,"
    " hash BLOB NOT NULL,"
    " UNIQUE(data_set, federation, round, plan)) STRICT;"
    "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN"
    " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN"
    " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER entry_append BEFORE INSERT ON entry WHEN"
    " NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM entry) BEGIN"
    " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "PRAGMA application_id = 1179470919; PRAGMA user_version = 1;";

static void raw(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* One entry of round 1 with its hash of version 1. */
static void make_v1(char *path, size_t cap)
{
    const double one = 1.0;
    uint64_t bits;
    char dir[2048], sql[1024], hex[65];
    fm_hash zero = { 0 }, hash;
    fm_hasher h;

    fm_test_tmpdir(dir, sizeof dir);
    snprintf(path, cap, "%s/ledger.db", dir);
    raw(path, V1);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    memcpy(&bits, &one, sizeof bits);
    fm_hasher_begin(&h, "fedmoe ledger v1");
    fm_hasher_add(&h, zero.bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, 1);
    fm_hasher_add_u64(&h, 1700000000);
    fm_hasher_add_part(&h, "cleveland", 9);
    fm_hasher_add_part(&h, "heart", 5);
    fm_hasher_add_part(&h, "p", 1);
    fm_hasher_add(&h, zero.bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, 1);
    fm_hasher_add_u64(&h, bits);
    fm_hasher_add_u64(&h, bits);
    fm_hasher_add_u64(&h, 1);
    hash = fm_hasher_end(&h);
    fm_hash_hex(&hash, hex);
    snprintf(sql, sizeof sql,
             "INSERT INTO entry VALUES(1, 1700000000, 'cleveland', 'heart', 'p', zeroblob(32), 1,"
             " 1.0, 1.0, 1, x'%s')",
             hex);
    raw(path, sql);
}

static void a_file_of_version_1_is_read_and_then_goes_on_as_version_2(void)
{
    char path[4096];
    fm_ledger_row rows[4];
    ledger_test_rows got = { rows, 0, 4 };
    fm_ledger *l = NULL;
    uint64_t entries = 0;
    double before = 0.0, after = 0.0;

    make_v1(path, sizeof path);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open_readonly(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &before), FM_OK);
    fm_ledger_close(&l);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_epsilon(l, "cleveland", NULL, 1e-5, &after), FM_OK);
    CU_ASSERT_EQUAL(before, after);
    ledger_test_charge_rounds(l, 2, 3);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 3);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, ledger_test_collect, &got), FM_OK);
    CU_ASSERT_EQUAL(rows[0].format, 1);
    CU_ASSERT_EQUAL(rows[2].format, 2);
    CU_ASSERT_STRING_EQUAL(rows[0].unit, "record");
    fm_ledger_close(&l);
    raw(path, "DROP TRIGGER entry_no_update; UPDATE entry SET unit = 'patient' WHERE sequence = 1;"
              "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN SELECT 1; END;");
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_verify(l, NULL), FM_EPROTO); /* v1 hashes no unit */
    fm_ledger_close(&l);
}

static void a_data_set_keeps_its_unit(void)
{
    char path[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger_entry e = ledger_test_entry(2);

    ledger_test_charge_rounds(l, 1, 1);
    e.unit = "patient_nbr";
    CU_ASSERT_EQUAL(fm_ledger_check(l, &e, &LEDGER_AMPLE), FM_EPERM);
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_EPERM);
    CU_ASSERT_EQUAL(fm_ledger_check_unit(l, "cleveland", "patient_nbr"), FM_EPERM);
    CU_ASSERT_EQUAL(fm_ledger_check_unit(l, "cleveland", "record"), FM_OK);
    e.data_set = "another";
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    fm_ledger_close(&l);
}

/* Awkward values too: quotes and commas, small noise, the greatest round. */
static fm_ledger *make_awkward(char *path, size_t cap)
{
    fm_ledger *l = ledger_test_open_new(path, cap);
    fm_ledger_entry e = ledger_test_entry(UINT64_MAX);

    ledger_test_charge_rounds(l, 1, 2);
    e.purpose = "say \"hello\", twice";
    e.mechanism = (fm_dp_mechanism){ 0.1 + 0.2, 1.0 / 3.0, 12, FM_DP_GAUSSIAN, 0 };
    CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    return l;
}

static void comes_back_from(fm_ledger_text as)
{
    char path[4096], other[4096];
    fm_ledger *l = make_awkward(path, sizeof path);
    fm_ledger *empty = ledger_test_open_new(other, sizeof other);
    fm_ledger_row *rows = NULL;
    fm_buf text = { 0 };
    fm_hash a, b;
    size_t count = 0;
    uint64_t added = 0;

    CU_ASSERT_EQUAL_FATAL(fm_ledger_export(l, as, &text), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_parse("x", text.data, text.len, &rows, &count), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_import(empty, rows, count, &added), FM_OK);
    CU_ASSERT_EQUAL(added, 3);
    CU_ASSERT(fm_ledger_head(l, &a) == FM_OK && fm_ledger_head(empty, &b) == FM_OK);
    CU_ASSERT(fm_hash_equal(&a, &b));
    CU_ASSERT_EQUAL(fm_ledger_import(empty, rows, count, &added), FM_OK);
    CU_ASSERT_EQUAL(added, 0);
    for (size_t cut = 0; cut + 2 < text.len; cut += 7) { /* no prefix is read as the whole */
        fm_ledger_row *part = NULL;
        size_t n = 0;

        if (fm_ledger_parse("x", text.data, cut, &part, &n) == FM_OK)
            CU_ASSERT(n < 3);
        free(part);
    }
    free(rows);
    fm_buf_fini(&text);
    fm_ledger_close(&empty);
    fm_ledger_close(&l);
}

static void an_export_comes_back_bit_for_bit(void)
{
    comes_back_from(FM_LEDGER_JSON);
    comes_back_from(FM_LEDGER_CSV);
}

static void gaps_forks_and_alterations_add_nothing(void)
{
    char path[4096], other[4096];
    fm_ledger *l = ledger_test_open_new(path, sizeof path);
    fm_ledger *fork = ledger_test_open_new(other, sizeof other);
    fm_ledger_row *rows = NULL, bad[5];
    size_t count = 0;
    uint64_t added = 0, entries = 9;

    ledger_test_charge_rounds(l, 1, 5);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_read(path, &rows, &count), FM_OK);
    CU_ASSERT_EQUAL_FATAL(count, 5);
    CU_ASSERT_EQUAL(fm_ledger_import(fork, rows + 1, 4, &added), FM_EPROTO); /* the first lacks */
    memcpy(bad, rows, sizeof bad);
    bad[3] = bad[4];
    CU_ASSERT_EQUAL(fm_ledger_import(fork, bad, 4, &added), FM_EPROTO); /* one between lacks */
    memcpy(bad, rows, sizeof bad);
    bad[4].mechanism.noise_multiplier = 64.0;
    CU_ASSERT_EQUAL(fm_ledger_import(fork, bad, 5, &added), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_ledger_verify(fork, &entries), FM_OK);
    CU_ASSERT_EQUAL(entries, 0);
    ledger_test_charge_rounds(fork, 1, 1); /* another salt: another history */
    CU_ASSERT_EQUAL(fm_ledger_import(fork, rows, 5, &added), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "different histories"));
    free(rows);
    fm_ledger_close(&fork);
    fm_ledger_close(&l);
}

static const fm_test tests[] = {
    { "a file of version 1 is read, and then goes on as version 2",
      a_file_of_version_1_is_read_and_then_goes_on_as_version_2 },
    { "a data set keeps its unit", a_data_set_keeps_its_unit },
    { "an export comes back bit for bit", an_export_comes_back_bit_for_bit },
    { "gaps, forks and alterations add nothing", gaps_forks_and_alterations_add_nothing },
};

const fm_test_suite fm_suite_dp_ledger_import = { "dp.ledger_import", tests, FM_TEST_COUNT(tests) };
