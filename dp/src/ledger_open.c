/* Opening and creating: schema, mode, write-ahead log; and the words for SQLite's failures. */
#include "ledger_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

/*
 * The triggers also stop INSERT OR REPLACE, which would delete without a DELETE. The last five
 * columns came with version 2: here they stand where ALTER TABLE puts them into a file of
 * version 1, so that both are one table.
 */
#define NEW_COLUMNS(sep)                                                                   \
    sep "kind INTEGER NOT NULL DEFAULT 0" sep "sensitivity INTEGER NOT NULL DEFAULT 0" sep \
        "unit TEXT NOT NULL DEFAULT 'record'" sep "format INTEGER NOT NULL DEFAULT 1" sep  \
        "salt BLOB NOT NULL DEFAULT x'00000000000000000000000000000000'"
static const char SCHEMA[] =
    "CREATE TABLE entry("
    " sequence INTEGER PRIMARY KEY AUTOINCREMENT, wall_s INTEGER NOT NULL,"
    " data_set TEXT NOT NULL, federation TEXT NOT NULL, purpose TEXT NOT NULL,"
    " plan BLOB NOT NULL, round INTEGER NOT NULL,"
    " noise_multiplier REAL NOT NULL, sampling_rate REAL NOT NULL, count INTEGER NOT NULL,"
    " hash BLOB NOT NULL" NEW_COLUMNS(
        ", ") ","
              " UNIQUE(data_set, federation, round, plan)) STRICT;"
              "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN"
              " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
              "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN"
              " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
              "CREATE TRIGGER entry_append BEFORE INSERT ON entry WHEN"
              " NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM entry) OR EXISTS"
              " (SELECT 1 FROM entry WHERE data_set = NEW.data_set AND federation = NEW.federation"
              "  AND round = NEW.round AND plan = NEW.plan) BEGIN"
              " SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
              "PRAGMA application_id = 1179470919;"
              "PRAGMA user_version = 2;";
_Static_assert(FM_LEDGER_APPLICATION_ID == 1179470919 && FM_LEDGER_VERSION == 2, "as in SCHEMA");

static const char MIGRATE[] =
    NEW_COLUMNS("; ALTER TABLE entry ADD COLUMN ") "; PRAGMA user_version = 2;";

/* A file of version 1 that must not be changed reads as one of version 2. */
static const char VIEW[] =
    "PRAGMA temp_store = MEMORY;"
    "CREATE TEMP VIEW entry AS SELECT *, 0 AS kind, 0 AS sensitivity, 'record' AS unit,"
    " 1 AS format, zeroblob(16) AS salt FROM main.entry;";

static fm_status status_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_ERROR: /* the tables are not ours */
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return FM_EPROTO;
    case SQLITE_NOMEM:
        return FM_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FM_ETIMEOUT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return FM_EIO;
    case SQLITE_CONSTRAINT:
        return FM_ESTATE;
    default:
        return FM_EINTERNAL;
    }
}

fm_status fm_ledger_fail(const fm_ledger *l, int rc, const char *what)
{
    fm_status st = status_of(rc);
    int os = errno; /* SQLite forgets the reason of a failed write to its log */

    if (sqlite3_system_errno(l->db) != 0)
        os = sqlite3_system_errno(l->db);
    if (st == FM_ETIMEOUT)
        return fm_fail(st, "%s: cannot %s: another process has held the ledger for %d s", l->path,
                       what, FM_LEDGER_BUSY_MS / 1000);
    if (st == FM_EIO && os != 0)
        return fm_fail(st, "%s: cannot %s: %s (%s)%s", l->path, what, sqlite3_errmsg(l->db),
                       strerror(os), fm_file_advice(os));
    return fm_fail(st, "%s: cannot %s: %s%s", l->path, what, sqlite3_errmsg(l->db),
                   st == FM_EPROTO ? FM_LEDGER_RESTORE : "");
}

fm_status fm_ledger_exec(fm_ledger *l, const char *sql, const char *what)
{
    int rc;

    errno = 0;
    rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FM_OK : fm_ledger_fail(l, rc, what);
}

fm_status fm_ledger_int(fm_ledger *l, const char *sql, int64_t *out)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &q, NULL);
    fm_status st = FM_OK;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(q, 0);
    else
        st = fm_ledger_fail(l, rc, "read");
    sqlite3_finalize(q);
    return st;
}

