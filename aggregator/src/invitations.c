#include "fedmoe/aggregator/invitations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "state_internal.h"

#define FILE_NAME "invitations.db"
#define BUSY_MS 1000

struct fm_invitations {
    sqlite3 *db;
};

/* A rollback journal, not WAL: the file alone is the state, and copies of it are whole. */
static const char SETTINGS[] = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;";
static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS invitation(number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,"
    " name TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " days INTEGER NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0, member BLOB, request BLOB,"
    " certificate BLOB);";

/* The columns of a row, as read_row takes them. */
#define ROW "key, name, expires, days, withdrawn, member, request, certificate"

static fm_status db_fail(const fm_invitations *s, const char *what)
{
    const char *advice = fm_db_advice(s->db, errno);

    switch (sqlite3_errcode(s->db)) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return fm_fail(FM_EPROTO, FILE_NAME ": %s: damaged (%s); restore it from a backup", what,
                       sqlite3_errmsg(s->db));
    default:
        return fm_fail(FM_EIO, FILE_NAME ": %s: %s%s", what, sqlite3_errmsg(s->db), advice);
    }
}

/* ---- opening ---- */

/** Its mode is right from the first moment on, and one that was changed since is refused. */
static fm_status check_file(const char *path, bool make)
{
    struct stat info;
    int fd = -1;

    if (make && (fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) >= 0)
        (void)close(fd);
    else if (make && errno != EEXIST)
        return fm_fail(FM_EIO, "%s: cannot be made: %s%s", path, strerror(errno),
                       fm_file_advice(errno));
    if (lstat(path, &info) != 0)
        return fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO,
                       "%s: %s: no code was given out in this folder", path, strerror(errno));
    if (S_ISLNK(info.st_mode))
        return fm_fail(FM_EPERM, "%s: a symbolic link, which is not followed", path);
    return fm_file_check_private(path);
}

