/*
 * What to train with when nobody says: from figures that are public before a training begins.
 * docs/model.md, "Training without tuning", has the study that the rule comes from.
 */
#ifndef FEDMOE_OPTIM_DEFAULTS_H
#define FEDMOE_OPTIM_DEFAULTS_H

#include <stdbool.h>

#include "fedmoe/optim/optimizer.h"

/** All public: nothing of the records but the round figure of how many units they are about. */
typedef struct {
    double units;    /* expected privacy units of all parties together, >= 1 */
    double delta;    /* of the guarantee, in (0, 1) */
    bool start;      /* a statistics round is wanted, and the model can take one */
    size_t outputs;  /* of the model; 2 or more when it tells classes apart, else 0 or 1 */
    bool number;     /* the label is a number, or may be one for all that is known */
    bool no_privacy; /* nothing is noised; of texts alone */
} fm_training_case;

/** An epsilon of this or more: no noise. */
#define FM_TRAINING_NO_PRIVACY 1000.0

/** The settings of a training. */
typedef struct {
    double clip_norm, sampling_rate;
    uint64_t rounds; /* the statistics round included */
    bool start;      /* the first round is one */
    fm_optim_rule rule;
    double learning_rate, momentum, beta2, adam_epsilon, averaging;
    fm_optim_schedule schedule;
    double warmup, final_rate;
    double load_share, balance_rate;             /* load_share 0: loads are not counted */
    double clip_quantile, clip_rate, clip_share; /* clip_quantile 0: the clip norm is fixed */
} fm_training;

/** The same for every epsilon, which decides the noise alone.
 *  @thread pure. */
void fm_training_defaults(const fm_training_case *c, fm_training *out);
/** For a language model: docs/text.md, "Fine-tuning". Of the case only units and no_privacy matter.
 * The same for every epsilon; without privacy more rounds, of fewer units each. */
void fm_training_text_defaults(const fm_training_case *c, fm_training *out);
/** The rate of local steps on a table's records: what all of them together go is about the same,
 *  however many there are. docs/model.md, "Local steps".
 *  @param steps  of a round, >= 2. @param rounds  >= 1. */
double fm_training_local_rate(uint64_t steps, uint64_t rounds);
/** For all weights of a small language model that learns from texts which are not private, units
 * being sequences: docs/edge.md, "Distillation". */
void fm_training_student_defaults(const fm_training_case *c, fm_training *out);

#endif
