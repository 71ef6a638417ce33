/* What step.c and step_unit.c share. */
#ifndef FEDMOE_TRAIN_STEP_INTERNAL_H
#define FEDMOE_TRAIN_STEP_INTERNAL_H

#include "fedmoe/base/threads.h"
#include "fedmoe/optim/auc.h"
#include "fedmoe/train/sample.h"
#include "fedmoe/train/scores.h"
#include "fedmoe/train/step.h"

/** One thread's own buffers. All of what they hold is of units: wiped after each run, the model's
 *  activations too, but for the sum, which its release wipes. */
typedef struct {
    void *model; /* the learner's object */
    fm_dp_sum *sum;
    uint32_t *ends;    /* [batch_units] of this batch */
    double *squares;   /* [batch_units] squared norms of gradients; then factors */
    uint64_t *lengths; /* [batch_units] squared norms of integers */
    bool *clipped;     /* [batch_units] */
    float *loads;      /* [biases] of one unit */
    float *gradient;   /* [length] of one unit; NULL in FAST */
    float *row_losses; /* [batch rows] of units held out; NULL without */
    float *scores;     /* [batch rows] likewise, and their classes; NULL without held_bins */
    bool *positive;
    int32_t *nodes; /* [2 held_bins] trees of one unit's rows */
    float *means;   /* [means + 1] of one unit, then of its labels; NULL without a start */
} fm_train_worker;

struct fm_train_step {
    fm_learner learner;
    fm_learner_facts facts;
    fm_dp_lattice lattice;
    fm_dp_parts parts;
    fm_train_tail tail;
    fm_train_sample sample;
    fm_train_held held; /* share 0: nobody is */
    double held_bound;
    int64_t held_part;                /* most of the vote on a loss, and of the scores, each */
    int64_t tree_parts[FM_AUC_KINDS]; /* of a score, in steps */
    bool coins;                       /* the seed is set */
    size_t weights, length;           /* the model's parameters; and the tail */
    size_t batch_units;               /* most units of a batch */
    uint32_t *batches; /* [batch_room] first unit of each batch, and where the last one ends */
    size_t batch_count, batch_room;
    fm_threads *threads;
    fm_train_worker *workers; /* [threads] */
    /* The run under way. */
    double relative_clip;
    bool statistics; /* it is the statistics round */
    const fm_train_step_input *in;
};

/** Where in sample.rows unit u begins, u up to sample.units. */
static inline size_t fm_train_unit_start(const fm_train_sample *s, size_t u)
{
    return s->ends && u > 0 ? s->ends[u - 1] : u;
}

/** A batch that the worker's model has gone forward and backward over, into its sum.
 *  @param ends [units], or NULL when each row is a unit. */
FM_NODISCARD fm_status fm_train_add_batch(const fm_train_step *s, fm_train_worker *w,
                                          const uint32_t *ends, size_t units);

/** A batch of units that are held out: forward, and each one's vote on its loss. */
FM_NODISCARD fm_status fm_train_add_held(const fm_train_step *s, fm_train_worker *w,
                                         const uint32_t *rows, size_t count, const uint32_t *ends,
                                         size_t units);

/** The same for the statistics round: no model, but the table's rows. */
FM_NODISCARD fm_status fm_train_add_statistics(const fm_train_step *s, fm_train_worker *w,
                                               const uint32_t *rows, const uint32_t *ends,
                                               size_t units);

#endif