static fm_status db_open(fm_invitations *s, const char *path, bool make)
{
    fm_status st = check_file(path, make);

    if (st != FM_OK)
        return st;
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return db_fail(s, "cannot be opened");
    if (sqlite3_busy_timeout(s->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(s->db, SETTINGS, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(s, "cannot be prepared");
    return FM_OK;
}

fm_status fm_invitations_open(const char *dir, bool make, fm_invitations **out)
{
    fm_invitations *s = NULL;
    char *path = NULL;
    void *p = NULL;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_invitations_open: NULL argument");
    if ((st = fm_alloc(1, sizeof *s, &p)) != FM_OK)
        return st;
    s = p;
    if ((st = fm_path_join(dir, FILE_NAME, &path)) == FM_OK)
        st = db_open(s, path, make);
    free(path);
    if (st != FM_OK) {
        fm_invitations_close(&s);
        return st;
    }
    *out = s;
    return FM_OK;
}

void fm_invitations_close(fm_invitations **s)
{
    if (!s || !*s)
        return;
    (void)sqlite3_close(((*s)->db));
    free(*s);
    *s = NULL;
}

/* ---- statements ---- */

static fm_status prepare(const fm_invitations *s, const char *sql, sqlite3_stmt **q)
{
    return sqlite3_prepare_v2(s->db, sql, -1, q, NULL) == SQLITE_OK ? FM_OK
                                                                    : db_fail(s, "not understood");
}

static bool bind_key(sqlite3_stmt *q, int at, const uint8_t *key)
{
    return sqlite3_bind_blob(q, at, key, (int)FM_INVITATION_KEY_BYTES, SQLITE_STATIC) == SQLITE_OK;
}

/** One change; FM_EEXIST when no row was met. Ends the statement. */
static fm_status change(const fm_invitations *s, sqlite3_stmt *q, bool bound)
{
    fm_status st = FM_OK;

    if (!bound || sqlite3_step(q) != SQLITE_DONE)
        st = db_fail(s, "cannot be written");
    (void)sqlite3_finalize(q);
    if (st == FM_OK && sqlite3_changes(s->db) == 0)
        st = fm_fail(FM_EEXIST, "the invitation was used or withdrawn meanwhile");
    return st;
}

static fm_status copy_blob(sqlite3_stmt *q, int column, fm_buf *out)
{
    int len = sqlite3_column_bytes(q, column);

    if (!out || len <= 0)
        return FM_OK;
    fm_buf_clear(out);
    return fm_buf_append(out, sqlite3_column_blob(q, column), (size_t)len);
}

static fm_status read_row(sqlite3_stmt *q, uint8_t *key, fm_invited *i)
{
    const char *name = (const char *)sqlite3_column_text(q, 1);
    int member = sqlite3_column_bytes(q, 5);

    if (sqlite3_column_bytes(q, 0) != (int)FM_INVITATION_KEY_BYTES || !name ||
        fm_name_check(name) != FM_OK || (member != 0 && member != FM_HASH_BYTES))
        return fm_fail(FM_EPROTO, FILE_NAME ": damaged; restore it from a backup");
    *i = (fm_invited){
        .expires_s = sqlite3_column_int64(q, 2),
        .days = (uint32_t)sqlite3_column_int64(q, 3),
        .withdrawn = sqlite3_column_int(q, 4) != 0,
        .bound = member != 0,
        .issued = sqlite3_column_bytes(q, 7) > 0,
    };
    memcpy(key, sqlite3_column_blob(q, 0), FM_INVITATION_KEY_BYTES);
    memcpy(i->name, name, strlen(name) + 1);
    if (member != 0)
        memcpy(i->key.bytes, sqlite3_column_blob(q, 5), FM_HASH_BYTES);
    return FM_OK;
}

/* ---- reading ---- */

fm_status fm_invitations_find(fm_invitations *s, const uint8_t key[FM_INVITATION_KEY_BYTES],
                              fm_invited *out, fm_buf *request, fm_buf *certificate)
{
    uint8_t again[FM_INVITATION_KEY_BYTES];
    sqlite3_stmt *q = NULL;
    fm_invited i;
    int rc;
    fm_status st = prepare(s, "SELECT " ROW " FROM invitation WHERE key = ?", &q);

    if (st != FM_OK)
        return st;
    rc = bind_key(q, 1, key) ? sqlite3_step(q) : SQLITE_ERROR;
    if (rc == SQLITE_DONE)
        st = fm_fail(FM_ENOTFOUND, "no such invitation");
    else if (rc != SQLITE_ROW)
        st = db_fail(s, "cannot be read");
    else if ((st = read_row(q, again, &i)) == FM_OK && (st = copy_blob(q, 6, request)) == FM_OK &&
             (st = copy_blob(q, 7, certificate)) == FM_OK)
        *out = i;
    (void)sqlite3_finalize(q);
    return st;
}

fm_status fm_invitations_each(fm_invitations *s, fm_invitations_visit *visit, void *ctx)
{
    uint8_t key[FM_INVITATION_KEY_BYTES];
    sqlite3_stmt *q = NULL;
    fm_invited i;
    int rc = SQLITE_DONE;
    fm_status st = prepare(s, "SELECT " ROW " FROM invitation ORDER BY number", &q);

    while (st == FM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
        if ((st = read_row(q, key, &i)) == FM_OK)
            st = visit(ctx, key, &i);
    if (st == FM_OK && rc != SQLITE_DONE)
        st = db_fail(s, "cannot be read");
    (void)sqlite3_finalize(q);
    return st;
}

/* ---- changing ---- */

fm_status fm_invitations_add(fm_invitations *s, const uint8_t key[FM_INVITATION_KEY_BYTES],
                             const fm_invited *i, int64_t now_s)
{
    /* One step, so that of two commands at once one finds the other's. */
    static const char sql[] =
        "INSERT INTO invitation(key, name, created, expires, days) SELECT ?1, ?2, ?3, ?4, ?5"
        " WHERE NOT EXISTS(SELECT 1 FROM invitation WHERE name = ?2 AND withdrawn = 0"
        " AND certificate IS NULL AND (expires > ?3 OR member IS NOT NULL))";
    sqlite3_stmt *q = NULL;
    fm_status st = prepare(s, sql, &q);

    if (st != FM_OK)
        return st;
    st = change(s, q,
                bind_key(q, 1, key) &&
                    sqlite3_bind_text(q, 2, i->name, -1, SQLITE_STATIC) == SQLITE_OK &&
                    sqlite3_bind_int64(q, 3, now_s) == SQLITE_OK &&
                    sqlite3_bind_int64(q, 4, i->expires_s) == SQLITE_OK &&
                    sqlite3_bind_int64(q, 5, i->days) == SQLITE_OK);
    if (st == FM_EEXIST)
        st = fm_fail(FM_EEXIST,
                     "'%s' has an open invitation; if its code is lost, withdraw it first "
                     "(fedmoe-aggregator invite --withdraw %s)",
                     i->name, i->name);
    return st;
}

fm_status fm_invitations_bind(fm_invitations *s, const uint8_t key[FM_INVITATION_KEY_BYTES],
                              const fm_hash *member, const uint8_t *request, size_t len)
{
    sqlite3_stmt *q = NULL;
    fm_status st = prepare(s,
                           "UPDATE invitation SET member = ?2, request = ?3 WHERE key = ?1 AND "
                           "member IS NULL AND withdrawn = 0",
                           &q);

    if (st != FM_OK)
        return st;
    return change(s, q,
                  bind_key(q, 1, key) &&
                      sqlite3_bind_blob(q, 2, member->bytes, FM_HASH_BYTES, SQLITE_STATIC) ==
                          SQLITE_OK &&
                      sqlite3_bind_blob(q, 3, request, (int)len, SQLITE_STATIC) == SQLITE_OK);
}

fm_status fm_invitations_issue(fm_invitations *s, const uint8_t key[FM_INVITATION_KEY_BYTES],
                               const uint8_t *certificate, size_t len)
{
    sqlite3_stmt *q = NULL;
    fm_status st = prepare(s,
                           "UPDATE invitation SET certificate = ?2 WHERE key = ?1 AND "
                           "member IS NOT NULL AND withdrawn = 0",
                           &q);

    if (st != FM_OK)
        return st;
    return change(s, q,
                  bind_key(q, 1, key) &&
                      sqlite3_bind_blob(q, 2, certificate, (int)len, SQLITE_STATIC) == SQLITE_OK);
}

fm_status fm_invitations_withdraw(fm_invitations *s, const char *name, uint32_t *count)
{
    sqlite3_stmt *q = NULL;
    fm_status st = prepare(s,
                           "UPDATE invitation SET withdrawn = 1 WHERE name = ? AND "
                           "withdrawn = 0 AND certificate IS NULL",
                           &q);

    if (st != FM_OK)
        return st;
    st = change(s, q, sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC) == SQLITE_OK);
    *count = st == FM_OK ? (uint32_t)sqlite3_changes(s->db) : 0;
    if (st == FM_EEXIST) {
        fm_error_clear();
        st = FM_OK;
    }
    return st;
}
