/*
 * Local steps against one step a round: AUC on held-out records by rounds of communication, at the
 * same epsilon. The step, noise, masks, sum and optimizer are those between real nodes.
 *
 * Each cell is the mean over seeds (of split, first weights and noise) at the best of the method's
 * learning rates, chosen by that mean: every method has the same number of them to choose from.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/log.h"
#include "fedmoe/demo/simulate.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/optim/defaults.h"
#include "fedmoe/replay/replay.h"
#include "local_steps.h"

#define SKIPPED 77
#define SEEDS_MAX 20u
#define NO_PRIVACY 1000.0
#define RATES 4u

typedef struct {
    const char *name;
    uint32_t steps;
    fm_optimizer_kind rule;
    double rates
        [RATES]; /* of the local step; of one step a round, and of Adam and Yogi, the server's */
    double local_rate; /* of Adam and Yogi */
    double proximal;
    fm_correction correction;
} method;

static const method methods[] = {
    { "FedSGD, Adam (default)", 1, FM_OPTIMIZER_ADAM, { 0.05, 0.1, 0.2, 0.4 }, 0, 0, 0 },
    { "FedSGD, SGD", 1, FM_OPTIMIZER_SGD, { 2.0, 8.0, 32.0, 128.0 }, 0, 0, 0 },
    { "FedAvg, K = 4", 4, FM_OPTIMIZER_SGD, { 0.5, 2.0, 8.0, 32.0 }, 0, 0, 0 },
    { "FedAvg, K = 16", 16, FM_OPTIMIZER_SGD, { 0.5, 2.0, 8.0, 32.0 }, 0, 0, 0 },
    { "FedProx, K = 16", 16, FM_OPTIMIZER_SGD, { 0.5, 2.0, 8.0, 32.0 }, 0, 0.01, 0 },
    { "SCAFFOLD, K = 4",
      4,
      FM_OPTIMIZER_SGD,
      { 0.5, 2.0, 8.0, 32.0 },
      0,
      0,
      FM_CORRECTION_SCAFFOLD },
    { "SCAFFOLD, K = 16",
      16,
      FM_OPTIMIZER_SGD,
      { 0.5, 2.0, 8.0, 32.0 },
      0,
      0,
      FM_CORRECTION_SCAFFOLD },
    { "FedAdam, K = 4", 4, FM_OPTIMIZER_ADAM, { 0.05, 0.1, 0.2, 0.4 }, 2.0, 0, 0 },
    { "FedYogi, K = 4", 4, FM_OPTIMIZER_YOGI, { 0.05, 0.1, 0.2, 0.4 }, 2.0, 0, 0 },
};
#define METHODS (sizeof methods / sizeof *methods)

typedef struct {
    const char *set, *only;
    uint64_t seeds, rows, rounds;
    double delta, rate, epsilon;
    bool rates; /* print which were best */
} bench_options;

/* One seed's institutions and first weights. */
typedef struct {
    split parts;
    fm_tabular_config config;
    fm_buf model_text;
    size_t parameters;
    float *first; /* [parameters + 1] the phase is last */
} world;

static _Noreturn void stop(void)
{
    exit(fm_cli_failed("bench-local_steps"));
}

static bool open_world(const bench_options *o, uint64_t seed, world *w, const char **why)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    fm_tabular *m = NULL;

    memset(w, 0, sizeof *w);
    if (!split_load(o->set, seed, (size_t)o->rows, &w->parts, why))
        return false;
    fm_tabular_config_default(w->parts.schema, &w->config);
    if (fm_tabular_config_write(&w->config, &w->model_text) != FM_OK ||
        fm_tabular_parameters(&w->config, &w->parameters) != FM_OK ||
        fm_alloc(w->parameters + 1, sizeof(float), (void **)&w->first) != FM_OK ||
        fm_tabular_new(&w->config, 1, &m) != FM_OK)
        stop();
    fm_tabular_init(m, &rng);
    fm_tabular_get(m, w->first);
    fm_tabular_free(&m);
    return true;
}

