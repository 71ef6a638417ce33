/* One party's made-up records, and steps on them. */
#ifndef FEDMOE_TESTS_TRAIN_RIG_H
#define FEDMOE_TESTS_TRAIN_RIG_H

#include "fedmoe/dp/mask.h"
#include "fedmoe/train/step.h"

#define RIG_EXPERTS 4u
#define RIG_BLOCKS 2u

typedef struct {
    fm_schema *schema;
    fm_tabular_config model;
    fm_table table;
    fm_dp_lattice lattice;
    fm_train_step_spec spec; /* of the above; may be changed before rig_step */
    size_t parameters, length;
    float *state; /* [parameters + tail]: no weight is zero, the tail is */
} rig;

void need(bool ok, const char *what);
/** @param rows  of records; @param unit  rows of one unit at most (they are of 1 to so many), 1: each
 *  record is a unit. @param tail  load biases and clip norm. */
void rig_open(rig *r, size_t rows, size_t unit, fm_dp_encoding encoding, bool tail);
/** From here on the model has a center, the state a phase, 0: the next run is the statistics round. */
void rig_start(rig *r);
/** The same records once more, in a scratch file. @param rows, unit as before. */
void rig_spill(rig *r, size_t rows, size_t unit);
void rig_close(rig *r);
fm_train_step *rig_step(const rig *r, unsigned threads);
/** One run by a seeded sample: the sum before noise, int64[length], owned by the caller. */
int64_t *rig_sum(const rig *r, fm_train_step *s, uint64_t seed, size_t *dropped);
/** Privacy units of the table. */
size_t rig_units(const rig *r);

#endif
