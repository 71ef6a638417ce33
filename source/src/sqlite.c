#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/input.h"
#include "fedmoe/base/text.h"
#include "sqlite_internal.h"

#define BUSY_MS 10000 /* while another process writes */

#define STEPS 100000 /* of its virtual machine, between two looks at the clock: milliseconds */
#define TABLES_SHOWN ((size_t)300)

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *statement;
    unsigned query_s;
    int64_t until_ms; /* of the step under way; 0: without end */
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

/* What people can do about it; "" when the words say it. */
static const char *advice(int code)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
        return "; the file is damaged: copy it again from its source (sqlite3 FILE \".backup "
               "COPY\"), "
               "or save what is left: sqlite3 FILE .recover";
    case SQLITE_NOTADB:
        return "; is it another file, or an encrypted database?";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another process writes to it: try again when that has ended";
    case SQLITE_CANTOPEN:
        return "; its folder must be readable, too, and of a database in WAL mode writable";
    case SQLITE_FULL:
        return "; a sort needs room for temporary files: see data.scratch in node.yaml";
    default:
        return "";
    }
}

static fm_status fail(const fm_database *d, fm_status st, const char *what)
{
    const state *s = d->state;

    return fm_fail(st, "%s: %s: %s%s", d->name, what, sqlite3_errmsg(s->db),
                   advice(sqlite3_errcode(s->db)));
}

/* Told behind "no such table". */
static void list_tables(sqlite3 *db, char out[TABLES_SHOWN])
{
    sqlite3_stmt *s = NULL;
    size_t len = 0;

    out[0] = '\0';
    if (sqlite3_prepare_v2(
            db,
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name "
            "NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name LIMIT 20",
            -1, &s, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        const int n = snprintf(out + len, TABLES_SHOWN - len, "%s%s", len ? ", " : "", name);

        if (n < 0 || (size_t)n >= TABLES_SHOWN - len)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
    fm_text_clean(out);
    (void)sqlite3_finalize(s);
}

static fm_status fail_query(const fm_database *d)
{
    const state *s = d->state;
    char said[300], tables[TABLES_SHOWN];

    if (sqlite3_errcode(s->db) != SQLITE_ERROR)
        return fail(d, FM_EIO, "it cannot be read");
    (void)snprintf(said, sizeof said, "%s", sqlite3_errmsg(s->db));
    if (strncmp(said, "no such table", 13) != 0)
        return fm_fail(FM_EINVAL, "%s: the query is not understood: %s", d->name, said);
    list_tables(s->db, tables);
    return fm_fail(FM_EINVAL, "%s: the query is not understood: %s; %s%s", d->name, said,
                   tables[0] ? "there are " : "there are no tables in it", tables);
}

/* SQLite's progress handler. @return not 0: stop. */
static int is_late(void *state_of)
{
    const state *s = state_of;

    return s->until_ms && (int64_t)fm_clock_now_ms() > s->until_ms;
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
    state *s = d->state;
    sqlite3_stmt *statement = s->statement;
    int rc, columns;
    fm_status st;

    s->until_ms = s->query_s ? (int64_t)fm_clock_now_ms() + 1000 * (int64_t)s->query_s : 0;
    rc = sqlite3_step(statement);
    columns = sqlite3_column_count(statement);

    *got = rc == SQLITE_ROW;
    if (rc == SQLITE_DONE)
        return FM_OK;
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        return fm_fail(FM_EIO,
                       "%s: the query was stopped at row %llu, for which it took more than %u "
                       "seconds; is it endless (a join without a condition, a recursion)? Else "
                       "raise data.query_s in node.yaml",
                       d->name, (unsigned long long)d->row, s->query_s);
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
        return fail_query(d);
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
    s->query_s = f->query_s;
    sqlite3_progress_handler(db, STEPS, is_late, s);
    st = prepare(d, query, f->header);
done:
    if (st)
        fm_database_free(&d);
    else
        *out = d;
    return st;
}

/* A file that is a database, before SQLite is asked: it reports anything else late, and in its way. */
static fm_status check_file(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char first[FM_INPUT_KIND_BYTES];
    const fm_input_other *other;
    struct stat info;
    ssize_t n;
    int fd = -1;
    fm_status st = fm_input_open(path, &fd);

    if (st)
        return st;
    n = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? pread(fd, first, sizeof first, 0) : 0;
    (void)close(fd);
    if (n >= (ssize_t)sizeof magic && memcmp(first, magic, sizeof magic) == 0)
        return FM_OK;
    if (n <= 0)
        return fm_fail(FM_EPARSE, "%s: it is empty, and no SQLite database; is it the right file?",
                       path);
    other = fm_input_other_of(first, (size_t)n);
    if (other)
        return fm_fail(FM_EPARSE, "%s: this is no SQLite database but %s%s%s", path, other->is,
                       other->advice ? "; " : "", other->advice ? other->advice : "");
    return fm_fail(
        FM_EPARSE,
        "%s: this is no SQLite database; a file of text is named as records: FILE, and an "
        "encrypted database must be decrypted first",
        path);
}

fm_status fm_database_sqlite(const char *path, const char *query, const fm_database_format *f,
                             fm_database **out)
{
    sqlite3 *db = NULL;
    fm_status st;

    if ((st = check_file(path)))
        return st;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, NULL) == SQLITE_OK)
        return fm_database_of_sqlite(db, path, query, f, out);
    st = fm_fail(FM_EIO, "%s: cannot open it: %s", path, sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    return st;
}
