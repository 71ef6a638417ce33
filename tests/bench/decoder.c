/*
 * A training step of the decoder: tokens per second of forward and backward, what privacy adds, and
 * the rate of its products beside the processor's own, measured in the same run. PyTorch beside it,
 * where it is installed: the same model, batch and threads (decoder_peer.py).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blas_core.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/model/compute.h"
#include "fedmoe/model/decoder.h"

#define MOST_THREADS 16
#define MOST_SEQUENCES 64

/* What the peer reads, too. */
typedef struct {
    uint64_t width, layers, heads, experts, top_k, hidden, vocabulary, length, sequences, threads;
    uint64_t rank, tries;
    const char *python;
    bool processor, no_peer;
} setting;

typedef struct {
    fm_decoder *d[MOST_THREADS]; /* the first has the weights */
    fm_threads *threads;
    uint32_t *tokens, ends[MOST_SEQUENCES];
    float *sum[MOST_THREADS];
    const setting *s;
    size_t each; /* sequences of one job */
    bool private, summed;
} bench;

static void need(fm_status st)
{
    if (st) {
        fprintf(stderr, "bench-decoder: %s\n", fm_error_text());
        exit(1);
    }
}

static fm_decoder_config config_of(const setting *s)
{
    const size_t head = s->width / s->heads;

    return (fm_decoder_config){ .family = FM_DECODER_OLMOE,
                                .vocabulary = s->vocabulary,
                                .width = s->width,
                                .layers = s->layers,
                                .context = s->length,
                                .norm_epsilon = 1e-5,
                                .attention = FM_ATTENTION_GROUPED,
                                .heads = s->heads,
                                .key_heads = s->heads,
                                .query_head = head,
                                .value_head = head,
                                .rotary = head,
                                .query_key_norm = true,
                                .attention_scale = 1.0 / sqrt((double)head),
                                .rope = { .theta = 1e4, .factor = 1.0, .attention_factor = 1.0 },
                                .experts = s->experts,
                                .top_k = s->top_k,
                                .expert_hidden = s->hidden,
                                .router = FM_ROUTER_SOFTMAX,
                                .group_count = 1,
                                .groups_chosen = 1,
                                .routed_scale = 1.0,
                                .embedding_multiplier = 1.0,
                                .residual_multiplier = 1.0,
                                .logits_divisor = 1.0 };
}

/* Multiplications with their additions for one token: forward, and twice that backward where all is
 * trained, once where only what lies between is. */
static double operations(const setting *s, bool all)
{
    const double d = (double)s->width, h = (double)s->hidden, k = (double)s->top_k;
    const double layer = 4.0 * d * d + 3.0 * k * d * h + (double)s->experts * d +
                         2.0 * d * ((double)s->length + 1.0) / 2.0;

    return 2.0 * ((double)s->layers * layer + d * (double)s->vocabulary) * (all ? 3.0 : 2.0);
}

static void fill(fm_decoder *d)
{
    const fm_decoder_config *c = fm_decoder_get_config(d);
    const fm_decoder_layout *l = fm_decoder_get_layout(d);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 1);
    float *theta = fm_decoder_weights(d);

    for (size_t i = 0; i < l->parameters; i++)
        theta[i] = (float)(fm_rng_normal(&rng) * 0.02);
    for (size_t i = 0; i < c->layers; i++)
        for (size_t k = 0; k < c->width; k++) {
            theta[l->layer[i].input_norm + k] = theta[l->layer[i].post_norm + k] = 1.0f;
            theta[l->layer[i].query_norm + k] = theta[l->layer[i].key_norm + k] = 1.0f;
        }
    for (size_t k = 0; k < c->width; k++)
        theta[l->norm + k] = 1.0f;
    need(fm_decoder_refresh(d));
}

