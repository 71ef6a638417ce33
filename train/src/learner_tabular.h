/* One thread's object of a table's learner. All of it but the weights is of records: wiped by forget. */
#ifndef FEDMOE_TRAIN_LEARNER_TABULAR_H
#define FEDMOE_TRAIN_LEARNER_TABULAR_H

#include "fedmoe/model/table.h"
#include "fedmoe/model/tabular.h"

typedef struct {
    fm_tabular *model;
    size_t batch, features;
    /* Where the table is in a scratch file: rows of one batch. Else NULL. */
    fm_table_reader *reader;
    float *x, *y;    /* [batch, features], [batch] */
    uint32_t *order; /* [batch] 0, 1, 2, ... */
} fm_train_records;

#endif
