#ifndef FEDMOE_MODEL_TABLE_INTERNAL_H
#define FEDMOE_MODEL_TABLE_INTERNAL_H

#include "fedmoe/model/table.h"

/* One record of a CSV file, as long as the callback runs. */
typedef struct {
    const char *const *cells; /* NUL-terminated */
    size_t count;
    size_t line; /* where it starts, 1-based */
} fm_csv_record;

/** @return FM_OK to go on; anything else ends the reading and is its result. */
typedef fm_status (*fm_csv_fn)(void *state, const fm_csv_record *r);

/**
 * All records in order; blank lines are skipped, as is a byte order mark.
 * @param bytes  NUL-terminated one past len.
 * @return FM_OK; FM_EPARSE, the text "name:line: ..."; FM_ENOMEM; what `each` returned.
 */
FM_NODISCARD fm_status fm_csv_read(const char *name, const void *bytes, size_t len, char delimiter,
                                   fm_csv_fn each, void *state);

#endif
