/* What config.c and config_listen.c share. */
#ifndef FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H
#define FEDMOE_AGGREGATOR_CONFIG_INTERNAL_H

#include "fedmoe/aggregator/config.h"
#include "fedmoe/base/yaml.h"

/** `listen`: two endpoints that ZeroMQ can bind, and not the same. */
FM_NODISCARD fm_status fm_config_read_listen(const fm_yaml_node *root, fm_aggregator_config *c);

#endif
