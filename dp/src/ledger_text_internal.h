/* The columns of an export: one table for writing and reading, JSON and CSV. */
#ifndef FEDMOE_DP_LEDGER_TEXT_INTERNAL_H
#define FEDMOE_DP_LEDGER_TEXT_INTERNAL_H

#include "fedmoe/dp/ledger_text.h"

#define FM_LEDGER_COLUMNS 16
#define FM_LEDGER_EXPORT_FORMAT "fedmoe ledger export 1"

typedef enum {
    COLUMN_TEXT,
    COLUMN_U64,
    COLUMN_I64,
    COLUMN_U32,
    COLUMN_REAL,
    COLUMN_HEX,
    COLUMN_KIND
} fm_column_type;

typedef struct {
    const char *name;
    fm_column_type type;
    size_t offset, size; /* in fm_ledger_row */
} fm_ledger_column;

extern const fm_ledger_column fm_ledger_columns[FM_LEDGER_COLUMNS];

/** Longest text of a value that is no COLUMN_TEXT, with its NUL. */
#define FM_LEDGER_VALUE_CAP 80

/** The value as text; `room` holds it when it is no COLUMN_TEXT. */
const char *fm_ledger_value(const fm_ledger_column *c, const fm_ledger_row *row,
                            char room[FM_LEDGER_VALUE_CAP]);
/** False when the text is none for the column. */
bool fm_ledger_set_value(const fm_ledger_column *c, fm_ledger_row *row, const char *text);

#endif
