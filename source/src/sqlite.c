#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sqlite_internal.h"

#define BUSY_MS 10000 /* while another process writes */

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *statement;
} state;

static void close_sqlite(fm_database *d)
{
    state *s = d->state;

    if (!s)
        return;
    (void)sqlite3_finalize(s->statement);
    (void)sqlite3_close(s->db);
    free(s);
    d->state = NULL;
}

static fm_status fail(const fm_database *d, fm_status st, const char *what)
{
    const state *s = d->state;

    return fm_fail(st, "%s: %s: %s", d->name, what, sqlite3_errmsg(s->db));
}

static fm_status put_cell(fm_database *d, sqlite3_stmt *statement, int c)
{
    const void *text;

    switch (sqlite3_column_type(statement, c)) {
    case SQLITE_NULL:
        return fm_database_null(d);
    case SQLITE_BLOB:
        return fm_fail(FM_EPARSE, "%s: row %llu, column %s: it holds bytes, not a text or number",
                       d->name, (unsigned long long)d->row, sqlite3_column_name(statement, c));
    default:
        if (!(text = sqlite3_column_text(statement, c)))
            return fm_fail(FM_ENOMEM, "%s: row %llu: no memory", d->name,
                           (unsigned long long)d->row);
        return fm_database_value(d, text, (size_t)sqlite3_column_bytes(statement, c));
    }
}

static fm_status next_sqlite(fm_database *d, bool *got)
{
    sqlite3_stmt *statement = ((state *)d->state)->statement;
    const int rc = sqlite3_step(statement), columns = sqlite3_column_count(statement);
    fm_status st;

    *got = rc == SQLITE_ROW;
    if (rc == SQLITE_DONE)
        return FM_OK;
    if (rc != SQLITE_ROW)
        return fail(d, rc == SQLITE_NOMEM ? FM_ENOMEM : FM_EIO, "the query broke off");
    for (int c = 0; c < columns; c++)
        if ((st = put_cell(d, statement, c)))
            return st;
    return fm_database_end_row(d);
}

static const fm_database_ops ops = { next_sqlite, close_sqlite };

static fm_status put_header(fm_database *d, sqlite3_stmt *statement)
{
    const int columns = sqlite3_column_count(statement);
    fm_status st;

    for (int c = 0; c < columns; c++) {
        const char *name = sqlite3_column_name(statement, c);

        if (!name)
            return fm_fail(FM_ENOMEM, "%s: no memory", d->name);
        if ((st = fm_database_value(d, name, strlen(name))))
            return st;
    }
    return fm_database_end_row(d);
}

static fm_status prepare(fm_database *d, const char *query, bool header)
{
    state *s = d->state;
    const char *rest = NULL;

    if (sqlite3_busy_timeout(s->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, query, -1, &s->statement, &rest) != SQLITE_OK)
        return fail(d, FM_EINVAL, "the query is not understood");
    if (!s->statement || sqlite3_column_count(s->statement) == 0)
        return fm_fail(FM_EINVAL, "%s: the query gives no columns; it must be a SELECT", d->name);
    if (!sqlite3_stmt_readonly(s->statement))
        return fm_fail(FM_EINVAL, "%s: the query writes; it must be a SELECT", d->name);
    if (rest[strspn(rest, " \t\r\n;")])
        return fm_fail(FM_EINVAL, "%s: the query is more than one statement", d->name);
    return header ? put_header(d, s->statement) : FM_OK;
}

fm_status fm_database_of_sqlite(sqlite3 *db, const char *name, const char *query,
                                const fm_database_format *f, fm_database **out)
{
    fm_database *d = NULL;
    state *s = NULL;
    fm_status st = fm_database_new(&ops, name, f, &d);

    if (!st)
        st = fm_alloc(1, sizeof *s, (void **)&s);
    if (st) {
        (void)sqlite3_close(db);
        goto done;
    }
    d->state = s;
    s->db = db;
    st = prepare(d, query, f->header);
done:
    if (st)
        fm_database_free(&d);
    else
        *out = d;
    return st;
}

fm_status fm_database_sqlite(const char *path, const char *query, const fm_database_format *f,
                             fm_database **out)
{
    sqlite3 *db = NULL;
    fm_status st;

    if (access(path, R_OK) != 0)
        return fm_fail(errno == ENOENT || errno == ENOTDIR ? FM_ENOTFOUND : FM_EIO,
                       "%s: cannot read it: %s", path, strerror(errno));
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, NULL) == SQLITE_OK)
        return fm_database_of_sqlite(db, path, query, f, out);
    st = fm_fail(FM_EIO, "%s: cannot open it: %s", path, sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    return st;
}
