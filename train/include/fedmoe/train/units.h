/* Rows of a data set, and which of them belong to one unit of privacy: all that a sample needs. */
#ifndef FEDMOE_TRAIN_UNITS_H
#define FEDMOE_TRAIN_UNITS_H

#include "fedmoe/model/corpus.h"
#include "fedmoe/model/table.h"

/** Borrowed from a table or a corpus. */
typedef struct {
    size_t rows;  /* records of a table, sequences of a corpus */
    size_t units; /* of privacy */
    const size_t
        *unit_start; /* [units + 1] where each unit's rows begin; NULL: each row is a unit */
    const uint32_t *unit_rows; /* [rows] rows unit by unit; NULL: in their own order */
} fm_train_units;

static inline fm_train_units fm_train_units_of_table(const fm_table *t)
{
    return t->unit_start ? (fm_train_units){ t->rows, t->units, t->unit_start, t->unit_rows }
                         : (fm_train_units){ t->rows, t->rows, NULL, NULL };
}

static inline fm_train_units fm_train_units_of_corpus(const fm_corpus *c)
{
    return c->unit_start ? (fm_train_units){ c->sequences, c->units, c->unit_start, NULL }
                         : (fm_train_units){ c->sequences, c->sequences, NULL, NULL };
}

/** The i-th row of unit u of those that have a unit_start. */
static inline uint32_t fm_train_unit_row(const fm_train_units *u, size_t unit, size_t i)
{
    const size_t at = u->unit_start[unit] + i;

    return u->unit_rows ? u->unit_rows[at] : (uint32_t)at;
}

#endif
