/*
 * Quality of the federated model on the four UCI hospitals, and on FLamby's split, at the epsilon
 * that is printed. The same step, noise, masks, sum and optimizer as between real nodes.
 * Noise is seeded here, so that the figures can be printed again; a federation's never is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "heart.h"

#define VA 3u
#define FLAMBY_SEEDS 5u
#define NO_PRIVACY 1000.0

typedef struct {
    const char *shared;
    uint64_t seeds, first_seed, rounds, quorum, colluders, word_bits;
    double delta;
    bool local_noise;
} bench_options;

typedef struct {
    double sum, squares;
    uint64_t n;
} mean;

static void add(mean *m, double v)
{
    m->sum += v;
    m->squares += v * v;
    m->n++;
}

static double average(const mean *m)
{
    return m->sum / (double)m->n;
}

static double standard_error(const mean *m)
{
    double n = (double)m->n, a = average(m);

    return m->n < 2 ? 0.0 : sqrt(fmax(m->squares / n - a * a, 0.0) / (n - 1.0));
}

typedef struct {
    mean auc, accuracy, va_federated, va_alone, accuracy_of_four;
} figures;

static fm_status join(fm_table all[2], const heart_run *r)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < HOSPITALS; i++)
        st = fm_table_append(&all[0], &r->test[i]);
    return st;
}

static fm_status measure(const heart_run *r, figures *f)
{
    const fm_plan *plan = &r->config.plan;
    fm_table all[2] = { 0 };
    fm_metrics m;
    double accuracy = 0.0;
    fm_status st;

    if ((st = join(all, r)) != FM_OK ||
        (st = fm_simulation_evaluate(plan, r->result, &all[0], &m)) != FM_OK)
        goto done;
    add(&f->auc, m.auc);
    add(&f->accuracy, m.accuracy);
    for (size_t i = 0; i < HOSPITALS; i++) {
        if ((st = fm_simulation_evaluate(plan, r->result, &r->test[i], &m)) != FM_OK)
            goto done;
        accuracy += m.accuracy / HOSPITALS;
        if (i == VA)
            add(&f->va_federated, m.auc);
    }
    add(&f->accuracy_of_four, accuracy);
done:
    fm_table_fini(&all[0]);
    return st;
}

static fm_status train(heart_run *r, fm_rng rng)
{
    const fm_simulation s = { .plan = &r->config.plan,
                              .initial = r->first,
                              .tables = r->train,
                              .nodes = HOSPITALS,
                              .rng = rng };

    return fm_simulate(&s, r->result);
}

static fm_status train_alone(heart_run *r, fm_rng rng, figures *f)
{
    fm_metrics m;
    fm_status st = fm_simulate_alone(&r->config.plan, r->first, &r->train[VA], rng, r->result);

    if (st == FM_OK &&
        (st = fm_simulation_evaluate(&r->config.plan, r->result, &r->test[VA], &m)) == FM_OK)
        add(&f->va_alone, m.auc);
    return st;
}

static size_t count_records(const fm_demo_hospital h[HOSPITALS])
{
    size_t n = 0;

    for (size_t i = 0; i < HOSPITALS; i++)
        n += h[i].train_records;
    return n;
}

static heart_setting setting(const bench_options *o, double epsilon, uint64_t seed,
                             const char *schema, size_t records)
{
    return (heart_setting){ .epsilon = epsilon,
                            .delta = o->delta,
                            .quorum = (uint32_t)o->quorum,
                            .colluders = (uint32_t)o->colluders,
                            .local_noise = o->local_noise,
                            .word_bits = epsilon < NO_PRIVACY ? (uint32_t)o->word_bits : 0,
                            .rounds = o->rounds,
                            .seed = seed,
                            .schema = schema,
                            .records = records };
}

/* One seed: its split, first weights and noise. */
static fm_status one_seed(const bench_options *o, const char *data, double epsilon, uint64_t seed,
                          figures *f)
{
    fm_demo_hospital h[HOSPITALS];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    heart_run r;
    heart_setting s;
    fm_status st = fm_demo_hospitals_load(data, seed, h);

    if (st != FM_OK)
        return st;
    s = setting(o, epsilon, seed, fm_demo_schema_text, count_records(h));
    if ((st = heart_open(&s, h, &r)) == FM_OK) {
        if ((st = train(&r, rng)) == FM_OK && (st = measure(&r, f)) == FM_OK)
            st = train_alone(&r, rng, f);
        heart_close(&r);
    }
    fm_demo_hospitals_fini(h);
    return st;
}

