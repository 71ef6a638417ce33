#include "fedmoe/aggregator/state.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "state_internal.h"

struct fm_state {
    sqlite3 *db;
    char *checkpoint;
    const fm_safetensors *like; /* borrowed */
    fm_hash plan, head;
    fm_transcript_entry *entries; /* [count], room for `room` */
    uint32_t count, room;
};

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS run(id INTEGER PRIMARY KEY CHECK(id = 1), plan BLOB NOT NULL,"
    " last_given INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS transcript(round INTEGER PRIMARY KEY, commit_digest BLOB NOT NULL,"
    " model_after BLOB NOT NULL);";

static fm_status db_fail(fm_state *s, const char *what)
{
    return fm_fail(FM_EIO, "state.db: %s: %s", what, sqlite3_errmsg(s->db));
}

static fm_status db_open(const char *path, fm_state *s)
{
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK)
        return fm_fail(FM_EIO, "%s: cannot be opened: %s", path, sqlite3_errmsg(s->db));
    if (chmod(path, 0600) != 0)
        return fm_fail(FM_EIO, "%s: its mode cannot be set", path);
    if (sqlite3_busy_timeout(s->db, 2000) != SQLITE_OK ||
        sqlite3_exec(s->db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA locking_mode=EXCLUSIVE;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)
        return fm_fail(FM_EIO, "%s: cannot be prepared (another aggregator in this directory?): %s",
                       path, sqlite3_errmsg(s->db));
    return FM_OK;
}

/* A new directory takes this plan; an old one must be of it. */
static fm_status claim_plan(fm_state *s, const char *dir)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(s->db, "INSERT OR IGNORE INTO run VALUES(1, ?, 0)", -1, &q, NULL) !=
            SQLITE_OK ||
        sqlite3_bind_blob(q, 1, s->plan.bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_DONE)
        st = db_fail(s, "the plan cannot be written");
    sqlite3_finalize(q);
    q = NULL;
    if (st != FM_OK)
        return st;
    if (sqlite3_prepare_v2(s->db, "SELECT plan FROM run", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW)
        st = db_fail(s, "the plan cannot be read");
    else if (sqlite3_column_bytes(q, 0) != FM_HASH_BYTES ||
             memcmp(sqlite3_column_blob(q, 0), s->plan.bytes, FM_HASH_BYTES) != 0)
        st = fm_fail(FM_ESTATE,
                     "%s: this directory holds the state of another plan; run "
                     "fedmoe-aggregator init in a new one",
                     dir);
    sqlite3_finalize(q);
    return st;
}

static fm_status push_entry(fm_state *s, const fm_transcript_entry *e)
{
    if (s->count == s->room) {
        uint32_t room = s->room ? 2 * s->room : 64;
        fm_transcript_entry *grown = realloc(s->entries, room * sizeof *grown);

        if (!grown)
            return fm_fail(FM_ENOMEM, "transcript: no memory for %u entries", room);
        s->entries = grown;
        s->room = room;
    }
    s->entries[s->count++] = *e;
    s->head = fm_transcript_next(&s->head, e);
    return FM_OK;
}

static fm_status load_transcript(fm_state *s)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(
        s->db, "SELECT round, commit_digest, model_after FROM transcript ORDER BY round", -1, &q,
        NULL);

    if (rc != SQLITE_OK)
        st = db_fail(s, "the transcript cannot be read");
    while (st == FM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        fm_transcript_entry e = { .round = (uint64_t)sqlite3_column_int64(q, 0) };

        if (sqlite3_column_bytes(q, 1) != FM_HASH_BYTES ||
            sqlite3_column_bytes(q, 2) != FM_HASH_BYTES)
            st = fm_fail(FM_EPROTO, "state.db: transcript entry %llu is damaged",
                         (unsigned long long)e.round);
        else {
            memcpy(e.commit_digest.bytes, sqlite3_column_blob(q, 1), FM_HASH_BYTES);
            memcpy(e.model_after.bytes, sqlite3_column_blob(q, 2), FM_HASH_BYTES);
            st = push_entry(s, &e);
        }
    }
    if (st == FM_OK && rc != SQLITE_DONE)
        st = db_fail(s, "the transcript cannot be read");
    sqlite3_finalize(q);
    return st;
}

