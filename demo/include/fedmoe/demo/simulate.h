/*
 * A federation within one process, without network: the same local step, noise shares, masks,
 * sum and optimizer as between real nodes. For benchmarks, and for the demonstration's "trained
 * alone" column. Keeps no ledger: what it trains on is charged to nobody.
 */
#ifndef FEDMOE_DEMO_SIMULATE_H
#define FEDMOE_DEMO_SIMULATE_H

#include "fedmoe/base/random.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/model/table.h"
#include "fedmoe/proto/plan.h"

typedef struct {
    const fm_plan *plan;    /* max_nodes = nodes */
    const float *initial;   /* float32[parameters] */
    const fm_table *tables; /* [nodes] */
    uint32_t nodes;
    fm_rng rng; /* fm_rng_system() but in seeded benchmarks */
} fm_simulation;

/** Run all rounds of the plan. @param result out, float32[parameters]. */
FM_NODISCARD fm_status fm_simulate(const fm_simulation *s, float *result);

/** Metrics of weights (with the plan's model and schema) on records. */
FM_NODISCARD fm_status fm_simulation_evaluate(const fm_plan *plan, const float *weights,
                                              const fm_table *test, fm_metrics *out);

/**
 * Train on one hospital's records alone, at the plan's epsilon and delta, rounds and rate; all
 * noise is its own. `plan` is the federation's.
 */
FM_NODISCARD fm_status fm_simulate_alone(const fm_plan *plan, const float *initial,
                                         const fm_table *table, fm_rng rng, float *result);

#endif
