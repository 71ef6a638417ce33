/* How far the chain of people's decisions is known: one taken off its end would be noticed. */
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "journal_internal.h"

#define BUSY_MS 10000

static fm_status fail(sqlite3 *db, const char *path)
{
    return fm_fail(FM_EIO, "%s: cannot read or note the decisions: %s", path,
                   db ? sqlite3_errmsg(db) : "out of memory");
}

/** A journal of an older program has no such table. */
static fm_status read_row(sqlite3 *db, const char *path, uint64_t *count, fm_hash *head)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;
    int rc =
        sqlite3_table_column_metadata(db, NULL, "decisions", "count", NULL, NULL, NULL, NULL, NULL);

    *count = 0;
    memset(head, 0, sizeof *head);
    if (rc == SQLITE_ERROR)
        return FM_OK;
    if (sqlite3_prepare_v2(db, "SELECT count, head FROM decisions", -1, &s, NULL) != SQLITE_OK)
        return fail(db, path);
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW && sqlite3_column_bytes(s, 1) == FM_HASH_BYTES) {
        *count = (uint64_t)sqlite3_column_int64(s, 0);
        memcpy(head->bytes, sqlite3_column_blob(s, 1), FM_HASH_BYTES);
    } else if (rc != SQLITE_DONE) {
        st = fail(db, path);
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_decisions(fm_journal *j, uint64_t *count, fm_hash *head)
{
    if (!j || !count || !head)
        return fm_fail(FM_EINVAL, "fm_journal_decisions: NULL argument");
    return read_row(j->db, j->path, count, head);
}

fm_status fm_journal_note_decisions(fm_journal *j, uint64_t count, const fm_hash *head)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;

    if (!j || !head || count == 0 || count > INT64_MAX)
        return fm_fail(FM_EINVAL, "fm_journal_note_decisions: bad argument");
    if (sqlite3_prepare_v2(j->db,
                           "INSERT INTO decisions (id, count, head) VALUES (1, ?1, ?2) ON CONFLICT "
                           "(id) DO UPDATE SET count = ?1, head = ?2 WHERE count < ?1 OR "
                           "(count = ?1 AND head = ?2)",
                           -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(s, 1, (int64_t)count) != SQLITE_OK ||
        sqlite3_bind_blob(s, 2, head->bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_DONE)
        st = fail(j->db, j->path);
    else if (sqlite3_changes(j->db) != 1)
        st = fm_fail(FM_EREPLAY, "%s: more decisions are known, or others", j->path);
    sqlite3_finalize(s);
    return st;
}

/** *db: sqlite3_close, also after a failure. */
static fm_status open_file(const char *path, bool change, sqlite3 **db)
{
    fm_status st = fm_file_check_private(path);

    if (st != FM_OK)
        return st;
    if ((change ? sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE, NULL)
                : fm_journal_open_read(path, db)) != SQLITE_OK)
        return fail(*db, path);
    (void)sqlite3_busy_timeout(*db, BUSY_MS);
    return FM_OK;
}

fm_status fm_journal_read_decisions(const char *path, uint64_t *count, fm_hash *head)
{
    sqlite3 *db = NULL;
    fm_status st;

    if (!path || !count || !head)
        return fm_fail(FM_EINVAL, "fm_journal_read_decisions: NULL argument");
    if ((st = open_file(path, false, &db)) == FM_OK)
        st = read_row(db, path, count, head);
    (void)sqlite3_close(db);
    return st;
}

/* ---- declared lost ---- */

static void copy_text(sqlite3_stmt *s, int column, char out[FM_JOURNAL_TEXT_MAX + 1])
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    (void)snprintf(out, FM_JOURNAL_TEXT_MAX + 1, "%s", text ? text : "");
}

/** A journal in which that never happened has no such table. */
static fm_status read_voided(sqlite3 *db, const char *path, uint64_t which, fm_journal_voided *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_table_column_metadata(db, NULL, "voided", "at", NULL, NULL, NULL, NULL, NULL);

    memset(out, 0, sizeof *out);
    if (rc == SQLITE_ERROR)
        return FM_OK;
    if (sqlite3_prepare_v2(db,
                           "SELECT id, at, count, made_by, why FROM voided WHERE ?1 IN (0, id) "
                           "ORDER BY id DESC LIMIT 1",
                           -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(s, 1, (sqlite3_int64)which) != SQLITE_OK)
        return fail(db, path);
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        out->times = (uint64_t)sqlite3_column_int64(s, 0);
        out->at_s = sqlite3_column_int64(s, 1);
        out->count = (uint64_t)sqlite3_column_int64(s, 2);
        copy_text(s, 3, out->by);
        copy_text(s, 4, out->why);
    } else if (rc != SQLITE_DONE) {
        st = fail(db, path);
    }
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_voided_get(fm_journal *j, fm_journal_voided *out)
{
    if (!j || !out)
        return fm_fail(FM_EINVAL, "fm_journal_voided_get: NULL argument");
    return read_voided(j->db, j->path, 0, out);
}

fm_status fm_journal_read_voided(const char *path, uint64_t which, fm_journal_voided *out)
{
    sqlite3 *db = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_journal_read_voided: NULL argument");
    if ((st = open_file(path, false, &db)) == FM_OK)
        st = read_voided(db, path, which, out);
    (void)sqlite3_close(db);
    return st;
}

/** One line more, with what was known; and nothing is known. */
static fm_status put_voided(sqlite3 *db, const char *path, const fm_journal_voided *what)
{
    static const char insert[] =
        "INSERT INTO voided (at, count, head, made_by, why) VALUES (?1, "
        "coalesce((SELECT count FROM decisions), 0), (SELECT head FROM decisions), ?2, ?3)";
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_exec(db,
                           "PRAGMA synchronous = FULL; BEGIN IMMEDIATE;"
                           "CREATE TABLE IF NOT EXISTS voided (id INTEGER PRIMARY KEY, at INTEGER "
                           "NOT NULL, count INTEGER NOT NULL, head BLOB, made_by TEXT NOT NULL, "
                           "why TEXT NOT NULL);"
                           "CREATE TABLE IF NOT EXISTS decisions (id INTEGER PRIMARY KEY CHECK "
                           "(id = 1), count INTEGER NOT NULL, head BLOB NOT NULL)",
                           NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_prepare_v2(db, insert, -1, &s, NULL) == SQLITE_OK &&
              sqlite3_bind_int64(s, 1, what->at_s) == SQLITE_OK &&
              sqlite3_bind_text(s, 2, what->by, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_bind_text(s, 3, what->why, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_DONE;

    sqlite3_finalize(s);
    ok = ok && sqlite3_exec(db, "DELETE FROM decisions; COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    return ok ? FM_OK : fail(db, path);
}

fm_status fm_journal_void_decisions(const char *path, const fm_journal_voided *what)
{
    sqlite3 *db = NULL;
    fm_status st;

    if (!path || !what)
        return fm_fail(FM_EINVAL, "fm_journal_void_decisions: NULL argument");
    if ((st = open_file(path, true, &db)) == FM_OK)
        st = put_voided(db, path, what);
    (void)sqlite3_close(db);
    return st;
}