static fm_status insert_entry(fm_state *s, const fm_transcript_entry *e)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(s->db, "INSERT INTO transcript VALUES(?, ?, ?)", -1, &q, NULL) !=
            SQLITE_OK ||
        sqlite3_bind_int64(q, 1, (sqlite3_int64)e->round) != SQLITE_OK ||
        sqlite3_bind_blob(q, 2, e->commit_digest.bytes, FM_HASH_BYTES, SQLITE_STATIC) !=
            SQLITE_OK ||
        sqlite3_bind_blob(q, 3, e->model_after.bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_DONE)
        st = db_fail(s, "the transcript entry cannot be written");
    sqlite3_finalize(q);
    return st == FM_OK ? push_entry(s, e) : st;
}

/* Killed between the two files, the checkpoint is one entry ahead: it brings the entry along. */
static fm_status reconcile(fm_state *s, fm_optimizer *o)
{
    fm_checkpoint_note note;
    fm_status st = fm_checkpoint_read(s->checkpoint, o, &note);
    fm_hash next;

    if (st == FM_ENOTFOUND && s->count == 0) {
        fm_error_clear();
        return FM_OK;
    }
    if (st != FM_OK)
        return st;
    if (!fm_hash_equal(&note.plan, &s->plan))
        return fm_fail(FM_ESTATE, "%s: belongs to another plan", s->checkpoint);
    if (note.finished == s->count && fm_hash_equal(&note.head, &s->head))
        return FM_OK;
    next = fm_transcript_next(&s->head, &note.entry);
    if (note.finished == (uint64_t)s->count + 1 && fm_hash_equal(&note.head, &next))
        return insert_entry(s, &note.entry);
    return fm_fail(FM_ESTATE,
                   "%s: is not of the transcript in state.db (%u finished rounds there, %llu "
                   "here); restore both files from the same backup",
                   s->checkpoint, s->count, (unsigned long long)note.finished);
}

fm_status fm_state_open(const char *dir, const fm_hash *plan, const fm_safetensors *like,
                        fm_optimizer *o, fm_state **out)
{
    fm_state *s = NULL;
    char *path = NULL;
    void *p = NULL;
    fm_status st;

    if (!dir || !plan || !like || !o || !out)
        return fm_fail(FM_EINVAL, "aggregator state: an argument is missing");
    if ((st = fm_alloc(1, sizeof *s, &p)) != FM_OK)
        return st;
    s = p;
    s->plan = *plan;
    s->like = like;
    if ((st = fm_path_join(dir, "state.db", &path)) != FM_OK ||
        (st = fm_path_join(dir, "checkpoint.safetensors", &s->checkpoint)) != FM_OK ||
        (st = db_open(path, s)) != FM_OK || (st = claim_plan(s, dir)) != FM_OK ||
        (st = load_transcript(s)) != FM_OK || (st = reconcile(s, o)) != FM_OK)
        goto done;
    *out = s;
    s = NULL;
done:
    free(path);
    fm_state_close(&s);
    return st;
}

void fm_state_close(fm_state **s)
{
    if (!s || !*s)
        return;
    sqlite3_close((*s)->db);
    free((*s)->checkpoint);
    free((*s)->entries);
    free(*s);
    *s = NULL;
}

uint64_t fm_state_finished(const fm_state *s)
{
    return s->count;
}

uint64_t fm_state_last_round(const fm_state *s)
{
    return s->count ? s->entries[s->count - 1].round : 0;
}

fm_hash fm_state_head(const fm_state *s)
{
    return s->head;
}

fm_status fm_state_next_round(fm_state *s, uint64_t *round)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(s->db, "UPDATE run SET last_given = last_given + 1 RETURNING last_given",
                           -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW)
        st = db_fail(s, "the round number cannot be written");
    else {
        uint64_t given = (uint64_t)sqlite3_column_int64(q, 0);

        if (sqlite3_step(q) != SQLITE_DONE)
            st = db_fail(s, "the round number cannot be written");
        else
            *round = given;
    }
    sqlite3_finalize(q);
    return st;
}

void fm_state_entries(const fm_state *s, uint64_t round, const fm_transcript_entry **entries,
                      uint32_t *count)
{
    uint32_t first = s->count;

    while (first > 0 && s->entries[first - 1].round > round)
        first--;
    *entries = s->entries + first;
    *count = s->count - first;
}

fm_status fm_state_finish_round(fm_state *s, const fm_transcript_entry *e, const fm_optimizer *o)
{
    fm_checkpoint_note note = {
        .plan = s->plan,
        .finished = (uint64_t)s->count + 1,
        .head = fm_transcript_next(&s->head, e),
        .entry = *e,
    };
    fm_status st = fm_checkpoint_write(s->checkpoint, s->like, o, &note);

    return st == FM_OK ? insert_entry(s, e) : st;
}
