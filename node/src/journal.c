/*
 * One row a round. The statements themselves carry the rules (a greater round than all before, no
 * second commit, no second release), so that two processes on one file cannot both pass.
 *
 * WAL with synchronous=FULL: COMMIT returns after the log is on disk
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>
#include <sqlite3.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "journal_internal.h"

#define APPLICATION_ID 0x666d6e6a /* "fmnj" */
#define BUSY_MS 10000
#define SYNCHRONOUS_FULL 2 /* https://www.sqlite.org/pragma.html#pragma_synchronous */

static fm_status db_fail(const fm_journal *j, const char *doing)
{
    int os = errno, rc; /* SQLite forgets the reason of a failed write to its log */

    if (!j->db)
        return fm_fail(FM_EIO, "%s: cannot %s: out of memory", j->path, doing);
    rc = sqlite3_errcode(j->db) & 0xff;
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        os = 0;
    else if (sqlite3_system_errno(j->db) != 0)
        os = sqlite3_system_errno(j->db);
    else if (rc != SQLITE_IOERR)
        os = rc == SQLITE_FULL ? ENOSPC : 0;
    return fm_fail(FM_EIO, "%s: cannot %s: %s%s", j->path, doing, sqlite3_errmsg(j->db),
                   rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? FM_JOURNAL_RESTORE
                                                               : fm_file_advice(os));
}

static fm_status db_exec(fm_journal *j, const char *sql, const char *doing)
{
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? FM_OK : db_fail(j, doing);
}

/** An empty file of mode 0600, its directory entry synced; one that is there must be private. */
static fm_status make_private(const char *path)
{
    fm_status st;

    if (!fm_file_exists(path)) {
        st = fm_file_create(path, "", 0, 0600);
        if (st != FM_OK && st != FM_EEXIST)
            return st;
    }
    return fm_file_check_private(path);
}

