/* Asking and charging. Every charge is one IMMEDIATE transaction that reads the sum again. */
#include "ledger_internal.h"

#include <math.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"

static const char INSERT[] =
    "INSERT INTO entry(sequence, wall_s, data_set, federation, purpose, plan, round,"
    " noise_multiplier, sampling_rate, count, hash, kind, sensitivity, unit, format, salt)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
static const char FIND[] =
    "SELECT sequence FROM entry WHERE data_set = ?1 AND federation = ?2 AND round = ?3"
    " AND plan = ?4";

static fm_status check_name(const char *field, const char *s, size_t max)
{
    size_t len = s ? strlen(s) : 0;

    if (len == 0 || len > max)
        return fm_fail(FM_EINVAL, "ledger: %s must be 1 to %zu bytes long, it has %zu", field, max,
                       len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return fm_fail(FM_EINVAL, "ledger: %s contains a control character", field);
    return FM_OK;
}

static fm_status check_mechanism(const fm_dp_mechanism *m)
{
    if (!(m->noise_multiplier > 0.0 && isfinite(m->noise_multiplier)))
        return fm_fail(FM_EINVAL, "ledger: noise_multiplier is %g, must be finite and above 0",
                       m->noise_multiplier);
    if (!(m->sampling_rate > 0.0 && m->sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL, "ledger: sampling_rate is %g, must be above 0 and at most 1",
                       m->sampling_rate);
    if (m->count == 0 || m->count > FM_LEDGER_MAX_COUNT)
        return fm_fail(FM_EINVAL, "ledger: count is %llu, must be 1 to %llu",
                       (unsigned long long)m->count, (unsigned long long)FM_LEDGER_MAX_COUNT);
    if (m->kind != FM_DP_GAUSSIAN && m->kind != FM_DP_LAPLACE && m->kind != FM_DP_DISCRETE_GAUSSIAN)
        return fm_fail(FM_EINVAL, "ledger: the kind of mechanism, %d, is none that there is",
                       (int)m->kind);
    if ((m->kind == FM_DP_DISCRETE_GAUSSIAN) != (m->sensitivity > 0))
        return fm_fail(FM_EINVAL,
                       "ledger: sensitivity is %u: a discrete Gaussian has one, no other kind does",
                       m->sensitivity);
    return FM_OK;
}

static const char *unit_of(const char *unit)
{
    return unit ? unit : FM_LEDGER_UNIT_RECORD;
}

fm_status fm_ledger_check_entry(const fm_ledger_entry *e)
{
    fm_status st;

    if ((st = check_name("data_set", e->data_set, 63)) != FM_OK ||
        (st = check_name("federation", e->federation, 63)) != FM_OK ||
        (st = check_name("purpose", e->purpose, 255)) != FM_OK ||
        (st = check_name("unit", unit_of(e->unit), 63)) != FM_OK)
        return st;
    return check_mechanism(&e->mechanism);
}

static fm_status check_arguments(const fm_ledger_entry *e, const fm_ledger_budget *b)
{
    fm_status st;

    if (!e || !b)
        return fm_fail(FM_EINVAL, "ledger: no entry or no budget given");
    if ((st = fm_ledger_check_entry(e)) != FM_OK)
        return st;
    if (!(b->epsilon >= 0.0 && isfinite(b->epsilon)))
        return fm_fail(FM_EINVAL, "ledger: budget epsilon is %g, must be finite, at least 0",
                       b->epsilon);
    if (!(b->delta > 0.0 && b->delta < 1.0))
        return fm_fail(FM_EINVAL, "ledger: budget delta is %g, must be above 0 and below 1",
                       b->delta);
    return FM_OK;
}

/* FM_EREPLAY when the round is in the book already. */
static fm_status check_new(fm_ledger *l, const fm_ledger_entry *e)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(l->db, FIND, -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, e->data_set, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 2, e->federation, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 3, (int64_t)e->round);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(q, 4, e->plan.bytes, FM_HASH_BYTES, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        st = fm_fail(FM_EREPLAY,
                     "%s: data set '%s' was charged for round %llu of '%s' already (entry %lld)",
                     l->path, e->data_set, (unsigned long long)e->round, e->federation,
                     (long long)sqlite3_column_int64(q, 0));
    else if (rc != SQLITE_DONE)
        st = fm_ledger_fail(l, rc, "read");
    sqlite3_finalize(q);
    return st;
}

fm_status fm_ledger_same_unit(fm_ledger *l, const char *data_set, const char *unit)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(
        l->db, "SELECT unit FROM entry WHERE data_set = ?1 AND unit <> ?2 LIMIT 1", -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, data_set, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 2, unit_of(unit), -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        st =
            fm_fail(FM_EPERM,
                    "%s: data set '%s' is booked by the unit '%s', this would be by '%s': what was "
                    "spent on the one bounds nothing for the other; a data set keeps its unit",
                    l->path, data_set, (const char *)sqlite3_column_text(q, 0), unit_of(unit));
    else if (rc != SQLITE_DONE)
        st = fm_ledger_fail(l, rc, "read");
    sqlite3_finalize(q);
    return st;
}

/* New, and within the budget, as the open transaction sees the book. */
static fm_status check_affordable(fm_ledger *l, const fm_ledger_entry *e, const fm_ledger_budget *b)
{
    double before = 0.0, after = 0.0;
    bool within = false;
    fm_status st = check_new(l, e);

    if (st == FM_OK)
        st = fm_ledger_same_unit(l, e->data_set, e->unit);
    if (st == FM_OK)
        st = fm_ledger_cache_load(l, e->data_set);
    if (st == FM_OK)
        st = fm_ledger_cache_within(&l->cache, &e->mechanism, b, &within);
    if (st != FM_OK || within)
        return st;
    if ((st = fm_ledger_cache_epsilon(&l->cache, &e->mechanism, b->delta, &after)) != FM_OK ||
        (st = fm_ledger_cache_epsilon(&l->cache, NULL, b->delta, &before)) != FM_OK)
        return st;
    return fm_fail(FM_EBUDGET,
                   "data set '%s': epsilon %.4f is spent, round %llu of '%s' would cost %.4f more, "
                   "the budget is %.4f (at delta %g)",
                   e->data_set, before, (unsigned long long)e->round, e->federation, after - before,
                   b->epsilon, b->delta);
}

fm_status fm_ledger_epsilon(fm_ledger *l, const char *data_set, const fm_dp_mechanism *more,
                            double delta, double *epsilon)
{
    fm_status st;

    if (!l || !epsilon)
        return fm_fail(FM_EINVAL, "ledger: no ledger, or no place for epsilon");
    if ((st = check_name("data_set", data_set, 63)) != FM_OK ||
        (st = fm_ledger_exec(l, "BEGIN", "read")) != FM_OK)
        return st;
    st = fm_ledger_cache_load(l, data_set);
    fm_ledger_rollback(l);
    return st == FM_OK ? fm_ledger_cache_epsilon(&l->cache, more, delta, epsilon) : st;
}

fm_status fm_ledger_check_unit(fm_ledger *l, const char *data_set, const char *unit)
{
    fm_status st;

    if (!l)
        return fm_fail(FM_EINVAL, "ledger: none given");
    if ((st = check_name("data_set", data_set, 63)) != FM_OK ||
        (st = check_name("unit", unit_of(unit), 63)) != FM_OK)
        return st;
    return fm_ledger_same_unit(l, data_set, unit);
}

fm_status fm_ledger_check(fm_ledger *l, const fm_ledger_entry *e, const fm_ledger_budget *budget)
{
    fm_status st;

    if (!l)
        return fm_fail(FM_EINVAL, "ledger: none given");
    if ((st = check_arguments(e, budget)) != FM_OK ||
        (st = fm_ledger_exec(l, "BEGIN", "read")) != FM_OK)
        return st;
    st = check_affordable(l, e, budget);
    fm_ledger_rollback(l);
    return st;
}

/* Sequence and hash of the last entry. */
static fm_status read_head(fm_ledger *l, uint64_t *sequence, fm_hash *hash)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(
        l->db, "SELECT sequence, hash FROM entry ORDER BY sequence DESC LIMIT 1", -1, &q, NULL);

    *sequence = 0;
    *hash = (fm_hash){ 0 };
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW && sqlite3_column_bytes(q, 1) != FM_HASH_BYTES) {
        st = fm_fail(FM_EPROTO, "%s: the last entry has no hash", l->path);
    } else if (rc == SQLITE_ROW) {
        *sequence = (uint64_t)sqlite3_column_int64(q, 0);
        memcpy(hash->bytes, sqlite3_column_blob(q, 1), FM_HASH_BYTES);
    } else if (rc != SQLITE_DONE) {
        st = fm_ledger_fail(l, rc, "read");
    }
    sqlite3_finalize(q);
    return st;
}