static void begin(bench *b, const setting *s, unsigned threads, bool adapters)
{
    const fm_decoder_config c = config_of(s);
    fm_decoder_options o = { .train = adapters ? FM_TRAIN_NONE : FM_TRAIN_ALL };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 2);

    *b = (bench){ .s = s, .each = (s->sequences + threads - 1) / threads };
    o.max_tokens = b->each * s->length;
    if (adapters)
        o.adapters = (fm_decoder_adapters){ .rank = s->rank,
                                            .alpha = 2.0 * (double)s->rank,
                                            .maps = FM_ADAPT_QUERY | FM_ADAPT_KEY | FM_ADAPT_VALUE |
                                                    FM_ADAPT_OUTPUT };
    need(fm_decoder_new(&c, &o, &b->d[0]));
    fill(b->d[0]);
    for (unsigned i = 1; i < threads; i++)
        need(fm_decoder_new_worker(b->d[0], o.max_tokens, &b->d[i]));
    for (unsigned i = 0; i < threads; i++)
        need(fm_alloc(fm_decoder_gradient_parameters(b->d[0]), sizeof(float), (void **)&b->sum[i]));
    need(fm_threads_new(threads, &b->threads));
    need(fm_alloc(s->sequences * s->length, sizeof *b->tokens, (void **)&b->tokens));
    for (size_t i = 0; i < s->sequences * s->length; i++)
        b->tokens[i] = (uint32_t)fm_rng_below(&rng, s->vocabulary);
    for (size_t i = 0; i < s->sequences; i++)
        b->ends[i] = (uint32_t)((i + 1) * s->length);
}

static void end(bench *b)
{
    for (size_t i = MOST_THREADS; i-- > 0;) {
        fm_decoder_free(&b->d[i]);
        free(b->sum[i]);
    }
    fm_threads_free(&b->threads);
    free(b->tokens);
}

/* One thread's sequences: backward, norms if it is private, the sum of gradients. */
static fm_status job(void *ctx, unsigned thread, size_t number)
{
    bench *b = ctx;
    const size_t first = number * b->each, left = b->s->sequences - first;
    const size_t n = left < b->each ? left : b->each;
    const fm_decoder_batch batch = { .tokens = b->tokens + first * b->s->length,
                                     .ends = b->ends,
                                     .sequences = n };
    double squares[MOST_SEQUENCES];
    float weights[MOST_SEQUENCES];
    fm_status st = fm_decoder_backward(b->d[thread], &batch, NULL);

    if (st)
        return st;
    for (size_t i = 0; i < n; i++)
        squares[i] = 1.0;
    if (b->private)
        fm_decoder_unit_squares(b->d[thread], NULL, n, squares);
    for (size_t i = 0; i < n; i++)
        weights[i] = (float)fmin(1.0, 1.0 / sqrt(squares[i]));
    if (b->summed)
        fm_decoder_weighted_sum(b->d[thread], NULL, n, weights, b->sum[thread]);
    return FM_OK;
}

