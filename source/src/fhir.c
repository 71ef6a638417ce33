/* A folder of NDJSON into SQLite's tables: a line at a time, so that memory is bounded by the longest. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fhir_internal.h"
#include "sqlite_internal.h"

#define LINE_MOST ((size_t)64 << 20) /* documents have their files in them */
#define PIECE ((size_t)64 << 10)
#define FILES_MOST 100000

static const char tables[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;"
    "CREATE TABLE patient(id TEXT PRIMARY KEY, gender TEXT, birth_date TEXT, death_date TEXT);"
    "CREATE TABLE event(patient TEXT, resource TEXT, id TEXT, system TEXT, code TEXT, date TEXT, "
    "until TEXT, class TEXT, value REAL, unit TEXT, text TEXT, file INTEGER, line INTEGER);"
    "BEGIN";
static const char finish[] =
    "COMMIT; CREATE INDEX event_by_patient ON event(patient, resource, code)";
static const char into_patient[] = "INSERT INTO patient VALUES(?,?,?,?)";
static const char into_event[] = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)";

typedef struct {
    const char *folder, *scratch;
    const fm_database_files *files;
    fm_fhir_place place;
    struct dirent **names;
    int count;
} reading;

static fm_status fail(const reading *m, const char *what)
{
    return fm_fail(sqlite3_errcode(m->place.db) == SQLITE_NOMEM ? FM_ENOMEM : FM_EIO, "%s: %s: %s",
                   m->folder, what, sqlite3_errmsg(m->place.db));
}