fm_status fm_ledger_head(fm_ledger *l, fm_hash *head)
{
    uint64_t sequence = 0;
    fm_hash hash;
    fm_status st;

    if (!l || !head)
        return fm_fail(FM_EINVAL, "ledger: none given, or no place for its head");
    if ((st = read_head(l, &sequence, &hash)) == FM_OK)
        *head = hash;
    return st;
}

fm_status fm_ledger_insert(fm_ledger *l, const fm_ledger_row *r)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(l->db, INSERT, -1, &q, NULL), bad = 0;

    if (rc == SQLITE_OK) {
        bad |= sqlite3_bind_int64(q, 1, (int64_t)r->sequence);
        bad |= sqlite3_bind_int64(q, 2, r->wall_s);
        bad |= sqlite3_bind_text(q, 3, r->data_set, -1, SQLITE_STATIC);
        bad |= sqlite3_bind_text(q, 4, r->federation, -1, SQLITE_STATIC);
        bad |= sqlite3_bind_text(q, 5, r->purpose, -1, SQLITE_STATIC);
        bad |= sqlite3_bind_blob(q, 6, r->plan.bytes, FM_HASH_BYTES, SQLITE_STATIC);
        bad |= sqlite3_bind_int64(q, 7, (int64_t)r->round);
        bad |= sqlite3_bind_double(q, 8, r->mechanism.noise_multiplier);
        bad |= sqlite3_bind_double(q, 9, r->mechanism.sampling_rate);
        bad |= sqlite3_bind_int64(q, 10, (int64_t)r->mechanism.count);
        bad |= sqlite3_bind_blob(q, 11, r->hash.bytes, FM_HASH_BYTES, SQLITE_STATIC);
        bad |= sqlite3_bind_int64(q, 12, r->mechanism.kind);
        bad |= sqlite3_bind_int64(q, 13, r->mechanism.sensitivity);
        bad |= sqlite3_bind_text(q, 14, r->unit, -1, SQLITE_STATIC);
        bad |= sqlite3_bind_int64(q, 15, r->format);
        bad |= sqlite3_bind_blob(q, 16, r->salt, sizeof r->salt, SQLITE_STATIC);
        rc = bad ? SQLITE_NOMEM : sqlite3_step(q);
    }
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? FM_OK : fm_ledger_fail(l, rc, "write the entry");
}

