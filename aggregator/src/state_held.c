/* What was known of units held out after each finished round: a curve, which the state itself is none of. */
#include <errno.h>
#include <math.h>

#include "state_internal.h"

static fm_status db_fail(sqlite3 *db, const char *what)
{
    const char *advice = fm_db_advice(db, errno);

    return fm_fail(FM_EIO, "state.db: %s: %s%s", what, sqlite3_errmsg(db), advice);
}

fm_state_held fm_state_held_of(const fm_optimizer *o)
{
    fm_state_held h = { fm_optimizer_held_loss(o), { NAN, NAN } };

    (void)fm_optimizer_held_auc(o, &h.auc);
    return h;
}

/* SQLite has NULL for what is no number. */
static int bind(sqlite3_stmt *q, int at, double value)
{
    return isnan(value) ? sqlite3_bind_null(q, at) : sqlite3_bind_double(q, at, value);
}

static double column(sqlite3_stmt *q, int at)
{
    return sqlite3_column_type(q, at) == SQLITE_NULL ? NAN : sqlite3_column_double(q, at);
}

fm_status fm_state_held_write(sqlite3 *db, uint64_t round, const fm_state_held *h)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;

    if (isnan(h->loss))
        return FM_OK;
    if (sqlite3_prepare_v2(db, "INSERT INTO held VALUES(?, ?, ?, ?)", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(q, 1, (sqlite3_int64)round) != SQLITE_OK ||
        bind(q, 2, h->loss) != SQLITE_OK || bind(q, 3, h->auc.value) != SQLITE_OK ||
        bind(q, 4, h->auc.deviation) != SQLITE_OK || sqlite3_step(q) != SQLITE_DONE)
        st = db_fail(db, "the loss of units held out cannot be written");
    (void)sqlite3_finalize(q);
    return st;
}

fm_status fm_state_held_read(sqlite3 *db, uint64_t round, fm_state_held *out)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = SQLITE_ERROR;

    *out = (fm_state_held){ NAN, { NAN, NAN } };
    if (sqlite3_prepare_v2(db, "SELECT loss, auc, deviation FROM held WHERE round = ?", -1, &q,
                           NULL) == SQLITE_OK &&
        sqlite3_bind_int64(q, 1, (sqlite3_int64)round) == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *out = (fm_state_held){ column(q, 0), { column(q, 1), column(q, 2) } };
    else if (rc != SQLITE_DONE)
        st = db_fail(db, "the loss of units held out cannot be read");
    (void)sqlite3_finalize(q);
    return st;
}
