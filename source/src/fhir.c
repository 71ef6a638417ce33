/* A folder of NDJSON into SQLite's tables: a line at a time, so that memory is bounded by the longest. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/input.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "fhir_internal.h"
#include "sqlite_internal.h"

#define SHIFTED_YEAR 2999            /* as far as de-identified records are moved, and beyond */
#define LINE_MOST ((size_t)64 << 20) /* documents have their files in them */
#define PIECE ((size_t)64 << 10)
#define FILES_MOST 100000
#define PROBLEMS_MOST ((size_t)1 << 20)
#define PROBLEMS_SHOWN ((size_t)900) /* bytes, of an error text's */

static const char tables[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;"
    "CREATE TABLE patient(id TEXT PRIMARY KEY, gender TEXT, birth_date TEXT, death_date TEXT);"
    "CREATE TABLE event(patient TEXT, resource TEXT, id TEXT, system TEXT, code TEXT, date TEXT, "
    "until TEXT, class TEXT, value REAL, unit TEXT, text TEXT, file INTEGER, line INTEGER);"
    "CREATE TABLE place(type TEXT, id TEXT, file INTEGER, line INTEGER);"
    "BEGIN";
static const char finish[] =
    "DROP TABLE place; COMMIT; CREATE INDEX event_by_patient ON event(patient, resource, code)";
/* A second one of the same id is found by its place. */
static const char into_patient[] = "INSERT OR IGNORE INTO patient VALUES(?,?,?,?)";
static const char into_place[] = "INSERT INTO place VALUES(?,?,?,?)";
static const char into_event[] = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)";

