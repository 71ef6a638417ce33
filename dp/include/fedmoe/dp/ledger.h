/*
 * A node's own book of what its data set has spent: SQLite, WAL, synced, append-only and
 * hash-chained; adds up over every federation that ever used the data set. Mode 0600. The file and
 * its chain byte by byte: docs/ledger.md.
 *
 * A data set's book counts one privacy unit. What was spent per record does not bound what was
 * spent per patient (one patient may be in many records), and what was spent per patient bounds
 * that a whole patient is added or removed, not that one of its records changes.
 */
#ifndef FEDMOE_DP_LEDGER_H
#define FEDMOE_DP_LEDGER_H

#include <stdbool.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/dp/accountant.h"

/** One caller at a time; any number of processes. Do not carry an open one across fork. */
typedef struct fm_ledger fm_ledger;

/**
 * Open or create; FM_EPERM when wider than 0600; FM_EPROTO when it is no ledger of ours. A file of
 * version 1 becomes one of version 2, in one transaction; its entries stay as they are.
 */
FM_NODISCARD fm_status fm_ledger_open(const char *path, fm_ledger **out);
/** For reading only, version 1 or 2, nothing is changed; FM_ENOTFOUND. */
FM_NODISCARD fm_status fm_ledger_open_readonly(const char *path, fm_ledger **out);
void fm_ledger_close(fm_ledger **l);

typedef struct {
    double epsilon;
    double delta;
} fm_ledger_budget;

typedef struct {
    const char *data_set;   /* the node's name for its records, 1..63 bytes */
    const char *federation; /* 1..63 bytes */
    const char *purpose;    /* 1..255 bytes: "training heart-disease" */
    fm_hash plan;
    uint64_t round;
    fm_dp_mechanism mechanism; /* count is 1 for a round, or its local steps */
    const char *unit;          /* the privacy unit: a column, 1..63 bytes; NULL: "record" */
} fm_ledger_entry;

/**
 * What the data set would have spent with `more` added (NULL: as it stands), at delta.
 */
FM_NODISCARD fm_status fm_ledger_epsilon(fm_ledger *l, const char *data_set,
                                         const fm_dp_mechanism *more, double delta,
                                         double *epsilon);

/**
 * Refuse before anything is computed: FM_EBUDGET when the entry would pass the budget
 * (the text says spent, price and budget); FM_EPERM when the data set's book counts another unit;
 * FM_EREPLAY as fm_ledger_charge. Writes nothing.
 */
FM_NODISCARD fm_status fm_ledger_check(fm_ledger *l, const fm_ledger_entry *e,
                                       const fm_ledger_budget *budget);

/**
 * Check again, append, sync: when this returns FM_OK the spend survives a power cut.
 * The same (data set, federation, round, plan) twice is FM_EREPLAY.
 */
FM_NODISCARD fm_status fm_ledger_charge(fm_ledger *l, const fm_ledger_entry *e,
                                        const fm_ledger_budget *budget);

/** FM_EPERM when the data set's book counts another unit than this one (NULL: "record"). */
FM_NODISCARD fm_status fm_ledger_check_unit(fm_ledger *l, const char *data_set, const char *unit);

#define FM_LEDGER_SALT_BYTES 16u

typedef struct {
    uint64_t sequence; /* from 1 */
    int64_t wall_s;
    char data_set[64], federation[64], purpose[256];
    fm_hash plan;
    uint64_t round;
    fm_dp_mechanism mechanism;
    char unit[64];
    uint32_t format; /* of the entry: 1 (no kind, sensitivity, unit or salt) or 2 */
    /* Random: whoever holds the hash, but not the entry, cannot find the entry by trying. */
    uint8_t salt[FM_LEDGER_SALT_BYTES];
    fm_hash hash; /* of this entry and the hash before it */
} fm_ledger_row;

/** Call `each` for every row in order; stops early when it returns other than FM_OK. */
FM_NODISCARD fm_status fm_ledger_walk(fm_ledger *l,
                                      fm_status (*each)(void *ctx, const fm_ledger_row *row),
                                      void *ctx);

/** Recompute the hash chain; FM_EPROTO names the first entry that does not fit. */
FM_NODISCARD fm_status fm_ledger_verify(fm_ledger *l, uint64_t *entries);

/** Hash of the last entry; zero when there is none. */
FM_NODISCARD fm_status fm_ledger_head(fm_ledger *l, fm_hash *head);
/** Whether some entry has this hash: the book is no older than when that was the last one. */
FM_NODISCARD fm_status fm_ledger_contains(fm_ledger *l, const fm_hash *head, bool *found);

/**
 * Add the entries that this ledger lacks, in one transaction, synced: all of them or none.
 *
 * @param rows   in order; those that the ledger has must be the same there, the others continue
 *               its chain. No budget is asked: they are spent already.
 * @param added  out: entries that were new.
 * @return FM_OK; FM_EPROTO a gap, an altered entry, another history (a fork), a value out of range
 *         or a data set of two units, naming the entry; FM_EIO; FM_ETIMEOUT. Nothing is changed
 *         then.
 */
FM_NODISCARD fm_status fm_ledger_import(fm_ledger *l, const fm_ledger_row *rows, size_t count,
                                        uint64_t *added);

#endif
