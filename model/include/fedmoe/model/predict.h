/*
 * A model on a file of records: CSV in, CSV out, in the records' order, in memory that does not
 * depend on how many they are.
 *
 * Columns of the output, in this order: the identifier column when one is asked for, under its own
 * name; `line`, where the record starts in the input, when asked for; then
 *   binary label:   probability  (of the positive label); with `lines`, logit before it
 *   several classes: class, then probability_NAME of each class
 *   number:         prediction, in the label's unit
 */
#ifndef FEDMOE_MODEL_PREDICT_H
#define FEDMOE_MODEL_PREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"
#include "fedmoe/model/dialect.h"

typedef struct {
    const char *model;  /* safetensors, with its schema */
    const char *input;  /* CSV; the label column may be absent */
    const char *output; /* written whole or not at all, mode 0600; NULL: standard output, as far as
                           it goes: after an error it is incomplete */
    bool force;         /* replace the output if it is there; never one of the inputs */
    const char *id;     /* NULL, or a column to pass through: any of the header, or without a header
                           one of the schema's */
    bool lines;         /* the column `line`, and logits */
    size_t threads;     /* 0: fm_threads_available(), at most FM_PREDICT_MAX_THREADS */
    const fm_dialect *dialect; /* of the input; NULL: as the schema says. With one, one thread */
} fm_predict_options;

#define FM_PREDICT_MAX_THREADS ((size_t)64)

/**
 * The same bytes for any number of threads. Problems of the records are collected as fm_table_load
 * does.
 * @param rows out: how many records there were; or NULL.
 * @return FM_OK; before anything is read, what fm_file_check_output says of the output; what
 *         fm_tabular_load and fm_table_load return; FM_ENONFINITE when a prediction is
 *         no finite number; FM_EIO.
 */
FM_NODISCARD fm_status fm_predict_file(const fm_predict_options *o, uint64_t *rows);

#endif
