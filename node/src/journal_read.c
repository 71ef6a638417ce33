/* A look into the journal while the node may be at work: nothing is made or changed. */
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"
#include "journal_internal.h"

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

/** @param rc  of what failed: the connection may have forgotten it. */
static fm_status read_fail_of(const char *path, int rc)
{
    const int code = rc & 0xff;

    return fm_fail(FM_EIO, "%s: cannot read the journal: %s%s", path, sqlite3_errstr(rc),
                   code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? FM_JOURNAL_RESTORE : "");
}

static fm_status read_fail(const char *path, sqlite3 *db)
{
    return read_fail_of(path, db ? sqlite3_errcode(db) : SQLITE_NOMEM);
}

int fm_journal_open_read(const char *path, sqlite3 **db)
{
    const int rc =
        sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE, NULL); /* if it may not be: to read */

    return rc == SQLITE_OK ? sqlite3_exec(*db, "PRAGMA query_only = 1", NULL, NULL, NULL) : rc;
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
    rc = fm_journal_open_read(path, &db);
    if (rc == SQLITE_OK) {
        (void)sqlite3_busy_timeout(db, BUSY_MS);
        /* SQLite does not wait for a process that switches to the write-ahead log just now. */
        while ((rc = count_released(db, &n)) == SQLITE_BUSY && fm_clock_now_ms() < until_ms)
            (void)sqlite3_sleep(2);
    }
    if (rc == SQLITE_OK)
        *count = (uint64_t)n;
    else
        st = read_fail_of(path, rc);
    (void)sqlite3_close(db);
    return st;
}

/* ---- the rounds of a plan ---- */

typedef struct {
    const char *path, *federation;
    const fm_hash *plan;
    sqlite3 *db;
    fm_journal_row *rows;
    size_t count, room;
} listing;

static fm_status add_row(listing *l, sqlite3_stmt *s)
{
    const size_t room = l->room ? 2 * l->room : 64;
    fm_journal_row *grown;

    if (sqlite3_column_bytes(s, 1) != FM_HASH_BYTES)
        return fm_fail(FM_EPROTO, "%s: a commit of the wrong length", l->path);
    if (l->count == l->room) {
        if (!(grown = realloc(l->rows, room * sizeof *grown)))
            return fm_fail(FM_ENOMEM, "%s: no memory for %zu rounds", l->path, room);
        l->rows = grown;
        l->room = room;
    }
    l->rows[l->count] = (fm_journal_row){ .round = (uint64_t)sqlite3_column_int64(s, 0),
                                          .released = sqlite3_column_int(s, 2) != 0,
                                          .abandoned = sqlite3_column_int(s, 3) != 0 };
    memcpy(l->rows[l->count++].digest.bytes, sqlite3_column_blob(s, 1), FM_HASH_BYTES);
    return FM_OK;
}

static fm_status prepare(const listing *l, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v2(l->db, sql, -1, out, NULL) != SQLITE_OK ||
        sqlite3_bind_text(*out, 1, l->federation, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob(*out, 2, l->plan->bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK)
        return read_fail(l->path, l->db);
    return FM_OK;
}

#define ROWS(abandoned)                                                                 \
    "SELECT round, committed, released_s IS NOT NULL, " abandoned " FROM rounds WHERE " \
    "federation = ?1 AND plan = ?2 AND committed IS NOT NULL ORDER BY round"

/* A journal that no newer program has opened has no table of abandoned rounds. */
static fm_status list_rows(listing *l)
{
    sqlite3_stmt *s = NULL;
    int64_t tables = 0;
    int rc =
        read_number(l->db, "SELECT count(*) FROM sqlite_master WHERE name = 'abandoned'", &tables);
    fm_status st = rc != SQLITE_OK ? read_fail(l->path, l->db)
                   : tables > 0
                       ? prepare(l,
                                 ROWS("EXISTS (SELECT 1 FROM abandoned a WHERE a.federation = ?1 "
                                      "AND a.plan = ?2 AND a.round = rounds.round)"),
                                 &s)
                       : prepare(l, ROWS("0"), &s);

    while (st == FM_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        st = add_row(l, s);
    if (st == FM_OK && rc != SQLITE_DONE)
        st = read_fail(l->path, l->db);
    sqlite3_finalize(s);
    return st;
}

static fm_status read_head(const listing *l, fm_journal_state *out)
{
    sqlite3_stmt *s = NULL;
    int rc = SQLITE_DONE;
    fm_status st =
        prepare(l, "SELECT round, head FROM heads WHERE federation = ?1 AND plan = ?2", &s);

    if (st == FM_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(s, 1) != FM_HASH_BYTES) {
            st = fm_fail(FM_EPROTO, "%s: a head of the wrong length", l->path);
        } else {
            out->finished_round = (uint64_t)sqlite3_column_int64(s, 0);
            memcpy(out->head.bytes, sqlite3_column_blob(s, 1), FM_HASH_BYTES);
        }
    } else if (st == FM_OK && rc != SQLITE_DONE) {
        st = read_fail(l->path, l->db);
    }
    sqlite3_finalize(s);
    return st;
}

static fm_status read_last_used(const listing *l, fm_journal_state *out)
{
    sqlite3_stmt *s = NULL;
    fm_status st = prepare(
        l, "SELECT coalesce(max(round), 0) FROM rounds WHERE federation = ?1 AND plan = ?2", &s);

    if (st == FM_OK && sqlite3_step(s) != SQLITE_ROW)
        st = read_fail(l->path, l->db);
    if (st == FM_OK)
        out->last_used = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return st;
}

/* One transaction for all. */
static fm_status list(listing *l, fm_journal_state *state)
{
    int64_t tables = 0;
    fm_status st = FM_OK;

    if (sqlite3_exec(l->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
        read_number(l->db, "SELECT count(*) FROM sqlite_master WHERE name = 'rounds'", &tables) !=
            SQLITE_OK)
        return read_fail(l->path, l->db);
    if (tables > 0 && (st = list_rows(l)) == FM_OK && (st = read_last_used(l, state)) == FM_OK)
        st = read_head(l, state);
    (void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

fm_status fm_journal_read_rounds(const char *path, const char *federation, const fm_hash *plan,
                                 fm_journal_row **rows, size_t *count, fm_journal_state *state)
{
    listing l = { .path = path, .federation = federation, .plan = plan };
    fm_journal_state s = { 0 };
    fm_status st;

    if (!path || !federation || !plan || !rows || !count || !state)
        return fm_fail(FM_EINVAL, "fm_journal_read_rounds: NULL argument");
    if ((st = fm_file_check_private(path)) != FM_OK)
        return st;
    if (fm_journal_open_read(path, &l.db) == SQLITE_OK) {
        (void)sqlite3_busy_timeout(l.db, BUSY_MS);
        st = list(&l, &s);
    } else {
        st = read_fail(path, l.db);
    }
    (void)sqlite3_close(l.db);
    if (st != FM_OK) {
        free(l.rows);
        return st;
    }
    *rows = l.rows;
    *count = l.count;
    *state = s;
    return FM_OK;
}
