/*
 * What those who were not there will ask for: the signed record of each finished round, and the
 * roster of each session that has one.
 */
#include <errno.h>
#include <stdlib.h>

#include "fedmoe/proto/entry.h"
#include "state_internal.h"

static fm_status db_fail(sqlite3 *db, const char *what)
{
    const char *advice = fm_db_advice(db, errno);

    return fm_fail(FM_EIO, "state.db: %s: %s%s", what, sqlite3_errmsg(db), advice);
}

/* `at` takes the place of what is in it, which stays when there is no memory. */
static fm_status hold(fm_buf *at, fm_bytes bytes, size_t limit)
{
    fm_buf b;
    fm_status st;

    fm_buf_init(&b, limit);
    if ((st = fm_buf_append(&b, bytes.data, bytes.len)) != FM_OK) {
        fm_buf_fini(&b);
        return st;
    }
    fm_buf_fini(at);
    *at = b;
    return FM_OK;
}

fm_status fm_state_audit_roster(fm_state_audit *a, const fm_session *session, fm_bytes roster)
{
    fm_status st;

    if (roster.len == 0)
        return fm_fail(FM_EINVAL, "aggregator state: an empty roster");
    if ((st = hold(&a->roster, roster, FM_MAX_MESSAGE_BYTES)) != FM_OK)
        return st;
    a->session = *session;
    a->roster_due = true;
    return FM_OK;
}

/* Decoded for its session, and so that nothing else than an entry is ever kept. */
fm_status fm_state_audit_stage(fm_state_audit *a, uint64_t round, fm_bytes record)
{
    fm_entry *e = NULL;
    fm_status st;

    fm_buf_clear(&a->record);
    if (record.len == 0)
        return FM_OK;
    if ((st = fm_entry_decode(record.data, record.len, &e)) != FM_OK)
        return fm_fail_context(st, "the record of round %llu: ", (unsigned long long)round);
    if (e->round != round)
        st = fm_fail(FM_EINVAL, "the record of round %llu is of another round",
                     (unsigned long long)round);
    if (st == FM_OK)
        st = hold(&a->record, record, FM_MAX_ENTRY_BYTES);
    if (st == FM_OK)
        a->record_session = e->session;
    free(e);
    return st;
}

/* ---- the database ---- */

static fm_status run(sqlite3 *db, sqlite3_stmt *q, const char *what)
{
    fm_status st = q && sqlite3_step(q) == SQLITE_DONE ? FM_OK : db_fail(db, what);

    (void)sqlite3_finalize(q);
    return st;
}

/* NULL when it cannot be prepared or bound. */
static sqlite3_stmt *with_blob(sqlite3 *db, const char *sql, const void *blob, size_t len)
{
    sqlite3_stmt *q = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK &&
        sqlite3_bind_blob64(q, 1, blob, len, SQLITE_STATIC) == SQLITE_OK)
        return q;
    (void)sqlite3_finalize(q);
    return NULL;
}

static fm_status write_record(sqlite3 *db, const fm_state_audit *a, uint64_t round)
{
    sqlite3_stmt *q = with_blob(db, "INSERT INTO entry(record, session, round) VALUES(?, ?, ?)",
                                a->record.data, a->record.len);

    if (q && (sqlite3_bind_blob(q, 2, a->record_session.bytes, FM_SESSION_BYTES, SQLITE_STATIC) !=
                  SQLITE_OK ||
              sqlite3_bind_int64(q, 3, (sqlite3_int64)round) != SQLITE_OK)) {
        (void)sqlite3_finalize(q);
        q = NULL;
    }
    return run(db, q, "the record of a round cannot be written");
}

/* Rosters of sessions in which no round finished go: there is never more than one of them. */
static fm_status write_roster(sqlite3 *db, const fm_state_audit *a)
{
    sqlite3_stmt *q = with_blob(
        db, "DELETE FROM roster WHERE session <> ? AND session NOT IN (SELECT session FROM entry)",
        a->session.bytes, FM_SESSION_BYTES);
    fm_status st = run(db, q, "old rosters cannot be removed");

    if (st != FM_OK)
        return st;
    q = with_blob(db, "INSERT OR REPLACE INTO roster(roster, session) VALUES(?, ?)", a->roster.data,
                  a->roster.len);
    if (q &&
        sqlite3_bind_blob(q, 2, a->session.bytes, FM_SESSION_BYTES, SQLITE_STATIC) != SQLITE_OK) {
        (void)sqlite3_finalize(q);
        q = NULL;
    }
    return run(db, q, "a roster cannot be written");
}

fm_status fm_state_audit_write(sqlite3 *db, const fm_state_audit *a, uint64_t pending)
{
    fm_status st = FM_OK;

    if (pending && a->record.len > 0)
        st = write_record(db, a, pending);
    return st == FM_OK && a->roster_due ? write_roster(db, a) : st;
}

void fm_state_audit_settled(fm_state_audit *a)
{
    fm_buf_fini(&a->record);
    fm_buf_fini(&a->roster);
    a->roster_due = false;
}

/* ---- reading ---- */

fm_status fm_state_audit_each(sqlite3 *db, fm_state_take_record *take, void *ctx)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT transcript.round, record FROM transcript LEFT JOIN entry "
                                "USING (round) ORDER BY transcript.round",
                                -1, &q, NULL);

    if (rc != SQLITE_OK)
        st = db_fail(db, "the records cannot be read");
    while (st == FM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const uint8_t *data = sqlite3_column_blob(q, 1);
        const fm_bytes record = { data, (size_t)sqlite3_column_bytes(q, 1) };

        st = take(ctx, (uint64_t)sqlite3_column_int64(q, 0), record);
    }
    if (st == FM_OK && rc != SQLITE_DONE)
        st = db_fail(db, "the records cannot be read");
    (void)sqlite3_finalize(q);
    return st;
}

fm_status fm_state_audit_read_roster(sqlite3 *db, const fm_session *session, fm_buf *out)
{
    sqlite3_stmt *q = with_blob(db, "SELECT roster FROM roster WHERE session = ?", session->bytes,
                                FM_SESSION_BYTES);
    int rc = q ? sqlite3_step(q) : SQLITE_ERROR;
    fm_status st;

    if (rc == SQLITE_ROW)
        st = fm_buf_append(out, sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0));
    else if (rc == SQLITE_DONE)
        st = fm_fail(FM_EPROTO, "state.db: the roster of a finished round is missing; restore it "
                                "from a backup");
    else
        st = db_fail(db, "a roster cannot be read");
    (void)sqlite3_finalize(q);
    return st;
}
