/* One node whose rows belong to units, and what its sums ought to be. */
#ifndef FEDMOE_TESTS_NODE_UNIT_RIG_H
#define FEDMOE_TESTS_NODE_UNIT_RIG_H

#include "fedmoe/node/step.h"

typedef struct {
    fm_schema *schema;
    fm_buf csv;
    fm_table table;
    fm_plan plan;
    fm_dp_keypair *keypair;
    fm_dp_pairs *pairs;
    fm_dp_round round;
    float *model;
} unit_rig;

/** Of the plans that are opened from now on; EXACT at first. */
extern fm_encoding unit_rig_encoding;
/** A plan whose unit is the column who; no rows yet. */
void unit_rig_open(unit_rig *r);
/** Another plan: a linear model, and the next round is the statistics round. */
void unit_rig_start(unit_rig *r);
void unit_rig_close(unit_rig *r);
/** One row of a unit; what it says is a function of `seed` alone. */
void unit_rig_visit(unit_rig *r, unsigned who, unsigned seed);
/** Read the rows anew. @param unit a column, or NULL. */
void unit_rig_load(unit_rig *r, const char *unit);

fm_node_step *unit_rig_step(const unit_rig *r);
/** One step: the sum before noise, borrowed from `s`. */
const int32_t *unit_rig_run(const unit_rig *r, fm_node_step *s, fm_rng *rng);
/** The sum of one step over the table as it is; owned by the caller. */
int32_t *unit_rig_sum(const unit_rig *r, size_t *dropped);

/** Zeros, int32[parameters], owned by the caller. */
int32_t *unit_rig_integers(const unit_rig *r);
/**
 * The reference, another way: each row alone through the model, the rows of one unit added up in
 * the file's order, the sum encoded. FAST: a step over a table of nothing but these rows. @param out
 * has the unit's integers added; nothing when it is not finite.
 */
void unit_rig_reference(const unit_rig *r, const uint32_t *rows, size_t count, int32_t *out);
/** In gradient units: the gradient of these rows, clipped in double. out: double[parameters]. */
void unit_rig_clipped(const unit_rig *r, const uint32_t *rows, size_t count, double *out);
/** The same as the reference for all rows of a unit. */
void unit_rig_unit(const unit_rig *r, size_t unit, int32_t *out);

bool unit_rig_same(const unit_rig *r, const int32_t *a, const int32_t *b);
/** Sum of squares of a - b (NULL: of a). */
double unit_rig_square_distance(const unit_rig *r, const int32_t *a, const int32_t *b);
double unit_rig_square_sensitivity(const unit_rig *r);

#endif
