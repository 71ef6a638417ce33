/*
 * SCAFFOLD's correction at a node: c - c_u, where c is the mean gradient of all nodes in the round
 * that finished last, read out of the models before and after it, and c_u this node's own, of its
 * noised steps. Kept in correction.bin, 0600, from the moment that the round was charged: what was
 * not charged is never used. Without both halves of that very round there is no correction. The one
 * in use lies beside it, until the next round has finished.
 */
#ifndef FEDMOE_NODE_RUN_CORRECTION_H
#define FEDMOE_NODE_RUN_CORRECTION_H

#include <stdbool.h>

#include "fedmoe/node/step.h"

#define FM_NODE_CORRECTION_FILE "correction.bin"

typedef struct fm_node_correction fm_node_correction;

/** For a plan with correction SCAFFOLD. A file of another plan, or a damaged one, is none (the log
 *  says so). @param dir  the node's folder. */
FM_NODISCARD fm_status fm_node_correction_new(const fm_plan *plan, const fm_hash *hash,
                                              const char *dir, fm_node_correction **out);
void fm_node_correction_free(fm_node_correction **c); /* wipes; the file stays */

/** float32[parameters], borrowed until the next call; NULL: none for this round.
 *  @param finished  the round whose model this is, the last one in the transcript; 0: none.
 *  @param model     float32[parameters]. */
const float *fm_node_correction_of(fm_node_correction *c, uint64_t finished, const float *model);
/** The round's steps are made. @param mean  as fm_node_step_mean; NULL: there is nothing to keep. */
void fm_node_correction_made(fm_node_correction *c, uint64_t round, const float *model,
                             const float *mean);
/** That round is charged: what was made of it is kept. A file that cannot be written costs a
 *  correction after a restart, and no more. */
void fm_node_correction_charged(fm_node_correction *c, uint64_t round);

#endif