static fm_status run(const reading *m, const char *sql)
{
    return sqlite3_exec(m->place.db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? FM_OK
               : fail(m, "the tables cannot be made");
}

static int wanted(const struct dirent *e)
{
    const char *at = strstr(e->d_name, ".ndjson");

    return at && e->d_name[0] != '.' && strcmp(e->d_name, "log.ndjson") != 0 &&
           (!at[7] || strcmp(at + 7, ".xz") == 0 || strcmp(at + 7, ".gz") == 0 ||
            strcmp(at + 7, ".zst") == 0);
}

static fm_status list(reading *m)
{
    m->count = scandir(m->folder, &m->names, wanted, alphasort);
    if (m->count < 0)
        return fm_fail(errno == ENOENT || errno == ENOTDIR ? FM_ENOTFOUND : FM_EIO,
                       "%s: cannot list it: %s", m->folder, strerror(errno));
    if (m->count == 0 || m->count > FILES_MOST)
        return fm_fail(FM_EPARSE, "%s: there are %s of a bulk export (*.ndjson) in it", m->folder,
                       m->count ? "too many files" : "no files");
    return FM_OK;
}

static fm_status take_line(const reading *m, const char *text, size_t len)
{
    const fm_fhir_place *p = &m->place;
    json_error_t error;
    json_t *resource = NULL;
    fm_status st;

    if (text[strspn(text, " \t\r")] == '\0' && strlen(text) == len)
        return FM_OK;
    st = fm_json_parse(text, len, JSON_REJECT_DUPLICATES, &resource, &error);
    if (st == FM_EPARSE)
        return fm_fail(st, "%s:%zu:%d: no JSON: a line of NDJSON is one resource", p->name, p->line,
                       error.column);
    if (!st && !json_is_object(resource))
        st = fm_fail(FM_EPARSE, "%s:%zu: no FHIR resource: no object", p->name, p->line);
    if (!st)
        st = fm_fhir_take(p, resource);
    json_decref(resource);
    return st;
}

/* The whole lines of `held`; what is left of it is one that has begun. */
static fm_status take_lines(reading *m, fm_buf *held, size_t from, bool end)
{
    char *at = (char *)held->data, *const stop = at + held->len;
    char *search = at + from, *lf;
    fm_status st = FM_OK;

    while (!st && (lf = memchr(search, '\n', (size_t)(stop - search)))) {
        *lf = '\0';
        m->place.line++;
        st = take_line(m, at, (size_t)(lf - at));
        at = search = lf + 1;
    }
    if (!st && end && at < stop) {
        m->place.line++;
        st = take_line(m, at, (size_t)(stop - at)); /* fm_buf ends with a NUL */
        at = stop;
    }
    held->len = (size_t)(stop - at);
    memmove(held->data, at, held->len);
    return st;
}

static fm_status read_file(reading *m, void *file)
{
    fm_buf held;
    char *piece = NULL;
    size_t n = 1;
    fm_status st = fm_alloc(PIECE, 1, (void **)&piece);

    fm_buf_init(&held, LINE_MOST);
    while (!st && n > 0 && !(st = m->files->read(file, piece, PIECE, &n))) {
        const size_t from = held.len;

        if (held.len + n > LINE_MOST)
            st = fm_fail(FM_EPARSE, "%s:%zu: the line is longer than %zu bytes", m->place.name,
                         m->place.line + 1, LINE_MOST);
        else if (!(st = fm_buf_append(&held, piece, n)) && held.len > 0)
            st = take_lines(m, &held, from, n == 0);
    }
    if (piece)
        sodium_memzero(piece, PIECE);
    free(piece);
    fm_buf_fini(&held);
    return st;
}

static fm_status take_file(reading *m, int number)
{
    char *path = NULL;
    void *file = NULL;
    fm_status st = fm_path_join(m->folder, m->names[number]->d_name, &path);

    if (!st && !(st = m->files->open(path, &file))) {
        m->place.name = path;
        m->place.file = number;
        m->place.line = 0;
        st = read_file(m, file);
        m->files->close(file);
    }
    free(path);
    return st;
}

/* An event of somebody who is none of the patients. */
static fm_status check_references(const reading *m)
{
    static const char sql[] = "SELECT file, line FROM event WHERE patient NOT IN (SELECT id FROM "
                              "patient) ORDER BY file, line LIMIT 1";
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;
    int rc;

    if (sqlite3_prepare_v2(m->place.db, sql, -1, &s, NULL) != SQLITE_OK)
        return fail(m, "the references cannot be checked");
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        st = fm_fail(FM_EPARSE,
                     "%s/%s:%lld: it is of a patient who is in none of the folder's files; is a "
                     "file of Patient missing?",
                     m->folder, m->names[sqlite3_column_int(s, 0)]->d_name,
                     (long long)sqlite3_column_int64(s, 1));
    else if (rc != SQLITE_DONE)
        st = fail(m, "the references cannot be checked");
    (void)sqlite3_finalize(s);
    return st;
}

/* SQLite has one such folder for all that it does in a process. */
static fm_status place_files(const char *folder)
{
    char *copy;

    if (!folder)
        return FM_OK;
    if (!(copy = sqlite3_mprintf("%s", folder)))
        return fm_fail(FM_ENOMEM, "%s: no memory", folder);
    sqlite3_free(sqlite3_temp_directory);
    sqlite3_temp_directory = copy;
    return FM_OK;
}

static fm_status fill(reading *m)
{
    fm_fhir_place *p = &m->place;
    fm_status st = place_files(m->scratch);

    if (st)
        return st;
    /* "": a file without a name in that folder, and in memory while it is small. */
    if (sqlite3_open_v2("", &p->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return fail(m, "the tables cannot be made");
    if ((st = run(m, tables)))
        return st;
    if (sqlite3_prepare_v2(p->db, into_patient, -1, &p->patient, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(p->db, into_event, -1, &p->event, NULL) != SQLITE_OK)
        return fail(m, "the tables cannot be made");
    for (int i = 0; !st && i < m->count; i++)
        st = take_file(m, i);
    (void)sqlite3_finalize(p->patient);
    (void)sqlite3_finalize(p->event);
    p->patient = p->event = NULL;
    return st || (st = run(m, finish)) ? st : check_references(m);
}

fm_status fm_database_fhir(const char *folder, const fm_database_files *files, const char *scratch,
                           const char *query, const fm_database_format *f, fm_database **out)
{
    reading m = { .folder = folder, .scratch = scratch, .files = files };
    fm_status st;

    if (!(st = list(&m)))
        st = fill(&m);
    if (!st)
        st = fm_database_of_sqlite(m.place.db, folder, query, f, out);
    else
        (void)sqlite3_close(m.place.db);
    for (int i = 0; i < m.count; i++)
        free(m.names[i]);
    free(m.names);
    return st;
}
