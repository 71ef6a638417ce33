/* A look into the journal while the node may be at work: nothing is made or changed. */
#include <sqlite3.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"

#define BUSY_MS 10000

/** The first number that a statement gives. @return SQLITE_OK or SQLite's code. */
static int read_number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return rc;
}

/** In one transaction; 0 while the node is just making the tables. */
static int count_released(sqlite3 *db, int64_t *out)
{
    int64_t tables = 0;
    int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);

    *out = 0;
    if (rc != SQLITE_OK)
        return rc;
    rc = read_number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'rounds'", &tables);
    if (rc == SQLITE_OK && tables > 0)
        rc = read_number(db, "SELECT count(*) FROM rounds WHERE released_s IS NOT NULL", out);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

fm_status fm_journal_read_released(const char *path, uint64_t *count)
{
    uint64_t until_ms = fm_clock_now_ms() + BUSY_MS;
    sqlite3 *db = NULL;
    int64_t n = 0;
    fm_status st;
    int rc;

    if (!path || !count)
        return fm_fail(FM_EINVAL, "fm_journal_read_released: NULL argument");
    if ((st = fm_file_check_private(path)) != FM_OK)
        return st;
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_busy_timeout(db, BUSY_MS);
        /* SQLite does not wait for a process that switches to the write-ahead log just now. */
        while ((rc = count_released(db, &n)) == SQLITE_BUSY && fm_clock_now_ms() < until_ms)
            (void)sqlite3_sleep(2);
    }
    if (rc == SQLITE_OK)
        *count = (uint64_t)n;
    else
        st = fm_fail(FM_EIO, "%s: cannot read the journal: %s", path,
                     db ? sqlite3_errmsg(db) : "out of memory");
    (void)sqlite3_close(db);
    return st;
}