static void close_world(world *w)
{
    split_fini(&w->parts);
    fm_buf_fini(&w->model_text);
    free(w->first);
}

/* The defaults of optim/defaults.h, and the method's own. */
static void make_plan(const bench_options *o, const world *w, const method *m, double rate,
                      double epsilon, uint32_t rounds, fm_plan *p)
{
    const fm_training_case c = {
        .units = w->parts.units, .delta = o->delta, .start = true, .outputs = 1
    };
    const bool plain = m->rule == FM_OPTIMIZER_SGD;
    fm_tabular_start start;
    fm_dp_lattice_spec lattice;
    fm_training d;

    fm_training_defaults(&c, &d);
    if (fm_tabular_start_of(&w->config, &start) != FM_OK)
        stop();
    *p = (fm_plan){
        .federation = "bench",
        .privacy_unit = FM_UNIT_RECORD,
        .max_unit_rows = 1,
        .epsilon = epsilon,
        .delta = o->delta,
        .clip_norm = d.clip_norm,
        .sampling_rate = o->rate,
        .rounds = rounds,
        .max_units = (uint32_t)(2.0 * w->parts.units),
        .expected_units = w->parts.units,
        .min_cohort = w->parts.nodes,
        .quorum = w->parts.nodes - 1,
        .colluders = 1,
        .max_nodes = w->parts.nodes,
        .mask_density = FM_PLAN_DENSITY_ALL,
        .task = FM_TASK_TRAINING,
        .noise = m->steps > 1 ? FM_NOISE_LOCAL : FM_NOISE_DISTRIBUTED,
        .parameters = (uint32_t)w->parameters + 1,
        .model_text = (char *)w->model_text.data,
        .schema_text = w->parts.schema_text,
        .optimizer = m->rule,
        .learning_rate = plain ? rate * m->steps : rate,
        .momentum = plain ? 0.0 : d.momentum,
        .beta2 = d.beta2,
        .averaging = d.averaging,
        .adam_epsilon = d.adam_epsilon,
        .encoding = FM_ENCODING_FAST,
        .schedule = FM_SCHEDULE_CONSTANT,
        .start_center = (uint32_t)start.center,
        .start_count = (uint32_t)start.count,
        .start_bias = (uint32_t)start.bias,
        .start_scale = start.bias_scale,
        .local_steps = m->steps > 1 ? m->steps : 0,
        .local_rate = m->steps < 2 ? 0.0
                      : plain      ? rate
                                   : m->local_rate,
        .proximal = m->proximal,
        .correction = m->correction,
    };
    if (epsilon < NO_PRIVACY &&
        fm_dp_calibrate(epsilon, o->delta, o->rate, (uint64_t)rounds * m->steps,
                        &p->noise_multiplier) != FM_OK)
        stop();
    lattice = fm_replay_lattice_spec(p);
    p->word_bits = fm_dp_least_word_bits(&lattice);
}

/* AUC on all held-out records together; NaN when the weights ran away. */
static double run_one(const bench_options *o, const world *w, const method *m, double rate,
                      double epsilon, uint32_t rounds, uint64_t seed)
{
    float *result = NULL;
    fm_metrics figures = { 0 };
    fm_rng_seed state;
    fm_plan plan;
    fm_simulation s = { .plan = &plan,
                        .initial = w->first,
                        .tables = w->parts.train,
                        .nodes = w->parts.nodes,
                        .rng = fm_rng_seeded(&state, 1000 + seed) };
    fm_status st;

    make_plan(o, w, m, rate, epsilon, rounds, &plan);
    if (fm_alloc(plan.parameters, sizeof *result, (void **)&result) != FM_OK)
        stop();
    st = fm_simulate(&s, result);
    if (st == FM_OK)
        st = fm_simulation_evaluate(&plan, result, &w->parts.test, &figures);
    if (st != FM_OK && st != FM_ENONFINITE)
        stop();
    fm_error_clear();
    free(result);
    return st == FM_OK ? figures.auc : NAN;
}

typedef struct {
    double mean, error, rate;
} cell;

