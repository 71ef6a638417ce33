/* A round of local steps: noised sums, the node's own model between them, and what is sent of them. */
#ifndef FEDMOE_NODE_STEP_LOCAL_H
#define FEDMOE_NODE_STEP_LOCAL_H

#include "fedmoe/node/step.h"

typedef struct fm_node_local fm_node_local;

/** Of a plan with local steps; FM_EINVAL, FM_ENOMEM. */
FM_NODISCARD fm_status fm_node_local_new(const fm_plan *plan, const fm_dp_lattice *lattice,
                                         fm_node_local **out);
void fm_node_local_free(fm_node_local **l); /* wipes */

/** All steps of a round. @param dropped  out: as fm_dp_sum_units_dropped, of all steps. */
FM_NODISCARD fm_status fm_node_local_run(fm_node_local *l, fm_train_step *train,
                                         const fm_dp_shares *shares, const fm_node_step_input *in,
                                         size_t *dropped, fm_dp_release **out);

/** As fm_node_step_mean and fm_node_step_moved. */
const float *fm_node_local_mean(const fm_node_local *l);
const float *fm_node_local_moved(const fm_node_local *l);

#endif
