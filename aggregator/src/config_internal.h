/* What config.c, config_listen.c, config_query.c and answer.c share. */
#ifndef FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H
#define FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H

#include "fedmoe/aggregator/config.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/encode.h"
#include "fedmoe/optim/defaults.h"

/** `listen`: an endpoint that ZeroMQ can bind. */
FM_NODISCARD fm_status fm_config_read_listen(const fm_yaml_node *root, fm_aggregator_config *c);

/** `status`, when it is there. */
FM_NODISCARD fm_status fm_config_read_page(const fm_yaml_node *root, const char *door,
                                           fm_page_config *out);
void fm_config_page_fini(fm_page_config *p);

/** A plain name of a file beside federation.yaml that the aggregator's directory leaves free. */
FM_NODISCARD fm_status fm_config_check_file(const fm_yaml_node *root, const char *key,
                                            const char *name);
/** Behind the model's own tensors, in the file's order; copied. */
FM_NODISCARD fm_status fm_config_extend_model(fm_aggregator_config *c, const fm_tensor_view *more,
                                              size_t more_count);
/** Number and hash of the state's first values, into the plan. */
FM_NODISCARD fm_status fm_config_plan_weights(fm_aggregator_config *c);

/** `model`: its file, and with it model_text, schema_text and the number of parameters. */
FM_NODISCARD fm_status fm_config_read_model(const fm_yaml_node *root, fm_aggregator_config *c);

/* config_training.c, config_tail.c */
/** `training`, and what of `privacy` has a default; after the model. Ends in
 *  fm_config_plan_weights. */
FM_NODISCARD fm_status fm_config_read_training(const fm_yaml_node *root, fm_aggregator_config *c);
/** training.balance, privacy.adaptive_clip and training.early_stop, and room for them in the state.
 *  @param outputs of the model; 0: it is a language model. */
FM_NODISCARD fm_status fm_config_read_tail(const fm_yaml_node *root, const fm_training *defaults,
                                           size_t outputs, fm_aggregator_config *c);
/** The state's last tensor when the clip norm is adaptive; no part of a result. */
#define FM_CONFIG_CLIP_TENSOR "clip_norm.log_ratio"
/** Two values behind that, when units are held out: of the loss on them; likewise. */
#define FM_CONFIG_HELD_TENSOR "held_out.loss"
/** Behind that, when their scores are counted, so many in each bin of each class; likewise. */
#define FM_CONFIG_SCORES_TENSOR "held_out.scores"
/** The last one, behind that, when there is a statistics round; likewise. */
#define FM_CONFIG_PHASE_TENSOR "start.phase"

/* config_held.c */
/** training.early_stop, if it is there: after rounds and schema. @param outputs as above. */
FM_NODISCARD fm_status fm_config_read_early_stop(const fm_yaml_node *training, size_t outputs,
                                                 fm_plan *p);

/* config_start.c */
/** training.start, into the plan's start_*: the center, and a statistics round where the model can take one.
 *  @param training  NULL: not given. */
FM_NODISCARD fm_status fm_config_read_start(const fm_yaml_node *training, fm_aggregator_config *c);

/* config_robust.c */
/** `robust`, if it is there: after cohort and masks. */
FM_NODISCARD fm_status fm_config_read_robust(const fm_yaml_node *root, fm_plan *p);

/* config_query.c */
FM_NODISCARD fm_status fm_config_read_task(const fm_yaml_node *root, fm_plan *p);
/** What training would say of rounds and optimizer. */
void fm_config_set_query(fm_plan *p);
/** `query`, and `schema` or `model`; the clip norm and the state vector that follow from them. */
FM_NODISCARD fm_status fm_config_read_query(const fm_yaml_node *root, fm_aggregator_config *c);

#endif