static double now(const setting *s)
{
    struct timespec t;

    (void)clock_gettime(s->processor ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Tokens per second: the best of some. */
static double rate(bench *b, bool summed, bool private)
{
    const size_t jobs = (b->s->sequences + b->each - 1) / b->each;
    double best = INFINITY;

    b->summed = summed;
    b->private = private;
    for (uint64_t t = 0; t <= b->s->tries; t++) { /* the first warms up */
        const double from = now(b->s);

        need(fm_threads_run(b->threads, jobs, job, b));
        if (t)
            best = fmin(best, now(b->s) - from);
    }
    return (double)(b->s->sequences * b->s->length) / best;
}

static void show(const char *what, double tokens, double operation, const fm_compute_report *r,
                 unsigned threads)
{
    const double gflops = tokens * operation * 1e-9;

    printf("  %-34s %8.0f tokens/s", what, tokens);
    if (operation > 0.0)
        printf("  %6.1f GFLOP/s (%.0f %% of the peak)", gflops,
               100.0 * gflops / (r->peak_gflops * (double)threads));
    printf("\n");
    (void)fflush(stdout);
}

static void run(const setting *s, unsigned threads)
{
    fm_compute_report r;
    bench b;
    double plain;

    need(fm_compute_measure(&r));
    printf("%u thread%s, %s, peak %.0f GFLOP/s each:\n", threads, threads > 1 ? "s" : "", r.level,
           r.peak_gflops);
    begin(&b, s, threads, false);
    show("all weights: backward", rate(&b, false, false), 0.0, &r, threads);
    plain = rate(&b, true, false);
    show("all weights: with the sum", plain, operations(s, true), &r, threads);
    show("all weights: private", rate(&b, true, true), 0.0, &r, threads);
    end(&b);
    begin(&b, s, threads, true);
    show("adapters of attention", rate(&b, true, false), operations(s, false), &r, threads);
    show("adapters of attention: private", rate(&b, true, true), 0.0, &r, threads);
    end(&b);
}

static int peer(const setting *s, unsigned threads)
{
    char command[512];

    (void)snprintf(command, sizeof command,
                   "%s %s%s --threads %u --width %u --layers %u --heads %u --experts %u --top-k %u "
                   "--hidden %u --vocabulary %u --length %u --sequences %u --tries %u",
                   s->python, BENCH_PEER, s->processor ? " --processor-time" : "", threads,
                   (unsigned)s->width, (unsigned)s->layers, (unsigned)s->heads,
                   (unsigned)s->experts, (unsigned)s->top_k, (unsigned)s->hidden,
                   (unsigned)s->vocabulary, (unsigned)s->length, (unsigned)s->sequences,
                   (unsigned)s->tries);
    return system(command);
}

int main(int argc, char **argv)
{
    setting s = { .width = 512,
                  .layers = 4,
                  .heads = 8,
                  .experts = 16,
                  .top_k = 2,
                  .hidden = 1024,
                  .vocabulary = 8192,
                  .length = 256,
                  .sequences = 8,
                  .threads = 2,
                  .rank = 16,
                  .tries = 5,
                  .python = "/usr/bin/python3" };
    const fm_cli_option list[] = {
        { "width", FM_CLI_U64, &s.width, "N", "of the model; default 512", false, 16, 4096 },
        { "layers", FM_CLI_U64, &s.layers, "N", "default 4", false, 1, 64 },
        { "heads", FM_CLI_U64, &s.heads, "N", "default 8", false, 1, 64 },
        { "experts", FM_CLI_U64, &s.experts, "N", "default 16", false, 1, 256 },
        { "hidden", FM_CLI_U64, &s.hidden, "N", "of an expert; default 1024", false, 1, 16384 },
        { "vocabulary", FM_CLI_U64, &s.vocabulary, "N", "default 8192", false, 2, 262144 },
        { "length", FM_CLI_U64, &s.length, "N", "of a sequence; default 256", false, 2, 65536 },
        { "sequences", FM_CLI_U64, &s.sequences, "N", "of a batch; default 8", false, 1,
          MOST_SEQUENCES },
        { "threads", FM_CLI_U64, &s.threads, "N", "at most; default 2", false, 1, MOST_THREADS },
        { "tries", FM_CLI_U64, &s.tries, "N", "the best of them counts; default 5", false, 1, 100 },
        { "python", FM_CLI_STRING, &s.python, "PROGRAM",
          "that has PyTorch; default /usr/bin/python3", false, 0, 0 },
        { "no-peer", FM_CLI_FLAG, &s.no_peer, NULL, "without PyTorch", false, 0, 0 },
        { "processor-time", FM_CLI_FLAG, &s.processor, NULL,
          "count this and not the clock's: one thread on a busy machine", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-decoder",
                               .summary = "A training step of the decoder, beside PyTorch's.",
                               .examples = "./dev bench decoder --length 1024 --sequences 2",
                               .options = list,
                               .option_count = sizeof list / sizeof list[0] };
    bench_blas blas;
    int first = 0, code = 1;

    if (fm_random_init() != FM_OK || !fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    bench_blas_core(argv, &blas); /* the peer's */
    bench_blas_print(&blas, stdout);
    if (s.processor)
        s.threads = 1;
    if (s.top_k > s.experts)
        s.top_k = s.experts;
    printf("width %u, %u layers, %u experts of %u, %u of them active, vocabulary %u; %u sequences "
           "of %u tokens\n",
           (unsigned)s.width, (unsigned)s.layers, (unsigned)s.experts, (unsigned)s.hidden,
           (unsigned)s.top_k, (unsigned)s.vocabulary, (unsigned)s.sequences, (unsigned)s.length);
    for (unsigned threads = 1; threads <= s.threads; threads *= 2) {
        run(&s, threads);
        if (!s.no_peer && peer(&s, threads))
            printf("  PyTorch is not measured\n");
    }
    return 0;
}