static fm_status read_number(fm_journal *j, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(j->db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        st = db_fail(j, "read");
    else
        *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return st;
}

/** What was asked for may be refused silently (a file system without shared memory, say). */
static fm_status check_durable(fm_journal *j)
{
    sqlite3_stmt *s = NULL;
    int64_t synchronous = 0;
    bool wal = false;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(j->db, "PRAGMA journal_mode", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        st = db_fail(j, "read the journal mode");
    else
        wal = sqlite3_stricmp((const char *)sqlite3_column_text(s, 0), "wal") == 0;
    sqlite3_finalize(s);
    if (st == FM_OK && (st = read_number(j, "PRAGMA synchronous", &synchronous)) == FM_OK &&
        (!wal || synchronous != SYNCHRONOUS_FULL))
        st = fm_fail(FM_EIO,
                     "%s: SQLite gives no synced write-ahead log here; put it on a local disk",
                     j->path);
    return st;
}

static fm_status make_tables(fm_journal *j)
{
    int64_t id = 0, objects = 0;
    fm_status st;

    if ((st = read_number(j, "PRAGMA application_id", &id)) != FM_OK ||
        (st = read_number(j, "SELECT count(*) FROM sqlite_master", &objects)) != FM_OK)
        return st;
    if (id != APPLICATION_ID && objects > 0)
        return fm_fail(
            FM_EPROTO,
            "%s is a database, but not a journal of fedmoe-node; put the node's own back", j->path);
    return db_exec(j,
                   "BEGIN IMMEDIATE;"
                   "PRAGMA application_id = 1718447722;" /* APPLICATION_ID */
                   "CREATE TABLE IF NOT EXISTS rounds ("
                   " federation TEXT NOT NULL, plan BLOB NOT NULL, round INTEGER NOT NULL,"
                   " used_s INTEGER NOT NULL, committed BLOB, released_s INTEGER,"
                   " PRIMARY KEY (federation, plan, round)) WITHOUT ROWID;"
                   "CREATE TABLE IF NOT EXISTS heads ("
                   " federation TEXT NOT NULL, plan BLOB NOT NULL, round INTEGER NOT NULL,"
                   " head BLOB NOT NULL,"
                   " PRIMARY KEY (federation, plan)) WITHOUT ROWID;"
                   "CREATE TABLE IF NOT EXISTS abandoned ("
                   " federation TEXT NOT NULL, plan BLOB NOT NULL, round INTEGER NOT NULL,"
                   " PRIMARY KEY (federation, plan, round)) WITHOUT ROWID;"
                   "CREATE TABLE IF NOT EXISTS sent ("
                   " federation TEXT NOT NULL, plan BLOB NOT NULL, round INTEGER NOT NULL,"
                   " hash BLOB NOT NULL, bytes INTEGER NOT NULL, sent_s INTEGER NOT NULL,"
                   " UNIQUE (federation, plan, round));"
                   "CREATE TABLE IF NOT EXISTS decisions ("
                   " id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL,"
                   " head BLOB NOT NULL);"
                   "CREATE TABLE IF NOT EXISTS secrets ("
                   " federation TEXT NOT NULL, plan BLOB NOT NULL, secret BLOB NOT NULL,"
                   " PRIMARY KEY (federation, plan)) WITHOUT ROWID;"
                   "COMMIT;",
                   "make the tables");
}

/** Unlike all else, this does not wait for others: SQLite says busy at once. */
static fm_status switch_to_wal(fm_journal *j)
{
    uint64_t until_ms = fm_clock_now_ms() + BUSY_MS;
    int rc;

    while ((rc = sqlite3_exec(j->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) ==
               SQLITE_BUSY &&
           fm_clock_now_ms() < until_ms)
        (void)sqlite3_sleep(2);
    return rc == SQLITE_OK ? FM_OK : db_fail(j, "set WAL mode");
}

static fm_status open_db(fm_journal *j)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
    fm_status st;

    if ((st = make_private(j->path)) != FM_OK)
        return st;
    if (sqlite3_open_v2(j->path, &j->db, flags, NULL) != SQLITE_OK)
        return db_fail(j, "open");
    sqlite3_busy_timeout(j->db, BUSY_MS);
    if ((st = switch_to_wal(j)) != FM_OK ||
        (st = db_exec(j, "PRAGMA synchronous = FULL", "set synchronous")) != FM_OK ||
        (st = check_durable(j)) != FM_OK)
        return st;
    return make_tables(j);
}

fm_status fm_journal_open(const char *path, const char *federation, const fm_hash *plan,
                          fm_journal **out)
{
    fm_journal *j = NULL;
    void *p = NULL;
    fm_status st;

    if (!path || !federation || !plan || !out)
        return fm_fail(FM_EINVAL, "fm_journal_open: NULL argument");
    if ((st = fm_alloc(1, sizeof *j, &p)) != FM_OK)
        return st;
    j = p;
    j->plan = *plan;
    if ((st = fm_strdup(path, &j->path)) == FM_OK &&
        (st = fm_strdup(federation, &j->federation)) == FM_OK && (st = open_db(j)) == FM_OK) {
        *out = j;
        return FM_OK;
    }
    fm_journal_close(&j);
    return st;
}

void fm_journal_close(fm_journal **j)
{
    if (!j || !*j)
        return;
    sqlite3_close((*j)->db);
    free((*j)->path);
    free((*j)->federation);
    free(*j);
    *j = NULL;
}

/** Prepare; parameters 1 and 2 are always federation and plan. */
static fm_status prepare(fm_journal *j, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v2(j->db, sql, -1, out, NULL) != SQLITE_OK ||
        sqlite3_bind_text(*out, 1, j->federation, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob(*out, 2, j->plan.bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK)
        return db_fail(j, "prepare a statement");
    return FM_OK;
}

static fm_status bind_round(fm_journal *j, sqlite3_stmt *s, int at, uint64_t round)
{
    if (round == 0 || round > INT64_MAX)
        return fm_fail(FM_EINVAL, "round numbers are 1 to 2^63 - 1");
    return sqlite3_bind_int64(s, at, (int64_t)round) == SQLITE_OK ? FM_OK : db_fail(j, "bind");
}

static fm_status bind_hash(fm_journal *j, sqlite3_stmt *s, int at, const fm_hash *h)
{
    return sqlite3_bind_blob(s, at, h->bytes, FM_HASH_BYTES, SQLITE_STATIC) == SQLITE_OK
               ? FM_OK
               : db_fail(j, "bind");
}

/** Run a writing statement (its own transaction); *changed: rows it wrote. */
static fm_status write_row(fm_journal *j, sqlite3_stmt *s, const char *doing, int *changed)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        return db_fail(j, doing);
    *changed = sqlite3_changes(j->db);
    return FM_OK;
}

/**
 * As write_row, but not waiting for the disk: kill -9 takes nothing back, a power cut may until
 * the next synced write. For what guards nothing by itself (journal.h).
 */
static fm_status write_row_unsynced(fm_journal *j, sqlite3_stmt *s, const char *doing, int *changed)
{
    fm_status st = db_exec(j, "PRAGMA synchronous = NORMAL", "set synchronous"), restored;

    if (st != FM_OK)
        return st;
    st = write_row(j, s, doing, changed);
    (void)sqlite3_reset(s); /* the pragma takes effect outside of a transaction */
    restored = db_exec(j, "PRAGMA synchronous = FULL", "set synchronous");
    return st != FM_OK ? st : restored;
}

fm_status fm_journal_use(fm_journal *j, uint64_t round)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    fm_status st;

    if (!j)
        return fm_fail(FM_EINVAL, "fm_journal_use: NULL argument");
    if ((st = prepare(j,
                      "INSERT INTO rounds (federation, plan, round, used_s) SELECT ?1, ?2, ?3, ?4 "
                      "WHERE NOT EXISTS (SELECT 1 FROM rounds WHERE federation = ?1 AND plan = ?2 "
                      "AND round >= ?3)",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK) {
        sqlite3_bind_int64(s, 4, fm_clock_wall_s());
        st = write_row(j, s, "record the round", &changed);
    }
    sqlite3_finalize(s);
    if (st == FM_OK && changed != 1)
        st = fm_fail(FM_EREPLAY, "round %llu or a later one was used already",
                     (unsigned long long)round);
    return st;
}

fm_status fm_journal_sent(fm_journal *j, uint64_t round, const fm_hash *hash, uint64_t bytes)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    fm_status st;

    if (!j || !hash)
        return fm_fail(FM_EINVAL, "fm_journal_sent: NULL argument");
    if ((st = prepare(j,
                      "INSERT OR IGNORE INTO sent (federation, plan, round, hash, bytes, sent_s) "
                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK && (st = bind_hash(j, s, 4, hash)) == FM_OK) {
        sqlite3_bind_int64(s, 5, (int64_t)bytes);
        sqlite3_bind_int64(s, 6, fm_clock_wall_s());
        st = write_row_unsynced(j, s, "note what leaves", &changed);
    }
    sqlite3_finalize(s);
    return st;
}

typedef struct {
    bool used, committed, released;
    fm_hash digest;
} row;

static fm_status read_row(fm_journal *j, uint64_t round, row *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st;
    int rc;

    *out = (row){ 0 };
    if ((st = prepare(j,
                      "SELECT committed, released_s FROM rounds WHERE federation = ?1 AND "
                      "plan = ?2 AND round = ?3",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
            out->used = true;
            out->released = sqlite3_column_type(s, 1) != SQLITE_NULL;
            out->committed = sqlite3_column_type(s, 0) != SQLITE_NULL;
            if (out->committed && sqlite3_column_bytes(s, 0) == FM_HASH_BYTES)
                memcpy(out->digest.bytes, sqlite3_column_blob(s, 0), FM_HASH_BYTES);
            else if (out->committed)
                st = fm_fail(FM_EPROTO, "%s: a commit digest of the wrong length", j->path);
        } else if (rc != SQLITE_DONE) {
            st = db_fail(j, "read the round");
        }
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_commit(fm_journal *j, uint64_t round, const fm_hash *digest)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    row r;
    fm_status st;

    if (!j || !digest)
        return fm_fail(FM_EINVAL, "fm_journal_commit: NULL argument");
    if ((st = prepare(j,
                      "UPDATE rounds SET committed = ?4 WHERE federation = ?1 AND plan = ?2 "
                      "AND round = ?3 AND committed IS NULL",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK && (st = bind_hash(j, s, 4, digest)) == FM_OK)
        st = write_row(j, s, "record the commit", &changed);
    sqlite3_finalize(s);
    if (st != FM_OK || changed == 1)
        return st;
    if ((st = read_row(j, round, &r)) != FM_OK)
        return st;
    if (!r.used)
        return fm_fail(FM_ESTATE, "round %llu was never used", (unsigned long long)round);
    return fm_fail(FM_EREPLAY, "round %llu has a commit already", (unsigned long long)round);
}

fm_status fm_journal_release(fm_journal *j, uint64_t round, const fm_hash *digest)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    row r;
    fm_status st;

    if (!j || !digest)
        return fm_fail(FM_EINVAL, "fm_journal_release: NULL argument");
    if ((st = prepare(j,
                      "UPDATE rounds SET released_s = ?5 WHERE federation = ?1 AND plan = ?2 "
                      "AND round = ?3 AND committed = ?4 AND released_s IS NULL",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK && (st = bind_hash(j, s, 4, digest)) == FM_OK) {
        sqlite3_bind_int64(s, 5, fm_clock_wall_s());
        st = write_row_unsynced(j, s, "record the release", &changed);
    }
    sqlite3_finalize(s);
    if (st != FM_OK || changed == 1)
        return st;
    if ((st = read_row(j, round, &r)) != FM_OK)
        return st;
    if (r.released)
        return fm_fail(FM_EREPLAY, "round %llu was released already", (unsigned long long)round);
    return fm_fail(FM_ESTATE, "round %llu has no commit of this digest", (unsigned long long)round);
}

fm_status fm_journal_head(fm_journal *j, uint64_t round, const fm_hash *head)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    fm_status st;

    if (!j || !head)
        return fm_fail(FM_EINVAL, "fm_journal_head: NULL argument");
    if ((st = prepare(j,
                      "INSERT INTO heads (federation, plan, round, head) VALUES (?1, ?2, ?3, ?4) "
                      "ON CONFLICT (federation, plan) DO UPDATE SET round = ?3, head = ?4 "
                      "WHERE round < ?3 OR (round = ?3 AND head = ?4)",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK && (st = bind_hash(j, s, 4, head)) == FM_OK)
        st = write_row_unsynced(j, s, "record the transcript head", &changed);
    sqlite3_finalize(s);
    if (st == FM_OK && changed != 1)
        st = fm_fail(FM_EREPLAY, "the transcript is known beyond round %llu, or otherwise",
                     (unsigned long long)round);
    return st;
}

static fm_status make_secret(fm_journal *j)
{
    uint8_t fresh[16];
    sqlite3_stmt *s = NULL;
    int changed = 0;
    fm_status st;

    fm_random_bytes(fresh, sizeof fresh);
    if ((st = prepare(j,
                      "INSERT INTO secrets (federation, plan, secret) VALUES (?1, ?2, ?3) "
                      "ON CONFLICT DO NOTHING",
                      &s)) == FM_OK) {
        if (sqlite3_bind_blob(s, 3, fresh, sizeof fresh, SQLITE_TRANSIENT) != SQLITE_OK)
            st = db_fail(j, "make a secret");
        else
            st = write_row(j, s, "make a secret", &changed);
    }
    sqlite3_finalize(s);
    sodium_memzero(fresh, sizeof fresh);
    return st;
}

fm_status fm_journal_secret(fm_journal *j, uint8_t out[16])
{
    sqlite3_stmt *s = NULL;
    fm_status st;

    if (!j || !out)
        return fm_fail(FM_EINVAL, "fm_journal_secret: NULL argument");
    if ((st = make_secret(j)) == FM_OK &&
        (st = prepare(j, "SELECT secret FROM secrets WHERE federation = ?1 AND plan = ?2", &s)) ==
            FM_OK) {
        if (sqlite3_step(s) != SQLITE_ROW)
            st = db_fail(j, "read the secret");
        else if (sqlite3_column_bytes(s, 0) != 16)
            st = fm_fail(FM_EPROTO, "%s: a secret has %d bytes, not 16" FM_JOURNAL_RESTORE, j->path,
                         sqlite3_column_bytes(s, 0));
        else
            memcpy(out, sqlite3_column_blob(s, 0), 16);
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_next_released(fm_journal *j, uint64_t after, uint64_t before, bool *found,
                                   uint64_t *round)
{
    sqlite3_stmt *s = NULL;
    fm_status st;

    if (!j || !found || !round || after > INT64_MAX)
        return fm_fail(FM_EINVAL, "fm_journal_next_released: bad argument");
    if ((st = prepare(j,
                      "SELECT min(round) FROM rounds WHERE federation = ?1 AND plan = ?2 AND "
                      "round < ?3 AND round > ?4 AND released_s IS NOT NULL",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, before)) == FM_OK) {
        sqlite3_bind_int64(s, 4, (int64_t)after);
        if (sqlite3_step(s) != SQLITE_ROW) {
            st = db_fail(j, "read the released rounds");
        } else {
            *found = sqlite3_column_type(s, 0) != SQLITE_NULL;
            *round = (uint64_t)sqlite3_column_int64(s, 0);
        }
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_abandon(fm_journal *j, uint64_t round, bool *fresh)
{
    sqlite3_stmt *s = NULL;
    int changed = 0;
    fm_status st;

    if (!j || !fresh)
        return fm_fail(FM_EINVAL, "fm_journal_abandon: NULL argument");
    if ((st = prepare(j,
                      "INSERT OR IGNORE INTO abandoned (federation, plan, round) "
                      "SELECT federation, plan, round FROM rounds WHERE federation = ?1 AND "
                      "plan = ?2 AND round = ?3 AND released_s IS NOT NULL",
                      &s)) == FM_OK &&
        (st = bind_round(j, s, 3, round)) == FM_OK)
        st = write_row_unsynced(j, s, "record the abandoned round", &changed);
    sqlite3_finalize(s);
    *fresh = changed == 1;
    return st;
}

static fm_status read_last_used(fm_journal *j, uint64_t *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st = prepare(
        j, "SELECT coalesce(max(round), 0) FROM rounds WHERE federation = ?1 AND plan = ?2", &s);

    if (st == FM_OK) {
        if (sqlite3_step(s) == SQLITE_ROW)
            *out = (uint64_t)sqlite3_column_int64(s, 0);
        else
            st = db_fail(j, "read the last round");
    }
    sqlite3_finalize(s);
    return st;
}

static fm_status read_head(fm_journal *j, uint64_t *round, fm_hash *head)
{
    sqlite3_stmt *s = NULL;
    fm_status st =
        prepare(j, "SELECT round, head FROM heads WHERE federation = ?1 AND plan = ?2", &s);
    int rc;

    if (st == FM_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && sqlite3_column_bytes(s, 1) == FM_HASH_BYTES) {
            *round = (uint64_t)sqlite3_column_int64(s, 0);
            memcpy(head->bytes, sqlite3_column_blob(s, 1), FM_HASH_BYTES);
        } else if (rc != SQLITE_DONE) {
            st = rc == SQLITE_ROW ? fm_fail(FM_EPROTO, "%s: a head of the wrong length", j->path)
                                  : db_fail(j, "read the transcript head");
        }
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_released_commit(fm_journal *j, uint64_t round, bool *found, fm_hash *digest)
{
    row r;
    fm_status st;

    if (!j || !found || !digest)
        return fm_fail(FM_EINVAL, "fm_journal_released_commit: NULL argument");
    if ((st = read_row(j, round, &r)) != FM_OK)
        return st;
    *found = r.released;
    *digest = r.digest;
    return FM_OK;
}

fm_status fm_journal_released(fm_journal *j, uint64_t *count)
{
    int64_t n = 0;
    fm_status st;

    if (!j || !count)
        return fm_fail(FM_EINVAL, "fm_journal_released: NULL argument");
    st = read_number(j, "SELECT count(*) FROM rounds WHERE released_s IS NOT NULL", &n);
    if (st == FM_OK)
        *count = (uint64_t)n;
    return st;
}

fm_status fm_journal_state_get(fm_journal *j, fm_journal_state *out)
{
    fm_journal_state state = { 0 };
    fm_status st;

    if (!j || !out)
        return fm_fail(FM_EINVAL, "fm_journal_state_get: NULL argument");
    if ((st = read_last_used(j, &state.last_used)) != FM_OK ||
        (st = read_head(j, &state.finished_round, &state.head)) != FM_OK)
        return st;
    *out = state;
    return FM_OK;
}
