/* One training with the project's defaults, and what comes of it on the held-out records. */
#ifndef FEDMOE_BENCH_TABULAR_TRAIN_H
#define FEDMOE_BENCH_TABULAR_TRAIN_H

#include "fedmoe/train/run.h"
#include "tabular_data.h"

typedef enum {
    TABULAR_DEFAULT, /* whatever the defaults do */
    TABULAR_ALONE,   /* no balancing of experts */
    TABULAR_COUNTS,  /* by noised load counts */
    TABULAR_ENTROPY, /* by a term in each record's own loss */
} tabular_balance;

typedef struct {
    double epsilon; /* FM_TRAINING_NO_PRIVACY or more: no noise */
    uint64_t seed;  /* of first weights, sampling and noise: so that figures can be had again */
    tabular_balance balance;
    double load_share, balance_rate; /* of TABULAR_COUNTS */
    double router_entropy;           /* of TABULAR_ENTROPY */
    const char *model;               /* model.yaml, or NULL for the default */
    unsigned threads;
    bool no_start;                               /* no statistics round */
    double rate_times, clip_times, rounds_times; /* of the defaults; 0 is 1 */
} tabular_setting;

typedef struct {
    double auc, accuracy, log_loss, slope;
    double imbalance; /* of the held-out records: busiest expert's share times the number of
                         experts, the mean over blocks; 1 is even, NaN without experts */
    double spent, delta, noise_multiplier, seconds;
    size_t parameters;
    fm_training training; /* what was chosen */
} tabular_result;

FM_NODISCARD fm_status tabular_train(const tabular_set *s, const tabular_split *data,
                                     const tabular_setting *setting, tabular_result *out);

#endif
