/* What init, start and export share about the aggregator's directory. */
#ifndef FEDMOE_AGGREGATOR_DIRECTORY_INTERNAL_H
#define FEDMOE_AGGREGATOR_DIRECTORY_INTERNAL_H

#include <stdio.h>

#include <jansson.h>

#include "fedmoe/aggregator/directory.h"
#include "fedmoe/optim/optimizer.h"
#include "fedmoe/proto/link/link.h"
#include "fedmoe/provenance/card.h"

#define FM_RESULT_FILE "result.safetensors"
#define FM_ANSWER_FILE "result.json" /* of a query */

/**
 * Configuration and plan of the directory. federation.yaml must still make plan.bin's plan; the
 * plan as the members approved it wins in the last digits of the calibrated noise, which another
 * machine's mathematics library may compute otherwise.
 *
 * @param plan_bytes  out: plan.bin; fm_buf_fini, also after a failure.
 * @return FM_OK; FM_ESTATE when they differ; what the readers return.
 */
FM_NODISCARD fm_status fm_directory_open(const char *dir, fm_aggregator_config *config,
                                         fm_buf *plan_bytes);

/** door.key. @param out  guarded memory, FM_CURVE_KEY_BYTES; sodium_free. FM_EPARSE, FM_EPERM. */
FM_NODISCARD fm_status fm_directory_door_secret(const char *dir, uint8_t **out);
/** The half that members are given. */
FM_NODISCARD fm_status fm_directory_door_public(const char *dir, uint8_t out[FM_CURVE_KEY_BYTES]);
/** listen.door of federation.yaml, without reading the model; free. */
FM_NODISCARD fm_status fm_directory_door_address(const char *dir, char **out);

/** The optimizer at the first weights. */
FM_NODISCARD fm_status fm_directory_optimizer(const fm_aggregator_config *c, fm_optimizer **out);

/** FM_EEXIST when `output` is a file that the directory needs. */
FM_NODISCARD fm_status fm_directory_check_output(const char *dir, const fm_aggregator_config *c,
                                                 const char *output);

/** What a card says of the run, and who signs it. */
typedef struct {
    const fm_identity *signer;
    const fm_use_policy *policy;
    fm_hash plan, head;
} fm_directory_card;

/** Sign a card for what is about to be written. @param out  as fm_card_sign. */
FM_NODISCARD fm_status fm_directory_sign(const fm_directory_card *card, const fm_plan *p,
                                         uint64_t rounds, const fm_card_subject *s,
                                         fm_card_signed *out);
/** The policy of the directory, the plan's purpose first; without the file that alone. */
FM_NODISCARD fm_status fm_directory_policy(const char *dir, const fm_plan *p, fm_use_policy *out);
/** use-policy.yaml of a new directory: a copy of that beside federation.yaml, or else the default.
 */
FM_NODISCARD fm_status fm_directory_put_policy(const char *from_dir, const char *dir);

/** fm_optimizer_result as a model file for fedmoe-model. @param card  NULL: without one. */
FM_NODISCARD fm_status fm_directory_write_model(const fm_aggregator_config *c,
                                                const fm_optimizer *o, uint64_t rounds,
                                                const fm_directory_card *card, const char *path);

/** The answer of a query from the sums; *out: json_decref. */
FM_NODISCARD fm_status fm_directory_answer(const fm_aggregator_config *c, const fm_optimizer *o,
                                           uint64_t rounds, const fm_hash *plan, json_t **out);
/** The model, or the answer of a query as JSON. */
FM_NODISCARD fm_status fm_directory_write_result(const fm_aggregator_config *c,
                                                 const fm_optimizer *o, uint64_t rounds,
                                                 const fm_hash *plan, const char *path);
/** As a table. */
void fm_directory_show_answer(FILE *f, const json_t *answer);

#endif
