#include "dpsgd_round.h"

#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/train/run.h"

#define IN_A_ROW 10u

typedef struct {
    uint64_t at_ns[DPSGD_ROUNDS_MAX];
} log_of_rounds;

static void note(void *ctx, uint64_t done)
{
    ((log_of_rounds *)ctx)->at_ns[done - 1] = fm_clock_now_ns();
}

static double fastest_s(const log_of_rounds *g, size_t rounds)
{
    uint64_t best = UINT64_MAX;

    for (size_t i = IN_A_ROW; i < rounds; i++) {
        const uint64_t took = g->at_ns[i] - g->at_ns[i - IN_A_ROW];

        best = took < best ? took : best;
    }
    return (double)best * 1e-9 / IN_A_ROW;
}

fm_status dpsgd_round(const dpsgd_learner *l, size_t experts, size_t rounds, double *out)
{
    const fm_tabular_config model = dpsgd_moe(experts);
    const fm_table records = dpsgd_records(l);
    const size_t least = rounds > IN_A_ROW ? rounds : IN_A_ROW + 1;
    const fm_training training = { .clip_norm = 1.0,
                                   .sampling_rate = (double)DPSGD_BATCH / DPSGD_RECORDS,
                                   .rounds = least < DPSGD_ROUNDS_MAX ? least : DPSGD_ROUNDS_MAX,
                                   .rule = FM_OPTIM_SGD,
                                   .learning_rate = 0.05,
                                   .schedule = FM_OPTIM_CONSTANT };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 1);
    log_of_rounds times;
    fm_train_run_spec spec = { .model = &model,
                               .table = &records,
                               .training = &training,
                               .noise_multiplier = 1.0,
                               .units = DPSGD_RECORDS,
                               .max_units = DPSGD_RECORDS,
                               .unit_rows = 1,
                               .encoding = FM_DP_FAST,
                               .threads = 1,
                               .rng = &rng,
                               .progress = note,
                               .progress_ctx = &times };
    float *weights = NULL;
    fm_tabular *m = NULL;
    fm_status st;

    if ((st = fm_tabular_new(&model, DPSGD_BATCH, &m)) == FM_OK &&
        (st = fm_alloc(dpsgd_parameters(l), sizeof *weights, (void **)&weights)) == FM_OK) {
        fm_tabular_init(m, &rng);
        fm_tabular_get(m, weights);
        spec.weights = weights;
        if ((st = fm_train_run(&spec, m)) == FM_OK)
            *out = fastest_s(&times, training.rounds);
    }
    free(weights);
    fm_tabular_free(&m);
    return st;
}
