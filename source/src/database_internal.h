/* What the kinds of databases have in common: rows become CSV in a buffer of one or more rows. */
#ifndef FEDMOE_SOURCE_DATABASE_INTERNAL_H
#define FEDMOE_SOURCE_DATABASE_INTERNAL_H

#include "fedmoe/source/database.h"

/* A record of a table may be so long: fedmoe/model/table.h has the same limit, and is the one that
 * names the line. */
#define FM_DATABASE_MOST_RECORD ((size_t)1 << 20)

typedef struct {
    /* The next row's cells into d->out, by fm_database_value and fm_database_null. @param got out:
     * false at the end. */
    fm_status (*next)(fm_database *d, bool *got);
    void (*close)(fm_database *d);
} fm_database_ops;

struct fm_database {
    const fm_database_ops *ops;
    void *state; /* of the kind */
    const char *name;
    char delimiter;
    char *missing; /* owned */
    fm_buf out;    /* rows that are written and not yet read: from `at` on */
    size_t at;
    uint64_t row;
    size_t cells; /* of the row at hand */
    bool ended;
};

FM_NODISCARD fm_status fm_database_new(const fm_database_ops *ops, const char *name,
                                       const fm_database_format *f, fm_database **out);
/* One cell of the row at hand. */
FM_NODISCARD fm_status fm_database_value(fm_database *d, const void *text, size_t len);
FM_NODISCARD fm_status fm_database_null(fm_database *d);
/* A long cell in pieces: begin, any number of pieces, end. */
FM_NODISCARD fm_status fm_database_begin(fm_database *d);
FM_NODISCARD fm_status fm_database_piece(fm_database *d, const void *text, size_t len);
FM_NODISCARD fm_status fm_database_end(fm_database *d);
/* The row is whole. */
FM_NODISCARD fm_status fm_database_end_row(fm_database *d);

#endif
