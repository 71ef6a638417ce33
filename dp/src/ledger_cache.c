/* What a data set has spent: its entries summed per kind of release, and their price. */
#include "ledger_internal.h"

#include <stdio.h>
#include <string.h>

void fm_ledger_cache_fini(fm_ledger_cache *c)
{
    fm_dp_account_free(&c->account);
    *c = (fm_ledger_cache){ 0 };
}

void fm_ledger_cache_add(fm_ledger_cache *c, const fm_dp_mechanism *m)
{
    c->valid = c->valid && fm_dp_account_add(c->account, m) == FM_OK;
}

static fm_status read_groups(fm_ledger *l, const char *data_set)
{
    fm_ledger_cache *c = &l->cache;
    sqlite3_stmt *q = NULL;
    fm_status st;
    int rc;

    fm_dp_account_free(&c->account);
    if ((st = fm_dp_account_new(&c->account)) != FM_OK)
        return st;
    rc = sqlite3_prepare_v2(l->db,
                            "SELECT noise_multiplier, sampling_rate, sum(count), kind, sensitivity"
                            " FROM entry WHERE data_set = ?1 GROUP BY 1, 2, 4, 5",
                            -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, data_set, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = SQLITE_ROW;
    while (st == FM_OK && rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW)
        st = fm_dp_account_add(c->account,
                               &(fm_dp_mechanism){
                                   .noise_multiplier = sqlite3_column_double(q, 0),
                                   .sampling_rate = sqlite3_column_double(q, 1),
                                   .count = (uint64_t)sqlite3_column_int64(q, 2),
                                   .kind = (fm_dp_mechanism_kind)sqlite3_column_int(q, 3),
                                   .sensitivity = (uint32_t)sqlite3_column_int64(q, 4),
                               });
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
    fm_dp_cost cost = { 0 };
    fm_status st = fm_dp_account_epsilon(c->account, more, delta, &cost);

    if (st == FM_OK)
        *epsilon = cost.epsilon;
    return st;
}

fm_status fm_ledger_cache_within(const fm_ledger_cache *c, const fm_dp_mechanism *more,
                                 const fm_ledger_budget *budget, bool *within)
{
    return fm_dp_account_within(c->account, more, budget->epsilon, budget->delta, within);
}
