/*
 * Fine-tuning: what adapters gain of what a training of all weights gains, without privacy, on texts
 * of hospitals and banks (../shared/data/text); and what a private step costs beside the same step
 * without privacy, in time and in memory.
 *
 * A model is trained on conversations with doctors and adapted on 1,000 questions to a bank. Learning
 * rate and number of passes of each way are chosen on texts that the figures are not of.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/log.h"
#include "finetune_cost.h"
#include "finetune_private.h"
#include "finetune_texts.h"
#include "fm_test.h"

#define CONTEXT 256
#define BATCH 2048
#define SEEDS_MOST 100

typedef struct {
    uint64_t seeds, passes, tune_passes, records, rank, tries, sequences;
    const char *preset, *write, *only; /* ways with that in their names; NULL: all */
    bool private, both, choose;        /* measure that; on the texts that choose */
    bool apart;                        /* each way and seed in a process of its own */
    bench_private training;
} setting;

static const char bank[] = "name: bank\nsource: csv\ntext: text\nunit: record\n";
static const char ward[] = "name: ward\nsource: csv\ntemplate: \"{dialogue}\\n\\n{section_header}: "
                           "{section_text}\"\nunit: record\n";

/* ---- what is gained ---- */

typedef struct {
    fm_corpus train, choose, test;
} split;

/* A way to fine-tune. */
typedef struct {
    const char *name;
    bool adapters, train_a, square;
    unsigned maps;
    double rates[3];
} way;

static fm_decoder *copy_of(const fm_decoder *base, const way *w, uint64_t rank, uint64_t seed)
{
    const fm_decoder_options o = { .max_tokens = BATCH,
                                   .train = w->adapters ? FM_TRAIN_NONE : FM_TRAIN_ALL,
                                   .adapters = { .rank = w->adapters ? (size_t)rank : 0,
                                                 .alpha = 2.0 * (double)rank,
                                                 .maps = w->maps,
                                                 .train_a = w->train_a,
                                                 .square = w->square } };
    fm_decoder *d = NULL;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);

    bench_need(fm_decoder_new(fm_decoder_get_config(base), &o, &d));
    fm_decoder_get(base, fm_decoder_weights(d));
    bench_need(fm_decoder_refresh(d));
    if (w->adapters)
        bench_need(fm_decoder_adapters_init(d, &rng));
    return d;
}

/* Test loss where the loss that chooses is least. */
static double tuned(const setting *s, const fm_decoder *base, const way *w, const split *t,
                    uint64_t seed)
{
    double best = INFINITY, test = INFINITY, rate = 0.0;
    uint64_t pass = 0;

    for (size_t k = 0; k < 3; k++) {
        fm_decoder *d = copy_of(base, w, s->rank, seed);
        bench_adam *adam = NULL;
        fm_rng_seed state;
        fm_rng rng = fm_rng_seeded(&state, 100 + seed);
        const uint64_t steps = s->tune_passes * (t->train.starts[t->train.sequences] / BATCH + 1);

        for (uint64_t p = 0; p < s->tune_passes; p++) {
            double loss;

            bench_pass(d, &t->train, BATCH, w->rates[k], steps, &rng, &adam);
            if ((loss = bench_loss(d, &t->choose)) < best) {
                best = loss;
                test = s->choose ? best : bench_loss(d, &t->test);
                rate = w->rates[k];
                pass = p + 1;
            }
        }
        bench_pass_free(&adam);
        fm_decoder_free(&d);
    }
    printf("    %-34s loss %.4f (rate %g, pass %llu of %llu)\n", w->name, test, rate,
           (unsigned long long)pass, (unsigned long long)s->tune_passes);
    fflush(stdout);
    return test;
}