static fm_status append(fm_ledger *l, const fm_ledger_entry *e)
{
    fm_ledger_row row;
    fm_hash before;
    fm_status st;

    fm_ledger_row_from_entry(e, &row);
    if ((st = read_head(l, &row.sequence, &before)) != FM_OK)
        return st;
    row.sequence++;
    fm_random_bytes(row.salt, sizeof row.salt);
    row.wall_s = fm_clock_wall_s(); /* for people: order is the sequence's, never the clock's */
    row.hash = fm_ledger_row_hash(&row, &before);
    if ((st = fm_ledger_insert(l, &row)) != FM_OK)
        return st;
    return fm_ledger_exec(l, "COMMIT", "sync the entry");
}

fm_status fm_ledger_charge(fm_ledger *l, const fm_ledger_entry *e, const fm_ledger_budget *budget)
{
    fm_status st;

    if (!l)
        return fm_fail(FM_EINVAL, "ledger: none given");
    /* IMMEDIATE: whoever else shares the data set waits here, then sees this entry. */
    if ((st = check_arguments(e, budget)) != FM_OK ||
        (st = fm_ledger_exec(l, "BEGIN IMMEDIATE", "lock")) != FM_OK)
        return st;
    st = check_affordable(l, e, budget);
    if (st == FM_OK)
        st = append(l, e);
    fm_ledger_rollback(l);
    if (st == FM_OK)
        fm_ledger_cache_add(&l->cache, &e->mechanism);
    else if (st != FM_EBUDGET && st != FM_EREPLAY && st != FM_EPERM)
        l->cache.valid = false;
    return st;
}
