/* How far the chain of people's decisions is known: one taken off its end would be noticed. */
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

fm_status fm_journal_read_decisions(const char *path, uint64_t *count, fm_hash *head)
{
    sqlite3 *db = NULL;
    fm_status st;

    if (!path || !count || !head)
        return fm_fail(FM_EINVAL, "fm_journal_read_decisions: NULL argument");
    if ((st = fm_file_check_private(path)) != FM_OK)
        return st;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
        (void)sqlite3_busy_timeout(db, BUSY_MS);
        st = read_row(db, path, count, head);
    } else {
        st = fail(db, path);
    }
    (void)sqlite3_close(db);
    return st;
}
