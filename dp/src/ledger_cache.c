/* What a data set has spent: its entries summed per kind of release, and their price. */
#include "ledger_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"

void fm_ledger_cache_fini(fm_ledger_cache *c)
{
    free(c->groups);
    *c = (fm_ledger_cache){ 0 };
}

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* Room for one group more than there are. */
static fm_status reserve(fm_ledger_cache *c)
{
    size_t cap = c->cap ? 2 * c->cap : 16, bytes;
    fm_dp_mechanism *p;
    fm_status st;

    if (c->count + 1 < c->cap)
        return FM_OK;
    if ((st = fm_mul_size(cap, sizeof *p, &bytes)) != FM_OK)
        return st;
    if (!(p = realloc(c->groups, bytes)))
        return fm_fail(FM_ENOMEM, "ledger: no memory for %zu kinds of release", cap);
    c->groups = p;
    c->cap = cap;
    return FM_OK;
}

void fm_ledger_cache_add(fm_ledger_cache *c, const fm_dp_mechanism *m)
{
    for (size_t i = 0; i < c->count; i++)
        if (bits_of(c->groups[i].noise_multiplier) == bits_of(m->noise_multiplier) &&
            bits_of(c->groups[i].sampling_rate) == bits_of(m->sampling_rate) &&
            c->groups[i].kind == m->kind && c->groups[i].sensitivity == m->sensitivity) {
            c->groups[i].count += m->count;
            return;
        }
    if (c->count < c->cap)
        c->groups[c->count++] = *m;
    c->valid = c->count < c->cap; /* full: read again, which reserves */
}

static fm_status read_groups(fm_ledger *l, const char *data_set)
{
    fm_ledger_cache *c = &l->cache;
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc = sqlite3_prepare_v2(l->db,
                                "SELECT noise_multiplier, sampling_rate, sum(count), kind,"
                                " sensitivity FROM entry WHERE data_set = ?1 GROUP BY 1, 2, 4, 5",
                                -1, &q, NULL);

    c->count = 0;
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, data_set, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = SQLITE_ROW;
    while (rc == SQLITE_ROW && (st = reserve(c)) == FM_OK) {
        if ((rc = sqlite3_step(q)) != SQLITE_ROW)
            break;
        c->groups[c->count++] = (fm_dp_mechanism){
            .noise_multiplier = sqlite3_column_double(q, 0),
            .sampling_rate = sqlite3_column_double(q, 1),
            .count = (uint64_t)sqlite3_column_int64(q, 2),
            .kind = (fm_dp_mechanism_kind)sqlite3_column_int(q, 3),
            .sensitivity = (uint32_t)sqlite3_column_int64(q, 4),
        };
    }
    if (st == FM_OK && rc != SQLITE_DONE)
        st = fm_ledger_fail(l, rc, "read");
    sqlite3_finalize(q);
    return st;
}

fm_status fm_ledger_cache_load(fm_ledger *l, const char *data_set)
{
    fm_ledger_cache *c = &l->cache;
    int64_t version = 0;
    /* Changes when any other connection wrote; own writes go through fm_ledger_cache_add. */
    fm_status st = fm_ledger_int(l, "PRAGMA data_version", &version);

    if (st != FM_OK)
        return st;
    if (c->valid && c->version == version && strcmp(c->data_set, data_set) == 0)
        return FM_OK;
    c->valid = false;
    if ((st = read_groups(l, data_set)) != FM_OK)
        return st;
    (void)snprintf(c->data_set, sizeof c->data_set, "%s", data_set);
    c->version = version;
    c->valid = true;
    return FM_OK;
}

fm_status fm_ledger_cache_epsilon(const fm_ledger_cache *c, const fm_dp_mechanism *more,
                                  double delta, double *epsilon)
{
    size_t count = c->count;

    if (more) /* the free place at the end is not part of the cache's content */
        c->groups[count++] = *more;
    return fm_dp_epsilon(c->groups, count, delta, epsilon);
}
