/* Who takes part in a round: a Poisson sample of privacy units, and each one's rows. */
#ifndef FEDMOE_TRAIN_SAMPLE_H
#define FEDMOE_TRAIN_SAMPLE_H

#include "fedmoe/base/random.h"
#include "fedmoe/train/units.h"

/** Which units are never trained on, but judge the model: each by a coin of its own, the same in
 *  every sample of one seed. */
typedef struct {
    double share;     /* [0, 0.5] of the units, expected */
    uint8_t seed[16]; /* of the coins: secret, random, and independent of the data */
} fm_train_held;

/** The rows of a sample, unit by unit, those of a unit in the file's order; the units that are held
 *  out last. */
typedef struct {
    fm_train_units all; /* borrowed */
    double rate;
    size_t unit_rows; /* most rows of one unit */
    uint32_t *rows;   /* [count] row numbers, owned */
    size_t count;
    uint32_t *ends; /* [units] where in rows each unit ends, owned; NULL when each row is a unit */
    size_t units;   /* sampled */
    size_t trained; /* the first of them: the others are held out */
} fm_train_sample;

/** @param rate in (0, 1]; @param unit_rows at least 1. FM_ENOMEM. */
FM_NODISCARD fm_status fm_train_sample_init(fm_train_sample *s, const fm_train_units *all,
                                            double rate, size_t unit_rows);
/**
 * A fresh sample: each unit alone with probability floor(rate 2^53) / 2^53; of a unit with more
 * than unit_rows rows so many, all choices equally likely, drawn anew each time. What is drawn for
 * one unit depends on no other unit's rows. Never allocates.
 * @param held  NULL: nobody is held out.
 */
void fm_train_sample_draw(fm_train_sample *s, const fm_train_held *held, fm_rng *rng);
/** Wipes who takes part: there is no sample until the next draw. */
void fm_train_sample_forget(fm_train_sample *s);
/** Wipes and frees; NULL-safe, and safe on a zeroed sample. */
void fm_train_sample_fini(fm_train_sample *s);

#endif
