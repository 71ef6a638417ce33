/*
 * An institution's own head on a finished tabular model: a scale, a shift and a linear part of its
 * own, which never leave.
 *
 *   z' = beta z + alpha + delta . phi          z, phi of the federation's model (model/tabular.h)
 *
 * fitted to the institution's records with a pull towards the federation's model, which is beta = 1,
 * alpha = 0, delta = 0:
 *
 *   mean loss + lambda / 2 ||delta||^2 + EASY / 2 (||alpha||^2 + (beta - 1)^2)
 *
 * @source the pull: Ditto, Li et al. 2021, ICML, arXiv:2012.04221, objective (1), of one head in the
 *         place of all weights, so that it is convex and has one solution.
 *
 * How hard to pull is chosen by repeated cross-validation on the institution's own units: the hardest
 * pull that is within one standard error of the best (Breiman et al. 1984, Classification and
 * Regression Trees, section 3.4.3). The federation's model is kept unless what is better about the
 * choice is more than two standard errors: records that are few choose by luck, and luck does not
 * last (docs/quality.md has what a laxer rule costs). None of this is private: a model with such a head says something of the records, and stays with them.
 */
#ifndef FEDMOE_TRAIN_PERSONAL_H
#define FEDMOE_TRAIN_PERSONAL_H

#include "fedmoe/model/table.h"
#include "fedmoe/model/tabular.h"

#define FM_PERSONAL_EASY 1e-3 /* pull on scale and shift: a few numbers, which records bear */
#define FM_PERSONAL_FOLDS 5u
#define FM_PERSONAL_REPEATS 5u /* of all folds, each drawn anew */
#define FM_PERSONAL_SURE 2.0   /* standard errors */
#define FM_PERSONAL_PULLS 8u
#define FM_PERSONAL_MIN_UNITS 50u /* fewer cannot say what is better */

typedef struct {
    double *alpha; /* [K] */
    double beta;
    double *delta; /* [K, F]; owned, as alpha is */
    size_t outputs, features;
} fm_personal;

/** Records as the head sees them. */
typedef struct fm_personal_data fm_personal_data;
/**
 * @param federated  outlives it; its predictions are made here.
 * @param t  with labels, in memory; outlives it.
 * @return FM_OK; FM_EINVAL other features, no labels, or records in a scratch file; FM_ENONFINITE;
 *         FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_personal_data_new(fm_tabular *federated, const fm_table *t,
                                            fm_personal_data **out);
void fm_personal_data_free(fm_personal_data **d); /* wipes; NULL-safe */

/** Fit to some rows. @param pull lambda, 0 or more; INFINITY: delta stays 0. FM_ENOMEM. */
FM_NODISCARD fm_status fm_personal_fit(const fm_personal_data *d, const uint32_t *rows, size_t n,
                                       double pull, fm_personal *out);
void fm_personal_fini(fm_personal *p); /* wipes */
/** Outputs for one row: float[K]. */
void fm_personal_predict(const fm_personal_data *d, const fm_personal *p, size_t row, float *out);

typedef struct {
    double pull; /* INFINITY: scale and shift alone. Of the federation's model NaN */
    double loss; /* of units that were left out of the fit, mean over units; as the training's */
    double auc;  /* BINARY, of the same; else NaN */
    double gain, gain_se; /* how much less than the federation's loss; its standard error */
} fm_personal_score;

typedef struct {
    fm_personal_score federated, scores[FM_PERSONAL_PULLS];
    size_t best; /* of scores: the choice */
    bool kept;   /* the federation's model is: the choice is not surely better */
    size_t units;
} fm_personal_report;

/**
 * Cross-validation over units, in folds that `seed` draws; nobody but the institution sees it.
 * @return FM_OK; FM_EINVAL fewer than FM_PERSONAL_MIN_UNITS; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_personal_choose(const fm_personal_data *d, uint64_t seed,
                                          fm_personal_report *out);

/** The head becomes part of the model's weights: linear part, bias and head of it, and no clip norm.
 *  FM_EINVAL: the model has no linear part (pull was not INFINITY) or no bias; unchanged then. */
FM_NODISCARD fm_status fm_personal_apply(const fm_personal_data *d, const fm_personal *p,
                                         fm_tabular *m);

#endif
