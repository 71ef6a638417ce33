/*
 * A node's part of a round: the private sum over its records (train/step.h), noise, masks. A query:
 * the same, with what each unit adds to the answer (step_query.c) instead of a gradient.
 */
#ifndef FEDMOE_NODE_STEP_H
#define FEDMOE_NODE_STEP_H

#include "fedmoe/dp/audit.h"
#include "fedmoe/dp/mask.h"
#include "fedmoe/model/table.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/proto/plan.h"
#include "fedmoe/train/step.h"

typedef struct fm_node_step fm_node_step;

/** Lattice and model from the plan; `table` is borrowed and must outlive it.
 *  FM_EPARSE when model or schema text of the plan is bad; FM_EINVAL when P differs, when the table
 *  is not grouped as the plan's privacy_unit wants (by fm_table_options.unit, or for "record" not at
 *  all), or has more units than max_units.
 *  @param threads  of training; 0: as train/step.h says. The result is the same for any number. */
FM_NODISCARD fm_status fm_node_step_new(const fm_plan *plan, const fm_table *table,
                                        unsigned threads, fm_node_step **out);
/** The same for adapters of a language model: the decoder with them, the texts by the plan's schema
 *  and privacy_unit; both borrowed. */
FM_NODISCARD fm_status fm_node_step_new_texts(const fm_plan *plan, fm_decoder *d,
                                              const fm_corpus *corpus, unsigned threads,
                                              fm_node_step **out);
/** As fm_train_step_hold_out. */
void fm_node_step_hold_out(fm_node_step *s, const uint8_t seed[16]);
void fm_node_step_free(fm_node_step **s);

typedef struct {
    const float *model; /* flat, float32[parameters] */
    const fm_dp_pairs *pairs;
    const fm_dp_round *round;
    fm_rng *rng; /* sampling, noise and self mask; fm_rng_system() outside of tests */
    void (*keepalive)(void *ctx);
    void *keepalive_ctx;
    fm_dp_canaries *canaries; /* NULL but in an audit (node/audit.h): added after the records */
    const float *correction;  /* of local steps: SCAFFOLD's c - c_u, float32[parameters]; or NULL */
} fm_node_step_input;

/** @param out the only thing that may leave; owned by the caller.
 *  FM_EINVAL also for a round with fewer participants than the plan's quorum. */
FM_NODISCARD fm_status fm_node_step_run(fm_node_step *s, const fm_node_step_input *in,
                                        fm_dp_release **out);
/**
 * Of a plan with local steps: the mean of the last run's noised gradients, float32[parameters],
 * borrowed until the next run. NULL without local steps, or when there were no gradients (the
 * statistics round). Whoever keeps it has charged the round first: until then nothing paid for it.
 */
const float *fm_node_step_mean(const fm_node_step *s);
/** TESTS ONLY: this node's own model after the last run's local steps, float32[parameters]. */
const float *fm_node_step_moved_for_tests(const fm_node_step *s);
/** Threads that training takes; 1 for a query. */
unsigned fm_node_step_threads(const fm_node_step *s);
/** What the plan's state vector ends in. */
fm_train_tail fm_node_plan_tail(const fm_plan *plan);
/** Lattice of the plan, as all nodes and the aggregator compute it. */
const fm_dp_lattice *fm_node_step_lattice(const fm_node_step *s);
/** The lattice spec that a plan implies (also used by the aggregator's side of tests). */
fm_dp_lattice_spec fm_node_lattice_spec(const fm_plan *plan);

/** TESTS ONLY: int32[words] encoded sum of the last run, before noise and masks; NULL unless kept. */
void fm_node_step_keep_sum_for_tests(fm_node_step *s);
const int32_t *fm_node_step_sum_for_tests(const fm_node_step *s);
/** TESTS ONLY: units of the last run whose gradient was not finite. */
size_t fm_node_step_dropped_for_tests(const fm_node_step *s);

#endif