typedef struct {
    const char *folder;
    const fm_fhir_options *options;
    fm_fhir_place place;
    fm_buf problems; /* where the caller has no place for them */
    struct dirent **names;
    int count;
    bool skip; /* the rest of the file at hand: every line would be one more problem */
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

/* "Patient.ndjson.part": what browsers and copiers call a file as long as it is not whole. */
static int unfinished(const struct dirent *e)
{
    static const char *const ends[] = { ".crdownload", ".part",     ".partial", ".tmp",
                                        ".download",   ".filepart", ".aria2" };
    const char *end = strrchr(e->d_name, '.');

    for (size_t i = 0; strstr(e->d_name, ".ndjson") && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(end, ends[i]) == 0)
            return 1;
    return 0;
}

/* One whose whole file is there as well was begun again: that is what is left of it. */
static fm_status check_unfinished(reading *m)
{
    struct dirent **names = NULL;
    const int count = scandir(m->folder, &names, unfinished, alphasort);
    char text[900], whole[256];
    fm_status st = FM_OK;

    for (int i = 0; i < count; i++) {
        bool there = false;

        (void)snprintf(whole, sizeof whole, "%.*s",
                       (int)(strrchr(names[i]->d_name, '.') - names[i]->d_name), names[i]->d_name);
        for (int k = 0; k < m->count; k++)
            there |= strcmp(m->names[k]->d_name, whole) == 0;
        (void)snprintf(text, sizeof text,
                       "%.500s/%.255s: a download that is not finished, by its name; finish it, or "
                       "take it away",
                       m->folder, names[i]->d_name);
        free(names[i]);
        if (!st && !there) {
            m->place.lost = true;
            st = fm_fhir_note(&m->place, text);
        }
    }
    free(names);
    return st;
}

static fm_status list(reading *m)
{
    struct stat info;

    if (stat(m->folder, &info) == 0 && !S_ISDIR(info.st_mode))
        return fm_fail(FM_EPARSE,
                       "%s: is a file; records: {fhir: ...} names the folder of an export",
                       m->folder);
    m->count = scandir(m->folder, &m->names, wanted, alphasort);
    if (m->count < 0)
        return fm_fail(errno == ENOENT || errno == ENOTDIR ? FM_ENOTFOUND : FM_EIO,
                       "%s: cannot list it: %s", m->folder, strerror(errno));
    if (m->count == 0)
        return fm_fail(FM_EPARSE,
                       "%s: there are no files of a bulk export (*.ndjson, perhaps .gz, .xz or "
                       ".zst) in it",
                       m->folder);
    if (m->count > FILES_MOST)
        return fm_fail(FM_EPARSE, "%s: there are more than %d files of a bulk export in it",
                       m->folder, FILES_MOST);
    return FM_OK;
}

/* ---- one file ---- */

static size_t blank(const char *text)
{
    return strspn(text, " \t\r");
}

/* What is no JSON: of the first line what the file is, as most often the rest is like it. */
static const char *reason(const char *text, size_t len, const json_error_t *e, size_t line)
{
    const enum json_error_code code = json_error_code(e);

    if (memchr(text, '\0', len))
        return "there are NUL bytes; this is no text, or a copy that went wrong: make it again";
    if (fm_text_is_conflict(text, len))
        return FM_TEXT_CONFLICT;
    if (line == 1 && text[blank(text)] == '[')
        return "a JSON array, and a bulk export has one resource a line: jq -c '.[]' FILE "
               ">NEW.ndjson";
    if (line == 1 && code == json_error_premature_end_of_input)
        return "a resource over several lines, or a cut one; a bulk export has one resource a "
               "line: jq -c . FILE >NEW.ndjson";
    if (code == json_error_premature_end_of_input)
        return "no JSON: the line ends before the resource does; was the file copied whole?";
    return fm_json_cause(text, len, e);
}

static fm_status take_line(reading *m, const char *text, size_t len)
{
    fm_fhir_place *p = &m->place;
    json_error_t error;
    json_t *resource = NULL;
    char what[300];
    const char *key;
    fm_status st;

    p->type = p->id = NULL;
    if (text[blank(text)] == '\0' && strlen(text) == len)
        return FM_OK;
    st = fm_json_parse(text, len, JSON_REJECT_DUPLICATES, &resource, &error);
    if (st == FM_EPARSE) {
        p->lost = true;
        m->skip = p->line == 1 && text[blank(text)] &&
                  !text[blank(text) + 1 + blank(text + blank(text) + 1)];
        key = json_error_code(&error) == json_error_duplicate_key && !p->hide_values
                  ? strstr(error.text, " near ")
                  : NULL;
        (void)snprintf(what, sizeof what, "%s (byte %d%.60s)", reason(text, len, &error, p->line),
                       error.position, key ? key : "");
        fm_text_clean(what);
        return fm_fhir_problem(p, NULL, NULL, what);
    }
    if (!st && !json_is_object(resource)) {
        p->lost = true;
        st = fm_fhir_problem(p, NULL, NULL,
                             p->line == 1 ? "a JSON array, and a bulk export has one resource a "
                                            "line: jq -c '.[]' FILE >NEW.ndjson"
                                          : "no FHIR resource: no object");
    } else if (!st) {
        st = fm_fhir_take(p, resource);
    }
    p->type = p->id = NULL;
    json_decref(resource);
    return st;
}

/* The whole lines of `held`; what is left of it is one that has begun. */
static fm_status take_lines(reading *m, fm_buf *held, size_t from, bool end)
{
    char *at = (char *)held->data, *const stop = at + held->len;
    char *search = at + from, *lf;
    fm_status st = FM_OK;

    while (!st && !m->skip && (lf = memchr(search, '\n', (size_t)(stop - search)))) {
        *lf = '\0';
        m->place.line++;
        st = take_line(m, at, (size_t)(lf - at));
        at = search = lf + 1;
    }
    if (!st && !m->skip && end && at < stop) {
        m->place.line++;
        st = take_line(m, at, (size_t)(stop - at)); /* fm_buf ends with a NUL */
        at = stop;
    }
    held->len = (size_t)(stop - at);
    if (at != (char *)held->data) /* else a long line is moved for each of its pieces */
        memmove(held->data, at, held->len);
    return st;
}

/* The file is something else altogether. @param st of the last read. */
static fm_status check_other(reading *m, const fm_buf *held, bool *other)
{
    const fm_input_other *is = fm_input_other_of(held->data, held->len);
    char text[900];

    *other = is && is->kind != FM_INPUT_JSON;
    if (!*other)
        return FM_OK;
    m->place.lost = true;
    (void)snprintf(text, sizeof text, "%.500s: this is no NDJSON but %s; %s", m->place.name, is->is,
                   is->advice ? is->advice : "export it again as FHIR NDJSON");
    return fm_fhir_note(&m->place, text);
}

static fm_status read_lines(reading *m, void *file, char *piece)
{
    fm_buf held;
    bool begun = false, other = false;
    size_t n = 1;
    fm_status st = FM_OK;

    fm_buf_init(&held, LINE_MOST);
    while (!st && n > 0 && !(st = m->options->files->read(file, piece, PIECE, &n))) {
        size_t from = held.len;

        if (held.len + n > LINE_MOST)
            st =
                fm_fail(FM_EPROTO,
                        "%s:%zu: the line is longer than %zu MiB; a bulk export has one resource a "
                        "line, each with its line end",
                        m->place.name, m->place.line + 1, LINE_MOST >> 20);
        if (st || (st = fm_buf_append(&held, piece, n)) || held.len == 0)
            continue;
        if (!begun && n > 0 && held.len < FM_INPUT_KIND_BYTES)
            continue;
        if (!begun) {
            st = check_other(m, &held, &other);
            from = held.len >= 3 && memcmp(held.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
            memset(held.data, ' ', from); /* a byte order mark is as good as a space */
            from = 0;
            begun = true;
        }
        if (!st && other)
            break;
        if (!st)
            st = take_lines(m, &held, from, n == 0);
        if (m->skip)
            break;
    }
    if (!st && !begun)
        st = fm_fail(FM_EPROTO, "%s: the file is empty; export it again, or take it away",
                     m->place.name);
    fm_buf_fini(&held);
    return st;
}

static fm_status read_file(reading *m, void *file)
{
    char *piece = NULL;
    fm_status st = fm_alloc(PIECE, 1, (void **)&piece);

    if (!st)
        st = read_lines(m, file, piece);
    if (piece)
        sodium_memzero(piece, PIECE);
    free(piece);
    return st;
}

/* What a file itself is ill of is one problem more; the others are read all the same. */
static fm_status take_file(reading *m, int number)
{
    char *path = NULL;
    void *file = NULL;
    fm_status st = fm_path_join(m->folder, m->names[number]->d_name, &path);

    m->place.name = path;
    m->place.file = number;
    m->place.line = 0;
    m->skip = false;
    if (!st && !(st = m->options->files->open(path, &file))) {
        st = read_file(m, file);
        m->options->files->close(file);
    }
    if (st == FM_EPROTO || st == FM_ENOTFOUND || (st == FM_EIO && !file)) {
        m->place.lost = true;
        st = fm_fhir_note(&m->place, fm_error_text());
    }
    free(path);
    m->place.name = m->folder;
    return st;
}

/* "Patient.ndjson" and "Patient.ndjson.xz": read once, and a problem. */
static bool is_packed_twin(const reading *m, int i)
{
    const char *name = m->names[i]->d_name;
    const size_t len = (size_t)(strstr(name, ".ndjson") - name) + 7;

    for (int k = i - 1; k >= 0 && strncmp(m->names[k]->d_name, name, len) == 0; k--)
        if (strlen(m->names[k]->d_name) == len || m->names[k]->d_name[len] == '.')
            return true;
    return false;
}

static fm_status take_files(reading *m)
{
    char text[900];
    fm_status st;

    m->place.name = m->folder;
    st = check_unfinished(m);
    for (int i = 0; !st && i < m->count; i++) {
        if (!is_packed_twin(m, i)) {
            st = take_file(m, i);
            continue;
        }
        (void)snprintf(text, sizeof text,
                       "%.300s/%.200s: %.200s is there, too: all that is in it would count twice; "
                       "take one of the two away",
                       m->folder, m->names[i]->d_name, m->names[i - 1]->d_name);
        st = fm_fhir_note(&m->place, text);
    }
    return st;
}

/* ---- between files ---- */

static fm_status each_row(reading *m, const char *sql,
                          fm_status (*each)(reading *m, sqlite3_stmt *row))
{
    sqlite3_stmt *s = NULL;
    fm_status st = FM_OK;
    int rc;

    if (sqlite3_prepare_v2(m->place.db, sql, -1, &s, NULL) != SQLITE_OK)
        return fail(m, "the references cannot be checked");
    while (!st && (rc = sqlite3_step(s)) != SQLITE_DONE)
        st = rc == SQLITE_ROW ? each(m, s) : fail(m, "the references cannot be checked");
    (void)sqlite3_finalize(s);
    return st;
}

static fm_status tell_stranger(reading *m, sqlite3_stmt *row)
{
    char text[1000];

    (void)snprintf(
        text, sizeof text,
        "%.400s/%.255s:%lld: it is of a patient who is in none of the folder's files; is "
        "a file of Patient missing?",
        m->folder, m->names[sqlite3_column_int(row, 0)]->d_name,
        (long long)sqlite3_column_int64(row, 1));
    return fm_fhir_note(&m->place, text);
}

static fm_status tell_twice(reading *m, sqlite3_stmt *row)
{
    const char *id = (const char *)sqlite3_column_text(row, 1);
    char text[1000];

    (void)snprintf(
        text, sizeof text,
        "%.300s/%.200s:%lld, %.40s%s%.64s: is there already, at %.200s:%lld: it would "
        "count twice; were two exports put into one folder?",
        m->folder, m->names[sqlite3_column_int(row, 4)]->d_name,
        (long long)sqlite3_column_int64(row, 5), (const char *)sqlite3_column_text(row, 0),
        m->place.hide_values ? "" : "/", m->place.hide_values || !id ? "" : id,
        m->names[sqlite3_column_int(row, 2)]->d_name, (long long)sqlite3_column_int64(row, 3));
    return fm_fhir_note(&m->place, text);
}

/* "Patient.ndjson.zip": a file that may hold what is not found, and is none that is read. */
static int is_patients(const struct dirent *e)
{
    return strcasestr(e->d_name, "patient") && e->d_name[0] != '.' && !wanted(e);
}

static void passed_over(const reading *m, char *out, size_t cap)
{
    struct dirent **names = NULL;
    const int count = scandir(m->folder, &names, is_patients, alphasort);

    *out = '\0';
    for (int i = 0; i < count; i++) {
        if (i == 0)
            (void)snprintf(out, cap,
                           " (passed over is %.200s: what is read is called *.ndjson, *.ndjson.gz, "
                           "*.ndjson.xz or *.ndjson.zst)",
                           names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static fm_status tell_patients(reading *m, sqlite3_stmt *row)
{
    char text[1000], other[300];

    if (sqlite3_column_int(row, 0) > 0)
        return FM_OK;
    m->place.lost = true; /* every line would be of a stranger */
    passed_over(m, other, sizeof other);
    (void)snprintf(text, sizeof text,
                   "%.500s: there is no Patient in its files%s; export that type, too", m->folder,
                   other);
    return fm_fhir_note(&m->place, text);
}

static fm_status check_between(reading *m)
{
    /* Places as one number each: 2^40 lines of a file are more than there can be. */
    static const char twice[] = "SELECT type, id, a >> 40, a & 1099511627775, b >> 40, b & "
                                "1099511627775 FROM (SELECT type, "
                                "id, min(file << 40 | line) AS a, max(file << 40 | line) AS b FROM "
                                "place GROUP BY type, id) "
                                "WHERE a <> b ORDER BY b LIMIT 1000";
    static const char strangers[] = "SELECT DISTINCT file, line FROM event WHERE patient IS NOT "
                                    "NULL AND patient NOT IN (SELECT "
                                    "id FROM patient) ORDER BY file, line LIMIT 1000";
    fm_status st = each_row(m, twice, tell_twice);

    /* Who refers to what could not be read is not to blame. */
    if (!st && !m->place.lost)
        st =
            each_row(m, "SELECT EXISTS (SELECT * FROM patient) OR NOT EXISTS (SELECT * FROM event)",
                     tell_patients);
    return st || m->place.lost ? st : each_row(m, strangers, tell_stranger);
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

static void set_days(fm_fhir_place *p, bool shifted)
{
    const time_t tomorrow = (time_t)fm_clock_wall_s() + 24 * 60 * 60;
    struct tm day;

    (void)gmtime_r(&tomorrow, &day);
    p->this_year = day.tm_year + 1900;
    (void)strftime(p->today, sizeof p->today, "%Y-%m-%d", &day);
    if (shifted) {
        p->this_year = SHIFTED_YEAR;
        (void)snprintf(p->today, sizeof p->today, "%d-12-31", SHIFTED_YEAR);
    }
}

static fm_status fill(reading *m)
{
    fm_fhir_place *p = &m->place;
    fm_status st = place_files(m->options->scratch);

    if (st)
        return st;
    /* "": a file without a name in that folder, and in memory while it is small. */
    if (sqlite3_open_v2("", &p->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return fail(m, "the tables cannot be made");
    if ((st = run(m, tables)))
        return st;
    if (sqlite3_prepare_v2(p->db, into_patient, -1, &p->patient, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(p->db, into_event, -1, &p->event, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(p->db, into_place, -1, &p->place, NULL) != SQLITE_OK)
        return fail(m, "the tables cannot be made");
    set_days(p, m->options->shifted_dates);
    st = take_files(m);
    (void)sqlite3_finalize(p->patient);
    (void)sqlite3_finalize(p->event);
    (void)sqlite3_finalize(p->place);
    p->patient = p->event = p->place = NULL;
    return st || (st = check_between(m)) ? st : run(m, finish);
}

/* As many whole lines as an error text holds. */
static fm_status fail_problems(const reading *m)
{
    const char *text = (const char *)m->place.problems->data;
    size_t n = strlen(text), shown = 0;

    while (n > PROBLEMS_SHOWN || (n > 0 && text[n - 1] == '\n')) {
        const char *end = memrchr(text, '\n', n - 1);

        if (n <= PROBLEMS_SHOWN || !end)
            n--;
        else
            n = (size_t)(end - text);
    }
    for (size_t i = 0; i < n; i++)
        shown += text[i] == '\n';
    if (shown + 1 >= m->place.problem_count)
        return fm_fail(FM_EPARSE, "%.*s", (int)n, text);
    return fm_fail(FM_EPARSE, "%.*s\n(and %zu more; fedmoe-node check lists them)", (int)n, text,
                   m->place.problem_count - shown - 1);
}

fm_status fm_database_fhir(const char *folder, const fm_fhir_options *o, const char *query,
                           const fm_database_format *f, fm_database **out)
{
    reading m = { .folder = folder, .options = o };
    fm_status st;

    fm_buf_init(&m.problems, PROBLEMS_MOST);
    m.place.problems = o->problems ? o->problems : &m.problems;
    m.place.hide_values = o->hide_values;
    if (!(st = list(&m)))
        st = fill(&m);
    if ((!st || st == FM_EPARSE) && m.place.problem_count > 0)
        st = fail_problems(&m);
    if (!st)
        st = fm_database_of_sqlite(m.place.db, folder, query, f, out);
    else
        (void)sqlite3_close(m.place.db);
    for (int i = 0; i < m.count; i++)
        free(m.names[i]);
    free(m.names);
    fm_buf_fini(&m.problems);
    return st;
}
