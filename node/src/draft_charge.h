/* Ranges of columns by a differentially private estimate on this node's own records. One thread. */
#ifndef FEDMOE_NODE_DRAFT_CHARGE_H
#define FEDMOE_NODE_DRAFT_CHARGE_H

#include "fedmoe/base/random.h"
#include "fedmoe/model/draft.h"
#include "fedmoe/node/config.h"

/** In which part of the number line a value lies: a quarter of a decade, on either side of 0. */
#define FM_DRAFT_PARTS 101u
size_t fm_draft_part(double v);
/** Its ends. @param lo, hi  out. */
void fm_draft_part_ends(size_t part, double *lo, double *hi);

/**
 * For each column without a range (or, of `only`, those): how many units have a number in each part
 * of the number line, one record of each unit being looked at, with discrete Gaussian noise for
 * (epsilon, policy.delta) over all of them. The ledger is charged and synced before the noisy counts
 * are looked at; when anything fails, nothing was looked at.
 *
 * A range goes from the lowest to the highest part whose noisy count is above a bound that in 19 of
 * 20 drafts no empty part passes. Columns that are lost in the noise get a doubt and no range.
 *
 * @param only  names [count]; 0: all that have none.
 * @return FM_OK; FM_EPERM policy.tasks does not list statistics, or nothing is to be estimated;
 *         FM_EBUDGET; what reading the records and the ledger says.
 * @source privacy.md, section 7: counts of one coordinate a column; here the norm is the square root
 *         of the number of columns.
 */
FM_NODISCARD fm_status fm_node_draft_charge(const fm_node_config *c, double epsilon,
                                            const char *const *only, size_t count, fm_rng *rng,
                                            fm_draft *d);

#endif
