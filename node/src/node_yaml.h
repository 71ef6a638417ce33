/* A commented node.yaml, for init and join. */
#ifndef FEDMOE_NODE_YAML_H
#define FEDMOE_NODE_YAML_H

#include "fedmoe/base/cli.h"

typedef struct {
    const char *directory, *name, *door, *door_key, *identity, *records, *schema, *model,
        *data_name, *unit;
    double epsilon, delta;
    uint64_t min_cohort, min_colluders;
    fm_cli_list purposes;
    bool draft; /* records need not be there yet: it is named as it is */
} fm_node_yaml;

/** What is set where nothing is given: unit, budget, cohort. */
fm_node_yaml fm_node_yaml_defaults(void);

/**
 * o->directory/node.yaml (0600), checked by reading it back.
 * @return FM_OK; FM_EEXIST (it is never overwritten); FM_ENOTFOUND a file named; FM_EPARSE, FM_EINVAL
 *         a value: nothing is left behind then; FM_EIO.
 */
FM_NODISCARD fm_status fm_node_yaml_write(const fm_node_yaml *o);

/** What `join` writes for the purpose, to be replaced. */
#define FM_NODE_PURPOSE_TO_COME "put the purpose that was agreed here"

#endif
