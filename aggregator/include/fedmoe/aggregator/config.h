/*
 * federation.yaml: the coordinator's description of a federation, from which the plan is made.
 *
 *   name: heart                          # as in the CA
 *   purpose: heart disease risk
 *   listen: {door: "tcp://127.0.0.1:7300"}
 *   model: model.safetensors             # made by fedmoe-model new; beside this file
 *   privacy:
 *     unit: record                       # or a column: all rows of one value are one unit
 *     max_unit_rows: 16                  # with a column: most rows of one unit that count
 *     noise: distributed                 # default; or local: each node's noise is enough alone
 *     epsilon: 1.0
 *     delta: 1.0e-4
 *     encoding: fast                     # default; or exact
 *     clip_norm: 1.0                     # this and the next: by optim/defaults.h
 *     sampling_rate: 1.0
 *     adaptive_clip: {quantile: 0.5, rate: 0.2, share: 0.05}
 *     masks: sparse                      # default: as many as are needed (dp/mask_graph.h); or all
 *     expected_units: 600                # a public round figure for all nodes together
 *     max_units: 2000                    # most units that a round may ever sum
 *   cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}
 *   training: {rounds: 40, optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.999,
 *              adam_epsilon: 1.0e-3, averaging: 0.5, schedule: cosine, warmup: 0.1,
 *              final_rate: 0.1,
 *              balance: {share: 0.1, rate: 0.02},      # each key, and all of it: by
 *                                                      # optim/defaults.h
 *              early_stop: {held_out: 0.1, patience: 10}}  # not unless it is asked for; or
 *                                                      # largest_loss and auc: true, too
 *              # and in `training` local_steps: 4, local_rate: 2, proximal: 0.01,
 *              # correction: scaffold                  # default: one step a round
 *   robust: {groups: 5, mean: median}    # default: none, one sum of all. Or mean: trimmed, trim: 1;
 *                                        # or geometric; quorum: fewest survivors of a group
 *   timeouts: {join_s: 60, round_s: 30}                  # the defaults
 *   keep_updates: false                  # default; true: masked updates and released seeds of each
 *                                        # finished round stay in updates/, for the audit bundle
 *   status:                              # the status page; without this there is none
 *     listen: "https://0.0.0.0:7390"     # or http:// on the machine's own addresses
 *     name: agg.example                  # by which browsers reach it; default: listen's address
 *     certificate: page.crt              # PEM, of the house's own PKI, and its key (0600); default:
 *     key: page.key                      # made at the first start, signed by itself
 *
 * A query (docs/queries.md) is one round, without `training`, `clip_norm` and `sampling_rate`:
 *
 *   task: statistics                     # or evaluation, with the trained model as `model`
 *   query: query.yaml                    # what is asked (dp/query.h); beside this file
 *   schema: schema.yaml                  # statistics: of the records; instead of `model`
 *
 * The noise multiplier is calibrated from privacy, rounds and local steps; it cannot be set by hand, but for
 * `insecure_noise_multiplier`, which is refused unless epsilon is 1000 (tests without privacy).
 */
#ifndef FEDMOE_AGGREGATOR_CONFIG_H
#define FEDMOE_AGGREGATOR_CONFIG_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/dp/query.h"
#include "fedmoe/proto/plan.h"

/** The status page: no part of the plan. All owned; listen NULL: there is none. */
typedef struct {
    char *listen; /* "0.0.0.0:7390" */
    char *name;   /* what stands in a link before the port; without brackets */
    bool tls;
    char *certificate, *key; /* files, in the aggregator's directory; NULL: made there */
} fm_page_config;

typedef struct {
    char *door;            /* owned */
    char *dir;             /* of the file, owned */
    char *model_file;      /* plain name in dir, owned; NULL for statistics */
    char *query_file;      /* likewise; NULL for training */
    char *schema_file;     /* likewise; NULL but for statistics */
    fm_query *query;       /* owned; NULL for training */
    fm_plan plan;          /* with a fresh random `run` */
    fm_safetensors *model; /* first weights, and for a query the sums behind them; owned */
    uint32_t join_s, round_s;
    bool chosen;       /* a setting of the training was left to optim/defaults.h */
    bool keep_updates; /* no part of the plan: what leaves a node is the same */
    fm_page_config page;
} fm_aggregator_config;

/**
 * @return FM_OK; FM_EPARSE with file:line:column; FM_EINVAL when the plan as a whole cannot be
 *         (quorum, lattice, calibration); FM_ENOTFOUND, FM_EPROTO, FM_ENONFINITE for the model.
 */
FM_NODISCARD fm_status fm_aggregator_config_load(const char *path, fm_aggregator_config *out);
void fm_aggregator_config_fini(fm_aggregator_config *c);

#endif