static fm_decoder *pretrain(const setting *s, const fm_corpus *c, uint64_t seed)
{
    const fm_decoder_options o = { .max_tokens = BATCH, .train = FM_TRAIN_ALL };
    const uint64_t steps = s->passes * (c->starts[c->sequences] / BATCH + 1);
    fm_decoder *d = bench_decoder(s->preset, seed, &o);
    bench_adam *adam = NULL;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);

    for (uint64_t p = 0; p < s->passes; p++)
        bench_pass(d, c, BATCH, 0.003, steps, &rng, &adam);
    bench_pass_free(&adam);
    return d;
}

static const way ways[] = {
    { "all weights", false, false, false, 0, { 0.001, 0.002, 0.004 } },
    { "B, attention and shared", true, false, false, BENCH_DEFAULT_MAPS, { 0.005, 0.01, 0.02 } },
    { "A and B, attention and shared",
      true,
      true,
      false,
      BENCH_DEFAULT_MAPS,
      { 0.002, 0.005, 0.01 } },
    { "B, all maps", true, false, false, FM_ADAPT_ALL, { 0.005, 0.01, 0.02 } },
    { "A and B, all maps", true, true, false, FM_ADAPT_ALL, { 0.002, 0.005, 0.01 } },
    { "R, attention and shared", true, false, true, BENCH_DEFAULT_MAPS, { 0.005, 0.01, 0.02 } },
};
#define WAYS (sizeof ways / sizeof ways[0])

/* What is measured: each way without privacy, then each at both epsilons. */
static const double epsilons[] = { 8.0, 3.0 };
#define EPSILONS (sizeof epsilons / sizeof epsilons[0])
#define JOBS (WAYS + EPSILONS * WAYS)

static size_t way_of(size_t job)
{
    return job < WAYS ? job : (job - WAYS) / EPSILONS;
}

static double epsilon_of(size_t job)
{
    return epsilons[(job - WAYS) % EPSILONS];
}

static bool wanted(const setting *s, size_t job)
{
    const way *w = &ways[way_of(job)];

    if (job == 0)
        return true;
    if ((!s->both && s->private != (job >= WAYS)) || (job >= WAYS && (!w->adapters || w->train_a)))
        return false;
    return !s->only || strstr(w->name, s->only);
}

static double private_loss(const setting *s, const fm_decoder *base, const split *t, uint64_t seed,
                           size_t job)
{
    fm_decoder *d = copy_of(base, &ways[way_of(job)], s->rank, seed);
    bench_private p = s->training;
    double loss;

    p.epsilon = epsilon_of(job);
    p.threads = s->apart ? 1 : 0;
    loss = bench_private_loss(d, &p, &t->train, s->choose ? &t->choose : &t->test);
    printf("    epsilon %g: %-34s loss %.4f\n", p.epsilon, ways[way_of(job)].name, loss);
    fflush(stdout);
    fm_decoder_free(&d);
    return loss;
}

static double run_job(const setting *s, const fm_decoder *base, const split *t, uint64_t seed,
                      size_t job)
{
    return job < WAYS ? tuned(s, base, &ways[job], t, seed) : private_loss(s, base, t, seed, job);
}

typedef struct {
    double before, loss[JOBS];
} result;

/* @return in a new process 0, and *end is where its result goes to; here 1, and where it comes
 *         from. */
static int apart(int *end)
{
    int ends[2];
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        exit(1);
    (void)close(ends[child != 0]);
    *end = ends[child == 0];
    return child != 0;
}

static void give(int end, const void *from, size_t bytes)
{
    _exit(write(end, from, bytes) != (ssize_t)bytes);
}

static void take(int end, void *to, size_t bytes)
{
    if (read(end, to, bytes) != (ssize_t)bytes)
        exit(1);
    (void)close(end);
}

static void run_jobs(const setting *s, const fm_decoder *base, const split *t, uint64_t seed,
                     result *r)
{
    int ends[JOBS];

    for (size_t k = 0; k < JOBS; k++) {
        if (!wanted(s, k))
            continue;
        if (!s->apart) {
            r->loss[k] = run_job(s, base, t, seed, k);
        } else if (apart(&ends[k]) == 0) {
            r->loss[k] = run_job(s, base, t, seed, k);
            give(ends[k], &r->loss[k], sizeof r->loss[k]);
        }
    }
    for (size_t k = 0; s->apart && k < JOBS; k++)
        if (wanted(s, k))
            take(ends[k], &r->loss[k], sizeof r->loss[k]);
}

