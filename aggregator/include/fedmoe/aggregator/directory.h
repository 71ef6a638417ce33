/*
 * The aggregator's directory (0700), made by init, used by start and export:
 *
 *   federation.yaml, the files it names (model, schema, query)   copies, byte for byte
 *   identity.key (0600), identity.crt, ca.crt, crl.pem
 *   door.key (0600)      Z85 of the door's CURVE secret, and a newline
 *   plan.bin             what the members approve (fm_plan_encode)
 *   use-policy.yaml      for the model's card; to be edited (fedmoe/provenance/policy.h)
 *   state.db, checkpoint.safetensors, status.json, result.safetensors (or
 *   result.json, the answer of a query)   made by start
 */
#ifndef FEDMOE_AGGREGATOR_DIRECTORY_H
#define FEDMOE_AGGREGATOR_DIRECTORY_H

#include "fedmoe/aggregator/config.h"

typedef struct {
    const char *dir;      /* must not exist, or be empty */
    const char *config;   /* federation.yaml */
    const char *identity; /* directory of the aggregator's identity */
} fm_aggregator_init_options;

typedef struct {
    char federation[FM_NAME_MAX + 1];
    char door[256];    /* the address that nodes are given, as in federation.yaml */
    char door_key[41]; /* Z85 of the public half */
    fm_hash plan;
    double noise_multiplier;
    double epsilon, delta; /* what the rounds cost at this noise; epsilon infinite: no privacy */
    double expected_units;
    uint32_t rounds, parameters;
    uint32_t update_words, word_bits; /* an update is so many words of so many bits */
    uint32_t max_nodes, mask_density; /* with so many of 256 others a node shares a mask */
    uint32_t held;                    /* colluders against whom only one sum is released */
    uint32_t honest;                  /* survivors that must hang together, at least */
    double log2_apart;                /* how likely they do not, at most: dp/mask_graph.h */
    uint32_t groups, group_quorum;    /* sums by groups; 0: one sum of all */
    fm_robust_mean mean;              /* over the groups' sums */
    double noise_times;               /* the noise in what is made of them, over that of one sum */
    double held_noise; /* deviation of a window's loss held out, of the largest; 0: none is */
    double
        auc_noise[2]; /* and of its AUC, with classes alike, and with a tenth in one; 0: none is */
    /* How it is to be trained; all zero for a query. */
    fm_plan training; /* its figures alone: no texts */
    bool chosen;      /* some of it was left to optim/defaults.h */
} fm_aggregator_init_report;

/**
 * All or nothing: made under another name beside it, then renamed.
 *
 * @return FM_OK; FM_EEXIST when the directory holds anything; FM_EAUTH when the identity is not a
 *         valid aggregator's of this federation; else what the files' readers return. On error
 *         nothing has changed.
 */
FM_NODISCARD fm_status fm_aggregator_init(const fm_aggregator_init_options *o,
                                          fm_aggregator_init_report *out);

/**
 * The answer of a query, as JSON; else the model after the last finished round (the average, once
 * averaging has begun), with the first model's metadata and fedmoe.federation, fedmoe.rounds. Works
 * while the aggregator runs.
 *
 * @param with_card  a model gets a card, signed by the aggregator's key (fedmoe/provenance/card.h).
 * @param output  replaced atomically; FM_EEXIST when it is one of the directory's own files.
 * @param rounds  out: how many rounds are in it.
 * @return FM_OK; FM_ENOTFOUND no round is finished yet; FM_ESTATE, FM_EPROTO as fm_state_peek; of the
 *         card FM_EAUTH the certificate has ended, FM_EPARSE use-policy.yaml.
 */
FM_NODISCARD fm_status fm_aggregator_export(const char *dir, const char *output, bool with_card,
                                            uint64_t *rounds);

typedef struct {
    uint64_t entries; /* finished rounds */
    uint64_t updates; /* rounds of them whose masked updates are in the bundle, too */
    fm_hash head;     /* of the transcript after them */
} fm_audit_report;

/**
 * The audit bundle (proto/bundle.h) of all finished rounds, signed by the aggregator: what
 * fedmoe-node verify checks. The state belongs to a running aggregator alone.
 *
 * @return FM_OK; FM_EEXIST while an aggregator runs there, or for one of its own files;
 *         FM_ENOTFOUND no round is finished yet; FM_ESTATE a round was finished by a version that kept no
 *         records; what the readers return. On error nothing is at `output`, or what was there.
 */
FM_NODISCARD fm_status fm_aggregator_export_audit(const char *dir, const char *output,
                                                  fm_audit_report *out);

/**
 * What is known of each finished round, as MLflow's file store (an experiment for the federation, a
 * run for the plan) or a TensorBoard event file; an earlier export of the same run is replaced.
 *
 * @param to  folder, made if it is not there. @param rounds  out: finished ones.
 * @return FM_OK; FM_EEXIST while an aggregator runs there; FM_ENOTFOUND no round is finished yet; what
 *         the readers and writers return.
 */
FM_NODISCARD fm_status fm_aggregator_export_mlflow(const char *dir, const char *to,
                                                   uint64_t *rounds);
FM_NODISCARD fm_status fm_aggregator_export_tensorboard(const char *dir, const char *to,
                                                        uint64_t *rounds);

#endif
