/*
 * The newest ledger mark of each node, as the node signed it: kept for the node, which alone can
 * tell what it means, and handed back when it joins.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state_internal.h"

static fm_status db_fail(sqlite3 *db, const char *what)
{
    const char *advice = fm_db_advice(db, errno);

    return fm_fail(FM_EIO, "state.db: %s: %s%s", what, sqlite3_errmsg(db), advice);
}

static fm_state_mark *find(const fm_state_marks *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->marks[i].name, name) == 0)
            return &t->marks[i];
    return NULL;
}

const fm_state_mark *fm_state_marks_find(const fm_state_marks *t, const char *name)
{
    return find(t, name);
}

static fm_status add(fm_state_marks *t, const char *name, fm_state_mark **out)
{
    size_t room = t->room ? 2 * t->room : 16, bytes = 0;
    fm_state_mark *grown;
    fm_status st;

    if (t->count == t->room) {
        if ((st = fm_mul_size(room, sizeof *grown, &bytes)) != FM_OK)
            return st;
        if (!(grown = realloc(t->marks, bytes)))
            return fm_fail(FM_ENOMEM, "ledger marks: no memory for %zu", room);
        t->marks = grown;
        t->room = room;
    }
    *out = &t->marks[t->count++];
    **out = (fm_state_mark){ 0 };
    memcpy((*out)->name, name, strlen(name));
    return FM_OK;
}

fm_status fm_state_marks_keep(fm_state_marks *t, const char *name, const fm_ledger_mark *mark)
{
    size_t len = strlen(name);
    fm_state_mark *m = find(t, name);
    fm_status st;

    if (len == 0 || len > FM_NAME_MAX || mark->round == 0 || mark->signature.len == 0 ||
        mark->signature.len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EINVAL, "a ledger mark of the wrong shape");
    if (!m && (st = add(t, name, &m)) != FM_OK)
        return st;
    m->round = mark->round;
    m->head = mark->head;
    memcpy(m->signature, mark->signature.data, mark->signature.len);
    m->signature_len = mark->signature.len;
    m->due = t->due = true;
    return FM_OK;
}

/* ---- the database ---- */

static fm_status read_mark(sqlite3_stmt *q, fm_state_marks *t)
{
    const char *name = (const char *)sqlite3_column_text(q, 0);
    const uint8_t *head = sqlite3_column_blob(q, 2), *signature = sqlite3_column_blob(q, 3);
    fm_ledger_mark mark = { .round = (uint64_t)sqlite3_column_int64(q, 1),
                            .signature = { signature, (size_t)sqlite3_column_bytes(q, 3) } };
    fm_status st;

    if (!name || !head || !signature || sqlite3_column_bytes(q, 2) != FM_HASH_BYTES)
        return fm_fail(FM_EPROTO, "state.db: a ledger mark is damaged");
    memcpy(mark.head.bytes, head, FM_HASH_BYTES);
    st = fm_state_marks_keep(t, name, &mark);
    return st == FM_EINVAL ? fm_fail(FM_EPROTO, "state.db: a ledger mark is damaged") : st;
}

fm_status fm_state_marks_load(sqlite3 *db, fm_state_marks *t)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(db, "SELECT name, round, head, signature FROM mark", -1, &q, NULL);

    if (rc != SQLITE_OK)
        st = db_fail(db, "the ledger marks cannot be read");
    while (st == FM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
        st = read_mark(q, t);
    if (st == FM_OK && rc != SQLITE_DONE)
        st = db_fail(db, "the ledger marks cannot be read");
    (void)sqlite3_finalize(q);
    fm_state_marks_settled(t);
    return st;
}

static fm_status write_mark(sqlite3 *db, sqlite3_stmt *q, const fm_state_mark *m)
{
    if (sqlite3_bind_text(q, 1, m->name, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(q, 2, (sqlite3_int64)m->round) != SQLITE_OK ||
        sqlite3_bind_blob(q, 3, m->head.bytes, FM_HASH_BYTES, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob(q, 4, m->signature, (int)m->signature_len, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_DONE || sqlite3_reset(q) != SQLITE_OK)
        return db_fail(db, "a ledger mark cannot be written");
    return FM_OK;
}

fm_status fm_state_marks_write(sqlite3 *db, const fm_state_marks *t)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (!t->due)
        return FM_OK;
    if (sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO mark VALUES(?, ?, ?, ?)", -1, &q, NULL) !=
        SQLITE_OK)
        st = db_fail(db, "the ledger marks cannot be written");
    for (size_t i = 0; st == FM_OK && i < t->count; i++)
        if (t->marks[i].due)
            st = write_mark(db, q, &t->marks[i]);
    (void)sqlite3_finalize(q);
    return st;
}

void fm_state_marks_settled(fm_state_marks *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->marks[i].due = false;
    t->due = false;
}

void fm_state_marks_fini(fm_state_marks *t)
{
    free(t->marks);
    *t = (fm_state_marks){ 0 };
}
