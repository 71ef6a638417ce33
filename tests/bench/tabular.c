/*
 * Quality of the tabular model with the project's defaults, nothing tuned: AUC on held-out records
 * of four public data sets at epsilon 1 and 4 and without privacy, beside logistic regression
 * without privacy on the same features. With --balance, ways of balancing the experts instead.
 * Noise is seeded here, so that the figures can be had again; a real training's never is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blas_core.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/metrics.h"
#include "tabular_around.h"
#include "tabular_logistic.h"
#include "tabular_train.h"

#define SKIPPED 77
#define RIDGE 1.0

typedef struct {
    uint64_t seeds, first_seed, threads, units;
    const char *only, *model;
    bool balance, no_start, around;
    double load_share, balance_rate, router_entropy, epsilon;
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
    return m->n ? m->sum / (double)m->n : NAN;
}

static double standard_error(const mean *m)
{
    const double n = (double)m->n, a = average(m);

    return m->n < 2 ? 0.0 : sqrt(fmax(m->squares / n - a * a, 0.0) / (n - 1.0));
}

/* All that is measured of one data set at one epsilon, or with one balance. */
typedef struct {
    mean auc, accuracy, log_loss, slope, imbalance, seconds;
    tabular_result last;
} figures;

static fm_status logistic_auc(const tabular_split *d, double *out)
{
    double *weights = NULL;
    float *logits = NULL;
    fm_metrics m;
    fm_status st;

    if ((st = fm_alloc(d->train.features + 1, sizeof *weights, (void **)&weights)) == FM_OK &&
        (st = fm_alloc(d->test.rows, sizeof *logits, (void **)&logits)) == FM_OK) {
        tabular_logistic_fit(&d->train, RIDGE, weights);
        tabular_logistic_predict(&d->test, weights, logits);
        if ((st = fm_metrics_compute(logits, d->test.y, d->test.rows, &m)) == FM_OK)
            *out = m.auc;
    }
    free(weights);
    free(logits);
    return st;
}

static fm_status one(const tabular_set *s, const tabular_split *d, const tabular_setting *setting,
                     figures *f)
{
    fm_status st = tabular_train(s, d, setting, &f->last);

    if (st == FM_OK) {
        add(&f->auc, f->last.auc);
        add(&f->accuracy, f->last.accuracy);
        add(&f->log_loss, f->last.log_loss);
        add(&f->slope, f->last.slope);
        add(&f->imbalance, f->last.imbalance);
        add(&f->seconds, f->last.seconds);
    }
    return st;
}

static void print_target(double auc, const char *what, double target)
{
    if (target > 0.0)
        printf("  %s %.3f%s", what, target, auc >= target ? " reached" : "");
}

static void print_auc(const char *name, const figures *f)
{
    printf("  %-14s %.4f +- %.4f   accuracy %.4f   log loss %.4f   slope %.2f   imbalance %.2f   "
           "%.1f s",
           name, average(&f->auc), standard_error(&f->auc), average(&f->accuracy),
           average(&f->log_loss), average(&f->slope), average(&f->imbalance), average(&f->seconds));
}

static void print_choice(const tabular_result *r)
{
    const fm_training *t = &r->training;

    printf("    epsilon %.4g at delta %.3g, %llu rounds at rate %.3g, noise %.3g, clip norm %.3g, "
           "learning rate %.3g, %zu parameters\n",
           r->spent, r->delta, (unsigned long long)t->rounds, t->sampling_rate, r->noise_multiplier,
           t->clip_norm, t->learning_rate, r->parameters);
}

enum { EPSILON_1, EPSILON_4, NO_NOISE, ARMS };
static const double arm_epsilon[ARMS] = { 1.0, 4.0, FM_TRAINING_NO_PRIVACY };