static fm_status hospitals(const bench_options *o, const char *data)
{
    static const double epsilons[] = { 1.0, 4.0, NO_PRIVACY };
    static const char *const targets[] = { "at least 0.885, aim 0.895", "at least 0.895, aim 0.900",
                                           "the limit: no noise" };
    fm_status st = FM_OK;

    printf("Four hospitals, %llu seeds from %llu, delta %g, %llu rounds, quorum %llu, colluders "
           "%llu, %s noise\n%-10s %-18s %-10s %-18s %-18s\n",
           (unsigned long long)o->seeds, (unsigned long long)o->first_seed, o->delta,
           (unsigned long long)o->rounds, (unsigned long long)o->quorum,
           (unsigned long long)o->colluders, o->local_noise ? "local" : "distributed", "epsilon",
           "AUC, all tests", "accuracy", "VA federated", "VA alone");
    for (size_t e = 0; st == FM_OK && e < 3; e++) {
        figures f = { 0 };
        uint64_t started = fm_clock_now_ms();

        for (uint64_t s = 0; st == FM_OK && s < o->seeds; s++)
            st = one_seed(o, data, epsilons[e], o->first_seed + s, &f);
        if (st != FM_OK)
            break;
        printf("%-10.4g %.4f (se %.4f) %.4f     %.4f (se %.4f) %.4f (se %.4f)   %s; %.1f s\n",
               epsilons[e], average(&f.auc), standard_error(&f.auc), average(&f.accuracy),
               average(&f.va_federated), standard_error(&f.va_federated), average(&f.va_alone),
               standard_error(&f.va_alone), targets[e],
               (double)(fm_clock_now_ms() - started) / 1000.0);
    }
    return st;
}

static fm_status flamby(const bench_options *o, const char *data, const char *split)
{
    fm_demo_hospital h[HOSPITALS];
    char *schema = NULL;
    figures f = { 0 };
    fm_status st = heart_flamby_load(data, split, h, &schema);

    for (uint64_t seed = 42; st == FM_OK && seed < 42 + FLAMBY_SEEDS; seed++) {
        fm_rng_seed state;
        heart_setting s = setting(o, 1.0, seed, schema, count_records(h));
        heart_run r;

        if ((st = heart_open(&s, h, &r)) != FM_OK)
            break;
        if ((st = train(&r, fm_rng_seeded(&state, seed))) == FM_OK)
            st = measure(&r, &f);
        heart_close(&r);
    }
    if (st == FM_OK)
        printf("\nFLamby's split, accuracy, mean of four hospitals, epsilon 1, %u seeds: %.4f (se "
               "%.4f)   at least 0.70, aim 0.735\n"
               "  (published without privacy: FedAvg 0.685, pooled 0.735; part of the difference "
               "is FLamby's normalisation by each centre's own records)\n",
               FLAMBY_SEEDS, average(&f.accuracy_of_four), standard_error(&f.accuracy_of_four));
    fm_demo_hospitals_fini(h);
    free(schema);
    return st;
}

static fm_status run(const bench_options *o)
{
    char data[4096], split[4096];
    struct stat s;
    fm_status st;

    snprintf(data, sizeof data, "%s/data/heart_disease", o->shared);
    snprintf(split, sizeof split,
             "%s/data/flamby_results/fed_heart_disease_flamby_split_raw_features.csv", o->shared);
    if (stat(data, &s) != 0) {
        printf("skipped: %s is not there (the UCI heart-disease files)\n", data);
        exit(77);
    }
    if ((st = hospitals(o, data)) != FM_OK)
        return st;
    if (stat(split, &s) != 0) {
        printf("\nFLamby's split: skipped, %s is not there\n", split);
        return FM_OK;
    }
    return flamby(o, data, split);
}

int main(int argc, char **argv)
{
    bench_options o = { .shared = "../shared",
                        .seeds = 20,
                        .first_seed = 1,
                        .rounds = 161,
                        .quorum = 3,
                        .colluders = 1,
                        .delta = 1e-4 };
    const fm_cli_option options[] = {
        { "shared", FM_CLI_STRING, &o.shared, "DIR",
          "where data/ lies (default ../shared, or "
          "FEDMOE_SHARED)",
          false, 0, 0 },
        { "seeds", FM_CLI_U64, &o.seeds, "N", "how many (default 20)", false, 1, 10000 },
        { "first-seed", FM_CLI_U64, &o.first_seed, "N", "default 1", false, 0, 1e9 },
        { "rounds", FM_CLI_U64, &o.rounds, "N", "default 161", false, 1, 10000 },
        { "quorum", FM_CLI_U64, &o.quorum, "N", "default 3", false, 3, 4 },
        { "colluders", FM_CLI_U64, &o.colluders, "N", "default 1", false, 0, 2 },
        { "word-bits", FM_CLI_U64, &o.word_bits, "N", "16, 24 or 32; default: the least that serve",
          false, 16, 32 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "default 1e-4", false, 1e-12, 0.1 },
        { "local-noise", FM_CLI_FLAG, &o.local_noise, NULL,
          "every node's noise is enough by itself (the plan's noise: local)", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-heart_disease",
                               .summary = "Quality of the federated model on real hospitals.",
                               .examples = "./dev bench heart_disease --seeds 20",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;

    if (getenv("FEDMOE_SHARED"))
        o.shared = getenv("FEDMOE_SHARED");
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
