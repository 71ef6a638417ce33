/* Parts of reading node.yaml. */
#ifndef FEDMOE_NODE_CONFIG_INTERNAL_H
#define FEDMOE_NODE_CONFIG_INTERNAL_H

#include "fedmoe/base/yaml.h"
#include "fedmoe/node/config.h"

/** Of the paths: what stands there already is of the right kind, and no two are the same file where
 *  that would do harm. @return FM_OK; FM_EPARSE with the key's line; FM_ENOMEM. */
FM_NODISCARD fm_status fm_node_config_check_places(const fm_yaml_node *root,
                                                   const fm_node_config *c);

/** "~" and "$NAME" before the first slash are a shell's, and nobody puts a folder in their place here. @return
 *  FM_OK, also where there is a folder of that very name in `dir`; FM_EPARSE; FM_ENOMEM. */
FM_NODISCARD fm_status fm_node_config_check_expanded(const fm_yaml_node *n, const char *path,
                                                     const char *dir);

#endif