void fm_ledger_rollback(fm_ledger *l)
{
    if (!sqlite3_get_autocommit(l->db))
        (void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
}

static fm_status check_ours(fm_ledger *l, int64_t *version)
{
    int64_t application = 0;
    fm_status st = fm_ledger_int(l, "PRAGMA application_id", &application);

    if (st == FM_OK)
        st = fm_ledger_int(l, "PRAGMA user_version", version);
    if (st != FM_OK)
        return st;
    if (application != FM_LEDGER_APPLICATION_ID)
        return fm_fail(FM_EPROTO, "%s: not a fedmoe ledger (another program's database)%s", l->path,
                       FM_LEDGER_RESTORE);
    if (*version < 1 || *version > FM_LEDGER_VERSION)
        return fm_fail(FM_EPROTO, "%s: ledger version %lld, this program reads 1 to %d", l->path,
                       (long long)*version, FM_LEDGER_VERSION);
    return FM_OK;
}

static fm_status open_as_it_is(fm_ledger *l)
{
    int64_t version = 0;
    fm_status st = check_ours(l, &version);

    return st == FM_OK && version == 1 ? fm_ledger_exec(l, VIEW, "read") : st;
}

/* Create the tables unless another process has just done so, or an earlier one was killed before;
 * likewise the columns that a file of version 1 lacks. */
static fm_status make_schema(fm_ledger *l)
{
    int64_t objects = 0, version = 0;
    fm_status st = fm_ledger_exec(l, "BEGIN IMMEDIATE", "lock");

    if (st != FM_OK)
        return st;
    st = fm_ledger_int(l, "SELECT count(*) FROM sqlite_schema", &objects);
    if (st == FM_OK && objects == 0)
        st = fm_ledger_exec(l, SCHEMA, "create tables");
    if (st == FM_OK)
        st = check_ours(l, &version);
    if (st == FM_OK && version == 1)
        st = fm_ledger_exec(l, MIGRATE, "bring the file to version 2");
    if (st == FM_OK)
        st = fm_ledger_exec(l, "COMMIT", "create tables");
    fm_ledger_rollback(l);
    return st;
}

/* An empty private file, its name synced; it may exist already. */
static fm_status make_file(const char *path)
{
    char *dir = NULL;
    fm_status st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return FM_OK;
    if (fd < 0)
        return fm_fail(FM_EIO, "%s: cannot create the ledger: %s%s", path, strerror(errno),
                       fm_file_advice(errno));
    close(fd);
    if ((st = fm_path_dir(path, &dir)) != FM_OK)
        return st;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        st = fm_fail(FM_EIO, "%s: cannot sync the folder: %s%s", dir, strerror(errno),
                     fm_file_advice(errno));
    if (fd >= 0)
        close(fd);
    free(dir);
    return st;
}

static fm_status connect(fm_ledger *l, int flags)
{
    int rc = sqlite3_open_v2(l->path, &l->db, flags | SQLITE_OPEN_EXRESCODE, NULL);

    if (!l->db)
        return fm_fail(FM_ENOMEM, "%s: cannot open the ledger: out of memory", l->path);
    if (rc != SQLITE_OK)
        return fm_ledger_fail(l, rc, "open the ledger");
    (void)sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_busy_timeout(l->db, FM_LEDGER_BUSY_MS);
    return FM_OK;
}

/*
 * Unlike all else, the switch does not wait for a process that creates the ledger just now: SQLite
 * says busy at once.
 */
static fm_status switch_to_wal(fm_ledger *l)
{
    uint64_t until_ms = fm_clock_now_ms() + FM_LEDGER_BUSY_MS;
    fm_status st;

    while ((st = fm_ledger_exec(l, "PRAGMA journal_mode = WAL", "switch on the write-ahead log")) ==
               FM_ETIMEOUT &&
           fm_clock_now_ms() < until_ms)
        (void)sqlite3_sleep(2);
    return st;
}

/* WAL, and every commit synced before it returns. */
static fm_status make_durable(fm_ledger *l)
{
    int64_t durable = 0;
    fm_status st = switch_to_wal(l);

    if (st == FM_OK)
        st = fm_ledger_exec(l, "PRAGMA synchronous = FULL", "ask for synced commits");
    if (st == FM_OK)
        st = fm_ledger_int(l,
                           "SELECT (SELECT synchronous FROM pragma_synchronous) = 2 AND"
                           " (SELECT journal_mode FROM pragma_journal_mode) = 'wal'",
                           &durable);
    if (st == FM_OK && !durable)
        st = fm_fail(FM_EIO,
                     "%s: this file system cannot hold a write-ahead log: keep the ledger"
                     " on a local disk",
                     l->path);
    return st;
}

static fm_status open_at(const char *path, bool readonly, fm_ledger **out)
{
    void *p = NULL;
    fm_ledger *l;
    fm_status st = fm_file_check_private(path);

    if (st != FM_OK || (st = fm_alloc(1, sizeof *l, &p)) != FM_OK)
        return st;
    l = p;
    /* Absolute: SQLite gives names such as ":memory:" a meaning of their own. */
    if (!(l->path = realpath(path, NULL))) {
        st = fm_fail(FM_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    if ((st = connect(l, readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE)) != FM_OK)
        goto done;
    if (readonly)
        st = open_as_it_is(l);
    else if ((st = make_schema(l)) == FM_OK)
        st = make_durable(l);
    if (st != FM_OK)
        goto done;
    *out = l;
    l = NULL;
done:
    fm_ledger_close(&l);
    return st;
}

fm_status fm_ledger_open(const char *path, fm_ledger **out)
{
    fm_status st;

    if (!path || !*path || !out)
        return fm_fail(FM_EINVAL, "ledger: no path given");
    if ((st = make_file(path)) != FM_OK)
        return st;
    return open_at(path, false, out);
}

fm_status fm_ledger_open_readonly(const char *path, fm_ledger **out)
{
    if (!path || !*path || !out)
        return fm_fail(FM_EINVAL, "ledger: no path given");
    return open_at(path, true, out);
}

void fm_ledger_close(fm_ledger **l)
{
    if (!l || !*l)
        return;
    fm_ledger_cache_fini(&(*l)->cache);
    (void)sqlite3_close((*l)->db);
    free((*l)->path);
    free(*l);
    *l = NULL;
}
