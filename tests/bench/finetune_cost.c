/* What a private step of adapters costs beside the same step without privacy. */
#include "finetune_cost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fedmoe/train/step.h"
#include "finetune_texts.h"

#define BATCH 2048 /* tokens */

typedef struct {
    double seconds;
    double kib; /* most that the process had */
} cost;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void made_up(fm_corpus *c, size_t sequences, size_t vocabulary)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 3);

    *c = (fm_corpus){ .tokens = calloc(sequences * 128, sizeof *c->tokens),
                      .starts = calloc(sequences + 1, sizeof *c->starts),
                      .sequences = sequences,
                      .longest = 128 };
    for (size_t i = 0; i < sequences * 128; i++)
        c->tokens[i] = (uint32_t)fm_rng_below(&rng, vocabulary);
    for (size_t i = 0; i <= sequences; i++)
        c->starts[i] = i * 128;
}

static fm_decoder *adapted(const bench_cost *s, size_t max_tokens)
{
    const fm_decoder_options o = { .max_tokens = max_tokens,
                                   .adapters = { .rank = (size_t)s->rank,
                                                 .alpha = 2.0 * (double)s->rank,
                                                 .maps = BENCH_DEFAULT_MAPS } };
    fm_decoder *d = bench_decoder(s->preset, 1, &o);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 4);
    float *flat = calloc(fm_decoder_adapter_parameters(d), sizeof *flat);

    for (size_t i = 0; i < fm_decoder_adapter_parameters(d); i++)
        flat[i] = (float)(0.1 * fm_rng_normal(&rng));
    bench_need(fm_decoder_adapters_set(d, flat, fm_decoder_adapter_parameters(d)));
    free(flat);
    return d;
}

/* Forward, backward, sum; in batches of the same size as the private step's. */
static double plain_step(fm_decoder *d, const fm_corpus *c, size_t each, float *sum)
{
    uint32_t ends[BATCH / 128];
    float weights[BATCH / 128];
    const double began = now();

    for (size_t i = 0; i < each; i++) {
        ends[i] = (uint32_t)(128 * (i + 1));
        weights[i] = 1.0f / (float)c->sequences;
    }
    for (size_t first = 0; first < c->sequences; first += each) {
        const size_t n = c->sequences - first < each ? c->sequences - first : each;
        const fm_decoder_batch b = { c->tokens + c->starts[first], ends, n, NULL };

        bench_need(fm_decoder_backward(d, &b, NULL));
        fm_decoder_weighted_sum(d, NULL, 0, weights, sum);
    }
    return now() - began;
}

static double plain_cost(const bench_cost *s, const fm_corpus *c)
{
    fm_decoder *d = adapted(s, 1), *worker = NULL;
    const fm_learner learner = fm_learner_decoder(d, c);
    float *sum = calloc(fm_decoder_gradient_parameters(d), sizeof *sum);
    fm_learner_facts facts;
    double best = INFINITY;

    bench_need(fm_learner_describe(&learner, 1, &facts));
    bench_need(fm_decoder_new_worker(d, facts.batch, &worker));
    for (uint64_t k = 0; k < s->tries; k++)
        best = fmin(best, plain_step(worker, c, facts.batch / 128, sum));
    free(sum);
    fm_decoder_free(&worker);
    fm_decoder_free(&d);
    return best;
}

static double private_cost(const bench_cost *s, const fm_corpus *c)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 0.3,
                                      .noise_multiplier = 1.0,
                                      .max_units = (uint32_t)c->sequences,
                                      .nodes = 1,
                                      .quorum = 1,
                                      .encoding = FM_DP_FAST };
    fm_decoder *d = adapted(s, 1);
    fm_train_step_spec step = { .learner = fm_learner_decoder(d, c),
                                .sampling_rate = 1.0,
                                .unit_rows = 1,
                                .tail = { .clip_norm = true },
                                .clip_share = 0.1,
                                .threads = 1 };
    const size_t n = fm_decoder_gradient_parameters(d);
    float *state = calloc(n + 1, sizeof *state);
    fm_rng rng = fm_rng_system();
    const fm_train_step_input in = { .state = state, .rng = &rng };
    fm_train_step *t = NULL;
    fm_dp_lattice lattice;
    fm_dp_sum *sum = NULL;
    double best = INFINITY;

    bench_need(fm_learner_decoder_get(&step.learner, state, n));
    bench_need(fm_dp_lattice_make(&spec, &lattice));
    step.lattice = &lattice;
    bench_need(fm_train_step_new(&step, &t));
    for (uint64_t k = 0; k < s->tries; k++) {
        const double began = now();

        bench_need(fm_train_step_run(t, &in, &sum));
        best = fmin(best, now() - began);
    }
    fm_train_step_free(&t);
    fm_decoder_free(&d);
    free(state);
    return best;
}

/* In a process of its own, whose memory is then known. */
static cost measured(const bench_cost *s, const fm_corpus *c, bool private)
{
    cost out = { 0 };
    int ends[2];
    struct rusage usage;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0)
        exit(1);
    if (child == 0) {
        const double seconds = private ? private_cost(s, c) : plain_cost(s, c);

        _exit(write(ends[1], &seconds, sizeof seconds) != sizeof seconds);
    }
    if (read(ends[0], &out.seconds, sizeof out.seconds) != sizeof out.seconds ||
        wait4(child, NULL, 0, &usage) != child)
        exit(1);
    out.kib = (double)usage.ru_maxrss;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return out;
}

void bench_costs(const bench_cost *s)
{
    fm_corpus c;
    cost plain, private;

    made_up(&c, (size_t)s->sequences, 257);
    plain = measured(s, &c, false);
    private = measured(s, &c, true);
    printf("%s, rank %llu, %zu sequences of 128 tokens, one thread\n", s->preset,
           (unsigned long long)s->rank, c.sequences);
    printf("  without privacy  %8.1f ms  %6.0f tokens/s  %7.1f MiB\n", 1e3 * plain.seconds,
           (double)c.sequences * 128.0 / plain.seconds, plain.kib / 1024.0);
    printf("  private          %8.1f ms  %6.0f tokens/s  %7.1f MiB\n", 1e3 * private.seconds,
           (double)c.sequences * 128.0 / private.seconds, private.kib / 1024.0);
    printf("  ratio            %8.2f                     %7.2f\n", private.seconds / plain.seconds,
           private.kib / plain.kib);
    bench_chosen_free(&c);
}