static void print_quality(const tabular_set *s, const figures f[ARMS], const mean *logistic)
{
    printf("  %-14s %.4f +- %.4f", "logistic", average(logistic), standard_error(logistic));
    if (s->logistic > 0.0)
        printf("   elsewhere: logistic %.3f, boosted trees %.3f", s->logistic, s->trees);
    printf("\n");
    print_auc("no privacy", &f[NO_NOISE]);
    printf("\n");
    print_choice(&f[NO_NOISE].last);
    print_auc("epsilon 4", &f[EPSILON_4]);
    print_target(average(&f[EPSILON_4].auc), "aim", s->aim_4);
    printf("\n");
    print_choice(&f[EPSILON_4].last);
    print_auc("epsilon 1", &f[EPSILON_1]);
    print_target(average(&f[EPSILON_1].auc), "at least", s->least_1);
    print_target(average(&f[EPSILON_1].auc), "aim", s->aim_1);
    printf("\n");
    print_choice(&f[EPSILON_1].last);
}

static tabular_setting setting_of(const bench_options *o, uint64_t seed)
{
    return (tabular_setting){ .epsilon = 1.0,
                              .seed = seed,
                              .load_share = o->load_share,
                              .balance_rate = o->balance_rate,
                              .router_entropy = o->router_entropy,
                              .model = o->model,
                              .no_start = o->no_start,
                              .threads = (unsigned)o->threads };
}

static void print_title(const tabular_set *s, const tabular_split *d)
{
    printf("%s: %zu units (%zu records) to train, %zu records held out, %zu features\n", s->name,
           tabular_units(&d->train), d->train.rows, d->test.rows, d->train.features);
}

static fm_status quality(const bench_options *o, const tabular_set *s, bool *skipped)
{
    figures f[ARMS];
    mean logistic = { 0 };
    const char *why = NULL;
    fm_status st = FM_OK;

    memset(f, 0, sizeof f);
    for (uint64_t i = 0; st == FM_OK && i < o->seeds; i++) {
        tabular_setting setting = setting_of(o, o->first_seed + i);
        tabular_split d;
        double auc = 0.0;

        if (!tabular_load(s, setting.seed, &d, &why)) {
            printf("%s: skipped: %s\n", s->name, why);
            *skipped = true;
            return FM_OK;
        }
        if (i == 0)
            print_title(s, &d);
        if ((st = logistic_auc(&d, &auc)) == FM_OK)
            add(&logistic, auc);
        for (int a = 0; st == FM_OK && a < ARMS; a++) {
            setting.epsilon = arm_epsilon[a];
            st = one(s, &d, &setting, &f[a]);
        }
        tabular_fini(&d);
    }
    if (st == FM_OK)
        print_quality(s, f, &logistic);
    return st;
}

static fm_status balance(const bench_options *o, const tabular_set *s, bool *skipped)
{
    static const char *const names[] = { "as by default", "none", "noised counts", "entropy term" };
    figures f[TABULAR_ENTROPY + 1];
    const char *why = NULL;
    fm_status st = FM_OK;

    memset(f, 0, sizeof f);
    for (uint64_t i = 0; st == FM_OK && i < o->seeds; i++) {
        tabular_setting setting = setting_of(o, o->first_seed + i);
        tabular_split d;

        if (!tabular_load(s, setting.seed, &d, &why)) {
            printf("%s: skipped: %s\n", s->name, why);
            *skipped = true;
            return FM_OK;
        }
        if (i == 0)
            print_title(s, &d);
        for (int b = TABULAR_ALONE; st == FM_OK && b <= TABULAR_ENTROPY; b++) {
            setting.balance = (tabular_balance)b;
            st = one(s, &d, &setting, &f[b]);
        }
        tabular_fini(&d);
    }
    for (int b = TABULAR_ALONE; st == FM_OK && b <= TABULAR_ENTROPY; b++) {
        print_auc(names[b], &f[b]);
        printf("\n");
    }
    return st;
}

