/* The policy's figures, as the driver and the programs need them. */
#ifndef FEDMOE_NODE_POLICY_INTERNAL_H
#define FEDMOE_NODE_POLICY_INTERNAL_H

#include "fedmoe/node/config.h"

/* A budget of 1000 says that nothing is private (tests, public data): any plan may then be run,
 * and the budget has no end. What is spent is booked all the same. */
#define FM_NODE_NO_PRIVACY_EPSILON 1000.0
/* A round without noise is booked with so little that no real budget ever pays for the data set
 * again: the ledger knows no infinity. */
#define FM_NODE_NO_NOISE_BOOKED 1e-6

bool fm_node_policy_is_open(const fm_node_policy *p);
fm_ledger_budget fm_node_policy_budget(const fm_node_policy *p);
/** As fm_replay_mechanism; without noise, what is booked for it. */
fm_dp_mechanism fm_node_policy_mechanism(const fm_plan *plan, uint64_t rounds);

#endif
