/*
 * What a training trains, and on which rows: the step (train/step.h) knows no more of a model than
 * this. Two are here: the tabular mixture of experts on a table's records, and a decoder, its
 * adapters or all of its weights, on a corpus's sequences.
 *
 * A learner is plain data that borrows model and rows; objects that it opens belong to one thread
 * each. All that an object returns of a unit is a function of the weights and of that unit's own rows,
 * bit for bit, whatever else is in the batch: the guarantee rests on it.
 */
#ifndef FEDMOE_TRAIN_LEARNER_H
#define FEDMOE_TRAIN_LEARNER_H

#include "fedmoe/model/decoder.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/train/state.h"
#include "fedmoe/train/teacher.h"
#include "fedmoe/train/units.h"

typedef struct fm_learner_ops fm_learner_ops;

typedef struct {
    const fm_learner_ops *ops;
    const fm_tabular_config *tabular; /* one of the two models, with its rows */
    const fm_table *table;
    fm_decoder *decoder;
    const fm_corpus *corpus;
    fm_teacher *teacher; /* of the decoder, or NULL */
} fm_learner;

/** @param table grouped unless the unit is a record. Both outlive the learner's use. */
fm_learner fm_learner_tabular(const fm_tabular_config *model, const fm_table *table);

/**
 * The decoder's adapters, or with fm_decoder_options.train ALL all of its weights. What is set before
 * a run is set in `d` itself: nobody else may use it meanwhile.
 *
 * The state of adapters is what of them is trained: B alone where A is a constant
 * (fm_decoder_adapters_set_trained). That of all weights leaves out the routers' correction biases, which have no
 * gradient. Each sequence's loss is the mean over its predictions, a unit's the sum over its
 * sequences.
 */
fm_learner fm_learner_decoder(fm_decoder *d, const fm_corpus *corpus);
/** The same with a teacher's part in the loss. @param teacher of the same corpus; outlives the
 *  learner's use. */
fm_learner fm_learner_taught(fm_decoder *d, const fm_corpus *corpus, fm_teacher *teacher);
/** That state out of its decoder, and into it: float32[n], n as fm_learner_facts.parameters says.
 *  FM_EINVAL another n; FM_ENONFINITE; FM_ENOMEM. */
FM_NODISCARD fm_status fm_learner_decoder_get(const fm_learner *l, float *state, size_t n);
FM_NODISCARD fm_status fm_learner_decoder_set(const fm_learner *l, const float *state, size_t n);

/** Facts of a learner, as the step needs them. */
typedef struct {
    size_t parameters; /* values of the state without its tail */
    fm_train_units units;
    /* What a row costs is in the learner's own measure: a record 1, a sequence its tokens. */
    size_t all;          /* of all rows together */
    size_t batch, least; /* room of one batch: any unit fits; fewer are not worth a thread */
    size_t smallest;     /* row, at least 1 */
    bool fast;           /* units can be added as integers: dp/encode.h, FM_DP_FAST */
    size_t choices;      /* experts that a row chooses in each group of loads */
    size_t means;        /* values of a unit's means, without the label's; 0: no statistics round */
    fm_tabular_start start;
} fm_learner_facts;

/**
 * @param unit_rows most rows of one unit that count.
 * @return FM_OK; FM_EINVAL model and rows do not belong together, or there are none.
 */
FM_NODISCARD fm_status fm_learner_describe(const fm_learner *l, size_t unit_rows,
                                           fm_learner_facts *out);

/** The functions; `object` is one thread's, from open. `ends` [units]: where in the batch's rows each
 *  unit ends, NULL when each row is one. */
struct fm_learner_ops {
    fm_status (*describe)(const fm_learner *l, size_t unit_rows, fm_learner_facts *out);
    fm_status (*check_tail)(const fm_learner *l, const fm_train_tail *tail);
    /* NULL: each row costs 1. */
    size_t (*cost)(const fm_learner *l, uint32_t row);
    /* @param first the first thread's object, whose weights the others share; NULL for that one. */
    fm_status (*open)(const fm_learner *l, void *first, size_t batch, void **out);
    void (*close)(void *object);
    /* Wipes what is of rows; never of weights. */
    void (*forget)(void *object);
    /* On the first object alone; n is the parameters and the tail's length. */
    fm_status (*set)(const fm_learner *l, void *first, const fm_train_tail *tail,
                     const float *state, size_t n);
    fm_status (*backward)(const fm_learner *l, void *object, const uint32_t *rows, size_t count);
    /* Each row's loss, float32[count], as it is trained but for a teacher's part. */
    fm_status (*losses)(const fm_learner *l, void *object, const uint32_t *rows, size_t count,
                        float *out);
    /* Of the rows that `losses` was just asked about: as fm_tabular_scores, float32[count], and whether
     * each is of class 1. NULL: there are no two classes. */
    void (*scores)(const fm_learner *l, void *object, const uint32_t *rows, size_t count,
                   float *scores, bool *positive);
    /* Of the last batch, as fm_tabular_unit_squares and fm_tabular_add_units. */
    void (*squares)(void *object, const uint32_t *ends, size_t units, double *out);
    fm_status (*add_units)(void *object, const uint32_t *ends, size_t units, const double *factors,
                           int64_t limit, int32_t *sum, uint64_t *squares);
    /* One unit's gradient: float32[parameters], every entry is written. */
    void (*gradient)(void *object, const uint32_t *ends, size_t unit, float *out);
    /* As fm_tabular_unit_loads; NULL: there are none to count. */
    void (*loads)(void *object, const uint32_t *ends, size_t unit, float *out);
    /* Means of some rows' features, float32[means], and of their labels behind, of norm sqrt(2) at
     * most; whether all are finite. NULL: there is no statistics round. */
    fm_status (*means)(const fm_learner *l, void *object, const uint32_t *rows, size_t n,
                       float *out, bool *finite);
};

#endif
