/*
 * In which bin a score is (model/tabular.h, fm_tabular_scores). Scores are logits about 0, in a narrow
 * range where noise is large and clipping hard, in a wide one without: so the bins are of equal width
 * in t = z / (1 + |z|), which is near z about 0, and in (-1, 1). Of 16 the edges are 0, 0.14, 0.33, 0.6, 1,
 * 1.7, 3, 7 and their negatives. That ties within a bin count half costs an AUC of two normal classes
 * 0.003 where scores deviate by 1, 0.006 at 0.3, 0.033 at 0.1 (with classes a deviation apart).
 */
#ifndef FEDMOE_TRAIN_SCORES_H
#define FEDMOE_TRAIN_SCORES_H

#include <stddef.h>

/** min(floor(bins (1 + t) / 2), bins - 1), in doubles. @param score finite. */
size_t fm_train_score_bin(float score, size_t bins);

#endif
