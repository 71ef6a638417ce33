/*
 * federation.yaml: the coordinator's description of a federation, from which the plan is made.
 *
 *   name: heart                          # as in the CA
 *   purpose: heart disease risk
 *   listen: {door: "tcp://127.0.0.1:7300", session: "tcp://127.0.0.1:7301"}
 *   model: model.safetensors             # made by fedmoe-model new; schema and configuration within
 *   privacy:
 *     unit: record
 *     epsilon: 1.0
 *     delta: 1.0e-4
 *     clip_norm: 1.0
 *     sampling_rate: 1.0
 *     expected_units: 600                # a public round figure for all nodes together
 *     max_units: 2000                    # most units that a round may ever sum
 *   cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}
 *   training: {rounds: 60, optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.99,
 *              adam_epsilon: 1.0e-3, averaging: 0.5}
 *   timeouts: {join_s: 60, round_s: 30}
 *
 * The noise multiplier is calibrated from privacy and rounds; it cannot be set by hand, but for
 * `insecure_noise_multiplier`, which is refused unless epsilon is 1000 (tests without privacy).
 */
#ifndef FEDMOE_AGGREGATOR_CONFIG_H
#define FEDMOE_AGGREGATOR_CONFIG_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/proto/plan.h"

typedef struct {
    char *door, *session; /* owned */
    char *dir;            /* of the file, owned */
    fm_plan plan;
    fm_safetensors *model; /* first weights; owned */
    uint32_t join_s, round_s;
} fm_aggregator_config;

FM_NODISCARD fm_status fm_aggregator_config_load(const char *path, fm_aggregator_config *out);
void fm_aggregator_config_fini(fm_aggregator_config *c);

#endif
