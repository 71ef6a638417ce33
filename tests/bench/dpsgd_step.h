/*
 * One training step of our own, with and without privacy, of the product's layers and noise, with
 * the time of its parts. All buffers are there before the first step.
 */
#ifndef FEDMOE_BENCH_DPSGD_STEP_H
#define FEDMOE_BENCH_DPSGD_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/table.h"
#include "fedmoe/model/tabular.h"

#define DPSGD_BATCH 256u
#define DPSGD_RECORDS 16384u

/* MLP 784-256-256-10, ReLU, softmax cross-entropy; or MoE: 64 features, width 128, one block of
 * `experts` of 256, the two best of each record, softmax gates, a residual, one logit. */
typedef enum { DPSGD_MLP, DPSGD_MOE } dpsgd_kind;

typedef enum {
    DPSGD_BACKWARD, /* gather, forward, backward */
    DPSGD_SQUARES,  /* norms and factors; 0 without privacy */
    DPSGD_SUM,      /* sum over records */
    DPSGD_UPDATE,   /* for each parameter: noise, decoding, the step itself */
    DPSGD_WEIGHTS,  /* for each parameter: into the layers' own order */
    DPSGD_PARTS,
} dpsgd_part;

typedef struct dpsgd_learner dpsgd_learner;

/** @return FM_OK; FM_ENOMEM; what the layers say. */
FM_NODISCARD fm_status dpsgd_new(dpsgd_kind kind, size_t experts, dpsgd_learner **out);
void dpsgd_free(dpsgd_learner **l);
size_t dpsgd_parameters(const dpsgd_learner *l);

/** The configuration of the MoE; the learner's records, borrowed. */
fm_tabular_config dpsgd_moe(size_t experts);
fm_table dpsgd_records(const dpsgd_learner *l);

/** A step on DPSGD_BATCH records drawn before the clock starts. parts_s: out, seconds of each. */
FM_NODISCARD fm_status dpsgd_step(dpsgd_learner *l, bool private_step, double parts_s[DPSGD_PARTS]);

/** Share of the records that were clipped in the last private step. */
double dpsgd_clipped(const dpsgd_learner *l);

/* The products of a step, as a BLAS would be called for them. */
typedef struct {
    size_t m, n, k;
    bool transpose_a, transpose_b;
    size_t times;
} dpsgd_product;
#define DPSGD_PRODUCTS 16
size_t dpsgd_products(dpsgd_kind kind, size_t experts, dpsgd_product out[DPSGD_PRODUCTS]);

#endif