static cell measure(const bench_options *o, const world *worlds, const method *m, double epsilon,
                    uint32_t rounds)
{
    cell best = { NAN, 0, 0 };

    for (size_t r = 0; r < RATES; r++) {
        double sum = 0.0, squares = 0.0, n = (double)o->seeds, mean;

        for (uint64_t s = 0; s < o->seeds; s++) {
            const double auc = run_one(o, &worlds[s], m, m->rates[r], epsilon, rounds, s);

            sum += auc;
            squares += auc * auc;
        }
        mean = sum / n;
        if (isfinite(mean) && !(mean < best.mean))
            best = (cell){ mean, n > 1 ? sqrt(fmax(squares / n - mean * mean, 0) / (n - 1)) : 0.0,
                           m->rates[r] };
    }
    return best;
}

static void print_table(const bench_options *o, const world *worlds, double epsilon)
{
    static const uint32_t rounds[] = { 5, 20, 80 };
    const size_t columns = sizeof rounds / sizeof *rounds;

    printf("\n%s, %u institutions, %g units, ", o->set, worlds->parts.nodes, worlds->parts.units);
    if (epsilon < NO_PRIVACY)
        printf("epsilon %g at delta %g\n", epsilon, o->delta);
    else
        printf("no privacy\n");
    printf("%-24s", "AUC after rounds");
    for (size_t i = 0; i < columns && rounds[i] <= o->rounds; i++)
        printf(" %16u", rounds[i]);
    printf("\n");
    for (size_t i = 0; i < METHODS; i++) {
        if (o->only && !strstr(methods[i].name, o->only))
            continue;
        printf("%-24s", methods[i].name);
        for (size_t k = 0; k < columns && rounds[k] <= o->rounds; k++) {
            const cell c = measure(o, worlds, &methods[i], epsilon, rounds[k]);

            printf("  %.4f +- %.4f", c.mean, c.error);
            if (o->rates)
                printf(" @%g", c.rate);
        }
        printf("\n");
    }
}

static int run(const bench_options *o)
{
    static const double epsilons[] = { NO_PRIVACY, 8.0, 1.0 };
    world worlds[SEEDS_MAX];
    const char *why = NULL;

    for (uint64_t s = 0; s < o->seeds; s++)
        if (!open_world(o, s + 1, &worlds[s], &why)) {
            printf("skipped: %s\n", why);
            return SKIPPED;
        }
    for (size_t i = 0; i < sizeof epsilons / sizeof *epsilons; i++)
        if (o->epsilon == 0.0 || o->epsilon == epsilons[i])
            print_table(o, worlds, epsilons[i]);
    for (uint64_t s = 0; s < o->seeds; s++)
        close_world(&worlds[s]);
    return 0;
}

int main(int argc, char **argv)
{
    bench_options o = {
        .set = "heart_disease", .seeds = 5, .rows = 6000, .rounds = 80, .delta = 1e-4, .rate = 1.0
    };
    const fm_cli_option options[] = {
        { "set", FM_CLI_STRING, &o.set, "NAME",
          "heart_disease (default), adult, credit_default or diabetes130", false, 0, 0 },
        { "method", FM_CLI_STRING, &o.only, "TEXT", "those with this in their names", false, 0, 0 },
        { "seeds", FM_CLI_U64, &o.seeds, "N", "how many (default 5)", false, 1, SEEDS_MAX },
        { "rows", FM_CLI_U64, &o.rows, "N", "of the larger sets (default 6000)", false, 100,
          100000 },
        { "rounds", FM_CLI_U64, &o.rounds, "N", "no columns above (default 80)", false, 5, 80 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "1000, 8 or 1; default all", false, 1, 1000 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "default 1e-4", false, 1e-12, 0.1 },
        { "rate", FM_CLI_DOUBLE, &o.rate, "Q", "sampling rate (default 1)", false, 1e-6, 1 },
        { "rates", FM_CLI_FLAG, &o.rates, NULL, "print which learning rate was best", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-local_steps",
                               .summary = "Local steps and server rules by rounds.",
                               .examples = "./dev bench local_steps --set credit_default",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run(&o);
}
