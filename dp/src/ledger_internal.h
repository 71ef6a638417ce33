/* The ledger's handle and the pieces that the ledger*.c files share. */
#ifndef FEDMOE_DP_LEDGER_INTERNAL_H
#define FEDMOE_DP_LEDGER_INTERNAL_H

#include <sqlite3.h>

#include "fedmoe/dp/ledger.h"

#define FM_LEDGER_APPLICATION_ID 0x464d4c47 /* "FMLG" */
#define FM_LEDGER_VERSION 2
#define FM_LEDGER_BUSY_MS 10000
#define FM_LEDGER_MAX_COUNT ((uint64_t)1 << 32) /* releases in one entry */
#define FM_LEDGER_UNIT_RECORD "record"

/* What one data set has spent. */
typedef struct {
    char data_set[64];
    int64_t version; /* PRAGMA data_version under which it was read */
    fm_dp_account *account;
    bool valid;
} fm_ledger_cache;

struct fm_ledger {
    sqlite3 *db;
    char *path;
    fm_ledger_cache cache;
};

/** Behind what SQLite says of a damaged file. */
#define FM_LEDGER_RESTORE \
    "; restore it and the node's journal (state.db) together, from the same backup"
/** The failure of `what` with SQLite's result code and words: "PATH: cannot WHAT: ...".
 *  Looks at errno: every transaction begins with fm_ledger_exec, which clears it. */
fm_status fm_ledger_fail(const fm_ledger *l, int rc, const char *what);

/** Run SQL without results. */
FM_NODISCARD fm_status fm_ledger_exec(fm_ledger *l, const char *sql, const char *what);
/** End the open transaction, if one is open: one that failed on commit may or may not be. */
void fm_ledger_rollback(fm_ledger *l);
/** One integer from a query of one row. */
FM_NODISCARD fm_status fm_ledger_int(fm_ledger *l, const char *sql, int64_t *out);

/** The hash of a row that follows one with hash `before` (zero for the first). */
fm_hash fm_ledger_row_hash(const fm_ledger_row *row, const fm_hash *before);

/** Copy an entry's fields into a row of format 2; sequence, time, salt and hash are left zero. */
void fm_ledger_row_from_entry(const fm_ledger_entry *e, fm_ledger_row *row);
/** Whether `row` comes next after `entries` entries, the last with hash `before`. */
FM_NODISCARD fm_status fm_ledger_row_follows(const char *path, const fm_ledger_row *row,
                                             uint64_t entries, const fm_hash *before);

/** Names, unit and mechanism within their ranges; FM_EINVAL. */
FM_NODISCARD fm_status fm_ledger_check_entry(const fm_ledger_entry *e);
/** Insert as it is, in the open transaction. */
FM_NODISCARD fm_status fm_ledger_insert(fm_ledger *l, const fm_ledger_row *r);
/** FM_EPERM when the data set's book counts another unit, as the open transaction sees it. */
FM_NODISCARD fm_status fm_ledger_same_unit(fm_ledger *l, const char *data_set, const char *unit);
/** Chain, triggers, index: fm_ledger_verify within the open transaction. */
FM_NODISCARD fm_status fm_ledger_verify_open(fm_ledger *l, uint64_t *entries);

/** Bring the cache to `data_set` as the open transaction sees it. */
FM_NODISCARD fm_status fm_ledger_cache_load(fm_ledger *l, const char *data_set);
/** Add one mechanism to the loaded data set; read again next time if that fails. */
void fm_ledger_cache_add(fm_ledger_cache *c, const fm_dp_mechanism *m);
void fm_ledger_cache_fini(fm_ledger_cache *c);
/** Epsilon of the loaded data set, with `more` unless NULL. */
FM_NODISCARD fm_status fm_ledger_cache_epsilon(const fm_ledger_cache *c,
                                               const fm_dp_mechanism *more, double delta,
                                               double *epsilon);
/** Whether the loaded data set stays within the budget with `more`. */
FM_NODISCARD fm_status fm_ledger_cache_within(const fm_ledger_cache *c, const fm_dp_mechanism *more,
                                              const fm_ledger_budget *budget, bool *within);

#endif
