#include "dpsgd_round.h"

#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/train/run.h"

#define IN_A_ROW 10u
#define ROUNDS_MAX 1000u
#define MANY_RECORDS 2048u

typedef struct {
    uint64_t at_ns[ROUNDS_MAX];
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

static fm_status measure(const dpsgd_learner *l, const dpsgd_training *plan, size_t rounds,
                         double *out)
{
    const fm_tabular_config model = dpsgd_moe(plan->experts);
    const fm_table records = dpsgd_records(l);
    const size_t least = rounds > IN_A_ROW ? rounds : IN_A_ROW + 1;
    const fm_training training = { .clip_norm = 1.0,
                                   .sampling_rate = (double)plan->batch / DPSGD_RECORDS,
                                   .rounds = least < ROUNDS_MAX ? least : ROUNDS_MAX,
                                   .rule = FM_OPTIM_SGD,
                                   .learning_rate = 0.05,
                                   .schedule = FM_OPTIM_CONSTANT };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 1);
    log_of_rounds times;
    fm_train_run_spec spec = { .learner = fm_learner_tabular(&model, &records),
                               .training = &training,
                               .noise_multiplier = 1.0,
                               .units = DPSGD_RECORDS,
                               .max_units = DPSGD_RECORDS,
                               .unit_rows = 1,
                               .encoding = FM_DP_FAST,
                               .threads = plan->threads,
                               .rng = &rng,
                               .progress = note,
                               .progress_ctx = &times };
    float *weights = NULL;
    fm_tabular *m = NULL;
    size_t parameters = 0;
    fm_status st;

    if ((st = fm_tabular_parameters(&model, &parameters)) == FM_OK &&
        (st = fm_tabular_new(&model, DPSGD_BATCH, &m)) == FM_OK &&
        (st = fm_alloc(parameters, sizeof *weights, (void **)&weights)) == FM_OK) {
        fm_tabular_init(m, &rng);
        fm_tabular_get(m, weights);
        spec.weights = weights;
        if ((st = fm_train_run_tabular(&spec, m)) == FM_OK)
            *out = fastest_s(&times, training.rounds);
    }
    free(weights);
    fm_tabular_free(&m);
    return st;
}

enum { FEW, FEW_TWO_THREADS, FEW_LARGE, MANY, MANY_LARGE };

const dpsgd_training dpsgd_trainings[DPSGD_TRAININGS] = {
    [FEW] = { 8, DPSGD_BATCH, 1, 0.0 },          [FEW_TWO_THREADS] = { 8, DPSGD_BATCH, 2, 0.0 },
    [FEW_LARGE] = { 8, MANY_RECORDS, 1, 0.0 },   [MANY] = { 64, DPSGD_BATCH, 1, 0.0 },
    [MANY_LARGE] = { 64, MANY_RECORDS, 1, 0.0 },
};

fm_status dpsgd_training_measure(const dpsgd_learner *l, double seconds, dpsgd_training *t)
{
    const double guess_s = t->best_s > 0.0 ? t->best_s : 10e-3;
    double s = 0.0;
    fm_status st = measure(l, t, (size_t)(seconds / guess_s), &s);

    if (st == FM_OK && (t->best_s == 0.0 || s < t->best_s))
        t->best_s = s;
    return st;
}

/* Thousand samples a second. */
static double rate(const dpsgd_training *t)
{
    return t->best_s > 0.0 ? (double)t->batch / t->best_s * 1e-3 : 0.0;
}

void dpsgd_trainings_print(const dpsgd_training all[DPSGD_TRAININGS])
{
    printf("\nThousand samples a second of whole rounds of fedmoe-model train: MoE\n");
    for (int i = 0; i < DPSGD_TRAININGS; i++)
        printf("  %2zu experts, %4zu records a round, %u thread%s %8.1f\n", all[i].experts,
               all[i].batch, all[i].threads, all[i].threads > 1 ? "s" : " ", rate(&all[i]));
    printf("  64 experts to 8, times: %.2f at %u records, %.2f at %u\n",
           rate(&all[FEW]) / rate(&all[MANY]), DPSGD_BATCH,
           rate(&all[FEW_LARGE]) / rate(&all[MANY_LARGE]), MANY_RECORDS);
}
