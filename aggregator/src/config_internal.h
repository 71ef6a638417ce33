/* What config.c, config_listen.c, config_query.c and answer.c share. */
#ifndef FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H
#define FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H

#include "fedmoe/aggregator/config.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/encode.h"

/** `listen`: two endpoints that ZeroMQ can bind, and not the same. */
FM_NODISCARD fm_status fm_config_read_listen(const fm_yaml_node *root, fm_aggregator_config *c);

/** A plain name of a file beside federation.yaml that the aggregator's directory leaves free. */
FM_NODISCARD fm_status fm_config_check_file(const fm_yaml_node *root, const char *key,
                                            const char *name);
/** `model`: its file, and with it model_text, schema_text and weights of the plan. */
FM_NODISCARD fm_status fm_config_read_model(const fm_yaml_node *root, fm_aggregator_config *c);

/* config_query.c */
FM_NODISCARD fm_status fm_config_read_task(const fm_yaml_node *root, fm_plan *p);
/** What training would say of rounds and optimizer. */
void fm_config_set_query(fm_plan *p);
/** `query`, and `schema` or `model`; the clip norm and the state vector that follow from them. */
FM_NODISCARD fm_status fm_config_read_query(const fm_yaml_node *root, fm_aggregator_config *c);

#endif
