/* What left, newest first: a look into the journal while the node may be at work. */
#include <string.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"
#include "journal_internal.h"

#define BUSY_MS 10000

static fm_status read_fail(const char *path, sqlite3 *db)
{
    const int rc = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
    const int code = rc & 0xff;

    return fm_fail(FM_EIO, "%s: cannot read the journal: %s%s", path, sqlite3_errstr(rc),
                   code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? FM_JOURNAL_RESTORE : "");
}

static bool copy_hash(sqlite3_stmt *s, int column, fm_hash *out)
{
    if (sqlite3_column_bytes(s, column) != FM_HASH_BYTES)
        return false;
    memcpy(out->bytes, sqlite3_column_blob(s, column), FM_HASH_BYTES);
    return true;
}

static fm_status take_row(const char *path, sqlite3_stmt *s, fm_journal_sent_row *out)
{
    const char *federation = (const char *)sqlite3_column_text(s, 0);

    *out = (fm_journal_sent_row){ .round = (uint64_t)sqlite3_column_int64(s, 3),
                                  .bytes = (uint64_t)sqlite3_column_int64(s, 4),
                                  .sent_s = sqlite3_column_int64(s, 5),
                                  .released_s = sqlite3_column_int64(s, 6),
                                  .abandoned = sqlite3_column_int(s, 7) != 0 };
    if (!federation || strlen(federation) >= sizeof out->federation ||
        !copy_hash(s, 1, &out->plan) || !copy_hash(s, 2, &out->hash))
        return fm_fail(FM_EPROTO, "%s: a damaged line of what left", path);
    memcpy(out->federation, federation, strlen(federation) + 1);
    return FM_OK;
}

static fm_status read_rows(const char *path, sqlite3 *db, fm_journal_sent_row *rows, size_t room,
                           size_t *count)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;
    int rc;

    if (sqlite3_prepare_v2(
            db,
            "SELECT s.federation, s.plan, s.hash, s.round, s.bytes, s.sent_s, "
            "coalesce(r.released_s, 0), EXISTS (SELECT 1 FROM abandoned a WHERE a.federation = "
            "s.federation AND a.plan = s.plan AND a.round = s.round) FROM sent s LEFT JOIN rounds "
            "r "
            "ON r.federation = s.federation AND r.plan = s.plan AND r.round = s.round "
            "ORDER BY s.rowid DESC LIMIT ?1",
            -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(s, 1, (sqlite3_int64)room) != SQLITE_OK) {
        sqlite3_finalize(s);
        return read_fail(path, db);
    }
    *count = 0;
    while (st == FM_OK && (rc = sqlite3_step(s)) == SQLITE_ROW && *count < room)
        if ((st = take_row(path, s, &rows[*count])) == FM_OK)
            ++*count;
    if (st == FM_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        st = read_fail(path, db);
    sqlite3_finalize(s);
    return st;
}

static fm_status read_total(const char *path, sqlite3 *db, uint64_t total[2])
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(db, "SELECT count(*), coalesce(sum(bytes), 0) FROM sent", -1, &s,
                           NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW) {
        total[0] = (uint64_t)sqlite3_column_int64(s, 0);
        total[1] = (uint64_t)sqlite3_column_int64(s, 1);
    } else {
        st = read_fail(path, db);
    }
    sqlite3_finalize(s);
    return st;
}

/** A journal that no newer program has opened has noted nothing. */
static fm_status has_notes(const char *path, sqlite3 *db, bool *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master WHERE name = 'sent'", -1, &s, NULL) ==
        SQLITE_OK)
        *out = sqlite3_step(s) == SQLITE_ROW;
    else
        st = read_fail(path, db);
    sqlite3_finalize(s);
    return st;
}

fm_status fm_journal_read_sent(const char *path, fm_journal_sent_row *rows, size_t room,
                               size_t *count, uint64_t total[2])
{
    sqlite3 *db = NULL;
    bool noted = false;
    fm_status st;

    if (!path || !rows || !count || !total)
        return fm_fail(FM_EINVAL, "fm_journal_read_sent: NULL argument");
    if ((st = fm_file_check_private(path)) != FM_OK)
        return st;
    *count = 0;
    total[0] = total[1] = 0;
    if (fm_journal_open_read(path, &db) == SQLITE_OK) {
        (void)sqlite3_busy_timeout(db, BUSY_MS);
        if ((st = has_notes(path, db, &noted)) == FM_OK && noted &&
            (st = read_rows(path, db, rows, room, count)) == FM_OK)
            st = read_total(path, db, total);
    } else {
        st = read_fail(path, db);
    }
    (void)sqlite3_close(db);
    return st;
}
