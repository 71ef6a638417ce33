/*
 * An audit of this node's own training step: the real records, the real model, sampling, clipping,
 * encoding, noise and masks of a plan, with canaries among the records (dp/audit.h). It runs on
 * this machine alone: the node is the only one, and all of the plan's noise is its own.
 */
#ifndef FEDMOE_NODE_AUDIT_H
#define FEDMOE_NODE_AUDIT_H

#include "fedmoe/dp/audit.h"
#include "fedmoe/model/table.h"
#include "fedmoe/proto/plan.h"

typedef struct {
    /** Read are: the texts, parameters, privacy_unit, max_unit_rows, clip_norm, sampling_rate,
     *  noise_multiplier (> 0), rounds, delta. Borrowed, as the table is. */
    const fm_plan *plan;
    const fm_table *table;
    uint32_t canaries;    /* at most the plan's parameters */
    double learning_rate; /* of plain gradient descent between the rounds; >= 0 */
    fm_rng *rng;          /* first weights too; fm_rng_system() outside of tests */
    void (*progress)(void *ctx, uint64_t done); /* NULL, or called with the rounds that are done */
    void *progress_ctx;
} fm_node_audit;

/**
 * Train for the plan's rounds. Nothing is sent, nothing is charged, no journal is kept; what comes
 * out holds nothing of the records: in each round their part is taken off the sum exactly.
 * @param out  fm_dp_observations_fini. On error unchanged.
 * @return FM_OK; as fm_node_step_new; FM_ENONFINITE when the weights ran away.
 */
FM_NODISCARD fm_status fm_node_audit_run(const fm_node_audit *a, fm_dp_observations *out);

#endif