static int run(const bench_options *o, const char *program)
{
    bool skipped = false, any = false;
    fm_status st = FM_OK;

    if (o->around)
        printf("AUC on held-out records at the defaults, and beside them; mean of %llu seeds\n",
               (unsigned long long)o->seeds);
    else if (o->balance)
        printf("Balancing of experts at epsilon 1, mean +- standard error of %llu seeds; counts: "
               "share %g of the clip norm, rate %g; entropy term %g\n",
               (unsigned long long)o->seeds, o->load_share, o->balance_rate, o->router_entropy);
    else
        printf("AUC on held-out records with the defaults, delta n^-1.1, mean +- standard error of "
               "%llu seeds\n",
               (unsigned long long)o->seeds);
    for (size_t i = 0; st == FM_OK && i < tabular_set_count; i++) {
        if (o->only && strcmp(o->only, tabular_sets[i].name) != 0)
            continue;
        any = true;
        st = o->around    ? tabular_around(&tabular_sets[i], o->seeds, (size_t)o->units,
                                           (unsigned)o->threads, o->epsilon, &skipped)
             : o->balance ? balance(o, &tabular_sets[i], &skipped)
                          : quality(o, &tabular_sets[i], &skipped);
    }
    if (!any)
        st = fm_fail(FM_EINVAL, "%s is no data set of this benchmark", o->only);
    return st != FM_OK ? fm_cli_failed(program) : skipped ? SKIPPED : 0;
}

int main(int argc, char **argv)
{
    bench_options o = {
        .seeds = 5, .first_seed = 1, .load_share = 0.1, .balance_rate = 0.05, .router_entropy = 0.01
    };
    const fm_cli_option options[] = {
        { "set", FM_CLI_STRING, &o.only, "NAME",
          "one only: adult, credit_default, diabetes130, heart_disease", false, 0, 0 },
        { "seeds", FM_CLI_U64, &o.seeds, "N", "how many (default 5)", false, 1, 1000 },
        { "first-seed", FM_CLI_U64, &o.first_seed, "N", "default 1", false, 0, 1e9 },
        { "model", FM_CLI_STRING, &o.model, "FILE", "model.yaml instead of the default", false, 0,
          0 },
        { "threads", FM_CLI_U64, &o.threads, "N", "default all processors", false, 1, 256 },
        { "no-statistics-round", FM_CLI_FLAG, &o.no_start, NULL, "begin with gradients", false, 0,
          0 },
        { "balance", FM_CLI_FLAG, &o.balance, NULL, "ways of balancing the experts", false, 0, 0 },
        { "around", FM_CLI_FLAG, &o.around, NULL, "half and twice each default", false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "of --around: 1, 8 or 1000; default all",
          false, 1, 1000 },
        { "units", FM_CLI_U64, &o.units, "N", "of --around: train on no more (default all)", false,
          0, 10000000 },
        { "load-share", FM_CLI_DOUBLE, &o.load_share, "S", "of noised counts (default 0.1)", false,
          1e-3, 0.5 },
        { "balance-rate", FM_CLI_DOUBLE, &o.balance_rate, "R", "of the biases (default 0.05)",
          false, 1e-6, 10 },
        { "router-entropy", FM_CLI_DOUBLE, &o.router_entropy, "W",
          "weight of the term (default 0.01)", false, 1e-6, 100 },
    };
    const fm_cli_spec spec = { .program = "bench-tabular",
                               .summary = "Quality of the tabular model with the defaults.",
                               .examples = "./dev bench tabular\n./dev bench tabular --set adult\n"
                                           "./dev bench tabular --balance",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    bench_blas blas;
    int first = 0, code;

    bench_blas_core(argv, &blas); /* logistic regression is OpenBLAS's */
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    setvbuf(stdout, NULL, _IOLBF, 0);
    fm_log_set_level(FM_LOG_ERROR); /* that the noise is seeded is said above */
    return run(&o, spec.program);
}
