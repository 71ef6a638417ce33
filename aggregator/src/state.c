#include "fedmoe/aggregator/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "state_internal.h"

#define BUSY_MS 2000

struct fm_state {
    sqlite3 *db;
    char *checkpoint;
    const fm_safetensors *like; /* borrowed */
    fm_hash plan, head;
    fm_transcript_entry *entries; /* [count], room for `room` */
    uint32_t count, room;
    bool pending;      /* the last entry is in the checkpoint, but not yet in the database */
    uint64_t reserved; /* a number given out in advance; 0: none */
    fm_state_marks marks;
    fm_state_audit audit;
    fm_state_held held; /* after the last round */
};

/* Exclusive: a second aggregator in the directory finds it locked. */
static const char SETTINGS[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=FULL;";
static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS run(id INTEGER PRIMARY KEY CHECK(id = 1), plan BLOB NOT NULL,"
    " last_given INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS transcript(round INTEGER PRIMARY KEY, commit_digest BLOB NOT NULL,"
    " model_after BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS mark(name TEXT PRIMARY KEY, round INTEGER NOT NULL,"
    " head BLOB NOT NULL, signature BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS entry(round INTEGER PRIMARY KEY, session BLOB NOT NULL,"
    " record BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS roster(session BLOB PRIMARY KEY, roster BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS held(round INTEGER PRIMARY KEY, loss REAL NOT NULL, auc REAL,"
    " deviation REAL);";

static fm_status write_due(fm_state *s);

const char *fm_db_advice(sqlite3 *db, int last)
{
    const int rc = sqlite3_errcode(db) & 0xff;

    if (sqlite3_system_errno(db) != 0)
        return fm_file_advice(sqlite3_system_errno(db));
    return fm_file_advice(rc == SQLITE_FULL ? ENOSPC : rc == SQLITE_IOERR ? last : 0);
}

static fm_status db_fail(fm_state *s, const char *what)
{
    const char *advice = fm_db_advice(s->db, errno);

    switch (sqlite3_errcode(s->db)) {
    case SQLITE_BUSY:
        return fm_fail(FM_ESTATE, "state.db: another aggregator is at work in this directory");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return fm_fail(FM_EPROTO,
                       "state.db: %s: damaged (%s); restore it together with " FM_CHECKPOINT_FILE
                       " from a backup",
                       what, sqlite3_errmsg(s->db));
    default:
        return fm_fail(FM_EIO, "state.db: %s: %s%s", what, sqlite3_errmsg(s->db), advice);
    }
}

/* ---- opening ---- */

static fm_status db_open(const char *path, fm_state *s)
{
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK)
        return db_fail(s, "cannot be opened");
    if (chmod(path, 0600) != 0)
        return fm_fail(FM_EIO, "%s: its mode cannot be set", path);
    if (sqlite3_busy_timeout(s->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(s->db, SETTINGS, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(s, "cannot be prepared");
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
    (void)sqlite3_finalize(q);
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
    (void)sqlite3_finalize(q);
    return st;
}

/* Room first: a round must not fail for memory after its checkpoint was written. */
static fm_status make_room(fm_state *s)
{
    uint32_t room = s->room ? 2 * s->room : 64;
    fm_transcript_entry *grown;

    if (s->count < s->room)
        return FM_OK;
    if (!(grown = realloc(s->entries, room * sizeof *grown)))
        return fm_fail(FM_ENOMEM, "transcript: no memory for %u entries", room);
    s->entries = grown;
    s->room = room;
    return FM_OK;
}

static void push_entry(fm_state *s, const fm_transcript_entry *e)
{
    s->entries[s->count++] = *e;
    s->head = fm_transcript_next(&s->head, e);
}

static fm_status read_entry(sqlite3_stmt *q, fm_transcript_entry *e)
{
    e->round = (uint64_t)sqlite3_column_int64(q, 0);
    if (sqlite3_column_bytes(q, 1) != FM_HASH_BYTES || sqlite3_column_bytes(q, 2) != FM_HASH_BYTES)
        return fm_fail(FM_EPROTO, "state.db: transcript entry %llu is damaged",
                       (unsigned long long)e->round);
    memcpy(e->commit_digest.bytes, sqlite3_column_blob(q, 1), FM_HASH_BYTES);
    memcpy(e->model_after.bytes, sqlite3_column_blob(q, 2), FM_HASH_BYTES);
    return FM_OK;
}

static fm_status load_transcript(fm_state *s)
{
    fm_transcript_entry e;
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(
        s->db, "SELECT round, commit_digest, model_after FROM transcript ORDER BY round", -1, &q,
        NULL);

    if (rc != SQLITE_OK)
        st = db_fail(s, "the transcript cannot be read");
    while (st == FM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
        if ((st = read_entry(q, &e)) == FM_OK && (st = make_room(s)) == FM_OK)
            push_entry(s, &e);
    if (st == FM_OK && rc != SQLITE_DONE)
        st = db_fail(s, "the transcript cannot be read");
    (void)sqlite3_finalize(q);
    return st;
}

/* Killed between the two files, the checkpoint is one entry ahead: it brings the entry along. */
static fm_status follow_checkpoint(fm_state *s, const fm_checkpoint_note *note)
{
    fm_hash next = fm_transcript_next(&s->head, &note->entry);
    fm_status st;

    if (note->finished == s->count && fm_hash_equal(&note->head, &s->head))
        return FM_OK;
    if (note->finished != (uint64_t)s->count + 1 || !fm_hash_equal(&note->head, &next) ||
        note->entry.round <= fm_state_last_round(s))
        return fm_fail(FM_ESTATE,
                       "%s: is not of the transcript in state.db (%u finished rounds there, %llu "
                       "here); restore both files from the same backup",
                       s->checkpoint, s->count, (unsigned long long)note->finished);
    if ((st = make_room(s)) != FM_OK ||
        (st = fm_state_audit_stage(&s->audit, note->entry.round, note->record)) != FM_OK)
        return st;
    push_entry(s, &note->entry);
    s->pending = true;
    return FM_OK;
}

static fm_status reconcile(fm_state *s, fm_optimizer *o)
{
    fm_checkpoint c = { 0 };
    fm_status st = fm_checkpoint_load(s->checkpoint, &s->plan, o, &c);

    if (st == FM_ENOTFOUND && s->count == 0) {
        fm_error_clear();
        return FM_OK;
    }
    if (st == FM_OK && (st = follow_checkpoint(s, &c.note)) == FM_OK) {
        fm_checkpoint_apply(&c, o);
        s->held = fm_state_held_of(o);
        st = s->pending ? fm_state_settle(s) : FM_OK;
    }
    fm_checkpoint_fini(&c);
    return st;
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
        (st = fm_path_join(dir, FM_CHECKPOINT_FILE, &s->checkpoint)) != FM_OK ||
        (st = db_open(path, s)) != FM_OK || (st = claim_plan(s, dir)) != FM_OK ||
        (st = load_transcript(s)) != FM_OK ||
        (st = fm_state_marks_load(s->db, &s->marks)) != FM_OK || (st = reconcile(s, o)) != FM_OK)
        goto done;
    fm_checkpoint_sweep(dir);
    *out = s;
    s = NULL;
done:
    free(path);
    if (s)
        s->pending = s->marks.due = false; /* a failed open writes nothing more */
    fm_state_close(&s);
    return st;
}

void fm_state_close(fm_state **s)
{
    if (!s || !*s)
        return;
    if (((*s)->pending || (*s)->marks.due) && write_due(*s) != FM_OK)
        fm_error_clear(); /* the checkpoint brings the entry along */
    fm_state_marks_fini(&(*s)->marks);
    fm_state_audit_settled(&(*s)->audit);
    (void)sqlite3_close((*s)->db);
    free((*s)->checkpoint);
    free((*s)->entries);
    free(*s);
    *s = NULL;
}

fm_status fm_state_peek(const char *dir, const fm_hash *plan, fm_optimizer *o, uint64_t *finished,
                        fm_hash *head)
{
    fm_checkpoint c = { 0 };
    char *path = NULL;
    fm_status st;

    if (!dir || !plan || !o || !finished || !head)
        return fm_fail(FM_EINVAL, "aggregator state: an argument is missing");
    if ((st = fm_path_join(dir, FM_CHECKPOINT_FILE, &path)) == FM_OK &&
        (st = fm_checkpoint_load(path, plan, o, &c)) == FM_OK) {
        fm_checkpoint_apply(&c, o);
        *finished = c.note.finished;
        *head = c.note.head;
    }
    fm_checkpoint_fini(&c);
    free(path);
    return st;
}

/* ---- reading ---- */

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

void fm_state_entries(const fm_state *s, uint64_t round, const fm_transcript_entry **entries,
                      uint32_t *count)
{
    uint32_t first = s->count;

    while (first > 0 && s->entries[first - 1].round > round)
        first--;
    *entries = first < s->count ? s->entries + first : NULL;
    *count = s->count - first;
}

/* ---- writing ---- */

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
    (void)sqlite3_finalize(q);
    return st;
}

/* One more than any given or finished before; durable once the transaction is. */
static fm_status give_number(fm_state *s, uint64_t *given)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (sqlite3_prepare_v2(s->db,
                           "UPDATE run SET last_given = max(last_given, ?) + 1"
                           " RETURNING last_given",
                           -1, &q, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(q, 1, (sqlite3_int64)fm_state_last_round(s)) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW)
        st = db_fail(s, "the round number cannot be written");
    else
        *given = (uint64_t)sqlite3_column_int64(q, 0);
    if (st == FM_OK && sqlite3_step(q) != SQLITE_DONE)
        st = db_fail(s, "the round number cannot be written");
    (void)sqlite3_finalize(q);
    return st;
}

/* All that the database lacks. */
static fm_status write_due(fm_state *s)
{
    uint64_t given = s->reserved;
    fm_status st = FM_OK;

    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(s, "cannot be written");
    if (s->pending)
        st = insert_entry(s, &s->entries[s->count - 1]);
    if (st == FM_OK && s->pending)
        st = fm_state_held_write(s->db, fm_state_last_round(s), &s->held);
    if (st == FM_OK)
        st = fm_state_audit_write(s->db, &s->audit, s->pending ? fm_state_last_round(s) : 0);
    if (st == FM_OK)
        st = fm_state_marks_write(s->db, &s->marks);
    if (st == FM_OK && !s->reserved)
        st = give_number(s, &given);
    if (st == FM_OK && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        st = db_fail(s, "cannot be written");
    if (st != FM_OK) {
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        return st;
    }
    s->pending = false;
    s->reserved = given;
    fm_state_marks_settled(&s->marks);
    fm_state_audit_settled(&s->audit);
    return FM_OK;
}

/* Marks alone can wait: each comes with a round that ends, one way or the other. */
fm_status fm_state_settle(fm_state *s)
{
    return !s->pending && !s->audit.roster_due && s->reserved ? FM_OK : write_due(s);
}

fm_status fm_state_keep_roster(fm_state *s, const fm_session *session, fm_bytes roster)
{
    if (!s || !session)
        return fm_fail(FM_EINVAL, "aggregator state: an argument is missing");
    return fm_state_audit_roster(&s->audit, session, roster);
}

fm_status fm_state_each_record(fm_state *s, fm_state_take_record *take, void *ctx)
{
    return fm_state_audit_each(s->db, take, ctx);
}

fm_status fm_state_find_held(fm_state *s, uint64_t round, fm_state_held *out)
{
    return fm_state_held_read(s->db, round, out);
}

fm_status fm_state_read_roster(fm_state *s, const fm_session *session, fm_buf *out)
{
    return fm_state_audit_read_roster(s->db, session, out);
}

fm_status fm_state_keep_mark(fm_state *s, const char *name, const fm_ledger_mark *mark)
{
    if (!s || !name || !mark)
        return fm_fail(FM_EINVAL, "aggregator state: an argument is missing");
    return fm_state_marks_keep(&s->marks, name, mark);
}

bool fm_state_find_mark(const fm_state *s, const char *name, fm_ledger_mark *out)
{
    const fm_state_mark *m = fm_state_marks_find(&s->marks, name);

    if (m)
        *out = (fm_ledger_mark){ m->round, m->head, { m->signature, m->signature_len } };
    return m != NULL;
}

fm_status fm_state_next_round(fm_state *s, uint64_t *round)
{
    fm_status st = s->reserved ? FM_OK : fm_state_settle(s);

    if (st != FM_OK)
        return st;
    *round = s->reserved;
    s->reserved = 0;
    return FM_OK;
}

fm_status fm_state_finish_round(fm_state *s, const fm_transcript_entry *e, fm_bytes record,
                                const fm_optimizer *o)
{
    fm_checkpoint_note note = {
        .plan = s->plan, .finished = (uint64_t)s->count + 1, .entry = *e, .record = record
    };
    fm_status st;

    if (e->round <= fm_state_last_round(s))
        return fm_fail(FM_EREPLAY, "round %llu is not after the last finished one, %llu",
                       (unsigned long long)e->round, (unsigned long long)fm_state_last_round(s));
    /* The next checkpoint brings only its own entry along, and no roster. */
    if (((s->pending || s->audit.roster_due) && (st = fm_state_settle(s)) != FM_OK) ||
        (st = make_room(s)) != FM_OK ||
        (st = fm_state_audit_stage(&s->audit, e->round, record)) != FM_OK)
        return st;
    note.head = fm_transcript_next(&s->head, e);
    if ((st = fm_checkpoint_write(s->checkpoint, s->like, o, &note)) != FM_OK)
        return st;
    push_entry(s, e);
    s->held = fm_state_held_of(o);
    s->pending = true;
    return FM_OK;
}