static void measure_seed(const setting *s, const fm_corpus *first, const fm_corpus *other,
                         uint64_t seed, result *r)
{
    fm_decoder *base = pretrain(s, first, seed);
    split t;

    bench_choose(other, seed, 0, (size_t)s->records, &t.train);
    bench_choose(other, seed, (size_t)s->records, 400, &t.choose);
    bench_choose(other, seed, (size_t)s->records + 400, 1000, &t.test);
    r->before = bench_loss(base, s->choose ? &t.choose : &t.test);
    printf("seed %llu: base, on its own texts %.4f, on the others %.4f\n", (unsigned long long)seed,
           bench_loss(base, first), r->before);
    run_jobs(s, base, &t, seed, r);
    bench_chosen_free(&t.train);
    bench_chosen_free(&t.choose);
    bench_chosen_free(&t.test);
    fm_decoder_free(&base);
}

/* Mean over the seeds and its standard error. */
static void print_mean(const double *x, uint64_t n)
{
    double mean = 0.0, square = 0.0;

    for (uint64_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (uint64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    printf(" %.3f", mean);
    if (n > 1)
        printf(" +- %.3f", sqrt(square / (double)(n - 1) / (double)n));
}

static void print_gains(const setting *s, const result *r)
{
    double share[SEEDS_MOST], loss[SEEDS_MOST];

    printf("mean over %llu seeds, and its standard error: loss, (adapted - base) / (all weights - "
           "base)\n",
           (unsigned long long)s->seeds);
    for (uint64_t i = 0; i < s->seeds; i++)
        loss[i] = r[i].before;
    printf("%-48s", "base");
    print_mean(loss, s->seeds);
    for (size_t k = 0; k < JOBS; k++) {
        char name[64];

        if (!wanted(s, k))
            continue;
        for (uint64_t i = 0; i < s->seeds; i++) {
            loss[i] = r[i].loss[k];
            share[i] = (r[i].before - loss[i]) / (r[i].before - r[i].loss[0]);
        }
        (void)snprintf(name, sizeof name, k < WAYS ? "%s" : "%s, epsilon %g", ways[way_of(k)].name,
                       k < WAYS ? 0.0 : epsilon_of(k));
        printf("\n%-48s", name);
        print_mean(loss, s->seeds);
        printf("   share");
        print_mean(share, s->seeds);
    }
    printf("\n");
}

/* What a federation on the same texts is run with: finetune_federation.sh. */
static void write_first(const setting *s, const fm_corpus *first, const fm_corpus *other)
{
    fm_decoder *base = pretrain(s, first, 1);
    fm_corpus train, test;

    bench_choose(other, 1, 0, (size_t)s->records, &train);
    bench_choose(other, 1, (size_t)s->records + 400, 1000, &test);
    bench_write(base, s->preset, &train, &test, s->write);
    bench_chosen_free(&train);
    bench_chosen_free(&test);
    fm_decoder_free(&base);
}

static bool gains(const setting *s)
{
    fm_corpus *first = NULL, *other = NULL;
    result results[SEEDS_MOST] = { 0 };
    int ends[SEEDS_MOST];

    if (!bench_texts("mts_dialog/MTS-Dialog-TrainingSet.csv", ward, CONTEXT, &first) ||
        !bench_texts("banking77/train.csv", bank, CONTEXT, &other)) {
        printf("no ../shared/data/text: what is gained is not measured\n");
        return false;
    }
    if (s->write)
        write_first(s, first, other);
    for (uint64_t i = 0; !s->write && i < s->seeds; i++) {
        if (!s->apart) {
            measure_seed(s, first, other, i + 1, &results[i]);
        } else if (apart(&ends[i]) == 0) {
            measure_seed(s, first, other, i + 1, &results[i]);
            fflush(stdout);
            give(ends[i], &results[i], sizeof results[i]);
        }
    }
    for (uint64_t i = 0; !s->write && s->apart && i < s->seeds; i++)
        take(ends[i], &results[i], sizeof results[i]);
    if (!s->write)
        print_gains(s, results);
    fm_corpus_free(&first);
    fm_corpus_free(&other);
    return true;
}

int main(int argc, char **argv)
{
    setting s = { .seeds = 5,
                  .passes = 3,
                  .tune_passes = 8,
                  .records = 1000,
                  .rank = 8,
                  .tries = 5,
                  .sequences = 64,
                  .preset = "lite-tiny" };
    const fm_cli_option options[] = {
        { "seeds", FM_CLI_U64, &s.seeds, "N", "how often (default 5)", false, 0, SEEDS_MOST },
        { "passes", FM_CLI_U64, &s.passes, "N", "over the first texts (default 3)", false, 1, 100 },
        { "tune-passes", FM_CLI_U64, &s.tune_passes, "N", "over the others (default 8)", false, 1,
          100 },
        { "records", FM_CLI_U64, &s.records, "N", "of the others (default 1000)", false, 1, 8000 },
        { "rank", FM_CLI_U64, &s.rank, "R", "of the adapters (default 8)", false, 1, 256 },
        { "tries", FM_CLI_U64, &s.tries, "N", "of a step; the best counts (default 5)", false, 1,
          1000 },
        { "sequences", FM_CLI_U64, &s.sequences, "N", "of a step (default 64)", false, 1, 4096 },
        { "write", FM_CLI_STRING, &s.write, "FOLDER",
          "only write the first seed's base and texts there, for a federation", false, 0, 0 },
        { "only", FM_CLI_STRING, &s.only, "TEXT", "ways with this in their names", false, 0, 0 },
        { "apart", FM_CLI_FLAG, &s.apart, NULL,
          "each seed and way in a process of its own, all at once: for many processors", false, 0,
          0 },
        { "preset", FM_CLI_STRING, &s.preset, "NAME", "of the model (default lite-tiny)", false, 0,
          0 },
    };
    const fm_cli_option training[] = {
        { "private", FM_CLI_FLAG, &s.private, NULL,
          "what private adapters gain, with the noise that four nodes leave; nothing else", false,
          0, 0 },
        { "both", FM_CLI_FLAG, &s.both, NULL,
          "what adapters gain without privacy and with that noise; nothing else", false, 0, 0 },
        { "choose", FM_CLI_FLAG, &s.choose, NULL,
          "what is gained on the texts that settings are chosen by", false, 0, 0 },
        { "rounds", FM_CLI_U64, &s.training.rounds, "N", "of --private: not the default", false, 1,
          100000 },
        { "sampling-rate", FM_CLI_DOUBLE, &s.training.sampling_rate, "Q", "likewise", false, 1e-6,
          1 },
        { "learning-rate", FM_CLI_DOUBLE, &s.training.learning_rate, "R", "likewise", false, 1e-9,
          1e6 },
        { "clip-norm", FM_CLI_DOUBLE, &s.training.clip_norm, "C", "likewise", false, 1e-6, 1e6 },
    };
    fm_cli_option all[FM_TEST_COUNT(options) + FM_TEST_COUNT(training)];
    const fm_cli_spec spec = { .program = "bench-finetune",
                               .summary = "What adapters gain, and what private steps cost.",
                               .options = all,
                               .option_count = FM_TEST_COUNT(all) };
    int first, code;

    memcpy(all, options, sizeof options);
    memcpy(all + FM_TEST_COUNT(options), training, sizeof training);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    fm_log_set_level(FM_LOG_ERROR);
    if (!s.private && !s.both && !s.write)
        bench_costs(&(bench_cost){ s.preset, s.rank, s.tries, s.sequences });
    fflush(stdout);
    if (s.seeds > 0)
        (void)gains(&s);
    return 0;
}
