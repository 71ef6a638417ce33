/* The policy's figures, as the driver and the programs need them. */
#ifndef FEDMOE_NODE_POLICY_INTERNAL_H
#define FEDMOE_NODE_POLICY_INTERNAL_H

#include "fedmoe/node/config.h"

/* A budget of 1000 says that nothing is private (tests, public data): plans without noise are
 * then allowed, and their rounds, which have no price, are not charged. */
#define FM_NODE_NO_PRIVACY_EPSILON 1000.0

bool fm_node_policy_is_open(const fm_node_policy *p);
fm_ledger_budget fm_node_policy_budget(const fm_node_policy *p);

#endif
