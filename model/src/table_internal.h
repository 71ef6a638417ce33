#ifndef FEDMOE_MODEL_TABLE_INTERNAL_H
#define FEDMOE_MODEL_TABLE_INTERNAL_H

#include "fedmoe/model/table.h"
#include "schema_internal.h"

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

/*
 * Whose record is whose (table_unit.c). Keys are kept as 16 bytes of their digest, which makes the
 * memory a function of the number of units: 24 to 96 bytes each. Two keys that met there would be
 * one unit: the safe mistake, of probability units^2 / 2^129.
 */
typedef struct {
    fm_arena *memory; /* wiped when freed; NULL at first */
    struct fm_unit_slot *slots;
    size_t cap;   /* a power of two; at least twice count */
    size_t count; /* units */
} fm_unit_index;

/** Number of the unit of this key: its own, or the next one. FM_ENOMEM. */
FM_NODISCARD fm_status fm_unit_index_number(fm_unit_index *x, const char *key, size_t len,
                                            uint32_t *out);
void fm_unit_index_fini(fm_unit_index *x);
/** Fill in t's grouping. @param unit_of [t->rows], all below `units`, which is above 0. */
FM_NODISCARD fm_status fm_table_group(fm_table *t, const uint32_t *unit_of, size_t units);
/* table_raw.c: the columns of fm_table_options.raw, found in the schema. */
typedef struct fm_raw fm_raw;
FM_NODISCARD fm_status fm_raw_open(const fm_schema *s, const fm_raw_column *columns, size_t count,
                                   fm_raw **out);
void fm_raw_close(fm_raw **r);
bool fm_raw_wants(const fm_raw *r, size_t column);
/** One record; out: [count]. FM_EPARSE, *column being the schema's at fault. */
FM_NODISCARD fm_status fm_raw_read(const fm_raw *r, const char *const *cells, double *out,
                                   size_t *column);

#endif
